"""Many videos through one detector: one that fails does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from stadkit.console import console, write_json
from stadkit.detection import Options, detect_video
from stadkit.detection.hooks import OnQueries, OnTokens
from stadkit.detection.video import OnKeyframe
from stadkit.engine import TaskResult, VideoTask
from stadkit.errors import NothingMatchedError, StadkitError, UsageError, VideoError
from stadkit.runs.folder import RunFolder, new_folder
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
    given_queries,
    kept_queries,
    match_banks,
    threads,
    with_reading,
    write_results,
)
from stadkit.runs.pictures import keep_tokens, remove
from stadkit.runs.progress import Bar, Count
from stadkit.runs.record import VideoRecord
from stadkit.runs.shards import Shard


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
        _check_all(tasks, run)
        remove_summary(run.folder)
        console.print(run_heading(job, run.folder))
        if shard is not None:
            console.print(f"{shard.name}: {len(mine)} of {len(inputs)} inputs")
            run.folder.mkdir(parents=True, exist_ok=True)  # `merge` wants it, whatever comes
        records = _detect_all(tasks, job, run, folder)
    ended = [records[item.name] for item in mine]
    code = exit_code(ended, only=len(inputs) == 1)
    _tell(mine, ended, code, run.folder, as_json)
    return code


def _detect_all(
    tasks: Sequence[Task], job: Job, run: RunFolder, output: Path
) -> dict[str, VideoRecord]:
    """Name -> record of each input, reported as they end; the manifest is complete afterwards.

    `output` is the folder that the user named: a shard's own folder is in it.
    """
    records: dict[str, VideoRecord] = {}
    # In this process each video has a bar of its own instead.
    count = Count(len(tasks), shown=job.spread is not None)

    def report(task: Task, record: VideoRecord) -> None:
        records[task.item.name] = record
        console.print(video_line(task.item, record, run.folder))
        count.advance()

    try:
        with count:
            waiting = _unfinished(tasks, run, report)
            if job.spread is not None:
                with job.spread as executor:
                    work = ((task, VideoTask(task.item.path, job.options)) for task in waiting)
                    for task, result in executor.look(work):
                        report(task, _finish(task, run, result))
                return records
            for task in waiting:
                started = time.perf_counter()
                try:
                    with _hooks(task) as (options, hooks):
                        found = detect_video(job.detector, task.item.path, options, *hooks)
                except BrokenPipeError:
                    raise
                except (StadkitError, OSError) as error:
                    result = TaskResult(None, error, time.perf_counter() - started)
                else:
                    result = TaskResult(found, None, time.perf_counter() - started)
                report(task, _finish(task, run, result))
    except KeyboardInterrupt:
        console.print(f"interrupted; the same command with -o {output} goes on from here")
        raise
    finally:
        run.close()
    return records


def _tell(
    inputs: Sequence[Input],
    records: Sequence[VideoRecord],
    code: int,
    folder: Path,
    as_json: bool,
) -> None:
    """Once more at the end of a long run: how all inputs went, and which are not complete."""
    pairs = list(zip(inputs, records, strict=True))
    summary = make_summary([summary_row(item.name, record) for item, record in pairs], code)
    if folder.is_dir():
        write_summary(summary, folder)
    tell_summary(summary)
    bad = [(item, record) for item, record in pairs if record.status != "ok"]
    if bad and len(inputs) > 1:
        console.print("not in full:")
        for item, record in bad:
            console.print(video_line(item, record, folder))
    if as_json:
        rows = [{"name": item.name, **record.to_json()} for item, record in pairs]
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


def exit_code(records: Sequence[VideoRecord], only: bool) -> int:
    """0 when every input is complete, 2 when the `only` input is no video, else 1."""
    if only and records and records[0].status == "failed" and records[0].unusable:
        return 2
    return int(any(record.status != "ok" for record in records))


def _check_all(tasks: Sequence[Task], run: RunFolder) -> None:
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


def _unfinished(
    tasks: Sequence[Task], run: RunFolder, report: Callable[[Task, VideoRecord], None]
) -> Iterator[Task]:
    """The inputs without results, claimed; the others are reported."""
    for task in tasks:
        mark = partial(task.mark, run.facts)
        files, resume = task.files.values(), task.job.resume
        record = run.claim(task.item.name, mark, files, task.record, resume)
        if record is None:
            yield task
        else:
            report(task, record)


def _finish(task: Task, run: RunFolder, result: TaskResult) -> VideoRecord:
    """Write an input's results; its record, also where detection or writing failed."""
    name, files, record = task.item.name, task.files.values(), task.identity
    if result.found is None:
        error = result.error or StadkitError("the worker returned nothing")
        return run.fail(name, files, record, error, result.seconds)
    record = with_reading(record, result.found)
    record = replace(record, batch=result.batch or task.job.batch, threads=threads(task.job))
    write = partial(write_results, result.found, task, record)
    return run.complete(name, files, record, write, result.seconds)


Hooks = tuple[OnKeyframe, OnTokens | None, OnQueries | None]


@contextmanager
def _hooks(task: Task) -> Iterator[tuple[Options, Hooks]]:
    """Options for an input, and what is called while it is read: bar, tokens, queries."""
    tokens = task.files.get("tokens")
    options = replace(task.job.options, queries=given_queries(task))
    for kind in ("tokens", "queries"):
        if kind in task.files:
            remove(task.files[kind])  # of other key times, or of an interrupted run
    on_tokens = None if tokens is None else keep_tokens(tokens)
    with Bar(task.item, options) as bar, kept_queries(task) as on_queries:
        yield options, (bar.advance, on_tokens, on_queries)
