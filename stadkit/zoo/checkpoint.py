"""Checkpoint files of strangers -> tensors by name, without running anything in them."""

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

# torch.save before 1.6 starts with its magic number as a pickle of its own.
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# How pickles start: by protocol 2 and up, 1 and 0, the last two where they hold a dict.
PICKLE = (b"\x80", b"}q", b"(dp")
# What trained weights are kept under, the first of these that there is; averages of them after
# the weights themselves.
WRAPPERS = (
    *("model_state", "state_dict", "model", "module"),
    *("ema", "model_ema", "state_dict_ema", "ema_state_dict"),
)
# What torch and zipfile raise for a file with a fault in it. Of a name that is no UTF-8 it is a
# ValueError, of a place that no file has an OSError or OverflowError.
DAMAGE = (
    *(RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, AssertionError),
    *(OSError, OverflowError, struct.error, zipfile.BadZipFile, zlib.error),
)


class _Inert:
    """Stands for an object beside the weights: takes what its pickle gives it, keeps nothing."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def _plain(*_: object) -> dict[Any, Any]:
    """Stands for a defaultdict, without what it would make of names that it lacks."""
    return {}


def _nothing(*_: object) -> None:
    """Stands for `getattr`, and looks nothing up."""


# What lies beside the weights in files that are about, by its full name in them; nobody reads it.
# VideoMAE has its command line there; AlphAction, whose trainer is STMixer's, its pool of people.
# Many have their config, and the best score so far as NumPy's number.
BESIDE: list[Any] = [
    (_Inert, "argparse.Namespace"),
    *((OrderedDict, f"{of}.CfgNode") for of in ("yacs.config", "fvcore.common.config")),
    (_Inert, "numpy.dtype"),
    (_Inert, "numpy.ndarray"),
    *((_Inert, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_Inert, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    (_Inert, "alphaction.structures.memory_pool.MemoryPool"),
    (_Inert, "mmengine.logging.history_buffer.HistoryBuffer"),  # the losses so far
    (_nothing, "builtins.getattr"),  # by which that names its own methods
    (_plain, "collections.defaultdict"),
    (dict, "builtins.dict"),  # that defaultdict's factory
    (Counter, "collections.Counter"),  # milestones of a schedule
]


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a safetensors or torch file, out of its wrapper and `module.` prefix;
    from one of Caffe2 by PySlowFast's names.

    Raises WeightsError that says what the file is when it is no checkpoint (a web page, a
    Git LFS pointer, cut short, a pickle that holds more than tensors and numbers).
    """
    return read_with_config(path)[0]


def read_with_config(path: Path) -> tuple[dict[str, Tensor], str]:
    """What `read_checkpoint` gives, and the text that lies beside it as `cfg`; "" for none."""
    kind = sniff(path)
    if kind == "zip":
        check_parts(path)
    if kind == "pickle":
        return renamed(caffe2.read(path), caffe2.our_name, str(path)), ""
    held = read_safetensors(path) if kind == "safetensors" else _read_torch(path, kind)
    text = held.get("cfg") if isinstance(held, Mapping) else None
    return unwrap(held, path), text if isinstance(text, str) else ""


def sniff(path: Path) -> str:
    """`safetensors`, `zip` (torch >= 1.6), `legacy` (torch before) or `pickle` (any other, such as
    Caffe2's), by its first bytes; raises WeightsError for what is none of these."""
    try:
        mode, size = path.stat().st_mode, path.stat().st_size
    except OSError as error:
        raise WeightsError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    if not stat.S_ISREG(mode):
        raise WeightsError(f"{path}: not a file; name the checkpoint file itself")
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
    raise WeightsError(f"{path}: {_what_else(head)}")


