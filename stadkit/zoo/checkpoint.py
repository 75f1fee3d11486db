"""Read untrusted checkpoint files into tensors by name, without running code from them."""

from __future__ import annotations

import pickle
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stadkit.errors import WeightsError
from stadkit.zoo.dialects import caffe2
from stadkit.zoo.weights import read_safetensors

if TYPE_CHECKING:
    from torch import Tensor

# Before torch 1.6, torch.save wrote its magic number first, as a separate pickle.
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# First bytes of pickles: protocol 2 and up, then protocols 1 and 0 where they hold a dict.
PICKLE = (b"\x80", b"}q", b"(dp")
# Keys that hold trained weights, in order of preference: plain weights before averaged ones.
WRAPPERS = (
    *("model_state", "state_dict", "model", "module"),
    *("ema", "model_ema", "state_dict_ema", "ema_state_dict"),
)
# Raised by torch and zipfile for a damaged file: ValueError for a name that is not UTF-8, OSError
# or OverflowError for an offset outside the file.
DAMAGE = (
    *(RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, AssertionError),
    *(OSError, OverflowError, struct.error, zipfile.BadZipFile, zlib.error),
)


class _Inert:
    """Replaces an object stored beside the weights: accepts any state and discards it."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def _plain_dict(*_: object) -> dict[Any, Any]:
    """Replaces a defaultdict, without its factory for missing keys."""
    return {}


def _no_getattr(*_: object) -> None:
    """Replaces `getattr` and looks nothing up."""


# Globals that public checkpoints store beside the weights, by full name; their values are not used.
# VideoMAE stores its command line, AlphAction (whose trainer STMixer uses) its pool of people.
# Many store their config, and their best score as a NumPy scalar.
SAFE_GLOBALS: list[Any] = [
    (_Inert, "argparse.Namespace"),
    *((OrderedDict, f"{module}.CfgNode") for module in ("yacs.config", "fvcore.common.config")),
    (_Inert, "numpy.dtype"),
    (_Inert, "numpy.ndarray"),
    *((_Inert, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_Inert, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    (_Inert, "alphaction.structures.memory_pool.MemoryPool"),
    (_Inert, "mmengine.logging.history_buffer.HistoryBuffer"),  # loss history
    (_no_getattr, "builtins.getattr"),  # HistoryBuffer refers to its own methods with it
    (_plain_dict, "collections.defaultdict"),
    (dict, "builtins.dict"),  # the defaultdict's factory
    (Counter, "collections.Counter"),  # milestones of a schedule
]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors, torch or Caffe2 file by name.

    Wrapper dicts and `module.` prefixes are removed; Caffe2 blobs get PySlowFast's names. Raises
    WeightsError that says what the file is when it is not a checkpoint (a web page, a Git LFS
    pointer, truncated, a pickle that holds more than tensors and numbers).
    """
    return read_with_config(path)[0]


def read_with_config(path: Path) -> tuple[dict[str, Tensor], str]:
    """Like `read_checkpoint`, with the config text stored as `cfg`; "" without one."""
    kind = sniff(path)
    if kind == "zip":
        check_parts(path)
    if kind == "pickle":
        return renamed(caffe2.read(path), caffe2.our_name, str(path)), ""
    held = read_safetensors(path) if kind == "safetensors" else _read_torch(path, kind)
    text = held.get("cfg") if isinstance(held, Mapping) else None
    return unwrap(held, path), text if isinstance(text, str) else ""


def sniff(path: Path) -> str:
    """Detect the format by the first bytes: `safetensors`, `zip` (torch >= 1.6), `legacy` (older
    torch) or `pickle` (any other, such as Caffe2's); raises WeightsError for anything else."""
    try:
        mode, size = path.stat().st_mode, path.stat().st_size
    except OSError as error:
        raise WeightsError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if not stat.S_ISREG(mode):
        raise WeightsError(f"{path}: not a regular file; give the checkpoint file itself")
    with path.open("rb") as file:
        head = file.read(4096)
    if size == 0:
        raise WeightsError(f"{path}: empty (0 bytes); download it again")
    if head.startswith(b"PK\x03\x04"):
        return _check_zip(path)
    if head[:1] == b"\x80" and LEGACY in head[:32]:
        return "legacy"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_000:
        return "safetensors"
    if head.startswith(PICKLE):
        return "pickle"
    raise WeightsError(f"{path}: {_describe(head)}")


