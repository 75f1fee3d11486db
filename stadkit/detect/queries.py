"""What a model's queries know of its people, seen while it looks at its clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detect.detector import Detector
from stadkit.detect.hook import Watch
from stadkit.errors import UsageError
from stadkit.models.stmixer import Queried, Stmixer
from stadkit.video.clips import Clip

# (clip, person scores [n] 0..1, joint queries [n, E])
OnQueries = Callable[[Clip, NDArray[np.float32], NDArray[np.float32]], None]


class QueryWatch(Watch):
    """While it is entered, `each(clip, person, entry)` is called for every clip looked at.

    A hook on the model sees what it gives; of that only one batch is held.
    """

    def __init__(self, detector: Detector, each: OnQueries) -> None:
        """Raises UsageError as `require_query_model`."""
        super().__init__(detector, require_query_model(detector))
        self._each = each

    def _see(self, part: Any, given: Any, output: Queried) -> None:
        assert output.query is not None
        self._person = output.person.float().sigmoid().cpu().numpy()
        self._entry = output.query.float().cpu().numpy()

    def _tell(self, clips: Sequence[Clip]) -> None:
        for clip, person, entry in zip(clips, self._person, self._entry, strict=True):
            self._each(clip, person, entry)


def require_query_model(detector: Detector) -> Stmixer:
    """The model; raises UsageError where it has no queries."""
    model = detector.model
    if not isinstance(model, Stmixer):
        raise UsageError(
            f"{detector.name}: has no queries to save; take an STMixer, such as "
            "stmixer-k-slowonly-r50"
        )
    return model


def require_bank_reader(detector: Detector) -> Stmixer:
    """The model; raises UsageError where it reads no bank of queries."""
    model = detector.model
    if not isinstance(model, Stmixer) or model.config.classifier != "long":
        raise UsageError(
            f"{detector.name}: reads no bank of queries; train an STMixer with settings "
            "`classifier: long`"
        )
    return model


def entry_width(model: Stmixer) -> int:
    """Channels of the entries that a model makes and reads."""
    return 2 * model.config.width
