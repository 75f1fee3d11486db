"""Identity metrics of tracks: ID switches and IDF1.

ID switches as in CLEAR MOT (Bernardin and Stiefelhagen 2008): people are matched one to one at
each keyframe, best overlap first; a switch is a match to a different track than at the person's
previous match. A linker that finds nothing has no switches, nor has one with a single track over
all people, so IDF1 is reported too (Ristani et al. 2016): true and found trajectories are matched
one to one to maximize the matching boxes; other boxes count against both sides.
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
    """ID switch and IDF1 counts."""

    switches: int
    pairs: int  # matched true boxes with an earlier match of the same person
    matched: int  # matched true boxes
    truths: int  # true boxes
    same: int  # IDTP: matching boxes under the best assignment of trajectories
    found: int  # found boxes of any track

    @property
    def recall(self) -> float:
        """IDR: share of true boxes on the assigned trajectory; NaN without true boxes."""
        return self.same / self.truths if self.truths else float("nan")

    @property
    def idf1(self) -> float:
        """IDF1 over all true and found boxes; NaN without boxes."""
        return _f1(self.same, self.truths, self.found)

    @property
    def share(self) -> float:
        """Switches per pair; NaN without pairs."""
        return self.switches / self.pairs if self.pairs else float("nan")


@dataclass(frozen=True)
class _Boxes:
    """n boxes of found or true people."""

    video: Names  # [n]
    ms: Ints  # [n]
    kind: Ints  # [n]     class; only boxes of the same kind are matched
    who: Ints  # [n]     identity within a video and kind; -1: matched, but not counted
    path: Ints  # [n]     trajectory within a video and kind; -1: not counted
    box: Floats  # [n, 4]


def switches_of_people(found: Detections, truth: Detections, min_iou: float = 0.5) -> Switches:
    """Compare the tracks of two tables; rows without a track are ignored.

    A person keeps the same identity after a gap.
    """
    return _switches(_people_boxes(found), _people_boxes(truth), min_iou)


def switches_of_tubes(
    found: Tubes, truth: Tubes, people: Detections, min_iou: float = 0.5
) -> Switches:
    """Compare tubes within each class, so that single-class linkers can be compared.

    `people` are all true people: a tube on a neighbour with another action is matched to them
    instead. A found tube without a track counts as its own person; interpolated boxes count.
    Trajectories are tubes: an action performed twice gives two, on one track or not.
    """
    true_boxes, others = _tube_boxes(truth, np.arange(len(truth))), _other_class_boxes(people)
    columns = {
        name: np.concatenate([getattr(true_boxes, name), getattr(others, name)])
        for name in ("video", "ms", "kind", "who", "path", "box")
    }
    # Tubes without a track get numbers after all track numbers.
    trackless = found.track.max(initial=-1) + 1 + np.arange(len(found))
    who = np.where(found.track >= 0, found.track, trackless)
    return _switches(_tube_boxes(found, who), _Boxes(**columns), min_iou)


def best_idf1(found: Tubes, truth: Tubes, min_iou: float = 0.5) -> float:
    """Return the IDF1 of found tubes at the best score threshold; NaN without boxes.

    Linkers also output tubes of doubtful classes, for mAP; in practice, users filter these out.
    The thresholds tried are the 40-quantiles of the tubes' scores.
    """
    boxes, true = (_tube_boxes(part, np.arange(len(part))) for part in (found, truth))
    i, j = _overlapping_pairs(boxes, true, *_cells(boxes, true), min_iou)
    fits, count = _trajectory_overlaps(boxes.path[i], true.path[j], j)
    size = np.diff(found.start)
    values = []
    for score in np.unique(np.quantile(found.score, np.arange(40) / 40)) if len(found) else ():
        good = found.score >= score
        kept = good[fits[0]]
        values.append(_f1(_idtp(fits[:, kept], count[kept]), len(true.path), int(size[good].sum())))
    return max(values, default=_f1(0, len(true.path), 0))


def _f1(same: int, truths: int, found: int) -> float:
    return 2 * same / (truths + found) if truths + found else float("nan")


def _people_boxes(table: Detections) -> _Boxes:
    kept = table.select(table.track >= 0)
    return _Boxes(
        video=kept.video,
        ms=milliseconds(kept.time),
        kind=np.zeros(len(kept), np.int64),
        who=kept.track.astype(np.int64),
        path=kept.track.astype(np.int64),
        box=kept.box.astype(np.float64),
    )


def _other_class_boxes(people: Detections) -> _Boxes:
    """Return each person once for each class that they do not perform."""
    row, kind = np.nonzero(~(people.action > 0.5))
    return _Boxes(
        video=people.video[row],
        ms=milliseconds(people.time[row]),
        kind=kind,
        who=np.full(len(row), -1),
        path=np.full(len(row), -1),
        box=people.box[row].astype(np.float64),
    )


def _tube_boxes(tubes: Tubes, who: Ints) -> _Boxes:
    return _Boxes(
        video=tubes.video[tubes.owner],
        ms=milliseconds(tubes.time),
        kind=tubes.label.astype(np.int64)[tubes.owner],
        who=who[tubes.owner],
        path=tubes.owner.astype(np.int64),
        box=tubes.box,
    )


def _switches(found: _Boxes, truth: _Boxes, min_iou: float) -> Switches:
    track, person = _identities(found, found.who), _identities(truth, truth.who)
    i, j = _overlapping_pairs(found, truth, *_cells(found, truth), min_iou)
    found_rows, truth_rows = _greedy_pairs(i, j)
    found_rows, truth_rows = (
        found_rows[truth.who[truth_rows] >= 0],
        truth_rows[truth.who[truth_rows] >= 0],
    )
    order = np.lexsort((truth.ms[truth_rows], person[truth_rows]))
    repeated = ~run_starts(person[truth_rows][order])
    changed = repeated.copy()
    changed[1:] &= np.diff(track[found_rows][order]) != 0
    counted = truth.path[j] >= 0
    path, true = _identities(found, found.path), _identities(truth, truth.path)
    return Switches(
        switches=int(changed.sum()),
        pairs=int(repeated.sum()),
        matched=len(truth_rows),
        truths=int((truth.who >= 0).sum()),
        same=_idtp(*_trajectory_overlaps(path[i[counted]], true[j[counted]], j[counted])),
        found=len(found.who),
    )


def _cells(found: _Boxes, truth: _Boxes) -> tuple[Ints, Ints]:
    """Number the rows by video, kind and time."""
    columns = ([each.video, each.kind, each.ms] for each in (found, truth))
    return _numbers(*columns)


def _identities(boxes: _Boxes, name: Ints) -> Ints:
    """Number the rows by video, kind and name."""
    return _numbers([boxes.video, boxes.kind, name], [boxes.video[:0], name[:0], name[:0]])[0]


def _trajectory_overlaps(path: Ints, true: Ints, row: Ints) -> tuple[Ints, Ints]:
    """Return the overlapping (found, true) trajectories [2, q] and their matching true boxes [q].

    path [p] and true [p]: trajectories of matching box pairs; row [p]: rows of the true boxes.
    """
    # A track may have several boxes on one person at a keyframe.
    once = np.unique(np.stack([path, row]), axis=1, return_index=True)[1]
    both, count = np.unique(np.stack([path, true])[:, once], axis=1, return_counts=True)
    return both, count


def _idtp(both: Ints, count: Ints) -> int:
    """Maximize the matching boxes over one-to-one assignments; `both` [2, p] share `count` [p]."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(count):
        return 0
    tracks, people = both[0].max() + 1, both[1].max() + 1
    graph = coo_array((count, (both[0], tracks + both[1])), shape=(tracks + people,) * 2)
    component = connected_components(graph, directed=False)[1][both[0]]
    total = 0
    for number in np.unique(component):
        in_component = component == number
        rows, row = np.unique(both[0, in_component], return_inverse=True)
        columns, column = np.unique(both[1, in_component], return_inverse=True)
        fits = np.zeros((len(rows), len(columns)), np.int64)
        fits[row, column] = count[in_component]
        total += int(fits[linear_sum_assignment(fits, maximize=True)].sum())
    return total


