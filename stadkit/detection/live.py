"""A live source through a detector: what comes too fast is skipped, so that it never falls
behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from stadkit.detection.detector import Detector, Options
from stadkit.detections import Detections
from stadkit.errors import UsageError
from stadkit.video.clips import Clip, clips
from stadkit.video.live import Freshest, LiveVideo

LATE = 5.0  # seconds after its end by the clock, that a run waits for its last frames
WAITING = 2  # times the card's batch: clips that may wait for the model; the oldest are skipped


def check_live(detector: Detector) -> None:
    """Raise UsageError for a model of tubelets, which would need those that are skipped."""
    if detector.card.tubelet:
        raise UsageError(
            f"{detector.name}: joins tubelets over a whole video; for a live source take a model "
            "of keyframes, such as mestad-nano"
        )


def over_at(detector: Detector, options: Options) -> float | None:
    """The second at which a run of a duration ends even where no frame comes; None: never."""
    if options.duration is None:
        return None
    cut = detector.cut
    return options.start + options.duration + (cut.frames - 1 - cut.key) * cut.stride + LATE


class LiveWatch:
    """(key time, table) for the keyframes of a source, as they happen; iterate it once.

    A thread cuts clips at the pace of the source. Where the model is slower, whole keyframes are
    skipped and counted: the clips that it sees have all of their frames. Key times at which the
    source gave nothing to see are counted, too. Raises UsageError as `check_live`.
    """

    def __init__(self, detector: Detector, video: LiveVideo, options: Options) -> None:
        check_live(detector)
        self._detector, self._video, self._options = detector, video, options
        self._batch = detector.batch(options)
        self._ready: Freshest[Clip] = Freshest(WAITING * (options.batch or detector.card.batch))
        self.paused = 0  # key times in pauses of the source

    @property
    def skipped(self) -> int:
        """Keyframes that the model had no time for."""
        return self._ready.dropped

    def __iter__(self) -> Iterator[tuple[float, Detections]]:
        thread = threading.Thread(target=self._cut, daemon=True)
        thread.start()
        try:
            # What waits is looked at together: waiting for a full batch would be late.
            while group := self._ready.take(self._batch):
                for times, table in self._detector.look(group, self._options):
                    yield float(times[-1]), table
        finally:
            self._video.close()
            thread.join(1.0)

    def _cut(self) -> None:
        options, detector = self._options, self._detector
        every = detector.every if options.every is None else options.every
        asked = clips(self._video, detector.cut, every, options.start, options.duration)
        try:
            for clip in asked:
                if self._video.paused(clip.time):
                    self.paused += 1  # its frames are of before and after: nobody saw that
                else:
                    self._ready.put(clip)
            self._ready.end()
        except BaseException as error:
            self._ready.end(error)
