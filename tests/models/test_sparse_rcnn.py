"""Sparse R-CNN: deltas and dynamic layers by hand, gradient flow."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.errors import UsageError
from stadkit.models.sparse_rcnn import (
    DynamicConv,
    Localized,
    Localizer,
    LocalizerConfig,
    apply_delta,
)

TINY = LocalizerConfig(
    proposals=5, width=8, heads=2, attention_heads=2, feedforward=16, dynamic=3, roi_size=2
)
STRIDES = (4, 8, 16, 32)


def made_maps(clips: int, side: int = 64) -> list[Tensor]:
    random = torch.Generator().manual_seed(1)
    return [torch.randn(clips, 8, side // s, side // s, generator=random) for s in STRIDES]


def made_localizer() -> Localizer:
    torch.manual_seed(0)
    model = Localizer(TINY)
    torch.nn.init.uniform_(model.box, 0.3, 0.7)
    return model.eval()


def test_apply_delta_by_hand() -> None:
    box = torch.tensor([[10.0, 20, 30, 60]])  # 20 x 40, centred at (20, 40)
    delta = torch.tensor([[1.0, -0.5, math.log(2), 0]])  # half a side right, a quarter up
    assert apply_delta(box, delta).tolist() == [[10, 10, 50, 50]]


def test_the_growth_of_a_side_is_limited() -> None:
    box = torch.tensor([[0.0, 0, 16, 16]]).double()
    wide, high = (apply_delta(box, box.new_tensor([[0, 0, 99, -99]]))[0, i::2] for i in (0, 1))
    assert wide.diff().item() == pytest.approx(100000)
    assert high.diff().item() == pytest.approx(0)


def test_boxes_start_as_fractions_of_the_unpadded_frame() -> None:
    model = Localizer(TINY)
    for name, weight in model.named_parameters():
        if "bboxes_delta" in name:  # heads leave the boxes unchanged
            torch.nn.init.zeros_(weight)
    with torch.no_grad():
        model.box[1] = torch.tensor([0.25, 0.5, 0.5, 0.2])
        found = model(made_maps(2), torch.tensor([[50, 60], [64, 40]]), STRIDES)
    assert found.box[-1, :, 0].tolist() == [[0, 0, 60, 50], [0, 0, 40, 64]]
    torch.testing.assert_close(found.box[0, 0, 1], torch.tensor([0, 20.0, 30, 30]))


def test_dynamic_layers_by_hand() -> None:
    torch.manual_seed(0)
    layer = DynamicConv(4, 3, 2).double()
    feature, region = torch.randn(5, 4).double(), torch.randn(5, 2, 4).double()
    made = feature @ layer.dynamic_layer.weight.T + layer.dynamic_layer.bias
    first, second = made[:, :12].reshape(5, 4, 3), made[:, 12:].reshape(5, 3, 4)
    x = F.relu(layer.norm1(torch.einsum("ncd,ndh->nch", region, first)))
    x = F.relu(layer.norm2(torch.einsum("nch,nhd->ncd", x, second)))
    # Flattened cell by cell, all channels of the first cell before the second's.
    flat = torch.cat([x[:, 0], x[:, 1]], 1)
    want = F.relu(layer.norm3(flat @ layer.out_layer.weight.T + layer.out_layer.bias))
    torch.testing.assert_close(layer(feature, region), want)


def test_clips_are_independent() -> None:
    model, sizes = made_localizer().double(), torch.tensor([[64, 64], [40, 56]])
    maps = [x.double() for x in made_maps(2)]
    with torch.no_grad():
        both = model(maps, sizes, STRIDES)
        for clip in range(2):
            alone = model([x[clip : clip + 1] for x in maps], sizes[clip : clip + 1], STRIDES)
            # RoIs are pooled in float32, so rounding differences remain.
            torch.testing.assert_close(both.box[:, clip], alone.box[:, 0], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(both.logit[:, clip], alone.logit[:, 0], rtol=1e-4, atol=1e-4)


def test_gradients_flow_through_features_but_not_from_box_to_box() -> None:
    model, maps, sizes = made_localizer(), made_maps(1), torch.tensor([[64, 64]])
    maps[0].requires_grad_()
    names = ["box", "feature", "heads.0.bboxes_delta.weight", "heads.0.norm3.weight"]
    wanted = [*(model.get_parameter(name) for name in names), maps[0]]
    box = model(maps, sizes, STRIDES).box
    reached = [
        [bool(g.any()) for g in torch.autograd.grad(box[i].sum(), wanted, retain_graph=True)]
        for i in range(2)
    ]
    # The first head updates the learned boxes; the second gets its boxes detached.
    assert reached == [[True, True, True, True, True], [False, True, False, True, True]]


def test_initial_values() -> None:
    model = Localizer(LocalizerConfig(heads=1))
    assert (model.box == torch.tensor([0.5, 0.5, 1, 1])).all()
    assert model.feature.std().item() == pytest.approx(1, rel=0.05)
    weight = model.get_parameter("heads.0.inst_interact.dynamic_layer.weight")
    edge = math.sqrt(6 / (256 + 32768))
    assert 0.99 * edge < weight.abs().max().item() <= edge
    assert model.get_parameter("heads.0.class_logits.bias").tolist() == [0, 0]


def test_parameters_by_hand() -> None:
    attention, dynamic = 4 * 256 * 257, 257 * 32768 + 256 * (12544 + 1) + 2 * (64 + 256 + 256)
    feedforward, norms = 2 * 256 * 2048 + 2048 + 256, 3 * 512
    towers = 4 * (256 * 256 + 512) + 257 * 2 + 257 * 4
    model = Localizer(LocalizerConfig(heads=1))
    count = sum(x.numel() for x in model.heads.parameters())
    assert count == attention + dynamic + feedforward + norms + towers


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_dtypes(kind: torch.dtype) -> None:
    model, sizes = made_localizer(), torch.tensor([[64, 64]])
    maps = [x.to(kind) for x in made_maps(1)]
    if kind == torch.float64:
        model = model.double()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        found = model(maps, sizes, STRIDES)
    assert found.box.dtype == found.logit.dtype == torch.promote_types(kind, torch.float32)
    with torch.no_grad():
        exact = made_localizer().double()([x.double() for x in made_maps(1)], sizes, STRIDES)
    limit = 5.0 if kind == torch.bfloat16 else 1e-3
    assert (found.box - exact.box).abs().max() < limit  # pixels, for boxes up to 100 wide


def test_meta_device() -> None:
    model = Localizer(TINY).to("meta")
    sizes = torch.empty(2, 2, dtype=torch.long, device="meta")
    found = model([x.to("meta") for x in made_maps(2)], sizes, STRIDES)
    assert found.box.shape == (2, 2, 5, 4)


def test_wrong_shapes_are_reported() -> None:
    with pytest.raises(ValueError, match=r"Localized.box has shape \(1, 2, 3, 5\)"):
        Localized(torch.zeros(1, 2, 3, 2), torch.zeros(1, 2, 3, 5), torch.zeros(2, 3, 8))
    with pytest.raises(ValueError, match="4 maps but 3 strides"):
        made_localizer()(made_maps(1), torch.tensor([[64, 64]]), STRIDES[:3])


@pytest.mark.parametrize("name", ["proposals", "width", "heads", "attention_heads", "roi_sampling"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_counts_are_above_0(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=rf"^LocalizerConfig\.{name} is {value}; "):
        replace(TINY, **{name: value})


def test_attention_heads_must_divide_the_width() -> None:
    with pytest.raises(UsageError, match=r"^LocalizerConfig\.width is .* attention_heads, 7\.$"):
        replace(TINY, attention_heads=7)
