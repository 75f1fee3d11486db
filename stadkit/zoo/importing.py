"""Import a checkpoint file under a model's name: check it, then store it as safetensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stadkit.errors import UsageError, WeightsError
from stadkit.zoo.backbones import BACKBONES, FINAL_NORM, FUSION_NORM
from stadkit.zoo.cards import CARDS, card
from stadkit.zoo.checkpoint import read_with_config
from stadkit.zoo.dialects import official, slowfast, two_stage
from stadkit.zoo.dialects.registry import BACKBONE_DIALECTS
from stadkit.zoo.fitting import backbones_like, conflicts, fitting, misfit_of
from stadkit.zoo.provenance import card_beside, differences, have_same_tensors
from stadkit.zoo.weights import (
    MAX_KEYS_SHOWN,
    candidate_paths,
    check_finite,
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
    warnings: Sequence[str] = (),
) -> Path:
    """Check a checkpoint against the model or backbone `name` and store it; returns the new file.

    Keys are the canonical ones, or in the dialects `official` and `two_stage`, or for a backbone
    `videomae` and `slowfast`. None may be missing, and only a backbone's file may have more.
    anyway: import even where the config inside the file has another keep rate, the card beside it
    other settings, or a two-stage file belongs to another model by sha256, name or code base.
    origin: more notes for the sidecar. warnings: notes for the user, before those found here.

    Raises UsageError for an unknown name, WeightsError for a file that is not this model's weights;
    nothing is stored then. The notes for the user go into the sidecar as `told`.
    """
    if name not in BACKBONES:
        card(name)
    if state(name) == "built in":
        raise UsageError(
            f"{name} has built-in weights; use yours as `--model FILE.safetensors`, or import "
            "them as another model"
        )
    tensors, notes, code_base = _checked(path, name, anyway)
    sidecar = {"source": path.name, "source_sha256": sha256(path), "told": [*warnings, *notes]}
    sidecar |= {"names": code_base} if code_base else {}
    stored = candidate_paths(name)[1]
    save_weights(tensors, stored, {**sidecar, **(origin or {})})
    return stored


def is_refused(path: Path, name: str) -> bool:
    """Whether a file cannot be weights of `name`, not even with `anyway`; nothing is stored."""
    try:
        _checked(path, name, anyway=True)
    except WeightsError:
        return True
    return False


def _checked(path: Path, name: str, anyway: bool) -> tuple[dict[str, Tensor], list[str], str]:
    """A file's canonical tensors, notes for the user, and the code base whose names it has."""
    tensors, config = read_with_config(path)
    code_base = slowfast.code_base(tensors)  # before renaming hides it
    if name in BACKBONES:
        tensors, notes = _backbone(tensors, name, path)
    else:
        tensors, notes = _model(tensors, config, name, path, anyway)
    check_finite(tensors, str(path))
    return tensors, notes, code_base