def _check_zip(path: Path) -> str:
    with _told(path):
        whole = zipfile.is_zipfile(path)
    if not whole:
        raise WeightsError(
            f"{path}: cut short ({path.stat().st_size} bytes, the end of the archive is missing); "
            "download it again"
        )
    with _told(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        packed = any(part.compress_type for part in archive.infolist())
    if any(name.endswith("constants.pkl") for name in names):  # by which torch knows them, too
        raise WeightsError(
            f"{path}: a TorchScript program, not a dict of tensors; ask its author for the state "
            "dict"
        )
    if not any(name.endswith("data.pkl") for name in names):
        raise WeightsError(f"{path}: a zip archive, but not a torch checkpoint")
    if packed:  # torch writes none, and maps packed bytes as if they were numbers
        raise WeightsError(f"{path}: a zip archive that was compressed; pack it with `zip -0`")
    return "zip"


def check_parts(path: Path) -> None:
    """Raise WeightsError where a part of a zip archive is not what its checksum says: torch alone
    reads it all the same."""
    with _told(path), zipfile.ZipFile(path) as archive:
        if not any(part.CRC for part in archive.infolist()):
            return  # torch was told to write none
        damaged = archive.testzip()
    if damaged:
        raise WeightsError(f"{path}: damaged on the way (checksum of {damaged}); download it again")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """A fault of the file as the WeightsError that says so."""
    try:
        yield
    except DAMAGE:
        raise WeightsError(f"{path}: damaged or cut short; download it again") from None


def _what_else(head: bytes) -> str:
    """What a file that is no checkpoint is, and what to do, from its first bytes."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        kind = ""
        if b"quota" in text or b"too many users" in text:
            kind = " (Google Drive's quota notice: try again in a day)"
        elif b"google drive" in text or b"virus" in text:
            kind = " (Google Drive's virus-scan notice)"
        return f"this is a web page{kind}, not a checkpoint; download it in a browser, to the end"
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file; fetch it with `git lfs pull`"
    if head[:2] == b"\x1f\x8b":
        return "gzip-compressed; unpack it first"
    return "not a safetensors, torch or Caffe2 checkpoint"


def _read_torch(path: Path, kind: str) -> Any:
    import torch

    try:
        with _told(path), torch.serialization.safe_globals(BESIDE):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=kind == "zip")
    except pickle.UnpicklingError as error:
        raise WeightsError(f"{path}: refused, {_refusal(str(error))}") from None


def _refusal(message: str) -> str:
    # Torch's own message offers to switch the check off; ours names the thing and a safe way.
    found = re.search(r"GLOBAL ([\w.]+)|global ['\"]?([\w.]+)", message)
    name = next((group for group in found.groups() if group), "") if found else ""
    thing = f"it holds {name}, and loading that could run code" if name else "it could run code"
    return f"{thing}; ask its author for a safetensors file or a plain dict of tensors"


def unwrap(held: Any, path: Path) -> dict[str, Tensor]:
    """The dict of tensors inside a checkpoint, without the `module.` of DistributedDataParallel."""
    for _ in range(2):  # an average may have a wrapper of its own
        inner = (held[name] for name in WRAPPERS if isinstance(held, Mapping) and name in held)
        held = next((given for given in inner if isinstance(given, Mapping)), held)
    tensors = _tensors(held, path)
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def _tensors(held: Any, path: Path) -> dict[str, Tensor]:
    import torch

    if not isinstance(held, Mapping) or not held:
        raise WeightsError(f"{path}: holds a {type(held).__name__}, not tensors by name")
    odd = [str(name) for name, value in held.items() if not isinstance(value, torch.Tensor)]
    if odd:
        names = ", ".join(odd[:5]) + (", ..." if len(odd) > 5 else "")
        raise WeightsError(
            f"{path}: no dict of tensors under {', '.join(WRAPPERS)}; {names} is something else"
        )
    return {str(name): value for name, value in held.items()}


def renamed(
    tensors: Mapping[str, Tensor], new: Callable[[str], str], what: str
) -> dict[str, Tensor]:
    """Tensors by their new names; raises WeightsError where two would have the same one."""
    before: dict[str, str] = {}
    for name in tensors:
        if (other := before.setdefault(new(name), name)) != name:
            raise WeightsError(f"{what}: {other} and {name} are both {new(name)}; keep one of them")
    return {ours: tensors[name] for ours, name in before.items()}
