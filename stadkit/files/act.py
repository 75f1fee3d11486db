"""GT.pkl, the truth of tubes that ACT began: for UCF101-24, JHMDB, MultiSports and own data.

A dict: "labels" [c] names; "train_videos" and "test_videos", a list of ids for each split;
"nframes" {id: count}; "resolution" {id: (height, width)}; "gttubes" {id: {label from 0: [array
[k, 5] of frame from 1, x1, y1, x2, y2 in pixels, one a tube]}}.
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
    """The truth of the test, train or all videos of a split, counted from 0.

    `data` is what the file holds, where it is loaded already.

    Tubes come by video, in the list's order, then by label. Label ids are counted from 1.
    Raises AnnotationError: file, video, reason; UsageError for a split that is not there.
    """
    path = Path(path)
    data = with_keys(path, pickles.load(path) if data is None else data, "GT.pkl", _KEYS)
    names = labels_of(path, data["labels"])
    chosen = _chosen(path, data, split, videos)
    sizes, frames = {}, {}
    for video in chosen:
        frames[video] = _whole(path, video, "nframes", data, 1)[0]
        height, width = _whole(path, video, "resolution", data, 2)
        sizes[video] = (height, width)
    pieces = [piece for video in chosen for piece in _tubes(path, video, data["gttubes"])]
    tubes = from_pixels(path, pieces, sizes, rate, names.names)
    return TubeTruth(tubes, sizes, frames, rate, names)


def of_classes(truth: TubeTruth, path: str | Path, data_set: str, count: int) -> TubeTruth:
    """The truth; raises AnnotationError where it has not as many classes as its data set."""
    if len(truth.labels) != count:
        raise AnnotationError(
            f"{path}: {data_set} has {count} classes, this has {len(truth.labels)}"
        )
    return truth


def write_gt(truth: TubeTruth, path: str | Path, train: TubeTruth | None = None) -> None:
    """Write the truth as the test videos of one split, and `train` as its train videos.

    Boxes are float32 pixels. Raises ValueError when label ids are not 1 to c, a time is between
    frames, or `train` is not of the same labels or shares a video.
    """
    parts = [part for part in (truth, train) if part is not None]
    if truth.labels.ids != tuple(range(1, len(truth.labels) + 1)):
        raise ValueError("GT.pkl has labels 1 to c; these are others")
    if any(part.labels != truth.labels for part in parts):
        raise ValueError("the train videos have other labels than the test videos")
    if train is not None and set(train.frames) & set(truth.frames):
        raise ValueError("a video is among the train and the test videos")
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
    """Write found tubes as ACT and MOC have them, all videos in one dict.

    {video: {label from 0: [(array [k, 6] of frame, x1, y1, x2, y2, score, the tube's score)]}},
    float32, for every video of the truth. Raises ValueError for classes or videos that the truth
    lacks, or a time between frames.
    """
    if tubes.classes != truth.labels.names or not set(tubes.video.tolist()) <= set(truth.frames):
        raise ValueError("the tubes are of other classes or videos than the truth")
    made: dict[str, dict[int, list[Any]]] = {video: {} for video in truth.videos}
    rows = np.split(to_pixels(tubes, truth.sizes, truth.rate), tubes.start[1:-1])
    columns = (tubes.video.tolist(), tubes.label.tolist(), tubes.score.tolist())
    for video, label, score, part in zip(*columns, rows, strict=False):
        made[video].setdefault(label, []).append((part, score))
    pickles.dump(made, path)


def _gttubes(truth: TubeTruth) -> dict[str, dict[int, list[Any]]]:
    tubes = truth.tubes
    rows = np.split(to_pixels(tubes, truth.sizes, truth.rate)[:, :5], tubes.start[1:-1])
    made: dict[str, dict[int, list[Any]]] = {video: {} for video in truth.videos}
    for video, label, part in zip(tubes.video.tolist(), tubes.label.tolist(), rows, strict=False):
        made[video].setdefault(label, []).append(part)
    return made


def labels_of(path: Path, names: Any) -> Labels:
    """Labels with ids from 1 up; raises AnnotationError where the names are none."""
    try:
        return Labels(tuple(range(1, len(names) + 1)), tuple(str(name) for name in names))
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"{path}: its labels are no list of names ({error})") from error


def with_keys(path: Path, data: Any, what: str, keys: Sequence[str]) -> dict[str, Any]:
    """The data, a dict that has these keys; raises AnnotationError where it is not."""
    if not isinstance(data, dict):
        raise AnnotationError(f"{path}: is no {what}: holds an array or list, not a dict")
    lacks = [key for key in keys if key not in data]
    if lacks:
        has = ", ".join(repr(key) for key in list(data)[:4])
        raise AnnotationError(f"{path}: is no {what}: lacks {', '.join(lacks)}; it has {has}")
    return data


def _chosen(path: Path, data: dict[str, Any], split: int, videos: str) -> list[str]:
    """The ids of the chosen videos, each once."""
    if videos not in CHOICES:
        raise UsageError(f"{videos!r} is not a part of a split; one of {', '.join(CHOICES)}")
    kinds = ("train", "test") if videos == "all" else (videos,)
    chosen: list[str] = []
    for kind in kinds:
        splits = data[f"{kind}_videos"]
        # One split may be written as its list alone.
        if not isinstance(splits, list | tuple):
            raise AnnotationError(f"{path}: {kind}_videos is no list of splits")
        splits = [splits] if len(splits) and isinstance(splits[0], str) else splits
        if not 0 <= split < len(splits):
            raise UsageError(f"{path}: has {len(splits)} splits, counted from 0; none is {split}")
        chosen += [str(video) for video in splits[split]]
    return list(dict.fromkeys(chosen))


def _whole(path: Path, video: str, key: str, data: dict[str, Any], count: int) -> list[int]:
    """`count` whole numbers from 0 up that a dict of the file has for a video."""
    try:
        values = [int(value) for value in np.ravel(data[key][video])]
    except (KeyError, TypeError, ValueError):
        values = []
    if len(values) != count or min(values) < count - 1:
        wants = "height and width" if count == 2 else "count"
        raise AnnotationError(f"{path}: {key} has no {wants} for {video}")
    return values


def _tubes(path: Path, video: str, gttubes: Any) -> Iterator[PixelTube]:
    """The tubes of one video by label; one without any may be missing."""
    if not isinstance(gttubes, dict) or not isinstance(gttubes.get(video, {}), dict):
        raise AnnotationError(f"{path}: {video}: gttubes has no dict of its tubes by label")
    for label, tubes in by_label(path, video, gttubes.get(video, {})):
        for tube in tubes:
            yield PixelTube(video, label, 1.0, rows_of(path, f"{video}, label {label}", tube, 5))


def by_label(path: Path, where: str, tubes: dict[Any, Any]) -> Iterator[tuple[int, Sequence[Any]]]:
    """(label, its list) in order of label; raises AnnotationError where it is not such a dict."""
    for label in tubes:
        if not isinstance(label, int | np.integer) or not isinstance(tubes[label], list | tuple):
            raise AnnotationError(f"{path}: {where}: {label!r} is no label with a list of tubes")
    for label in sorted(tubes):
        yield int(label), tubes[label]
