"""Read the truth of `stadkit pseudo-label`, and detections in its classes."""

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

AVA_80 = Path("80")  # as --labels takes it


@dataclass(frozen=True)
class LabelledTruth:
    """Labelled keyframes, with their people and actions."""

    table: Detections
    keyframes: Keyframes  # those with rows, and those listed as labelled
    labels: Labels
    source: Path  # of the labels, as --labels takes it
    notes: tuple[str, ...] = ()

    @property
    def source_name(self) -> str:
        """The source of the labels, for messages."""
        return "of AVA v2.2" if str(self.source) in AVA else str(self.source)

    @property
    def videos(self) -> tuple[str, ...]:
        """The labelled videos, in file order."""
        both = (*self.table.video.tolist(), *self.keyframes.video.tolist())
        return tuple(dict.fromkeys(both))

    def times(self, video: str) -> list[float]:
        """The labelled keyframes of a video: sorted seconds, without duplicates."""
        return sorted(set(self.keyframes.time[self.keyframes.video == video].tolist()))


@dataclass(frozen=True)
class FoundPeople:
    """Detections in truth's classes and time."""

    table: Detections
    frames: Keyframes  # processed
    videos: tuple[str, ...]  # present, with truth or without
    unscored: tuple[str, ...] = ()  # actions of truth without scores in the table
    cuts: Cuts | None = None  # shot changes of each video
    failed: tuple[str, ...] = ()  # videos that were not processed in full
    notes: tuple[str, ...] = ()

    def without_truth(self, truth: LabelledTruth) -> list[str]:
        """The videos without labels."""
        return sorted(set(self.videos) - set(truth.videos))

    def missing(self, truth: LabelledTruth) -> list[str]:
        """The labelled videos that are missing here."""
        return sorted(set(truth.videos) - set(self.videos))

    def processed(self, truth: LabelledTruth) -> LabelledTruth:
        """The truth of the videos that were processed."""
        videos = sorted(set(self.frames.video.tolist()))
        table, keyframes = truth.table, truth.keyframes
        kept = np.isin(keyframes.video, videos)
        return replace(
            truth,
            table=table.select(np.isin(table.video, videos)),
            keyframes=Keyframes(keyframes.video[kept], keyframes.time[kept]),
        )

    def known(self, truth: LabelledTruth) -> FoundPeople:
        """The detections of labelled videos only."""
        videos = list(truth.videos)
        frames = np.isin(self.frames.video, videos)
        return replace(
            self,
            table=self.table.select(np.isin(self.table.video, videos)),
            frames=Keyframes(self.frames.video[frames], self.frames.time[frames]),
        )


def read_labelled_truth(job: PseudoLabelJob) -> LabelledTruth:
    """Read the truth and its labels; raises AnnotationError or UsageError for an invalid file."""
    from stadkit.files.ava_csv import read_truth
    from stadkit.files.ava_rows import read_instances
    from stadkit.readers.rows import one_file

    path = job.truth
    one_file(path)
    if detect_format(path) != "csv":
        raise UsageError(f"{path}: is not a CSV; give truth in AVA's format")
    source = job.labels or labels_beside(path) or _labels_beside_any(job.detections) or AVA_80
    labels = read_labels_option(source)
    faults = read_instances(path, labels, truth=True)[1]  # rejects invalid boxes
    table = read_truth(path, labels)
    if not len(table):
        raise AnnotationError(f"{path}: has no rows; give truth with labelled keyframes")
    keyframes = _labelled_keyframes(job, table)
    notes = tuple(f"{path}: {line}" for line in faults.lines())
    return LabelledTruth(table, keyframes, labels, source, notes)


