"""Weights that a training starts from: found, brought to the model's names, checked, put in."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from stadkit import zoo
from stadkit.errors import WeightsError
from stadkit.models.lite import Lite
from stadkit.models.mestad import Mestad
from stadkit.training.config import is_name
from stadkit.training.model import YOURS
from stadkit.zoo.backbones import Renamed, may_lack
from stadkit.zoo.checkpoint import renamed
from stadkit.zoo.dialects import official, slowfast, videomae
from stadkit.zoo.weights import check_finite, expected_sha256, verify

# How others name a backbone: whether names are so, and these names -> ours.
DIALECTS = (
    (videomae.is_videomae, videomae.rename),
    (slowfast.is_slowfast, slowfast.rename),
)
BUILT_IN, BUILT_IN_LITE = "mestad-nano", "reader.photo"  # which has Lite's weights, and where
BODY = re.compile(r"(backbone\.)?s[1-5](_fuse)?\.")  # what is of a SlowFast


class Started(NamedTuple):
    """What a model got from a file, and what is known of the file."""

    initial: list[str]  # names of the model that keep their initial values
    unused: list[str]  # names of the file that went nowhere; ours for those that we have
    licence: str  # of the file; "" where unknown
    order: str  # EvadConfig.token_order that it was trained with; "" where unknown
    notes: tuple[str, ...] = ()  # what else a user should know of it, in words


def start_from(model: nn.Module, init: str | Path) -> Started:
    """Put weights into a model: of a file, or those that are here of a model or backbone.

    Names in a file are the model's own, a backbone's canonical ones (`s1...` for
    `backbone.s1...`), a model's authors' (`zoo.official`), or a backbone's in the dialects of
    `zoo.dialects`. The backbone has to be whole but for the norms
    of `zoo.backbones.may_lack`; heads may lack, or be of another number of classes.

    Raises WeightsError otherwise, for numbers that are not finite or not floating, and where
    there is no such file or name; then the model is as it was.
    """
    path = _weights(init)
    given = zoo.read_checkpoint(path)
    own = model.state_dict()
    named = _by_own_names(given, own, path)
    fits = _fitting(named.tensors, own)
    # Counters of steps matter to no one, and older files lack them.
    left = [n for n in own if n not in fits and not n.endswith("num_batches_tracked")]
    _check_backbone(left, named.tensors, own, path)
    _check_numbers(fits, own, path)
    model.load_state_dict(fits, strict=False)
    unused = [*named.unused, *(name for name in named.tensors if name not in fits)]
    card = _card_of(path)
    licence = str(_noted(path).get("licence", "")) or card.get("licence", "")
    notes = _notes(given, named.tensors, left, path)
    return Started(sorted(left), sorted(unused), licence, _order(given, card), notes)


def fill_frozen(model: nn.Module) -> None:
    """What of a model never learns: a training from nothing has it from the built-in weights."""
    for part in model.modules():
        if isinstance(part, Lite):
            given = zoo.read_checkpoint(_weights(BUILT_IN))
            own = {key: given[f"{BUILT_IN_LITE}.{key}"] for key in part.state_dict()}
            part.load_state_dict(own)
        elif isinstance(part, Mestad) and part.reader is not None:
            given = zoo.read_checkpoint(_weights(BUILT_IN))
            part.load_state_dict(
                {k: v for k, v in given.items() if not k.startswith("head.")}, False
            )


def told(started: Started, card: zoo.Card) -> list[str]:
    """What a user should know of the start of a training to `card`, in words."""
    lines = [*started.notes]
    if started.order == "importance" and card.family == "evad":
        lines.append(
            f"trains with token_order: {card.settings['token_order']}; these weights were trained "
            "with importance"
        )
    if card.licence != YOURS:
        lines.append(f"licence of what is trained: {card.licence}")
    return lines


def _weights(init: str | Path) -> Path:
    """The file that is meant; raises WeightsError where there is none."""
    if is_name(init):
        found = zoo.find_weights(str(init))
        verify(found, expected_sha256(str(init), found))
        return found
    path = Path(init)
    if not path.exists():
        raise WeightsError(f"{path}: no such file to start from{_hint(path.name)}")
    return path


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, [*zoo.CARDS, *zoo.BACKBONES], n=1, cutoff=0.8)
    return f"; for weights by their name give it alone, `init: {near[0]}`" if near else ""


def _by_own_names(given: dict[str, Tensor], own: dict[str, Tensor], path: Path) -> Renamed:
    """Tensors of a file by the model's names, as far as these are known."""
    if official.family(given):
        return Renamed(official.to_ours(given, str(path)), [])
    named = renamed(given, lambda name: _own_name(name, own), str(path))
    for know, rename in DIALECTS:
        if know(own) and know(given):
            found = rename(given, str(path))  # checks the architecture, too
            # Where all names of the backbone are ours, so are those of the heads.
            return found if _lacking(named, own) else Renamed(named, [])
    return Renamed(named, [])


