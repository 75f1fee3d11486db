"""The loss of each family of detectors, behind one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from stadkit.errors import UsageError
from stadkit.models import mestad_loss
from stadkit.models.mestad import Mestad
from stadkit.models.mestad_loss import Targets
from stadkit.training.chosen import checked

# (model, pixels [B, 3, T, H, W], sizes [B, 2], targets) -> weighted terms, to be summed
Criterion = Callable[[nn.Module, Tensor, Tensor, list[Targets]], dict[str, Tensor]]


def build_criterion(family: str, settings: dict[str, Any]) -> Criterion:
    """The family's loss with these fields of its config; raises UsageError for wrong ones."""
    makers: dict[str, Callable[[dict[str, Any]], Criterion]] = {"mestad": _mestad}
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
