"""Where weights lie, and whether they are what was stored: sha256, keys, shapes, finite values."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stadkit.errors import WeightsError
from stadkit.zoo.backbones import BACKBONES
from stadkit.zoo.cards import card

if TYPE_CHECKING:
    from torch import Tensor, nn

BUILT_IN = Path(__file__).parents[1] / "weights"
SHOWN = 5  # keys named in one message


def home() -> Path:
    """STADKIT_HOME, or the platform's cache folder; not created here.

    Raises WeightsError for a user who has no home folder, as in some containers.
    """
    if own := os.environ.get("STADKIT_HOME"):
        return _expanded(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "") or "~/.cache"
    return _expanded(base) / "stadkit"


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise WeightsError(
            "this user has no home folder; set STADKIT_HOME to a folder for weights"
        ) from None


def places(name: str) -> tuple[Path, Path]:
    """The two files that may hold a model's weights: in the package, then under `home()`."""
    file = f"{name}.safetensors"
    return BUILT_IN / file, home() / "weights" / file


def weights_path(name: str) -> Path | None:
    """The file that holds this model's weights, or None where there is none."""
    own = BUILT_IN / f"{name}.safetensors"
    if own.is_file():  # which needs no home
        return own
    return next((path for path in places(name) if path.is_file()), None)


def state(name: str) -> str:
    """Where a model's weights are: `built in`, `here` or `absent`."""
    path = weights_path(name)
    if path is None:
        return "absent"
    return "built in" if path.parent == BUILT_IN else "here"


def find_weights(name: str) -> Path:
    """The file of a model's or backbone's weights; raises WeightsError that says how to get them,
    UsageError for an unknown name."""
    path = weights_path(name)
    if path is None:
        looked = " and ".join(str(path.parent) for path in places(name))
        raise WeightsError(
            f"no weights for {name}: looked for {name}.safetensors in {looked}; {how_to_get(name)}"
        )
    return path


def how_to_get(name: str) -> str:
    """What a user does to have these weights, in words."""
    if name in BACKBONES:
        known = BACKBONES[name]
        return f"`stadkit models pull {name}` gets them ({known.url}; licence: {known.licence})"
    held = card(name)
    last = f"`stadkit models import FILE --as {name}`"
    whence = held.url or (drive_page(held.drive_id) if held.drive_id else "")
    if not whence:
        return f"none were released: train it with `stadkit train`, then {last}"
    size = f", {held.size / 1e6:.0f} MB" if held.size else ""
    digest = f", sha256 {held.sha256_prefix}..." if held.sha256_prefix else ""
    return (
        f"`stadkit models pull {name}` gets them, or download {held.file or 'the file'}{size}"
        f"{digest} from {whence} (licence: {held.licence}), then {last}"
    )


def drive_page(drive_id: str) -> str:
    """The page of a file on Google Drive."""
    return f"https://drive.google.com/file/d/{drive_id}"


def expected_sha256(name: str, path: Path) -> str:
    """What the card says of built-in weights; empty for imported ones: their sidecar knows."""
    return card(name).sha256 if path.parent == BUILT_IN else ""


def sha256(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sidecar_path(path: Path) -> Path:
    """Where the JSON of weights lies: beside them, with the same name."""
    return path.with_suffix(".json")


def read_sidecar(path: Path) -> dict[str, Any]:
    """What was noted beside weights; empty where nothing was. Raises WeightsError on damage."""
    beside = sidecar_path(path)
    if not beside.is_file():
        return {}
    try:
        held = json.loads(beside.read_text("utf-8"))
    except ValueError as error:
        raise WeightsError(f"{beside}: not JSON ({error}); import the weights again") from None
    if not isinstance(held, dict):
        raise WeightsError(f"{beside}: not a JSON object; import the weights again")
    return held


def verify(path: Path, expected: str = "") -> str:
    """The sha256 of weights, checked against `expected` or the sidecar; raises WeightsError."""
    wanted = expected or str(read_sidecar(path).get("sha256", ""))
    if not wanted:
        raise WeightsError(
            f"{path}: no checksum is known for it ({sidecar_path(path).name} is missing); "
            "bring it in with `stadkit models import`"
        )
    found = sha256(path)
    if found != wanted:
        raise WeightsError(
            f"{path}: damaged or changed (sha256 {found[:16]}..., noted {wanted[:16]}...); "
            "import or download it again"
        )
    return found


def save_weights(
    tensors: Mapping[str, Tensor], path: Path, notes: Mapping[str, Any] | None = None
) -> str:
    """Write safetensors and, beside them, JSON with their sha256 and `notes`; gives the sha256."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{os.getpid()}.part")
    try:
        # Cloned: a checkpoint may hold one storage under two names, which safetensors refuses.
        save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, half)
        digest = sha256(half)
        os.replace(half, path)
        noted = {"sha256": digest, **(notes or {})}
        half.write_text(json.dumps(noted, indent=1) + "\n", "utf-8")
        os.replace(half, sidecar_path(path))
    except SafetensorError as error:  # as it tells a full disk
        raise WeightsError(
            f"{path}: cannot be written ({_first_line(error)}); free some space, or set "
            "STADKIT_HOME to another disk"
        ) from None
    finally:
        half.unlink(missing_ok=True)
    return digest


def load_weights(model: nn.Module, path: Path, expected: str = "") -> str:
    """Fill a module from safetensors, checked by sha256, keys, shapes and values.

    Half-precision files fill float32 modules. Gives the sha256; raises WeightsError with
    all that is wrong in one line, and then leaves the module as it was.
    """
    digest = verify(path, expected)
    tensors = read_safetensors(path)
    check_fit(tensors, model, str(path))
    check_finite(tensors, str(path))
    model.load_state_dict(dict(tensors), strict=True)
    return digest


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; raises WeightsError where it is cut or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(
            f"{path}: damaged or cut short ({_first_line(error)}); download it again"
        ) from None


def misfit(tensors: Mapping[str, Tensor], model: nn.Module) -> str:
    """What keeps these tensors out of this module, in words; empty where they fit."""
    wanted = model.state_dict()
    missing = [key for key in wanted if key not in tensors]
    extra = [key for key in tensors if key not in wanted]
    shaped = [
        f"{key} is {list(tensors[key].shape)} for {list(value.shape)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    told = ((missing, "missing"), (extra, "not of this model"), (shaped, "of another shape"))
    return "; ".join(f"{len(keys)} {kind} ({_some(keys)})" for keys, kind in told if keys)


def check_fit(tensors: Mapping[str, Tensor], model: nn.Module, what: str) -> None:
    """Raise WeightsError naming missing, extra and mis-shaped keys, all in one message."""
    if wrong := misfit(tensors, model):
        raise WeightsError(f"{what} does not fit the model: {wrong}; nothing was loaded")


def check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise WeightsError where a tensor holds NaN or infinity."""
    bad = [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]
    if bad:
        raise WeightsError(f"{what}: NaN or infinity in {len(bad)} tensors ({_some(bad)})")


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:SHOWN]) + (", ..." if len(keys) > SHOWN else "")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
