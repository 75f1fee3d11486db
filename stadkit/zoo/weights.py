"""Find, read, write and verify weights: sha256, keys, shapes and finite values."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stadkit.atomic import replacing
from stadkit.errors import WeightsError
from stadkit.zoo.backbones import BACKBONES
from stadkit.zoo.cards import card

if TYPE_CHECKING:
    from torch import Tensor, nn

BUILT_IN = Path(__file__).parents[1] / "weights"
MAX_KEYS_SHOWN = 5  # in one message


def home() -> Path:
    """STADKIT_HOME, or stadkit's folder in the platform's cache folder; not created here.

    Raises WeightsError for a user without a home folder, as in some containers.
    """
    if folder := os.environ.get("STADKIT_HOME"):
        return _expanded(folder)
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


def candidate_paths(name: str) -> tuple[Path, Path]:
    """The two files that may hold a model's weights: in the package, then under `home()`."""
    file = f"{name}.safetensors"
    return BUILT_IN / file, home() / "weights" / file


def weights_path(name: str) -> Path | None:
    """The file that holds a model's weights, or None."""
    built_in = BUILT_IN / f"{name}.safetensors"
    if built_in.is_file():  # works without a home folder
        return built_in
    return next((path for path in candidate_paths(name) if path.is_file()), None)


def state(name: str) -> str:
    """The state of a model's weights: `built in`, `here` or `absent`."""
    path = weights_path(name)
    if path is None:
        return "absent"
    return "built in" if path.parent == BUILT_IN else "here"


def find_weights(name: str) -> Path:
    """The file of a model's or backbone's weights.

    Raises WeightsError that says how to get missing ones, UsageError for an unknown name.
    """
    path = weights_path(name)
    if path is None:
        folders = " and ".join(str(path.parent) for path in candidate_paths(name))
        raise WeightsError(
            f"no weights for {name}: no {name}.safetensors in {folders}; {how_to_get(name)}"
        )
    return path


def how_to_get(name: str) -> str:
    """Tell the user how to get these weights."""
    if name in BACKBONES:
        known = BACKBONES[name]
        return (
            f"`stadkit models pull {name}` downloads them ({known.url}; licence: {known.licence})"
        )
    held = card(name)
    import_command = f"`stadkit models import FILE --as {name}`"
    url = held.url or (drive_page(held.drive_id) if held.drive_id else "")
    if not url:
        return f"none were released: train it with `stadkit train`, then {import_command}"
    size = f", {held.size / 1e6:.0f} MB" if held.size else ""
    digest = f", sha256 {held.sha256_prefix}..." if held.sha256_prefix else ""
    return (
        f"`stadkit models pull {name}` downloads them, or get {held.file or 'the file'}{size}"
        f"{digest} from {url} (licence: {held.licence}), then {import_command}"
    )


def drive_page(drive_id: str) -> str:
    """The page of a file on Google Drive."""
    return f"https://drive.google.com/file/d/{drive_id}"


def expected_sha256(name: str, path: Path) -> str:
    """The card's sha256 for built-in weights; empty for imported ones, whose sidecar has it."""
    return card(name).sha256 if path.parent == BUILT_IN else ""


def sha256(path: Path) -> str:
    """Hex sha256 of a file, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sidecar_path(path: Path) -> Path:
    """The JSON file beside weights, with the same stem."""
    return path.with_suffix(".json")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the JSON beside weights; empty without one. Raises WeightsError on damage."""
    sidecar = sidecar_path(path)
    if not sidecar.is_file():
        return {}
    try:
        notes = json.loads(sidecar.read_text("utf-8"))
    except ValueError as error:
        raise WeightsError(f"{sidecar}: not JSON ({error}); import the weights again") from None
    if not isinstance(notes, dict):
        raise WeightsError(f"{sidecar}: not a JSON object; import the weights again")
    return notes


def verify(path: Path, expected: str = "") -> str:
    """Check the sha256 of weights against `expected` or the sidecar, and return it.

    Raises WeightsError where it differs or none is known.
    """
    wanted = expected or str(read_sidecar(path).get("sha256", ""))
    if not wanted:
        raise WeightsError(
            f"{path}: its checksum is unknown ({sidecar_path(path).name} is missing); "
            "import it with `stadkit models import`"
        )
    found = sha256(path)
    if found != wanted:
        raise WeightsError(
            f"{path}: damaged or changed (sha256 {found[:16]}..., expected {wanted[:16]}...); "
            "import or download it again"
        )
    return found


def save_weights(
    tensors: Mapping[str, Tensor], path: Path, notes: Mapping[str, Any] | None = None
) -> str:
    """Write safetensors and a JSON sidecar with their sha256 and `notes`; returns the sha256."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    # Cloned: a checkpoint may hold one storage under two names, which safetensors refuses.
    copies = {name: x.detach().cpu().contiguous().clone() for name, x in tensors.items()}
    try:
        with replacing(path) as part:
            save_file(copies, part)
            digest = sha256(part)
        with replacing(sidecar_path(path)) as part:
            sidecar = {"sha256": digest, **(notes or {})}
            part.write_text(json.dumps(sidecar, indent=1) + "\n", "utf-8")
    except SafetensorError as error:  # raised for a full disk, too
        raise WeightsError(
            f"{path}: cannot be written ({_first_line(error)}); free some space, or set "
            "STADKIT_HOME to another disk"
        ) from None
    return digest


def load_weights(model: nn.Module, path: Path, expected: str = "") -> str:
    """Load safetensors into a module after checking sha256, keys, shapes and values.

    Half-precision files may fill float32 modules. Returns the sha256. Raises WeightsError, which
    lists all problems in one line and leaves the module unchanged.
    """
    digest = verify(path, expected)
    tensors = read_safetensors(path)
    check_fit(tensors, model, str(path))
    check_finite(tensors, str(path))
    model.load_state_dict(dict(tensors), strict=True)
    return digest


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; raises WeightsError where it is truncated or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(
            f"{path}: damaged or truncated ({_first_line(error)}); download it again"
        ) from None


def misfit(tensors: Mapping[str, Tensor], model: nn.Module) -> str:
    """Why tensors do not fit a module; empty where they do."""
    wanted = model.state_dict()
    missing = [key for key in wanted if key not in tensors]
    extra = [key for key in tensors if key not in wanted]
    shaped = [
        f"{key} is {list(tensors[key].shape)} for {list(value.shape)}"
        for key, value in wanted.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    kinds = ((missing, "missing"), (extra, "unexpected"), (shaped, "of another shape"))
    return "; ".join(f"{len(keys)} {kind} ({_first_few(keys)})" for keys, kind in kinds if keys)


def check_fit(tensors: Mapping[str, Tensor], model: nn.Module, what: str) -> None:
    """Raise WeightsError listing missing, unexpected and wrongly shaped keys in one message."""
    if wrong := misfit(tensors, model):
        raise WeightsError(f"{what} does not fit the model: {wrong}; nothing was loaded")


def check_finite(tensors: Mapping[str, Tensor], what: str) -> None:
    """Raise WeightsError where a tensor holds NaN or infinity."""
    bad = [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]
    if bad:
        count = f"{len(bad)} tensor{'s' if len(bad) > 1 else ''}"
        raise WeightsError(f"{what}: NaN or infinity in {count} ({_first_few(bad)})")


def _first_few(keys: list[str]) -> str:
    return ", ".join(keys[:MAX_KEYS_SHOWN]) + (", ..." if len(keys) > MAX_KEYS_SHOWN else "")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
