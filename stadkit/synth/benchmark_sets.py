"""Synthetic tables of the size of real data sets, for speed benchmarks; nothing is rendered.

- `crowd`: videos full of people, for linking.
- `ucf_like`: tubes in the shape of UCF101-24's, for video mAP.
- `write_ava_like`: truth and detections of the size of AVA's validation set, for frame mAP. People
  have random boxes and a few of AVA's 60 scored actions each, with realistic class imbalance. The
  detector finds most of them with jittered boxes, adds false positives, and scores several actions
  per box.
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

RATE = 25.0  # frames per second
SIZE = (240, 320)  # height, width in pixels
CLASSES = tuple(f"class {c}" for c in range(24))
FRAMES = (100, 241)  # per video: 170 on average
Sizes = dict[str, tuple[int, int]]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FIRST_SECOND, KEYFRAMES = 902, 897  # of each AVA video, one keyframe per second
PEOPLE_PER_KEYFRAME = 2.8
EXTRA_ACTIONS = 0.79  # mean per person, beyond the first
RECALL = 0.93
FALSE_PER_KEYFRAME = 0.83
MIN_SCORES, EXTRA_SCORES = 4, 4  # per box
BOX_NOISE = 0.06  # standard deviation of a detected side, in widths and heights of its box
# AVA's most frequent ids in order; the others follow by number.
_FREQUENT_IDS = (80, 12, 79, 74, 11, 17, 14, 59, 8, 10, 5, 1, 65)
_ZIPF_EXPONENT = 1.8  # the k-th action is k ** -1.8 times as frequent as the first
_LETTERS = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
_SCORE_SUFFIXES = [f",{score / 10_000:.4f}\n" for score in range(10_001)]


def crowd(videos: int, frames: int, people: int, classes: int, seed: int) -> Detections:
    """Ground truth people at every frame, reproducible by seed; rows by video, frame and person.

    Each person drifts once through the frame and performs one class after another, for at least a
    second each.
    """
    rng = np.random.default_rng(seed)
    size = rng.uniform((0.08, 0.2), (0.2, 0.5), (videos, 1, people, 2))
    start, end = (rng.random((videos, 1, people, 2)) * (1 - size) for _ in range(2))
    along = np.linspace(0, 1, frames)[:, None, None]
    corner = start + (end - start) * along
    first = rng.integers(0, classes, (videos, 1, people))
    duration = rng.integers(25, 75, (videos, 1, people))
    label = (first + np.arange(frames)[:, None] // duration) % classes
    n = videos * frames * people
    return Detections(
        video=np.repeat([f"crowd-{v:04d}" for v in range(videos)], frames * people),
        time=np.tile(np.repeat(np.arange(frames) / RATE, people), videos),
        box=np.concatenate([corner, corner + size], 3).reshape(n, 4).astype(np.float32),
        person=np.ones(n, np.float32),
        action=np.eye(classes, dtype=np.float32)[label.ravel()],
        track=np.tile(np.arange(people, dtype=np.int32), videos * frames),
        classes=tuple(f"class {c}" for c in range(classes)),
    )


def ucf_like(videos: int, tubes: int, seed: int) -> tuple[Tubes, Tubes, Sizes]:
    """Detected and true tubes and the videos' (height, width), reproducible by seed.

    Each video has one class and one or two true tubes. Of its `tubes` detected tubes the first four
    follow the true ones; half of the others have the video's class and half a random one.
    """
    rng = np.random.default_rng(seed)
    frames = rng.integers(*FRAMES, videos)
    truth_video = np.repeat(np.arange(videos), rng.integers(1, 3, videos))
    span = _spans(rng, frames[truth_video])
    truth = _tubes(rng, truth_video, truth_video % len(CLASSES), span, np.ones(len(truth_video)))
    found_video = np.repeat(np.arange(videos), tubes)
    rank = np.tile(np.arange(tubes), videos)
    label = np.where(rng.random(len(rank)) < 0.5, found_video, rng.integers(0, 24, len(rank))) % 24
    random_tubes = _tubes(
        rng, found_video, label, _spans(rng, frames[found_video]), rng.random(len(rank)) / 2
    )
    first = np.searchsorted(truth_video, np.arange(videos))
    followed = first[found_video] + rank % np.bincount(truth_video, minlength=videos)[found_video]
    jittered = _jittered(rng, truth.select(followed[rank < 4]))
    # A stable sort by video puts tubes that follow the truth first.
    joined = Tubes.join([jittered, random_tubes.select(rank >= 4)], CLASSES)
    found = joined.select(np.argsort(joined.video, kind="stable"))
    return found, truth, dict.fromkeys(np.unique(found.video).tolist(), SIZE)


def _spans(rng: np.random.Generator, frames: Ints) -> tuple[Ints, Ints]:
    """First frame and number of frames [n], from half to all of a video."""
    count = (frames * rng.uniform(0.5, 1, len(frames))).astype(np.int64)
    return (rng.random(len(frames)) * (frames - count)).astype(np.int64), count


def _tubes(
    rng: np.random.Generator, video: Ints, label: Ints, span: tuple[Ints, Ints], score: Floats
) -> Tubes:
    """Tubes of drifting boxes, one for each video number [n]."""
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
    """The tubes with scores from 0.5 up, shifted by some pixels, and each box by about one more."""
    moved = rng.normal(0, 0.01, (len(tubes), 4))[tubes.owner]
    box = tubes.box + moved + rng.normal(0, 0.003, tubes.box.shape)
    score = 0.5 + rng.random(len(tubes)) / 2
    return replace(tubes, box=box, score=score, box_score=score[tubes.owner])


@dataclass(frozen=True)
class _People:
    """True or detected people of one video."""

    keyframe: NDArray[np.int64]  # [n]     index in the video
    box: NDArray[np.float64]  # [n, 4]  x1 y1 x2 y2, fractions
    action: NDArray[np.bool_]  # [n, c]  true actions


def write_ava_like(folder: Path, keyframes: int, seed: int) -> tuple[Path, Path]:
    """Write truth.csv and found.csv with this many keyframes to `folder`; returns both paths.

    57,408 keyframes are AVA's 64 validation videos: about 287 thousand rows of truth and 1.58
    million detections. Equal arguments give identical bytes.
    """
    truths, founds = [], []
    for video, start in enumerate(range(0, keyframes, KEYFRAMES)):
        rng = np.random.default_rng((seed, video))
        name = "".join(_LETTERS[rng.integers(len(_LETTERS), size=11)].tolist())
        people = _people(rng, min(KEYFRAMES, keyframes - start), PEOPLE_PER_KEYFRAME)
        truths.append(_truth_lines(name, people))
        founds.append(
            _found_lines(name, _detect(rng, people, min(KEYFRAMES, keyframes - start)), rng)
        )
    truth, found = folder / "truth.csv", folder / "found.csv"
    write_text(truth, truths)
    write_text(found, founds)
    return truth, found


def _log_frequency() -> NDArray[np.float64]:
    """Log frequency of each scored action [c]."""
    ids = ava_scored().ids
    order = [*_FREQUENT_IDS, *(number for number in ids if number not in _FREQUENT_IDS)]
    rank = np.array([order.index(number) + 1 for number in ids])
    return np.asarray(-_ZIPF_EXPONENT * np.log(rank), np.float64)


def _people(rng: Rng, keyframes: int, per_keyframe: float) -> _People:
    keyframe = np.repeat(np.arange(keyframes), rng.poisson(per_keyframe, keyframes))
    n = len(keyframe)
    size = rng.uniform((0.08, 0.3), (0.5, 0.95), (n, 2))
    corner = rng.random((n, 2)) * (1 - size)
    # Gumbel top-k: the largest log weights + Gumbel noise sample without replacement.
    draw = _log_frequency() + rng.gumbel(size=(n, len(_log_frequency())))
    action = _largest(draw, 1 + rng.poisson(EXTRA_ACTIONS, n))
    return _People(keyframe, np.column_stack([corner, corner + size]), action)


def _detect(rng: Rng, people: _People, keyframes: int) -> _People:
    """Detections: most of the people with jittered boxes, and false positives."""
    detected = np.flatnonzero(rng.random(len(people.box)) < RECALL)
    box = people.box[detected]
    box = np.clip(
        box + np.tile(box[:, 2:] - box[:, :2], 2) * rng.normal(0, BOX_NOISE, box.shape), 0, 1
    )
    false_people = _people(rng, keyframes, FALSE_PER_KEYFRAME)
    keyframe = np.concatenate([people.keyframe[detected], false_people.keyframe])
    order = np.argsort(keyframe, kind="stable")
    return _People(
        keyframe[order],
        np.concatenate([box, false_people.box])[order],
        np.concatenate([people.action[detected], np.zeros_like(false_people.action)])[order],
    )


def _largest(values: NDArray[np.float64], count: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Mask [n, c] of the `count` [n] largest values of each row."""
    rank = np.argsort(np.argsort(-values, axis=1), axis=1)
    return np.asarray(rank < count[:, None])


