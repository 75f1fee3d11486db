"""Wrong settings and losses give one line that names the field; trained weights are the user's."""

from typing import Any

import pytest
import torch

from stadkit.errors import UsageError
from stadkit.labels import Labels
from stadkit.training.criteria import build_criterion, summed
from stadkit.training.model import build_chosen, chosen_card, licence_from

TWO = Labels(ids=(1, 5), names=("stand", "walk"))


def test_the_card_of_trained_weights() -> None:
    card = chosen_card("mestad-slowfast-r50", {"width": 32}, TWO)
    assert (card.settings["width"], card.settings["classes"]) == (32, 2)
    assert card.classes == TWO
    assert card.licence == "yours"
    assert (card.reported, card.source, card.sha256, card.url) == ({}, "", "", "")
    assert "Trained with" in chosen_card("mestad-tiny", {}, TWO).note


def test_the_input_size_of_the_trained_model() -> None:
    assert chosen_card("evad-vit-b", {}, TWO).short_side == 288
    assert chosen_card("evad-vit-b", {}, TWO, short_side=256).short_side == 256


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"widht": 16}, "settings.widht: unknown field"),
        ({"width": "wide"}, "settings.width: Input should be a valid integer"),
        ({"width": 0}, "settings.width: is 0, must be more than 0"),
        ({"dropout": -0.1}, "settings.dropout: is -0.1, must be 0 or more"),
        ({"dilation": [2]}, "settings.dilation.1: Field required"),
        ({"pyramid": "res9"}, "pyramid is 'res9'; choose one of"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen_card("mestad-slowonly-r50", settings, TWO)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"keep_rat": 0.5}, "settings.keep_rat: unknown field"),
        ({"proposals": 0}, "settings.proposals: is 0, must be more than 0"),
        ({"token_order": "any"}, "token_order is 'any'; choose one of position, importance"),
    ],
)
def test_wrong_settings_of_evad(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen_card("evad-vit-b", settings, TWO)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_block_may_be_named() -> None:
    first = {"maps_at": [0, 2, 5, 8], "prune_at": [0, 3, 6]}
    assert chosen_card("evad-vit-b", first, TWO).settings["maps_at"] == [0, 2, 5, 8]


@pytest.mark.parametrize("name", ["evad-vit-b", "evad-vit-b-keep06", "evad-vit-l", "evad-tiny"])
def test_a_new_training_keeps_tokens_in_position_order(name: str) -> None:
    assert chosen_card(name, {}, TWO).settings["token_order"] == "position"
    chosen = chosen_card(name, {"token_order": "importance"}, TWO)
    assert chosen.settings["token_order"] == "importance"


@pytest.mark.parametrize(
    ("name", "settings", "frames", "key", "multiple"),
    [
        ("evad-vit-b", {}, 16, 8, 32),
        ("evad-tiny", {}, 8, 4, 32),
        ("evad-vit-b", {"frames": 24}, 24, 12, 32),
        ("evad-tiny", {"frames": 6}, 6, 3, 32),
        ("evad-vit-b", {"patch": 14}, 16, 8, 42),
        ("evad-vit-b", {"patch": 8}, 16, 8, 32),
        ("evad-tiny", {"patch": 32, "stem": "pixels"}, 8, 4, 32),
        ("stmixer-k-slowonly-r50", {}, 4, 2, 32),
        ("stmixer-k-slowonly-r50", {"frames": 8}, 8, 4, 32),
        ("stmixer-t-tiny", {"frames": 6, "points": 9}, 6, 3, 32),
    ],
)
def test_clips_follow_the_settings(
    name: str, settings: dict[str, Any], frames: int, key: int, multiple: int
) -> None:
    card = chosen_card(name, settings, TWO)
    assert (card.frames, card.key, card.multiple) == (frames, key, multiple)


@pytest.mark.parametrize(
    ("given", "licence"),
    [
        ("", "yours"),
        ("none released", "yours"),
        ("yours", "yours"),
        ("none stated", "yours, from weights without a stated licence"),
        ("CC-BY-NC-4.0", "yours, from CC-BY-NC-4.0 weights"),
        ("yours, from CC-BY-NC-4.0 weights", "yours, from CC-BY-NC-4.0 weights"),
    ],
)
def test_a_licence_is_passed_on(given: str, licence: str) -> None:
    assert licence_from(given) == licence


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("evad-vit-b", {"stem": "lite", "tubelet": 1}),
        ("stmixer-k-slowonly-r50", {"backbone": "lite"}),
    ],
)
def test_lite_backbones_get_their_normalisation(name: str, settings: dict[str, Any]) -> None:
    card = chosen_card(name, settings, TWO)
    assert (card.mean, card.std) == ((127.5,) * 3, (63.75,) * 3)
    assert chosen_card(name, {}, TWO).mean != card.mean


def test_inconsistent_settings() -> None:
    card = chosen_card("mestad-tiny", {"width": 10, "groups": 4}, TWO)
    with pytest.raises(
        UsageError, match=r"no model can be built from them: num_channels \(10\) must be"
    ):
        build_chosen(card)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ({"roys": "gt"}, "loss.roys: unknown field; known: action_weight"),
        ({"gamma": "much"}, "loss.gamma: Input should be a valid number"),
        ({"ranges": [64, "far"]}, "loss.ranges.1: Input should be a valid number"),
        ({"max_rois": 0}, "loss.max_rois: is 0, must be more than 0"),
        ({"jitter": float("nan")}, "loss.jitter: is nan, must be 0 or more"),
        ({"rois": "proposals"}, "choose dense, sparse, gt, jitter or found"),
    ],
)
def test_wrong_losses(loss: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_criterion("mestad", loss)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ({"rois": "gt"}, "loss.rois: unknown field; known: action_weight, background"),
        ({"background": -1}, "loss.background: is -1, must be 0 or more"),
    ],
)
def test_wrong_losses_of_evad(loss: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_criterion("evad", loss)
    assert words in str(caught.value)


def test_terms_of_evad_are_summed_to_their_mean() -> None:
    terms = {"loss_ce": 1.0, "loss_bbox": 2.0, "loss_giou": 3.0, "loss_bce": 4.0}
    early = {"loss_ce_0": 10.0, "loss_bbox_0": 20.0, "loss_giou_0": 30.0, "loss_bce_0": 40.0}
    got = summed({name: torch.tensor(value) for name, value in (terms | early).items()})
    values = {name: value.item() for name, value in got.items()}
    assert values == pytest.approx({"person": 1.375, "box": 2.75, "giou": 4.125, "action": 5.5})


def test_other_families_cannot_be_trained() -> None:
    with pytest.raises(UsageError, match="not supported for models of the family 'yolo'"):
        build_criterion("yolo", {})


def test_right_losses() -> None:
    build_criterion("evad", {"action_weight": 6})
    build_criterion("mestad", {"action_weight": 0, "ranges": [32, 64], "center_radius": None})


def test_a_wrong_setting_of_stmixer_is_named() -> None:
    with pytest.raises(UsageError, match=r"settings\.point: unknown field"):
        chosen_card("stmixer-t-tiny", {"point": 9}, TWO)