def read_found_files(job: PseudoLabelJob, truth: LabelledTruth) -> FoundPeople:
    """Read existing detections, in truth's classes and time."""
    from stadkit.readers.detections import read_detection_set

    labels = job.labels or (None if _labels_beside_any(job.detections) else truth.source)
    detections = read_detection_set(job.detections, labels, None)
    name = ", ".join(map(str, job.detections))
    if not detections.videos:
        raise NothingMatchedError(f"{name}: has no detections to label")
    table, unscored = in_classes(detections.found, truth.labels, name)
    table, notes = _drop_empty_boxes(_drop_low_scores(table, job.min_person))
    check_videos(truth.videos, detections.videos, job.truth, name)
    frames = Keyframes(detections.keyframes.video, detections.keyframes.time + job.offset)
    table = replace(table, time=table.time + job.offset)
    return FoundPeople(table, frames, detections.videos, unscored, notes=tuple(notes))


def in_classes(table: Detections, labels: Labels, name: str) -> tuple[Detections, tuple[str, ...]]:
    """The table in these classes, matched by name, and the classes it has no scores for.

    Their scores are NaN. Raises NothingMatchedError if no name matches.
    """
    from stadkit.metrics.mismatch import some

    if table.classes == labels.names:
        return table, ()
    place = {c: i for i, c in enumerate(table.classes)}
    shared = [c for c in labels.names if c in place]
    if not shared:
        raise NothingMatchedError(
            f"{name} and truth have no action in common: found has {some(table.classes)}; truth "
            f"has {some(labels.names)}; give truth's labels by --labels"
        )
    action = np.full((len(table), len(labels)), np.nan, np.float32)
    columns = [labels.names.index(c) for c in shared]
    action[:, columns] = table.action[:, [place[c] for c in shared]]
    unscored = tuple(c for c in labels.names if c not in place)
    return replace(table, action=action, classes=labels.names), unscored


def check_videos(
    true: Sequence[str], found: Iterable[str], truth_name: Path, found_name: str
) -> None:
    """Raise NothingMatchedError if these have no video in common."""
    from stadkit.metrics.mismatch import some, why_videos

    found = list(found)
    if set(true).isdisjoint(found):
        why = why_videos(found, true) or "videos are matched by file name without extension"
        raise NothingMatchedError(
            f"{truth_name} and {found_name} have no video in common: truth has {some(true)}; "
            f"the other has {some(found) or 'none'}; {why}"
        )


def unique_keyframes(keyframes: Keyframes) -> Keyframes:
    """The keyframes without duplicates, sorted by video and time."""
    first = np.unique(number_frames(keyframes)[0], return_index=True)[1]
    return Keyframes(keyframes.video[first], keyframes.time[first])


def _labels_beside_any(paths: Sequence[Path]) -> Path | None:
    return next((file for path in paths if (file := labels_beside(path))), None)


def _labelled_keyframes(job: PseudoLabelJob, table: Detections) -> Keyframes:
    """The labelled keyframes: those with people and, if listed in a file, those without."""
    from stadkit.files.ava_csv import read_keyframes

    with_people = Keyframes.of(table)
    if job.keyframes is None:
        return with_people
    listed = read_keyframes(job.keyframes)
    check_videos(with_people.video.tolist(), listed.video.tolist(), job.truth, str(job.keyframes))
    return unique_keyframes(
        Keyframes(
            np.concatenate([with_people.video, listed.video]),
            np.concatenate([with_people.time, listed.time]),
        )
    )


def _drop_low_scores(table: Detections, min_person: float | None) -> Detections:
    if min_person is None:
        return table
    if len(table) and np.isnan(table.person).all():
        raise UsageError(
            f"--min-person {min_person:g}: the detections have no person scores, which CSV cannot "
            "hold; give the .jsonl of `detect`, or omit the option"
        )
    return table.select(np.flatnonzero(np.nan_to_num(table.person, nan=1.0) >= min_person))


def _drop_empty_boxes(table: Detections) -> tuple[Detections, list[str]]:
    """The rows with valid boxes, and a note on the others."""
    valid = np.asarray((table.box[:, 2:] > table.box[:, :2]).all(1))
    count = int((~valid).sum())
    note = f"note: {count:,} found box{'es are' if count > 1 else ' is'} empty or inverted: dropped"
    return table.select(valid), [note] * bool(count)
