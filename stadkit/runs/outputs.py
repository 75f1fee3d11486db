"""The files that `detect` writes for an input, and its record in the manifest.

Query banks, NAME.queries, are written with --save-queries and read with --queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from stadkit.detection import VideoDetections
from stadkit.detection.bank import HEADER, BankWriter, Header, QueryBank, Window, bank_folder
from stadkit.detection.hooks import OnQueries, entry_width, require_bank_reader, require_query_model
from stadkit.detections import Detections, Keyframes
from stadkit.errors import NothingMatchedError, UsageError
from stadkit.files.ava_csv import write_found
from stadkit.files.jsonl import write_jsonl
from stadkit.files.tubes_json import write_tubes_json
from stadkit.labels import write_labels
from stadkit.models.stmixer import Stmixer
from stadkit.runs.inputs import Input
from stadkit.runs.job import LABELS, DetectTask, Job, with_classes
from stadkit.runs.pictures import own_files
from stadkit.runs.record import VideoRecord
from stadkit.tubes import Tubes
from stadkit.zoo import sha256


def with_reading(record: VideoRecord, found: VideoDetections) -> VideoRecord:
    """Add how the video was read and the counts of its detections to a record."""
    return replace(
        record,
        status="partial" if found.report.partial else "ok",
        reason=found.report.reason,
        reader=found.info.reader,
        size=(found.info.height, found.info.width),
        rate=found.info.rate,
        frames=found.report.frames,
        expected=found.report.expected,
        keyframes=len(found.keyframes),
        people=len(found.table),
        outside=found.outside,
        note=found.report.note or None,
    )


def model_threads(job: Job) -> int | None:
    """CPU threads of the model, on which the last bits of scores may depend.

    Of this process or each worker; None if the workers share the CPUs.
    """
    if job.executor is not None:
        return job.executor.config.threads or None
    import torch

    return torch.get_num_threads()


def write_results(found: VideoDetections, task: DetectTask, record: VideoRecord) -> VideoRecord:
    """Write the results of an input; returns its record with their checksums and counts."""
    name, job, files = task.item.name, task.job, task.files
    table = with_classes(found.table, job.labels)
    table = replace(table, video=np.full(len(table), name))
    keyframes = replace(found.keyframes, video=np.full(len(found.keyframes), name))
    table, tubes = _link(table, keyframes, job) if job.link else (table, None)
    write_found(table, job.labels, files["csv"], job.min_action, tracks=job.link)
    write_jsonl(table, keyframes, job.labels, files["jsonl"], job.min_action)
    # `eval` and `link` need these to read the CSVs.
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
    folder = files["csv"].parent
    record = replace(record, outputs=digests(files.values(), folder))
    if tubes is None:
        return record
    tracks = len(set(table.track.tolist()) - {-1})
    return replace(record, tracks=tracks, tubes=len(tubes))


def digests(paths: Iterable[Path], folder: Path) -> dict[str, str]:
    """Path below the folder -> sha256, for an input's files."""
    return {path.relative_to(folder).as_posix(): sha256(path) for path in _files(paths)}


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files at these paths; for a folder, those in it."""
    for path in paths:
        yield from own_files(path) if path.is_dir() else [path]


def _link(table: Detections, keyframes: Keyframes, job: Job) -> tuple[Detections, Tubes]:
    """Link only the reported scores, so that `link` gives the same from the files."""
    from stadkit.linking import link

    reported = np.where(table.action >= job.min_action, table.action, np.float32(np.nan))
    linked = link(replace(table, action=reported), keyframes)
    return table.with_track(linked.found.track), linked.tubes


def match_banks(inputs: Sequence[Input], job: Job) -> None:
    """Check that --queries has a bank of at least one input.

    Raises UsageError if it is not a folder, NothingMatchedError if it has no such bank.
    """
    folder = job.queries
    if folder is None:
        return
    if not folder.is_dir():
        raise UsageError(
            f"{folder}: no such folder of results; `stadkit detect INPUT --save-queries -o "
            f"{folder}` with an STMixer makes it"
        )
    banks = [bank_folder(folder, item.name) for item in inputs]
    if not any((bank / HEADER).is_file() for bank in banks):
        raise NothingMatchedError(
            f"{folder}: has no query bank of any input, such as {banks[0].name}; "
            f"`stadkit detect INPUT --save-queries -o {folder}` with an STMixer makes them"
        )


def describe_bank(job: Job) -> str:
    """The part of the heading on query banks."""
    if job.queries is not None:
        return f", query bank window {job.window:g} s"
    model = job.detector.model
    long = isinstance(model, Stmixer) and model.config.classifier == "long"
    return "; without a query bank (--queries) for its long-term classifier" if long else ""


def query_window(task: DetectTask) -> Window | None:
    """The window of the input's query bank.

    Raises StadkitError for a bank that is missing, damaged or of another model.
    """
    if task.bank is None:
        return None
    model = require_bank_reader(task.job.detector)
    bank = QueryBank(task.bank).fits(entry_width(model), model.config.bank)
    return Window(bank.whole(), task.job.window)


@contextmanager
def query_writer(task: DetectTask) -> Iterator[OnQueries | None]:
    """Yield a function that writes a clip's queries, or None; leaving it completes the bank."""
    folder, job = task.files.get("queries"), task.job
    if folder is None:
        yield None
        return
    header = Header(
        model=job.detector.name,
        sha256=job.detector.sha256,
        width=entry_width(require_query_model(job.detector)),
        every=None if isinstance(job.every, str) else job.every,
        min_person=job.min_person,
    )
    with BankWriter(folder, header) as writer:
        yield writer.add
