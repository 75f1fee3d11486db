"""Wrong settings and losses are one line that names the field; trained weights are yours."""

from typing import Any

import pytest

from stadkit.errors import UsageError
from stadkit.labels import Labels
from stadkit.training.chosen import build_chosen, chosen_card
from stadkit.training.criteria import build_criterion

TWO = Labels(ids=(1, 5), names=("stand", "walk"))


def test_the_card_of_trained_weights() -> None:
    card = chosen_card("mestad-slowfast-r50", {"width": 32}, TWO)
    assert (card.settings["width"], card.settings["classes"]) == (32, 2)
    assert card.classes == TWO
    assert card.licence == "yours"
    assert (card.reported, card.source, card.sha256, card.url) == ({}, "", "", "")
    assert "Trained with" in chosen_card("mestad-nano", {}, TWO).note


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"widht": 16}, "settings.widht: no such field"),
        ({"width": "wide"}, "settings.width: Input should be a valid integer"),
        ({"width": 0}, "settings.width: is 0, wants more than 0"),
        ({"dropout": -0.1}, "settings.dropout: is -0.1, wants 0 or more"),
        ({"dilation": [2]}, "settings.dilation.1: Field required"),
        ({"pyramid": "res9"}, "pyramid is 'res9'; choose one of"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        chosen_card("mestad-slowonly-r50", settings, TWO)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_do_not_go_together() -> None:
    card = chosen_card("mestad-nano", {"width": 10, "groups": 4}, TWO)
    with pytest.raises(UsageError, match=r"make no model: num_channels \(10\) must be"):
        build_chosen(card)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        ({"roys": "gt"}, "loss.roys: no such field; known are action_weight"),
        ({"gamma": "much"}, "loss.gamma: Input should be a valid number"),
        ({"ranges": [64, "far"]}, "loss.ranges.1: Input should be a valid number"),
        ({"max_rois": 0}, "loss.max_rois: is 0, wants more than 0"),
        ({"jitter": float("nan")}, "loss.jitter: is nan, wants 0 or more"),
        ({"rois": "proposals"}, "choose dense, sparse, gt or jitter"),
    ],
)
def test_wrong_losses(loss: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_criterion("mestad", loss)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_right_losses() -> None:
    build_criterion("mestad", {"action_weight": 0, "ranges": [32, 64], "center_radius": None})
