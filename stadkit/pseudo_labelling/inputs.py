"""The files that `stadkit pseudo-label` reads -> truth, and what was found, in its classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from stadkit.detections import Detections, Keyframes, number_frames
from stadkit.errors import AnnotationError, NothingMatchedError, UsageError
from stadkit.labels import Labels
from stadkit.pseudo_labelling.job import PseudoLabelJob
from stadkit.readers.sniff import AVA, detect_format, labels_beside, read_labels_option
from stadkit.tla import Cuts

EVERY_AVA = Path("80")  # as --labels takes it


@dataclass(frozen=True)
class Truth:
    """Labelled keyframes and who does what at them."""

    table: Detections
    keyframes: Keyframes  # those with rows, and those said to be labelled
    labels: Labels
    source: Path  # of the labels, as --labels takes it
    notes: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """Where the labels are from, for people."""
        return "of AVA v2.2" if str(self.source) in AVA else str(self.source)

    @property
    def videos(self) -> tuple[str, ...]:
        """In the order of the file."""
        both = (*self.table.video.tolist(), *self.keyframes.video.tolist())
        return tuple(dict.fromkeys(both))

    def times(self, video: str) -> list[float]:
        """The labelled keyframes of a video, rising seconds, each once."""
        return sorted(set(self.keyframes.time[self.keyframes.video == video].tolist()))


@dataclass(frozen=True)
class FoundPeople:
    """What was found, in truth's classes and time."""

    table: Detections
    frames: Keyframes  # looked at
    videos: tuple[str, ...]  # there, with truth or without
    unscored: tuple[str, ...] = ()  # actions of truth that nothing here has a score for
    cuts: Cuts | None = None  # of each video
    failed: tuple[str, ...] = ()  # videos that were not looked at in full
    notes: tuple[str, ...] = ()

    def without_truth(self, truth: Truth) -> list[str]:
        """The videos that nobody labelled."""
        return sorted(set(self.videos) - set(truth.videos))

    def missing(self, truth: Truth) -> list[str]:
        """The labelled videos that are not there."""
        return sorted(set(truth.videos) - set(self.videos))

    def shown(self, truth: Truth) -> Truth:
        """The truth without videos that are not here or were not looked at."""
        videos = sorted(set(self.frames.video.tolist()))
        table, keyframes = truth.table, truth.keyframes
        kept = np.isin(keyframes.video, videos)
        return replace(
            truth,
            table=table.select(np.isin(table.video, videos)),
            keyframes=Keyframes(keyframes.video[kept], keyframes.time[kept]),
        )

    def known(self, truth: Truth) -> FoundPeople:
        """The same without videos that nobody labelled."""
        videos = list(truth.videos)
        frames = np.isin(self.frames.video, videos)
        return replace(
            self,
            table=self.table.select(np.isin(self.table.video, videos)),
            frames=Keyframes(self.frames.video[frames], self.frames.time[frames]),
        )


def read_labelled_truth(asked: PseudoLabelJob) -> Truth:
    """The truth and its labels; raises AnnotationError or UsageError for what is none."""
    from stadkit.files.ava_csv import read_truth
    from stadkit.files.ava_rows import read_instances
    from stadkit.readers.rows import one_file

    path = asked.truth
    one_file(path)
    if detect_format(path) != "csv":
        raise UsageError(f"{path}: is no CSV; give truth as AVA has it")
    source = asked.labels or labels_beside(path) or _beside(asked.detections) or EVERY_AVA
    labels = read_labels_option(source)
    faults = read_instances(path, labels, truth=True)[1]  # which refuses boxes that are none
    table = read_truth(path, labels)
    if not len(table):
        raise AnnotationError(f"{path}: holds no rows; without labelled keyframes there are none")
    keyframes = _labelled(asked, table)
    notes = tuple(f"{path}: {line}" for line in faults.lines())
    return Truth(table, keyframes, labels, source, notes)


