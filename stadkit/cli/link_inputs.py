"""Paths of detections -> one table, the keyframes looked at, and what is known of the videos."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stadkit.cli.beside import given_labels, kind_of, labels_beside, looked_at, stem
from stadkit.detections import Detections, Keyframes
from stadkit.errors import UsageError
from stadkit.labels import Labels, ava_scored

if TYPE_CHECKING:
    from stadkit.claims import Claims
    from stadkit.files.tube_truth import TubeTruth
    from stadkit.tubes import Tubelets

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class VideoFacts:
    """What is known of videos beside what was found in them."""

    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # height, width in pixels
    frames: dict[str, int] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)  # frames a second


@dataclass(frozen=True)
class Given:
    """All that is to be linked; `raw` is a data set's own rows, where FOUND are pickles."""

    found: Detections
    looked: Keyframes
    labels: Labels
    source: str  # where the labels come from
    facts: VideoFacts
    raw: Tubelets | Claims | None = None

    @property
    def videos(self) -> tuple[str, ...]:
        """The videos that were looked at or have rows, in the order of the files."""
        return tuple(dict.fromkeys((*self.looked.video.tolist(), *self.found.video.tolist())))

    @property
    def rate(self) -> float | None:
        """Frames a second, where it is known and the same for all videos."""
        rates = {self.facts.rates.get(video) for video in self.videos}
        return rates.pop() if len(rates) == 1 else None

    def anew(self) -> Given:
        """The same without tracks."""
        none = np.full(len(self.found), -1, np.int32)
        return replace(self, found=self.found.with_track(none))


def read_given(paths: Sequence[Path], labels: Path | None, truth: TubeTruth | None) -> Given:
    """What these paths hold: CSV, JSON lines, folders of them, or one path of pickles.

    Raises AnnotationError for files that cannot be read, UsageError for what cannot be linked or
    not together.
    """
    kinds = {_kind(path) for path in paths}
    if kinds == {"rows"}:
        return _read_rows(paths, labels, truth)
    if len(paths) > 1:
        raise UsageError("pickles are linked alone: give one FOUND, or CSV files only")
    if truth is None:
        raise UsageError(
            f"{paths[0]}: is of pixels and numbered videos, which only a GT.pkl explains; give "
            "one as --truth"
        )
    return _read_pickles(paths[0], truth)


def _kind(path: Path) -> str:
    """rows, or pickles."""
    if path.is_file() and path.name.removesuffix(".gz").endswith(".jsonl"):
        return "rows"
    kind = kind_of(path)
    if kind == "json":
        raise UsageError(f"{path}: is JSON, as tubes are that are linked; give the detections")
    return "rows" if kind == "csv" else "pickles"


def _read_rows(paths: Sequence[Path], labels: Path | None, truth: TubeTruth | None) -> Given:
    names, source = _names(paths, labels, truth)
    parts = [_read(file, names) for path in paths for file in _files(path)]
    looked = Keyframes(
        np.concatenate([part.video for _, part in parts]),
        np.concatenate([part.time for _, part in parts]),
    )
    found = Detections.join([table for table, _ in parts], names.names)
    facts = _of_truth(truth) if truth else _of_manifests(paths)
    return Given(found, looked, names, source, facts)


def _names(
    paths: Sequence[Path], labels: Path | None, truth: TubeTruth | None
) -> tuple[Labels, str]:
    """The actions and where they come from; raises UsageError where two folders have others."""
    if labels is not None:
        return given_labels(labels), str(labels)
    beside = list(dict.fromkeys(file for path in paths if (file := labels_beside(path))))
    lists = [given_labels(file) for file in beside]
    if any(names != lists[0] for names in lists):
        raise UsageError(f"{beside[0]} and another labels.txt differ; name one by --labels")
    if lists:
        return lists[0], str(beside[0])
    if truth is not None:
        return truth.labels, "the truth's"
    return ava_scored(), "the 60 scored ones of AVA v2.2"


def _files(path: Path) -> list[Path]:
    """The files of a path: of a folder the .jsonl that lies beside a .csv, as it says more."""
    from stadkit.files.ava_rows import csv_files

    if not path.is_dir():
        return [path]
    lines = {stem(file): file for file in sorted(path.iterdir()) if ".jsonl" in file.suffixes[-2:]}
    if not any(file.name.endswith((".csv", ".csv.gz")) for file in path.iterdir()) and lines:
        return list(lines.values())
    tables = {stem(file): file for file in csv_files(path)}
    return [file for _, file in sorted((tables | lines).items())]


def _read(file: Path, labels: Labels) -> tuple[Detections, Keyframes]:
    """The rows of one file, and the keyframes that are known to have been looked at."""
    from stadkit.files.ava_csv import read_found
    from stadkit.files.jsonl import read_jsonl

    if ".jsonl" in file.suffixes[-2:]:
        return read_jsonl(file, labels)
    table = read_found(file, labels)
    return table, looked_at(file) or Keyframes.of(table)


def _read_pickles(path: Path, truth: TubeTruth) -> Given:
    """Frame detections, an array, or tubelets, a folder or dict: rows with one box are one."""
    from stadkit.files.tubelets import as_table

    raw = _raw(path, truth)
    found = as_table(_tubelets(raw, truth), truth.sizes, truth.rate)
    return Given(found, truth.keyframes(), truth.labels, "the truth's", _of_truth(truth), raw)


def _raw(path: Path, truth: TubeTruth) -> Tubelets | Claims:
    from stadkit.cli.eval_tubes import tubelet_length
    from stadkit.files import multisports, pickles
    from stadkit.files.tubelets import read_tubelets

    if path.is_dir():
        return read_tubelets(path, truth, tubelet_length(path))
    data = pickles.load(path)
    if not isinstance(data, np.ndarray):
        raise UsageError(
            f"{path}: is no array of frame detections; give that, or a folder of tubelets"
        )
    return multisports.read_frame_detections(path, truth, data)


def _tubelets(raw: Tubelets | Claims, truth: TubeTruth) -> Tubelets:
    from stadkit.files.pixel_tubes import frame_numbers, scale
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


def _of_truth(truth: TubeTruth) -> VideoFacts:
    return VideoFacts(truth.sizes, truth.frames, dict.fromkeys(truth.frames, truth.rate))


def _of_manifests(paths: Sequence[Path]) -> VideoFacts:
    """What the manifests that `detect` writes say of their videos."""
    facts = VideoFacts()
    folders = dict.fromkeys(path if path.is_dir() else path.parent for path in paths)
    for folder in folders:
        for video, entry in _entries(folder / MANIFEST):
            size, rate, frames = (entry.get(key) for key in ("size", "rate", "frames"))
            if isinstance(size, list) and len(size) == 2 and all(side > 0 for side in size):
                facts.sizes[video] = (int(size[0]), int(size[1]))
            if isinstance(frames, int) and isinstance(rate, int | float) and rate > 0:
                facts.frames[video], facts.rates[video] = frames, float(rate)
    return facts


def _entries(manifest: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(video, its entry) of a manifest; none of a file that is missing or something else."""
    try:
        held = json.loads(manifest.read_text("utf-8"))["videos"]
        yield from ((str(video), dict(entry)) for video, entry in held.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
