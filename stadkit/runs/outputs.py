"""What `detect` writes of an input, and what its manifest says of it.

Banks of queries of `detect`: NAME.queries written with --save-queries, read with --queries.
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
from stadkit.runs.job import LABELS, Job, Task, with_classes
from stadkit.runs.pictures import own_files
from stadkit.runs.record import VideoRecord
from stadkit.tubes import Tubes
from stadkit.zoo import sha256


def with_reading(record: VideoRecord, found: VideoDetections) -> VideoRecord:
    """The record of an input with how its video was read and how much was found."""
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


def threads(job: Job) -> int | None:
    """CPU threads of the model, on which the last bits of a score may depend: of this process, or
    as asked of each worker; None where the workers share the CPUs."""
    if job.spread is not None:
        return job.spread.setup.threads or None
    import torch

    return torch.get_num_threads()


def write_results(found: VideoDetections, task: Task, record: VideoRecord) -> VideoRecord:
    """Write the results of an input; its record with their checksums and counts."""
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
    folder = files["csv"].parent
    record = replace(record, outputs=digests(files.values(), folder))
    if tubes is None:
        return record
    tracks = len(set(table.track.tolist()) - {-1})
    return replace(record, tracks=tracks, tubes=len(tubes))


def digests(paths: Iterable[Path], folder: Path) -> dict[str, str]:
    """Path below the folder -> sha256, of the files there are of an input."""
    return {path.relative_to(folder).as_posix(): sha256(path) for path in _written(paths)}


def _written(paths: Iterable[Path]) -> Iterator[Path]:
    """The files there are of an input; of a folder, those inside."""
    for path in paths:
        yield from own_files(path) if path.is_dir() else [path]


def _link(table: Detections, keyframes: Keyframes, job: Job) -> tuple[Detections, Tubes]:
    """Tracks and tubes of what is reported, so that `link` makes the same of the files."""
    from stadkit.linking import link

    told = np.where(table.action >= job.min_action, table.action, np.float32(np.nan))
    linked = link(replace(table, action=told), keyframes)
    return table.with_track(linked.found.track), linked.tubes


def match_banks(inputs: Sequence[Input], job: Job) -> None:
    """Raise UsageError where --queries is no folder, NothingMatchedError where no input has a bank
    in it."""
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
            f"{folder}: has a bank of queries of none of the inputs, looked for {banks[0].name}; "
            f"`stadkit detect INPUT --save-queries -o {folder}` with an STMixer makes them"
        )


def said(job: Job) -> str:
    """What is said of banks in the heading."""
    if job.queries is not None:
        return f", queries of {job.window:g} s around"
    model = job.detector.model
    long = isinstance(model, Stmixer) and model.config.classifier == "long"
    return "; knows nothing of the rest of a video, which --queries tells it" if long else ""


def given_queries(task: Task) -> Window | None:
    """What the model is told of the rest of the video; raises StadkitError where the bank is not
    there, not whole by its sha256, or not of this model."""
    if task.bank is None:
        return None
    model = require_bank_reader(task.job.detector)
    bank = QueryBank(task.bank).fits(entry_width(model), model.config.bank)
    return Window(bank.whole(), task.job.window)


@contextmanager
def kept_queries(task: Task) -> Iterator[OnQueries | None]:
    """A function that writes each clip's queries, if wanted; leaving it makes the bank whole."""
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
