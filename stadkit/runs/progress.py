"""Progress bars on stderr; nothing is shown if stderr is not a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stadkit.console import console
from stadkit.detection import DetectOptions
from stadkit.detections import Detections
from stadkit.runs.inputs import Input


class ProgressLine:
    """A progress line, shown while entered."""

    _progress: Progress

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()


class Bar(ProgressLine):
    """Seconds of video done, with the time left if the video's length is known."""

    def __init__(self, item: Input, options: DetectOptions) -> None:
        self._start = options.start
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.0f} s of video"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(item.name, total=self._length(item, options))

    def advance(self, time: float, table: Detections) -> None:
        """Advance to a processed keyframe."""
        self._progress.update(self._task, completed=time - self._start)

    def _length(self, item: Input, options: DetectOptions) -> float | None:
        if options.duration is not None or self._progress.disable:
            return options.duration
        from stadkit.errors import VideoError
        from stadkit.video.decode import probe

        try:
            length = probe(item.path).duration
        except VideoError:
            return None  # reported when the video is processed
        return None if length is None else max(0.0, length - self._start)


class Count(ProgressLine):
    """Videos done of the total, for workers that process several at a time."""

    def __init__(self, total: int, shown: bool) -> None:
        self._progress = Progress(
            TextColumn("videos"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not (shown and console.is_terminal),
        )
        self._task = self._progress.add_task("", total=total)

    def advance(self) -> None:
        """Count one more video."""
        self._progress.advance(self._task)
