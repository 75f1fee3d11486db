"""Tube data sets as sides of an evaluation: their truth, and pickles of detections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stadkit.errors import AnnotationError, UsageError

if TYPE_CHECKING:
    from stadkit.files.tube_truth import TubeTruth
    from stadkit.instances import Instances
    from stadkit.metrics.evaluate import EvaluationSide
    from stadkit.tubes import Tubelets, Tubes

RATE = 25.0  # frames per second of an unknown data set


def read_gt(path: Path, rate: float | None, split: int | None) -> TubeTruth:
    """Read a GT.pkl or pyannot.pkl; the rate defaults to that of its data set.

    Raises AnnotationError for any other file, UsageError for an unknown split.
    """
    from stadkit.files import act, jhmdb, multisports, pickles, ucf24

    data = pickles.load(path)
    if isinstance(data, dict) and "gttubes" not in data and _is_pyannot(data):
        if split is not None:
            raise UsageError(f"--split {split}: {path} has no splits; give GT.pkl, or omit it")
        return ucf24.read_pyannot(path, rate=rate or ucf24.RATE, data=data)
    readers = {21: jhmdb.read_gt, 24: ucf24.read_gt, 66: multisports.read_gt}
    rates = {21: jhmdb.RATE, 24: ucf24.RATE, 66: multisports.RATE}
    count = _label_count(data)
    read, default = readers.get(count, act.read_gt), rates.get(count, RATE)
    return read(path, split or 0, rate=rate or default, data=data)


def rate_note(path: Path, truth: TubeTruth) -> str:
    """A note on the default frame rate that was used."""
    names = {21: "JHMDB's", 24: "UCF101-24's", 60: "MultiSports'", 66: "MultiSports'"}
    count = len(truth.labels)
    whose = f"{names[count]} {count} classes" if count in names else f"{count} classes"
    return f"{path}: {whose}, read at {truth.rate:g} frames per second; --rate changes that"


def side_of_tubes(path: Path, tubes: Tubes, truth: bool) -> EvaluationSide:
    """Tubes, found or true; raises AnnotationError for an invalid true box."""
    from stadkit.files.faults import faults_of_tubes
    from stadkit.files.tube_truth import frame_instances
    from stadkit.metrics.evaluate import EvaluationSide

    faults = faults_of_tubes(path, tubes, truth)
    return EvaluationSide(frame_instances(tubes), faults, (faults,), tubes)


def side_of_pickle(path: Path, truth: TubeTruth) -> EvaluationSide:
    """Read a pickle of frame detections, tubes, or tubelets by video and frame."""
    from stadkit.files import multisports, pickles
    from stadkit.files.faults import faults_of_rows, repeated
    from stadkit.metrics.evaluate import EvaluationSide

    data = pickles.load(path)
    if isinstance(data, np.ndarray):
        claims = multisports.read_frame_detections(path, truth, data)
        duplicates = repeated(claims)
        faults = faults_of_rows(path, claims).with_kind(
            "repeated", len(duplicates), [f"row {row}" for row in duplicates[:1].tolist()]
        )
        return EvaluationSide(claims, faults, (faults,))
    if _is_tubelets(data):
        return _side_of_tubelets(path, data, truth)
    return side_of_tubes(path, multisports.read_tubes(path, truth, data), truth=False)


def side_of_folder(path: Path, truth: TubeTruth) -> EvaluationSide:
    """Read a folder as MOC writes: *_tubes.pkl, or tubelets, which are linked as MOC does."""
    from stadkit.files.multisports import read_tubes

    if any((path / f"{video}_tubes.pkl").is_file() for video in truth.videos):
        return side_of_tubes(path, read_tubes(path, truth), truth=False)
    return _side_of_tubelets(path, path, truth)


def tubelet_length(source: Path | dict[Any, Any]) -> int:
    """Frames per tubelet in a folder, or in {video: {frame: ...}}."""
    from stadkit.files import pickles

    if isinstance(source, Path):
        held = (pickles.load(path) for path in sorted(source.rglob("*.pkl")))
    else:
        held = (by for frames in source.values() for by in frames.values())
    for data in held:
        for rows in data.values() if isinstance(data, dict) else ():
            if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] % 4 == 1:
                return int(rows.shape[1]) // 4
    where = f"{source}: " if isinstance(source, Path) else ""
    raise AnnotationError(f"{where}holds no tubelets (arrays [n, 4 k + 1])")


def _side_of_tubelets(
    path: Path, source: Path | dict[Any, Any], truth: TubeTruth
) -> EvaluationSide:
    from stadkit.files.faults import faults_of_tubelets
    from stadkit.files.tubelets import read_tubelets
    from stadkit.linking.greedy import link_act

    tubelets = read_tubelets(source, truth, tubelet_length(source), str(path))
    side = side_of_tubes(path, link_act(tubelets, truth.sizes, truth.rate), truth=False)
    instances = _frames(tubelets, truth)
    faults = faults_of_tubelets(path, tubelets, instances.box)
    return replace(side, instances=instances, faults=faults, files=(faults,), tubelets=tubelets)


def _frames(tubelets: Tubelets, truth: TubeTruth) -> Instances:
    """One row per box of each tubelet."""
    from stadkit.files.tube_truth import scale
    from stadkit.instances import Instances

    k = tubelets.length
    sides = scale(tubelets.videos, truth.sizes)[np.repeat(tubelets.video, k)]
    frame = (tubelets.frame[:, None] + np.arange(k)).ravel()
    return Instances(
        videos=tubelets.videos,
        video=np.repeat(tubelets.video, k),
        time=(frame - 1) / truth.rate,
        box=tubelets.box.reshape(-1, 4) / sides,
        label=np.repeat(tubelets.label, k),
        score=np.repeat(tubelets.score, k),
        classes=tubelets.classes,
    )


def _is_pyannot(data: dict[Any, Any]) -> bool:
    first = next(iter(data.values()), None)
    return isinstance(first, dict) and "annotations" in first


def _is_tubelets(data: Any) -> bool:
    """Whether data is {video: {start frame: {label: array}}}; tubes are lists by label."""
    first = next(iter(data.values()), None) if isinstance(data, dict) else None
    second = next(iter(first.values()), None) if isinstance(first, dict) else None
    return isinstance(second, dict)


def _label_count(data: Any) -> int:
    names = data.get("labels") if isinstance(data, dict) else None
    return len(names) if isinstance(names, list | tuple) else 0
