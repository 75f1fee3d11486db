"""Cards of two-stage models agree with their file names and the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stadkit import zoo

DOCS = Path(__file__).parents[2] / "docs" / "two-stage.md"
CARDS = {name: card for name, card in zoo.CARDS.items() if card.family == "slowfast-roi"}


def test_the_number_of_cards_per_code_base() -> None:
    counted = dict.fromkeys(("mmaction2", "PySlowFast", "PyTorchVideo"), 0)
    for card in CARDS.values():
        counted[card.origin] += 1
    assert counted == {"mmaction2": 26, "PySlowFast": 4, "PyTorchVideo": 2}
    assert len({card.url for card in CARDS.values()}) == 32


# What no tensor shows: RGB's std, aligned, cells a side of a box, dilation of res5.
IMAGENET = (58.395, 57.12, 57.375)
SETTINGS = {
    "PySlowFast": ((57.375,) * 3, False, 7, (2, 2)),
    "PyTorchVideo": ((57.375,) * 3, True, 7, (2, 2)),
    "mmaction2": (IMAGENET, True, 8, (1, 1)),
}


@pytest.mark.parametrize("name", list(CARDS))
def test_the_settings_are_those_of_the_code_base(name: str) -> None:
    card = CARDS[name]
    std, aligned, size, dilation = SETTINGS[card.origin]
    assert card.std == std
    assert (card.settings["aligned"], card.settings["roi_size"]) == (aligned, size)
    transformer = card.settings["backbone"].startswith("vit")
    assert card.settings.get("dilation") == (None if transformer else dilation)


@pytest.mark.parametrize("name", list(CARDS))
def test_the_file_name_agrees_with_the_card(name: str) -> None:
    card = CARDS[name]
    assert card.url.endswith(f"/{card.file}")
    assert card.licence == "Apache-2.0"
    assert (card.key, card.short_side, card.min_person) == (card.frames // 2, 256, 0.9)
    found = re.search(r"(\d+)x(\d+)x1-.*_(ava21|ava22|ava-kinetics|multisports)-rgb_", card.file)
    if card.origin != "mmaction2":
        assert card.sha256_prefix == ""
        assert card.mean == pytest.approx((0.45 * 255,) * 3)
        return
    assert found is not None
    slow, apart, data = int(found[1]), int(found[2]), found[3]
    alpha = card.settings.get("alpha", 4) if "slowfast" in name else 1
    rate = 1.2 if data == "multisports" else 1.0
    assert (card.frames, card.stride) == (slow * alpha, apart / alpha * rate)
    assert re.fullmatch(r".*_\d{8}-" + card.sha256_prefix + r"\.pth", card.file)
    assert ("temporal-max" in card.file or "tricks" in card.file) == (
        card.settings.get("time") == "max"
    )
    assert ("context" in card.file or "tricks" in card.file) == bool(card.settings.get("context"))
    assert card.mean == (123.675, 116.28, 103.53)


def test_the_documentation_has_each_with_its_figure() -> None:
    lines = DOCS.read_text("utf-8").splitlines()
    documented = {line.split("`")[1]: line for line in lines if line.startswith("| `roi-")}
    assert documented.keys() == CARDS.keys()
    for name, line in documented.items():
        (figure,) = CARDS[name].reported.values()
        assert line.endswith(f" {figure:g} |")
        assert f"| {CARDS[name].origin} |" in line
