"""The semi-supervised stage: a teacher's people, labelled from the keyframes around, teach."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stadkit.detect import to_table
from stadkit.detections import Detections
from stadkit.errors import UsageError
from stadkit.layers.matching import Diverged
from stadkit.tla.assignment import Floats
from stadkit.training.average import Average
from stadkit.training.batches import Batch, EpochSampler, Views, loader
from stadkit.training.config import AnnotatedSource, TrainConfig
from stadkit.training.processes import Processes
from stadkit.training.semi_config import SemiConfig
from stadkit.training.semi_labels import class_thresholds, pseudo_targets
from stadkit.training.sources import Annotated, Source
from stadkit.training.unlabelled import Unlabelled
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
