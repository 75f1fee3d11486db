"""A folder of results and its manifest: what made the results, and which of them can be kept.

A lock lets one process at a time write to a folder.
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

MANIFEST_INTERVAL = 10.0  # seconds; the manifest is not written more often
LOCK = ".stadkit.lock"  # in the folder, while it is locked
# Names of temporary files, which a killed process leaves behind.
UNFINISHED = re.compile(r"\.[0-9a-f]{32}(\.\w+)?|\.stadkit-[0-9a-f]{32}\.partial")


def new_folder(verb: str, name: str) -> Path:
    """runs/<verb>/<name>, or the first of <name>-2, <name>-3, ... that does not exist."""
    number, folder = 2, Path("runs") / verb / name
    while folder.exists():
        folder = Path("runs") / verb / f"{name}-{number}"
        number += 1
    return folder


def fingerprint(made_from: Mapping[str, Any]) -> str:
    """Hex sha256 of the JSON of everything that a result depends on."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


class RunFolder:
    """A folder and its manifest.json, which has an entry for each input.

    An input's outputs may be overwritten if its entry has the same fingerprint: they were made
    from the same inputs and settings, perhaps by an interrupted run. The manifest is rewritten at
    intervals; entries in between go to a journal, one per line, so that nothing is lost with the
    process and a thousand inputs do not cause a thousand manifests.
    """

    def __init__(
        self,
        folder: Path,
        facts: Mapping[str, Any],
        overwrite: bool,
        shard: Mapping[str, Any] | None = None,
    ) -> None:
        """Read the manifest, if any; nothing is written yet.

        facts: the head of the manifest, the same for all results of a folder. shard: likewise, but
        not part of the fingerprint. Raises UsageError if the path is a file, or the folder holds
        results made with other facts.
        """
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            raise UsageError(f"{existing}: is a file, not a folder; choose another with --output")
        self.folder = folder
        self.facts = dict(facts)
        self._head = self.facts if shard is None else {**facts, "shard": dict(shard)}
        self.overwrite = overwrite
        self._manifest = folder / "manifest.json"
        self._journal = folder / "manifest.journal"
        self._lock = FolderLock(folder)
        self._written = -MANIFEST_INTERVAL  # time of the last write, monotonic clock
        self.entries = self._read_entries()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder now, or as soon as it is made; remove temporary files of a killed run.

        Raises UsageError if another process holds the lock.
        """
        try:
            self._acquire_lock()
            yield
        finally:
            self._lock.release()

    def _acquire_lock(self) -> None:
        """Lock the folder if it exists and is not locked yet.

        The manifest is reread, as another run may have changed it.
        """
        if not self._lock.take():
            return
        if self._manifest.exists() or self._journal.exists():
            self._lock.clear()
        known, self.entries = self.entries, self._read_entries()
        for name, entry in known.items():  # inputs that failed before the folder was made
            self.entries.setdefault(name, entry)

    def claim(
        self,
        name: str,
        mark: Callable[[], str],
        files: Iterable[Path],
        record: VideoRecord,
        resume: bool = True,
    ) -> VideoRecord | None:
        """Claim an input's outputs for `complete`; returns None if they are to be made.

        Otherwise returns the record of an input that is already done or cannot be read. `mark`
        computes the fingerprint; `record` holds what is known of the input. Raises UsageError as
        `check`.
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
        """Make claimed results by calling `work`; returns the record, also of a failure.

        `seconds`: time already spent on the input.
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
        """Record that an input failed, and remove the files that it claimed."""
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
        """The record of an input done before with this fingerprint, if its outputs are intact."""
        record = self.entries.get(name)
        if record is None or self.overwrite or record.fingerprint != mark or not record.done:
            return None
        intact = all(
            (self.folder / file).is_file() and sha256(self.folder / file) == digest
            for file, digest in (record.outputs or {}).items()
        )
        return record if intact else None

    def check(self, name: str, files: Iterable[Path], mark: Callable[[], str]) -> None:
        """Raise UsageError if writing these files would destroy files of another origin.

        `mark` computes the input's fingerprint; it is only called if a file exists.
        """
        existing = [] if self.overwrite else [path for path in files if path.exists()]
        known = self.entries.get(name)
        if existing and (known is None or known.fingerprint != mark()):
            raise UsageError(
                f"{existing[0]}: exists already; use --overwrite, or another folder with --output"
            )

    def begin(self, name: str, mark: str, files: Iterable[Path]) -> None:
        """Claim these output files for an input; raises as `check`."""
        files = list(files)
        self.check(name, files, lambda: mark)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._acquire_lock()
        self.check(name, files, lambda: mark)
        self._record(name, VideoRecord("begun", fingerprint=mark))

    def drop(self, name: str, files: Iterable[Path]) -> None:
        """Remove the files that a failed input has claimed."""
        known = self.entries.get(name)
        if known is not None and known.status == "begun":
            for path in files:
                remove(path)

    def end(self, name: str, record: VideoRecord) -> VideoRecord:
        """Record how an input ended; returns the record with its fingerprint.

        An input that failed before it was begun, such as a file on an unmounted disk, keeps the
        results and the record of an earlier run.
        """
        earlier = self.entries.get(name)
        ended = replace(record, fingerprint=None if earlier is None else earlier.fingerprint)
        if ended.status == "failed" and earlier is not None and earlier.done:
            return ended
        self.entries[name] = ended
        if self.folder.is_dir():
            # A full disk may have space again at the next input; `close` raises if not.
            with suppress(OSError, StadkitError):
                self._record(name, ended)
        return ended

    def close(self) -> None:
        """Write the final manifest.json, if the folder was made, and release the lock."""
        try:
            if self.folder.is_dir():
                self.write()
        finally:
            self._lock.release()

    def write(self) -> None:
        """Write manifest.json atomically, inputs sorted by name.

        Raises StadkitError if it cannot be written.
        """
        videos = {name: self.entries[name].to_json() for name in sorted(self.entries)}
        unfinished = self._manifest.with_name(".manifest.json")  # overwritten by the next write
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

    def _record(self, name: str, record: VideoRecord) -> None:
        self.entries[name] = record
        if time.monotonic() - self._written >= MANIFEST_INTERVAL:
            self.write()
            return
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: record.to_json()}) + "\n")
            _to_disk(file)

    def _read_entries(self) -> dict[str, VideoRecord]:
        """The entries of an existing manifest; empty if they are to be overwritten."""
        if not self._manifest.exists():
            return {}
        try:
            held = json.loads(self._manifest.read_text("utf-8"))
            videos = held.pop("videos").items()
            entries = {str(name): VideoRecord.from_json(entry) for name, entry in videos}
        except (ValueError, KeyError, TypeError, AttributeError):
            held, entries = {}, {}
        if held == self._head:
            return entries | self._read_journal()
        if self.overwrite:
            return {}
        raise UsageError(
            f"{self.folder}: holds results of other settings ({difference(held, self._head)}); "
            "use --overwrite, or another folder with --output"
        )

    def _read_journal(self) -> dict[str, VideoRecord]:
        """The records in the journal of a killed run."""
        entries: dict[str, VideoRecord] = {}
        if self._journal.is_file():
            for line in self._journal.read_text("utf-8", errors="replace").splitlines():
                with suppress(ValueError, TypeError, AttributeError):  # a line may be truncated
                    for name, held in json.loads(line).items():
                        entries[name] = VideoRecord.from_json(held)
        return entries


def _to_disk(file: IO[str]) -> None:
    """Flush and fsync: a claim must survive a power cut if its files do."""
    file.flush()
    os.fsync(file.fileno())


def difference(held: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Describe the first difference: "every was 1.0, is 0.5"."""
    for key in [*facts, *held]:
        was, now = held.get(key), facts.get(key)
        if was == now:
            continue
        if isinstance(was, dict) and isinstance(now, dict):
            return difference(was, now)
        return f"{key} was {was}, is {now}"
    return "another manifest"


