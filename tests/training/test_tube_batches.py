"""Tubes and pixels are augmented alike."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from stadkit import zoo
from stadkit.models.targets import TubeTargets
from stadkit.training.augment import View, move_boxes, move_tubes
from stadkit.training.batches import Batch, Views, _targets, collate, loader, raise_errors
from stadkit.training.batches import EpochSampler as Sampler
from stadkit.training.config import AugmentConfig, PlaygroundSource
from stadkit.training.sources import Example, Playground
from stadkit.training.tubelets import ExampleTubes
from stadkit.video.clips import Clip

NAN = float("nan")
CARD = replace(zoo.card("mestad-tiny"), tubelet=True)


class Crossing:
    """One clip of 40 x 80 pixels, three frames: one moves right, one stands, one is far left.

    Each covers 20 x 20 pixels; the standing one is unknown in the last frame.
    """

    labels = CARD.classes

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Example:
        left = np.array([[10, 30, 50], [40, 40, 0], [0, 0, 0]], np.float32)
        box = np.stack([left, 0 * left, left + 20, 0 * left + 20], -1) / [80, 40, 80, 40]
        there = np.array([[1, 1, 1], [1, 1, NAN], [1, 0, 0]], np.float32)
        action = np.array([[1, 0], [0, 1], [1, 1]], np.float32)
        clip = Clip("a", np.zeros((3, 40, 80, 3), np.uint8), 0.0, np.zeros(3), (40, 80))
        tubes = ExampleTubes(box.astype(np.float32), there, action)
        return Example(clip, box[:, 1].astype(np.float32), action, tubes=tubes)


def seen(left: int, width: int, min_visible: float) -> TubeTargets:
    view = View(np.array([[1, 0, -left], [0, 1, 0]], np.float32), (40, width), (40, width))
    targets = _targets(Crossing()[0], view, min_visible)
    assert isinstance(targets, TubeTargets)
    return targets


def test_cropped_people_are_absent_and_always_absent_ones_dropped() -> None:
    """Columns 20 to 60 are visible: half, all and half of the first person."""
    targets = seen(20, 40, 0.6)
    wanted = np.array([[0, 1, 0], [1, 1, NAN]])
    assert np.array_equal(targets.there, wanted, equal_nan=True)
    assert targets.box[0, 1].tolist() == [10, 0, 30, 20]
    assert targets.box[1, :2].tolist() == 2 * [[20, 0, 40, 20]]
    assert targets.action.tolist() == [[1, 0], [0, 1]]
    half = seen(20, 40, 0.4)
    assert half.there[0].tolist() == [1, 1, 1]
    assert half.box[0].tolist() == [[0, 0, 10, 20], [10, 0, 30, 20], [30, 0, 40, 20]]
    empty = seen(75, 5, 0.4)
    assert empty.box.shape == (0, 3, 4)


def test_tubes_move_as_boxes_do() -> None:
    dice = np.random.default_rng(0)
    corner = dice.uniform(0, 40, (5, 3, 2))
    box = np.concatenate([corner, corner + dice.uniform(5, 30, (5, 3, 2))], -1).astype(np.float32)
    view = View(np.array([[-0.8, 0, 50], [0, 1.1, -5]], np.float32), (40, 40), (40, 40))
    moved, stays = move_tubes(box, view, 0.5)
    for t in range(3):
        by_frame = move_boxes(box[:, t], view, 0.5)
        assert np.array_equal(moved[:, t], by_frame[0])
        assert np.array_equal(stays[:, t], by_frame[1])
    assert 0 < stays.sum() < 15


def test_all_frames_are_mirrored_and_scaled_together() -> None:
    augment = AugmentConfig(short_side=(80, 80), crop=None, flip=1.0)
    batch = collate([Views(Crossing(), augment, 3)[0, 0]])
    assert isinstance(batch, Batch)
    (targets,) = batch.targets
    assert isinstance(targets, TubeTargets)
    # 160 pixels wide, twice as large: from 10..30 to 100..140.
    lefts = [[100, 60, 20], [40, 40], [120]]
    for person, left in enumerate(lefts):
        assert targets.box[person, : len(left), 0].tolist() == left
        assert targets.box[person, : len(left), 2].tolist() == [x + 40 for x in left]


def test_batches_of_tubes_keep_all_fields(tmp_path: Path) -> None:
    source = Playground(PlaygroundSource(clips=2, seed=9, height=48, width=64), CARD, tmp_path)
    views = Views(source, AugmentConfig(short_side=(30, 40), crop=(24, 32)), 5)
    (batch,) = raise_errors(loader(views, Sampler(2, 2, seed=0), workers=0))
    assert sum(len(targets.box) for targets in batch.targets) > 0
    for targets in batch.targets:
        assert isinstance(targets, TubeTargets)
        assert targets.box.dtype == targets.there.dtype == targets.action.dtype == torch.float32
        assert targets.box.shape == (len(targets.action), 8, 4)
    (moved, _) = batch.to(torch.device("meta")).targets
    assert isinstance(moved, TubeTargets)
    assert {column.device.type for column in vars(moved).values()} == {"meta"}
