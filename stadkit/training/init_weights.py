"""Find the weights that a training starts from, rename, check and load them."""

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
from stadkit.zoo.backbones import Renamed, optional_missing
from stadkit.zoo.checkpoint import renamed
from stadkit.zoo.dialects import official, slowfast
from stadkit.zoo.dialects.registry import BACKBONE_DIALECTS
from stadkit.zoo.weights import check_finite, expected_sha256, verify

BUILT_IN, BUILT_IN_LITE = "mestad-nano", "reader.photo"  # the model with Lite's weights, and where
BODY = re.compile(r"(backbone\.)?s[1-5](_fuse)?\.")  # names of a SlowFast backbone


class Started(NamedTuple):
    """Which tensors a model got from a file, and the file's provenance."""

    initial: list[str]  # names of the model that keep their initial values
    unused: list[str]  # names of the file that were not used, by our names where known
    licence: str  # of the file; "" where unknown
    order: str  # EvadConfig.token_order of its training; "" where unknown
    notes: tuple[str, ...] = ()  # more lines for the user


def start_from(model: nn.Module, init: str | Path) -> Started:
    """Load weights into a model: from a file, or by the name of an installed model or backbone.

    Names in a file are the model's own, a backbone's canonical ones (`s1...` for
    `backbone.s1...`), the authors' (`dialects.official`), or a backbone's in the dialects
    `videomae` and `slowfast`. The backbone must be complete except for the norms of
    `zoo.backbones.optional_missing`; heads may be missing or have another number of classes.

    Raises WeightsError otherwise, for values that are not finite or not floating point, and for an
    unknown file or name; the model is unchanged then.
    """
    path = _weights(init)
    tensors = zoo.read_checkpoint(path)
    own = model.state_dict()
    named = _by_own_names(tensors, own, path)
    fits = _fitting(named.tensors, own)
    # Step counters are not used, and older files lack them.
    initial = [n for n in own if n not in fits and not n.endswith("num_batches_tracked")]
    _check_backbone(initial, named.tensors, own, path)
    _check_numbers(fits, own, path)
    model.load_state_dict(fits, strict=False)
    unused = [*named.unused, *(name for name in named.tensors if name not in fits)]
    card = _card_of(path)
    licence = str(_sidecar(path).get("licence", "")) or card.get("licence", "")
    notes = _slowfast_notes(tensors, named.tensors, initial, path)
    return Started(sorted(initial), sorted(unused), licence, _order(tensors, card), notes)


def fill_frozen(model: nn.Module) -> None:
    """Load the built-in weights into a model's frozen parts, for a training without `init`."""
    for part in model.modules():
        if isinstance(part, Lite):
            tensors = zoo.read_checkpoint(_weights(BUILT_IN))
            lite = {key: tensors[f"{BUILT_IN_LITE}.{key}"] for key in part.state_dict()}
            part.load_state_dict(lite)
        elif isinstance(part, Mestad) and part.reader is not None:
            tensors = zoo.read_checkpoint(_weights(BUILT_IN))
            part.load_state_dict(
                {k: v for k, v in tensors.items() if not k.startswith("head.")}, False
            )


def start_notes(started: Started, card: zoo.Card) -> list[str]:
    """Lines for the user about the start of a training of `card`."""
    lines = [*started.notes]
    if started.order == "importance" and card.family == "evad":
        lines.append(
            f"trains with token_order: {card.settings['token_order']}; these weights were trained "
            "with importance"
        )
    if card.licence != YOURS:
        lines.append(f"licence of the trained weights: {card.licence}")
    return lines


def _weights(init: str | Path) -> Path:
    """Resolve `init` to a file; raises WeightsError where it does not exist."""
    if is_name(init):
        found = zoo.find_weights(str(init))
        verify(found, expected_sha256(str(init), found))
        return found
    path = Path(init)
    if not path.exists():
        raise WeightsError(f"{path}: no such file{_hint(path.name)}")
    return path


def _hint(name: str) -> str:
    near = difflib.get_close_matches(name, [*zoo.CARDS, *zoo.BACKBONES], n=1, cutoff=0.8)
    return f"; to use weights by name, set `init: {near[0]}` without a folder" if near else ""


