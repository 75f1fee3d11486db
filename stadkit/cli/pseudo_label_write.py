"""True rows and pseudo rows as one table, and the files that hold it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.cli.beside import LABELS
from stadkit.cli.link_write import write_together
from stadkit.cli.pseudo_label_check import sources_of
from stadkit.cli.pseudo_label_inputs import Truth
from stadkit.detections import Detections, number_frames
from stadkit.errors import UsageError
from stadkit.files.ava_csv import write_truth
from stadkit.files.sources_csv import write_sources
from stadkit.labels import Labels, read_labels, write_labels
from stadkit.tla import Labelled


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
