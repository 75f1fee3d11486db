"""Pseudo-label unlabelled frames from the labelled keyframes around them.

The result holds the labelled rows, the source of each, and counts of skipped frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Rows, frame_of_rows
from stadkit.detections import Detections, Keyframes, milliseconds, number_frames
from stadkit.tla.assign_by_identity import assign_by_identity
from stadkit.tla.assignment import Floats, assign_labels
from stadkit.tla.baselines import by_overlap, fit_thresholds, over_class_thresholds, over_threshold
from stadkit.tla.block import BlockLabels, FrameBlock, People, blocks, from_pool, from_scores
from stadkit.tla.interpolation import by_interpolation
from stadkit.tla.neighbours import Cuts, Neighbours, find_neighbours
from stadkit.tla.options import LabellingOptions

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class _Frames:
    """All keyframes, labelled and unlabelled, sorted by video and time, with the rows of each."""

    unlabelled: Keyframes  # [f]  processed and unlabelled
    labelled: Keyframes  # [k]
    neighbours: Neighbours
    found: People  # rows of found at `unlabelled`
    found_at_labelled: People  # rows of found at `labelled`
    truth: People  # rows of truth at `labelled`


def pseudo_label(
    found: Detections,
    truth: Detections,
    keyframes: Keyframes | None = None,
    options: LabellingOptions | None = None,
    cuts: Cuts | None = None,
    frames: Keyframes | None = None,
) -> Labelled:
    """Label the detections at unlabelled frames.

    `truth` has action 0 or 1. `keyframes`: labelled keyframes, if some are empty (these are
    neighbours with 0 people); keyframes with rows in truth always count. `frames`: processed
    frames, if some have no detections ("interpolate" and "tla+" label these too); frames with
    rows in found always count. Rows of found at labelled keyframes get no label; "per-class" fits
    its thresholds on them.
    Raises UsageError when "per-class" has no such rows, ValueError when classes differ.
    """
    options = options or LabellingOptions()
    _check_tables(found, truth)
    work = _arrange(found, truth, keyframes, frames, options, cuts)
    per_class = options.strategy == "per-class"
    thresholds = fit_thresholds(work.found_at_labelled, work.truth) if per_class else None
    time = work.labelled.time[frame_of_rows(work.truth.start)]
    parts = [
        (first, block, _label_block(block, options, thresholds))
        for first, block in blocks(
            work.unlabelled.time, work.neighbours, work.found, work.truth, time
        )
    ]
    return _join_blocks(found, work, parts, options, thresholds)


def _check_tables(found: Detections, truth: Detections) -> None:
    if found.classes != truth.classes:
        raise ValueError(f"classes of found {found.classes} differ from truth {truth.classes}")
    if not np.isin(truth.action, (0, 1)).all():
        raise ValueError("Detections.action of truth must be 0 or 1")


def _arrange(
    found: Detections,
    truth: Detections,
    keyframes: Keyframes | None,
    frames: Keyframes | None,
    options: LabellingOptions,
    cuts: Cuts | None,
) -> _Frames:
    none = Keyframes(np.zeros(0, np.str_), np.zeros(0))
    keys, processed = keyframes or none, frames or none
    numbers = number_frames(found, truth, keys, processed)
    of_found, of_truth, of_keys, of_processed = numbers
    labelled, labelled_number = _unique([truth, keys], [of_truth, of_keys])
    seen, number = _unique([found, processed], [of_found, of_processed])
    new = ~np.isin(number, labelled_number)
    unlabelled, number = Keyframes(seen.video[new], seen.time[new]), number[new]
    return _Frames(
        unlabelled,
        labelled,
        find_neighbours(unlabelled, number, labelled, labelled_number, options.max_gap, cuts),
        People.of(found, _place(of_found, number), len(unlabelled)),
        People.of(found, _place(of_found, labelled_number), len(labelled)),
        People.of(truth, _place(of_truth, labelled_number), len(labelled)),
    )


def _unique(
    tables: list[Detections | Keyframes], numbers: list[NDArray[np.int64]]
) -> tuple[Keyframes, NDArray[np.int64]]:
    """Return the unique keyframes of tables, sorted by video and time, and their numbers."""
    number, first = np.unique(np.concatenate(numbers), return_index=True)
    video = np.concatenate([table.video for table in tables])[first]
    time = np.concatenate([table.time for table in tables])[first]
    return Keyframes(video, milliseconds(time) / 1000), number


def _place(number: NDArray[np.int64], among: NDArray[np.int64]) -> Rows:
    """Return the index of each number [n] in sorted numbers [f]; -1: not found."""
    place = np.searchsorted(among, number)
    present = place < len(among)
    present[present] = among[place[present]] == number[present]
    return np.where(present, place, -1)


def _label_block(
    block: FrameBlock, options: LabellingOptions, thresholds: Floats | None
) -> BlockLabels:
    if thresholds is not None:
        return from_scores(block, over_class_thresholds(block, thresholds, options))
    strategies: dict[str, Callable[[], BlockLabels]] = {
        "tla": lambda: _by_assignment(block, options),
        "tla+": lambda: assign_by_identity(block, options),
        "hard": lambda: from_scores(block, over_threshold(block, options)),
        "nearest": lambda: by_overlap(block),
        "interpolate": lambda: by_interpolation(block),
    }
    return strategies[options.strategy]()


def _by_assignment(block: FrameBlock, options: LabellingOptions) -> BlockLabels:
    found, box = block.found, block.truth.box[block.pool]
    taken, cost = assign_labels(
        found.score, found.box, found.start, block.label, box, block.pool_start, options
    )
    return from_pool(block, taken, cost)


def _join_blocks(
    found: Detections,
    work: _Frames,
    parts: list[tuple[int, FrameBlock, BlockLabels]],
    options: LabellingOptions,
    thresholds: Floats | None,
) -> Labelled:
    """Concatenate the blocks' labels into one table."""
    tables = [_table(found, work.unlabelled, *part) for part in parts]
    row = _join_arrays([np.append(b.found.row, -1)[g.found] for _, b, g in parts], np.intp)
    person = _join_arrays([np.append(b.truth.row, -1)[g.person] for _, b, g in parts], np.intp)
    source = [np.append(b.truth_time, np.nan)[g.person] for _, b, g in parts]
    processed_rows = work.found.row if options.strategy != "interpolate" else row[:0]
    return Labelled(
        Detections.join(tables, found.classes),
        _join_arrays(source, np.float64),
        _join_arrays([labels.cost for *_, labels in parts], np.float64),
        row,
        person,
        np.setdiff1d(processed_rows, row),
        thresholds,
        _notes(found, work),
    )


