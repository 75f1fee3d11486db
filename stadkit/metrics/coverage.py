"""Check what two files have in common before scoring, so that a mismatch is never a silent zero.

A mean AP of 0 is rarely a bad model: usually ids have file extensions, times are in frames, action
ids are from another list, or boxes are in pixels. When nothing matches, `check` raises, naming
the key with three examples of each side; when little matches, it adds notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Keyframes, milliseconds
from stadkit.errors import NothingMatchedError
from stadkit.files.faults import Faults
from stadkit.instances import Instances
from stadkit.metrics import mismatch
from stadkit.metrics.box_check import check_boxes, check_scores
from stadkit.metrics.mismatch import FrameTimes, because, listed, some

_UNUSED = "no excluded keyframe is in found or truth; check that ids and times agree"
_NO_KEYS = np.zeros(0, np.int64)
_CHANCE, _CERTAIN = 0.1, 0.9  # shares of frames that match by chance, and that prove a reason


@dataclass(frozen=True)
class Coverage:
    """Counts of truth, of found, and of what they share."""

    truth_videos: int
    found_videos: int
    shared_videos: int
    truth_keyframes: int
    found_keyframes: int
    shared_keyframes: int
    missing_videos: tuple[str, ...]  # in truth only
    extra_videos: tuple[str, ...]  # in found only
    never_detected: tuple[str, ...]  # classes of truth without detections
    without_truth: tuple[str, ...]  # classes with detections, without truth
    notes: tuple[str, ...]  # likely mistakes
    looked: bool = False  # found counts all processed keyframes, not just those with detections

    def lines(self) -> list[str]:
        """Return human-readable sentences; a single one at full coverage."""
        have = "were processed" if self.looked else "have detections"
        lines = [
            f"coverage: {_of(self.shared_videos, self.truth_videos, 'video')} and "
            f"{_of(self.shared_keyframes, self.truth_keyframes, 'keyframe')} of truth "
            f"{have}"
        ]
        extra = self.found_keyframes - self.shared_keyframes
        lists = (
            ("truth videos without detections", self.missing_videos),
            ("found videos without truth", self.extra_videos),
            ("truth classes never detected", self.never_detected),
            ("classes with detections but no truth, excluded from the mean", self.without_truth),
        )
        lines += [f"{words}: {len(names)} ({some(names)})" for words, names in lists if names]
        if extra:
            lines.append(f"found keyframes without truth: {extra:,}")
        return lines + [f"warning: {note}" for note in self.notes]

    def to_json(self) -> dict[str, Any]:
        """Return all fields as a JSON object."""
        return asdict(self)


def check(
    found: Instances,
    truth: Instances,
    found_faults: Faults,
    truth_faults: Faults,
    excluded: Keyframes | None = None,
    ids: Sequence[int] | None = None,
    processed: Keyframes | None = None,
) -> Coverage:
    """Compare the coverage of found and truth; `ids` [c] are the class ids in the files.

    `excluded` keyframes count on neither side. Found covers its keyframes with rows, plus
    `processed` ones.
    Raises NothingMatchedError when the two share no video, time, label or overlapping box.
    """
    _check_rows(truth, truth_faults, "truth", ids)
    _check_rows(found, found_faults, "detection", ids)
    files = f"{found_faults.path} and {truth_faults.path}"
    seen: Sequence[str] = () if processed is None else processed.video.tolist()
    videos = list(dict.fromkeys((*truth.videos, *found.videos, *seen)))
    keys = [_keys(instances, videos) for instances in (found, truth)]
    unused = False
    if excluded is not None and len(excluded):
        out = _frame_keys(excluded, videos)
        is_excluded = [np.isin(key, out) for key in keys]
        if is_excluded[1].all():
            raise NothingMatchedError(f"{truth_faults.path}: all keyframes are excluded")
        unused = not any(part.any() for part in is_excluded)
        keys = [np.where(part, -1, key) for part, key in zip(is_excluded, keys, strict=True)]
    sides = _Sides(*(_frames(key) for key in keys))
    _check_videos(sides, videos, files)
    notes = [_UNUSED] if unused else []
    notes += _check_times(sides, videos, files)
    has = _classes(found), _classes(truth)
    _check_labels(has, truth.classes, files)
    notes += check_boxes(found, truth, keys, sides.shared, files, ids)
    if not _identical(found, truth):
        notes += check_scores(found)
    notes += _check_ids((found_faults, truth_faults), ids)
    if processed is not None:
        out = _NO_KEYS if excluded is None else _frame_keys(excluded, videos)
        sides = _with_processed(sides, _frame_keys(processed, videos), out)
    return _coverage(sides, videos, has, truth.classes, notes, processed is not None)


_Classes = tuple[NDArray[np.int32], NDArray[np.int32]]  # of found, of truth


class _Sides(NamedTuple):
    """The frames of found and of truth."""

    found: FrameTimes
    truth: FrameTimes

    @property
    def shared(self) -> NDArray[np.int64]:
        return np.intersect1d(self.found.key, self.truth.key, assume_unique=True)

    @property
    def videos(self) -> NDArray[np.int64]:
        return np.intersect1d(self.found.video, self.truth.video)


def _check_rows(instances: Instances, faults: Faults, what: str, ids: Sequence[int] | None) -> None:
    """Raise NothingMatchedError when a side has no row with a class."""
    if (instances.label >= 0).any():
        return
    if faults.unknown:
        known = [str(number) for number in (ids or range(len(instances.classes)))]
        raise NothingMatchedError(
            f"{faults.path}: its action ids ({listed(list(map(str, faults.unknown)))}) are not "
            f"in the label list ({listed(known)}); pass the list it was made with by --labels"
        )
    skipped = "; ".join(faults.lines())
    why = f": {skipped}" if skipped else f"; its {len(instances):,} boxes have no action"
    why = why if skipped or len(instances) else "; it is empty"
    raise NothingMatchedError(f"{faults.path}: no valid {what}{why}")


def _keys(instances: Instances, videos: list[str]) -> NDArray[np.int64]:
    """Return the frame [n] of each row, encoded as `Frames.key`."""
    number = {name: i for i, name in enumerate(videos)}
    video = np.array([number[name] for name in instances.videos], np.int64)[instances.video]
    return FrameTimes(video, milliseconds(instances.time)).key


def _with_processed(
    sides: _Sides, processed: NDArray[np.int64], excluded: NDArray[np.int64]
) -> _Sides:
    """Add processed frames to those of found."""
    key = np.union1d(sides.found.key, processed[~np.isin(processed, excluded)])
    return _Sides(FrameTimes.of(key), sides.truth)


def _frame_keys(keyframes: Keyframes, videos: list[str]) -> NDArray[np.int64]:
    """Return the frames [k], encoded as `Frames.key`; unknown videos get number -2."""
    number = {name: i for i, name in enumerate(videos)}
    video = np.array([number.get(name, -2) for name in keyframes.video.tolist()], np.int64)
    return FrameTimes(video, milliseconds(keyframes.time)).key


def _frames(key: NDArray[np.int64]) -> FrameTimes:
    # Rows of a frame are mostly adjacent: comparing neighbours avoids sorting them all.
    starts = np.ones(len(key), bool)
    starts[1:] = key[1:] != key[:-1]
    unique = np.unique(key[starts])
    return FrameTimes.of(unique[unique != -1])


def _check_videos(sides: _Sides, videos: list[str], files: str) -> None:
    if len(sides.videos):
        return
    found, truth = ([videos[i] for i in np.unique(side.video)] for side in sides)
    raise NothingMatchedError(
        f"{files} have no video in common: found has {some(found)}; truth has {some(truth)}"
        + because(mismatch.why_videos(found, truth), "use the same ids in both")
    )


def _check_times(sides: _Sides, videos: list[str], files: str) -> list[str]:
    """Return notes when few times match; raise when none do, or only by chance."""
    found, truth = (side.among(sides.videos) for side in sides)
    shared, share = len(sides.shared), mismatch.share(found, truth)
    why, would = ("", 0.0) if share >= mismatch.ENOUGH else mismatch.why_times(found, truth)
    # Frame numbers coincide with seconds at 0, and at any integer second that they reach.
    by_chance = share < _CHANCE and would >= _CERTAIN
    if shared and not by_chance:
        return [f"only {shared:,} keyframes are in both files; {why}"] if why else []
    examples = (
        some([f"{videos[v]} at {ms / 1000:g} s" for v, ms in zip(*side, strict=True)])
        for side in (found.first(4), truth.first(4))
    )
    raise NothingMatchedError(
        "{} have {} in common: found has {}; truth has {}".format(
            files, f"only {shared:,} keyframes" if shared else "no keyframe", *examples
        )
        + because(why, "times must be in seconds and agree to a millisecond")
    )


def _classes(instances: Instances) -> NDArray[np.int32]:
    """Return the classes that have rows."""
    return np.unique(instances.label[instances.label >= 0])


def _check_labels(has: _Classes, classes: tuple[str, ...], files: str) -> None:
    if len(np.intersect1d(*has)):
        return
    examples = [some([classes[c] for c in side]) for side in has]
    raise NothingMatchedError(
        f"{files} have no action in common: found has {examples[0]}; truth has {examples[1]}; "
        "check that both were made with the same --labels"
    )


def _identical(found: Instances, truth: Instances) -> bool:
    """Whether found equals truth row by row, with scores of 1."""
    return (
        len(found) == len(truth)
        and found.videos == truth.videos
        and all(
            np.array_equal(getattr(found, column), getattr(truth, column))
            for column in ("score", "label", "video", "time", "box")
        )
    )


def _check_ids(sides: Sequence[Faults], ids: Sequence[int] | None) -> list[str]:
    """Return notes on files with action id 0 when the labels start at 1."""
    if not ids or min(ids) != 1:
        return []
    return [
        f"{faults.path} has action id 0, but the labels start at 1; check whether it counts from 0"
        for faults in sides
        if 0 in faults.unknown
    ]


def _coverage(
    sides: _Sides,
    videos: list[str],
    has: _Classes,
    classes: tuple[str, ...],
    notes: list[str],
    processed: bool,
) -> Coverage:
    videos_of_sides = [np.unique(side.video) for side in sides]

    def named(numbers: NDArray[Any], names: Sequence[str]) -> tuple[str, ...]:
        return tuple(names[i] for i in numbers.tolist())

    return Coverage(
        truth_videos=len(videos_of_sides[1]),
        found_videos=len(videos_of_sides[0]),
        shared_videos=len(sides.videos),
        truth_keyframes=len(sides.truth.ms),
        found_keyframes=len(sides.found.ms),
        shared_keyframes=len(sides.shared),
        missing_videos=named(np.setdiff1d(videos_of_sides[1], videos_of_sides[0]), videos),
        extra_videos=named(np.setdiff1d(videos_of_sides[0], videos_of_sides[1]), videos),
        never_detected=named(np.setdiff1d(has[1], has[0]), classes),
        without_truth=named(np.setdiff1d(has[0], has[1]), classes),
        notes=tuple(notes),
        looked=processed,
    )


def _of(part: int, whole: int, what: str) -> str:
    return f"{part:,} of {whole:,} {what}s" if whole != 1 else f"{part} of 1 {what}"