def _by_own_names(tensors: dict[str, Tensor], own: dict[str, Tensor], path: Path) -> Renamed:
    """Rename a file's tensors to the model's names where they are known."""
    if official.family(tensors):
        return Renamed(official.to_ours(tensors, str(path)), [])
    named = renamed(tensors, lambda name: _own_name(name, own), str(path))
    for dialect in BACKBONE_DIALECTS.values():
        if dialect.matches(own) and dialect.matches(tensors):
            found = dialect.rename(tensors, str(path))  # checks the architecture, too
            # If all backbone names are ours already, the heads' names are, too.
            return found if _missing(named, own) else Renamed(named, [])
    return Renamed(named, [])


def _missing(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """The required backbone names that are missing, in the model's order."""
    missing = [name for name in own if name.startswith("backbone.") and name not in tensors]
    optional = optional_missing(missing, tensors)
    return [name for name in missing if name not in optional]


def _own_name(name: str, own: dict[str, Tensor]) -> str:
    inside = f"backbone.{name}"
    return inside if name not in own and inside in own else name


def _fitting(tensors: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: v for name, v in tensors.items() if name in own and own[name].shape == v.shape}


def _check_backbone(
    initial: list[str], tensors: dict[str, Tensor], own: dict[str, Tensor], path: Path
) -> None:
    """Require a complete backbone, except `optional_missing`, and no other tensors of a SlowFast.

    initial: names of the model that the file does not fill.
    """
    optional = optional_missing(initial, tensors)
    lacking = [name for name in initial if name.startswith("backbone.") and name not in optional]
    unexpected = [name for name in tensors if BODY.match(name) and name not in own]
    if lacking:
        first, what = lacking[0], "missing"
        if first in tensors:
            what = f"{list(tensors[first].shape)} for {list(own[first].shape)}"
        raise WeightsError(
            f"{path}: not this model's complete backbone: {first} is {what}"
            f"{_more(lacking, 'missing or of another shape')}; use weights of this architecture"
        )
    if unexpected and slowfast.matches(own):
        raise WeightsError(
            f"{path}: another backbone than this model's, which has no {unexpected[0]}"
            f"{_more(unexpected, 'unexpected')}; use weights of this architecture"
        )


def _more(names: list[str], what: str) -> str:
    return f" ({len(names) - 1} more {what})" if len(names) > 1 else ""


def _check_numbers(fits: dict[str, Tensor], own: dict[str, Tensor], path: Path) -> None:
    integers = [
        name
        for name, value in fits.items()
        if own[name].is_floating_point() and not value.is_floating_point()
    ]
    if integers:
        kind = str(fits[integers[0]].dtype).removeprefix("torch.")
        raise WeightsError(
            f"{path}: {integers[0]} is {kind}, not floating point"
            f"{_more(integers, 'likewise')}; use weights that are not quantized"
        )
    check_finite(fits, str(path))


def _slowfast_notes(
    original: dict[str, Tensor], tensors: dict[str, Tensor], initial: list[str], path: Path
) -> tuple[str, ...]:
    """Notes about a SlowFast's weights.

    Names in the original file reveal the code base; an imported file's sidecar has recorded it.
    """
    code_base = str(_sidecar(path).get("names", "")) or slowfast.code_base(original)
    return tuple(slowfast.notes(code_base, tensors, initial))


def _sidecar(path: Path) -> dict[str, Any]:
    """The sidecar of a file; {} where it has none, or an unrelated JSON file."""
    try:
        return zoo.read_sidecar(path)
    except WeightsError:
        return {}


def _card_of(path: Path) -> Mapping[str, Any]:
    """A file's family, settings and licence, from its sidecar's card or the zoo's; {} if unknown.

    The zoo's card is used where the file is stored under that name.
    """
    held = _sidecar(path).get("card")
    if isinstance(held, dict):
        return held
    name, stored = path.stem, zoo.weights_path(path.stem)
    if stored is None or not stored.samefile(path):
        return {}
    if name in zoo.BACKBONES:
        return {"licence": zoo.BACKBONES[name].licence}
    return vars(zoo.CARDS[name]) if name in zoo.CARDS else {}


def _order(tensors: dict[str, Tensor], card: Mapping[str, Any]) -> str:
    if official.family(tensors) == "evad":
        return "importance"
    settings = card.get("settings") if card.get("family") == "evad" else None
    return str(settings.get("token_order", "position")) if isinstance(settings, Mapping) else ""
