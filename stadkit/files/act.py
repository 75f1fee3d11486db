"""GT.pkl, ACT's format of truth tubes, used for UCF101-24, JHMDB, MultiSports and custom data.

A dict: "labels" [c] names; "train_videos" and "test_videos", a list of ids for each split;
"nframes" {id: count}; "resolution" {id: (height, width)}; "gttubes" {id: {label from 0: [array
[k, 5] of frame from 1, x1, y1, x2, y2 in pixels, one per tube]}}.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stadkit.errors import AnnotationError, UsageError
from stadkit.files import pickles
from stadkit.files.tube_truth import PixelTube, TubeTruth, from_pixels, rows_of, to_pixels
from stadkit.labels import Labels
from stadkit.tubes import Tubes

_KEYS = ("labels", "gttubes", "nframes", "resolution", "train_videos", "test_videos")
CHOICES = ("test", "train", "all")


def read_gt(
    path: str | Path,
    split: int = 0,
    videos: str = "test",
    rate: float = 25.0,
    data: Any = None,
) -> TubeTruth:
    """Read the truth of the test, train or all videos of a split, counted from 0.

    `data`: the file's content, if already loaded.

    Tubes are in the order of the video list, then by label. Label ids count from 1.
    Raises AnnotationError: file, video, reason; UsageError for an unknown split.
    """
    path = Path(path)
    data = with_keys(path, pickles.load(path) if data is None else data, "GT.pkl", _KEYS)
    names = labels_of(path, data["labels"])
    selected = _selected_videos(path, data, split, videos)
    sizes, frames = {}, {}
    for video in selected:
        frames[video] = _integers(path, video, "nframes", data, 1)[0]
        height, width = _integers(path, video, "resolution", data, 2)
        sizes[video] = (height, width)
    pieces = [piece for video in selected for piece in _tubes(path, video, data["gttubes"])]
    tubes = from_pixels(path, pieces, sizes, rate, names.names)
    return TubeTruth(tubes, sizes, frames, rate, names)


def check_class_count(truth: TubeTruth, path: str | Path, data_set: str, count: int) -> TubeTruth:
    """Return the truth; raises AnnotationError unless it has the data set's number of classes."""
    if len(truth.labels) != count:
        raise AnnotationError(
            f"{path}: {data_set} has {count} classes, this file has {len(truth.labels)}"
        )
    return truth


def write_gt(truth: TubeTruth, path: str | Path, train: TubeTruth | None = None) -> None:
    """Write the truth as the test videos of one split, and `train` as its train videos.

    Boxes are float32 pixels. Raises ValueError when label ids are not 1 to c, a time falls
    between frames, or `train` has different labels or a common video.
    """
    parts = [part for part in (truth, train) if part is not None]
    if truth.labels.ids != tuple(range(1, len(truth.labels) + 1)):
        raise ValueError("GT.pkl needs label ids 1 to c; these differ")
    if any(part.labels != truth.labels for part in parts):
        raise ValueError("train and test videos have different labels")
    if train is not None and set(train.frames) & set(truth.frames):
        raise ValueError("a video is in both the train and the test videos")
    gttubes: dict[str, dict[int, list[Any]]] = {}
    for part in parts:
        gttubes |= _gttubes(part)
    pickles.dump(
        {
            "labels": list(truth.labels.names),
            "gttubes": gttubes,
            "nframes": {v: n for part in parts for v, n in part.frames.items()},
            "resolution": {v: size for part in parts for v, size in part.sizes.items()},
            "train_videos": [list(train.videos) if train is not None else []],
            "test_videos": [list(truth.videos)],
        },
        path,
    )


def write_tubes(tubes: Tubes, truth: TubeTruth, path: str | Path) -> None:
    """Write found tubes in the format of ACT and MOC, all videos in one dict.

    {video: {label from 0: [(array [k, 6] of frame, x1, y1, x2, y2, score, the tube's score)]}},
    float32, for every video of the truth. Raises ValueError for classes or videos missing from
    the truth, or a time between frames.
    """
    if tubes.classes != truth.labels.names or not set(tubes.video.tolist()) <= set(truth.frames):
        raise ValueError("the tubes have classes or videos missing from the truth")
    tubes_by_video: dict[str, dict[int, list[Any]]] = {video: {} for video in truth.videos}
    rows = np.split(to_pixels(tubes, truth.sizes, truth.rate), tubes.start[1:-1])
    columns = (tubes.video.tolist(), tubes.label.tolist(), tubes.score.tolist())
    for video, label, score, part in zip(*columns, rows, strict=False):
        tubes_by_video[video].setdefault(label, []).append((part, score))
    pickles.dump(tubes_by_video, path)


