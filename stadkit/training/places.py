"""Where the videos of annotated data lie."""

from __future__ import annotations

from collections.abc import Iterable
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
        files = _files(config.videos.glob("*"))
        if not files.keys() >= set(videos):  # folders are searched only where they are needed
            files = _files(config.videos.rglob("*")) | files
        missing = [video for video in videos if video not in files]
        found = {video: files[video] for video in videos if video in files}
    if missing:
        folder = config.frames or config.videos
        raise UsageError(
            f"{folder}: has no {missing[0]!r} ({len(missing)} of {len(videos)} videos of "
            f"{config.truth} are missing); remove their rows or add the videos"
        )
    return found


def _files(paths: Iterable[Path]) -> dict[str, Path]:
    """The videos among these paths by their stem; those deepest down count least."""
    videos = [path for path in paths if path.suffix.lower() in EXTENSIONS]
    return {path.stem: path for path in sorted(videos, key=lambda p: (-len(p.parts), p))}
