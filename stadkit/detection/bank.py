"""A bank of queries: who was seen in a video and when, for STMixer's long-term classifier.

NAME.queries is a folder of three arrays, that NumPy reads, and a header that is written last. It
is written as the video is looked at and read as it is needed: neither takes memory for its length.
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
# Half floats end at 65504 and have 11 bits, more than what a layer norm leaves of a query needs.
ARRAYS = {"time": "<f8", "person": "<f4", "entry": "<f2"}
LARGEST = float(np.finfo(np.float16).max)
MOST = 512  # entries of a window, unless said otherwise


@dataclass(frozen=True)
class Header:
    """What a bank holds and what made it."""

    model: str  # its name
    sha256: str  # of its weights
    width: int  # channels of an entry
    every: float | None  # seconds between keyframes; None: those asked for one by one
    min_person: float  # people below this score are not in it
    entries: int = 0
    files: dict[str, str] = field(default_factory=dict)  # sha256 of each array's file


class BankWriter:
    """`add` people clip by clip; leaving the block well makes the bank whole.

    After an error nothing is left but what was in the folder and is no bank's.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self._folder, self._header = folder, header

    def __enter__(self) -> Self:
        """Takes away a bank that is there. Raises OSError where the place cannot be written to."""
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
        """The people of a clip: scores [n] 0..1 and joint queries [n, E]."""
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
            with suppress(OSError):  # where it holds something
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
        self._head()

    def write(self, rows: NDArray[Any]) -> None:
        """More rows [k, ...]."""
        self._file.write(np.ascontiguousarray(rows, self._kind).data)
        self.count += len(rows)

    def close(self) -> None:
        """Say at the file's start how many rows there are."""
        with self._file:
            self._file.seek(0)
            self._head()

    def _head(self) -> None:
        # NumPy leaves room in it for the first side to grow: it is as long with any count.
        shape = (self.count, *self._shape)
        head = {"descr": self._kind.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, head)


class QueryBank:
    """The bank of one video, as `BankWriter` made it; entries stay on the disk until asked for.

    No file is left open. Raises StadkitError, one line, where there is none, or it is cut off or
    damaged; what only the arrays' sha256 can tell, `whole` does.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.header = read_header(self.folder)
        self._entries()  # as long as the header says
        self._state = self._seen()
        self._time, self._person = (
            _finite(self.folder, name, np.array(_array(self.folder, name, self.header)))
            for name in ("time", "person")
        )

    def whole(self) -> Self:
        """The same; raises StadkitError unless each array is the one that was written, by its
        sha256. Reads all of them."""
        for name in map(_file, ARRAYS):
            with _reading(self.folder / name):
                own = sha256(self.folder / name)
            if own != self.header.files.get(name):
                raise _damaged(self.folder / name, "is not what was written, by its sha256")
        return self

    def fits(self, width: int, made_by: str = "") -> Self:
        """The same; raises StadkitError unless its entries have `width` channels and are of the
        weights with sha256 `made_by`, where that is said."""
        own = self.header
        if own.width != width:
            raise StadkitError(
                f"{self.folder}: its entries have {own.width} channels and this model reads "
                f"{width}; they are of {own.model}, so make them anew with a model of its width"
            )
        if made_by not in ("", own.sha256):
            raise StadkitError(
                f"{self.folder}: is of {own.model}, weights {own.sha256[:16]}..., and this model "
                f"has learned from those of {made_by[:16]}...; make it anew with these"
            )
        return self

    def near(
        self, time: float, window: float, most: int = MOST
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(entries [m, E], seconds [m] from `time` on) of at most `most` people, the most certain,
        within `window` seconds: half before, half after.

        Those of `time` itself are left out: the model sees them, and in training they would be
        entries of weights that were trained on the very labels which they are to help to find.
        """
        ms = milliseconds(self._time) - milliseconds(np.array([time]))
        rows = np.flatnonzero((abs(ms) <= 500 * window) & (ms != 0))
        best = rows[np.argsort(-self._person[rows], kind="stable")[:most]]
        rows = np.sort(best)  # as they lie on the disk
        if self._seen() != self._state:
            raise StadkitError(
                f"{self.folder}: has changed while it was in use; leave it as it is and start again"
            )
        entry = _finite(self.folder, "entry", self._entries()[rows].astype(np.float32))
        return entry, (ms[rows] / 1000).astype(np.float32)

    def _entries(self) -> NDArray[Any]:
        return _array(self.folder, "entry", self.header)

    def _seen(self) -> tuple[int, int]:
        """What another file of entries in its place would have another of."""
        with _reading(self.folder / _file("entry")):
            state = (self.folder / _file("entry")).stat()
        return state.st_ino, state.st_mtime_ns


