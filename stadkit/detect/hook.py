"""What goes on inside a model, seen while a detector looks at clips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from torch import nn

from stadkit.detect.detector import Detector
from stadkit.video.clips import Clip


class Watch(ABC):
    """While it is entered, `_see` is given what a part of the model gives, and `_tell` the clips.

    Of a batch `_see` comes first. Nothing of the model is changed.
    """

    def __init__(self, detector: Detector, part: nn.Module) -> None:
        self._detector, self._part = detector, part

    def __enter__(self) -> Self:
        self._hook = self._part.register_forward_hook(self._see)
        self._detector.on_clips = self._tell
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hook.remove()
        self._detector.on_clips = None

    @abstractmethod
    def _see(self, part: Any, given: Any, output: Any) -> None:
        """The part was given this and gave that."""

    @abstractmethod
    def _tell(self, clips: Sequence[Clip]) -> None:
        """The batch was of these clips."""
