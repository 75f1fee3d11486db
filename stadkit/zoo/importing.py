"""A checkpoint file brought in under a name: checked, then kept as safetensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stadkit.errors import UsageError, WeightsError
from stadkit.zoo import official, slowfast_names, videomae_names
from stadkit.zoo.backbones import BACKBONES, FINAL_NORM, FUSION_NORM, may_lack
from stadkit.zoo.cards import CARDS, Card, build, card
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

    Keys are the canonical ones, those of the authors in `official`, or for a backbone those of
    `videomae_names` and `slowfast_names`; all of them, and no others but a backbone's. anyway:
    even where the config inside the file says another keep rate. origin: more to note beside the
    weights. known: what is to be told of the file besides.

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
    whose = slowfast_names.whose(tensors)  # which nothing shows once the names are ours
    if name in BACKBONES:
        tensors, told = _backbone(tensors, name, path)
    else:
        tensors, told = _model(tensors, config, name, path, anyway)
    check_finite(tensors, str(path))
    notes = {"source": path.name, "source_sha256": sha256(path), "told": [*known, *told]}
    notes |= {"names": whose} if whose else {}
    kept = places(name)[1]
    save_weights(tensors, kept, {**notes, **(origin or {})})
    return kept


def _backbone(
    tensors: Mapping[str, Tensor], name: str, path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    slowfast = BACKBONES[name].kind == "slowfast"
    rename = slowfast_names.rename if slowfast else videomae_names.rename
    found, unused = rename(tensors, str(path))
    if wrong := misfit_of(found, name):
        raise WeightsError(f"{path} is not {name}: {wrong}; nothing was imported")
    told = []
    if unused:
        told.append(f"not used, since no backbone has it: {_grouped(unused)}")
    if slowfast:
        lacking = [norm for norm in FUSION_NORM if norm not in found]
        told += slowfast_names.told(slowfast_names.whose(tensors), found, lacking)
    elif FINAL_NORM[0] not in found:
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
    named = official.to_ours(tensors, str(path))
    _check_name(named, config, name, path)
    settings = card(name).settings
    against = _against(config, card(name))
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
    elif official.family(tensors) == "evad" and "keep_rate" not in official.claims(config):
        told.append(
            f"the file does not say its keep rate, and no tensor shows it: taken to be "
            f"{official.stated(settings)['keep_rate']:g}, as {name} has it"
        )
    return named, told


def _against(config: str, known: Card) -> list[str]:
    """What a config inside a file says otherwise than a card: of EVAD alone it is known how."""
    return official.contradictions(config, known.settings) if known.family == "evad" else []


def _check_name(tensors: Mapping[str, Tensor], config: str, name: str, path: Path) -> None:
    wrong = misfit_of(tensors, name)
    if not wrong:
        return
    fits = _same(tensors, config)
    hint = f"; it fits {' and '.join(fits)}: import it --as {fits[0]}" if fits else ""
    if known := [] if fits else _backbones_like(tensors):
        names = " or ".join(known)
        hint = f"; it may be a backbone: import it --as {names}, or start from it with `init: FILE`"
    raise WeightsError(f"{path} is not {name}: {wrong}{hint}; nothing was imported")


def _backbones_like(tensors: Mapping[str, Tensor]) -> list[str]:
    """The backbones of the kind that these tensors are named as."""
    kinds = {"vit": videomae_names.is_videomae, "slowfast": slowfast_names.is_slowfast}
    return [name for name, known in BACKBONES.items() if kinds[known.kind](tensors)]


def _same(tensors: Mapping[str, Tensor], config: str) -> list[str]:
    """The models that these tensors fit, and that the config inside their file does not deny."""
    return [
        name
        for name, known in CARDS.items()
        if not _against(config, known) and not misfit_of(tensors, name)
    ]


def misfit_of(tensors: Mapping[str, Tensor], name: str) -> str:
    """What keeps canonical tensors out of the model or backbone `name`; empty where they fit.

    A backbone may lack what `may_lack` says.
    """
    import torch

    # On the meta device a model has shapes but no memory, and building it takes no time.
    with torch.device("meta"):
        model = BACKBONES[name].build() if name in BACKBONES else build(name)
    if name not in BACKBONES:
        return misfit(tensors, model)
    wanted = {f"backbone.{key}": value for key, value in model.state_dict().items()}
    spared = may_lack(wanted.keys() - tensors.keys(), tensors)
    whole = {**tensors, **{key: wanted[key] for key in spared}}
    return misfit({key.removeprefix("backbone."): value for key, value in whole.items()}, model)
