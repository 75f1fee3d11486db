"""Many videos through one detector: one that fails does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from stadkit.console import console, one_line, write_json
from stadkit.detect import VideoDetections, detect_video
from stadkit.engine import TaskResult, VideoTask, look_here
from stadkit.errors import NothingMatchedError, StadkitError, UsageError, VideoError
from stadkit.runs.folder import Entry, RunFolder, new_folder
from stadkit.runs.inputs import Input
from stadkit.runs.job import LABELS, Job, Task, facts
from stadkit.runs.messages import (
    make_summary,
    remove_summary,
    run_heading,
    summary_row,
    tell_summary,
    video_line,
    write_summary,
)
from stadkit.runs.outputs import (
    digests,
    given_queries,
    kept_queries,
    match_banks,
    reading_entry,
    threads,
    write_results,
)
from stadkit.runs.pictures import keep_tokens, remove
from stadkit.runs.progress import Bar, Count
from stadkit.runs.shards import Shard

Note = Callable[[Task, Entry], None]  # told how an input went


def detect_many(
    inputs: Sequence[Input],
    job: Job,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    shard: Shard | None = None,
) -> int:
    """Look at every input, or at those of a shard, write its results, a manifest and a summary, say
    how it went; the exit code."""
    _match_proposals(inputs, job)
    match_banks(inputs, job)
    name = inputs[0].name if len(inputs) == 1 else job.detector.name
    folder = output or new_folder("detect", name)
    if shard is None:
        run, mine = RunFolder(folder, facts(job), overwrite), inputs
    else:
        run = RunFolder(folder / shard.name, facts(job), overwrite, shard.facts(inputs))
        mine = shard.share(inputs)
    tasks = [Task(item, job, run.folder) for item in mine]
    with run.held():
        _claim(tasks, run)
        remove_summary(run.folder)
        console.print(run_heading(job, run.folder))
        if shard is not None:
            console.print(f"{shard.name}: {len(mine)} of {len(inputs)} inputs")
            run.folder.mkdir(parents=True, exist_ok=True)  # `merge` wants it, whatever comes
        entries = _look_at_all(tasks, job, run, folder)
    ended = [entries[item.name] for item in mine]
    code = exit_code(ended, only=len(inputs) == 1)
    _tell(mine, ended, code, run.folder, as_json)
    return code


def _look_at_all(tasks: Sequence[Task], job: Job, run: RunFolder, output: Path) -> dict[str, Entry]:
    """Name -> how each input went, told as they end; the manifest is whole afterwards. `output` is
    the folder that the user knows: a shard's is in it."""
    entries: dict[str, Entry] = {}
    # This process alone has a bar for each video instead.
    count = Count(len(tasks), shown=job.spread is not None)

    def note(task: Task, entry: Entry) -> None:
        entries[task.item.name] = entry
        console.print(video_line(task.item, entry, run.folder))
        count.advance()

    try:
        with count:
            for task, looked in _results(_to_look_at(tasks, run, note), job):
                note(task, _finish(task, run, looked))
    except KeyboardInterrupt:
        console.print(f"interrupted; the same command with -o {output} goes on from here")
        raise
    finally:
        run.close()
    return entries


def _tell(
    inputs: Sequence[Input], entries: Sequence[Entry], code: int, folder: Path, as_json: bool
) -> None:
    """Once more at the end of a long run: how all went, and what is not whole."""
    pairs = list(zip(inputs, entries, strict=True))
    summary = make_summary([summary_row(item.name, entry) for item, entry in pairs], code)
    if folder.is_dir():
        write_summary(summary, folder)
    tell_summary(summary)
    bad = [(item, entry) for item, entry in pairs if entry["status"] != "ok"]
    if bad and len(inputs) > 1:
        console.print("not in full:")
        for item, entry in bad:
            console.print(video_line(item, entry, folder))
    if as_json:
        rows = [{"name": item.name, **entry} for item, entry in pairs]
        write_json({"output": str(folder), "exit_code": code, "videos": rows})


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


def exit_code(entries: Sequence[Entry], only: bool) -> int:
    """0 when all is well, 2 when the `only` input is no video, else 1."""
    if only and entries and entries[0]["status"] == "failed" and entries[0]["unusable"]:
        return 2
    return int(any(entry["status"] != "ok" for entry in entries))


def _claim(tasks: Sequence[Task], run: RunFolder) -> None:
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


def _to_look_at(tasks: Sequence[Task], run: RunFolder, note: Note) -> Iterator[Task]:
    """The inputs whose results are not there yet, claimed; of the others `note` is told."""
    for task in tasks:
        entry = _begin(task, run)
        if entry is None:
            yield task
        else:
            note(task, entry)


def _begin(task: Task, run: RunFolder) -> Entry | None:
    """Claim an input's results; its entry where they are there, or where it is no file."""
    name, files = task.item.name, task.files.values()
    try:
        mark = task.mark(run.facts)
        done = run.finished(name, mark) if task.job.resume else None
        if done is not None:
            return {**done, "kept": True}
        run.begin(name, mark, files)
    except (BrokenPipeError, UsageError):
        raise
    except (StadkitError, OSError) as error:
        return _fail(task, run, _head(task), error)
    return None


def _finish(task: Task, run: RunFolder, looked: TaskResult) -> Entry:
    """Write an input's results; its entry. A failure is one, too."""
    started, files = time.perf_counter(), task.files.values()
    entry = _head(task) | task.identity
    try:
        found = looked.result()
        entry |= {**reading_entry(found), "batch": looked.batch or task.job.batch}
        entry["threads"] = threads(task.job)
        entry |= write_results(found, task)
        entry["outputs"] = digests(files, run.folder)
    except BrokenPipeError:
        raise
    except (StadkitError, OSError) as error:
        return _fail(task, run, entry, error, looked.seconds)
    entry["seconds"] = round(looked.seconds + time.perf_counter() - started, 2)
    return run.end(task.item.name, entry)


def _head(task: Task) -> Entry:
    return {"input": str(task.item.path), "outputs": {}}


def _fail(
    task: Task, run: RunFolder, entry: Entry, error: Exception, seconds: float = 0.0
) -> Entry:
    """The entry of an input that failed; nothing that it claimed stays."""
    unusable = isinstance(error, VideoError) and "reader" not in entry
    why = {"status": "failed", "reason": one_line(error), "unusable": unusable}
    run.drop(task.item.name, task.files.values())
    return run.end(task.item.name, {**entry, **why, "seconds": round(seconds, 2)})


def _results(tasks: Iterable[Task], job: Job) -> Iterator[tuple[Task, TaskResult]]:
    """What is in each input, as they are done: in this process, or by the workers of the job."""
    if job.spread is None:
        yield from look_here(tasks, _look)
        return
    with job.spread as spread:
        yield from spread.look((task, VideoTask(task.item.path, job.options)) for task in tasks)


def _look(task: Task) -> VideoDetections:
    """What is in an input; its tokens and queries are kept on the way, where wanted."""
    job, path, tokens = task.job, task.item.path, task.files.get("tokens")
    options = replace(job.options, queries=given_queries(task))
    for kind in ("tokens", "queries"):
        if kind in task.files:
            remove(task.files[kind])  # of other key times, or of a run that was cut off
    on_tokens = None if tokens is None else keep_tokens(tokens)
    with Bar(task.item, options) as bar, kept_queries(task) as on_queries:
        return detect_video(job.detector, path, options, bar.advance, on_tokens, on_queries)
