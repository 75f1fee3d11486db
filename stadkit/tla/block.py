"""Blocks of frames to label: their detections and neighbour keyframes as arrays, and the labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stadkit.arrays import Rows, expand_ranges, frame_of_rows, offsets
from stadkit.detections import Detections
from stadkit.tla.assignment import Bools, Floats
from stadkit.tla.neighbours import Neighbours

MAX_PAIRS = 60_000  # (detection, neighbour person) pairs per block: a few MB, which fit the cache


@dataclass(frozen=True)
class People:
    """Rows of a table sorted by frame; NaN scores (class not scored) become 0."""

    row: Rows  # [n]  row of the table
    score: Floats  # [n, c]
    box: Floats  # [n, 4]
    track: Rows  # [n]
    start: Rows  # [f + 1]

    @classmethod
    def of(cls, table: Detections, place: Rows, frames: int) -> People:
        """Select the rows whose frame, `place` [n], is in 0..frames - 1, keeping table order."""
        row = np.argsort(place, kind="stable")
        row = row[(place[row] >= 0) & (place[row] < frames)]
        return cls(
            row,
            np.nan_to_num(table.action[row].astype(np.float64)),
            table.box[row].astype(np.float64),
            table.track[row].astype(np.intp),
            offsets(np.bincount(place[row], minlength=frames)),
        )

    def select(self, first: int, last: int) -> People:
        """Return the rows of frames first to last - 1, renumbered from 0."""
        part = slice(int(self.start[first]), int(self.start[last]))
        start = self.start[first : last + 1] - self.start[first]
        return People(self.row[part], self.score[part], self.box[part], self.track[part], start)


@dataclass(frozen=True)
class FrameBlock:
    """Frames [f] and all inputs to label them; the pool [q] is by frame, left then right."""

    time: Floats  # [f]
    found: People  # by these frames
    truth: People  # by labelled keyframe, of all videos
    truth_time: Floats  # [m]
    left: Rows  # [f]  labelled keyframe, -1: none
    right: Rows  # [f]
    pool: Rows  # [q]  rows of `truth`
    pool_start: Rows  # [f + 1]

    @property
    def label(self) -> Bools:
        """The labels [q, c] of each person in the pool."""
        return self.truth.score[self.pool] > 0.5

    @property
    def union(self) -> Bools:
        """Whether any neighbour person of each frame has the class, [f, c]."""
        seen = np.zeros((len(self.time), self.truth.score.shape[1]), bool)
        person, action = np.nonzero(self.label)
        seen[frame_of_rows(self.pool_start)[person], action] = True
        return seen


def blocks(
    time: Floats, neighbours: Neighbours, found: People, truth: People, truth_time: Floats
) -> Iterator[tuple[int, FrameBlock]]:
    """Yield all frames block by block, each with the index of its first frame."""
    count = _count(truth, neighbours.left) + _count(truth, neighbours.right)
    work = np.cumsum(np.diff(found.start) * (count + 1) + 1)
    edges = np.flatnonzero(np.diff(work // MAX_PAIRS, prepend=0)).tolist()
    for first, last in zip([0, *edges], [*edges, len(time)], strict=True):
        if first == last:
            continue
        left, right = neighbours.left[first:last], neighbours.right[first:last]
        sides = np.stack([left, right], 1).ravel()
        people = _count(truth, sides)
        pool = expand_ranges(truth.start[sides], people)[1]
        pool_start = offsets(people.reshape(-1, 2).sum(1))
        own = found.select(first, last)
        yield (
            first,
            FrameBlock(time[first:last], own, truth, truth_time, left, right, pool, pool_start),
        )


def _count(truth: People, keyframe: Rows) -> Rows:
    """Count the people in these labelled keyframes [k]; 0 for -1."""
    if len(truth.start) < 2:
        return np.zeros(len(keyframe), np.intp)
    return np.where(keyframe >= 0, np.diff(truth.start)[keyframe], 0)


@dataclass(frozen=True)
class BlockLabels:
    """Labelled people of a block, sorted by frame."""

    frame: Rows  # [r]  frame of the block
    found: Rows  # [r]  detection of the block; -1: none
    person: Rows  # [r]  row of the block's truth; -1: labelled from scores
    box: Floats  # [r, 4]
    action: Bools  # [r, c]
    cost: Floats  # [r]  assignment cost; NaN: not assigned


def from_pool(block: FrameBlock, taken: Rows, cost: Floats) -> BlockLabels:
    """Label detections [n] with the labels of pool rows `taken` [n]; -1 drops the detection."""
    found = np.flatnonzero(taken >= 0)
    person = block.pool[taken[found]]
    return BlockLabels(
        frame_of_rows(block.found.start)[found],
        found,
        person,
        block.found.box[found],
        block.truth.score[person] > 0.5,
        cost[found],
    )


def from_scores(block: FrameBlock, action: Bools) -> BlockLabels:
    """Label detections with the classes of action [n, c]; detections without any are dropped."""
    found = np.flatnonzero(action.any(1))
    return BlockLabels(
        frame_of_rows(block.found.start)[found],
        found,
        np.full(len(found), -1, np.intp),
        block.found.box[found],
        action[found],
        np.full(len(found), np.nan),
    )
