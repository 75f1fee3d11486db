"""Tubelets as ACT's and MOC's detectors store them: one pickle per start frame.

VIDEO/00001.pkl holds {label from 1: array [n, 4 k + 1]}: x1 y1 x2 y2 in pixels for each of the k
frames from frame 1 on, then the score. Every frame that starts k frames has a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections
from stadkit.errors import AnnotationError
from stadkit.files import pickles
from stadkit.files.tube_truth import Sizes, TubeTruth, scale
from stadkit.tubes import Tubelets

ByFrame = Mapping[str, Mapping[int, Mapping[int, Any]]]  # video, start frame, label from 1


def read_tubelets(
    source: str | Path | ByFrame, truth: TubeTruth, k: int, name: str | None = None
) -> Tubelets:
    """Read the tubelets of the truth's videos, by video, start frame and label, then as stored.

    `source` is MOC's folder, a pickle of {video: {start frame: {label: array}}}, or that dict,
    called `name` in errors.
    Raises AnnotationError: file, reason; also for a missing start frame.
    """
    name = str(source) if isinstance(source, str | Path) else name or "tubelets"
    arrays: list[NDArray[Any]] = []
    places: list[tuple[int, int, int]] = []
    for video, frame, label, rows in _entries(source, name, truth, k):
        if not 0 < label <= len(truth.labels):
            raise AnnotationError(f"{name}: {truth.videos[video]}: label {label} is not a class")
        arrays.append(_checked(rows, k, f"{name}: {truth.videos[video]}, frame {frame}"))
        places.append((video, frame, label - 1))
    if not arrays:
        return Tubelets.empty(truth.videos, k, truth.labels.names)
    values = np.asarray(np.concatenate(arrays), np.float64)
    place = np.repeat(np.array(places, np.int64), [len(rows) for rows in arrays], axis=0)
    if not np.isfinite(values).all():
        video, frame, _ = place[~np.isfinite(values).all(1)][0]
        raise AnnotationError(
            f"{name}: {truth.videos[video]}, frame {frame}: a box or score is not finite"
        )
    return Tubelets(
        videos=truth.videos,
        video=place[:, 0].astype(np.int32),
        frame=place[:, 1].copy(),
        label=place[:, 2].astype(np.int32),
        score=values[:, -1].copy(),
        box=values[:, :-1].reshape(-1, k, 4),
        classes=truth.labels.names,
    )


def write_tubelets(tubelets: Tubelets, truth: TubeTruth, folder: str | Path) -> None:
    """Write MOC's folder, float32, one pickle per start frame of each of the truth's videos.

    Raises ValueError for classes or videos missing from the truth.
    """
    if tubelets.classes != truth.labels.names or not set(tubelets.videos) <= set(truth.frames):
        raise ValueError("the tubelets have classes or videos missing from the truth")
    k = tubelets.length
    flat = np.column_stack([tubelets.box.reshape(len(tubelets), -1), tubelets.score])
    rows: dict[tuple[str, int, int], list[int]] = {}
    columns = (tubelets.video.tolist(), tubelets.frame.tolist(), tubelets.label.tolist())
    for row, (video, frame, label) in enumerate(zip(*columns, strict=True)):
        rows.setdefault((tubelets.videos[video], frame, label), []).append(row)
    for video, count in truth.frames.items():
        (Path(folder) / video).mkdir(parents=True, exist_ok=True)
        for frame in range(1, count - k + 2):
            by_label = {
                label + 1: flat[rows.get((video, frame, label), [])].astype(np.float32)
                for label in range(len(tubelets.classes))
            }
            pickles.dump(by_label, _file(Path(folder), video, frame))


def as_table(tubelets: Tubelets, sizes: Sizes, rate: float) -> Detections:
    """Make one row per box; equal boxes of one start frame with several labels are merged.

    The rows of a tubelet of two or more frames share a track, numbered from 0 in each video;
    `person` is NaN, as are actions without a tubelet. Scores are clipped to 0..1.
    """
    n, k = len(tubelets), tubelets.length
    key = np.column_stack([tubelets.video, tubelets.frame, tubelets.box.reshape(n, -1)])
    first, group = np.unique(key, axis=0, return_index=True, return_inverse=True)[1:]
    action = np.full((len(first), len(tubelets.classes)), np.nan, np.float32)
    np.fmax.at(action, (group.ravel(), tubelets.label), np.clip(tubelets.score, 0, 1))
    video = tubelets.video[first]  # sorted by video, so numbers increase within each
    number = np.arange(len(first)) - np.searchsorted(video, video)
    frame = tubelets.frame[first][:, None] + np.arange(k)
    sides = scale(tubelets.videos, sizes)[video][:, None]
    return Detections(
        video=np.repeat(np.array(tubelets.videos, np.str_)[video], k),
        time=(frame.ravel() - 1) / rate,
        box=(tubelets.box[first] / sides).reshape(-1, 4).astype(np.float32),
        person=np.full(len(first) * k, np.nan, np.float32),
        action=np.repeat(action, k, axis=0),
        track=np.repeat(number if k > 1 else np.full(len(first), -1), k).astype(np.int32),
        classes=tubelets.classes,
    )


def _file(folder: Path, video: str, frame: int) -> Path:
    return folder / video / f"{frame:05d}.pkl"


def _entries(
    source: str | Path | ByFrame, name: str, truth: TubeTruth, k: int
) -> Iterator[tuple[int, int, int, Any]]:
    """Yield (video index, start frame, label from 1, array), in order."""
    folder = isinstance(source, str | Path) and Path(source).is_dir()
    data: Any = source
    if isinstance(source, str | Path) and not folder:
        data = pickles.load(source)
    for place, (video, count) in enumerate(truth.frames.items()):
        for frame in range(1, count - k + 2):
            if folder:
                by_label = pickles.load(_file(Path(name), video, frame))
            else:
                by_label = _found(data, name, video, frame)
            if not isinstance(by_label, dict):
                raise AnnotationError(f"{name}: {video}, frame {frame}: wants arrays by label")
            for label in sorted(by_label):
                yield place, frame, int(label), by_label[label]


def _found(data: Any, name: str, video: str, frame: int) -> Any:
    try:
        return data[video][frame]
    except (KeyError, TypeError, IndexError) as error:
        raise AnnotationError(
            f"{name}: no tubelets for start frame {frame} of {video!r}"
        ) from error


def _checked(rows: Any, k: int, where: str) -> NDArray[Any]:
    wide = 4 * k + 1
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != wide:
        got = f"{rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise AnnotationError(f"{where}: got {got}, wants an array [n, {wide}] for {k} frames")
    return rows
