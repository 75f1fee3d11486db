"""People followed through the frames of a training clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, number_frames, rows_by_keyframe
from stadkit.errors import AnnotationError
from stadkit.video.keys import CLOSE

# Seconds between a label and the frame it is of, at most: half a frame at 25 a second. Labels
# and frames of one video may be stamped by different clocks.
NEAR = 0.02


@dataclass(frozen=True)
class ExampleTubes:
    """The people of one clip in each of its frames; everybody is there in one at least."""

    box: NDArray[np.float32]  # [m, T, 4]  fractions of the frame; 0 where not there
    there: NDArray[np.float32]  # [m, T]  1: there and visible; 0: not; NaN: nobody knows
    action: NDArray[np.float32]  # [m, C]  1 or 0: done in half of the frames there, or more


def followed(
    box: NDArray[np.float32], action: NDArray[np.float32], known: NDArray[np.bool_]
) -> ExampleTubes:
    """Boxes [m, T, 4] and actions [m, T, C], NaN where not there, of frames [T] that are known."""
    there = ~np.isnan(box[..., 0])  # [m, T]
    done = np.where(there[..., None], action, 0).sum(1)  # [m, C] frames
    return ExampleTubes(
        box=np.nan_to_num(box),
        there=np.where(known, there, np.float32(np.nan)).astype(np.float32),
        action=(2 * done >= there.sum(1)[:, None]).astype(np.float32),
    )


class Tracks:
    """Truth whose rows have persons' ids, to follow people through the frames of clips.

    A frame is known where truth has rows at its time or, with `every`, where its time is a
    multiple of that many seconds: no rows there say that nobody is.
    """

    def __init__(self, path: Path, truth: Detections, every: float | None, offset: float) -> None:
        """`path` is named in errors; `offset`: the time that truth gives the first frame.

        Raises AnnotationError where rows lack ids, or one has two boxes in one frame.
        """
        _check_ids(path, truth)
        self._truth, self._every, self._offset = truth, every, offset
        self._rows = rows_by_keyframe(truth)
        self._labelled: dict[str, list[int]] = {}  # milliseconds of each video
        for video, ms in self._rows:
            self._labelled.setdefault(video, []).append(ms)

    def through(
        self, video: str, times: NDArray[np.float64], key: int, key_rows: NDArray[np.int64]
    ) -> ExampleTubes:
        """Everybody in the frames at these times [T] (seconds, as in truth) of a clip.

        `key_rows` of truth are of frame `key`, however far from its label that frame is.
        """
        rows, known = self._at(video, times)
        # Beyond the ends of a video a frame repeats, and the key frame may be that one.
        for i in np.flatnonzero(times == times[key]):
            rows[i], known[i] = key_rows.tolist(), True
        return self._followed(rows, known)

    def _at(
        self, video: str, times: NDArray[np.float64]
    ) -> tuple[list[list[int]], NDArray[np.bool_]]:
        """The rows at each of these times, and which times are known [T]."""
        labelled = np.array(self._labelled[video])
        nearest = labelled[abs(labelled - 1000 * times[:, None]).argmin(1)]  # [T]
        known = abs(nearest / 1000 - times) <= NEAR + CLOSE
        pairs = zip(nearest.tolist(), known, strict=True)
        rows = [self._rows[video, ms] if near else [] for ms, near in pairs]
        if self._every is not None:
            turns = (times - self._offset) / self._every
            known |= abs(turns - np.rint(turns)) * self._every <= NEAR + CLOSE
        return rows, known

    def _followed(self, rows: list[list[int]], known: NDArray[np.bool_]) -> ExampleTubes:
        truth = self._truth
        people = np.unique(truth.track[[row for frame in rows for row in frame]])
        shape = (len(people), len(rows))
        box = np.full((*shape, 4), np.nan, np.float32)
        action = np.full((*shape, len(truth.classes)), np.nan, np.float32)
        for i, frame in enumerate(rows):
            who = np.searchsorted(people, truth.track[frame])
            box[who, i], action[who, i] = truth.box[frame], truth.action[frame]
        return followed(box, action, known)


def _check_ids(path: Path, truth: Detections) -> None:
    if (truth.track < 0).any():
        row = int((truth.track < 0).argmax())
        raise AnnotationError(
            f"{path}: somebody in {truth.video[row]} at {truth.time[row]:g} s has no id, and "
            "tubelets need one in every row: give the persons' ids in the eighth column"
        )
    (frame,) = number_frames(truth)
    order = np.lexsort((truth.track, frame))
    same = (np.diff(frame[order]) == 0) & (np.diff(truth.track[order]) == 0)
    if same.any():
        row = int(order[same.argmax()])
        raise AnnotationError(
            f"{path}: person {truth.track[row]} has two boxes in {truth.video[row]} at "
            f"{truth.time[row]:g} s, and can have one in a frame: give one of them another id"
        )
