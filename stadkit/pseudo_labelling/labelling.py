"""`stadkit pseudo-label` step by step: read, find, label, write, tell.

True rows and pseudo rows as one table, and the files that hold it.
"""

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
    Truth,
    read_found_files,
    read_labelled_truth,
)
from stadkit.pseudo_labelling.job import PseudoLabelJob, sources_of
from stadkit.pseudo_labelling.messages import tell_check, tell_label
from stadkit.readers.sniff import LABELS
from stadkit.runs.linking import write_together
from stadkit.tla import STRATEGIES, Check, Labelled, check, pseudo_label

ASSIGNING = ("tla", "tla+")


def run_label(asked: PseudoLabelJob, as_json: bool) -> int:
    """Label the frames between labelled keyframes; the exit code."""
    assert asked.output is not None  # checked at the door
    truth = _truth(asked)
    check_labels_beside(asked.output, truth.labels)
    fitted = asked.options.strategy == "per-class"
    found = _found(asked, truth, ["between", "labelled"] if fitted else ["between"])
    known = found.known(truth)
    labelled = pseudo_label(
        even(known, asked.options.strategy),
        truth.table,
        truth.keyframes,
        asked.options,
        found.cuts,
        known.frames,
    )
    _check_reached(asked, truth, known, labelled)
    write_dense(dense(truth, labelled), truth.labels, asked.output)
    return tell_label(asked, truth, found, labelled, as_json)


def run_check(asked: PseudoLabelJob, as_json: bool) -> int:
    """Hide every second labelled keyframe, and say how well it is labelled; the exit code."""
    truth = _truth(asked)
    found = _found(asked, truth, ["labelled"])
    strategies = STRATEGIES if asked.every_strategy else (asked.options.strategy,)
    known, here = found.known(truth), found.shown(truth)
    checks: dict[str, Check] = {}
    for strategy in strategies:
        options = replace(asked.options, strategy=strategy)
        checks[strategy] = check(
            even(known, strategy), here.table, here.keyframes, options, found.cuts
        )
    return tell_check(asked, truth, found, checks, as_json)


def even(found: FoundPeople, strategy: str) -> Detections:
    """The table with .5 for actions that nothing has a score for, where labels are assigned.

    A score of .5 has the same cross entropy with doing it and with not doing it, and so decides
    nothing; none at all would count as 0, as one that is too low to be written does. The
    strategies that go by scores alone must not see it.
    """
    if not found.unscored or strategy not in ASSIGNING:
        return found.table
    action = found.table.action.copy()
    action[:, [found.table.classes.index(name) for name in found.unscored]] = 0.5
    return replace(found.table, action=action)


def _truth(asked: PseudoLabelJob) -> Truth:
    truth = read_labelled_truth(asked)
    console.print(f"labels: {len(truth.labels)}, {truth.said}")
    return truth


def _found(asked: PseudoLabelJob, truth: Truth, kinds: Sequence[str]) -> FoundPeople:
    if asked.detections:
        return read_found_files(asked, truth)
    from stadkit.pseudo_labelling.videos import find_in_videos

    return find_in_videos(asked, truth, kinds)


def _check_reached(
    asked: PseudoLabelJob, truth: Truth, found: FoundPeople, labelled: Labelled
) -> None:
    """Raise NothingMatchedError where no frame has a labelled keyframe near it."""
    notes = labelled.notes
    if len(labelled) or not notes.frames or notes.without_neighbour < notes.frames or notes.cut:
        return
    (low, high), (first, last) = (
        (np.min(times), np.max(times)) for times in (found.frames.time, truth.keyframes.time)
    )
    raise NothingMatchedError(
        f"{asked.truth}: no labelled keyframe is near any of the {notes.frames:,} frames looked "
        f"at: truth has {first:g} to {last:g} s, they are at {low:g} to {high:g} s; is --offset "
        f"(now {asked.offset:g}) right?"
    )


@dataclass(frozen=True)
class Dense:
    """All labelled people, by video and time; the true ones in the order of their file."""

    table: Detections
    pseudo: NDArray[np.bool_]  # [n]
    source: NDArray[np.float64]  # [n]  seconds of the keyframe of a pseudo label; NaN: none
    cost: NDArray[np.float64]  # [n]  of giving it; NaN: none


def dense(truth: Truth, labelled: Labelled) -> Dense:
    """Both put together; people of pseudo rows are those of the truth they were matched to."""
    made = labelled.table.with_track(people_of(truth.table, labelled))
    table = Detections.join([truth.table, made], truth.labels.names)
    order = np.argsort(number_frames(table)[0], kind="stable")
    none = np.full(len(truth.table), np.nan)
    return Dense(
        table.select(order),
        (np.arange(len(table)) >= len(truth.table))[order],
        np.concatenate([none, labelled.source])[order],
        np.concatenate([none, labelled.cost])[order],
    )


def people_of(truth: Detections, labelled: Labelled) -> NDArray[np.int32]:
    """The person's id [n] of each pseudo row, -1 where there is none.

    Nobody is at two places of one frame: where two rows were matched to one person, seen in the
    keyframes before and after, the cheaper one is that person.
    """
    person = np.where(labelled.person >= 0, truth.track[labelled.person.clip(0)], -1)
    frame = number_frames(labelled.table)[0]
    order = np.lexsort((np.nan_to_num(labelled.cost, nan=np.inf), person, frame))
    again = np.zeros(len(order), bool)
    again[1:] = (np.diff(frame[order]) == 0) & (np.diff(person[order]) == 0)
    person[order[again]] = -1
    return person.astype(np.int32)


def write_dense(dense: Dense, labels: Labels, output: Path) -> None:
    """The CSV, the sources and, where there is none beside them, labels.txt; all or none."""
    table, sources = dense.table, sources_of(output)
    writers: dict[Path, Callable[[Path], None]] = {
        output: lambda file: write_truth(table, labels, file),
        sources: lambda file: write_sources(
            table, labels, file, dense.pseudo, dense.source, dense.cost
        ),
    }
    if not output.with_name(LABELS).exists():
        # With these `eval` and `train` read the CSV.
        writers[output.with_name(LABELS)] = lambda file: write_labels(labels, file)
    write_together(writers)


def check_labels_beside(output: Path, labels: Labels) -> None:
    """Raise UsageError where the folder has other labels, by which the CSV would be misread."""
    beside = output.with_name(LABELS)
    if beside.is_file() and read_labels(beside) != labels:
        raise UsageError(
            f"{beside}: lists other actions than the truth's, and would be taken for those of "
            f"{output.name}; write to another folder"
        )
