"""Frames to label as arrays: who was found there, and who is in the labelled keyframes around."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stadkit.detections import Detections
from stadkit.tla.cost import Bools, Floats
from stadkit.tla.neighbours import Around
from stadkit.tla.ragged import Ints, owners, spans, starts

PAIRS_A_BLOCK = 60_000  # of people found and people around: some MB, which stays in the cache


@dataclass(frozen=True)
class People:
    """Rows of a table by frame; a score that is NaN is 0: the class was not scored."""

    row: Ints  # [n]  of the table
    score: Floats  # [n, c]
    box: Floats  # [n, 4]
    track: Ints  # [n]
    start: Ints  # [f + 1]

    @classmethod
    def of(cls, table: Detections, place: Ints, frames: int) -> People:
        """Those rows whose frame, `place` [n], is in 0..frames - 1, in the table's order."""
        row = np.argsort(place, kind="stable")
        row = row[(place[row] >= 0) & (place[row] < frames)]
        return cls(
            row,
            np.nan_to_num(table.action[row].astype(np.float64)),
            table.box[row].astype(np.float64),
            table.track[row].astype(np.intp),
            starts(np.bincount(place[row], minlength=frames)),
        )

    def select(self, first: int, last: int) -> People:
        """The rows of frames first to last - 1, which become 0 and up."""
        part = slice(int(self.start[first]), int(self.start[last]))
        start = self.start[first : last + 1] - self.start[first]
        return People(self.row[part], self.score[part], self.box[part], self.track[part], start)


@dataclass(frozen=True)
class Block:
    """Some frames [f] with what labelling them takes; the pool [q] is by frame, left then right."""

    time: Floats  # [f]
    found: People  # by these frames
    truth: People  # by labelled keyframe, of all videos
    truth_time: Floats  # [m]
    left: Ints  # [f]  labelled keyframe, -1: none
    right: Ints  # [f]
    pool: Ints  # [q]  rows of `truth`
    pool_start: Ints  # [f + 1]

    @property
    def label(self) -> Bools:
        """What each of the pool does, [q, c]."""
        return self.truth.score[self.pool] > 0.5

    @property
    def union(self) -> Bools:
        """Whether anybody around each frame does it, [f, c]."""
        seen = np.zeros((len(self.time), self.truth.score.shape[1]), bool)
        person, action = np.nonzero(self.label)
        seen[owners(self.pool_start)[person], action] = True
        return seen


def blocks(
    time: Floats, around: Around, found: People, truth: People, truth_time: Floats
) -> Iterator[tuple[int, Block]]:
    """All frames, a block after the other, each with the place of its first frame."""
    count = _count(truth, around.left) + _count(truth, around.right)
    work = np.cumsum(np.diff(found.start) * (count + 1) + 1)
    edges = np.flatnonzero(np.diff(work // PAIRS_A_BLOCK, prepend=0)).tolist()
    for first, last in zip([0, *edges], [*edges, len(time)], strict=True):
        if first == last:
            continue
        left, right = around.left[first:last], around.right[first:last]
        sides = np.stack([left, right], 1).ravel()
        people = _count(truth, sides)
        pool = spans(truth.start[sides], people)
        pool_start = starts(people.reshape(-1, 2).sum(1))
        own = found.select(first, last)
        yield (
            first,
            Block(time[first:last], own, truth, truth_time, left, right, pool, pool_start),
        )


def _count(truth: People, keyframe: Ints) -> Ints:
    """How many people are in these labelled keyframes [k]; nobody in -1."""
    if len(truth.start) < 2:
        return np.zeros(len(keyframe), np.intp)
    return np.where(keyframe >= 0, np.diff(truth.start)[keyframe], 0)
