"""Run one detector on many videos; a failed video does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from stadkit.console import console, write_json
from stadkit.detection import DetectOptions, detect_video
from stadkit.detection.hooks import OnQueries, OnTokens
from stadkit.detection.video import OnKeyframe
from stadkit.engine import TaskResult, VideoTask
from stadkit.errors import NothingMatchedError, StadkitError, UsageError, VideoError
from stadkit.runs.folder import RunFolder, new_folder
from stadkit.runs.inputs import Input
from stadkit.runs.job import LABELS, DetectTask, Job, facts
from stadkit.runs.messages import (
    make_summary,
    print_summary,
    remove_summary,
    run_heading,
    summary_row,
    video_line,
    write_summary,
)
from stadkit.runs.outputs import (
    match_banks,
    model_threads,
    query_window,
    query_writer,
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
    """Process every input, or those of a shard; write results, a manifest and a summary.

    Returns the exit code.
    """
    _match_proposals(inputs, job)
    match_banks(inputs, job)
    name = inputs[0].name if len(inputs) == 1 else job.detector.name
    folder = output or new_folder("detect", name)
    if shard is None:
        run, selected = RunFolder(folder, facts(job), overwrite), inputs
    else:
        run = RunFolder(folder / shard.name, facts(job), overwrite, shard.facts(inputs))
        selected = shard.share(inputs)
    tasks = [DetectTask(item, job, run.folder) for item in selected]
    with run.held():
        _check_all(tasks, run)
        remove_summary(run.folder)
        console.print(run_heading(job, run.folder))
        if shard is not None:
            console.print(f"{shard.name}: {len(selected)} of {len(inputs)} inputs")
            run.folder.mkdir(parents=True, exist_ok=True)  # `merge` needs it, even if all fails
        records = _detect_all(tasks, job, run, folder)
    ended = [records[item.name] for item in selected]
    code = exit_code(ended, only=len(inputs) == 1)
    _report(selected, ended, code, run.folder, as_json)
    return code


def _detect_all(
    tasks: Sequence[DetectTask], job: Job, run: RunFolder, output: Path
) -> dict[str, VideoRecord]:
    """Name -> record of each input, reported as they end; the manifest is complete afterwards.

    `output`: the folder that the user named, which contains a shard's own.
    """
    records: dict[str, VideoRecord] = {}
    # In this process each video has its own bar instead.
    count = Count(len(tasks), shown=job.executor is not None)

    def report(task: DetectTask, record: VideoRecord) -> None:
        records[task.item.name] = record
        console.print(video_line(task.item, record, run.folder))
        count.advance()

    try:
        with count:
            waiting = _unfinished(tasks, run, report)
            if job.executor is not None:
                with job.executor as executor:
                    work = ((task, VideoTask(task.item.path, job.options)) for task in waiting)
                    for task, result in executor.run(work):
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
        console.print(f"interrupted; the same command with -o {output} resumes here")
        raise
    finally:
        run.close()
    return records


def _report(
    inputs: Sequence[Input],
    records: Sequence[VideoRecord],
    code: int,
    folder: Path,
    as_json: bool,
) -> None:
    """Write and print the summary at the end, and list the inputs that are not complete."""
    pairs = list(zip(inputs, records, strict=True))
    summary = make_summary([summary_row(item.name, record) for item, record in pairs], code)
    if folder.is_dir():
        write_summary(summary, folder)
    print_summary(summary)
    bad = [(item, record) for item, record in pairs if record.status != "ok"]
    if bad and len(inputs) > 1:
        console.print("not complete:")
        for item, record in bad:
            console.print(video_line(item, record, folder))
    if as_json:
        rows = [{"name": item.name, **record.to_json()} for item, record in pairs]
        write_json({"output": str(folder), "exit_code": code, "videos": rows})


def _match_proposals(inputs: Sequence[Input], job: Job) -> None:
    """Raise NothingMatchedError if no input has proposals."""
    if job.options.proposals is None:
        return
    videos, stems = set(job.options.proposals.video.tolist()), {item.path.stem for item in inputs}
    if videos.isdisjoint(stems):
        raise NothingMatchedError(
            f"{job.proposals}: has boxes for no input; it names {_first_names(videos)}, the inputs "
            f"are {_first_names(stems)}; videos are matched by file name without extension"
        )


def _first_names(names: Iterable[str]) -> str:
    first, count = sorted(names)[:3], len(set(names))
    return (", ".join(map(repr, first)) or "no video") + ", ..." * (count > 3)


def exit_code(records: Sequence[VideoRecord], only: bool) -> int:
    """0 if every input is complete, 2 if the `only` input is not a video, else 1."""
    if only and records and records[0].status == "failed" and records[0].unusable:
        return 2
    return int(any(record.status != "ok" for record in records))


def _check_all(tasks: Sequence[DetectTask], run: RunFolder) -> None:
    """Raise UsageError before anything is written if a result would overwrite another file."""
    sources = {path.resolve() for task in tasks for path in (task.item.path, task.bank) if path}
    for task in tasks:
        for path in task.files.values():
            if path.resolve() in sources:
                raise UsageError(f"{path}: is an input too; choose another folder with --output")
        with suppress(VideoError, OSError):  # an unusable input is reported at its turn
            run.check(task.item.name, task.files.values(), partial(task.mark, run.facts))
    if not run.entries:
        run.check("", [run.folder / LABELS], str)


def _unfinished(
    tasks: Sequence[DetectTask], run: RunFolder, report: Callable[[DetectTask, VideoRecord], None]
) -> Iterator[DetectTask]:
    """Claim and yield the inputs without results; report the others."""
    for task in tasks:
        mark = partial(task.mark, run.facts)
        files, resume = task.files.values(), task.job.resume
        record = run.claim(task.item.name, mark, files, task.record, resume)
        if record is None:
            yield task
        else:
            report(task, record)


def _finish(task: DetectTask, run: RunFolder, result: TaskResult) -> VideoRecord:
    """Write an input's results; returns its record, also if detection or writing failed."""
    name, files, record = task.item.name, task.files.values(), task.identity
    if result.found is None:
        error = result.error or StadkitError("the worker returned nothing")
        return run.fail(name, files, record, error, result.seconds)
    record = with_reading(record, result.found)
    record = replace(record, batch=result.batch or task.job.batch, threads=model_threads(task.job))
    write = partial(write_results, result.found, task, record)
    return run.complete(name, files, record, write, result.seconds)


Hooks = tuple[OnKeyframe, OnTokens | None, OnQueries | None]


@contextmanager
def _hooks(task: DetectTask) -> Iterator[tuple[DetectOptions, Hooks]]:
    """Options for an input, and its callbacks: progress bar, tokens, queries."""
    tokens = task.files.get("tokens")
    options = replace(task.job.options, queries=query_window(task))
    for kind in ("tokens", "queries"):
        if kind in task.files:
            remove(task.files[kind])  # from other key times, or an interrupted run
    on_tokens = None if tokens is None else keep_tokens(tokens)
    with Bar(task.item, options) as bar, query_writer(task) as on_queries:
        yield options, (bar.advance, on_tokens, on_queries)
