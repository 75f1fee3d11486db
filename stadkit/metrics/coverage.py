"""What two files have in common, before any score: never a silent zero.

A mean AP of 0 is hardly ever a model that knows nothing. It is ids with file endings, times in
frames, action ids of another list, boxes in pixels. Where nothing meets at all, `check` raises
and says which key, with three examples of each side; where little meets, the notes say so.
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
from stadkit.metrics.mismatch import Frames, because, listed, some

_UNUSED = "none of the excluded keyframes is in found or truth; are their ids and times the same?"
_NO_KEYS = np.zeros(0, np.int64)
_CHANCE, _CERTAIN = 0.1, 0.9  # shares of frames: what meets anyhow, what proves a reason


@dataclass(frozen=True)
class Coverage:
    """What truth and found have, and what of it both have."""

    truth_videos: int
    found_videos: int
    shared_videos: int
    truth_keyframes: int
    found_keyframes: int
    shared_keyframes: int
    missing_videos: tuple[str, ...]  # truth has them, found does not
    extra_videos: tuple[str, ...]  # found has them, truth does not
    never_detected: tuple[str, ...]  # classes of truth without a detection
    without_truth: tuple[str, ...]  # classes with detections, without truth
    notes: tuple[str, ...]  # what looks like a mistake
    looked: bool = False  # found's keyframes are those looked at, not just those with detections

    def lines(self) -> list[str]:
        """For people, a sentence each; one line where all is covered."""
        have = "were looked at" if self.looked else "have detections"
        told = [
            f"coverage: {_of(self.shared_videos, self.truth_videos, 'video')} and "
            f"{_of(self.shared_keyframes, self.truth_keyframes, 'keyframe')} of truth "
            f"{have}"
        ]
        extra = self.found_keyframes - self.shared_keyframes
        lists = (
            ("videos of truth without a detection", self.missing_videos),
            ("videos of found that truth lacks", self.extra_videos),
            ("classes of truth never detected", self.never_detected),
            ("classes with detections and no truth, left out of the mean", self.without_truth),
        )
        told += [f"{words}: {len(names)} ({some(names)})" for words, names in lists if names]
        if extra:
            told.append(f"keyframes of found without truth: {extra:,}")
        return told + [f"warning: {note}" for note in self.notes]

    def to_json(self) -> dict[str, Any]:
        """The same for machines: the fields of this class, whole lists."""
        return asdict(self)


def check(
    found: Instances,
    truth: Instances,
    found_faults: Faults,
    truth_faults: Faults,
    excluded: Keyframes | None = None,
    ids: Sequence[int] | None = None,
    looked: Keyframes | None = None,
) -> Coverage:
    """What the two have in common; `ids` [c] are the classes' numbers in the files.

    Keyframes that are `excluded` count on neither side. What found has is its keyframes with
    rows, and those of `looked`, where detections were looked for.
    Raises NothingMatchedError where no video, time, label or box of one meets the other's.
    """
    _check_rows(truth, truth_faults, "truth", ids)
    _check_rows(found, found_faults, "detection", ids)
    files = f"{found_faults.path} and {truth_faults.path}"
    seen: Sequence[str] = () if looked is None else looked.video.tolist()
    videos = list(dict.fromkeys((*truth.videos, *found.videos, *seen)))
    keys = [_keys(claims, videos) for claims in (found, truth)]
    unused = False
    if excluded is not None and len(excluded):
        out = _listed(excluded, videos)
        gone = [np.isin(key, out) for key in keys]
        if gone[1].all():
            raise NothingMatchedError(f"{truth_faults.path}: every keyframe of it is excluded")
        unused = not any(part.any() for part in gone)
        keys = [np.where(part, -1, key) for part, key in zip(gone, keys, strict=True)]
    sides = _Sides(*(_frames(key) for key in keys))
    _check_videos(sides, videos, files)
    notes = [_UNUSED] if unused else []
    notes += _check_times(sides, videos, files)
    has = _classes(found), _classes(truth)
    _check_labels(has, truth.classes, files)
    notes += check_boxes(found, truth, keys, sides.shared, files, ids)
    if not _same(found, truth):
        notes += check_scores(found)
    notes += _check_ids((found_faults, truth_faults), ids)
    if looked is not None:
        out = _NO_KEYS if excluded is None else _listed(excluded, videos)
        sides = _with(sides, _listed(looked, videos), out)
    return _coverage(sides, videos, has, truth.classes, notes, looked is not None)


_Classes = tuple[NDArray[np.int32], NDArray[np.int32]]  # of found, of truth


class _Sides(NamedTuple):
    """The frames of found and of truth, and those of both."""

    found: Frames
    truth: Frames

    @property
    def shared(self) -> NDArray[np.int64]:
        return np.intersect1d(self.found.key, self.truth.key, assume_unique=True)

    @property
    def videos(self) -> NDArray[np.int64]:
        return np.intersect1d(self.found.video, self.truth.video)


def _check_rows(claims: Instances, faults: Faults, what: str, ids: Sequence[int] | None) -> None:
    """An error where a side has no row with a class."""
    if (claims.label >= 0).any():
        return
    if faults.unknown:
        known = [str(number) for number in (ids or range(len(claims.classes)))]
        raise NothingMatchedError(
            f"{faults.path}: none of its action ids ({listed(list(map(str, faults.unknown)))}) is "
            f"a label's ({listed(known)}); name the list it was made with by --labels"
        )
    passed = "; ".join(faults.lines())
    why = f": {passed}" if passed else f"; its {len(claims):,} boxes have no action"
    why = why if passed or len(claims) else "; it is empty"
    raise NothingMatchedError(f"{faults.path}: holds no {what} that counts{why}")


def _keys(claims: Instances, videos: list[str]) -> NDArray[np.int64]:
    """The frame [n] of each row, as `Frames.key` has it."""
    number = {name: i for i, name in enumerate(videos)}
    video = np.array([number[name] for name in claims.videos], np.int64)[claims.video]
    return Frames(video, milliseconds(claims.time)).key


def _with(sides: _Sides, looked: NDArray[np.int64], excluded: NDArray[np.int64]) -> _Sides:
    """The sides, with frames that were looked at among those of found."""
    key = np.union1d(sides.found.key, looked[~np.isin(looked, excluded)])
    return _Sides(Frames.of(key), sides.truth)


def _listed(keyframes: Keyframes, videos: list[str]) -> NDArray[np.int64]:
    """The frames [k], as `Frames.key` has them; -2 in its video's place for one of no video."""
    number = {name: i for i, name in enumerate(videos)}
    video = np.array([number.get(name, -2) for name in keyframes.video.tolist()], np.int64)
    return Frames(video, milliseconds(keyframes.time)).key


