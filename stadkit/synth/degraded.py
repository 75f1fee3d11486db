"""Truth made into what a fair detector would have found: boxes off, people missed, false ones.

Nothing is rendered and no model runs. Linking is measured with it, as the true tubes are known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, Keyframes, milliseconds, number_frames
from stadkit.synth.draws import Rng

# Beta distributions of the scores.
RIGHT, WRONG = (6, 2), (1, 8)  # of a class that a person does, and does not do: .75 and .11
PERSON, NOBODY = (8, 2), (2, 4)  # of a person, and of a false box: .80 and .33

Floats32 = NDArray[np.float32]


def degrade(
    truth: Detections,
    every: float,
    seed: int,
    jitter: float = 0.03,
    miss: float = 0.35,
    false: float = 0.05,
) -> tuple[Detections, Keyframes]:
    """Detections at keyframes `every` seconds, and all these keyframes; the same for a seed.

    `truth` is dense. Keyframes go from 0 to its last time in each video; its rows at other times
    are passed over. Each side of a box moves by a normal of `jitter` widths or heights of the
    box. Each person is missed by a chance of `miss`, whatever else is. Then there are
    `false` times as many boxes of nobody as there are true people, at any keyframe and place, of
    true people's sizes, scored high in one class by chance. Tracks are -1; people of a keyframe
    come by their score, best first.
    """
    rng = np.random.default_rng(seed)
    keyframes = _keyframes(truth, every)
    frame, looked_at = number_frames(truth, keyframes)
    there = truth.select(np.isin(frame, looked_at))
    people = _scored(rng, replace(there, box=_moved(rng, there.box, jitter)), PERSON, RIGHT)
    seen = people.select(rng.random(len(there)) >= miss)
    nobody = _scored(rng, _nobody(rng, there, keyframes, false), NOBODY, NOBODY)
    both = Detections.join([seen, nobody], truth.classes)
    (frame,) = number_frames(both)
    return both.select(np.lexsort((-both.person, frame))), keyframes


def _keyframes(truth: Detections, every: float) -> Keyframes:
    """0, every, 2 every, ... to the last time of each video; raises ValueError if every <= 0."""
    if not every > 0:
        raise ValueError(f"every is {every}, wants seconds above 0")
    videos, video = np.unique(truth.video, return_inverse=True)
    last = np.zeros(len(videos))
    np.maximum.at(last, video, truth.time)
    count = np.floor((last + 0.0005) / every).astype(np.int64) + 1
    step = np.concatenate([np.zeros(0, np.int64), *(np.arange(n) for n in count.tolist())])
    return Keyframes(np.repeat(videos, count), milliseconds(step * every) / 1000)


def _moved(rng: Rng, box: Floats32, jitter: float) -> Floats32:
    """Boxes [n, 4] with each side moved, cut to the frame; none is left without area."""
    size = np.tile(box[:, 2:] - box[:, :2], 2)
    moved = np.clip(box + size * rng.normal(0, jitter, box.shape), 0, 1).reshape(-1, 2, 2)
    moved.sort(axis=1)
    flat = np.min(moved[:, 1] - moved[:, 0], axis=1, keepdims=True) < 1e-3
    return np.where(flat, box, moved.reshape(-1, 4).astype(np.float32))


def _nobody(rng: Rng, there: Detections, keyframes: Keyframes, share: float) -> Detections:
    """False boxes at keyframes by chance, `share` times as many as `there`; each does one class."""
    number, c = round(share * len(there)), len(there.classes)
    when = rng.integers(0, max(len(keyframes), 1), number)
    model = there.select(rng.integers(0, max(len(there), 1), number))
    size = np.minimum(model.box[:, 2:] - model.box[:, :2], 1)
    corner = (rng.random((number, 2)) * (1 - size)).astype(np.float32)
    does = np.arange(c) == rng.integers(0, max(c, 1), number)[:, None]
    return replace(
        model,
        video=keyframes.video[when],
        time=keyframes.time[when],
        box=np.concatenate([corner, corner + size], 1),
        action=does.astype(np.float32),
    )


def _scored(
    rng: Rng, table: Detections, person: tuple[float, float], right: tuple[float, float]
) -> Detections:
    """The same rows with a detector's scores, by these Beta distributions, and no tracks."""
    shape = table.action.shape
    score = np.where(table.action > 0.5, rng.beta(*right, shape), rng.beta(*WRONG, shape))
    return replace(
        table,
        person=rng.beta(*person, len(table)).astype(np.float32),
        action=score.astype(np.float32),
        track=np.full(len(table), -1, np.int32),
    )