def _lacking(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """The names of the backbone that are not there and have to be, in the model's order."""
    missing = [name for name in own if name.startswith("backbone.") and name not in given]
    spared = may_lack(missing, given)
    return [name for name in missing if name not in spared]


def _own_name(name: str, own: dict[str, Tensor]) -> str:
    inside = f"backbone.{name}"
    return inside if name not in own and inside in own else name


def _fitting(given: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: v for name, v in given.items() if name in own and own[name].shape == v.shape}


def _check_backbone(
    left: list[str], given: dict[str, Tensor], own: dict[str, Tensor], path: Path
) -> None:
    """Nothing of a backbone may be left but what `may_lack` says; a SlowFast's may have no more."""
    spared = may_lack(left, given)
    lacking = [name for name in left if name.startswith("backbone.") and name not in spared]
    more = [name for name in given if BODY.match(name) and name not in own]
    if lacking:
        first, what = lacking[0], "missing"
        if first in given:
            what = f"{list(given[first].shape)} for {list(own[first].shape)}"
        raise WeightsError(
            f"{path}: has not the whole backbone of this model: {first} is {what}"
            f"{_others(lacking, 'missing or of another shape')}; give weights of this architecture"
        )
    if more and slowfast.is_slowfast(own):
        raise WeightsError(
            f"{path}: is of another backbone than this model's, which has no {more[0]}"
            f"{_others(more, 'not in it either')}; give weights of this architecture"
        )


def _others(names: list[str], what: str) -> str:
    return f" ({len(names) - 1} more are {what})" if len(names) > 1 else ""


def _check_numbers(fits: dict[str, Tensor], own: dict[str, Tensor], path: Path) -> None:
    whole = [
        name
        for name, value in fits.items()
        if own[name].is_floating_point() and not value.is_floating_point()
    ]
    if whole:
        kind = str(fits[whole[0]].dtype).removeprefix("torch.")
        raise WeightsError(
            f"{path}: {whole[0]} and {len(whole) - 1} more are {kind}, not floating numbers; give "
            "weights that are not quantized"
        )
    check_finite(fits, str(path))


def _notes(
    given: dict[str, Tensor], tensors: dict[str, Tensor], left: list[str], path: Path
) -> tuple[str, ...]:
    """What is to be told of a SlowFast's weights; the names in a file show whose they are, but no
    more where it was imported."""
    whose = str(_noted(path).get("names", "")) or slowfast.whose(given)
    return tuple(slowfast.told(whose, tensors, left))


def _noted(path: Path) -> dict[str, Any]:
    """What lies beside a file, where that is ours; strangers' JSON is nothing to us."""
    try:
        return zoo.read_sidecar(path)
    except WeightsError:
        return {}


def _card_of(path: Path) -> Mapping[str, Any]:
    """Family, settings and licence of a file: its own card's, or those of the zoo's name that it
    is kept under; {} where unknown."""
    held = _noted(path).get("card")
    if isinstance(held, dict):
        return held
    name, kept = path.stem, zoo.weights_path(path.stem)
    if kept is None or not kept.samefile(path):
        return {}
    if name in zoo.BACKBONES:
        return {"licence": zoo.BACKBONES[name].licence}
    return vars(zoo.CARDS[name]) if name in zoo.CARDS else {}


def _order(given: dict[str, Tensor], card: Mapping[str, Any]) -> str:
    if official.family(given) == "evad":
        return "importance"
    settings = card.get("settings") if card.get("family") == "evad" else None
    return str(settings.get("token_order", "position")) if isinstance(settings, Mapping) else ""
