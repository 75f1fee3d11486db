"""Truth and detections as large as AVA's validation set, made up: to measure evaluation with.

Nothing is rendered. People stand at random and do a few of AVA's 60 scored actions each, the
common ones far more often. A detector finds most of them a little beside their boxes, sees some
who are not there, and scores several actions for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.files.rows import write_text
from stadkit.labels import ava_scored
from stadkit.synth.chance import Rng

FIRST_SECOND, KEYFRAMES = 902, 897  # of each of AVA's videos, one a second
PEOPLE = 2.8  # a keyframe
MORE_ACTIONS = 0.79  # beyond the first, a person
SEEN = 0.93  # of the people
NOT_THERE = 0.83  # found, a keyframe
FEWEST_SCORES, MORE_SCORES = 4, 4  # a box
OFF = 0.06  # standard deviation of a found side, in widths and heights of its box

# AVA's most common ids, best first; the others follow by their numbers.
_COMMON = (80, 12, 79, 74, 11, 17, 14, 59, 8, 10, 5, 1, 65)
_FALL = 1.8  # the k-th action is k ** -1.8 as common as the first

_LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
_SCORES = [f",{score / 10_000:.4f}\n" for score in range(10_001)]


@dataclass(frozen=True)
class _People:
    """True or found people of one video."""

    keyframe: NDArray[np.int64]  # [n]     0 is the video's first
    box: NDArray[np.float64]  # [n, 4]  x1 y1 x2 y2, fractions
    does: NDArray[np.bool_]  # [n, c]  what they truly do


def write_ava_like(folder: Path, keyframes: int, seed: int) -> tuple[Path, Path]:
    """Write truth.csv and found.csv of this many keyframes into `folder`; the paths of both.

    57,408 keyframes are AVA's 64 validation videos: about 287 thousand rows of truth and 1.58
    million of detections. The same arguments give the same bytes.
    """
    truths, founds = [], []
    for video, start in enumerate(range(0, keyframes, KEYFRAMES)):
        rng = np.random.default_rng((seed, video))
        name = "".join(_LETTERS[rng.integers(len(_LETTERS), size=11)].tolist())
        people = _people(rng, min(KEYFRAMES, keyframes - start), PEOPLE)
        truths.append(_truth_lines(name, people))
        founds.append(
            _found_lines(name, _found(rng, people, min(KEYFRAMES, keyframes - start)), rng)
        )
    truth, found = folder / "truth.csv", folder / "found.csv"
    write_text(truth, truths)
    write_text(found, founds)
    return truth, found


def _common() -> NDArray[np.float64]:
    """How common each of the scored actions is [c], as logarithms."""
    ids = ava_scored().ids
    order = [*_COMMON, *(number for number in ids if number not in _COMMON)]
    place = np.array([order.index(number) + 1 for number in ids])
    return np.asarray(-_FALL * np.log(place), np.float64)


def _people(rng: Rng, keyframes: int, a_keyframe: float) -> _People:
    keyframe = np.repeat(np.arange(keyframes), rng.poisson(a_keyframe, keyframes))
    n = len(keyframe)
    size = rng.uniform((0.08, 0.3), (0.5, 0.95), (n, 2))
    corner = rng.random((n, 2)) * (1 - size)
    # The largest of log weights + Gumbel noise are draws without replacement by weight.
    draw = _common() + rng.gumbel(size=(n, len(_common())))
    does = _largest(draw, 1 + rng.poisson(MORE_ACTIONS, n))
    return _People(keyframe, np.column_stack([corner, corner + size]), does)


def _found(rng: Rng, people: _People, keyframes: int) -> _People:
    """Most of the people with their boxes a little off, and people who are not there."""
    seen = np.flatnonzero(rng.random(len(people.box)) < SEEN)
    box = people.box[seen]
    box = np.clip(box + np.tile(box[:, 2:] - box[:, :2], 2) * rng.normal(0, OFF, box.shape), 0, 1)
    false = _people(rng, keyframes, NOT_THERE)
    keyframe = np.concatenate([people.keyframe[seen], false.keyframe])
    order = np.argsort(keyframe, kind="stable")
    return _People(
        keyframe[order],
        np.concatenate([box, false.box])[order],
        np.concatenate([people.does[seen], np.zeros_like(false.does)])[order],
    )


def _largest(values: NDArray[np.float64], count: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which of the values [n, c] are the `count` [n] largest of their row."""
    rank = np.argsort(np.argsort(-values, axis=1), axis=1)
    return np.asarray(rank < count[:, None])


def _heads(video: str, people: _People) -> list[str]:
    """The text [n] of each row up to its action."""
    return [
        f"{video},{FIRST_SECOND + keyframe:04d},{x1:.3f},{y1:.3f},{x2:.3f},{y2:.3f},"
        for keyframe, (x1, y1, x2, y2) in zip(
            people.keyframe.tolist(), people.box.tolist(), strict=True
        )
    ]


def _truth_lines(video: str, people: _People) -> str:
    heads, ids = _heads(video, people), ava_scored().ids
    rows, columns = (each.tolist() for each in np.nonzero(people.does))
    return "".join([f"{heads[r]}{ids[c]},{r}\n" for r, c in zip(rows, columns, strict=True)])


def _found_lines(video: str, people: _People, rng: Rng) -> str:
    heads, ids = _heads(video, people), ava_scored().ids
    n = len(heads)
    # Common actions are scored higher, true ones higher still, and both with a large error.
    logit = 0.5 * _common() + rng.normal(0, 1.2, people.does.shape) + 2.5 * people.does
    scored = _largest(logit, FEWEST_SCORES + rng.poisson(MORE_SCORES, n))
    score = np.rint(10_000 / (1 + np.exp(0.5 - logit[scored]))).astype(np.int64).tolist()
    rows, columns = (each.tolist() for each in np.nonzero(scored))
    rows_of = zip(rows, columns, score, strict=True)
    return "".join([f"{heads[r]}{ids[c]}{_SCORES[s]}" for r, c, s in rows_of])
