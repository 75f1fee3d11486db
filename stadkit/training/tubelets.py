"""Truth for tubelet models: people tracked through the frames of a training clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, number_frames, rows_by_keyframe
from stadkit.errors import AnnotationError
from stadkit.video.keys import CLOSE

# Maximum seconds between a label and its frame: half a frame at 25 a second. Labels and frames of a
# video may have timestamps from different clocks.
MAX_LABEL_OFFSET = 0.02


@dataclass(frozen=True)
class ExampleTubes:
    """The people of one clip in each of its frames; everyone is present in at least one."""

    box: NDArray[np.float32]  # [m, T, 4]  fractions of the frame; 0 where absent
    there: NDArray[np.float32]  # [m, T]  1: present and visible; 0: absent; NaN: unknown
    action: NDArray[np.float32]  # [m, C]  1 if done in at least half of the frames present, else 0


def to_tubes(
    box: NDArray[np.float32], action: NDArray[np.float32], known: NDArray[np.bool_]
) -> ExampleTubes:
    """Build tubes from boxes [m, T, 4] and actions [m, T, C], NaN where absent.

    known [T]: whether each frame is annotated.
    """
    there = ~np.isnan(box[..., 0])  # [m, T]
    done = np.where(there[..., None], action, 0).sum(1)  # [m, C] frames
    return ExampleTubes(
        box=np.nan_to_num(box),
        there=np.where(known, there, np.float32(np.nan)).astype(np.float32),
        action=(2 * done >= there.sum(1)[:, None]).astype(np.float32),
    )


class ClipTracks:
    """Truth with person ids, from which the tubes of clips are cut.

    A frame is known where the truth has rows at its time or, with `every`, where its time is a
    multiple of that many seconds; without rows such a frame is empty.
    """

    def __init__(self, path: Path, truth: Detections, every: float | None, offset: float) -> None:
        """path: for error messages; offset: the first frame's time in the truth.

        Raises AnnotationError where rows lack ids, or an id has two boxes in one frame.
        """
        _check_ids(path, truth)
        self._truth, self._every, self._offset = truth, every, offset
        self._rows = rows_by_keyframe(truth)
        self._labelled: dict[str, list[int]] = {}  # milliseconds of each video
        for video, ms in self._rows:
            self._labelled.setdefault(video, []).append(ms)

    def tubes(
        self, video: str, times: NDArray[np.float64], key: int, key_rows: NDArray[np.int64]
    ) -> ExampleTubes:
        """The tubes of a clip whose frames are at these times [T] (seconds, as in the truth).

        key_rows: the truth's rows for frame `key`, whatever the offset between frame and label.
        """
        rows, known = self._at(video, times)
        # Beyond a video's ends a frame repeats, which may be the key frame.
        for i in np.flatnonzero(times == times[key]):
            rows[i], known[i] = key_rows.tolist(), True
        return self._to_tubes(rows, known)

    def _at(
        self, video: str, times: NDArray[np.float64]
    ) -> tuple[list[list[int]], NDArray[np.bool_]]:
        """The rows at each of these times, and a mask [T] of known times."""
        labelled = np.array(self._labelled[video])
        nearest = labelled[abs(labelled - 1000 * times[:, None]).argmin(1)]  # [T]
        known = abs(nearest / 1000 - times) <= MAX_LABEL_OFFSET + CLOSE
        pairs = zip(nearest.tolist(), known, strict=True)
        rows = [self._rows[video, ms] if has_rows else [] for ms, has_rows in pairs]
        if self._every is not None:
            intervals = (times - self._offset) / self._every
            distance = abs(intervals - np.rint(intervals)) * self._every
            known |= distance <= MAX_LABEL_OFFSET + CLOSE
        return rows, known

    def _to_tubes(self, rows: list[list[int]], known: NDArray[np.bool_]) -> ExampleTubes:
        truth = self._truth
        people = np.unique(truth.track[[row for frame in rows for row in frame]])
        shape = (len(people), len(rows))
        box = np.full((*shape, 4), np.nan, np.float32)
        action = np.full((*shape, len(truth.classes)), np.nan, np.float32)
        for i, frame in enumerate(rows):
            person = np.searchsorted(people, truth.track[frame])
            box[person, i], action[person, i] = truth.box[frame], truth.action[frame]
        return to_tubes(box, action, known)


def _check_ids(path: Path, truth: Detections) -> None:
    if (truth.track < 0).any():
        row = int((truth.track < 0).argmax())
        raise AnnotationError(
            f"{path}: a person in {truth.video[row]} at {truth.time[row]:g} s has no id; tubelet "
            "models need one in every row: put person ids into the eighth column"
        )
    (frame,) = number_frames(truth)
    order = np.lexsort((truth.track, frame))
    duplicate = (np.diff(frame[order]) == 0) & (np.diff(truth.track[order]) == 0)
    if duplicate.any():
        row = int(order[duplicate.argmax()])
        raise AnnotationError(
            f"{path}: person {truth.track[row]} has two boxes in one frame, {truth.video[row]} at "
            f"{truth.time[row]:g} s; give one of them another id"
        )
