"""Cards: names, clips and the JSON round trip."""

import json
from dataclasses import replace

import pytest

from stadkit import zoo
from stadkit.errors import UsageError
from stadkit.zoo.cards import from_json, to_json


def test_the_papers_clips() -> None:
    card = zoo.card("mestad-slowfast-r50")
    assert (card.frames, card.stride, card.key, card.short_side) == (32, 2, 16, 256)
    assert card.seconds == pytest.approx(0.0667, abs=1e-4)
    assert zoo.card("mestad-slowonly-r50").seconds == pytest.approx(16 / 30)


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("mestad-slowonly-r50", 21.5),
        ("mestad-slowfast-r50", 25.5),
        ("mestad-slowfast-r101-nl", 28.5),
    ],
)
def test_reported_figures_are_of_table_1(name: str, figure: float) -> None:
    assert zoo.card(name).reported == {"AVA v2.2 frame mAP": figure}
    assert zoo.card(name).licence == "none released"


def test_evad_as_released() -> None:
    cards = {name: zoo.card(name) for name in zoo.CARDS if name.startswith("evad-vit")}
    assert {
        name: (card.settings["keep_rate"], *card.reported.values()) for name, card in cards.items()
    } == {
        "evad-vit-b": (0.7, 32.3),
        "evad-vit-b-keep06": (0.6, 31.8),
        "evad-vit-b-full": (1.0, 32.1),
        "evad-vit-l": (0.7, 39.7),
    }
    for card in cards.values():
        assert (card.frames, card.stride, card.key, card.short_side) == (16, 4, 8, 288)
        assert (card.multiple, card.min_person) == (32, 0.7)
        assert (card.resize, card.long_side) == ("linear", 1333)
        assert card.settings["token_order"] == "importance"
        assert card.licence == "CC-BY-NC-4.0"
    assert len({card.drive_id for card in cards.values()}) == 4


def test_stmixer_as_released() -> None:
    cards = {name: zoo.card(name) for name in zoo.CARDS if zoo.card(name).family == "stmixer-k"}
    released = {name: card for name, card in cards.items() if card.drive_id}
    assert {name: (card.frames, card.stride, card.key) for name, card in released.items()} == {
        "stmixer-k-slowonly-r50": (4, 16, 2),
        "stmixer-k-slowfast-r50": (32, 2, 16),
        "stmixer-k-slowfast-r101-nl": (32, 2, 16),
        "stmixer-k-vit-b": (16, 4, 8),
        "stmixer-k-vit-b-v2": (16, 4, 8),
    }
    assert len({card.drive_id for card in released.values()}) == 5
    for card in released.values():
        assert (card.short_side, card.multiple, card.min_person) == (256, 32, 0.6)
        assert card.licence == "none stated"


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean mestad-nano"):
        zoo.card("mestad-nanno")


def test_a_wrong_card_gives_one_line() -> None:
    card = zoo.card("mestad-nano")
    with pytest.raises(UsageError, match="unknown model family 'tad'"):
        zoo.build_card(replace(card, family="tad"))
    with pytest.raises(UsageError, match=r"settings of mestad: .*'depht'"):
        zoo.build_card(replace(card, settings={**card.settings, "depht": 2}))


@pytest.mark.parametrize("name", list(zoo.CARDS))
def test_a_card_survives_json(name: str) -> None:
    card = zoo.card(name)
    assert from_json(json.loads(json.dumps(to_json(card)))) == card


def test_frames_are_resized_as_the_authors_do() -> None:
    authors = {
        name: ("linear", 1333 if name.startswith("evad") else 0)
        for name in zoo.CARDS
        if name.startswith(("evad", "stmixer")) and not name.endswith("-tiny")
    }
    two_stage = {name for name, card in zoo.CARDS.items() if card.family == "slowfast-roi"}
    authors |= dict.fromkeys(two_stage, ("linear", 0))
    for name, card in zoo.CARDS.items():
        assert (card.resize, card.long_side) == authors.get(name, ("area", 0))


def test_a_card_older_than_the_resize_field() -> None:
    card = zoo.card("mestad-nano")
    held = to_json(card)
    del held["resize"], held["long_side"]
    assert from_json(held) == card


@pytest.mark.parametrize("name", list(zoo.CARDS))
def test_classes_of_card_and_model_agree(name: str) -> None:
    card = zoo.card(name)
    assert card.settings["classes"] == len(card.classes.ids)
    assert 0 <= card.key < card.frames
