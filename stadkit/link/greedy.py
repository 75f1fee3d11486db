"""Greedy linking, as ACT began it: tubes in the order of their scores take the best tubelets.

The same rules serve ACT and MOC (tubelets of k frames) and mmaction2 (boxes: k = 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.link.near import Near
from stadkit.link.overlap import Sides
from stadkit.link.runs import Ints, first_of_each
from stadkit.link.soft_nms import best_first, soft_nms
from stadkit.link.turns import take_in_turn


@dataclass(frozen=True)
class Rules:
    """What the references fix; all three have the same numbers."""

    max_iou: float = 0.6  # soft NMS at each start frame
    keep: int = 10  # tubelets a start frame and class
    min_iou: float = 0.5  # of a tube's last tubelet and the next
    min_score: float = 0.005  # of a tube
    min_length: int = 15  # frames
    edge: float = 0.0  # pixels by which a box reaches beyond x2 and y2: 1 in ACT and MOC


@dataclass(frozen=True)
class Linked:
    """Tubelets that were kept, by chain, frame and score, and the tube of each."""

    row: Ints  # [m]  of the tubelets as given
    score: NDArray[np.float64]  # [m]  after soft NMS
    tube: Ints  # [m]  0 and up, in the order in which tubes began


def link_greedily(
    chain: Ints, frame: Ints, score: NDArray[np.float64], box: Sides, rules: Rules
) -> Linked:
    """Tubelets [n], `box` [4, k, n], linked within each chain: one class of one video.

    At each frame tubes go by their mean score, best first. A tube looks at tubelets that overlap
    its last one by `min_iou` or more and takes that of the best SCORE, not of the best overlap.
    It ends when it took none for k frames; tubelets that are left begin tubes.
    """
    cell = chain * (int(frame.max(initial=0)) + 1) + frame
    score = soft_nms(cell, score, box, rules.max_iou, rules.edge)
    row = _best(cell, score, rules.keep)
    near = Near(chain[row], box.take(row, 2), rules.min_iou, rules.edge)
    return Linked(row, score[row], _follow(frame[row], score[row], near, box.shape[1]))


def _follow(frame: Ints, score: NDArray[np.float64], near: Near, k: int) -> Ints:
    """The tube [m] of each tubelet, all chains at once, one frame after the other."""
    tube, begun = np.full(len(frame), -1, np.int64), 0
    last, count, total = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    by_frame = np.argsort(frame, kind="stable")
    for here in np.split(by_frame, np.flatnonzero(first_of_each(frame[by_frame]))[1:]):
        missed = frame[here[:1]] - frame[last]
        live = np.flatnonzero(missed <= k)
        # Chains do not touch each other, so that one order of all tubes serves them all.
        live = live[np.argsort(-(total / count)[live], kind="stable")]
        last, count, total = last[live], count[live], total[live]
        taker, taken = near.pairs(last, missed[live], here)
        pairs = take_in_turn(taker, taken)
        taker, taken = taker[pairs], taken[pairs]
        tube[taken] = tube[last[taker]]
        last[taker] = taken
        count[taker] += 1
        total[taker] += score[taken]
        new = here[tube[here] < 0]
        tube[new] = begun + np.arange(len(new))
        begun += len(new)
        last = np.append(last, new)
        count = np.append(count, np.ones(len(new), np.int64))
        total = np.append(total, score[new])
    return tube


def _best(cell: Ints, score: NDArray[np.float64], keep: int) -> Ints:
    """The best `keep` rows of each cell, by cell, best first."""
    order = best_first(cell, score)
    starts = np.flatnonzero(first_of_each(cell[order]))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return order[place < keep]
