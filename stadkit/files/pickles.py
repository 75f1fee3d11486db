"""Read pickles of data sets without executing untrusted code.

A pickle is a program. This reader supports containers, numbers, text and NumPy arrays of plain
types, and rejects every other global by name. NumPy's reconstruction functions trust their
arguments (a dtype's flags, a list's length), so stand-ins validate them first.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stadkit.atomic import replacing
from stadkit.errors import AnnotationError, StadkitError

_PLAIN = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU][0-9]{1,6}|O[48]?")
_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
_BUILTINS = {
    kind.__name__: kind for kind in (list, dict, tuple, set, frozenset, int, float, complex, bool)
}


def load(path: str | Path) -> Any:
    """Load a pickle of containers, numbers, text, bytes, None and NumPy arrays.

    Supports files of Python 2 and 3 and any NumPy. OrderedDict and defaultdict become dict.
    Raises AnnotationError, one line, for other content, naming the first forbidden global.
    """
    path = Path(path)
    data = _bytes(path)
    try:
        return _Reader(path, data).load()
    except AnnotationError:
        raise
    except EOFError as error:
        raise _damaged(path, "truncated") from error
    except Exception as error:  # a damaged pickle can raise any exception
        short = "truncated" in str(error)
        reason = "truncated" if short else f"{type(error).__name__}: {error}"
        raise _damaged(path, reason.splitlines()[0][:200]) from error


def dump(value: Any, path: str | Path) -> None:
    """Write a pickle atomically, readable by `load` and by Python 3.4 and later.

    Raises StadkitError when the path is not writable.
    """
    path = Path(path)
    try:
        with replacing(path) as part:
            part.write_bytes(pickle.dumps(value, protocol=4))
    except OSError as error:
        raise StadkitError(f"{path}: cannot be written ({error.strerror})") from error


def _damaged(path: Path, reason: str) -> AnnotationError:
    return AnnotationError(f"{path}: cannot be read as a pickle ({reason}); download it again")


def _bytes(path: Path) -> bytes:
    """Read a file; raises AnnotationError if it is clearly not a pickle."""
    if not path.is_file():
        reason = "is not a file" if path.exists() else "does not exist"
        raise AnnotationError(f"{path}: {reason}; name a .pkl file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    if reason := _non_pickle_reason(data[:1000]):
        raise AnnotationError(f"{path}: {reason}")
    return data


def _non_pickle_reason(head: bytes) -> str:
    """Identify a non-pickle file by its first bytes; empty if it may be a pickle."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not text:
        return "is empty; download it again"
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "is a web page, not a pickle; download the file itself"
    if text.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file; run `git lfs pull` there"
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"Rar!", b"7z\xbc")):
        return "is an archive; extract it, then name the pickle inside"
    return ""


class _Dtype:
    """Stand-in for a pickled NumPy dtype: only plain types, validated before NumPy sees them."""

    def __init__(self, name: str) -> None:
        if not _PLAIN.fullmatch(name):
            raise ValueError(f"arrays of type {name[:40]!r} are not supported")
        self.plain: np.dtype[Any] = np.dtype("O" if name[0] == "O" else name)

    def __setstate__(self, state: Any) -> None:
        # The rest of the state is for compound types, or flags that must not be trusted.
        self.plain = self.plain.newbyteorder(state[1])


class _Array(np.ndarray[Any, Any]):
    """Stand-in for a pickled array: filled from its state after validation.

    Otherwise a plain array, as np.asarray returns it.
    """

    def __reduce_ex__(self, protocol: Any) -> Any:
        return np.asarray(self).__reduce_ex__(protocol)

    def __setstate__(self, state: Any) -> None:
        shape, kind, fortran, raw = state[-4:]
        plain, shape = kind.plain, _checked_shape(shape)
        raw = raw.encode("latin1") if isinstance(raw, str) else raw  # Python 2
        count = math.prod(shape)
        objects = plain == np.dtype(object)
        wanted = count if objects else count * plain.itemsize
        if not isinstance(raw, list if objects else bytes) or len(raw) != wanted:
            raise ValueError(f"an array of shape {shape} has data of the wrong size")
        checked_state: Any = (1, shape, plain, bool(fortran), raw)
        super().__setstate__(checked_state)


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if not (isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)):
        raise ValueError("an array's shape is not a tuple of integers")
    return shape


class _Reader(pickle.Unpickler):
    """An unpickler restricted to the globals of `find_class`.

    It returns bound methods and built-in types, on which a pickle cannot set attributes.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for an allowed global; raises AnnotationError for any other."""
        if module in ("builtins", "__builtin__") and name in _BUILTINS:
            return _BUILTINS[name]
        allowed = {
            **{(m, "_reconstruct"): self._reconstruct for m in _NUMPY},
            **{(m, "scalar"): self._scalar for m in _NUMPY},
            **{(m, "_frombuffer"): self._frombuffer for m in _NUMERIC},
            ("numpy", "ndarray"): None,  # only ever handed to _reconstruct
            ("numpy", "dtype"): self._dtype,
            ("_codecs", "encode"): self._encode,
            ("__builtin__", "bytes"): self._empty_bytes,
            ("collections", "OrderedDict"): dict,
            ("collections", "defaultdict"): self._default_dict,
        }
        if (module, name) in allowed:
            return allowed[module, name]
        raise AnnotationError(
            f"{self.path}: refuses to run {module}.{name} from a pickle; "
            "only containers, numbers, text and NumPy arrays are supported"
        )

    def _dtype(self, name: str, *_: Any) -> _Dtype:
        return _Dtype(name)

    def _reconstruct(self, *_: Any) -> _Array:
        return _Array((0,), np.int8)

    def _scalar(self, kind: _Dtype, raw: Any) -> Any:
        if kind.plain == np.dtype(object):
            return raw
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        return np.frombuffer(raw, kind.plain, 1)[0] if kind.plain.itemsize else kind.plain.type()

    def _frombuffer(
        self, raw: Any, kind: _Dtype, shape: Any, order: Any, *axes: Any
    ) -> NDArray[Any]:
        if any(axis is not None for axis in axes):
            raise ValueError("an array's axis order is not supported")
        flat = np.frombuffer(raw, kind.plain)
        return cast(NDArray[Any], flat.reshape(_checked_shape(shape), order=order))

    def _encode(self, text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise ValueError(f"bytes in {str(encoding)[:40]!r} are not supported")
        return text.encode("latin1")

    def _empty_bytes(self) -> bytes:
        return b""

    def _default_dict(self, *_: Any) -> dict[Any, Any]:
        return {}
