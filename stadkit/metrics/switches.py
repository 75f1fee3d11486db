"""Identity switches: how often who a true person is said to be changes.

As in CLEAR MOT (Bernardin and Stiefelhagen 2008): people are matched at each keyframe, one to
one, best overlap first; a switch is a match to another track than at the person's match before.
A linker that finds nothing has no switches, nor has one whose only track runs over everybody:
look at `recall` too (IDR, Ristani et al. 2016), where each person has one track.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, milliseconds
from stadkit.link.overlap import iou_of_pairs, sides
from stadkit.link.runs import Ints, first_of_each, same_group
from stadkit.tubes import Tubes

Names = NDArray[np.str_]
Floats = NDArray[np.float64]
Columns = list[NDArray[Any]]


@dataclass(frozen=True)
class Switches:
    """How often tracks change, of how many times they could."""

    switches: int
    pairs: int  # matched boxes that have a match of the same person before them
    matched: int  # true boxes
    truths: int  # boxes
    same: int  # matched boxes when each person is given the one track that is best for all

    @property
    def recall(self) -> float:
        """True boxes that are on the person's own track; NaN without any."""
        return self.same / self.truths if self.truths else float("nan")

    @property
    def share(self) -> float:
        """Switches a pair; NaN when there are none."""
        return self.switches / self.pairs if self.pairs else float("nan")


@dataclass(frozen=True)
class _Boxes:
    """Boxes of found or true people, n of them."""

    video: Names  # [n]
    ms: Ints  # [n]
    kind: Ints  # [n]     only boxes of one kind meet
    who: Ints  # [n]     within a video and kind; -1: matched, but not counted
    box: Floats  # [n, 4]


def switches_of_people(found: Detections, truth: Detections, min_iou: float = 0.5) -> Switches:
    """Over the tracks of two tables; rows without a track are passed over.

    A person is the same after a gap too.
    """
    return _switches(_of_people(found), _of_people(truth), min_iou)


def switches_of_tubes(
    found: Tubes, truth: Tubes, people: Detections, min_iou: float = 0.5
) -> Switches:
    """Within true tubes, each class by itself, so that linkers of single classes can be compared.

    `people` are all true ones: a tube of someone beside who does another thing is matched to
    them. A found tube without a track is a person of its own; interpolated boxes count.
    """
    one, others = _of_tubes(truth, np.arange(len(truth))), _of_others(people)
    columns = {
        name: np.concatenate([getattr(one, name), getattr(others, name)])
        for name in ("video", "ms", "kind", "who", "box")
    }
    # Numbers of tubes without a track begin after all tracks.
    alone = found.track.max(initial=-1) + 1 + np.arange(len(found))
    who = np.where(found.track >= 0, found.track, alone)
    return _switches(_of_tubes(found, who), _Boxes(**columns), min_iou)


def _of_people(table: Detections) -> _Boxes:
    kept = table.select(table.track >= 0)
    return _Boxes(
        video=kept.video,
        ms=milliseconds(kept.time),
        kind=np.zeros(len(kept), np.int64),
        who=kept.track.astype(np.int64),
        box=kept.box.astype(np.float64),
    )


def _of_others(people: Detections) -> _Boxes:
    """Each person in each class that they do not do."""
    row, kind = np.nonzero(~(people.action > 0.5))
    return _Boxes(
        video=people.video[row],
        ms=milliseconds(people.time[row]),
        kind=kind,
        who=np.full(len(row), -1),
        box=people.box[row].astype(np.float64),
    )


def _of_tubes(tubes: Tubes, who: Ints) -> _Boxes:
    return _Boxes(
        video=tubes.video[tubes.owner],
        ms=milliseconds(tubes.time),
        kind=tubes.label.astype(np.int64)[tubes.owner],
        who=who[tubes.owner],
        box=tubes.box,
    )


def _switches(found: _Boxes, truth: _Boxes, min_iou: float) -> Switches:
    group, true_group = _numbers([found.video, found.kind], [truth.video, truth.kind])
    cell, true_cell = _numbers([group, found.ms], [true_group, truth.ms])
    track, _ = _numbers([group, found.who], [group[:0], found.who[:0]])
    person, _ = _numbers([true_group, truth.who], [true_group[:0], truth.who[:0]])
    i, j = _near(found, truth, cell, true_cell, min_iou)
    mine, its = _matched(i, j)
    mine, its = mine[truth.who[its] >= 0], its[truth.who[its] >= 0]
    order = np.lexsort((truth.ms[its], person[its]))
    again = ~first_of_each(person[its][order])
    changed = again.copy()
    changed[1:] &= np.diff(track[mine][order]) != 0
    i, j = i[truth.who[j] >= 0], j[truth.who[j] >= 0]
    return Switches(
        switches=int(changed.sum()),
        pairs=int(again.sum()),
        matched=len(its),
        truths=int((truth.who >= 0).sum()),
        same=_same(track[i], person[j]),
    )


def _same(track: Ints, person: Ints) -> int:
    """The most boxes that fit when tracks and people are paired; pairs [p] of boxes that do."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(track):
        return 0
    both, count = np.unique(np.stack([track, person]), axis=1, return_counts=True)
    tracks, people = both[0].max() + 1, both[1].max() + 1
    graph = coo_array((count, (both[0], tracks + both[1])), shape=(tracks + people,) * 2)
    island = connected_components(graph, directed=False)[1][both[0]]
    total = 0
    for number in np.unique(island):
        mine = island == number
        rows, row = np.unique(both[0, mine], return_inverse=True)
        columns, column = np.unique(both[1, mine], return_inverse=True)
        fits = np.zeros((len(rows), len(columns)), np.int64)
        fits[row, column] = count[mine]
        total += int(fits[linear_sum_assignment(fits, maximize=True)].sum())
    return total


def _numbers(one: Columns, other: Columns) -> tuple[Ints, Ints]:
    """A number for each row [n], [m] of two tables by their columns: equal where all are."""
    number = np.zeros(len(one[0]) + len(other[0]), np.int64)
    for columns in zip(one, other, strict=True):
        value = np.unique(np.concatenate(columns), return_inverse=True)[1]
        number = np.unique(number * (value.max(initial=0) + 1) + value, return_inverse=True)[1]
    return number[: len(one[0])], number[len(one[0]) :]


def _near(
    found: _Boxes, truth: _Boxes, cell: Ints, true_cell: Ints, min_iou: float
) -> tuple[Ints, Ints]:
    """Pairs (found, truth) of boxes that overlap enough, best overlap first."""
    i, j = same_group(cell, true_cell)
    overlap = iou_of_pairs(sides(found.box[i]), sides(truth.box[j]), 0.0)
    near = np.flatnonzero(overlap >= min_iou)
    order = near[np.lexsort((i[near], j[near], -overlap[near]))]
    return i[order], j[order]


def _matched(i: Ints, j: Ints) -> tuple[Ints, Ints]:
    """The pairs that remain when each box is in one only, those before first."""
    pairs = [(i[:0], j[:0])]
    while len(i):
        # A pair that comes first for both of its boxes is one that a greedy walk would take.
        best = _firsts(i) & _firsts(j)
        pairs.append((i[best], j[best]))
        left = ~np.isin(i, i[best]) & ~np.isin(j, j[best])
        i, j = i[left], j[left]
    mine, its = zip(*pairs, strict=True)
    return np.concatenate(mine), np.concatenate(its)


def _firsts(number: Ints) -> NDArray[np.bool_]:
    """Where each number [p] stands first."""
    first = np.zeros(len(number), bool)
    first[np.unique(number, return_index=True)[1]] = True
    return first
