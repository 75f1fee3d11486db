"""The semi-supervised stage: a teacher's people, labelled from the keyframes around, teach.

Clips between labelled keyframes, each with the people of the keyframes around.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stadkit.detection import to_table
from stadkit.detections import Detections, Keyframes, milliseconds, number_frames
from stadkit.errors import UsageError
from stadkit.layers.matching import Diverged
from stadkit.tla.assignment import Floats
from stadkit.tla.neighbours import around, spacing
from stadkit.training.batches import Batch, EpochSampler, Views, loader
from stadkit.training.checkpoint import Average
from stadkit.training.config import AnnotatedSource, SemiConfig, TrainConfig
from stadkit.training.processes import Processes
from stadkit.training.semi_labels import class_thresholds, pseudo_targets
from stadkit.training.sources import Annotated, Example, Source
from stadkit.video.clips import Clip
from stadkit.zoo import Card

# The terms of each family's loss that are of actions (L_ac); all others are of boxes (L_al).
OF_ACTIONS = ("action",)
# Labelled clips that thresholds by class are fitted on, anew in each epoch.
FITTED = 400


@dataclass
class Semi:
    """What the stage adds to a training: batches of unlabelled clips, and how they are labelled."""

    config: SemiConfig
    card: Card
    sampler: EpochSampler
    batches: Any  # their targets are the people of both neighbours
    thresholds: Floats | None = None  # [C]  of "per-class"

    def fit(self, teacher: nn.Module, seen: Iterable[tuple[Tensor, Batch]]) -> None:
        """The thresholds of "per-class", from what the teacher scores in labelled clips.

        `seen` are pixels and batches as in `pseudo`; no more are taken than are looked at.
        """
        found: list[Detections] = []
        known: list[Batch] = []
        for pixels, batch in seen:
            found += _look(teacher, pixels, batch, self.card, self.config)
            known.append(batch)
            if len(found) >= FITTED:
                break
        self.thresholds = class_thresholds(found, known)

    def pseudo(
        self, teacher: nn.Module, pixels: Tensor, batch: Batch
    ) -> tuple[Batch, dict[str, float]]:
        """The batch with the teacher's people as targets, and how many a clip there are.

        They are on pixels [B, 3, T, H, W], normalised: the very view that the student is given.
        Raises Diverged where the teacher gives NaN.
        """
        found = _look(teacher, pixels, batch, self.card, self.config)
        targets = pseudo_targets(found, batch, self.config, self.thresholds)
        known = sum(int((~t.action.isnan()).any(1).sum()) for t in targets)
        clips = max(len(targets), 1)
        counts = {"pseudo_people": sum(map(len, found)) / clips, "pseudo_labelled": known / clips}
        return replace(batch, targets=list(targets)), counts

    def weighted(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """ME-STAD Eq. 5, times lambda_unsup: the terms of L_unsup, L_ac and L_al."""
        kept = [name for name in losses if self.config.localization or name in OF_ACTIONS]
        return {f"unlabelled_{name}": self.config.weight * losses[name] for name in kept}

    def nothing(self, losses: dict[str, float]) -> dict[str, float]:
        """The same figures of a step of the burn-in: results have their columns in all epochs."""
        kept = [name for name in losses if self.config.localization or name in OF_ACTIONS]
        names = [f"unlabelled_{name}" for name in kept]
        return dict.fromkeys([*names, "pseudo_people", "pseudo_labelled"], 0.0)


def open_semi(
    config: TrainConfig, card: Card, source: Source, labelled: EpochSampler, processes: Processes
) -> Semi | None:
    """The unlabelled clips beside the labelled ones, as many batches; None where none are used.

    Raises UsageError for a model of tubelets.
    """
    semi, data = config.semi, config.data.train
    if semi is None or not semi.labels:
        return None
    if card.tubelet:
        raise UsageError(f"semi: {config.model} learns tubelets, and truth between is of one frame")
    assert isinstance(data, AnnotatedSource)  # the config's own check
    assert isinstance(source, Annotated)
    examples = Unlabelled(source, data, semi)
    sampler = EpochSampler(
        len(examples),
        config.batch * semi.unlabelled,
        config.seed + 1,  # other dice than those of the labelled clips
        processes.rank,
        processes.world,
        steps=len(labelled),
    )
    views = Views(examples, config.augment, config.seed + 1)
    batches = loader(views, sampler, config.data.workers, card.multiple)
    return Semi(semi, card, sampler, batches)


def averaged(config: TrainConfig, model: nn.Module) -> Average | None:
    """The average that a training ships: of its semi-supervised stage, the teacher."""
    if config.semi is None or config.semi.strategy == "none":
        return Average(model, config.ema) if config.ema else None
    # Without `ema` it is the model itself until the burn-in is over.
    return Average(model, config.ema)


def begin(config: TrainConfig, epoch: int, model: nn.Module, average: Average | None) -> bool:
    """Whether an epoch is of the semi-supervised stage; at its start both networks are those of
    the burn-in (section 3.4)."""
    semi = config.semi
    if semi is None or average is None or semi.strategy == "none" or epoch < semi.burn_in:
        return False
    average.decay, average.buffers = semi.ema, semi.buffers
    if epoch == semi.burn_in:
        model.load_state_dict(average.model.state_dict())
        average.steps = 0
    return True


@torch.no_grad()
def _look(
    teacher: nn.Module, pixels: Tensor, batch: Batch, card: Card, semi: SemiConfig
) -> list[Detections]:
    """Algorithm 1 line 1: who the teacher finds in each clip, as in a test."""
    known = {} if batch.bank is None else {"bank": batch.bank}
    outputs = teacher(pixels, batch.sizes, **known)
    if outputs.person.isnan().any():
        raise Diverged("the teacher gave NaN")
    lowest = card.min_person if semi.min_person is None else semi.min_person
    blank = np.zeros((1, 1, 1, 3), np.uint8)
    clips = [Clip(str(i), blank, 0.0, np.zeros(1), (1, 1)) for i in range(len(pixels))]
    return to_table(outputs, clips, card.classes.names, lowest, semi.max_people)


class Unlabelled:
    """Examples whose boxes and actions are candidates: those of the nearest labelled keyframe
    before and of the nearest after, in this order (line 2 of Algorithm 1).

    A neighbour that is missing, or too far away, has none. Past the end of a video its last frame
    stands still.
    """

    def __init__(self, source: Annotated, data: AnnotatedSource, semi: SemiConfig) -> None:
        """Raises UsageError where truth leaves no time between keyframes."""
        self.labels = source.labels
        self._source, self._past = source, semi.offset[1]
        self._frames = _between(source.keys, data, semi)
        number, labelled = number_frames(self._frames, source.keys)
        sides = around(self._frames, number, source.keys, labelled, semi.max_gap, None)
        self._sides = np.stack([sides.left, sides.right], 1).tolist()

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Example:
        clip = self._source.clip(self._frames, index, self._past)
        truth, rows = self._source.truth, self._source.rows
        sides = [rows[side] for side in self._sides[index] if side >= 0]
        pool = np.concatenate([np.zeros(0, np.int64), *sides])
        near = self._source.near(clip)
        return Example(clip=clip, box=truth.box[pool], action=truth.action[pool], near=near)


def _between(keys: Keyframes, data: AnnotatedSource, semi: SemiConfig) -> Keyframes:
    """`places` times around each keyframe, `offset` away, in turn before and after.

    The same ones in every epoch and run, so that clips are cut once. Without those before the
    first frame, and those that are labelled.
    """
    usual = float(np.median(list(spacing(keys).values())))
    if usual <= semi.offset[0]:
        raise UsageError(
            f"semi.offset: {semi.offset[0]:.3g} s from a labelled keyframe is at the next one: "
            f"{data.truth} has one each {usual:.3g} s; give offsets below that"
        )
    away = np.random.default_rng(0).uniform(*semi.offset, (len(keys), semi.places))
    turn = np.add.outer(np.arange(len(keys)), np.arange(semi.places)) % 2
    time = (keys.time[:, None] + np.where(turn == 1, -away, away)).round(3).ravel()
    video = np.repeat(keys.video, semi.places)
    kept = (time >= data.offset) & ~_labelled(video, time, keys)
    if not kept.any():
        raise UsageError(f"{data.truth}: no time that is semi.offset from a keyframe is unlabelled")
    return Keyframes(video[kept], time[kept])


def _labelled(
    video: NDArray[np.str_], time: NDArray[np.float64], keys: Keyframes
) -> NDArray[np.bool_]:
    seen = set(zip(keys.video.tolist(), milliseconds(keys.time).tolist(), strict=True))
    asked = zip(video.tolist(), milliseconds(time).tolist(), strict=True)
    return np.array([pair in seen for pair in asked], np.bool_)
