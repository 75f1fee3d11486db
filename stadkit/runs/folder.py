"""A folder of results: what is in it, what made it, and what may be kept of it.

One process at a time writes to a folder of results.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from stadkit.console import console, one_line
from stadkit.errors import StadkitError, UsageError, VideoError
from stadkit.runs.pictures import remove
from stadkit.runs.record import VideoRecord
from stadkit.zoo import sha256

PAUSE = 10.0  # seconds at least from one writing of the manifest to the next
LOCK = ".stadkit.lock"  # in the folder, while somebody holds it
# The names that files have until they are whole, as a killed process leaves them.
UNFINISHED = re.compile(r"\.[0-9a-f]{32}(\.\w+)?|\.stadkit-[0-9a-f]{32}\.partial")


def new_folder(verb: str, name: str) -> Path:
    """runs/<verb>/<name>, or the first of <name>-2, <name>-3, ... that does not exist yet."""
    number, folder = 2, Path("runs") / verb / name
    while folder.exists():
        folder = Path("runs") / verb / f"{name}-{number}"
        number += 1
    return folder


def fingerprint(made_from: Mapping[str, Any]) -> str:
    """Hex sha256 of JSON-able facts: equal when everything that a result depends on is."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


class RunFolder:
    """A folder and its manifest.json, which has an entry for each input.

    An input's outputs may be written over when its entry has the same fingerprint: then they
    are our own, made from the same things, perhaps by a run that was cut off. The manifest is
    rewritten now and then; what happens in between is in a journal, a line an entry, so that
    nothing is lost with the process and a thousand inputs do not mean a thousand manifests.
    """

    def __init__(
        self,
        folder: Path,
        facts: Mapping[str, Any],
        overwrite: bool,
        shard: Mapping[str, Any] | None = None,
    ) -> None:
        """`facts` head the manifest: one folder holds results of one kind, and of one `shard`,
        which has no part in what makes a result.

        Nothing is written yet. Raises UsageError where the folder cannot be one, or holds
        results made otherwise.
        """
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            raise UsageError(f"{there}: is a file, not a folder; name another with --output")
        self.folder = folder
        self.facts = dict(facts)
        self._head = self.facts if shard is None else {**facts, "shard": dict(shard)}
        self.overwrite = overwrite
        self._manifest = folder / "manifest.json"
        self._journal = folder / "manifest.journal"
        self._hold = FolderLock(folder)
        self._written = -PAUSE  # when, by the monotonic clock
        self.entries = self._earlier()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else writes to the folder, from now on or from when it is made; raises UsageError
        where another process does. What a killed run left half-written is taken away."""
        try:
            self._take()
            yield
        finally:
            self._hold.release()

    def _take(self) -> None:
        """Hold the folder, if there is one and it is not held yet; what another run has noted there
        since we looked is ours to know, too."""
        if not self._hold.take():
            return
        if self._manifest.exists() or self._journal.exists():
            self._hold.clear()
        noted, self.entries = self.entries, self._earlier()
        for name, entry in noted.items():  # of inputs that failed before there was a folder
            self.entries.setdefault(name, entry)

    def claim(
        self,
        name: str,
        mark: Callable[[], str],
        files: Iterable[Path],
        record: VideoRecord,
        resume: bool = True,
    ) -> VideoRecord | None:
        """Claim an input's results, for `complete` to make; None: they are to be made.

        Else the record of an input that needs no work: its results are there, or it cannot be
        read. `mark` makes the fingerprint; `record` is what is known of the input. Raises
        UsageError as `check`.
        """
        files = list(files)
        try:
            fingerprint = mark()
            done = self.finished(name, fingerprint) if resume else None
            if done is not None:
                return replace(done, kept=True)
            self.begin(name, fingerprint, files)
        except (BrokenPipeError, UsageError):
            raise
        except (StadkitError, OSError) as error:
            return self.fail(name, files, record, error)
        return None

    def complete(
        self,
        name: str,
        files: Iterable[Path],
        record: VideoRecord,
        work: Callable[[], VideoRecord],
        seconds: float = 0.0,
    ) -> VideoRecord:
        """Make the results that were claimed by `work`; their record, also of a failure.

        `seconds`: what finding took before.
        """
        started = time.perf_counter() - seconds
        try:
            made = work()
        except BrokenPipeError:
            raise
        except (StadkitError, OSError) as error:
            return self.fail(name, files, record, error, time.perf_counter() - started)
        return self.end(name, replace(made, seconds=round(time.perf_counter() - started, 2)))

    def fail(
        self,
        name: str,
        files: Iterable[Path],
        record: VideoRecord,
        error: Exception,
        seconds: float = 0.0,
    ) -> VideoRecord:
        """Note that an input failed; none of the files that it claimed stay."""
        self.drop(name, files)
        failed = replace(
            record,
            status="failed",
            reason=one_line(error),
            unusable=isinstance(error, VideoError) and record.reader is None,
            seconds=round(seconds, 2),
        )
        return self.end(name, failed)

    def finished(self, name: str, mark: str) -> VideoRecord | None:
        """The record of an input done before with this fingerprint, if its outputs are whole."""
        record = self.entries.get(name)
        if record is None or self.overwrite or record.fingerprint != mark or not record.done:
            return None
        whole = all(
            (self.folder / file).is_file() and sha256(self.folder / file) == digest
            for file, digest in (record.outputs or {}).items()
        )
        return record if whole else None

    def check(self, name: str, files: Iterable[Path], mark: Callable[[], str]) -> None:
        """Raise UsageError where writing these files would destroy what is not ours.

        `mark` makes the input's fingerprint and is only asked where a file is there.
        """
        there = [] if self.overwrite else [path for path in files if path.exists()]
        known = self.entries.get(name)
        if there and (known is None or known.fingerprint != mark()):
            raise UsageError(
                f"{there[0]}: is there already; say --overwrite, or another folder with --output"
            )

    def begin(self, name: str, mark: str, files: Iterable[Path]) -> None:
        """Claim these output files for an input; raises as `check`."""
        files = list(files)
        self.check(name, files, lambda: mark)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take()
        self.check(name, files, lambda: mark)
        self._note(name, VideoRecord("begun", fingerprint=mark))

    def drop(self, name: str, files: Iterable[Path]) -> None:
        """Take away what an input that failed has claimed, new or old."""
        known = self.entries.get(name)
        if known is not None and known.status == "begun":
            for path in files:
                remove(path)

    def end(self, name: str, record: VideoRecord) -> VideoRecord:
        """Note how an input ended; returns the record with its fingerprint.

        An input that failed before it was begun, such as a file on an unmounted disk, keeps the
        results and the record of an earlier run.
        """
        earlier = self.entries.get(name)
        ended = replace(record, fingerprint=None if earlier is None else earlier.fingerprint)
        if ended.status == "failed" and earlier is not None and earlier.done:
            return ended
        self.entries[name] = ended
        if self.folder.is_dir():
            # A disk that is full now may have room at the next input; `close` raises if not.
            with suppress(OSError, StadkitError):
                self._note(name, ended)
        return ended

    def close(self) -> None:
        """Write manifest.json for good, where there is anything to say."""
        try:
            if self.folder.is_dir():
                self.write()
        finally:
            self._hold.release()

    def write(self) -> None:
        """Write manifest.json as it is now, inputs by name; it is never seen half-written.

        Raises StadkitError where the place cannot be written to.
        """
        videos = {name: self.entries[name].to_json() for name in sorted(self.entries)}
        unfinished = self._manifest.with_name(".manifest.json")  # the next one writes over it
        try:
            with unfinished.open("w", encoding="utf-8") as file:
                file.write(json.dumps({**self._head, "videos": videos}, indent=1) + "\n")
                _to_disk(file)
            os.replace(unfinished, self._manifest)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise StadkitError(f"{self._manifest}: cannot be written ({error.strerror})") from error
        self._journal.unlink(missing_ok=True)
        self._written = time.monotonic()

    def _note(self, name: str, record: VideoRecord) -> None:
        self.entries[name] = record
        if time.monotonic() - self._written >= PAUSE:
            self.write()
            return
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: record.to_json()}) + "\n")
            _to_disk(file)

    def _earlier(self) -> dict[str, VideoRecord]:
        """The entries of a manifest that is there; none when they are to be written over."""
        if not self._manifest.exists():
            return {}
        try:
            held = json.loads(self._manifest.read_text("utf-8"))
            videos = held.pop("videos").items()
            entries = {str(name): VideoRecord.from_json(entry) for name, entry in videos}
        except (ValueError, KeyError, TypeError, AttributeError):
            held, entries = {}, {}
        if held == self._head:
            return entries | self._since()
        if self.overwrite:
            return {}
        raise UsageError(
            f"{self.folder}: holds results made otherwise ({difference(held, self._head)}); "
            "say --overwrite, or another folder with --output"
        )

    def _since(self) -> dict[str, VideoRecord]:
        """The records in the journal of a run that was killed."""
        entries: dict[str, VideoRecord] = {}
        if self._journal.is_file():
            for line in self._journal.read_text("utf-8", errors="replace").splitlines():
                with suppress(ValueError, TypeError, AttributeError):  # a line may be cut
                    for name, held in json.loads(line).items():
                        entries[name] = VideoRecord.from_json(held)
        return entries


def _to_disk(file: IO[str]) -> None:
    """Past the system's memory: a claim must outlive a power cut that its files outlive."""
    file.flush()
    os.fsync(file.fileno())


