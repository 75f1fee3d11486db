"""Linked tubelets to tubes: at each frame the mean of the tubelets that cover it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.link.greedy import Linked, Rules
from stadkit.link.overlap import Sides
from stadkit.link.runs import Ints, first_of_each, spread

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pieces:
    """Tubes, n of them, frame by frame; by chain, in a chain as they ended."""

    chain: Ints  # [n]
    score: Floats  # [n]  mean of the tubelets
    start: Ints  # [n + 1]  first row of each tube below, and t
    frame: Ints  # [t]  without gaps in a tube
    box: Floats  # [t, 4]
    box_score: Floats  # [t]


def averaged(
    linked: Linked, chain: Ints, frame: Ints, box: Sides, final: Ints, rules: Rules
) -> Pieces:
    """The tubes of `linked` that are long and good enough.

    `chain`, `frame` [n] and `box` [4, k, n] are of the tubelets as they were linked; `final` [n]
    is the last start frame of each one's video, where linking stops.
    """
    k = box.shape[1]
    by_tube = np.argsort(linked.tube, kind="stable")
    row, score = linked.row[by_tube], linked.score[by_tube]
    first = np.flatnonzero(first_of_each(linked.tube[by_tube]))
    # Rows of a tube are in order of time, as those of its chain were.
    count = np.diff(np.append(first, len(row)))
    length = frame[row[first + count - 1]] + k - frame[row[first]]
    long = np.flatnonzero(length >= rules.min_length)
    first, count, length = first[long], count[long], length[long]
    # One by one, as the references do: where all scores are equal the last bit is the order.
    spans = zip(first.tolist(), (first + count).tolist(), strict=True)
    mean = np.array([score[a:b].mean() for a, b in spans], np.float64)
    good = np.flatnonzero(mean >= rules.min_score)
    head = row[first[good]]
    ended = frame[head] + length[good]  # the first frame that it has no part in
    good = good[_as_ended(chain[head], ended, ended > final[head], mean[good])]
    first, count, length, mean = first[good], count[good], length[good], mean[good]
    head, start = row[first], np.append(0, np.cumsum(length))
    tube, member = spread(first, count)
    at = start[tube] + frame[row[member]] - frame[head][tube]
    return Pieces(
        chain=chain[head],
        score=mean,
        start=start,
        frame=spread(frame[head], length)[1],
        box=np.stack([_mean_at(side, at, start[-1]) for side in box.take(row[member], 2)], 1),
        box_score=_mean_at(np.broadcast_to(score[member], (k, len(at))), at, start[-1]),
    )


def _as_ended(chain: Ints, ended: Ints, left: NDArray[np.bool_], mean: Floats) -> Ints:
    """Tubes [n], numbered as they began, in the references' order: it settles equal scores.

    Those that end in one frame are taken from the worst to the best; those left when linking
    stops come last, from the best to the worst.
    """
    age = np.arange(len(chain))
    last = np.where(left, np.iinfo(np.int64).max, ended)
    return np.lexsort((np.where(left, age, -age), np.where(left, -mean, mean), last, chain))


def _mean_at(value: Floats, at: Ints, size: int) -> Floats:
    """Mean [size] of tubelets' values [k, m], whose first is at place `at` [m]."""
    k = len(value)
    place = (at + np.arange(k)[:, None]).ravel()
    sums = np.bincount(place, value.ravel(), minlength=size)
    return np.asarray(sums / np.bincount(place, minlength=size))
