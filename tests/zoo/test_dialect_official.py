"""Released names of EVAD and STMixer map to ours and back; EVAD's configs are compared."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stadkit import zoo
from stadkit.errors import WeightsError
from stadkit.models.evad import EvadConfig
from stadkit.zoo.dialects import official
from stadkit.zoo.fitting import misfit_of

DATA = Path(__file__).parents[1] / "data"
EVAD, STMIXER = (official.RELEASES[family].constant for family in ("evad", "stmixer-k"))


def released(name: str) -> dict[str, Tensor]:
    """Shapes of a released file, and the one tensor whose value matters."""
    folder, constant = ("evad", EVAD) if name.startswith("ViT") else ("stmixer", STMIXER)
    shapes = json.loads((DATA / folder / f"params_{name}.json").read_text())
    tensors = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    return {**tensors, constant: torch.tensor([1.0, 0.1])}


@cache
def wanted(name: str) -> dict[str, torch.Size]:
    """Names and shapes of a model of the zoo."""
    with torch.device("meta"):
        return {key: value.shape for key, value in zoo.build(name).state_dict().items()}


@pytest.mark.parametrize(
    ("family", "file", "names", "count"),
    [
        ("evad", "ViT_B_16x4_KTP", ["evad-vit-b", "evad-vit-b-keep06", "evad-vit-b-full"], 529),
        ("evad", "ViT_L_16x4_KTP", ["evad-vit-l"], 793),
        ("stmixer-k", "slowonly_r50", ["stmixer-k-slowonly-r50"], 671),
        ("stmixer-k", "slowfast_r50", ["stmixer-k-slowfast-r50"], 1013),
        ("stmixer-k", "slowfast_r101nl", ["stmixer-k-slowfast-r101-nl"], 1664),
        ("stmixer-k", "vmae_vitb", ["stmixer-k-vit-b", "stmixer-k-vit-b-v2"], 529),
    ],
)
def test_every_released_name_is_one_of_ours(
    family: str, file: str, names: list[str], count: int
) -> None:
    theirs = released(file)
    ours = official.to_ours(theirs)
    assert official.family(theirs) == family
    assert official.family(ours) == ""
    assert (len(theirs), len(ours)) == (count, count - 1)
    shapes = {key: value.shape for key, value in ours.items()}
    assert [name for name in zoo.CARDS if wanted(name) == shapes] == names
    assert misfit_of(ours, names[0]) == ""
    back = official.to_official(ours, family)
    assert back.keys() == theirs.keys()
    assert all(back[name].shape == value.shape for name, value in theirs.items())


def test_unknown_names_stay() -> None:
    ours = {"backbone.norm.weight": torch.ones(1), "norm.weight": torch.ones(1)}
    assert official.to_ours(ours) == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("patch_embed.proj.bias", "backbone.patch_embed.proj.bias"),
        ("blocks.10.attn.q_bias", "backbone.blocks.10.attn.q_bias"),
        ("norm.weight", "backbone.norm.weight"),
        ("fpn_lateral2.weight", "pyramid.lateral.0.weight"),
        ("fpn_lateral5.bias", "pyramid.lateral.3.bias"),
        ("fpn_output2.bias", "pyramid.output.0.bias"),
        ("fpn_output5.weight", "pyramid.output.3.weight"),
        ("init_proposal_boxes.weight", "people.box"),
        ("init_proposal_features.weight", "people.feature"),
        ("det_head.s0_headseries.5.norm2.bias", "people.heads.5.norm2.bias"),
        ("det_head.encoder_to_decoder.weight", "encoder_to_decoder.weight"),
        ("det_head.mask_token", "mask_token"),
        ("det_head.decoder.blocks.0.norm1.bias", "decoder.blocks.0.norm1.bias"),
    ],
)
def test_names_one_by_one(theirs: str, ours: str) -> None:
    assert official.our_name(theirs) == ours


def test_an_unknown_name_stays_for_the_later_check() -> None:
    theirs = {**released("ViT_B_16x4_KTP"), "det_head.extra.weight": torch.empty(1, device="meta")}
    assert "1 unexpected (det_head.extra.weight)" in misfit_of(
        official.to_ours(theirs), "evad-vit-b"
    )


def test_two_names_for_one_tensor_are_refused() -> None:
    names = ("blocks.0.norm1.bias", "backbone.blocks.0.norm1.bias", "det_head.mask_token")
    theirs = {name: torch.zeros(1) for name in names}
    with pytest.raises(WeightsError) as caught:
        official.to_ours(theirs, "a.pyth")
    assert str(caught.value) == (
        "a.pyth: blocks.0.norm1.bias and backbone.blocks.0.norm1.bias both become "
        "backbone.blocks.0.norm1.bias; keep one of them"
    )


@pytest.mark.parametrize("value", [[1.0, 0.2], [1.0, 0.1, 0.1]])
@pytest.mark.parametrize(("constant", "authors"), [(EVAD, "EVAD"), (STMIXER, "STMixer")])
def test_another_loss_is_another_model(constant: str, authors: str, value: list[float]) -> None:
    theirs = {constant: torch.tensor(value), "det_head.mask_token": torch.ones(1)}
    theirs = theirs if authors == "EVAD" else {constant: torch.tensor(value)}
    message = rf"a\.pyth: {constant} is \[1\.0, .*\], {authors}'s is \[1\.0, 0\.1\]; this file is"
    with pytest.raises(WeightsError, match=message):
        official.to_ours(theirs, "a.pyth")


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("VIT:\n  KEEP_RATE: 0.7\n  ENHANCED_WEIGHT: 1.0\n", (0.7, 1)),
        ("KEEP_RATE: .6\nENHANCE_WEIGHT: 4", (0.6, 4)),
        ("  token_keep_ratio: [1.0, 1.0, 0.7,\n    1, 0.7]\n", (0.7, None)),
        ("BASE_KEEP_RATE:\n- 1.0\n- 0.6\n- 1.0\nNEXT: 0.3\n", (0.6, None)),
        ("KEEP_RATE: 1.0\nDROPOUT_RATE: 0.5\n", (1, None)),
        ("KEEP_RATE: (0.9, 0.8, 0.7)\n", (None, None)),  # not one rate
        ("KEEP_RATE: null\nKEYFRAME_WEIGHT: []\nDROP_PATH_RATE: 0.1\n", (None, None)),
        ("DIR: /runs/KEEP_RATE: 0.6\n", (None, None)),  # inside another value
        ("", (None, None)),
    ],
)
def test_settings_in_a_config(text: str, stated: tuple[float | None, float | None]) -> None:
    found = official.read_config(text)
    assert (found.get("keep_rate"), found.get("keyframe_weight")) == stated


@pytest.mark.parametrize(
    ("text", "name", "contradictions"),
    [
        ("KEEP_RATE: 0.6\nENHANCED_WEIGHT: 4", "evad-vit-b-keep06", []),
        (
            "KEEP_RATE: 0.6\nENHANCED_WEIGHT: 4",
            "evad-vit-b",
            ["keep rate 0.6, not 0.7", "key-frame weight 4, not 1"],
        ),
        ("KEEP_RATE: 0.7\nENHANCED_WEIGHT: 1", "evad-vit-b", []),
        ("KEEP_RATE: 0.7\n", "evad-vit-b-full", ["keep rate 0.7, not 1"]),
        ("KEEP_RATE: 1.0\nENHANCED_WEIGHT: 4", "evad-vit-b-full", []),  # the weight is not used
        ("nothing: here", "evad-vit-l", []),
    ],
)
def test_a_config_against_a_card(text: str, name: str, contradictions: list[str]) -> None:
    assert official.contradictions(text, zoo.card(name).settings) == contradictions


def test_unset_card_settings_are_the_models_defaults() -> None:
    defaults = EvadConfig()
    assert official.card_values({}) == {name: getattr(defaults, name) for name in official.DEFAULTS}
