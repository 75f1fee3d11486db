"""Merge folders of results into one, as a single run would have written it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from stadkit.console import console
from stadkit.errors import StadkitError, UsageError
from stadkit.runs.folder import RunFolder, difference
from stadkit.runs.job import LABELS
from stadkit.runs.messages import counted, make_summary, print_summary, summary_row, write_summary
from stadkit.runs.record import VideoRecord
from stadkit.zoo import sha256


@dataclass(frozen=True)
class MergedRun:
    """A folder of results and the contents of its manifest."""

    folder: Path
    facts: dict[str, Any]  # the head, without the shard
    shard: dict[str, Any] | None
    videos: dict[str, VideoRecord]


def merge_runs(runs: Sequence[Path], output: Path) -> int:
    """Merge these runs; the exit code. Raises UsageError if they cannot be merged.

    The output appears under its name only when it is complete.
    """
    made = [_read(folder) for folder in _folders(runs)]
    _check_alike(made)
    _check_names(made)
    if output.exists():
        raise UsageError(f"{output}: exists already; name a new folder with --output")
    unfinished = output.with_name(f".{uuid4().hex}")
    try:
        code = _write_merged(made, unfinished)
        unfinished.rename(output)
    except OSError as error:
        raise StadkitError(f"{output}: cannot be written ({error.strerror})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    console.print(f"{counted(len(made), 'run')} -> {output}")
    return code


def _folders(runs: Sequence[Path]) -> list[Path]:
    """The folders of results: those named, or the shards in them, without duplicates."""
    found: dict[Path, Path] = {}
    for run in runs:
        shards = [] if (run / "manifest.json").exists() else sorted(run.glob("shard-*-of-*"))
        for folder in shards or [run]:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _read(folder: Path) -> MergedRun:
    """Read a run; raises UsageError without a manifest of `detect`, or if it is unfinished."""
    path = folder / "manifest.json"
    try:
        held = json.loads(path.read_text("utf-8"))
        shard = held.pop("shard", None)
        entries = dict(held.pop("videos")).items()
        videos = {name: VideoRecord.from_json(entry) for name, entry in entries}
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); give folders that `stadkit detect` wrote"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: is not a manifest; run `stadkit detect` there again") from error
    if held.get("command") != "detect":
        raise UsageError(f"{path}: was not written by `stadkit detect`; only its runs are merged")
    wanted = len(videos) if shard is None else len(_positions(shard))
    begun = [name for name, entry in videos.items() if entry.status == "begun"]
    if begun or len(videos) < wanted or path.with_suffix(".journal").exists():
        raise UsageError(
            f"{folder}: is not finished ({len(videos) - len(begun)} of {wanted} videos); repeat "
            "the same `stadkit detect` to resume it"
        )
    return MergedRun(folder, held, shard, videos)


def _positions(shard: dict[str, Any]) -> range:
    """The positions of a shard's inputs among all, in the order they are dealt out."""
    return range(shard["index"] - 1, shard["inputs"], shard["of"])


def _check_alike(made: Sequence[MergedRun]) -> None:
    """Raise UsageError if the runs have different facts, or are not all shards of one set."""
    first = made[0]
    for other in made[1:]:
        if other.facts != first.facts:
            raise UsageError(
                f"{other.folder}: has other settings than {first.folder} "
                f"({difference(first.facts, other.facts)}); merge runs of the same weights and "
                "arguments"
            )
        counts = [None if each.shard is None else each.shard["of"] for each in (other, first)]
        if None not in counts and counts[0] != counts[1]:
            raise UsageError(
                f"{other.folder} and {first.folder}: are shards of {counts[0]} and of {counts[1]}; "
                "merge only shards of the same count"
            )
        if _shard_set(other) != _shard_set(first):
            raise UsageError(
                f"{other.folder} and {first.folder}: are not shards of the same inputs; give each "
                "shard the same INPUTs"
            )
    if first.shard is not None:
        _check_complete(made, first.shard["of"])


def _shard_set(made: MergedRun) -> dict[str, Any] | None:
    shard = made.shard
    return None if shard is None else {key: shard[key] for key in ("of", "inputs", "list")}


def _check_complete(made: Sequence[MergedRun], count: int) -> None:
    """Raise UsageError if a shard is missing or present twice."""
    present = [each.shard["index"] for each in made if each.shard is not None]
    missing = [str(index) for index in range(1, count + 1) if index not in present]
    if missing:
        raise UsageError(
            f"shard {', '.join(missing)} of {count} is missing; run `stadkit detect --shard "
            f"{missing[0]}/{count}` or name its folder too"
        )
    twice = {index for index in present if present.count(index) > 1}
    if twice:
        folders = [str(m.folder) for m in made if m.shard and m.shard["index"] in twice]
        raise UsageError(f"{' and '.join(folders)}: are the same shard; name one of them")


def _check_names(made: Sequence[MergedRun]) -> None:
    """Raise UsageError if two runs have results of the same name."""
    seen: dict[str, Path] = {}
    for each in made:
        for name in each.videos:
            other = seen.setdefault(name.casefold(), each.folder)
            if other != each.folder:
                raise UsageError(
                    f"{other} and {each.folder}: both have a video called {name!r}; run them as "
                    "one, or as shards"
                )


def _write_merged(made: Sequence[MergedRun], folder: Path) -> int:
    """Copy the files and write manifest and summary; the exit code."""
    folder.mkdir(parents=True)
    run = RunFolder(folder, made[0].facts, overwrite=False)
    for each in made:
        for source, digest in _files(each):
            target = folder / source.relative_to(each.folder)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
            if digest and sha256(target) != digest:
                raise UsageError(
                    f"{source}: differs from its checksum in the manifest; run `stadkit detect` "
                    "there again"
                )
        run.entries |= each.videos
    run.close()
    entries = {name: run.entries[name] for name in sorted(run.entries)}
    code = int(any(entry.status != "ok" for entry in entries.values()))
    summary = make_summary([summary_row(name, entry) for name, entry in entries.items()], code)
    write_summary(summary, folder)
    print_summary(summary)
    return code


def _files(made: MergedRun) -> Iterator[tuple[Path, str]]:
    """The files of a run, each with its sha256 or "" if not in the manifest.

    Raises UsageError for a missing file.
    """
    labels = made.folder / LABELS
    if labels.exists():
        yield labels, ""
    for entry in made.videos.values():
        for name, digest in (entry.outputs or {}).items():
            path = made.folder / name
            if not path.resolve().is_relative_to(made.folder.resolve()):
                raise UsageError(f"{made.folder}: its manifest names {name}, which is outside it")
            if not path.is_file():
                raise UsageError(f"{path}: is missing; run `stadkit detect` there again")
            yield path, digest
