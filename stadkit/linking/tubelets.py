"""Tubelets, short tracks that a model gives, joined where they overlap in time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stadkit import boxes
from stadkit.arrays import Rows
from stadkit.detections import Detections, milliseconds
from stadkit.linking.association import Floats

SAME = 0.5  # mean IoU in the common frames of two tubelets of one person


@dataclass(frozen=True)
class Sights:
    """Who was seen where: p people, in the order of frames."""

    frame: Rows  # [p]
    box: Floats  # [p, 4]
    rank: Floats  # [p]  the higher, the surer
    score: Floats  # [p, c]
    chain: Rows  # [p]  the tubelets it comes from; -1: none

    def select(self, rows: Rows) -> Sights:
        """Some of them."""
        return Sights(
            self.frame[rows], self.box[rows], self.rank[rows], self.score[rows], self.chain[rows]
        )


def chained(sights: Sights) -> tuple[Sights, Rows]:
    """Tubelets (in `chain`) in longer chains, each once a frame, and the new row [p] of each row.

    A tubelet goes on from the one that began before it, ends latest and shares most of its
    place, on average over their common frames. Where several tubelets of a chain tell of one
    frame, box, rank and scores are their means.
    """
    if (sights.chain < 0).all():
        return sights, np.arange(len(sights.frame))
    sights, of_row = _once(sights)
    tubelet = np.unique(sights.chain, return_inverse=True)[1] - int((sights.chain < 0).any())
    chain = np.where(tubelet >= 0, _chains(sights, tubelet)[tubelet], -1)
    alone = np.where(chain < 0, np.arange(len(chain)), -1)
    key = np.stack([sights.frame, chain, alone], 1)
    first, row, count = np.unique(
        key, axis=0, return_index=True, return_inverse=True, return_counts=True
    )[1:]
    row = row.reshape(-1)
    merged = Sights(
        frame=sights.frame[first],
        box=_means(sights.box, row, count),
        rank=_means(sights.rank[:, None], row, count)[:, 0],
        score=_means(sights.score, row, count),
        chain=chain[first],
    )
    return merged, row[of_row]


def _once(sights: Sights) -> tuple[Sights, Rows]:
    """Each tubelet once a frame, where its best row tells, with the largest scores of all."""
    alone = np.where(sights.chain < 0, np.arange(len(sights.chain)), -1)
    key = np.stack([sights.frame, sights.chain, alone], 1)
    best = np.lexsort((-sights.rank, alone, sights.chain, sights.frame))
    _, first, row = np.unique(key[best], axis=0, return_index=True, return_inverse=True)
    of_row = np.empty(len(best), np.intp)
    of_row[best] = row.reshape(-1)
    score = np.full((len(first), sights.score.shape[1]), -np.inf)
    np.maximum.at(score, of_row, sights.score)
    return replace(sights.select(best[first]), score=score), of_row


def _means(values: Floats, row: Rows, count: Rows) -> Floats:
    total = np.zeros((len(count), values.shape[1]))
    np.add.at(total, row, values)
    return np.asarray(total / count[:, None])


def _chains(sights: Sights, tubelet: Rows) -> Rows:
    """The chain of each tubelet; tubelet [p], -1 for rows of none."""
    order = np.lexsort((sights.frame, tubelet))
    order = order[tubelet[order] >= 0]
    parts = np.split(order, np.flatnonzero(np.diff(tubelet[order])) + 1)
    begins = np.array([sights.frame[rows[0]] for rows in parts])
    chain = np.full(len(parts), -1, np.intp)
    last: dict[int, Rows] = {}  # the rows of the tubelet that each chain ends with
    for begin in np.unique(begins).tolist():
        fresh = np.flatnonzero(begins == begin)
        last = {c: rows for c, rows in last.items() if sights.frame[rows[-1]] >= begin}
        going = list(last)
        for c, t in _pairs(sights, [last[c] for c in going], [parts[t] for t in fresh.tolist()]):
            chain[fresh[t]] = going[c]
        for t in fresh.tolist():
            if chain[t] < 0:
                chain[t] = chain.max(initial=-1) + 1
            now, old = parts[t], last.get(int(chain[t]))
            if old is None or sights.frame[now[-1]] >= sights.frame[old[-1]]:
                last[int(chain[t])] = now
    return chain


def _pairs(sights: Sights, old: list[Rows], new: list[Rows]) -> list[tuple[int, int]]:
    """Which of the old tubelets goes on as which of the new ones."""
    from scipy.optimize import linear_sum_assignment

    if not old:
        return []
    shared = np.array([[_shared(sights, a, b) for b in new] for a in old])
    rows, columns = linear_sum_assignment(-shared)
    return [
        (i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if shared[i, j] >= SAME
    ]


def _shared(sights: Sights, a: Rows, b: Rows) -> float:
    """Mean IoU in the common frames; 0 where there are none."""
    _, i, j = np.intersect1d(sights.frame[a], sights.frame[b], return_indices=True)
    if not len(i):
        return 0.0
    return float(np.diag(boxes.iou(sights.box[a[i]], sights.box[b[j]])).mean())


def joined(found: Detections) -> Detections:
    """Tubelets of one video put together where they overlap in time and place.

    Rows that share a `track` of 0 or more are one tubelet. Afterwards all those of one person
    share a track, each frame once: box and scores are the means of the tubelets that tell of it.
    By time, then track. Scores must be known: NaN stays only where no tubelet has a number.
    """
    frame = np.unique(milliseconds(found.time), return_inverse=True)[1].reshape(-1)
    order = np.lexsort((found.track, frame))
    given = found.select(order)
    sights, row = chained(
        Sights(
            frame=frame[order],
            box=given.box.astype(np.float64),
            rank=given.person.astype(np.float64),
            score=given.action.astype(np.float64),
            chain=given.track.astype(np.intp),
        )
    )
    first = np.full(len(sights.frame), len(row))
    np.minimum.at(first, row, np.arange(len(row)))
    return replace(
        given.select(first),
        box=sights.box.astype(np.float32),
        person=sights.rank.astype(np.float32),
        action=sights.score.astype(np.float32),
        track=sights.chain.astype(np.int32),
    )
