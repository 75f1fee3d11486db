"""Training clips: locate videos, cut clips from extracted frames, and cache clips on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stadkit.atomic import replacing
from stadkit.errors import UsageError, VideoError
from stadkit.training.config import AnnotatedSource
from stadkit.video.check import EXTENSIONS
from stadkit.video.clips import Clip, Cut
from stadkit.video.resize import resized

JPEG_QUALITY = 95  # 4:2:0 chroma, no visible blocks


def video_paths(config: AnnotatedSource, videos: list[str]) -> dict[str, Path]:
    """The file (or folder of frames) of each video; raises UsageError for missing ones."""
    if config.frames is not None:
        found = {video: config.frames / video for video in videos}
        missing = [video for video, path in found.items() if not path.is_dir()]
    else:
        assert config.videos is not None  # checked by the config
        files = _files(config.videos.glob("*"))
        if not files.keys() >= set(videos):  # subfolders are searched only if needed
            files = _files(config.videos.rglob("*")) | files
        missing = [video for video in videos if video not in files]
        found = {video: files[video] for video in videos if video in files}
    if missing:
        folder = config.frames or config.videos
        raise UsageError(
            f"{folder}: no video {missing[0]!r} (missing: {len(missing)} of {len(videos)} videos "
            f"of {config.truth}); remove their rows or add the videos"
        )
    return found


def _files(paths: Iterable[Path]) -> dict[str, Path]:
    """The videos among these paths by stem; of equal stems, the least nested wins."""
    videos = [path for path in paths if path.suffix.lower() in EXTENSIONS]
    return {path.stem: path for path in sorted(videos, key=lambda p: (-len(p.parts), p))}


def clips_from_frames(
    folder: Path, cut: Cut, times: NDArray[np.float64], rate: float
) -> Iterator[Clip]:
    """Cut clips from image files sorted by name, the first at second 0, `rate` a second.

    As with videos, times more than half a frame (and `cut.past`) outside are skipped.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not files:
        raise VideoError(f"{folder}: has no .jpg or .png frames")
    for time in times:
        if not -0.5 <= time * rate <= len(files) - 0.5 + cut.past * rate:
            continue
        wanted = time + (np.arange(cut.frames) - cut.key) * cut.stride
        numbers = np.clip(np.rint(wanted * rate), 0, len(files) - 1).astype(int)
        frames = {number: _image(files[number]) for number in set(numbers.tolist())}
        height, width = frames[int(numbers[0])].shape[:2]
        small = {number: shrink(frame, cut) for number, frame in frames.items()}
        pixels = np.stack([small[int(number)] for number in numbers])
        yield Clip(folder.name, pixels, float(time), numbers / rate, (height, width))


def _image(path: Path) -> NDArray[np.uint8]:
    """Read an image file as RGB [H, W, 3]."""
    image = cv2.imread(str(path))
    if image is None:
        raise VideoError(f"{path}: not a readable image")
    return np.asarray(image[..., ::-1], np.uint8)


def shrink(frame: NDArray[np.uint8], cut: Cut) -> NDArray[np.uint8]:
    """Resize a frame [H, W, 3] to a cut's size."""
    height, width = cut.shape((frame.shape[0], frame.shape[1]))
    return resized(np.ascontiguousarray(frame), height, width, cut.resize)


class ClipStore:
    """A folder of .npz files, each with a clip's frames as one JPEG strip, and arrays."""

    def __init__(self, folder: Path, made_from: Any) -> None:
        """made_from: JSON types that the clips depend on; each value gets its own subfolder."""
        text = json.dumps(made_from, sort_keys=True, default=str)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """The file of the clip with this name, which may be any text."""
        plain = "".join(c if c.isalnum() or c in "-_." else f"%{ord(c):x}" for c in name)
        return self.folder / f"{plain}.npz"

    def __contains__(self, name: str) -> bool:
        return self.path(name).exists()

    def put(self, name: str, pixels: NDArray[np.uint8], **arrays: NDArray[Any]) -> None:
        """Store pixels [T, H, W, 3] RGB and the arrays, atomically."""
        frames, height, width, _ = pixels.shape
        strip = cv2.cvtColor(pixels.reshape(frames * height, width, 3), cv2.COLOR_RGB2BGR)
        done, jpeg = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise ValueError(f"a clip of {frames} frames of {width}x{height} is too large for JPEG")
        stored: dict[str, Any] = {"jpeg": jpeg, "frames": np.array(frames), **arrays}
        with replacing(self.path(name)) as part, part.open("wb") as file:
            np.savez(file, **stored)

    def get(self, name: str) -> tuple[NDArray[np.uint8], dict[str, NDArray[Any]]]:
        """Load a stored clip's pixels [T, H, W, 3] RGB and arrays; raises FileNotFoundError."""
        with np.load(self.path(name), allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files if key not in ("jpeg", "frames")}
            strip = cv2.imdecode(stored["jpeg"], cv2.IMREAD_COLOR)
            frames = int(stored["frames"])
        if strip is None:
            raise ValueError(f"{self.path(name)}: damaged; delete it, and it will be made again")
        rgb = cv2.cvtColor(strip, cv2.COLOR_BGR2RGB)
        pixels = rgb.reshape(frames, rgb.shape[0] // frames, rgb.shape[1], 3)
        return np.asarray(pixels, np.uint8), arrays