class FolderLock:
    """A lock on a folder; the system releases it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None
        self._taken = False  # also true if the file system has no locks

    def take(self) -> bool:
        """Lock the folder if it exists; returns whether the lock is new.

        Raises UsageError if another process holds it, StadkitError if the folder cannot be written.
        """
        if self._taken or not self._folder.is_dir():
            return False
        self._handle = _locked(self._folder)
        self._taken = True
        return True

    def clear(self) -> None:
        """Remove temporary files of killed runs, if the lock excludes other writers."""
        if self._handle is None:
            return
        for path in list(self._folder.iterdir()):
            if UNFINISHED.fullmatch(path.name):
                with suppress(OSError):
                    path.unlink()

    def release(self) -> None:
        """Release the lock."""
        if self._handle is not None:
            with suppress(OSError):  # the next one can lock it as well
                (self._folder / LOCK).unlink()
            os.close(self._handle)
        self._handle, self._taken = None, False


def _locked(folder: Path) -> int | None:
    """A handle whose closing releases the lock; None, with a warning, on file systems without.

    The lock is on a file open for writing: NFS locks no other.
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
                f"{folder}: another run is writing there; wait for it to end, or choose another "
                "folder with --output"
            ) from None
        except OSError as error:
            os.close(handle)
            with suppress(OSError):
                path.unlink()
            console.print(
                f"{folder}: its file system has no locks ({error.strerror}); make sure that no "
                "other run writes there"
            )
            return None
        if _is_same_file(path, handle):
            return handle
        os.close(handle)  # the previous holder removed the file meanwhile


def _is_same_file(path: Path, handle: int) -> bool:
    """Whether the open file is still the one at this path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False
