"""The semi-supervised stage: training on unlabelled clips between labelled keyframes.

A teacher detects people in these clips, and the keyframes around provide their labels.
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
from stadkit.tla.neighbours import find_neighbours, spacing
from stadkit.training.batches import Batch, EpochSampler, Views, loader
from stadkit.training.checkpoint import Average
from stadkit.training.config import AnnotatedSource, SemiConfig, TrainConfig
from stadkit.training.processes import Processes
from stadkit.training.semi_labels import class_thresholds, pseudo_targets
from stadkit.training.sources import Annotated, Example, ExampleSource
from stadkit.video.clips import Clip
from stadkit.zoo import Card

# Loss terms for actions (L_ac) in all families; the others are for boxes (L_al).
ACTION_TERMS = ("action",)
# Labelled clips on which the thresholds per class are fitted in each epoch.
THRESHOLD_CLIPS = 400


@dataclass
class Semi:
    """The stage's batches of unlabelled clips, and their labelling by a teacher."""

    config: SemiConfig
    card: Card
    sampler: EpochSampler
    batches: Any  # their targets are the people of both neighbouring keyframes
    thresholds: Floats | None = None  # [C]  for the strategy "per-class"

    def fit(self, teacher: nn.Module, labelled: Iterable[tuple[Tensor, Batch]]) -> None:
        """Fit the thresholds of "per-class" to the teacher's scores in labelled clips.

        labelled: pixels and batches as in `pseudo`; consumed lazily, up to THRESHOLD_CLIPS clips.
        """
        found: list[Detections] = []
        batches: list[Batch] = []
        for pixels, batch in labelled:
            found += _detect(teacher, pixels, batch, self.card, self.config)
            batches.append(batch)
            if len(found) >= THRESHOLD_CLIPS:
                break
        self.thresholds = class_thresholds(found, batches)

    def pseudo(
        self, teacher: nn.Module, pixels: Tensor, batch: Batch
    ) -> tuple[Batch, dict[str, float]]:
        """Replace a batch's targets by the teacher's people; returns their mean counts per clip.

        The teacher sees the student's view: normalised pixels [B, 3, T, H, W]. Raises Diverged
        where it outputs NaN.
        """
        found = _detect(teacher, pixels, batch, self.card, self.config)
        targets = pseudo_targets(found, batch, self.config, self.thresholds)
        labelled = sum(int((~t.action.isnan()).any(1).sum()) for t in targets)
        clips = max(len(targets), 1)
        people = sum(map(len, found))
        counts = {"pseudo_people": people / clips, "pseudo_labelled": labelled / clips}
        return replace(batch, targets=list(targets)), counts

    def weighted(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """ME-STAD Eq. 5 times lambda_unsup: the terms of L_unsup, which are L_ac and L_al."""
        kept = [name for name in losses if self.config.localization or name in ACTION_TERMS]
        return {f"unlabelled_{name}": self.config.weight * losses[name] for name in kept}

    def zero_figures(self, losses: dict[str, float]) -> dict[str, float]:
        """The stage's figures in the burn-in, all 0, so that results have the same columns."""
        kept = [name for name in losses if self.config.localization or name in ACTION_TERMS]
        names = [f"unlabelled_{name}" for name in kept]
        return dict.fromkeys([*names, "pseudo_people", "pseudo_labelled"], 0.0)


def open_semi(
    config: TrainConfig,
    card: Card,
    source: ExampleSource,
    labelled: EpochSampler,
    processes: Processes,
) -> Semi | None:
    """Open the unlabelled clips, in as many batches as the labelled ones; None if not used.

    Raises UsageError for a tubelet model.
    """
    semi, data = config.semi, config.data.train
    if semi is None or not semi.labels:
        return None
    if card.tubelet:
        raise UsageError(
            f"semi: {config.model} predicts tubelets, but pseudo-labels are for single frames; "
            "leave semi out or use a keyframe model"
        )
    assert isinstance(data, AnnotatedSource)  # checked by the config
    assert isinstance(source, Annotated)
    examples = Unlabelled(source, data, semi)
    sampler = EpochSampler(
        len(examples),
        config.batch * semi.unlabelled,
        config.seed + 1,  # independent of the labelled clips
        processes.rank,
        processes.world,
        steps=len(labelled),
    )
    views = Views(examples, config.augment, config.seed + 1)
    batches = loader(views, sampler, config.data.workers, card.multiple)
    return Semi(semi, card, sampler, batches)


def averaged(config: TrainConfig, model: nn.Module) -> Average | None:
    """The averaged model that a training ships, which is the teacher in a semi-supervised stage."""
    if config.semi is None or config.semi.strategy == "none":
        return Average(model, config.ema) if config.ema else None
    # Without `ema` it equals the model until the burn-in ends.
    return Average(model, config.ema)


def begin(config: TrainConfig, epoch: int, model: nn.Module, average: Average | None) -> bool:
    """Whether an epoch is semi-supervised; the first one initializes student and teacher from the
    burn-in (section 3.4)."""
    semi = config.semi
    if semi is None or average is None or semi.strategy == "none" or epoch < semi.burn_in:
        return False
    average.decay, average.buffers = semi.ema, semi.buffers
    if epoch == semi.burn_in:
        model.load_state_dict(average.model.state_dict())
        average.steps = 0
    return True


@torch.no_grad()
def _detect(
    teacher: nn.Module, pixels: Tensor, batch: Batch, card: Card, semi: SemiConfig
) -> list[Detections]:
    """Algorithm 1 line 1: the teacher's detections in each clip, as in inference."""
    bank = {} if batch.bank is None else {"bank": batch.bank}
    outputs = teacher(pixels, batch.sizes, **bank)
    if outputs.person.isnan().any():
        raise Diverged("the teacher's scores became NaN")
    min_person = card.min_person if semi.min_person is None else semi.min_person
    blank = np.zeros((1, 1, 1, 3), np.uint8)
    clips = [Clip(str(i), blank, 0.0, np.zeros(1), (1, 1)) for i in range(len(pixels))]
    return to_table(outputs, clips, card.classes.names, min_person, semi.max_people)


class Unlabelled:
    """Unlabelled clips with candidate boxes and actions: those of the nearest labelled keyframe
    before, then those of the nearest after (line 2 of Algorithm 1).

    A missing or too distant neighbour has no candidates. After the end of a video its last frame
    repeats.
    """

    def __init__(self, source: Annotated, data: AnnotatedSource, semi: SemiConfig) -> None:
        """Raises UsageError where no time between keyframes is unlabelled."""
        self.labels = source.labels
        self._source, self._past = source, semi.offset[1]
        self._frames = _unlabelled_frames(source.keys, data, semi)
        number, labelled = number_frames(self._frames, source.keys)
        sides = find_neighbours(self._frames, number, source.keys, labelled, semi.max_gap, None)
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


def _unlabelled_frames(keys: Keyframes, data: AnnotatedSource, semi: SemiConfig) -> Keyframes:
    """`places` times around each keyframe, `offset` away, alternately after and before it.

    The same in every epoch and run, so that clips are cut once. Times before the first frame and
    labelled ones are left out.
    """
    interval = float(np.median(list(spacing(keys).values())))
    if interval <= semi.offset[0]:
        raise UsageError(
            f"semi.offset: {semi.offset[0]:.3g} s from a labelled keyframe reaches the next one, "
            f"as {data.truth} has one every {interval:.3g} s; use smaller offsets"
        )
    distance = np.random.default_rng(0).uniform(*semi.offset, (len(keys), semi.places))
    before = np.add.outer(np.arange(len(keys)), np.arange(semi.places)) % 2 == 1
    time = (keys.time[:, None] + np.where(before, -distance, distance)).round(3).ravel()
    video = np.repeat(keys.video, semi.places)
    kept = (time >= data.offset) & ~_is_labelled(video, time, keys)
    if not kept.any():
        raise UsageError(
            f"{data.truth}: all times semi.offset away from a keyframe are labelled; change "
            "semi.offset"
        )
    return Keyframes(video[kept], time[kept])


def _is_labelled(
    video: NDArray[np.str_], time: NDArray[np.float64], keys: Keyframes
) -> NDArray[np.bool_]:
    labelled = set(zip(keys.video.tolist(), milliseconds(keys.time).tolist(), strict=True))
    pairs = zip(video.tolist(), milliseconds(time).tolist(), strict=True)
    return np.array([pair in labelled for pair in pairs], np.bool_)
