"""Banks of queries beside annotated videos: what a long-term classifier learns to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.detection.bank import QueryBank, bank_folder, batch, read_header
from stadkit.errors import UsageError
from stadkit.models.classifiers import Bank
from stadkit.models.stmixer import StmixerConfig
from stadkit.training.config import AnnotatedSource, DataConfig
from stadkit.video.clips import Clip
from stadkit.zoo import Card

Near = tuple[NDArray[np.float32], NDArray[np.float32]]  # as `QueryBank.near` gives it


class Banks:
    """The banks of a source's videos."""

    def __init__(self, config: AnnotatedSource, videos: Sequence[str], card: Card) -> None:
        """Raises UsageError where the folder lacks one, StadkitError where one is not whole by its
        sha256 or not of this model."""
        assert config.queries is not None
        folder, self._window = config.queries, config.window
        width = 2 * int(card.settings.get("width", StmixerConfig.width))
        made_by = str(card.settings.get("bank", ""))
        missing = [v for v in videos if not bank_folder(folder, v).is_dir()]
        if missing:
            raise UsageError(
                f"{folder}: has no bank of queries of {missing[0]!r} ({len(missing)} of "
                f"{len(videos)} videos of {config.truth} are missing); `stadkit detect VIDEO "
                f"--save-queries -o {folder}` makes it"
            )
        # Each has times and scores in memory, 12 bytes a person, and no file open.
        self._banks = {v: QueryBank(bank_folder(folder, v)).fits(width, made_by) for v in videos}
        for bank in self._banks.values():
            bank.whole()

    def near(self, video: str, time: float) -> Near:
        """Who is seen around a time (seconds from the video's start)."""
        return self._banks[video].near(time, self._window)


class Beside:
    """What is known around clips by their names, for a detector that looks at them in the order
    of these."""

    def __init__(self) -> None:
        self.near: dict[str, Near] = {}

    def around(self, clips: Sequence[Clip]) -> Bank:
        """As `detect.bank.Window.around`; what is of earlier clips is forgotten."""
        # Not what is of these: where memory is short they are looked at once more.
        self.near = {name: near for name, near in self.near.items() if name >= clips[0].video}
        return batch([self.near[clip.video] for clip in clips])


def told_by(data: DataConfig, card: Card) -> dict[str, str]:
    """The settings that banks add: {"bank": sha256 of the weights that made them}, {} without any.

    Raises UsageError where a long-term classifier has none to learn from, another classifier has
    some, or they are not all of the same weights.
    """
    long = card.settings.get("classifier") == "long"
    digests = set()
    for place, source in (("train", data.train), ("val", data.val)):
        folder = getattr(source, "queries", None)
        if folder is None and source is not None and long:
            raise UsageError(
                f"data.{place}.queries: a model with classifier: long learns from banks of "
                "queries; `stadkit detect --save-queries` makes them"
            )
        if folder is not None and not long:
            raise UsageError(
                f"data.{place}.queries: only an STMixer with settings `classifier: long` reads them"
            )
        if folder is not None:
            digests |= _makers(folder)
    if len(digests) > 1:
        raise UsageError(
            "data.train.queries, data.val.queries: hold banks of several models; make all with one"
        )
    return {"bank": digests.pop()} if digests else {}


def _makers(folder: Path) -> set[str]:
    """The sha256 of the weights of all banks in a folder; raises UsageError where none are."""
    banks = sorted(folder.glob(bank_folder(Path(), "*").name))
    if not banks:
        raise UsageError(
            f"{folder}: has no banks of queries; `stadkit detect VIDEO --save-queries -o {folder}` "
            "makes them"
        )
    return {read_header(bank).sha256 for bank in banks}
