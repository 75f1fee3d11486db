"""The steps of `stadkit pseudo-label`: read, detect, label, write one table of labels, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.console import console
from stadkit.detections import Detections, number_frames
from stadkit.errors import NothingMatchedError, UsageError
from stadkit.files.ava_csv import write_sources, write_truth
from stadkit.labels import Labels, read_labels, write_labels
from stadkit.pseudo_labelling.inputs import (
    FoundPeople,
    LabelledTruth,
    read_found_files,
    read_labelled_truth,
)
from stadkit.pseudo_labelling.job import PseudoLabelJob, sources_of
from stadkit.pseudo_labelling.messages import report_check, report_labelling
from stadkit.readers.sniff import LABELS
from stadkit.runs.linking import write_together
from stadkit.tla import STRATEGIES, CheckReport, Labelled, check, pseudo_label

ASSIGNMENT_STRATEGIES = ("tla", "tla+")


def run_label(job: PseudoLabelJob, as_json: bool) -> int:
    """Label the frames between labelled keyframes; returns the exit code."""
    assert job.output is not None  # see `check_job`
    truth = _truth(job)
    check_labels_beside(job.output, truth.labels)
    fitted = job.options.strategy == "per-class"
    found = _found(job, truth, ["between", "labelled"] if fitted else ["between"])
    known = found.known(truth)
    labelled = pseudo_label(
        fill_unscored(known, job.options.strategy),
        truth.table,
        truth.keyframes,
        job.options,
        found.cuts,
        known.frames,
    )
    _check_some_labelled(job, truth, known, labelled)
    write_dense(dense(truth, labelled), truth.labels, job.output)
    return report_labelling(job, truth, found, labelled, as_json)


def run_check(job: PseudoLabelJob, as_json: bool) -> int:
    """Hide every second labelled keyframe and report how well it is labelled; the exit code."""
    truth = _truth(job)
    found = _found(job, truth, ["labelled"])
    strategies = STRATEGIES if job.every_strategy else (job.options.strategy,)
    known, processed = found.known(truth), found.processed(truth)
    checks: dict[str, CheckReport] = {}
    for strategy in strategies:
        options = replace(job.options, strategy=strategy)
        checks[strategy] = check(
            fill_unscored(known, strategy),
            processed.table,
            processed.keyframes,
            options,
            found.cuts,
        )
    return report_check(job, truth, found, checks, as_json)


def fill_unscored(found: FoundPeople, strategy: str) -> Detections:
    """The table with .5 for actions without any scores, for assignment strategies.

    A score of .5 has the same cross entropy with either label, so it has no influence; a missing
    one counts as 0, as it may have been too low to be written. Strategies that go by scores alone
    must not see it.
    """
    if not found.unscored or strategy not in ASSIGNMENT_STRATEGIES:
        return found.table
    action = found.table.action.copy()
    action[:, [found.table.classes.index(name) for name in found.unscored]] = 0.5
    return replace(found.table, action=action)


def _truth(job: PseudoLabelJob) -> LabelledTruth:
    truth = read_labelled_truth(job)
    console.print(f"labels: {len(truth.labels)}, {truth.source_name}")
    return truth


def _found(job: PseudoLabelJob, truth: LabelledTruth, kinds: Sequence[str]) -> FoundPeople:
    if job.detections:
        return read_found_files(job, truth)
    from stadkit.pseudo_labelling.videos import find_in_videos

    return find_in_videos(job, truth, kinds)


def _check_some_labelled(
    job: PseudoLabelJob, truth: LabelledTruth, found: FoundPeople, labelled: Labelled
) -> None:
    """Raise NothingMatchedError if no frame has a labelled keyframe within reach."""
    notes = labelled.notes
    if len(labelled) or not notes.frames or notes.without_neighbour < notes.frames or notes.cut:
        return
    (low, high), (first, last) = (
        (np.min(times), np.max(times)) for times in (found.frames.time, truth.keyframes.time)
    )
    raise NothingMatchedError(
        f"{job.truth}: no labelled keyframe is near any of the {notes.frames:,} processed frames: "
        f"truth has {first:g} to {last:g} s, they are at {low:g} to {high:g} s; is --offset (now "
        f"{job.offset:g}) right?"
    )


@dataclass(frozen=True)
class DenseLabels:
    """All labelled people by video and time; true ones in file order."""

    table: Detections
    pseudo: NDArray[np.bool_]  # [n]
    source: NDArray[np.float64]  # [n]  seconds of a pseudo label's keyframe; NaN: none
    cost: NDArray[np.float64]  # [n]  of a pseudo label's assignment; NaN: none


def dense(truth: LabelledTruth, labelled: Labelled) -> DenseLabels:
    """Join true and pseudo rows; a pseudo row gets the person id of the truth it matched."""
    made = labelled.table.with_track(people_of(truth.table, labelled))
    table = Detections.join([truth.table, made], truth.labels.names)
    order = np.argsort(number_frames(table)[0], kind="stable")
    none = np.full(len(truth.table), np.nan)
    return DenseLabels(
        table.select(order),
        (np.arange(len(table)) >= len(truth.table))[order],
        np.concatenate([none, labelled.source])[order],
        np.concatenate([none, labelled.cost])[order],
    )


def people_of(truth: Detections, labelled: Labelled) -> NDArray[np.int32]:
    """The person id [n] of each pseudo row; -1: none.

    A person can only be at one place in a frame: of two rows matched to one person, from the
    keyframes before and after, the cheaper one gets the id.
    """
    person = np.where(labelled.person >= 0, truth.track[labelled.person.clip(0)], -1)
    frame = number_frames(labelled.table)[0]
    order = np.lexsort((np.nan_to_num(labelled.cost, nan=np.inf), person, frame))
    again = np.zeros(len(order), bool)
    again[1:] = (np.diff(frame[order]) == 0) & (np.diff(person[order]) == 0)
    person[order[again]] = -1
    return person.astype(np.int32)


def write_dense(dense: DenseLabels, labels: Labels, output: Path) -> None:
    """Write the CSV, the sources and, if missing, labels.txt; all or none."""
    table, sources = dense.table, sources_of(output)
    writers: dict[Path, Callable[[Path], None]] = {
        output: lambda file: write_truth(table, labels, file),
        sources: lambda file: write_sources(
            table, labels, file, dense.pseudo, dense.source, dense.cost
        ),
    }
    if not output.with_name(LABELS).exists():
        # `eval` and `train` need these to read the CSV.
        writers[output.with_name(LABELS)] = lambda file: write_labels(labels, file)
    write_together(writers)


def check_labels_beside(output: Path, labels: Labels) -> None:
    """Raise UsageError if the folder's labels.txt differs: the CSV would be misread."""
    beside = output.with_name(LABELS)
    if beside.is_file() and read_labels(beside) != labels:
        raise UsageError(
            f"{beside}: lists other actions than the truth, and would be used to read "
            f"{output.name}; write to another folder"
        )
