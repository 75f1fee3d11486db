"""UCF101-24: GT.pkl, and pyannot.pkl, the corrected annotations it was made from.

pyannot.pkl: {video: {"numf": count, "label": from 0, "annotations": [{"label", "sf": first frame
from 0, "ef": one past the last, "boxes": [k, 4] x y w h in pixels}]}}.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import AnnotationError
from stadkit.files import act, pickles
from stadkit.files.tube_truth import PixelTube, TubeTruth, from_pixels, rows_of
from stadkit.labels import Labels

NAMES = (
    *("Basketball", "BasketballDunk", "Biking", "CliffDiving", "CricketBowling", "Diving"),
    *("Fencing", "FloorGymnastics", "GolfSwing", "HorseRiding", "IceDancing", "LongJump"),
    *("PoleVault", "RopeClimbing", "SalsaSpin", "SkateBoarding", "Skiing", "Skijet"),
    *("SoccerJuggling", "Surfing", "TennisSwing", "TrampolineJumping", "VolleyballSpiking"),
    "WalkingWithDog",
)
SIZE = (240, 320)  # height, width of every video of UCF101
RATE = 25.0


def labels() -> Labels:
    """Return the 24 classes, ids 1 to 24."""
    return Labels(tuple(range(1, len(NAMES) + 1)), NAMES)


def read_gt(
    path: str | Path,
    split: int = 0,
    videos: str = "test",
    rate: float = RATE,
    data: Any = None,
) -> TubeTruth:
    """Read the truth of GT.pkl; raises AnnotationError when it does not have 24 classes."""
    truth = act.read_gt(path, split, videos, rate, data)
    return act.check_class_count(truth, path, "UCF101-24", len(NAMES))


def read_pyannot(
    path: str | Path,
    videos: Collection[str] | None = None,
    sizes: dict[str, tuple[int, int]] | None = None,
    rate: float = RATE,
    data: Any = None,
) -> TubeTruth:
    """Read the truth of pyannot.pkl for these videos, or all, in file order.

    `sizes`: (height, width) of videos that differ from UCF101's 240 x 320.
    Raises AnnotationError: file, video, reason.
    """
    path = Path(path)
    data = pickles.load(path) if data is None else data
    if not isinstance(data, dict):
        raise AnnotationError(
            f"{path}: not a pyannot.pkl: contains {type(data).__name__}, not dict"
        )
    wanted = set(data) if videos is None else set(videos)
    if missing := sorted(wanted - set(data)):
        raise AnnotationError(
            f"{path}: video {missing[0]!r} is missing ({len(missing)} of {len(wanted)} videos)"
        )
    selected = [video for video in data if video in wanted]
    frames: dict[str, int] = {}
    pieces: list[PixelTube] = []
    for video in selected:
        entry = act.with_keys(path, data[video], f"pyannot.pkl at {video!r}", _VIDEO)
        frames[video] = _integer(path, video, entry, "numf")
        pieces += _tubes(path, video, entry["annotations"])
    size = {video: (sizes or {}).get(video, SIZE) for video in selected}
    tubes = from_pixels(path, pieces, size, rate, NAMES)
    return TubeTruth(tubes, size, frames, rate, labels(), numbered=False)


_VIDEO = ("numf", "annotations")
_TUBE = ("label", "sf", "ef", "boxes")


def _tubes(path: Path, video: str, annotations: Any) -> Iterator[PixelTube]:
    if not isinstance(annotations, list | tuple):
        raise AnnotationError(f"{path}: {video}: annotations is not a list")
    for number, annotation in enumerate(annotations):
        where = f"{video}, tube {number}"
        tube = act.with_keys(path, annotation, f"pyannot.pkl at {where!r}", _TUBE)
        first, end = _integer(path, where, tube, "sf"), _integer(path, where, tube, "ef")
        boxes = np.asarray(tube["boxes"])
        if boxes.shape != (end - first, 4):
            raise AnnotationError(
                f"{path}: {where}: boxes have shape {boxes.shape}, wants ({end - first}, 4) "
                f"for frames {first} to {end}"
            )
        rows = np.column_stack([np.arange(first, end) + 1, corners(boxes)])
        yield PixelTube(
            video, _integer(path, where, tube, "label"), 1.0, rows_of(path, where, rows, 5)
        )


def _integer(path: Path, where: str, entry: dict[str, Any], key: str) -> int:
    value = entry[key]
    if not isinstance(value, int | np.integer) or value < 0:
        raise AnnotationError(f"{path}: {where}: {key} is {value!r}, wants an integer >= 0")
    return int(value)


def corners(boxes: NDArray[Any]) -> NDArray[np.float64]:
    """Convert x y w h [k, 4] of any number type to x1 y1 x2 y2."""
    # The file has uint8 and uint16, so x + w would overflow at 255 before the cast.
    wide = boxes.astype(np.float64)
    return np.column_stack([wide[:, :2], wide[:, :2] + wide[:, 2:]])
