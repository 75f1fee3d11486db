"""Folding norms into convolutions keeps the results."""

import pytest
import torch
from torch import nn

from stadkit.layers.memory_format import fold_norms
from stadkit.zoo import build, card


def lively(model: nn.Module) -> nn.Module:
    """Give norms non-trivial statistics and weights, as after training."""
    random = torch.Generator().manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm3d):
            for x, low in ((norm.weight, 0.2), (norm.running_var, 0.5)):
                assert x is not None
                x.data = torch.rand(x.shape, generator=random) + low
            for x in (norm.bias, norm.running_mean):
                assert x is not None
                x.data = torch.randn(x.shape, generator=random) * 0.1
    return model


@pytest.mark.parametrize("name", ["mestad-tiny", "mestad-slowfast-r50", "stmixer-k-tiny"])
def test_folding_norms_keeps_the_features(name: str) -> None:
    model = lively(build(name)).eval()
    backbone = model.get_submodule("backbone")
    pixels = torch.randn(1, 3, card(name).frames, 64, 64)
    with torch.no_grad():
        wanted = backbone(pixels)
        got = fold_norms(model).get_submodule("backbone")(pixels)
    assert not any(isinstance(part, nn.BatchNorm3d) for part in model.modules())
    for stage, maps in wanted.items():
        for x, y in zip(maps, got[stage], strict=True):
            torch.testing.assert_close(y, x, rtol=1e-3, atol=1e-3 * float(x.abs().max()))


def test_a_norm_without_a_convolution_is_kept() -> None:
    model = nn.Sequential(nn.Conv3d(2, 4, 1), nn.ReLU(), nn.BatchNorm3d(4), nn.BatchNorm3d(4))
    assert len(list(fold_norms(model.eval()).modules())) == 5
    assert isinstance(model[2], nn.BatchNorm3d)


def test_a_module_in_training_mode_is_unchanged() -> None:
    model = nn.Sequential(nn.Conv3d(2, 4, 1), nn.BatchNorm3d(4))
    assert isinstance(fold_norms(model)[1], nn.BatchNorm3d)  # type: ignore[index]
