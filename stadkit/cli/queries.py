"""Banks of queries of `detect`: NAME.queries written with --save-queries, read with --queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stadkit.cli.inputs import Input
from stadkit.cli.job import Job, Task
from stadkit.detect.bank import HEADER, BankWriter, Header, QueryBank, Window, bank_folder
from stadkit.detect.queries import OnQueries, entry_width, querying, reading
from stadkit.errors import NothingMatchedError, UsageError
from stadkit.models.stmixer import Stmixer


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
    model = reading(task.job.detector)
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
        width=entry_width(querying(job.detector)),
        every=None if isinstance(job.every, str) else job.every,
        min_person=job.min_person,
    )
    with BankWriter(folder, header) as writer:
        yield writer.add
