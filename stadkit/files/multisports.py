"""MultiSports: GT.pkl, and the frame and tube detections that its evaluation reads.

Frame detections are one array [n, 8]: video (its index in the test list, from 0), frame from 1,
label from 0, score, x1, y1, x2, y2 in pixels. Tubes are {label from 0: [(video, score, array
[k, 6] of frame, x1, y1, x2, y2, score)]}; mmaction2 writes both. ACT and MOC use one dict per
video, {label: [(array, score)]}. Other data sets with a GT.pkl use the same formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import AnnotationError, UsageError
from stadkit.files import act, pickles
from stadkit.files.tube_truth import (
    PixelTube,
    TubeTruth,
    frame_numbers,
    from_pixels,
    rows_of,
    scale,
    to_pixels,
)
from stadkit.instances import Instances
from stadkit.tubes import Tubes

CLASSES = 66
RATE = 25.0


def read_gt(
    path: str | Path,
    split: int = 0,
    videos: str = "test",
    rate: float = RATE,
    data: Any = None,
) -> TubeTruth:
    """Read the truth of GT.pkl; its test videos are the validation set of the papers.

    Raises AnnotationError when it does not have 66 classes, and as `act.read_gt` does.
    """
    truth = act.read_gt(path, split, videos, rate, data)
    return act.check_class_count(truth, path, "MultiSports", CLASSES)


def sports(classes: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Group the classes by sport, the first word of their names: aerobic, football ..."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        groups.setdefault(name.split()[0], []).append(name)
    return {sport: tuple(names) for sport, names in groups.items()}


def read_frame_detections(path: str | Path, truth: TubeTruth, data: Any = None) -> Instances:
    """Read an array [n, 8], keeping its order; `data`: the array, if already loaded.

    Raises AnnotationError: file, row, reason; UsageError for truth without a test list.
    """
    path = Path(path)
    rows = pickles.load(path) if data is None else data
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != 8:
        got = f"{rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise AnnotationError(
            f"{path}: got {got}; wants an array [n, 8] of video, frame, label, score, "
            "x1, y1, x2, y2"
        )
    if rows.dtype.kind not in "iuf":
        raise AnnotationError(f"{path}: got an array of {rows.dtype}; wants a numeric array")
    if not truth.numbered:
        raise UsageError(
            f"{path}: numbers videos by a test list, which pyannot.pkl does not have; pass GT.pkl "
            "as truth"
        )
    rows = np.asarray(rows, np.float64)
    _check_rows(path, rows, truth)
    video = rows[:, 0].astype(np.int32)
    return Instances(
        videos=truth.videos,
        video=video,
        time=(rows[:, 1] - 1) / truth.rate,
        box=rows[:, 4:] / scale(truth.videos, truth.sizes)[video],
        label=rows[:, 2].astype(np.int32),
        score=rows[:, 3].copy(),
        classes=truth.labels.names,
    )


def write_frame_detections(found: Instances, truth: TubeTruth, path: str | Path) -> None:
    """Write an array [n, 8], float32, of the detections.

    Raises ValueError for classes or videos missing from the truth, or a time between frames.
    """
    if found.classes != truth.labels.names or not set(found.videos) <= set(truth.frames):
        raise ValueError("the detections have classes or videos missing from the truth")
    place = {video: i for i, video in enumerate(truth.videos)}
    pixels = found.box * scale(found.videos, truth.sizes)[found.video]
    video = np.array([place[video] for video in found.videos], np.int32)[found.video]
    frame = frame_numbers(found.time, truth.rate)
    rows = np.column_stack([video, frame, found.label, found.score, pixels])
    pickles.dump(rows.astype(np.float32), path)


def read_tubes(path: str | Path, truth: TubeTruth, data: Any = None) -> Tubes:
    """Read tubes of a pickle, by label or by video (ACT, MOC), or of MOC's folder of *_tubes.pkl.

    Tubes are in the order of the file's labels; `data`: the file's content, if already loaded.
    Raises AnnotationError: file, tube, reason.
    """
    path = Path(path)
    pieces = list(_pieces(path, truth, data))
    for piece in pieces:
        if piece.video not in truth.frames:
            raise AnnotationError(
                f"{path}: has tubes of video {piece.video!r}, which is not in the truth; the "
                f"truth starts with {next(iter(truth.frames), 'none')!r}"
            )
    return from_pixels(path, pieces, truth.sizes, truth.rate, truth.labels.names)


def write_tubes(tubes: Tubes, truth: TubeTruth, path: str | Path) -> None:
    """Write {label: [(video, score, array [k, 6] float32)]}, with every label of the truth.

    Raises ValueError for classes or videos missing from the truth, or a time between frames.
    """
    if tubes.classes != truth.labels.names or not set(tubes.video.tolist()) <= set(truth.frames):
        raise ValueError("the tubes have classes or videos missing from the truth")
    tubes_by_label: dict[int, list[Any]] = {label: [] for label in range(len(tubes.classes))}
    rows = np.split(to_pixels(tubes, truth.sizes, truth.rate), tubes.start[1:-1])
    columns = (tubes.video.tolist(), tubes.label.tolist(), tubes.score.tolist())
    for video, label, score, part in zip(*columns, rows, strict=False):
        tubes_by_label[label].append((video, score, part))
    pickles.dump(tubes_by_label, path)


def _check_rows(path: Path, rows: NDArray[np.float64], truth: TubeTruth) -> None:
    video, frame, label = rows[:, 0], rows[:, 1], rows[:, 2]
    faults = (
        ("contains a non-finite number", ~np.isfinite(rows).all(1)),
        (f"video must be 0 to {len(truth.frames) - 1}", _not_an_index(video, truth.frames)),
        ("frame must be an integer >= 1", (frame < 1) | (frame != np.rint(frame))),
        (f"label must be 0 to {len(truth.labels) - 1}", _not_an_index(label, truth.labels)),
    )
    for reason, wrong in faults:
        if wrong.any():
            row, count = int(np.flatnonzero(wrong)[0]), int(wrong.sum())
            many = f" ({count:,} invalid rows)" if count > 1 else ""
            raise AnnotationError(f"{path}: row {row}: {reason}{many}; check the split")


def _not_an_index(numbers: NDArray[np.float64], items: Sized) -> NDArray[np.bool_]:
    outside = (numbers < 0) | (numbers >= len(items))
    return np.asarray(outside | (numbers != np.rint(numbers)), np.bool_)


def _pieces(path: Path, truth: TubeTruth, data: Any) -> Iterator[PixelTube]:
    if path.is_dir():
        yield from _folder(path, truth)
        return
    data = pickles.load(path) if data is None else data
    if not isinstance(data, dict):
        raise AnnotationError(
            f"{path}: got a {type(data).__name__}; wants a dict of tubes by label"
        )
    if all(isinstance(key, str) for key in data):
        for video, tubes in data.items():
            yield from _tubes_of_video(path, video, tubes)
        return
    for label, tubes in act.by_label(path, "tubes", data):
        for tube in tubes:
            video, score, rows = _parts(path, tube, 3)
            yield _piece(path, str(video), label, score, rows)


def _folder(path: Path, truth: TubeTruth) -> Iterator[PixelTube]:
    """Read MOC's folder: VIDEO_tubes.pkl for each video of the truth."""
    for video in truth.videos:
        file = path / f"{video}_tubes.pkl"
        yield from _tubes_of_video(file, video, pickles.load(file))


def _tubes_of_video(path: Path, video: str, tubes: Any) -> Iterator[PixelTube]:
    if not isinstance(tubes, dict):
        raise AnnotationError(f"{path}: {video}: wants a dict of tubes by label")
    for label, of_label in act.by_label(path, video, tubes):
        for tube in of_label:
            rows, score = _parts(path, tube, 2)
            yield _piece(path, video, label, score, rows)


def _parts(path: Path, tube: Any, count: int) -> Any:
    if not isinstance(tube, list | tuple) or len(tube) != count:
        wants = "(video, score, array)" if count == 3 else "(array, score)"
        raise AnnotationError(f"{path}: a tube is not {wants}")
    return tube


def _piece(path: Path, video: str, label: int, score: Any, rows: Any) -> PixelTube:
    where = f"{video}, label {label}"
    try:
        return PixelTube(video, label, float(score), rows_of(path, where, rows, 6))
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"{path}: {where}: score {score!r} is not a number") from error
