"""Many videos through one detector: one that fails does not stop the others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import typer

from stadkit.cli.choose import with_classes
from stadkit.cli.console import console, one_line
from stadkit.cli.inputs import Input
from stadkit.cli.job import Job, Task, facts
from stadkit.cli.pictures import keep_tokens, own_files, remove
from stadkit.cli.progress import Bar
from stadkit.cli.queries import given_queries, kept_queries, match_banks, said
from stadkit.cli.runs import Entry, Run, new_folder
from stadkit.detect import Found, detect_video
from stadkit.detections import Detections, Keyframes
from stadkit.errors import NothingMatchedError, StadkitError, UsageError, VideoError
from stadkit.files.ava_csv import write_found
from stadkit.files.jsonl import write_jsonl
from stadkit.files.tubes_json import write_tubes_json
from stadkit.labels import write_labels
from stadkit.tubes import Tubes
from stadkit.video.check import shown
from stadkit.zoo import sha256

LABELS = "labels.txt"


def detect_many(
    inputs: Sequence[Input], job: Job, output: Path | None, overwrite: bool, as_json: bool
) -> int:
    """Look at every input, write its results and a manifest, say how it went; the exit code."""
    _match_proposals(inputs, job)
    match_banks(inputs, job)
    name = inputs[0].name if len(inputs) == 1 else job.detector.name
    run = Run(output or new_folder("detect", name), facts(job), overwrite)
    tasks = [Task(item, job, run.folder) for item in inputs]
    _claim(tasks, run)
    console.print(heading(job))
    entries = []
    try:
        for task in tasks:
            entries.append(_one(task, run))
            console.print(line(task.item, entries[-1], run.folder))
    except KeyboardInterrupt:
        console.print(f"interrupted; the same command with -o {run.folder} goes on from here")
        raise
    finally:
        run.close()
    _tell_failures(inputs, entries, run.folder)
    code = exit_code(entries)
    if as_json:
        rows = [{"name": i.name, **e} for i, e in zip(inputs, entries, strict=True)]
        typer.echo(json.dumps({"output": str(run.folder), "exit_code": code, "videos": rows}))
    return code


def _match_proposals(inputs: Sequence[Input], job: Job) -> None:
    """Raise NothingMatchedError where the proposals are of none of these videos."""
    if job.options.proposals is None:
        return
    named, given = set(job.options.proposals.video.tolist()), {item.path.stem for item in inputs}
    if named.isdisjoint(given):
        raise NothingMatchedError(
            f"{job.proposals}: is of none of the inputs; it names {_few(named)}, the inputs are "
            f"{_few(given)}; an input's name without its ending must be the one in the file"
        )


def _few(names: Iterable[str]) -> str:
    first, count = sorted(names)[:3], len(set(names))
    return (", ".join(map(repr, first)) or "no video") + ", ..." * (count > 3)


def exit_code(entries: Sequence[Entry]) -> int:
    """0 when all is well, 2 when the only input is no video, else 1."""
    if len(entries) == 1 and entries[0]["status"] == "failed" and entries[0]["unusable"]:
        return 2
    return int(any(entry["status"] != "ok" for entry in entries))


def heading(job: Job) -> str:
    """The model and the thresholds in force, in one line."""
    detector = job.detector
    kind = str(detector.precision).removeprefix("torch.")
    return (
        f"{detector.name} (weights: {detector.card.licence}) on {detector.device}, {kind}; "
        f"people from {job.min_person:g}, actions from {job.min_action:g}, "
        f"every {job.every:g} s{said(job)}"
    )


def line(item: Input, entry: Entry, folder: Path) -> str:
    """How an input went, in one line."""
    where, reason = shown(item.path), entry["reason"]
    if entry["status"] == "failed":
        return f"stadkit: error: {reason if where in reason else f'{where}: {reason}'}"
    kept = "kept from before, " if entry.get("kept") else ""
    partial = f"; PARTIAL: {reason}" if entry["status"] == "partial" else ""
    counts = f"{entry['people']} people in {entry['keyframes']} keyframes"
    if "tubes" in entry:
        counts += f", {entry['tracks']} tracks, {entry['tubes']} tubes"
    outside = f" ({entry['outside']} proposal times outside)" if entry.get("outside") else ""
    seconds = f"{entry['seconds']} s"
    return f"{where}: {kept}{counts}{outside}, {seconds} -> {folder / item.name}.csv{partial}"


def _tell_failures(inputs: Sequence[Input], entries: Sequence[Entry], folder: Path) -> None:
    """Once more at the end of a long run: what is not whole, and why."""
    bad = [(i, e) for i, e in zip(inputs, entries, strict=True) if e["status"] != "ok"]
    if bad and len(inputs) > 1:
        console.print(f"{len(inputs) - len(bad)} of {len(inputs)} done in full; not the others:")
        for item, entry in bad:
            console.print(line(item, entry, folder))


def _claim(tasks: Sequence[Task], run: Run) -> None:
    """Raise UsageError, before anything is written, where a result would destroy something."""
    sources = {path.resolve() for task in tasks for path in (task.item.path, task.bank) if path}
    for task in tasks:
        for path in task.files.values():
            if path.resolve() in sources:
                raise UsageError(f"{path}: is an input too; name another folder with --output")
        with suppress(VideoError, OSError):  # an unusable input is told of at its turn
            run.check(task.item.name, task.files.values(), partial(task.mark, run.facts))
    if not run.entries:
        run.check("", [run.folder / LABELS], str)


def _one(task: Task, run: Run) -> Entry:
    """Look at one input and write its results, unless they are there; a failure is an entry."""
    started = time.perf_counter()
    name, files = task.item.name, task.files.values()
    entry: Entry = {"input": str(task.item.path), "outputs": {}}
    try:
        entry |= task.identity
        mark = task.mark(run.facts)
        done = run.finished(name, mark) if task.job.resume else None
        if done is not None:
            return {**done, "kept": True}
        run.begin(name, mark, files)
        found = _look(task)
        entry |= {**reading(found), "batch": task.job.batch, **_write(found, task)}
        entry["outputs"] = {
            path.relative_to(run.folder).as_posix(): sha256(path) for path in _written(files)
        }
    except BrokenPipeError:
        raise
    except (StadkitError, OSError) as error:
        unusable = isinstance(error, VideoError) and "reader" not in entry
        entry |= {"status": "failed", "reason": one_line(error), "unusable": unusable}
        run.drop(name, files)
    entry["seconds"] = round(time.perf_counter() - started, 2)
    return run.end(name, entry)


def _look(task: Task) -> Found:
    """What is in an input; its tokens and queries are kept on the way, where wanted."""
    job, path, tokens = task.job, task.item.path, task.files.get("tokens")
    options = replace(job.options, queries=given_queries(task))
    for kind in ("tokens", "queries"):
        if kind in task.files:
            remove(task.files[kind])  # of other key times, or of a run that was cut off
    on_tokens = None if tokens is None else keep_tokens(tokens)
    with Bar(task.item, options) as bar, kept_queries(task) as on_queries:
        return detect_video(job.detector, path, options, bar.advance, on_tokens, on_queries)


def _written(paths: Iterable[Path]) -> Iterator[Path]:
    """The files there are of an input; of a folder, those inside."""
    for path in paths:
        yield from own_files(path) if path.is_dir() else [path]


def reading(found: Found) -> Entry:
    """What the manifest says of an input that was looked at."""
    return {
        "status": "partial" if found.report.partial else "ok",
        "reason": found.report.reason,
        "reader": found.info.reader,
        "size": [found.info.height, found.info.width],
        "rate": found.info.rate,
        "frames": found.report.frames,
        "expected": found.report.expected,
        "keyframes": len(found.keyframes),
        "people": len(found.table),
        "outside": found.outside,
    }


def _write(found: Found, task: Task) -> Entry:
    """The results of an input; what the manifest says of them."""
    name, job, files = task.item.name, task.job, task.files
    table = with_classes(found.table, job.labels)
    table = replace(table, video=np.full(len(table), name))
    keyframes = replace(found.keyframes, video=np.full(len(found.keyframes), name))
    table, tubes = _link(table, keyframes, job) if job.link else (table, None)
    write_found(table, job.labels, files["csv"], job.min_action, tracks=job.link)
    write_jsonl(table, keyframes, job.labels, files["jsonl"], job.min_action)
    # With these `eval` and `link` read the CSVs.
    write_labels(job.labels, files["csv"].with_name(LABELS))
    if tubes is not None:
        write_tubes_json(tubes, job.labels, files["tubes.json"], [name])
    if "mp4" in files:
        from stadkit.video.write import save_video

        save_video(
            task.item.path,
            table,
            files["mp4"],
            times=keyframes.time,
            tubes=tubes,
            start=job.options.start,
            duration=job.options.duration,
            min_action=job.min_drawn,
            reader=job.options.reader,
        )
    if tubes is None:
        return {}
    return {"tracks": len(set(table.track.tolist()) - {-1}), "tubes": len(tubes)}


def _link(table: Detections, keyframes: Keyframes, job: Job) -> tuple[Detections, Tubes]:
    """Tracks and tubes of what is reported, so that `link` makes the same of the files."""
    from stadkit.link import link

    told = np.where(table.action >= job.min_action, table.action, np.float32(np.nan))
    linked = link(replace(table, action=told), keyframes)
    return table.with_track(linked.found.track), linked.tubes
