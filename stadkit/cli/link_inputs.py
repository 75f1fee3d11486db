"""Paths of detections -> one table, the keyframes looked at, and what is known of the videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stadkit.cli.beside import given_labels, is_lines, kind_of, labels_beside, looked_at
from stadkit.cli.link_facts import VideoFacts, of_manifests, of_truth
from stadkit.cli.link_files import row_files
from stadkit.detections import Detections, Keyframes
from stadkit.errors import UsageError
from stadkit.labels import Labels, ava_scored

if TYPE_CHECKING:
    from stadkit.claims import Claims
    from stadkit.files.tube_truth import TubeTruth
    from stadkit.tubes import Tubelets


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
    if path.is_file() and is_lines(path):
        return "rows"
    kind = kind_of(path)
    if kind == "json":
        raise UsageError(f"{path}: is JSON, as tubes are that are linked; give the detections")
    return "rows" if kind == "csv" else "pickles"


def _read_rows(paths: Sequence[Path], labels: Path | None, truth: TubeTruth | None) -> Given:
    names, source = _names(paths, labels, truth)
    files = [file for path in paths for file in row_files(path)]
    parts = [_read(file, names) for file in files]
    _check_videos(files, parts)
    looked = Keyframes(
        np.concatenate([part.video for _, part in parts]),
        np.concatenate([part.time for _, part in parts]),
    )
    found = Detections.join([table for table, _ in parts], names.names)
    facts = of_truth(truth) if truth else of_manifests(paths)
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


def _read(file: Path, labels: Labels) -> tuple[Detections, Keyframes]:
    """The rows of one file, and the keyframes that are known to have been looked at."""
    from stadkit.files.ava_csv import read_found
    from stadkit.files.jsonl import read_jsonl

    if is_lines(file):
        return read_jsonl(file, labels)
    table = read_found(file, labels)
    return table, looked_at(file) or Keyframes.of(table)


def _check_videos(files: Sequence[Path], parts: Sequence[tuple[Detections, Keyframes]]) -> None:
    """Raise UsageError where two files have the same video: its people would count twice."""
    first: dict[str, Path] = {}
    for file, (table, looked) in zip(files, parts, strict=True):
        for video in dict.fromkeys((*looked.video.tolist(), *table.video.tolist())):
            if video not in first:
                continue
            if first[video].samefile(file):
                raise UsageError(f"{file}: is given twice; give it once")
            raise UsageError(
                f"{first[video]} and {file} both have the video {video!r}; give one of them, or "
                "name the videos apart"
            )
        first |= dict.fromkeys((*looked.video.tolist(), *table.video.tolist()), file)


def _read_pickles(path: Path, truth: TubeTruth) -> Given:
    """Frame detections, an array, or tubelets, a folder or dict: rows with one box are one."""
    from stadkit.files.tubelets import as_table

    raw = _raw(path, truth)
    found = as_table(_tubelets(raw, truth), truth.sizes, truth.rate)
    return Given(found, truth.keyframes(), truth.labels, "the truth's", of_truth(truth), raw)


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
