"""Folders among the results of `detect`: what in them is ours, and pictures of tokens.

NAME.tokens of --save-tokens holds pictures, one a keyframe; NAME.queries of --save-queries a bank.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stadkit.detection.hooks import OnTokens
    from stadkit.video.clips import Clip
    from stadkit.video.draw_tokens import Kept

# By the folder's end: the names that we may have written there, and those that files have until
# they are whole.
OURS = {
    ".tokens": re.compile(r"-?\d+\.\d{3}\.png|\.[0-9a-f]{32}\.png"),
    ".queries": re.compile(r"header\.json|(time|person|entry)\.npy|\.[0-9a-f]{32}(\.npy)?"),
}


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


def own_files(folder: Path) -> list[Path]:
    """The files in a folder that we may have written, in the order of their names."""
    names = OURS.get(folder.suffix)
    return sorted(path for path in folder.iterdir() if names and names.fullmatch(path.name))


def remove(path: Path) -> None:
    """Take away a file, or what is ours in a folder; the rest stays in it."""
    with suppress(OSError):
        if not path.is_dir():
            path.unlink()
            return
        for each in own_files(path):
            each.unlink()
        path.rmdir()
