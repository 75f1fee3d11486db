"""A checkpoint file brought in under a name: checked, then kept as safetensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stadkit.errors import UsageError, WeightsError
from stadkit.zoo.backbones import BACKBONES, FINAL_NORM, FUSION_NORM
from stadkit.zoo.cards import CARDS, card
from stadkit.zoo.checkpoint import read_with_config
from stadkit.zoo.dialects import official, two_stage, videomae
from stadkit.zoo.dialects import slowfast as slowfast_names
from stadkit.zoo.fitting import backbones_like, denials, fitting, misfit_of
from stadkit.zoo.provenance import card_beside, differences, others
from stadkit.zoo.weights import (
    SHOWN,
    check_finite,
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

    Keys are the canonical ones, those of the authors in `official` and `two_stage_names`, or for a
    backbone those of `videomae_names` and `slowfast_names`; all of them, and no others but a
    backbone's. anyway: even where the config inside the file says another keep rate, the card
    beside it other maths, or a two-stage file is another model's by its sha256, its name or its
    code base. origin: more to note beside the weights. known: what is to be told of the file
    besides.

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
    tensors, told, whose = _checked(path, name, anyway)
    notes = {"source": path.name, "source_sha256": sha256(path), "told": [*known, *told]}
    notes |= {"names": whose} if whose else {}
    kept = places(name)[1]
    save_weights(tensors, kept, {**notes, **(origin or {})})
    return kept


def is_refused(path: Path, name: str) -> bool:
    """Whether a file is no weights of `name`, not even with `anyway`; it has been read, no more."""
    try:
        _checked(path, name, anyway=True)
    except WeightsError:
        return True
    return False


def _checked(path: Path, name: str, anyway: bool) -> tuple[dict[str, Tensor], list[str], str]:
    """The canonical tensors of a file, what is to be told of it, and whose names it has."""
    tensors, config = read_with_config(path)
    whose = slowfast_names.whose(tensors)  # which nothing shows once the names are ours
    if name in BACKBONES:
        tensors, told = _backbone(tensors, name, path)
    else:
        tensors, told = _model(tensors, config, name, path, anyway)
    check_finite(tensors, str(path))
    return tensors, told, whose


def _backbone(
    tensors: Mapping[str, Tensor], name: str, path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    slowfast = BACKBONES[name].kind == "slowfast"
    rename = slowfast_names.rename if slowfast else videomae.rename
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
    if theirs := two_stage.read(tensors, str(path)):
        return _two_stage(theirs, name, path, anyway)
    named = official.to_ours(tensors, str(path))
    _check_name(named, config, name, path)
    settings = card(name).settings
    against = denials(config, card(name))
    if against and not anyway:
        fits = [other for other in fitting(named, config) if other != name]
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
    if not official.family(tensors):
        told += _by_card(named, config, name, path, anyway)
    return named, told


def _by_card(
    tensors: Mapping[str, Tensor], config: str, name: str, path: Path, anyway: bool
) -> list[str]:
    """What is to be told of a file by our own names, by the card beside it; nothing or one line.

    Raises WeightsError where the card says other maths.
    """
    beside, known = card_beside(path), card(name)
    family = {other: held for other, held in CARDS.items() if held.family == known.family}
    if beside is None:
        differing = [
            other
            for other, held in family.items()
            if differences(held, known)
            and not denials(config, held)
            and not misfit_of(tensors, other)
        ]
        told = f"no card lies beside the file: taken to be {name}, as {others(differing)}"
        return [told] if differing else []
    against = ", ".join(differences(beside, known))
    if not against or anyway:
        return [f"kept as {name}, though the card beside it says {against}"] if against else []
    fits = [other for other, held in family.items() if not differences(beside, held)]
    way = f"import it --as {' or '.join(fits)}" if fits else "no model here has that"
    raise WeightsError(
        f"{path} is not {name}: the card beside it says {against}; {way} (or as {name} with "
        "--anyway); nothing was imported"
    )


def _two_stage(
    theirs: two_stage.TwoStage, name: str, path: Path, anyway: bool
) -> tuple[dict[str, Tensor], list[str]]:
    """A two-stage detector's file by the names of another code base."""
    digest, misfits = sha256(path), misfit_of(theirs.tensors, name)
    against = two_stage.against(name, CARDS, theirs.whose, digest, path.name)
    if misfits or (against and not anyway):
        wrong = misfits or f"{against} (--anyway keeps it as {name})"
        fits = [
            other
            for other in two_stage.likely(CARDS, theirs.whose, digest, path.name)
            if not misfit_of(theirs.tensors, other)
        ]
        hint = f"; it fits: import it --as {' or '.join(fits)}" if fits else ""
        if known := [] if fits else backbones_like(theirs.tensors):
            hint = f"; it may be a backbone: import it --as {' or '.join(known)}"
        raise WeightsError(f"{path} is not {name}: {wrong}{hint}; nothing was imported")
    if against:
        return theirs.tensors, [*theirs.told, f"kept as {name}, though {against}"]
    alike = [
        other
        for other, known in CARDS.items()
        if other != name
        and known.origin == theirs.whose
        and not card(name).sha256_prefix
        and not misfit_of(theirs.tensors, other)
    ]
    return theirs.tensors, [*theirs.told, *two_stage.unsure(name, CARDS, digest, alike)]


def _check_name(tensors: Mapping[str, Tensor], config: str, name: str, path: Path) -> None:
    wrong = misfit_of(tensors, name)
    if not wrong:
        return
    fits = fitting(tensors, config)
    hint = f"; it fits {' and '.join(fits)}: import it --as {fits[0]}" if fits else ""
    if known := [] if fits else backbones_like(tensors):
        names = " or ".join(known)
        hint = f"; it may be a backbone: import it --as {names}, or start from it with `init: FILE`"
    raise WeightsError(f"{path} is not {name}: {wrong}{hint}; nothing was imported")
