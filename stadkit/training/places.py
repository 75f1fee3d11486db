"""Where the videos of annotated data lie."""

from __future__ import annotations

from pathlib import Path

from stadkit.errors import UsageError
from stadkit.training.config import AnnotatedSource
from stadkit.video.check import EXTENSIONS


def places(config: AnnotatedSource, videos: list[str]) -> dict[str, Path]:
    """The file (or folder of frames) of each video; raises UsageError naming the missing."""
    if config.frames is not None:
        found = {video: config.frames / video for video in videos}
        missing = [video for video, place in found.items() if not place.is_dir()]
    else:
        assert config.videos is not None  # the config's own check
        inside = sorted(config.videos.glob("*"))
        files = {path.stem: path for path in inside if path.suffix.lower() in EXTENSIONS}
        missing = [video for video in videos if video not in files]
        found = {video: files[video] for video in videos if video in files}
    if missing:
        folder = config.frames or config.videos
        raise UsageError(
            f"{folder}: has no {missing[0]!r} ({len(missing)} of {len(videos)} videos of "
            f"{config.truth} are missing); remove their rows or add the videos"
        )
    return found
