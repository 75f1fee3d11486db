"""Identity switches: how often who a true person is said to be changes.

As in CLEAR MOT (Bernardin and Stiefelhagen 2008): people are matched at each keyframe, one to
one, best overlap first; a switch is a match to another track than at the person's match before.
A linker that finds nothing has no switches, nor has one whose only track runs over everybody.
So look at IDF1 too (Ristani et al. 2016): true and found trajectories are paired, one to one, so
that most boxes fit; boxes that do not fit count against both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, join_equal, run_starts
from stadkit.detections import Detections, milliseconds
from stadkit.pairwise import iou_of_pairs, sides
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
    same: int  # IDTP: boxes that fit when trajectories are paired so that most do
    found: int  # boxes, of whatever track

    @property
    def recall(self) -> float:
        """IDR: true boxes on the one trajectory that is theirs; NaN without any."""
        return self.same / self.truths if self.truths else float("nan")

    @property
    def idf1(self) -> float:
        """Boxes that fit, of all true and found ones; NaN without any."""
        return _f1(self.same, self.truths, self.found)

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
    path: Ints  # [n]     the trajectory, likewise
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
    Trajectories are tubes: who does a thing twice has two of them, on one track or not.
    """
    one, others = _of_tubes(truth, np.arange(len(truth))), _of_others(people)
    columns = {
        name: np.concatenate([getattr(one, name), getattr(others, name)])
        for name in ("video", "ms", "kind", "who", "path", "box")
    }
    # Numbers of tubes without a track begin after all tracks.
    alone = found.track.max(initial=-1) + 1 + np.arange(len(found))
    who = np.where(found.track >= 0, found.track, alone)
    return _switches(_of_tubes(found, who), _Boxes(**columns), min_iou)


def best_idf1(found: Tubes, truth: Tubes, min_iou: float = 0.5) -> float:
    """IDF1 of the found tubes of some score or more, at the score that is best; NaN: no boxes.

    Linkers give tubes of doubtful classes too, for mAP; who looks at tubes leaves those out.
    Scores tried part the tubes into fortieths, the best first.
    """
    boxes, true = (_of_tubes(part, np.arange(len(part))) for part in (found, truth))
    i, j = _near(boxes, true, *_cells(boxes, true), min_iou)
    fits, count = _fits(boxes.path[i], true.path[j], j)
    size = np.diff(found.start)
    told = []
    for score in np.unique(np.quantile(found.score, np.arange(40) / 40)) if len(found) else ():
        good = found.score >= score
        kept = good[fits[0]]
        told.append(_f1(_same(fits[:, kept], count[kept]), len(true.path), int(size[good].sum())))
    return max(told, default=_f1(0, len(true.path), 0))


def _f1(same: int, truths: int, found: int) -> float:
    return 2 * same / (truths + found) if truths + found else float("nan")


def _of_people(table: Detections) -> _Boxes:
    kept = table.select(table.track >= 0)
    return _Boxes(
        video=kept.video,
        ms=milliseconds(kept.time),
        kind=np.zeros(len(kept), np.int64),
        who=kept.track.astype(np.int64),
        path=kept.track.astype(np.int64),
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
        path=np.full(len(row), -1),
        box=people.box[row].astype(np.float64),
    )


def _of_tubes(tubes: Tubes, who: Ints) -> _Boxes:
    return _Boxes(
        video=tubes.video[tubes.owner],
        ms=milliseconds(tubes.time),
        kind=tubes.label.astype(np.int64)[tubes.owner],
        who=who[tubes.owner],
        path=tubes.owner.astype(np.int64),
        box=tubes.box,
    )


def _switches(found: _Boxes, truth: _Boxes, min_iou: float) -> Switches:
    track, person = _own(found, found.who), _own(truth, truth.who)
    i, j = _near(found, truth, *_cells(found, truth), min_iou)
    mine, its = _matched(i, j)
    mine, its = mine[truth.who[its] >= 0], its[truth.who[its] >= 0]
    order = np.lexsort((truth.ms[its], person[its]))
    again = ~run_starts(person[its][order])
    changed = again.copy()
    changed[1:] &= np.diff(track[mine][order]) != 0
    counted = truth.path[j] >= 0
    path, true = _own(found, found.path), _own(truth, truth.path)
    return Switches(
        switches=int(changed.sum()),
        pairs=int(again.sum()),
        matched=len(its),
        truths=int((truth.who >= 0).sum()),
        same=_same(*_fits(path[i[counted]], true[j[counted]], j[counted])),
        found=len(found.who),
    )


def _cells(found: _Boxes, truth: _Boxes) -> tuple[Ints, Ints]:
    """A number for each video, kind and time."""
    columns = ([each.video, each.kind, each.ms] for each in (found, truth))
    return _numbers(*columns)


def _own(boxes: _Boxes, name: Ints) -> Ints:
    """A number for each video, kind and name."""
    return _numbers([boxes.video, boxes.kind, name], [boxes.video[:0], name[:0], name[:0]])[0]


def _fits(path: Ints, true: Ints, row: Ints) -> tuple[Ints, Ints]:
    """Trajectories (found, true) [2, q] that fit, and in how many true boxes [q].

    From pairs [p] of boxes that do: their trajectories, and the rows of the true ones.
    """
    # A track may have several boxes of one person at a keyframe.
    once = np.unique(np.stack([path, row]), axis=1, return_index=True)[1]
    both, count = np.unique(np.stack([path, true])[:, once], axis=1, return_counts=True)
    return both, count


def _same(both: Ints, count: Ints) -> int:
    """The most boxes that fit when trajectories are paired; `both` [2, p] fit in `count` [p]."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(count):
        return 0
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
    i, j = join_equal(cell, true_cell)
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
