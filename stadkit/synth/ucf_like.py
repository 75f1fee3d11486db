"""Tubes in the shape of UCF101-24's, without pictures: to measure how fast video mAP is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stadkit.tubes import Tubes

RATE = 25.0  # frames a second
SIZE = (240, 320)  # height, width in pixels
CLASSES = tuple(f"class {c}" for c in range(24))
FRAMES = (100, 241)  # of a video: 170 on average

Sizes = dict[str, tuple[int, int]]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


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
