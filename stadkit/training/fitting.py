"""A head that is fitted, not trained by steps: one layer over numbers that do not change.

An epoch is a view of every clip: what `FrameReader` sees of its people is computed once and kept,
and the layer is fitted to all views so far (L-BFGS on cross-entropy with an L2 penalty, which has
one minimum). The rest of the model never learns.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from stadkit.atomic import replacing
from stadkit.errors import UsageError
from stadkit.models import action_rois
from stadkit.models.frame_head import FrameHead
from stadkit.models.frame_reader import PARTS
from stadkit.models.mestad import Mestad
from stadkit.models.targets import Targets, pad_targets
from stadkit.training import steps
from stadkit.training.batches import unfailing
from stadkit.training.config import FitConfig, OptimizerConfig, TrainConfig
from stadkit.training.sources import Annotated, Source
from stadkit.training.steps import Training

VIEWS = "view-*.npz"
FLAT = 1e-4  # a number whose deviation is below this share of its size says nothing


def is_fitted(model: object) -> bool:
    """Whether a model's head is of the kind that is fitted."""
    return isinstance(model, Mestad) and isinstance(model.head, FrameHead)


def settings_are_fitted(settings: Mapping[str, Any]) -> bool:
    """The same of a card's settings."""
    return settings.get("head") == "frames"


def check_config(config: TrainConfig) -> None:
    """Raises UsageError for what a training of steps has and a fit has no use for."""
    asked = {
        "loss": bool(config.loss),
        "optimizer": config.optimizer != OptimizerConfig(),
        "ema": config.ema > 0,
        "semi": config.semi is not None,
    }
    if said := [name for name, given in asked.items() if given]:
        raise UsageError(
            f"{said[0]}: {config.model} is fitted, not trained by steps; leave it out, or take "
            "another model, such as mestad-tiny"
        )


def one_source(source: Source) -> dict[str, Any]:
    """The settings of a head for one data set: its classes exclude each other where everybody in
    it does exactly one."""
    alone = isinstance(source, Annotated) and bool(((source.truth.action == 1).sum(1) == 1).all())
    return {"sources": (tuple(range(len(source.labels))),), "exclusive": (alone,)}


def fitted_epoch(training: Training, epoch: int, out: Path) -> dict[str, Any]:
    """One more view of every clip, and the layer fitted to all; the mean loss and the speed."""
    if training.processes.world > 1:
        raise UsageError(
            f"{training.config.model} is fitted in one process; run it without torchrun"
        )
    started = time.perf_counter()
    path = view_path(out, epoch)
    if not path.exists():
        _keep(path, *_look(training, epoch))
    views = [_read(view_path(out, number)) for number in range(epoch + 1)]
    description, action = (np.concatenate(parts) for parts in zip(*views, strict=True))
    assert isinstance(training.model, Mestad)
    head = training.model.head
    assert isinstance(head, FrameHead)
    loss = fit(head, torch.from_numpy(description), torch.from_numpy(action), training.config.fit)
    steps_taken = len(training.sampler)
    return {
        "action": loss,
        "epoch": epoch + 1,
        "step": steps_taken,
        "steps": steps_taken,
        "boxes": len(action),
        "seconds": time.perf_counter() - started,
    }


def view_path(out: Path, epoch: int) -> Path:
    """Where the descriptions of an epoch's view lie."""
    return out / f"view-{epoch + 1}.npz"


@torch.no_grad()
def _look(training: Training, epoch: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Descriptions [n, numbers] of a view's people, and their actions [n, C]."""
    model = training.model
    assert isinstance(model, Mestad)
    model.eval()
    training.sampler.epoch = epoch
    torch.manual_seed(hash((training.config.seed, epoch)) % 2**63)
    descriptions, actions = [], []
    many, started = len(training.sampler), time.perf_counter()
    for number, batch in enumerate(unfailing(training.batches)):
        pixels, seen = steps.as_seen(training, batch)
        targets = [t for t in seen.targets if isinstance(t, Targets)]
        rois = _people(targets, pixels, training.config.fit)
        features = model.features(pixels, seen.sizes)
        descriptions.append(model.describe(features, rois.box, rois.index).half().cpu().numpy())
        actions.append(rois.action.cpu().numpy())
        rate = (number + 1) / (time.perf_counter() - started)
        figures = {"epoch": epoch + 1, "step": number + 1, "steps": many, "steps_a_second": rate}
        figures["clips_a_second"] = rate * training.config.batch
        training.report("step", figures)
    return np.concatenate(descriptions), np.concatenate(actions)


def _people(targets: list[Targets], pixels: Tensor, config: FitConfig) -> action_rois.Rois:
    """The true boxes, and copies whose sides are moved."""
    rows, truth, action = pad_targets(targets, pixels.new_zeros(0, 4))
    moved = action_rois.jittered(truth, rows, config.jitter, config.jitter_copies)
    return action_rois.choose(*moved, rows, truth, action, 0.0, truth.shape[1] * 10 + 1)


def fit(
    head: FrameHead,
    description: Tensor,
    action: Tensor,
    config: FitConfig,
    parts: Sequence[int] = PARTS,
) -> float:
    """Fit the layer of a head with one source to boxes; returns the loss reached.

    description [n, numbers], of `parts` numbers each; action [n, C]: 1, 0 or NaN for unknown, which
    counts for nothing.
    """
    (exclusive,) = head.exclusive
    description = description.float()
    mean, deviation = description.mean(0), description.std(0)
    size = FLAT * description.abs().mean(0) + 1e-6
    # Whatever its unit, a number counts for as much as the others of its part, and a part for as
    # much as the others, however many numbers it has.
    count = torch.cat([torch.full((part,), float(part)) for part in parts])
    scale = 1 / ((deviation + size) * count.sqrt())
    x = (description - mean).mul_(scale)
    weight = torch.zeros(action.shape[1], x.shape[1], requires_grad=True)
    bias = torch.zeros(action.shape[1], requires_grad=True)
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=config.iterations, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        search.zero_grad()
        said = x @ weight.T + bias
        total = _cross_entropy(said, action, exclusive, config.smoothing)
        total = total + config.l2 / 2 * (weight * weight).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    search.step(loss)  # type: ignore[no-untyped-call]
    reached = float(loss().detach())
    with torch.no_grad():
        head.center.copy_(mean)
        head.scale.copy_(scale)
        head.projection.weight.copy_(weight)
        head.projection.bias.copy_(bias)
    return reached


def _cross_entropy(said: Tensor, action: Tensor, exclusive: bool, smoothing: float) -> Tensor:
    """The mean over boxes: of the one class that is right, or summed over known classes.

    smoothing: of the one class's label, spread over all.
    """
    if exclusive:
        right = action.nan_to_num().argmax(1)  # NaN would be the largest
        return F.cross_entropy(said, right, label_smoothing=smoothing)
    known = ~action.isnan()
    each = F.binary_cross_entropy_with_logits(said, action.nan_to_num(), reduction="none")
    return (each * known).sum() / len(said)


def _keep(path: Path, description: NDArray[Any], action: NDArray[Any]) -> None:
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, description=description, action=action)


def _read(path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    with np.load(path, allow_pickle=False) as kept:
        return kept["description"], kept["action"]
