"""A folder of pictures, one a keyframe: NAME.tokens of `detect --save-tokens`."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stadkit.detect.tokens import OnTokens
    from stadkit.video.clips import Clip
    from stadkit.video.draw_tokens import Kept

# A key time, and the name a picture has until it is whole.
OURS = re.compile(r"-?\d+\.\d{3}\.png|\.[0-9a-f]{32}\.png")


def picture(time: float) -> str:
    """The name of the picture of a key time (seconds)."""
    return f"{time:.3f}.png"


def keep_tokens(folder: Path) -> OnTokens:
    """A function that writes the picture of a clip's tokens into the folder, made when needed."""
    from stadkit.video.draw_tokens import draw_tokens, save_png

    def keep(clip: Clip, kept: Kept) -> None:
        folder.mkdir(exist_ok=True)
        save_png(draw_tokens(clip, kept), folder / picture(clip.time))

    return keep


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder that we may have written, in the order of their names."""
    return sorted(path for path in folder.iterdir() if OURS.fullmatch(path.name))


def remove(path: Path) -> None:
    """Take away a file, or the pictures of a folder; what is not ours stays in it."""
    with suppress(OSError):
        if not path.is_dir():
            path.unlink()
            return
        for each in pictures(path):
            each.unlink()
        path.rmdir()