def difference(held: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The first thing that differs, in words: "every was 1.0, is 0.5"."""
    for key in [*facts, *held]:
        was, now = held.get(key), facts.get(key)
        if was == now:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            return difference(was, now)
        return f"{key} was {was}, is {now}"
    return "another manifest"


class FolderLock:
    """A lock on a folder; the system lifts it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None
        self._taken = False  # also where there are no locks

    def take(self) -> bool:
        """Hold the folder, if there is one; whether it was got just now.

        Raises UsageError where another process holds it, StadkitError where it cannot be written
        to.
        """
        if self._taken or not self._folder.is_dir():
            return False
        self._handle = _locked(self._folder)
        self._taken = True
        return True

    def clear(self) -> None:
        """Take away what killed runs left half-written, if nobody else can be at it."""
        if self._handle is None:
            return
        for path in list(self._folder.iterdir()):
            if UNFINISHED.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()

    def release(self) -> None:
        """Let others write there."""
        if self._handle is not None:
            with suppress(OSError):  # the next one can lock it as well
                (self._folder / LOCK).unlink()
            os.close(self._handle)
        self._handle, self._taken = None, False


def _locked(folder: Path) -> int | None:
    """A handle whose closing lifts the lock; None, which is told, where the file system has none.

    What is locked is a file open for writing: NFS locks no other.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    path = folder / LOCK
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StadkitError(f"{folder}: cannot be written to ({error.strerror})") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UsageError(
                f"{folder}: another run is writing there now; wait for its end, or name another "
                "folder with --output"
            ) from None
        except OSError as error:
            os.close(handle)
            with suppress(OSError):
                path.unlink()
            console.print(
                f"{folder}: its file system has no locks ({error.strerror}); see to it that no "
                "other run writes there"
            )
            return None
        if _is_there(path, handle):
            return handle
        os.close(handle)  # whoever held it took the file away meanwhile


def _is_there(path: Path, handle: int) -> bool:
    """Whether the open file is the one of this path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False
