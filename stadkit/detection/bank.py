"""The query bank of a video: its people over time, for STMixer's long-term classifier.

NAME.queries is a folder of three .npy arrays and a header, which is written last. It is written
while the video is processed and read on demand, so memory does not grow with the video's length.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray

from stadkit.detections import milliseconds
from stadkit.errors import StadkitError
from stadkit.files.rows import write_text
from stadkit.models.classifiers import Bank
from stadkit.video.clips import Clip
from stadkit.zoo import sha256

SUFFIX = ".queries"
HEADER = "header.json"
# Half floats end at 65504 and have 11 bits, more than a layer-normed query needs.
ARRAYS = {"time": "<f8", "person": "<f4", "entry": "<f2"}
LARGEST = float(np.finfo(np.float16).max)
MAX_ENTRIES = 512  # entries of a window, by default


@dataclass(frozen=True)
class Header:
    """The contents of a bank and the model that made it."""

    model: str  # name
    sha256: str  # of its weights
    width: int  # channels of an entry
    every: float | None  # seconds between keyframes; None: explicit key times
    min_person: float  # people with lower scores are left out
    entries: int = 0
    files: dict[str, str] = field(default_factory=dict)  # sha256 of each array's file


class BankWriter:
    """Writes a bank clip by clip with `add`; a clean exit of the block completes it.

    After an error only unrelated files remain in the folder.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self._folder, self._header = folder, header

    def __enter__(self) -> Self:
        """Remove an earlier bank. Raises OSError if the folder cannot be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in (HEADER, *map(_file, ARRAYS)):
            (self._folder / name).unlink(missing_ok=True)
        shapes = {"time": (), "person": (), "entry": (self._header.width,)}
        self._streams = {
            name: NpyStream(self._folder / f".{uuid4().hex}.npy", kind, shapes[name])
            for name, kind in ARRAYS.items()
        }
        return self

    def add(self, clip: Clip, person: NDArray[np.float32], entry: NDArray[np.float32]) -> None:
        """Append the people of a clip: scores [n] 0..1 and joint queries [n, E]."""
        kept = (person >= self._header.min_person) & (person > 0)
        rows = {
            "time": np.full(int(kept.sum()), clip.time),
            "person": person[kept],
            "entry": entry[kept].clip(-LARGEST, LARGEST),
        }
        for name, stream in self._streams.items():
            stream.write(rows[name])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            for stream in self._streams.values():
                stream.close()
            if kind is None:
                self._finish()
        finally:
            for stream in self._streams.values():
                stream.path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                self._folder.rmdir()

    def _finish(self) -> None:
        count = self._streams["entry"].count
        digests = {_file(name): sha256(stream.path) for name, stream in self._streams.items()}
        header = replace(self._header, entries=count, files=digests)
        for name, stream in self._streams.items():
            stream.path.replace(self._folder / _file(name))
        write_text(self._folder / HEADER, [json.dumps(asdict(header), indent=1), "\n"])


class NpyStream:
    """A .npy file [n, ...] written a few rows at a time."""

    def __init__(self, path: Path, kind: str, shape: tuple[int, ...]) -> None:
        self.path, self.count = path, 0
        self._kind, self._shape = np.dtype(kind), shape
        self._file = path.open("wb")
        self._write_header()

    def write(self, rows: NDArray[Any]) -> None:
        """Append rows [k, ...]."""
        self._file.write(np.ascontiguousarray(rows, self._kind).data)
        self.count += len(rows)

    def close(self) -> None:
        """Write the final row count into the header."""
        with self._file:
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        # NumPy pads the header for a growing first dimension: its length is the same for any count.
        shape = (self.count, *self._shape)
        head = {"descr": self._kind.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, head)


class QueryBank:
    """The bank of one video, as `BankWriter` wrote it; entries are read from disk on demand.

    No file is left open. Raises StadkitError for a bank that is missing, truncated or damaged;
    `whole` also checks the arrays' sha256.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.header = read_header(self.folder)
        self._entries()  # checks the shape against the header
        self._state = self._file_state()
        self._time, self._person = (
            _finite(self.folder, name, np.array(_array(self.folder, name, self.header)))
            for name in ("time", "person")
        )

    def whole(self) -> Self:
        """Return self; raises StadkitError if an array's sha256 is wrong. Reads all arrays."""
        for name in map(_file, ARRAYS):
            with _reading(self.folder / name):
                digest = sha256(self.folder / name)
            if digest != self.header.files.get(name):
                raise _damaged(self.folder / name, "has changed since it was written (sha256)")
        return self

    def fits(self, width: int, made_by: str = "") -> Self:
        """Return self if its entries have `width` channels; raises StadkitError otherwise.

        `made_by`: required sha256 of the weights that made them, if set.
        """
        header = self.header
        if header.width != width:
            raise StadkitError(
                f"{self.folder}: entries have {header.width} channels (made by {header.model}), "
                f"this model reads {width}; make the bank again with a model of that width"
            )
        if made_by not in ("", header.sha256):
            raise StadkitError(
                f"{self.folder}: made by {header.model}, weights {header.sha256[:16]}..., but this "
                f"model was trained on a bank of {made_by[:16]}...; make it again with those"
            )
        return self

    def near(
        self, time: float, window: float, max_entries: int = MAX_ENTRIES
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Entries [m, E] and seconds [m] relative to `time` of people around it.

        These are the at most `max_entries` people with the highest scores within `window` seconds,
        half before, half after. People at `time` itself are left out: the model sees them, and in
        training their entries would come from weights trained on the labels to be predicted.
        """
        ms = milliseconds(self._time) - milliseconds(np.array([time]))
        rows = np.flatnonzero((abs(ms) <= 500 * window) & (ms != 0))
        best = rows[np.argsort(-self._person[rows], kind="stable")[:max_entries]]
        rows = np.sort(best)  # disk order
        if self._file_state() != self._state:
            raise StadkitError(
                f"{self.folder}: has changed while in use; start again, and do not write to it"
            )
        entry = _finite(self.folder, "entry", self._entries()[rows].astype(np.float32))
        return entry, (ms[rows] / 1000).astype(np.float32)

    def _entries(self) -> NDArray[Any]:
        return _array(self.folder, "entry", self.header)

    def _file_state(self) -> tuple[int, int]:
        """Inode and modification time of the entries, to notice that the file was replaced."""
        with _reading(self.folder / _file("entry")):
            state = (self.folder / _file("entry")).stat()
        return state.st_ino, state.st_mtime_ns


class BankSource(Protocol):
    """Provides the bank entries around clips."""

    def around(self, clips: Sequence[Clip]) -> Bank: ...


@dataclass(frozen=True)
class Window:
    """The window of a video's bank that a long-term classifier reads."""

    bank: QueryBank
    seconds: float = 60.0  # half before a key time, half after
    max_entries: int = MAX_ENTRIES

    def around(self, clips: Sequence[Clip]) -> Bank:
        """The entries around each of these clips of the video."""
        return batch([self.bank.near(clip.time, self.seconds, self.max_entries) for clip in clips])


def batch(near: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> Bank:
    """Stack the results of `QueryBank.near` for several clips, padded to the longest."""
    longest, width = max(len(entry) for entry, _ in near), near[0][0].shape[1]
    bank = Bank(
        entry=torch.zeros(len(near), longest, width),
        seconds=torch.zeros(len(near), longest),
        known=torch.zeros(len(near), longest, dtype=torch.bool),
    )
    for i, (entry, seconds) in enumerate(near):
        bank.entry[i, : len(entry)] = torch.from_numpy(entry)
        bank.seconds[i, : len(entry)] = torch.from_numpy(seconds)
        bank.known[i, : len(entry)] = True
    return bank


def bank_folder(folder: Path, name: str) -> Path:
    """The path of the bank of a video in a folder of results."""
    return folder / f"{name}{SUFFIX}"


def _file(name: str) -> str:
    return f"{name}.npy"


def read_header(folder: Path) -> Header:
    """Read a bank's header; raises StadkitError for a bank that is missing or damaged."""
    path = folder / HEADER
    if not path.is_file():
        reason = "incomplete" if folder.is_dir() else "no such folder"
        raise StadkitError(
            f"{folder}: no query bank ({reason}); `stadkit detect --save-queries` makes one"
        )
    with _reading(path):
        text = path.read_bytes()
    try:
        header = Header(**json.loads(text))
        return replace(header, files=dict(header.files))
    except (ValueError, TypeError):
        raise _damaged(path, "is not a bank header") from None


def _array(folder: Path, name: str, header: Header) -> NDArray[Any]:
    """One column, memory-mapped; its file stays open while the array is referenced."""
    path = folder / _file(name)
    shape = (header.entries, header.width) if name == "entry" else (header.entries,)
    with _reading(path):
        column = np.lib.format.open_memmap(path, mode="r")
        size = path.stat().st_size
    if column.shape != shape or column.dtype != ARRAYS[name]:
        raise _damaged(path, f"holds {list(column.shape)} {column.dtype}, expected {list(shape)}")
    if size != column.offset + column.nbytes:
        raise _damaged(path, f"has {size} bytes, expected {column.offset + column.nbytes}")
    return np.asarray(column)


def _finite(folder: Path, name: str, rows: NDArray[Any]) -> NDArray[Any]:
    """Return the rows of a column; raises StadkitError if a value is not finite."""
    if not np.isfinite(rows).all():
        raise _damaged(folder / _file(name), "holds values that are not finite")
    return rows


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn errors of reading a file into StadkitError: a damaged bank, or a fault of the system."""
    try:
        yield
    except (FileNotFoundError, EOFError, ValueError) as error:
        raise _damaged(path, f"cannot be read, {error}") from None
    except OSError as error:
        full = error.errno in (errno.EMFILE, errno.ENFILE)
        remedy = "raise the limit, as with `ulimit -n 4096`" if full else "fix that"
        raise StadkitError(
            f"{path}: cannot be read now, {error.strerror or error}; {remedy}, and start again"
        ) from None


def _damaged(path: Path, reason: str) -> StadkitError:
    return StadkitError(f"{path}: {reason}; make the bank again with `detect --save-queries`")
