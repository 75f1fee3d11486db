"""The loss of each family of detectors, behind one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from stadkit.errors import UsageError
from stadkit.models import evad_loss, mestad_loss
from stadkit.models.evad import Evad
from stadkit.models.mestad import Mestad
from stadkit.models.targets import Targets
from stadkit.training.chosen import checked

# (model, pixels [B, 3, T, H, W], sizes [B, 2], targets) -> weighted terms, to be summed
Criterion = Callable[[nn.Module, Tensor, Tensor, list[Targets]], dict[str, Tensor]]


def build_criterion(family: str, settings: dict[str, Any]) -> Criterion:
    """The family's loss with these fields of its config; raises UsageError for wrong ones."""
    makers: dict[str, Callable[[dict[str, Any]], Criterion]] = {"mestad": _mestad, "evad": _evad}
    if family not in makers:
        raise UsageError(f"models of family {family!r} cannot be trained yet")
    return makers[family](settings)


def _mestad(settings: dict[str, Any]) -> Criterion:
    config = checked(mestad_loss.LossConfig, settings, "loss")
    if config.rois == "proposals":
        raise UsageError(
            "loss.rois: proposals are an argument of `mestad_loss`, which `stadkit train` has none "
            "for; choose dense, sparse, gt or jitter"
        )

    def criterion(
        model: nn.Module, pixels: Tensor, sizes: Tensor, targets: list[Targets]
    ) -> dict[str, Tensor]:
        assert isinstance(model, Mestad)
        features = model.features(pixels, sizes)
        return mestad_loss.mestad_loss(model, features, model.localize(features), targets, config)

    return criterion


EVAD_TERMS = {"loss_ce": "person", "loss_bbox": "box", "loss_giou": "giou", "loss_bce": "action"}


def _evad(settings: dict[str, Any]) -> Criterion:
    config = checked(evad_loss.EvadLossConfig, settings, "loss")

    def criterion(
        model: nn.Module, pixels: Tensor, sizes: Tensor, targets: list[Targets]
    ) -> dict[str, Tensor]:
        assert isinstance(model, Evad)
        return summed(evad_loss.evad_loss(model.details(pixels, sizes), sizes, targets, config))

    return criterion


def summed(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """EVAD's terms of all heads and blocks -> one each of person, box, giou and action.

    Their sum is the mean of all terms, on which the authors train.
    """
    return {
        ours: torch.stack([v for name, v in terms.items() if name.startswith(theirs)]).sum()
        / len(terms)
        for theirs, ours in EVAD_TERMS.items()
    }