def _backbone(
    tensors: Mapping[str, Tensor], name: str, path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    kind = BACKBONES[name].kind
    found, unused = BACKBONE_DIALECTS[kind].rename(tensors, str(path))
    if wrong := misfit_of(found, name):
        raise WeightsError(f"{path} is not {name}: {wrong}; nothing was imported")
    notes = []
    if unused:
        notes.append(f"not used, as it is not part of the backbone: {_grouped(unused)}")
    if kind == "slowfast":
        missing = [norm for norm in FUSION_NORM if norm not in found]
        notes += slowfast.notes(slowfast.code_base(tensors), found, missing)
    elif FINAL_NORM[0] not in found:
        notes.append("without the final norm (classifiers lack it), which is newly initialized")
    return found, notes


def _grouped(names: list[str]) -> str:
    """List names; many of them as counts by their first part."""
    if len(names) <= MAX_KEYS_SHOWN:
        return ", ".join(names)
    counts = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{part} ({_tensors(count)})" for part, count in counts.items())


def _tensors(count: int) -> str:
    return f"{count} tensor{'s' if count > 1 else ''}"


def _model(
    tensors: Mapping[str, Tensor], config: str, name: str, path: Path, anyway: bool
) -> tuple[dict[str, Tensor], list[str]]:
    if theirs := two_stage.read(tensors, str(path)):
        return _two_stage(theirs, name, path, anyway)
    named = official.to_ours(tensors, str(path))
    _check_name(named, config, name, path)
    settings = card(name).settings
    contradicted = conflicts(config, card(name))
    if contradicted and not anyway:
        fits = [other for other in fitting(named, config) if other != name]
        way = f"import it --as {fits[0]}" if fits else "no known model matches"
        raise WeightsError(
            f"{path} is not {name}: its config says {', '.join(contradicted)}; {way} (or as "
            f"{name} with --anyway); nothing was imported"
        )
    notes = []
    if contradicted:
        notes.append(f"imported as {name}, although its config says {', '.join(contradicted)}")
    elif official.family(tensors) == "evad" and "keep_rate" not in official.read_config(config):
        notes.append(
            f"the file does not state its keep rate, and no tensor shows it: assuming "
            f"{official.card_values(settings)['keep_rate']:g}, as in {name}"
        )
    if not official.family(tensors):
        notes += _check_card(named, config, name, path, anyway)
    return named, notes


def _check_card(
    tensors: Mapping[str, Tensor], config: str, name: str, path: Path, anyway: bool
) -> list[str]:
    """Check a file with canonical names against the card beside it; returns at most one note.

    Raises WeightsError where that card's model computes differently.
    """
    beside, known = card_beside(path), card(name)
    family = {other: held for other, held in CARDS.items() if held.family == known.family}
    if beside is None:
        differing = [
            other
            for other, held in family.items()
            if differences(held, known)
            and not conflicts(config, held)
            and not misfit_of(tensors, other)
        ]
        note = f"no card beside the file: assuming {name}, but {have_same_tensors(differing)}"
        return [note] if differing else []
    differing_fields = ", ".join(differences(beside, known))
    if not differing_fields:
        return []
    if anyway:
        return [f"imported as {name}, although the card beside it says {differing_fields}"]
    fits = [other for other, held in family.items() if not differences(beside, held)]
    way = f"import it --as {' or '.join(fits)}" if fits else "no known model matches"
    raise WeightsError(
        f"{path} is not {name}: the card beside it says {differing_fields}; {way} (or as {name} "
        "with --anyway); nothing was imported"
    )


def _two_stage(
    theirs: two_stage.RenamedDetector, name: str, path: Path, anyway: bool
) -> tuple[dict[str, Tensor], list[str]]:
    """Check a two-stage detector's file that has another code base's names."""
    digest, misfits = sha256(path), misfit_of(theirs.tensors, name)
    objection = two_stage.objection(name, CARDS, theirs.code_base, digest, path.name)
    if misfits or (objection and not anyway):
        wrong = misfits or f"{objection} (--anyway imports it as {name})"
        fits = [
            other
            for other in two_stage.likely_models(CARDS, theirs.code_base, digest, path.name)
            if not misfit_of(theirs.tensors, other)
        ]
        hint = f"; import it --as {' or '.join(fits)}" if fits else ""
        if known := [] if fits else backbones_like(theirs.tensors):
            hint = f"; it may be a backbone: import it --as {' or '.join(known)}"
        raise WeightsError(f"{path} is not {name}: {wrong}{hint}; nothing was imported")
    if objection:
        return theirs.tensors, [*theirs.notes, f"imported as {name}, although {objection}"]
    alike = [
        other
        for other, known in CARDS.items()
        if other != name
        and known.origin == theirs.code_base
        and not card(name).sha256_prefix
        and not misfit_of(theirs.tensors, other)
    ]
    return theirs.tensors, [*theirs.notes, *two_stage.uncertainty(name, CARDS, digest, alike)]


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