def _numbers(one: Columns, other: Columns) -> tuple[Ints, Ints]:
    """Number the rows [n], [m] of two tables: equal numbers where all columns are equal."""
    number = np.zeros(len(one[0]) + len(other[0]), np.int64)
    for columns in zip(one, other, strict=True):
        value = np.unique(np.concatenate(columns), return_inverse=True)[1]
        number = np.unique(number * (value.max(initial=0) + 1) + value, return_inverse=True)[1]
    return number[: len(one[0])], number[len(one[0]) :]


def _overlapping_pairs(
    found: _Boxes, truth: _Boxes, cell: Ints, true_cell: Ints, min_iou: float
) -> tuple[Ints, Ints]:
    """Return (found, truth) pairs of boxes with IoU >= min_iou, best overlap first."""
    i, j = join_equal(cell, true_cell)
    overlap = iou_of_pairs(sides(found.box[i]), sides(truth.box[j]), 0.0)
    near = np.flatnonzero(overlap >= min_iou)
    order = near[np.lexsort((i[near], j[near], -overlap[near]))]
    return i[order], j[order]


def _greedy_pairs(i: Ints, j: Ints) -> tuple[Ints, Ints]:
    """Match greedily: keep pairs, in order, whose boxes are in no earlier kept pair."""
    pairs = [(i[:0], j[:0])]
    while len(i):
        # A pair that comes first for both of its boxes is in the greedy matching.
        best = _first_occurrences(i) & _first_occurrences(j)
        pairs.append((i[best], j[best]))
        left = ~np.isin(i, i[best]) & ~np.isin(j, j[best])
        i, j = i[left], j[left]
    found_rows, truth_rows = zip(*pairs, strict=True)
    return np.concatenate(found_rows), np.concatenate(truth_rows)


def _first_occurrences(number: Ints) -> NDArray[np.bool_]:
    """Mark the first occurrence of each number [p]."""
    first = np.zeros(len(number), bool)
    first[np.unique(number, return_index=True)[1]] = True
    return first