def _frames(key: NDArray[np.int64]) -> Frames:
    # Rows of a frame mostly follow each other: comparing neighbours spares sorting them all.
    starts = np.ones(len(key), bool)
    starts[1:] = key[1:] != key[:-1]
    unique = np.unique(key[starts])
    return Frames.of(unique[unique != -1])


def _check_videos(sides: _Sides, videos: list[str], files: str) -> None:
    if len(sides.videos):
        return
    found, truth = ([videos[i] for i in np.unique(side.video)] for side in sides)
    raise NothingMatchedError(
        f"{files} have no video in common: found has {some(found)}; truth has {some(truth)}"
        + because(mismatch.why_videos(found, truth), "use the same ids in both")
    )


def _check_times(sides: _Sides, videos: list[str], files: str) -> list[str]:
    """Notes on times that hardly meet; an error where none do, or by chance."""
    found, truth = (side.among(sides.videos) for side in sides)
    shared, share = len(sides.shared), mismatch.share(found, truth)
    why, would = ("", 0.0) if share >= mismatch.ENOUGH else mismatch.why_times(found, truth)
    # Frame numbers from 0 meet seconds at 0, and wherever they run that far.
    by_chance = share < _CHANCE and would >= _CERTAIN
    if shared and not by_chance:
        return [f"only {shared:,} keyframes are in both; {why}"] if why else []
    examples = (
        some([f"{videos[v]} at {ms / 1000:g} s" for v, ms in zip(*side, strict=True)])
        for side in (found.first(4), truth.first(4))
    )
    raise NothingMatchedError(
        "{} have {} of a video in common: found has {}; truth has {}".format(
            files, f"only {shared:,} times" if shared else "no time", *examples
        )
        + because(why, "times are seconds, the same to a millisecond")
    )


def _classes(claims: Instances) -> NDArray[np.int32]:
    """The classes that have rows."""
    return np.unique(claims.label[claims.label >= 0])


def _check_labels(has: _Classes, classes: tuple[str, ...], files: str) -> None:
    if len(np.intersect1d(*has)):
        return
    examples = [some([classes[c] for c in side]) for side in has]
    raise NothingMatchedError(
        f"{files} have no action in common: found has {examples[0]}; truth has {examples[1]}; "
        "were both made with the same --labels?"
    )


def _same(found: Instances, truth: Instances) -> bool:
    """Whether found is truth itself, row by row, whose score is 1 throughout."""
    return (
        len(found) == len(truth)
        and found.videos == truth.videos
        and all(
            np.array_equal(getattr(found, column), getattr(truth, column))
            for column in ("score", "label", "video", "time", "box")
        )
    )


def _check_ids(sides: Sequence[Faults], ids: Sequence[int] | None) -> list[str]:
    """A note on a file that has an action 0 where the labels start at 1."""
    if not ids or min(ids) != 1:
        return []
    return [
        f"{faults.path} has action id 0, which the labels lack, and theirs start at 1; does it "
        "count from 0?"
        for faults in sides
        if 0 in faults.unknown
    ]


def _coverage(
    sides: _Sides,
    videos: list[str],
    has: _Classes,
    classes: tuple[str, ...],
    notes: list[str],
    looked: bool,
) -> Coverage:
    here = [np.unique(side.video) for side in sides]

    def named(numbers: NDArray[Any], names: Sequence[str]) -> tuple[str, ...]:
        return tuple(names[i] for i in numbers.tolist())

    return Coverage(
        truth_videos=len(here[1]),
        found_videos=len(here[0]),
        shared_videos=len(sides.videos),
        truth_keyframes=len(sides.truth.ms),
        found_keyframes=len(sides.found.ms),
        shared_keyframes=len(sides.shared),
        missing_videos=named(np.setdiff1d(here[1], here[0]), videos),
        extra_videos=named(np.setdiff1d(here[0], here[1]), videos),
        never_detected=named(np.setdiff1d(has[1], has[0]), classes),
        without_truth=named(np.setdiff1d(has[0], has[1]), classes),
        notes=tuple(notes),
        looked=looked,
    )


def _of(part: int, whole: int, what: str) -> str:
    return f"{part:,} of {whole:,} {what}s" if whole != 1 else f"{part} of 1 {what}"