def read_found_files(asked: PseudoLabelJob, truth: Truth) -> FoundPeople:
    """Detections that are there, in truth's classes and time."""
    from stadkit.readers.detections import read_detection_set

    own = asked.labels or (None if _beside(asked.detections) else truth.source)
    given = read_detection_set(asked.detections, own, None)
    name = ", ".join(map(str, asked.detections))
    if not given.videos:
        raise NothingMatchedError(f"{name}: holds no detections, so there is nobody to label")
    table, unscored = in_classes(given.found, truth.labels, name)
    table, notes = _boxes(_likely(table, asked.min_person))
    check_videos(truth.videos, given.videos, asked.truth, name)
    looked = Keyframes(given.looked.video, given.looked.time + asked.offset)
    table = replace(table, time=table.time + asked.offset)
    return FoundPeople(table, looked, given.videos, unscored, notes=tuple(notes))


def in_classes(table: Detections, labels: Labels, name: str) -> tuple[Detections, tuple[str, ...]]:
    """The same people in these classes, met by name, and the classes that they had no scores of.

    Those are NaN. Raises NothingMatchedError where no name is the same.
    """
    from stadkit.metrics.mismatch import some

    if table.classes == labels.names:
        return table, ()
    place = {c: i for i, c in enumerate(table.classes)}
    shared = [c for c in labels.names if c in place]
    if not shared:
        raise NothingMatchedError(
            f"{name} and truth have no action in common: found are {some(table.classes)}; truth "
            f"has {some(labels.names)}; name truth's by --labels"
        )
    action = np.full((len(table), len(labels)), np.nan, np.float32)
    columns = [labels.names.index(c) for c in shared]
    action[:, columns] = table.action[:, [place[c] for c in shared]]
    unscored = tuple(c for c in labels.names if c not in place)
    return replace(table, action=action, classes=labels.names), unscored


def check_videos(
    true: Sequence[str], found: Iterable[str], truth_name: Path, found_name: str
) -> None:
    """Raise NothingMatchedError where these have no video in common."""
    from stadkit.metrics.mismatch import some, why_videos

    found = list(found)
    if set(true).isdisjoint(found):
        why = why_videos(found, true) or "truth's ids are the names of files without their endings"
        raise NothingMatchedError(
            f"{truth_name} and {found_name} have no video in common: truth has {some(true)}; "
            f"there are {some(found) or 'none'}; {why}"
        )


def once(keyframes: Keyframes) -> Keyframes:
    """Each of them once, by video and time."""
    first = np.unique(number_frames(keyframes)[0], return_index=True)[1]
    return Keyframes(keyframes.video[first], keyframes.time[first])


def _beside(paths: Sequence[Path]) -> Path | None:
    return next((file for path in paths if (file := labels_beside(path))), None)


def _labelled(asked: PseudoLabelJob, table: Detections) -> Keyframes:
    """The labelled keyframes: those with people and, where a file says so, those without."""
    from stadkit.files.ava_csv import read_keyframes

    own = Keyframes.of(table)
    if asked.keyframes is None:
        return own
    more = read_keyframes(asked.keyframes)
    check_videos(own.video.tolist(), more.video.tolist(), asked.truth, str(asked.keyframes))
    return once(
        Keyframes(np.concatenate([own.video, more.video]), np.concatenate([own.time, more.time]))
    )


def _likely(table: Detections, least: float | None) -> Detections:
    if least is None:
        return table
    if len(table) and np.isnan(table.person).all():
        raise UsageError(
            f"--min-person {least:g}: the detections have no person scores, which CSV cannot "
            "hold; give the .jsonl of `detect`, or leave it out"
        )
    return table.select(np.flatnonzero(np.nan_to_num(table.person, nan=1.0) >= least))


def _boxes(table: Detections) -> tuple[Detections, list[str]]:
    """The rows whose box is one, and a note on the others."""
    solid = np.asarray((table.box[:, 2:] > table.box[:, :2]).all(1))
    wrong = int((~solid).sum())
    words = f"note: {wrong:,} found box{'es are' if wrong > 1 else ' is'} empty or inverted: left"
    return table.select(solid), [f"{words} out"] * bool(wrong)
