"""A checkpoint file brought in under a name: checked, then kept as safetensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stadkit.errors import UsageError, WeightsError
from stadkit.zoo import backbones, official
from stadkit.zoo.backbones import BACKBONES, FINAL_NORM
from stadkit.zoo.cards import CARDS, build, card
from stadkit.zoo.checkpoint import read_with_config
from stadkit.zoo.weights import (
    SHOWN,
    check_finite,
    misfit,
    places,
    save_weights,
    sha256,
    state,
)

if TYPE_CHECKING:
    from torch import Tensor


def import_file(
    path: Path,
    name: str,
    anyway: bool = False,
    origin: Mapping[str, Any] | None = None,
    known: Sequence[str] = (),
) -> Path:
    """Check a checkpoint against the model or backbone `name` and keep it; gives its file now.

    Keys are the canonical ones, EVAD's authors', or for a backbone those of `backbones.rename`;
    all of them, and no others but a backbone's. anyway: even where the config inside the file
    says another keep rate. origin: more to note beside the weights. known: what is to be told of
    the file besides.

    Raises UsageError for an unknown name and WeightsError for a file that is not this model's
    weights; then nothing is kept. What was told of the file lies under `told` beside the weights.
    """
    if name not in BACKBONES:
        card(name)
    if state(name) == "built in":
        raise UsageError(
            f"{name} has its weights built in; give yours as `--model FILE.safetensors`, or import "
            "them as another model"
        )
    tensors, config = read_with_config(path)
    if name in BACKBONES:
        tensors, told = _backbone(tensors, name, path)
    else:
        tensors, told = _model(tensors, config, name, path, anyway)
    check_finite(tensors, str(path))
    notes = {"source": path.name, "source_sha256": sha256(path), "told": [*known, *told]}
    kept = places(name)[1]
    save_weights(tensors, kept, {**notes, **(origin or {})})
    return kept


def _backbone(
    tensors: Mapping[str, Tensor], name: str, path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    found, unused = backbones.rename(tensors, str(path))
    if wrong := misfit_of(found, name):
        raise WeightsError(f"{path} is not {name}: {wrong}; nothing was imported")
    told = []
    if unused:
        told.append(f"not used, since no backbone has it: {_grouped(unused)}")
    if FINAL_NORM[0] not in found:
        told.append("the last norm is not in the file (classifiers lack it): it starts anew")
    return found, told


def _grouped(names: list[str]) -> str:
    """Names; many of them by their first part, with how many there are."""
    if len(names) <= SHOWN:
        return ", ".join(names)
    counted = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{part} ({count} tensors)" for part, count in counted.items())


def _model(
    tensors: Mapping[str, Tensor], config: str, name: str, path: Path, anyway: bool
) -> tuple[dict[str, Tensor], list[str]]:
    theirs = official.is_official(tensors)
    named = official.to_ours(tensors, str(path)) if theirs else dict(tensors)
    _check_name(named, config, name, path)
    settings = card(name).settings
    against = official.contradictions(config, settings)
    if against and not anyway:
        fits = [other for other in _same(named, config) if other != name]
        way = f"import it --as {fits[0]}" if fits else "no model here has that"
        raise WeightsError(
            f"{path} is not {name}: the config inside says {', '.join(against)}; {way} (or as "
            f"{name} with --anyway); nothing was imported"
        )
    told = []
    if against:
        told.append(f"kept as {name}, though the config inside says {', '.join(against)}")
    elif theirs and "keep_rate" not in official.claims(config):
        told.append(
            f"the file does not say its keep rate, and no tensor shows it: taken to be "
            f"{official.stated(settings)['keep_rate']:g}, as {name} has it"
        )
    return named, told


def _check_name(tensors: Mapping[str, Tensor], config: str, name: str, path: Path) -> None:
    wrong = misfit_of(tensors, name)
    if not wrong:
        return
    fits = _same(tensors, config)
    hint = f"; it fits {' and '.join(fits)}: import it --as {fits[0]}" if fits else ""
    if not fits and backbones.is_videomae(tensors):
        known = " or ".join(BACKBONES)
        hint = f"; it may be a backbone: import it --as {known}, or start from it with `init: FILE`"
    raise WeightsError(f"{path} is not {name}: {wrong}{hint}; nothing was imported")


def _same(tensors: Mapping[str, Tensor], config: str) -> list[str]:
    """The models that these tensors fit, and that the config inside their file does not deny."""
    return [
        name
        for name, known in CARDS.items()
        if not official.contradictions(config, known.settings) and not misfit_of(tensors, name)
    ]


def misfit_of(tensors: Mapping[str, Tensor], name: str) -> str:
    """What keeps canonical tensors out of the model or backbone `name`; empty where they fit.

    A backbone may lack FINAL_NORM.
    """
    import torch

    # On the meta device a model has shapes but no memory, and building it takes no time.
    with torch.device("meta"):
        if name not in BACKBONES:
            return misfit(tensors, build(name))
        from stadkit.models.vit import Vit, VitConfig

        model = Vit(VitConfig(**BACKBONES[name].settings))
        given = {key.removeprefix("backbone."): value for key, value in tensors.items()}
        if FINAL_NORM[0] not in tensors:
            given |= {f"norm.{key}": value for key, value in model.norm.state_dict().items()}
        return misfit(given, model)