def _row_prefixes(video: str, people: _People) -> list[str]:
    """The CSV text [n] of each row up to the action."""
    return [
        f"{video},{FIRST_SECOND + keyframe:04d},{x1:.3f},{y1:.3f},{x2:.3f},{y2:.3f},"
        for keyframe, (x1, y1, x2, y2) in zip(
            people.keyframe.tolist(), people.box.tolist(), strict=True
        )
    ]


def _truth_lines(video: str, people: _People) -> str:
    prefixes, ids = _row_prefixes(video, people), ava_scored().ids
    rows, columns = (axis.tolist() for axis in np.nonzero(people.action))
    return "".join([f"{prefixes[r]}{ids[c]},{r}\n" for r, c in zip(rows, columns, strict=True)])


def _found_lines(video: str, people: _People, rng: Rng) -> str:
    prefixes, ids = _row_prefixes(video, people), ava_scored().ids
    n = len(prefixes)
    # Frequent actions score higher, true ones higher still, both with large noise.
    logit = 0.5 * _log_frequency() + rng.normal(0, 1.2, people.action.shape) + 2.5 * people.action
    scored = _largest(logit, MIN_SCORES + rng.poisson(EXTRA_SCORES, n))
    score = np.rint(10_000 / (1 + np.exp(0.5 - logit[scored]))).astype(np.int64).tolist()
    rows, columns = (axis.tolist() for axis in np.nonzero(scored))
    entries = zip(rows, columns, score, strict=True)
    return "".join([f"{prefixes[r]}{ids[c]}{_SCORE_SUFFIXES[s]}" for r, c, s in entries])