def _table(
    found: Detections, unlabelled: Keyframes, first: int, block: FrameBlock, labels: BlockLabels
) -> Detections:
    frame = first + labels.frame
    row = np.append(block.found.row, -1)[labels.found]
    detected = row >= 0
    return Detections(
        video=unlabelled.video[frame],
        time=unlabelled.time[frame],
        box=labels.box.astype(np.float32),
        person=np.where(detected, np.append(found.person, np.float32(1))[row], np.float32(1)),
        action=labels.action.astype(np.float32),
        track=np.where(detected, np.append(found.track, np.int32(-1))[row], np.int32(-1)),
        classes=found.classes,
    )


def _join_arrays(parts: list[NDArray[T]], kind: type[T]) -> NDArray[T]:
    return np.concatenate([np.zeros(0, kind), *parts])


def _notes(found: Detections, work: _Frames) -> Notes:
    left, right = work.neighbours.left >= 0, work.neighbours.right >= 0
    people = np.append(np.diff(work.truth.start), 0)
    empty = (people[work.neighbours.left] + people[work.neighbours.right] == 0) & (left | right)
    labelled, unlabelled = set(work.labelled.video.tolist()), set(work.unlabelled.video.tolist())
    skipped = np.flatnonzero(np.diff(work.found_at_labelled.start))
    seen = unlabelled | set(work.labelled.video[skipped].tolist())
    return Notes(
        frames=len(work.unlabelled),
        labelled_frames=len(skipped),
        without_neighbour=int((~left & ~right).sum()),
        one_neighbour=int((left ^ right).sum()),
        nobody_in_truth=int(empty.sum()),
        nobody_found=int((np.diff(work.found.start) == 0).sum()),
        cut=int(work.neighbours.cut.sum()),
        videos_without_truth=tuple(sorted(unlabelled - labelled)),
        videos_without_frames=tuple(sorted(labelled - seen)),
    )


@dataclass(frozen=True)
class Notes:
    """Frame counts of a labelling run; a frame counts under every field that applies."""

    frames: int = 0  # processed and unlabelled
    labelled_frames: int = 0  # skipped: labelled keyframes
    without_neighbour: int = 0  # no labelled keyframe near enough in the same shot
    one_neighbour: int = 0  # labelled from one side only
    nobody_in_truth: int = 0  # all neighbours are empty
    nobody_found: int = 0  # processed, without detections
    cut: int = 0  # a neighbour excluded by a shot change
    videos_without_truth: tuple[str, ...] = ()  # in found, but without labelled keyframes
    videos_without_frames: tuple[str, ...] = ()  # in truth, but without processed frames

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Labelled:
    """Pseudo labels sorted by video and time, within a frame in the order of `found`."""

    table: Detections  # [n]  boxes, person scores and tracks as found; action 1 or 0
    source: NDArray[np.float64]  # [n]  seconds of the labelled keyframe; NaN: from scores alone
    cost: NDArray[np.float64]  # [n]  assignment cost (Eq. 6); NaN: not assigned
    row: NDArray[np.intp]  # [n]  row of found; -1: interpolated box ("interpolate", "tla+")
    person: NDArray[np.intp]  # [n]  source row of truth; -1: from scores alone
    background: NDArray[np.intp]  # rows of found that were processed and got no label, ascending
    thresholds: NDArray[np.float64] | None  # [c]  of "per-class"; NaN: class never assigned
    notes: Notes

    def __len__(self) -> int:
        return len(self.table)