def _check_zip(path: Path) -> str:
    with _damage_as_error(path):
        complete = zipfile.is_zipfile(path)
    if not complete:
        raise WeightsError(
            f"{path}: truncated ({path.stat().st_size} bytes, the end of the archive is missing); "
            "download it again"
        )
    with _damage_as_error(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        compressed = any(part.compress_type for part in archive.infolist())
    if any(name.endswith("constants.pkl") for name in names):  # torch detects TorchScript so, too
        raise WeightsError(
            f"{path}: a TorchScript program, not a dict of tensors; ask its author for the state "
            "dict"
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise WeightsError(f"{path}: a zip archive, but not a torch checkpoint")
    if compressed:  # torch never compresses, and would map the compressed bytes as numbers
        raise WeightsError(f"{path}: a compressed zip archive; repack it with `zip -0`")
    return "zip"


def check_parts(path: Path) -> None:
    """Raise WeightsError where a member of a zip archive fails its CRC, which torch ignores."""
    with _damage_as_error(path), zipfile.ZipFile(path) as archive:
        if not any(part.CRC for part in archive.infolist()):
            return  # written by torch with checksums off
        damaged = archive.testzip()
    if damaged:
        raise WeightsError(f"{path}: damaged (checksum of {damaged} is wrong); download it again")


@contextmanager
def _damage_as_error(path: Path) -> Iterator[None]:
    """Turn the exceptions of a damaged file into a WeightsError."""
    try:
        yield
    except DAMAGE:
        raise WeightsError(f"{path}: damaged or truncated; download it again") from None


def _describe(head: bytes) -> str:
    """Say what a file that is not a checkpoint is, and what to do, from its first bytes."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        kind = ""
        if b"quota" in text or b"too many users" in text:
            kind = " (Google Drive's quota notice: try again in a day)"
        elif b"google drive" in text or b"virus" in text:
            kind = " (Google Drive's virus-scan notice)"
        return f"a web page{kind}, not a checkpoint; download the file in a browser"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file; fetch it with `git lfs pull`"
    if head[:2] == b"\x1f\x8b":
        return "gzip-compressed; unpack it first"
    return "not a safetensors, torch or Caffe2 checkpoint"


def _read_torch(path: Path, kind: str) -> Any:
    import torch

    try:
        with _damage_as_error(path), torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "zip")
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: refused, {_refusal(str(error))}") from None


def _refusal(message: str) -> str:
    # Torch's own message suggests turning the check off; ours names the object and a safe way.
    found = re.search(r"GLOBAL ([\w.]+)|global ['\"]?([\w.]+)", message)
    name = next((group for group in found.groups() if group), "") if found else ""
    risk = f"it holds {name}, and loading that could run code" if name else "it could run code"
    return f"{risk}; ask its author for a safetensors file or a plain dict of tensors"


def unwrap(held: Any, path: Path) -> dict[str, Tensor]:
    """The dict of tensors inside a checkpoint, without DistributedDataParallel's `module.`."""
    for _ in range(2):  # averaged weights may have their own wrapper
        inner = (held[name] for name in WRAPPERS if isinstance(held, Mapping) and name in held)
        held = next((value for value in inner if isinstance(value, Mapping)), held)
    tensors = _tensors(held, path)
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def _tensors(held: Any, path: Path) -> dict[str, Tensor]:
    import torch

    if not isinstance(held, Mapping) or not held:
        raise WeightsError(f"{path}: holds a {type(held).__name__}, not a dict of tensors")
    odd = [str(name) for name, value in held.items() if not isinstance(value, torch.Tensor)]
    if odd:
        names = ", ".join(odd[:5]) + (", ..." if len(odd) > 5 else "")
        raise WeightsError(
            f"{path}: no dict of tensors under {', '.join(WRAPPERS)}; not tensors: {names}"
        )
    return {str(name): value for name, value in held.items()}


def renamed(
    tensors: Mapping[str, Tensor], new_name: Callable[[str], str], what: str
) -> dict[str, Tensor]:
    """Rename tensors; raises WeightsError where two would get the same name."""
    old_names: dict[str, str] = {}
    for name in tensors:
        if (other := old_names.setdefault(new_name(name), name)) != name:
            raise WeightsError(
                f"{what}: {other} and {name} both become {new_name(name)}; keep one of them"
            )
    return {ours: tensors[name] for ours, name in old_names.items()}
