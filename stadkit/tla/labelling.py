"""Labels for unlabelled frames from the labelled keyframes around them.

What labelling gives: rows with labels, where each is from, and what was passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Rows, frame_of_rows
from stadkit.detections import Detections, Keyframes, milliseconds, number_frames
from stadkit.tla.assign_by_identity import by_person
from stadkit.tla.assignment import Floats, assign_labels
from stadkit.tla.baselines import by_overlap, fit_thresholds, over_class_thresholds, over_threshold
from stadkit.tla.block import Block, BlockLabels, People, blocks, from_pool, from_scores
from stadkit.tla.interpolation import by_path
from stadkit.tla.neighbours import Around, Cuts, around
from stadkit.tla.options import Options

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class _Frames:
    """Every keyframe by video and time, labelled or only looked at, with the rows at each."""

    todo: Keyframes  # [f]  looked at and not labelled
    labelled: Keyframes  # [k]
    around: Around
    found: People  # by todo
    known: People  # rows of found at labelled keyframes, by these
    truth: People  # by labelled


def pseudo_label(
    found: Detections,
    truth: Detections,
    keyframes: Keyframes | None = None,
    options: Options | None = None,
    cuts: Cuts | None = None,
    frames: Keyframes | None = None,
) -> Labelled:
    """Labels for people found at frames that are not labelled.

    `truth` has action 0 or 1. `keyframes` are its labelled keyframes where some have nobody: they
    are neighbours with 0 people; those that truth has rows at are labelled anyway. `frames` are
    those looked at, where at some nobody was found ("interpolate" and "tla+" label them too);
    those that found has rows at are looked at anyway. Rows of found at labelled keyframes get no
    label; "per-class" fits its thresholds on them.
    Raises UsageError where "per-class" has none of them, ValueError where classes differ.
    """
    options = options or Options()
    _check_tables(found, truth)
    work = _arrange(found, truth, keyframes, frames, options, cuts)
    per_class = options.strategy == "per-class"
    thresholds = fit_thresholds(work.known, work.truth) if per_class else None
    time = work.labelled.time[frame_of_rows(work.truth.start)]
    parts = [
        (first, block, _give(block, options, thresholds))
        for first, block in blocks(work.todo.time, work.around, work.found, work.truth, time)
    ]
    return _joined(found, work, parts, options, thresholds)


def _check_tables(found: Detections, truth: Detections) -> None:
    if found.classes != truth.classes:
        raise ValueError(f"classes of found {found.classes} are not those of truth {truth.classes}")
    if not np.isin(truth.action, (0, 1)).all():
        raise ValueError("Detections.action of truth must be 0 or 1")


def _arrange(
    found: Detections,
    truth: Detections,
    keyframes: Keyframes | None,
    frames: Keyframes | None,
    options: Options,
    cuts: Cuts | None,
) -> _Frames:
    none = Keyframes(np.zeros(0, np.str_), np.zeros(0))
    keys, looked = keyframes or none, frames or none
    numbers = number_frames(found, truth, keys, looked)
    of_found, of_truth, of_keys, of_looked = numbers
    labelled, labelled_number = _unique([truth, keys], [of_truth, of_keys])
    seen, number = _unique([found, looked], [of_found, of_looked])
    fresh = ~np.isin(number, labelled_number)
    todo, number = Keyframes(seen.video[fresh], seen.time[fresh]), number[fresh]
    return _Frames(
        todo,
        labelled,
        around(todo, number, labelled, labelled_number, options.max_gap, cuts),
        People.of(found, _place(of_found, number), len(todo)),
        People.of(found, _place(of_found, labelled_number), len(labelled)),
        People.of(truth, _place(of_truth, labelled_number), len(labelled)),
    )


def _unique(
    tables: list[Detections | Keyframes], numbers: list[NDArray[np.int64]]
) -> tuple[Keyframes, NDArray[np.int64]]:
    """Every keyframe of tables once, by video and time, and its number."""
    number, first = np.unique(np.concatenate(numbers), return_index=True)
    video = np.concatenate([table.video for table in tables])[first]
    time = np.concatenate([table.time for table in tables])[first]
    return Keyframes(video, milliseconds(time) / 1000), number


def _place(number: NDArray[np.int64], among: NDArray[np.int64]) -> Rows:
    """Where each number [n] is among growing ones [f]; -1: it is not."""
    place = np.searchsorted(among, number)
    there = place < len(among)
    there[there] = among[place[there]] == number[there]
    return np.where(there, place, -1)


def _give(block: Block, options: Options, thresholds: Floats | None) -> BlockLabels:
    if thresholds is not None:
        return from_scores(block, over_class_thresholds(block, thresholds, options))
    strategies: dict[str, Callable[[], BlockLabels]] = {
        "tla": lambda: _by_assignment(block, options),
        "tla+": lambda: by_person(block, options),
        "hard": lambda: from_scores(block, over_threshold(block, options)),
        "nearest": lambda: by_overlap(block),
        "interpolate": lambda: by_path(block),
    }
    return strategies[options.strategy]()


def _by_assignment(block: Block, options: Options) -> BlockLabels:
    found, box = block.found, block.truth.box[block.pool]
    taken, cost = assign_labels(
        found.score, found.box, found.start, block.label, box, block.pool_start, options
    )
    return from_pool(block, taken, cost)


def _joined(
    found: Detections,
    work: _Frames,
    parts: list[tuple[int, Block, BlockLabels]],
    options: Options,
    thresholds: Floats | None,
) -> Labelled:
    """The blocks' labels as one table."""
    tables = [_table(found, work.todo, *part) for part in parts]
    row = _joint([np.append(b.found.row, -1)[g.found] for _, b, g in parts], np.intp)
    person = _joint([np.append(b.truth.row, -1)[g.person] for _, b, g in parts], np.intp)
    source = [np.append(b.truth_time, np.nan)[g.person] for _, b, g in parts]
    looked_at = work.found.row if options.strategy != "interpolate" else row[:0]
    return Labelled(
        Detections.join(tables, found.classes),
        _joint(source, np.float64),
        _joint([given.cost for *_, given in parts], np.float64),
        row,
        person,
        np.setdiff1d(looked_at, row),
        thresholds,
        _notes(found, work),
    )


