"""Tube overlap (temporal IoU times mean box IoU at common frames) and NMS of whole tubes.

The reference implementations differ at the edges: ACT and MOC count the last pixel and the last
frame as inside (`edge` 1), MultiSports and mmaction2 measure from first to last (`edge` 0), so
tubes that share one frame have overlap 0, as has a tube of one frame with any other.

ACT and MOC suppress overlapping tubes before scoring.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, expand_ranges, run_starts
from stadkit.errors import UsageError
from stadkit.files.tube_truth import scale
from stadkit.metrics.matching import blocks
from stadkit.pairwise import Sides, best_first, iou_of_pairs, sides
from stadkit.tubes import Tubes

_BLOCK_SIZE = 1 << 16  # boxes compared at once, to fit the CPU cache


@dataclass(frozen=True)
class TubeTracks:
    """n tubes indexed by frame number, with t boxes."""

    start: Ints  # [n + 1]  first box of each tube, then t
    frame: Ints  # [t]
    box: Sides  # [4, t]  float64
    first: Ints  # [n]  first frame
    last: Ints  # [n]
    hull: Sides  # [4, n]  bounding box of all boxes of a tube
    gapless: bool  # every tube has a box at each frame from first to last

    @classmethod
    def of(cls, tubes: Tubes, rate: float, sizes: dict[str, tuple[int, int]] | None) -> TubeTracks:
        """Convert tubes at `rate` frames a second, to pixels given (height, width) of each video.

        Raises UsageError when `sizes` lacks a video, or two boxes of a tube fall into one frame.
        """
        frame = np.rint(tubes.time * rate).astype(np.int64)
        later = np.ones(len(frame), bool)
        later[1:] = np.diff(frame) > 0
        later[tubes.start[:-1]] = True
        if not later.all():
            row = int(np.flatnonzero(~later)[0])
            video = str(tubes.video[tubes.owner[row]])
            raise UsageError(
                f"video {video!r}: two boxes of one tube fall into the frame at"
                f" {tubes.time[row]:g} s at {rate:g} frames a second; pass the videos' frame rate"
            )
        box = sides(tubes.box if sizes is None else in_pixels(tubes, sizes))
        head, tail = tubes.start[:-1], tubes.start[1:] - 1
        return cls(
            start=tubes.start,
            frame=frame,
            box=box,
            first=frame[head],
            last=frame[tail],
            hull=_hulls(box, head),
            gapless=bool((frame[tail] - frame[head] == tail - head).all()),
        )

    def rows(self, tube: Ints, frame: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the boxes [p] of tubes at frames within them; False where the frame has no box."""
        row = self.start[tube] + frame - self.first[tube]
        if self.gapless:
            return row, np.ones(len(row), bool)
        key = self._keys(np.repeat(np.arange(len(self.first)), np.diff(self.start)), self.frame)
        wanted = self._keys(tube, frame)
        row = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        return row, key[row] == wanted

    def _keys(self, tube: Ints, frame: Ints) -> Ints:
        low, high = int(self.first.min(initial=0)), int(self.last.max(initial=0))
        return tube * (high - low + 1) + frame - low


def in_pixels(tubes: Tubes, sizes: dict[str, tuple[int, int]]) -> NDArray[np.float64]:
    videos, video = np.unique(tubes.video, return_inverse=True)
    missing = [name for name in videos.tolist() if name not in sizes]
    if missing:
        raise UsageError(
            f"no width and height for video {missing[0]!r} ({len(missing)} of {len(videos)}); tubes"
            " are compared in pixels: remove these videos, or pass a truth file that lists them"
        )
    # Files mostly hold whole or decimal pixels; the pixel -> fraction -> pixel round trip adds an
    # error that would matter for an IoU exactly at the threshold.
    pixels = tubes.box * scale(videos.tolist(), sizes)[np.repeat(video, np.diff(tubes.start))]
    return np.asarray(np.round(pixels, 6))


def _hulls(box: Sides, head: Ints) -> Sides:
    if not len(head):
        return np.zeros((4, 0))
    low = np.minimum.reduceat(box[:2], head, axis=1)
    return np.concatenate([low, np.maximum.reduceat(box[2:], head, axis=1)])


def tube_overlap(
    a: TubeTracks, b: TubeTracks, i: Ints, j: Ints, edge: float
) -> NDArray[np.float64]:
    """Compute the overlap [p], 0..1, of tubes i [p] of `a` with tubes j [p] of `b`."""
    shared = np.minimum(a.last[i], b.last[j]) - np.maximum(a.first[i], b.first[j]) + edge
    either = np.maximum(a.last[i], b.last[j]) - np.minimum(a.first[i], b.first[j]) + edge
    low = np.maximum(a.hull[:2].take(i, 1), b.hull[:2].take(j, 1))
    high = np.minimum(a.hull[2:].take(i, 1), b.hull[2:].take(j, 1))
    result = np.zeros(len(i))
    # Two one-frame tubes give 0 / 0 at edge 0; the reference counts them as 0.
    touching = np.flatnonzero((shared > 0) & (high - low + edge > 0).all(0))
    share = shared[touching] / either[touching]
    result[touching] = share * _mean_iou(a, b, i[touching], j[touching], edge)
    return result


def _mean_iou(a: TubeTracks, b: TubeTracks, i: Ints, j: Ints, edge: float) -> NDArray[np.float64]:
    """Compute the mean IoU [p] over frames where both tubes have a box; 0 without any."""
    first = np.maximum(a.first[i], b.first[j])
    count = np.minimum(a.last[i], b.last[j]) - first + 1
    total, common = np.zeros(len(i)), np.zeros(len(i))
    for part in blocks(count, _BLOCK_SIZE):
        pair, frame = expand_ranges(first[part], count[part])
        if not len(pair):
            continue
        of_a, in_a = a.rows(i[part][pair], frame)
        of_b, in_b = b.rows(j[part][pair], frame)
        both = in_a & in_b
        iou = iou_of_pairs(a.box.take(of_a, 1), b.box.take(of_b, 1), edge)
        starts = np.flatnonzero(run_starts(pair))
        total[part] = np.add.reduceat(np.where(both, iou, 0), starts)
        common[part] = np.add.reduceat(both, starts, dtype=np.int64)
    return np.divide(total, common, out=total, where=common > 0)


def tube_nms(
    tracks: TubeTracks, group: Ints, score: NDArray[np.float64], max_overlap: float, edge: float
) -> NDArray[np.bool_]:
    """Mark the tubes [n] kept by NMS: in each group, those no better kept tube overlaps by more.

    Of equal scores, the last row is the better one.
    """
    kept = np.zeros(len(group), bool)
    left = best_first(group, score)
    while len(left):
        heads = run_starts(group[left])
        kept[left[heads]] = True
        best = left[heads][np.cumsum(heads) - 1][~heads]
        left = left[~heads]
        left = left[tube_overlap(tracks, tracks, best, left, edge) <= max_overlap]
    return kept