class Around(Protocol):
    """Who knows what was seen around clips."""

    def around(self, clips: Sequence[Clip]) -> Bank: ...


@dataclass(frozen=True)
class Window:
    """What a long-term classifier is given of a video's bank."""

    bank: QueryBank
    seconds: float = 60.0  # half before a key time, half after
    most: int = MOST  # entries

    def around(self, clips: Sequence[Clip]) -> Bank:
        """What was seen around these clips of the video."""
        return batch([self.bank.near(clip.time, self.seconds, self.most) for clip in clips])


def batch(near: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> Bank:
    """What `QueryBank.near` gave for each clip -> a bank of them all, as large as the largest."""
    most, width = max(len(entry) for entry, _ in near), near[0][0].shape[1]
    bank = Bank(
        entry=torch.zeros(len(near), most, width),
        seconds=torch.zeros(len(near), most),
        known=torch.zeros(len(near), most, dtype=torch.bool),
    )
    for i, (entry, seconds) in enumerate(near):
        bank.entry[i, : len(entry)] = torch.from_numpy(entry)
        bank.seconds[i, : len(entry)] = torch.from_numpy(seconds)
        bank.known[i, : len(entry)] = True
    return bank


def bank_folder(folder: Path, name: str) -> Path:
    """Where the bank of the video of this name lies among results."""
    return folder / f"{name}{SUFFIX}"


def _file(name: str) -> str:
    return f"{name}.npy"


def read_header(folder: Path) -> Header:
    """What a bank says of itself; raises StadkitError, one line, where there is none."""
    path = folder / HEADER
    if not path.is_file():
        reason = "was cut off" if folder.is_dir() else "there is none"
        raise StadkitError(
            f"{folder}: no bank of queries ({reason}); `stadkit detect --save-queries` makes them"
        )
    with _reading(path):
        text = path.read_bytes()
    try:
        header = Header(**json.loads(text))
        return replace(header, files=dict(header.files))
    except (ValueError, TypeError):
        raise _damaged(path, "is no header of a bank") from None


def _array(folder: Path, name: str, header: Header) -> NDArray[Any]:
    """One column, on the disk until it is asked for; its file is open while this is held."""
    path = folder / _file(name)
    shape = (header.entries, header.width) if name == "entry" else (header.entries,)
    with _reading(path):
        column = np.lib.format.open_memmap(path, mode="r")
        size = path.stat().st_size
    if column.shape != shape or column.dtype != ARRAYS[name]:
        raise _damaged(path, f"holds {list(column.shape)} {column.dtype}, wants {list(shape)}")
    if size != column.offset + column.nbytes:
        raise _damaged(path, f"has {size} bytes, wants {column.offset + column.nbytes}")
    return np.asarray(column)


def _finite(folder: Path, name: str, rows: NDArray[Any]) -> NDArray[Any]:
    """The same rows of a column; raises StadkitError where one is not a number."""
    if not np.isfinite(rows).all():
        raise _damaged(folder / _file(name), "holds what is no finite number")
    return rows


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turns what reading a file raises into a StadkitError: that the bank is damaged, or that this
    machine cannot read it now."""
    try:
        yield
    except (FileNotFoundError, EOFError, ValueError) as error:
        raise _damaged(path, f"cannot be read, {error}") from None
    except OSError as error:
        full = error.errno in (errno.EMFILE, errno.ENFILE)
        what_next = "allow more, as `ulimit -n 4096`" if full else "mend that"
        raise StadkitError(
            f"{path}: cannot be read now, {error.strerror or error}; {what_next}, and start again"
        ) from None


def _damaged(path: Path, reason: str) -> StadkitError:
    return StadkitError(f"{path}: {reason}; make the bank anew with `detect --save-queries`")