def _gttubes(truth: TubeTruth) -> dict[str, dict[int, list[Any]]]:
    tubes = truth.tubes
    rows = np.split(to_pixels(tubes, truth.sizes, truth.rate)[:, :5], tubes.start[1:-1])
    tubes_by_video: dict[str, dict[int, list[Any]]] = {video: {} for video in truth.videos}
    for video, label, part in zip(tubes.video.tolist(), tubes.label.tolist(), rows, strict=False):
        tubes_by_video[video].setdefault(label, []).append(part)
    return tubes_by_video


def labels_of(path: Path, names: Any) -> Labels:
    """Make labels with ids from 1; raises AnnotationError for invalid names."""
    try:
        return Labels(tuple(range(1, len(names) + 1)), tuple(str(name) for name in names))
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"{path}: labels is not a list of names ({error})") from error


def with_keys(path: Path, data: Any, what: str, keys: Sequence[str]) -> dict[str, Any]:
    """Return data if it is a dict with these keys; raises AnnotationError otherwise."""
    if not isinstance(data, dict):
        raise AnnotationError(f"{path}: not a {what}: contains {type(data).__name__}, not dict")
    missing = [key for key in keys if key not in data]
    if missing:
        has = ", ".join(repr(key) for key in list(data)[:4])
        raise AnnotationError(f"{path}: not a {what}: {', '.join(missing)} missing; it has {has}")
    return data


def _selected_videos(path: Path, data: dict[str, Any], split: int, videos: str) -> list[str]:
    """Return the unique ids of the selected videos."""
    if videos not in CHOICES:
        raise UsageError(f"unknown part of a split {videos!r}; choose one of {', '.join(CHOICES)}")
    kinds = ("train", "test") if videos == "all" else (videos,)
    selected: list[str] = []
    for kind in kinds:
        splits = data[f"{kind}_videos"]
        # A single split may be stored as a plain list of ids.
        if not isinstance(splits, list | tuple):
            raise AnnotationError(f"{path}: {kind}_videos is not a list of splits")
        splits = [splits] if len(splits) and isinstance(splits[0], str) else splits
        if not 0 <= split < len(splits):
            raise UsageError(f"{path}: no split {split}; the file has 0 to {len(splits) - 1}")
        selected += [str(video) for video in splits[split]]
    return list(dict.fromkeys(selected))


def _integers(path: Path, video: str, key: str, data: dict[str, Any], count: int) -> list[int]:
    """Return the `count` integers >= 0 that a dict of the file holds for a video."""
    try:
        values = [int(value) for value in np.ravel(data[key][video])]
    except (KeyError, TypeError, ValueError):
        values = []
    if len(values) != count or min(values) < count - 1:
        wants = "height and width" if count == 2 else "count"
        raise AnnotationError(f"{path}: {key} has no {wants} for {video}")
    return values


def _tubes(path: Path, video: str, gttubes: Any) -> Iterator[PixelTube]:
    """Yield the tubes of one video by label; a video without tubes may be missing."""
    if not isinstance(gttubes, dict) or not isinstance(gttubes.get(video, {}), dict):
        raise AnnotationError(f"{path}: {video}: wants a dict of tubes by label in gttubes")
    for label, tubes in by_label(path, video, gttubes.get(video, {})):
        for tube in tubes:
            yield PixelTube(video, label, 1.0, rows_of(path, f"{video}, label {label}", tube, 5))


def by_label(path: Path, where: str, tubes: dict[Any, Any]) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield (label, tubes) in order of label; raises AnnotationError for other content."""
    for label in tubes:
        if not isinstance(label, int | np.integer) or not isinstance(tubes[label], list | tuple):
            raise AnnotationError(f"{path}: {where}: {label!r} is not a label with a list of tubes")
    for label in sorted(tubes):
        yield int(label), tubes[label]
