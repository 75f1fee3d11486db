"""Simulated detections from ground truth: jittered boxes, missed people, false positives.

Nothing is rendered and no model runs. Used to evaluate linking, as the true tubes are known.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, Keyframes, milliseconds, number_frames
from stadkit.synth.draws import Rng

# Beta distributions of the scores, and their means.
TRUE_CLASS, OTHER_CLASS = (6, 2), (1, 8)  # 0.75 and 0.11
PERSON, FALSE_BOX = (8, 2), (2, 4)  # 0.80 and 0.33

Floats32 = NDArray[np.float32]


def degrade(
    truth: Detections,
    every: float,
    seed: int,
    jitter: float = 0.03,
    miss: float = 0.35,
    false: float = 0.05,
) -> tuple[Detections, Keyframes]:
    """Simulate detections at keyframes every `every` seconds; returns them and the keyframes.

    Reproducible by seed. `truth` is dense. Keyframes run from 0 to the last time of each video;
    rows at other times are ignored. Each side of a box is moved by normal noise of `jitter` widths
    or heights of the box. Each person is missed independently with probability `miss`. False
    boxes, `false` times as many as true people, have random keyframes and positions, the sizes of
    true people and a high score in one random class. Tracks are -1; people of a keyframe are
    ordered by score, best first.
    """
    rng = np.random.default_rng(seed)
    keyframes = _keyframes(truth, every)
    frame, keyframe_ids = number_frames(truth, keyframes)
    at_keyframes = truth.select(np.isin(frame, keyframe_ids))
    people = _with_scores(
        rng, replace(at_keyframes, box=_jittered(rng, at_keyframes.box, jitter)), PERSON, TRUE_CLASS
    )
    found = people.select(rng.random(len(at_keyframes)) >= miss)
    wrong = _with_scores(
        rng, _false_boxes(rng, at_keyframes, keyframes, false), FALSE_BOX, FALSE_BOX
    )
    both = Detections.join([found, wrong], truth.classes)
    (frame,) = number_frames(both)
    return both.select(np.lexsort((-both.person, frame))), keyframes


def _keyframes(truth: Detections, every: float) -> Keyframes:
    """0, every, 2 * every, ... up to the last time of each video; ValueError if every <= 0."""
    if not every > 0:
        raise ValueError(f"every is {every}, wants seconds above 0")
    videos, video = np.unique(truth.video, return_inverse=True)
    last = np.zeros(len(videos))
    np.maximum.at(last, video, truth.time)
    count = np.floor((last + 0.0005) / every).astype(np.int64) + 1
    step = np.concatenate([np.zeros(0, np.int64), *(np.arange(n) for n in count.tolist())])
    return Keyframes(np.repeat(videos, count), milliseconds(step * every) / 1000)


def _jittered(rng: Rng, box: Floats32, jitter: float) -> Floats32:
    """Jitter the sides of boxes [n, 4] and clip them to the frame; none becomes empty."""
    size = np.tile(box[:, 2:] - box[:, :2], 2)
    moved = np.clip(box + size * rng.normal(0, jitter, box.shape), 0, 1).reshape(-1, 2, 2)
    moved.sort(axis=1)
    flat = np.min(moved[:, 1] - moved[:, 0], axis=1, keepdims=True) < 1e-3
    return np.where(flat, box, moved.reshape(-1, 4).astype(np.float32))


def _false_boxes(rng: Rng, people: Detections, keyframes: Keyframes, share: float) -> Detections:
    """False boxes of one class each at random keyframes, `share` times as many as `people`."""
    number, c = round(share * len(people)), len(people.classes)
    when = rng.integers(0, max(len(keyframes), 1), number)
    source = people.select(rng.integers(0, max(len(people), 1), number))
    size = np.minimum(source.box[:, 2:] - source.box[:, :2], 1)
    corner = (rng.random((number, 2)) * (1 - size)).astype(np.float32)
    action = np.arange(c) == rng.integers(0, max(c, 1), number)[:, None]
    return replace(
        source,
        video=keyframes.video[when],
        time=keyframes.time[when],
        box=np.concatenate([corner, corner + size], 1),
        action=action.astype(np.float32),
    )


def _with_scores(
    rng: Rng, table: Detections, person: tuple[float, float], true_class: tuple[float, float]
) -> Detections:
    """The rows with scores drawn from these Beta distributions, and no tracks."""
    shape = table.action.shape
    score = np.where(
        table.action > 0.5, rng.beta(*true_class, shape), rng.beta(*OTHER_CLASS, shape)
    )
    return replace(
        table,
        person=rng.beta(*person, len(table)).astype(np.float32),
        action=score.astype(np.float32),
        track=np.full(len(table), -1, np.int32),
    )
