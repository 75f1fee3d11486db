"""Each held-out clip is read once."""

from pathlib import Path

import cv2
import numpy as np

from stadkit import zoo
from stadkit.training.config import PlaygroundSource
from stadkit.training.model import build_chosen, chosen_card
from stadkit.training.sources import Example, Playground
from stadkit.training.validation import _validation_clip, validate
from stadkit.video.clips import Cut


class Counted(Playground):
    """Counts reads."""

    reads = 0

    def __getitem__(self, index: int) -> Example:
        self.reads += 1
        return super().__getitem__(index)


def test_clips_have_the_size_of_a_cut(tmp_path: Path) -> None:
    config = PlaygroundSource(clips=1, seed=9, height=48, width=160)
    example = Playground(config, zoo.card("mestad-tiny"), tmp_path)[0]
    shown = _validation_clip(example, 0, Cut(8, 0.16, 4, 32, "linear", 80))
    by_hand = [
        cv2.resize(frame, (80, 24), interpolation=cv2.INTER_LINEAR) for frame in example.clip.pixels
    ]
    np.testing.assert_array_equal(shown.pixels, by_hand)


def test_clips_are_read_once(tmp_path: Path) -> None:
    config = PlaygroundSource(clips=3, seed=9, height=48, width=64)
    source = Counted(config, zoo.card("mestad-tiny"), tmp_path)
    card = chosen_card("mestad-tiny", {"width": 8, "depth": 1, "groups": 4}, source.labels)
    scores = validate(build_chosen(card), card, source, bf16=False)
    assert source.reads == 3
    assert 0 <= scores["person_ap"] <= 1
