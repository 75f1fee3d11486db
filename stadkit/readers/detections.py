"""Read detections into one table, with processed keyframes and facts of the videos."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from stadkit.detections import Detections, Keyframes
from stadkit.errors import UsageError
from stadkit.labels import Labels, ava_scored
from stadkit.readers.sniff import (
    MANIFEST,
    detect_format,
    is_jsonl,
    keyframes_beside,
    labels_beside,
    read_labels_option,
    row_files,
)

if TYPE_CHECKING:
    from stadkit.files.tube_truth import TubeTruth
    from stadkit.instances import Instances
    from stadkit.tubes import Tubelets

RATES = 1.0, 1000.0  # lowest and highest frame rate


@dataclass(frozen=True)
class DetectionSet:
    """Detections to be linked; `raw`: the rows of a pickle in its data set's own format."""

    found: Detections
    keyframes: Keyframes  # processed, also those without detections
    labels: Labels
    source: str  # where the labels come from
    facts: VideoFacts
    raw: Tubelets | Instances | None = None

    @property
    def videos(self) -> tuple[str, ...]:
        """The videos with keyframes or rows, in the order of the files."""
        return tuple(dict.fromkeys((*self.keyframes.video.tolist(), *self.found.video.tolist())))

    @property
    def rate(self) -> float | None:
        """Frames per second if known and the same for all videos, else None."""
        rates = {self.facts.rates.get(video) for video in self.videos}
        return rates.pop() if len(rates) == 1 else None

    def without_tracks(self) -> DetectionSet:
        """The same detections with all tracks removed."""
        none = np.full(len(self.found), -1, np.int32)
        return replace(self, found=self.found.with_track(none))


def read_detection_set(
    paths: Sequence[Path], labels: Path | None, truth: TubeTruth | None
) -> DetectionSet:
    """Read CSV, JSON lines, folders of them, or one path of pickles.

    Raises AnnotationError for files that cannot be read, UsageError for files that cannot be
    linked, or not together.
    """
    kinds = {_kind(path) for path in paths}
    if kinds == {"rows"}:
        return _read_rows(paths, labels, truth)
    if len(paths) > 1:
        raise UsageError("pickles cannot be combined: give one FOUND, or CSV files only")
    if truth is None:
        raise UsageError(
            f"{paths[0]}: uses pixels and video numbers, which need the data set's GT.pkl; give "
            "it as --truth"
        )
    return _read_pickles(paths[0], truth)


def _kind(path: Path) -> str:
    """The kind of input: rows or pickles."""
    if path.is_file() and is_jsonl(path):
        return "rows"
    kind = detect_format(path)
    if kind == "json":
        raise UsageError(f"{path}: is JSON, perhaps tubes already linked; give the detections")
    return "rows" if kind == "csv" else "pickles"


def _read_rows(paths: Sequence[Path], labels: Path | None, truth: TubeTruth | None) -> DetectionSet:
    names, source = _names(paths, labels, truth)
    files = [file for path in paths for file in row_files(path)]
    parts = [_read_file(file, names) for file in files]
    _check_videos(files, parts)
    keyframes = Keyframes(
        np.concatenate([part.video for _, part in parts]),
        np.concatenate([part.time for _, part in parts]),
    )
    found = Detections.join([table for table, _ in parts], names.names)
    facts = facts_of_truth(truth) if truth else facts_of_manifests(paths)
    return DetectionSet(found, keyframes, names, source, facts)


def _names(
    paths: Sequence[Path], labels: Path | None, truth: TubeTruth | None
) -> tuple[Labels, str]:
    """The actions and their source; raises UsageError if two folders have different lists."""
    if labels is not None:
        return read_labels_option(labels), str(labels)
    beside = list(dict.fromkeys(file for path in paths if (file := labels_beside(path))))
    lists = [read_labels_option(file) for file in beside]
    if any(names != lists[0] for names in lists):
        raise UsageError(f"{beside[0]} and another labels.txt differ; choose one by --labels")
    if lists:
        return lists[0], str(beside[0])
    if truth is not None:
        return truth.labels, "the truth's"
    return ava_scored(), "the 60 scored ones of AVA v2.2"


