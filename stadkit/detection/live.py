"""Detection in a live source: keyframes are skipped rather than letting the model fall behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from stadkit.detection.detector import DetectOptions, Detector
from stadkit.detections import Detections
from stadkit.errors import UsageError
from stadkit.video.clips import Clip, clips
from stadkit.video.live import Freshest, LiveVideo

GRACE_SECONDS = 5.0  # how long a run waits for its last frames after its duration
QUEUED_BATCHES = 2  # clips waiting for the model, in batches of the card; the oldest are skipped


def check_live(detector: Detector) -> None:
    """Raise UsageError for a tubelet model, which would need the skipped clips."""
    if detector.card.tubelet:
        raise UsageError(
            f"{detector.name}: joins tubelets over a whole video; for a live source use a keyframe "
            "model, such as mestad-nano"
        )


def over_at(detector: Detector, options: DetectOptions) -> float | None:
    """Seconds after which a run with a duration ends even without frames; None: never."""
    if options.duration is None:
        return None
    cut = detector.cut
    return (
        options.start + options.duration + (cut.frames - 1 - cut.key) * cut.stride + GRACE_SECONDS
    )


class LiveWatch:
    """Yields (key time, table) for the keyframes of a source in real time; iterate it once.

    A thread cuts clips at the pace of the source. If the model is slower, whole keyframes are
    skipped and counted: the clips it gets have all their frames. Key times at which the source
    sent nothing are counted too. Raises UsageError as `check_live`.
    """

    def __init__(self, detector: Detector, video: LiveVideo, options: DetectOptions) -> None:
        check_live(detector)
        self._detector, self._video, self._options = detector, video, options
        self._batch = detector.batch(options)
        self._ready: Freshest[Clip] = Freshest(
            QUEUED_BATCHES * (options.batch or detector.card.batch)
        )
        self.paused = 0  # key times in pauses of the source

    @property
    def skipped(self) -> int:
        """Keyframes dropped because the model was busy."""
        return self._ready.dropped

    def __iter__(self) -> Iterator[tuple[float, Detections]]:
        thread = threading.Thread(target=self._cut, daemon=True)
        thread.start()
        try:
            # All queued clips go in one batch: waiting for a full one would add latency.
            while group := self._ready.take(self._batch):
                for times, table in self._detector.look(group, self._options):
                    yield float(times[-1]), table
        finally:
            self._video.close()
            thread.join(1.0)

    def _cut(self) -> None:
        options, detector = self._options, self._detector
        every = detector.every if options.every is None else options.every
        wanted = clips(self._video, detector.cut, every, options.start, options.duration)
        try:
            for clip in wanted:
                if self._video.paused(clip.time):
                    self.paused += 1  # its frames are from before and after the pause
                else:
                    self._ready.put(clip)
            self._ready.end()
        except BaseException as error:
            self._ready.end(error)
