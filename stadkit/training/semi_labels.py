"""Targets for unlabelled clips: the teacher's people, labelled from the keyframes around."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stadkit import tla
from stadkit.arrays import offsets
from stadkit.detections import Detections
from stadkit.models.targets import Targets
from stadkit.tla.assignment import Floats, assign_labels
from stadkit.tla.baselines import by_overlap, fit_thresholds, over_class_thresholds, over_threshold
from stadkit.tla.block import FrameBlock, People
from stadkit.tla.options import FROM_SCORES
from stadkit.training.batches import Batch
from stadkit.training.config import SemiConfig


def pseudo_targets(
    found: Sequence[Detections], batch: Batch, semi: SemiConfig, thresholds: Floats | None = None
) -> list[Targets]:
    """The teacher's boxes, labelled from each clip's candidates, which are the targets of `batch`.

    People without a label have NaN actions, which give no action loss: those assigned to background
    and all in a clip without candidates. Clips without detections have no targets. thresholds [C]:
    from `class_thresholds`, for the strategy "per-class".
    """
    labels = _labels(_block(found, _truth([batch])), semi, thresholds)
    sizes = _sizes(batch)
    ends = np.cumsum([len(table) for table in found])[:-1]
    return [
        Targets(
            box=torch.from_numpy((table.box * size).astype(np.float32)).to(batch.pixels.device),
            action=torch.from_numpy(label).to(batch.pixels.device),
        )
        for table, size, label in zip(found, sizes, np.split(labels, ends), strict=True)
    ]


def class_thresholds(found: Sequence[Detections], batches: Sequence[Batch]) -> Floats:
    """The threshold [C] with the best F1 of each class, for the people found in labelled clips.

    NaN where no threshold separates the class, and for all classes without any people found.
    """
    people, truth = _found(found), _truth(batches)
    if not len(people.row):
        return np.full(truth.score.shape[1], np.nan)
    return fit_thresholds(people, truth)


def _sizes(batch: Batch) -> NDArray[np.float64]:
    """Width, height, width, height of each clip [B, 4]."""
    return batch.sizes.cpu().numpy()[:, [1, 0, 1, 0]].astype(np.float64)


def _truth(batches: Sequence[Batch]) -> People:
    """The people in the targets by clip; boxes in fractions of the clip's size."""
    boxes, actions = [], []
    for batch in batches:
        targets = [t for t in batch.targets if isinstance(t, Targets)]
        for target, size in zip(targets, _sizes(batch), strict=True):
            boxes.append(target.box.cpu().numpy() / size)
            actions.append(target.action.cpu().numpy())
    return _people(boxes, actions)


def _found(tables: Sequence[Detections]) -> People:
    return _people([table.box for table in tables], [table.action for table in tables])


def _block(found: Sequence[Detections], truth: People) -> FrameBlock:
    """Each clip as a frame with one neighbouring keyframe that holds all its candidates."""
    frame = np.arange(len(found))
    return FrameBlock(
        time=np.zeros(len(found)),
        found=_found(found),
        truth=truth,
        truth_time=np.zeros(len(truth.row)),
        left=frame,
        right=np.full(len(found), -1),
        pool=truth.row,
        pool_start=truth.start,
    )


def _people(boxes: Sequence[NDArray[Any]], actions: Sequence[NDArray[Any]]) -> People:
    start = offsets(np.array([len(box) for box in boxes], np.intp))
    n = int(start[-1])
    score = np.concatenate(actions).astype(np.float64)
    box = np.concatenate(boxes).astype(np.float64)
    return People(np.arange(n), score, box, np.full(n, -1), start)


def _labels(block: FrameBlock, semi: SemiConfig, thresholds: Floats | None) -> NDArray[np.float32]:
    """Labels [n, C] of the people found, 1 or 0; a row of NaN is unlabelled."""
    options = tla.LabellingOptions(
        strategy=semi.strategy,
        bce=semi.bce,
        distance=semi.distance,
        background=semi.background,
        threshold=semi.threshold,
        restricted=semi.restricted,
        max_gap=semi.max_gap,
    )
    labels = np.full(block.found.score.shape, np.nan, np.float32)
    if semi.strategy in FROM_SCORES:
        if thresholds is None:
            passing = over_threshold(block, options)
        else:
            passing = over_class_thresholds(block, thresholds, options)
        return np.where(passing.any(1, keepdims=True), passing.astype(np.float32), labels)
    if semi.strategy == "nearest":
        nearest = by_overlap(block)
        labels[nearest.found] = nearest.action
        return labels
    people, pool = block.found, block.truth
    assigned, _ = assign_labels(
        people.score, people.box, people.start, block.label, pool.box, pool.start, options
    )
    labels[assigned >= 0] = block.label[assigned[assigned >= 0]]
    return labels
