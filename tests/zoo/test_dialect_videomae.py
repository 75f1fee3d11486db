"""VideoMAE weights of every dialect become the same backbone, or are refused."""

from collections.abc import Callable

import pytest
import torch
from helpers import made_videomae as videomae
from torch import Tensor

from stadkit.errors import WeightsError
from stadkit.zoo.backbones import FINAL_NORM
from stadkit.zoo.dialects.videomae import canonical, matches, rename

Make = Callable[[], dict[str, Tensor]]


@pytest.mark.parametrize(
    ("make", "unused"),
    [
        (lambda: videomae.original("encoder."), set()),
        (lambda: videomae.original("backbone."), set()),
        (lambda: videomae.original(""), set()),
        (videomae.pretrained, {"mask_token", "encoder_to_decoder.weight", "decoder.head.weight"}),
        (videomae.mmaction2, {"backbone.pos_embed", "roi_head.fc_cls.weight"}),
        (videomae.huggingface, set()),
        (lambda: videomae.huggingface("", old=True), set()),
    ],
    ids=["encoder.", "backbone.", "bare", "pre-training", "mmaction2", "hub", "hub of 2022"],
)
def test_every_dialect_is_the_same_backbone(make: Make, unused: set[str]) -> None:
    given = make()
    assert matches(given)
    found, wanted = rename(given), videomae.backbone()
    assert found.tensors.keys() == wanted.keys()
    assert all(torch.equal(found.tensors[name], value) for name, value in wanted.items())
    assert unused <= set(found.unused)
    assert len(unused) == len(found.unused) or "mask_token" in unused  # a decoder has many


def test_a_classifier_may_lack_the_final_norm() -> None:
    for given in (
        videomae.classifier(videomae.original("")),
        videomae.classifier(videomae.huggingface(), "videomae.layer"),
    ):
        found = rename(given)
        assert videomae.backbone().keys() - found.tensors.keys() == set(FINAL_NORM)
        unused = {"fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"}
        assert set(found.unused) == unused


def test_our_own_names_stay() -> None:
    ours = videomae.backbone()
    assert canonical(ours).keys() == ours.keys()


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("blocks.0.attn.q_bias", r"lacks 1 of the backbone's tensors \(blocks.0.attn.q_bias\)"),
        ("blocks.0.", r"lacks 13 of .* \(blocks.0.norm1.weight, .*\.\.\.\)"),
        ("norm.bias", r"lacks 1 of .* \(norm.bias\)"),
        ("patch_embed.", "not a video transformer"),
    ],
)
def test_what_is_missing_is_named(lost: str, message: str) -> None:
    given = {k: v for k, v in videomae.original("").items() if not k.startswith(lost)}
    with pytest.raises(WeightsError, match=f"^a.pth: {message}") as caught:
        canonical(given, "a.pth")
    assert "\n" not in str(caught.value)


def test_a_key_without_its_query_is_missing() -> None:
    given = videomae.huggingface()
    del given["videomae.encoder.layer.1.attention.attention.query.weight"]
    with pytest.raises(WeightsError, match=r"missing blocks\.1\.attn\.query\.weight"):
        canonical(given)


def test_the_same_tensor_twice_is_refused() -> None:
    given = {**videomae.huggingface(), **videomae.huggingface(old=True)}
    with pytest.raises(WeightsError, match="two names"):
        canonical(given)
    both = {**videomae.huggingface(), "videomae.blocks.0.attn.qkv.weight": torch.zeros(48, 16)}
    with pytest.raises(WeightsError, match=r"blocks\.0 has both qkv and separate query"):
        canonical(both)


def test_another_architecture_is_refused() -> None:
    given = {**videomae.mmaction2(), "backbone.pos_embed": torch.randn(1, 1568, 16)}
    with pytest.raises(WeightsError, match="pos_embed was learned"):
        canonical(given)
    with pytest.raises(WeightsError, match=r"has blocks\.0\.gamma_1, which VideoMAE does not have"):
        canonical({**videomae.original("encoder."), "encoder.blocks.0.gamma_1": torch.ones(16)})
    name = "videomae.encoder.layer.0.attention.attention.key.bias"
    assert name in rename({**videomae.huggingface(), name: torch.zeros(16)}).unused
    with pytest.raises(WeightsError, match="no bias on keys"):
        canonical({**videomae.huggingface(), name: torch.ones(16)})


def test_other_networks_are_not_recognised() -> None:
    assert not matches({"s1.pathway0_stem.conv.weight": 0, "backbone.conv1.conv.weight": 0})
