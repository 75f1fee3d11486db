"""Tubelets, the short tracks that a model outputs, join_tubelets where they overlap in time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stadkit import boxes
from stadkit.arrays import Rows
from stadkit.detections import Detections, milliseconds
from stadkit.linking.association import Floats

MIN_SHARED_IOU = 0.5  # mean over the common frames, for two tubelets to be one person


@dataclass(frozen=True)
class Observations:
    """p observed people, sorted by frame."""

    frame: Rows  # [p]
    box: Floats  # [p, 4]
    rank: Floats  # [p]  higher is more confident
    score: Floats  # [p, c]
    chain: Rows  # [p]  tubelet or chain of tubelets; -1: none

    def select(self, rows: Rows) -> Observations:
        """Return the observations of these rows."""
        return Observations(
            self.frame[rows], self.box[rows], self.rank[rows], self.score[rows], self.chain[rows]
        )


def chain_tubelets(people: Observations) -> tuple[Observations, Rows]:
    """Join tubelets (in `chain`) into longer chains; also return the new row [p] of each row.

    A tubelet continues the chain whose latest-ending earlier tubelet it overlaps most (mean IoU
    over the common frames). Where several tubelets of a chain cover a frame, their box, rank and
    scores are averaged.
    """
    if (people.chain < 0).all():
        return people, np.arange(len(people.frame))
    people, of_row = _deduplicate(people)
    tubelet = np.unique(people.chain, return_inverse=True)[1] - int((people.chain < 0).any())
    chain = np.where(tubelet >= 0, _chains(people, tubelet)[tubelet], -1)
    unchained = np.where(chain < 0, np.arange(len(chain)), -1)
    key = np.stack([people.frame, chain, unchained], 1)
    first, row, count = np.unique(
        key, axis=0, return_index=True, return_inverse=True, return_counts=True
    )[1:]
    row = row.reshape(-1)
    merged = Observations(
        frame=people.frame[first],
        box=_means(people.box, row, count),
        rank=_means(people.rank[:, None], row, count)[:, 0],
        score=_means(people.score, row, count),
        chain=chain[first],
    )
    return merged, row[of_row]


def _deduplicate(people: Observations) -> tuple[Observations, Rows]:
    """Keep one row per tubelet and frame: the best row's box, and the maximum of all scores."""
    unchained = np.where(people.chain < 0, np.arange(len(people.chain)), -1)
    key = np.stack([people.frame, people.chain, unchained], 1)
    best = np.lexsort((-people.rank, unchained, people.chain, people.frame))
    _, first, row = np.unique(key[best], axis=0, return_index=True, return_inverse=True)
    of_row = np.empty(len(best), np.intp)
    of_row[best] = row.reshape(-1)
    score = np.full((len(first), people.score.shape[1]), -np.inf)
    np.maximum.at(score, of_row, people.score)
    return replace(people.select(best[first]), score=score), of_row


def _means(values: Floats, row: Rows, count: Rows) -> Floats:
    total = np.zeros((len(count), values.shape[1]))
    np.add.at(total, row, values)
    return np.asarray(total / count[:, None])


def _chains(people: Observations, tubelet: Rows) -> Rows:
    """Return the chain of each tubelet; tubelet [p]: the tubelet of each row, -1: none."""
    order = np.lexsort((people.frame, tubelet))
    order = order[tubelet[order] >= 0]
    parts = np.split(order, np.flatnonzero(np.diff(tubelet[order])) + 1)
    begins = np.array([people.frame[rows[0]] for rows in parts])
    chain = np.full(len(parts), -1, np.intp)
    last: dict[int, Rows] = {}  # chain -> rows of its last tubelet
    for begin in np.unique(begins).tolist():
        fresh = np.flatnonzero(begins == begin)
        last = {c: rows for c, rows in last.items() if people.frame[rows[-1]] >= begin}
        open_chains = list(last)
        for c, t in _pairs(
            people, [last[c] for c in open_chains], [parts[t] for t in fresh.tolist()]
        ):
            chain[fresh[t]] = open_chains[c]
        for t in fresh.tolist():
            if chain[t] < 0:
                chain[t] = chain.max(initial=-1) + 1
            now, old = parts[t], last.get(int(chain[t]))
            if old is None or people.frame[now[-1]] >= people.frame[old[-1]]:
                last[int(chain[t])] = now
    return chain


def _pairs(people: Observations, old: list[Rows], new: list[Rows]) -> list[tuple[int, int]]:
    """Match old tubelets to the new ones that continue them."""
    from scipy.optimize import linear_sum_assignment

    if not old:
        return []
    shared = np.array([[_shared(people, a, b) for b in new] for a in old])
    rows, columns = linear_sum_assignment(-shared)
    return [
        (i, j)
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
        if shared[i, j] >= MIN_SHARED_IOU
    ]


def _shared(people: Observations, a: Rows, b: Rows) -> float:
    """Return the mean IoU over the common frames; 0 without common frames."""
    _, i, j = np.intersect1d(people.frame[a], people.frame[b], return_indices=True)
    if not len(i):
        return 0.0
    return float(np.diag(boxes.iou(people.box[a[i]], people.box[b[j]])).mean())


def join_tubelets(found: Detections) -> Detections:
    """Join the tubelets of one video where they overlap in time and space.

    Rows that share a `track` >= 0 form one tubelet. In the result, a person's rows share one
    track with one row per frame: box and scores are means over the tubelets that cover it.
    Sorted by time, then track. Scores must not be NaN.
    """
    frame = np.unique(milliseconds(found.time), return_inverse=True)[1].reshape(-1)
    order = np.lexsort((found.track, frame))
    rows = found.select(order)
    people, row = chain_tubelets(
        Observations(
            frame=frame[order],
            box=rows.box.astype(np.float64),
            rank=rows.person.astype(np.float64),
            score=rows.action.astype(np.float64),
            chain=rows.track.astype(np.intp),
        )
    )
    first = np.full(len(people.frame), len(row))
    np.minimum.at(first, row, np.arange(len(row)))
    return replace(
        rows.select(first),
        box=people.box.astype(np.float32),
        person=people.rank.astype(np.float32),
        action=people.score.astype(np.float32),
        track=people.chain.astype(np.int32),
    )