def _read_file(file: Path, labels: Labels) -> tuple[Detections, Keyframes]:
    """The rows of one file and its processed keyframes, as far as they are known."""
    from stadkit.files.ava_csv import read_found
    from stadkit.files.jsonl import read_jsonl

    if is_jsonl(file):
        return read_jsonl(file, labels)
    table = read_found(file, labels)
    return table, keyframes_beside(file) or Keyframes.of(table)


def _check_videos(files: Sequence[Path], parts: Sequence[tuple[Detections, Keyframes]]) -> None:
    """Raise UsageError if two files have the same video: its people would be counted twice."""
    first: dict[str, Path] = {}
    for file, (table, keyframes) in zip(files, parts, strict=True):
        for video in dict.fromkeys((*keyframes.video.tolist(), *table.video.tolist())):
            if video not in first:
                continue
            if first[video].samefile(file):
                raise UsageError(f"{file}: is named twice; name it once")
            raise UsageError(
                f"{first[video]} and {file} both have the video {video!r}; give one of them, or "
                "rename the videos"
            )
        first |= dict.fromkeys((*keyframes.video.tolist(), *table.video.tolist()), file)


def _read_pickles(path: Path, truth: TubeTruth) -> DetectionSet:
    """Read frame detections (an array; tubelets of one box) or tubelets (a folder or dict)."""
    from stadkit.files.tubelets import as_table

    raw = _raw(path, truth)
    found = as_table(_tubelets(raw, truth), truth.sizes, truth.rate)
    return DetectionSet(
        found, truth.keyframes(), truth.labels, "the truth's", facts_of_truth(truth), raw
    )


def _raw(path: Path, truth: TubeTruth) -> Tubelets | Instances:
    from stadkit.files import multisports, pickles
    from stadkit.files.tubelets import read_tubelets
    from stadkit.readers.tubes import tubelet_length

    if path.is_dir():
        return read_tubelets(path, truth, tubelet_length(path))
    data = pickles.load(path)
    if not isinstance(data, np.ndarray):
        raise UsageError(
            f"{path}: is not an array of frame detections; give one, or a folder of tubelets"
        )
    return multisports.read_frame_detections(path, truth, data)


def _tubelets(raw: Tubelets | Instances, truth: TubeTruth) -> Tubelets:
    from stadkit.files.tube_truth import frame_numbers, scale
    from stadkit.tubes import Tubelets

    if isinstance(raw, Tubelets):
        return raw
    return Tubelets(
        videos=raw.videos,
        video=raw.video,
        frame=frame_numbers(raw.time, truth.rate),
        label=raw.label,
        score=raw.score,
        box=(raw.box * scale(raw.videos, truth.sizes)[raw.video])[:, None],
        classes=raw.classes,
    )


@dataclass(frozen=True)
class VideoFacts:
    """Sizes, frame counts and rates of videos, as far as they are known."""

    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # height, width in pixels
    frames: dict[str, int] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)  # frames per second


def facts_of_truth(truth: TubeTruth) -> VideoFacts:
    """The facts of the videos in a GT.pkl."""
    return VideoFacts(truth.sizes, truth.frames, dict.fromkeys(truth.frames, truth.rate))


def facts_of_manifests(paths: Sequence[Path]) -> VideoFacts:
    """The facts of the videos in the manifests that `detect` writes."""
    facts = VideoFacts()
    folders = dict.fromkeys(path if path.is_dir() else path.parent for path in paths)
    for folder in folders:
        for video, entry in _entries(folder / MANIFEST):
            size, rate, frames = (entry.get(key) for key in ("size", "rate", "frames"))
            if isinstance(size, list) and len(size) == 2 and all(map(_is_count, size)):
                facts.sizes[video] = (size[0], size[1])
            if _is_count(frames) and isinstance(rate, int | float) and 0 < rate <= RATES[1]:
                facts.frames[video], facts.rates[video] = frames, float(rate)
    return facts


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and value > 0  # a bool is not a count


def _entries(manifest: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(video, its entry) of a manifest; empty for a missing or invalid file."""
    try:
        held = json.loads(manifest.read_text("utf-8"))["videos"]
        yield from ((str(video), dict(entry)) for video, entry in held.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
