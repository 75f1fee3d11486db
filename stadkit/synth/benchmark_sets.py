"""Made-up tables as large as real data sets, to measure speed with.

Videos full of people without pictures: to measure how fast linking is.

Tubes in the shape of UCF101-24's, without pictures: to measure how fast video mAP is.

Truth and detections as large as AVA's validation set, made up: to measure evaluation with.

Nothing is rendered. People stand at random and do a few of AVA's 60 scored actions each, the
common ones far more often. A detector finds most of them a little beside their boxes, sees some
who are not there, and scores several actions for each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections
from stadkit.files.rows import write_text
from stadkit.labels import ava_scored
from stadkit.synth.draws import Rng
from stadkit.tubes import Tubes

RATE = 25.0  # frames a second
SIZE = (240, 320)  # height, width in pixels
CLASSES = tuple(f"class {c}" for c in range(24))
FRAMES = (100, 241)  # of a video: 170 on average
Sizes = dict[str, tuple[int, int]]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
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


def crowd(videos: int, frames: int, people: int, classes: int, seed: int) -> Detections:
    """True people at every frame; the same for the same seed. Rows by video, frame and person.

    Each drifts once through the picture, and does one class after the other, a second and more
    of each.
    """
    rng = np.random.default_rng(seed)
    size = rng.uniform((0.08, 0.2), (0.2, 0.5), (videos, 1, people, 2))
    start, end = (rng.random((videos, 1, people, 2)) * (1 - size) for _ in range(2))
    along = np.linspace(0, 1, frames)[:, None, None]
    corner = start + (end - start) * along
    first = rng.integers(0, classes, (videos, 1, people))
    lasts = rng.integers(25, 75, (videos, 1, people))
    doing = (first + np.arange(frames)[:, None] // lasts) % classes
    n = videos * frames * people
    return Detections(
        video=np.repeat([f"crowd-{v:04d}" for v in range(videos)], frames * people),
        time=np.tile(np.repeat(np.arange(frames) / RATE, people), videos),
        box=np.concatenate([corner, corner + size], 3).reshape(n, 4).astype(np.float32),
        person=np.ones(n, np.float32),
        action=np.eye(classes, dtype=np.float32)[doing.ravel()],
        track=np.tile(np.arange(people, dtype=np.int32), videos * frames),
        classes=tuple(f"class {c}" for c in range(classes)),
    )


def ucf_like(videos: int, tubes: int, seed: int) -> tuple[Tubes, Tubes, Sizes]:
    """Found and true tubes and the videos' height and width; the same for the same seed.

    Each video has one class and one or two true tubes. Of the `tubes` found in it the first four
    follow the true ones, half of the others have the video's class and half any.
    """
    rng = np.random.default_rng(seed)
    frames = rng.integers(*FRAMES, videos)
    of_truth = np.repeat(np.arange(videos), rng.integers(1, 3, videos))
    span = _spans(rng, frames[of_truth])
    truth = _tubes(rng, of_truth, of_truth % len(CLASSES), span, np.ones(len(of_truth)))
    of_found = np.repeat(np.arange(videos), tubes)
    place = np.tile(np.arange(tubes), videos)
    label = np.where(rng.random(len(place)) < 0.5, of_found, rng.integers(0, 24, len(place))) % 24
    wrong = _tubes(rng, of_found, label, _spans(rng, frames[of_found]), rng.random(len(place)) / 2)
    first = np.searchsorted(of_truth, np.arange(videos))
    model = first[of_found] + place % np.bincount(of_truth, minlength=videos)[of_found]
    near = _jittered(rng, truth.select(model[place < 4]))
    # A stable sort by video puts what follows the truth before the rest.
    joined = Tubes.join([near, wrong.select(place >= 4)], CLASSES)
    found = joined.select(np.argsort(joined.video, kind="stable"))
    return found, truth, dict.fromkeys(np.unique(found.video).tolist(), SIZE)


def _spans(rng: np.random.Generator, frames: Ints) -> tuple[Ints, Ints]:
    """First frame and number of frames [n]: from a half to the whole of a video."""
    count = (frames * rng.uniform(0.5, 1, len(frames))).astype(np.int64)
    return (rng.random(len(frames)) * (frames - count)).astype(np.int64), count


def _tubes(
    rng: np.random.Generator, video: Ints, label: Ints, span: tuple[Ints, Ints], score: Floats
) -> Tubes:
    """Boxes that drift through the picture, a tube for each video number [n]."""
    first, count = span
    start = np.append(0, np.cumsum(count))
    owner = np.repeat(np.arange(len(video)), count)
    step = np.arange(start[-1]) - start[owner]
    side = rng.uniform([0.08, 0.2], [0.3, 0.6], (len(video), 2))
    corner, goal = (rng.random((len(video), 2)) * (1 - side) for _ in range(2))
    low = corner[owner] + (goal - corner)[owner] * (step / count[owner])[:, None]
    n, t = len(video), len(owner)
    return Tubes(
        video=np.array([f"v_{v:04d}" for v in video.tolist()], np.str_),
        label=label.astype(np.int32),
        score=score,
        track=np.full(n, -1, np.int32),
        start=start,
        time=(first[owner] + step) / RATE,
        box=np.concatenate([low, low + side[owner]], 1),
        box_score=score[owner],
        interpolated=np.zeros(t, np.bool_),
        classes=CLASSES,
    )


def _jittered(rng: np.random.Generator, tubes: Tubes) -> Tubes:
    """The same tubes, scored 0.5 and up, moved by some pixels, each box by one more or less."""
    moved = rng.normal(0, 0.01, (len(tubes), 4))[tubes.owner]
    box = tubes.box + moved + rng.normal(0, 0.003, tubes.box.shape)
    score = 0.5 + rng.random(len(tubes)) / 2
    return replace(tubes, box=box, score=score, box_score=score[tubes.owner])


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
