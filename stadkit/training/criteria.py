"""The loss of each model family behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from stadkit.errors import UsageError
from stadkit.models import evad_loss, mestad_loss, stmixer_loss
from stadkit.models.classifiers import Bank
from stadkit.models.evad import Evad
from stadkit.models.mestad import Mestad
from stadkit.models.stmixer import Stmixer
from stadkit.models.targets import AnyTargets, Targets, TubeTargets
from stadkit.training.model import checked

T = TypeVar("T", Targets, TubeTargets)


class Criterion(Protocol):
    """(model, pixels [B, 3, T, H, W], sizes [B, 2], targets) -> weighted terms to sum.

    bank: for models with a long-term classifier; None: no entries.
    """

    def __call__(
        self,
        model: nn.Module,
        pixels: Tensor,
        sizes: Tensor,
        targets: Sequence[AnyTargets],
        bank: Bank | None = None,
    ) -> dict[str, Tensor]: ...


def build_criterion(family: str, settings: dict[str, Any]) -> Criterion:
    """Build a family's loss with these config fields; raises UsageError for wrong ones."""
    makers: dict[str, Callable[[dict[str, Any]], Criterion]] = {
        "mestad": _mestad,
        "evad": _evad,
        "stmixer-k": partial(_stmixer, Targets, stmixer_loss.stmixer_loss),
        "stmixer-t": partial(_stmixer, TubeTargets, stmixer_loss.stmixer_t_loss),
    }
    if family not in makers:
        raise UsageError(f"training is not supported for models of the family {family!r}")
    return makers[family](settings)


def _mestad(settings: dict[str, Any]) -> Criterion:
    config = checked(mestad_loss.LossConfig, settings, "loss")
    if config.rois == "proposals":
        raise UsageError(
            "loss.rois: `proposals` works only in direct calls of `mestad_loss`; choose dense, "
            "sparse, gt, jitter or found"
        )

    def criterion(
        model: nn.Module,
        pixels: Tensor,
        sizes: Tensor,
        targets: Sequence[AnyTargets],
        bank: Bank | None = None,
    ) -> dict[str, Tensor]:
        assert isinstance(model, Mestad)
        features = model.features(pixels, sizes)
        return mestad_loss.mestad_loss(
            model, features, model.localize(features), _of_kind(targets, Targets), config
        )

    return criterion


# Terms of a set detector's loss by name prefix.
TERMS = {
    "loss_ce": "person",
    "loss_bbox": "box",
    "loss_giou": "giou",
    "loss_there": "there",
    "loss_bce": "action",
}


def _evad(settings: dict[str, Any]) -> Criterion:
    config = checked(evad_loss.EvadLossConfig, settings, "loss")

    def criterion(
        model: nn.Module,
        pixels: Tensor,
        sizes: Tensor,
        targets: Sequence[AnyTargets],
        bank: Bank | None = None,
    ) -> dict[str, Tensor]:
        assert isinstance(model, Evad)
        details = model.details(pixels, sizes)
        return summed(evad_loss.evad_loss(details, sizes, _of_kind(targets, Targets), config))

    return criterion


def _stmixer(
    kind: type[T], loss: Callable[..., dict[str, Tensor]], settings: dict[str, Any]
) -> Criterion:
    """Build the criterion of STMixer-K or STMixer-T, with its loss and type of targets."""
    config = checked(stmixer_loss.StmixerLossConfig, settings, "loss")

    def criterion(
        model: nn.Module,
        pixels: Tensor,
        sizes: Tensor,
        targets: Sequence[AnyTargets],
        bank: Bank | None = None,
    ) -> dict[str, Tensor]:
        assert isinstance(model, Stmixer)
        details = model.details(pixels, sizes, bank)
        return summed(loss(details, sizes, _of_kind(targets, kind), config))

    return criterion


def _of_kind(targets: Sequence[AnyTargets], kind: type[T]) -> list[T]:
    """Assert the type of targets: tubelets with `Card.tubelet`, key frames without."""
    known = [t for t in targets if isinstance(t, kind)]
    assert len(known) == len(targets)
    return known


def summed(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Sum a set detector's terms of all stages into one each of person, box, giou, action etc.

    Their sum is the mean of all terms, which is the loss of EVAD's and STMixer's authors.
    """
    return {
        ours: torch.stack(parts).sum() / len(terms)
        for theirs, ours in TERMS.items()
        if (parts := [value for name, value in terms.items() if name.startswith(theirs)])
    }