def _table(
    found: Detections, todo: Keyframes, first: int, block: Block, given: BlockLabels
) -> Detections:
    frame = first + given.frame
    row = np.append(block.found.row, -1)[given.found]
    own = row >= 0
    return Detections(
        video=todo.video[frame],
        time=todo.time[frame],
        box=given.box.astype(np.float32),
        person=np.where(own, np.append(found.person, np.float32(1))[row], np.float32(1)),
        action=given.action.astype(np.float32),
        track=np.where(own, np.append(found.track, np.int32(-1))[row], np.int32(-1)),
        classes=found.classes,
    )


def _joint(parts: list[NDArray[T]], kind: type[T]) -> NDArray[T]:
    return np.concatenate([np.zeros(0, kind), *parts])


def _notes(found: Detections, work: _Frames) -> Notes:
    left, right = work.around.left >= 0, work.around.right >= 0
    people = np.append(np.diff(work.truth.start), 0)
    nobody = (people[work.around.left] + people[work.around.right] == 0) & (left | right)
    labelled, todo = set(work.labelled.video.tolist()), set(work.todo.video.tolist())
    passed = np.flatnonzero(np.diff(work.known.start))
    seen = todo | set(work.labelled.video[passed].tolist())
    return Notes(
        frames=len(work.todo),
        labelled_frames=len(passed),
        without_neighbour=int((~left & ~right).sum()),
        one_neighbour=int((left ^ right).sum()),
        nobody_in_truth=int(nobody.sum()),
        nobody_found=int((np.diff(work.found.start) == 0).sum()),
        cut=int(work.around.cut.sum()),
        videos_without_truth=tuple(sorted(todo - labelled)),
        videos_without_frames=tuple(sorted(labelled - seen)),
    )


@dataclass(frozen=True)
class Notes:
    """What there was to label; each frame is counted under all that is true of it."""

    frames: int = 0  # unlabelled, looked at
    labelled_frames: int = 0  # passed over: they are labelled keyframes
    without_neighbour: int = 0  # no labelled keyframe near enough, or none of the same shot
    one_neighbour: int = 0  # labelled from one side only
    nobody_in_truth: int = 0  # neighbours, and nobody in them
    nobody_found: int = 0  # looked at, no detection
    cut: int = 0  # a neighbour lost to a change of shot
    videos_without_truth: tuple[str, ...] = ()  # found has them, the labelled keyframes do not
    videos_without_frames: tuple[str, ...] = ()  # truth has them, nothing was looked at there

    def to_json(self) -> dict[str, Any]:
        """The same for machines: the fields of this class."""
        return asdict(self)


@dataclass(frozen=True)
class Labelled:
    """Pseudo labels by video and time, within a frame in the order of `found`."""

    table: Detections  # [n]  boxes, person scores and tracks as found; action 1 or 0
    source: NDArray[np.float64]  # [n]  seconds of the labelled keyframe; NaN: from scores alone
    cost: NDArray[np.float64]  # [n]  what the assignment cost (Eq. 6); NaN: there was none
    row: NDArray[np.intp]  # [n]  of found; -1: a box between two of truth ("interpolate", "tla+")
    person: NDArray[np.intp]  # [n]  row of truth that the label is from; -1: from scores alone
    background: NDArray[np.intp]  # rows of found that were looked at and got no label, growing
    thresholds: NDArray[np.float64] | None  # [c]  of "per-class"; NaN: the class is never given
    notes: Notes

    def __len__(self) -> int:
        return len(self.table)
