"""Each held-out clip is read once."""

from pathlib import Path

from stadkit import zoo
from stadkit.training.chosen import build_chosen, chosen_card
from stadkit.training.config import PlaygroundSource
from stadkit.training.sources import Example, Playground
from stadkit.training.validate import validate


class Counted(Playground):
    """Counts what is read."""

    reads = 0

    def __getitem__(self, index: int) -> Example:
        self.reads += 1
        return super().__getitem__(index)


def test_clips_are_read_once(tmp_path: Path) -> None:
    config = PlaygroundSource(clips=3, seed=9, height=48, width=64)
    source = Counted(config, zoo.card("mestad-nano"), tmp_path)
    card = chosen_card("mestad-nano", {"width": 8, "depth": 1, "groups": 4}, source.labels)
    scores = validate(build_chosen(card), card, source, bf16=False)
    assert source.reads == 3
    assert 0 <= scores["person_ap"] <= 1
