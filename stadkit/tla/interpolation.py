"""Match people across the two neighbour keyframes and interpolate their boxes in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stadkit import boxes
from stadkit.arrays import Rows, expand_ranges, frame_of_rows, offsets
from stadkit.tla.assignment import Bools, Floats
from stadkit.tla.block import BlockLabels, FrameBlock, People

_HALFWAY_TOLERANCE = 1e-6  # fraction of the gap between keyframes, for rounding errors of times


@dataclass(frozen=True)
class Paths:
    """People present in both neighbours of frames [f], sorted by frame."""

    left: Rows  # [r]  rows of truth
    right: Rows  # [r]
    start: Rows  # [f + 1]
    box: Floats  # [r, 4]  interpolated linearly at the frame's time

    def select(self, kept: Bools) -> Paths:
        """Return the paths of a mask [r]."""
        start = offsets(kept.astype(np.intp))[self.start]
        return Paths(self.left[kept], self.right[kept], start, self.box[kept])


def by_interpolation(block: FrameBlock) -> BlockLabels:
    """Interpolate boxes and labels of people present in both neighbours.

    Needs no detections. People without any class are kept.
    """
    return label_paths(block, people_between(block))


def label_paths(block: FrameBlock, paths: Paths) -> BlockLabels:
    """Take the labels of the nearer end of each path; exactly halfway, those common to both ends.

    Halfway, people whose ends have no class in common are dropped: their labels are unknown,
    which is not the same as none.
    """
    along, label = _along(block, paths), block.truth.score > 0.5
    nearer = np.where(along < 0.5 + _HALFWAY_TOLERANCE, paths.left, paths.right)
    halfway = np.abs(along - 0.5) < _HALFWAY_TOLERANCE
    both = label[paths.left] & label[paths.right]
    action = np.where(halfway[:, None], both, label[nearer])
    idle = ~label[paths.left].any(1) & ~label[paths.right].any(1)
    known = np.flatnonzero(~halfway | both.any(1) | idle)
    none, cost = np.full(len(known), -1, np.intp), np.full(len(known), np.nan)
    frame = frame_of_rows(paths.start)[known]
    return BlockLabels(frame, none, nearer[known], paths.box[known], action[known], cost)


def people_between(block: FrameBlock) -> Paths:
    """Match the people of the two neighbours of each frame.

    People with ids are matched by id; those without by the assignment that maximizes the sum of
    IoU, with IoU above 0.
    """
    both = np.stack([block.left, block.right], 1)
    gaps, gap = np.unique(both, axis=0, return_inverse=True)
    matches = [_same_people(block.truth, left, right) for left, right in gaps.tolist()]
    first = offsets(np.array([len(one) for one in matches], np.intp))
    rows = np.array([pair for one in matches for pair in one], np.intp).reshape(-1, 2)
    count = np.diff(first)[gap]
    left, right = rows[expand_ranges(first[:-1][gap], count)[1]].T
    paths = Paths(left, right, offsets(count), np.zeros((len(left), 4)))
    along = _along(block, paths)[:, None]
    before, after = block.truth.box[left], block.truth.box[right]
    return Paths(left, right, paths.start, before + along * (after - before))


def _along(block: FrameBlock, paths: Paths) -> Floats:
    """Return the position [r] of each path's frame between the keyframes: 0 left, 1 right."""
    now = np.repeat(block.time, np.diff(paths.start))
    before, after = block.truth_time[paths.left], block.truth_time[paths.right]
    return np.asarray((now - before) / (after - before))


def _same_people(truth: People, left: int, right: int) -> list[tuple[int, int]]:
    if min(left, right) < 0:
        return []
    a = np.arange(truth.start[left], truth.start[left + 1])
    b = np.arange(truth.start[right], truth.start[right + 1])
    later = dict(zip(truth.track[b].tolist(), b.tolist(), strict=True))
    known = [(row, later.get(truth.track[row], -1)) for row in a[truth.track[a] >= 0].tolist()]
    pairs = [pair for pair in known if pair[1] >= 0]
    a, b = a[truth.track[a] < 0], b[truth.track[b] < 0]
    return sorted([*pairs, *_overlapping(truth, a, b)])


def _overlapping(truth: People, a: Rows, b: Rows) -> list[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment

    overlap = boxes.iou(truth.box[a], truth.box[b])
    row, column = linear_sum_assignment(overlap, maximize=True)
    good = overlap[row, column] > 0
    return list(zip(a[row[good]].tolist(), b[column[good]].tolist(), strict=True))
