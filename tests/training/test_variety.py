"""The Playground variety that a source renders, and its store."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from stadkit import synth, zoo
from stadkit.training.config import PlaygroundSource
from stadkit.training.sources import Playground

CARD = zoo.card("mestad-tiny")


def source(folder: Path, **settings: str | float) -> Playground:
    config = {"clips": 1, "seed": 5, "height": 48, "width": 64, **settings}
    return Playground(PlaygroundSource.model_validate(config), CARD, folder)


def test_each_variety_has_its_own_store(tmp_path: Path) -> None:
    standard, wide = source(tmp_path), source(tmp_path, variety="wide")
    assert (standard[0].clip.pixels != wide[0].clip.pixels).any()
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2
    source(tmp_path, variety="standard")  # the default: no third folder
    assert len(list(tmp_path.iterdir())) == 2


def test_wide_truth_matches_the_wide_clip(tmp_path: Path) -> None:
    made = synth.render_clip(
        5,
        frames=CARD.frames,
        stride=CARD.seconds,
        key=CARD.key,
        height=48,
        width=64,
        variety="wide",
    )
    assert (source(tmp_path, variety="wide")[0].box == made.box).all()


def test_every_other_mixed_clip_is_wide(tmp_path: Path) -> None:
    mixed = source(tmp_path, variety="mixed", clips=2)  # seeds 5 and 6
    wide, standard = (source(tmp_path, variety=v, clips=2) for v in ("wide", "standard"))
    assert (mixed[0].clip.pixels == wide[0].clip.pixels).all()
    assert (mixed[1].clip.pixels == standard[1].clip.pixels).all()


def test_fast_and_broken_clips_have_their_own_stores(tmp_path: Path) -> None:
    usual = source(tmp_path)[0].clip.pixels
    fast, broken = source(tmp_path, pace=3), source(tmp_path, glitches=1)
    assert (fast[0].clip.pixels != usual).any()
    assert (broken[0].clip.pixels != usual).any((1, 2, 3)).all()
    assert (broken[0].box == source(tmp_path)[0].box).all()
    assert len(list(tmp_path.iterdir())) == 3
    source(tmp_path, pace=1, glitches=0)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("wrong", [{"pace": 0}, {"glitches": 1.5}])
def test_impossible_clips_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PlaygroundSource.model_validate({"clips": 1, "seed": 0, **wrong})


def test_other_varieties_are_refused() -> None:
    with pytest.raises(ValidationError, match="variety"):
        PlaygroundSource.model_validate({"clips": 1, "seed": 0, "variety": "wild"})
