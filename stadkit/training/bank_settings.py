"""Query banks of annotated videos, from which a long-term classifier learns."""

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

Near = tuple[NDArray[np.float32], NDArray[np.float32]]  # result of `QueryBank.near`


class Banks:
    """The query banks of a source's videos."""

    def __init__(self, config: AnnotatedSource, videos: Sequence[str], card: Card) -> None:
        """Open all banks; raises UsageError where one is missing, StadkitError where one is damaged
        (sha256) or was made by another model."""
        assert config.queries is not None
        folder, self._window = config.queries, config.window
        width = 2 * int(card.settings.get("width", StmixerConfig.width))
        made_by = str(card.settings.get("bank", ""))
        missing = [v for v in videos if not bank_folder(folder, v).is_dir()]
        if missing:
            raise UsageError(
                f"{folder}: has no query bank for {missing[0]!r} (missing for {len(missing)} of "
                f"{len(videos)} videos of {config.truth}); make it with `stadkit detect VIDEO "
                f"--save-queries -o {folder}`"
            )
        # Each keeps times and scores in memory, 12 bytes a person, and no open file.
        self._banks = {v: QueryBank(bank_folder(folder, v)).fits(width, made_by) for v in videos}
        for bank in self._banks.values():
            bank.whole()

    def near(self, video: str, time: float) -> Near:
        """The bank's entries around a time (seconds from the video's start)."""
        return self._banks[video].near(time, self._window)


class ClipBanks:
    """Bank entries around clips by clip name, for a detector that sees the clips in name order."""

    def __init__(self) -> None:
        self.near: dict[str, Near] = {}

    def around(self, clips: Sequence[Clip]) -> Bank:
        """Like `detect.bank.Window.around`; forgets the entries of earlier clips."""
        # This batch's entries stay: with too little memory it is run again.
        self.near = {name: near for name, near in self.near.items() if name >= clips[0].video}
        return batch([self.near[clip.video] for clip in clips])


def bank_settings(data: DataConfig, card: Card) -> dict[str, str]:
    """The model settings that banks add: {"bank": sha256 of the weights that made them}, or {}.

    Raises UsageError where a long-term classifier has no banks, another classifier has some, or
    they were made by different weights.
    """
    long = card.settings.get("classifier") == "long"
    digests = set()
    for place, source in (("train", data.train), ("val", data.val)):
        folder = getattr(source, "queries", None)
        if folder is None and source is not None and long:
            raise UsageError(
                f"data.{place}.queries: missing; a model with classifier: long learns from query "
                "banks, made with `stadkit detect --save-queries`"
            )
        if folder is not None and not long:
            raise UsageError(
                f"data.{place}.queries: only used by STMixer with the setting `classifier: long`"
            )
        if folder is not None:
            digests |= _makers(folder)
    if len(digests) > 1:
        raise UsageError(
            "data.train.queries, data.val.queries: banks of different weights; make all with one "
            "model"
        )
    return {"bank": digests.pop()} if digests else {}


def _makers(folder: Path) -> set[str]:
    """The sha256s of the weights that made a folder's banks; raises UsageError without banks."""
    banks = sorted(folder.glob(bank_folder(Path(), "*").name))
    if not banks:
        raise UsageError(
            f"{folder}: has no query banks; make them with `stadkit detect VIDEO --save-queries "
            f"-o {folder}`"
        )
    return {read_header(bank).sha256 for bank in banks}
