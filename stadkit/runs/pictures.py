"""Output folders of `detect`: token pictures, and which files in a folder are its own.

NAME.tokens of --save-tokens holds a picture per keyframe; NAME.queries of --save-queries a bank.
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

# Folder suffix -> names of the files that `detect` writes there, and their temporary names.
OWN_NAMES = {
    ".tokens": re.compile(r"-?\d+\.\d{3}\.png|\.[0-9a-f]{32}\.png"),
    ".queries": re.compile(r"header\.json|(time|person|entry)\.npy|\.[0-9a-f]{32}(\.npy)?"),
}


def picture(time: float) -> str:
    """The file name of the picture at a key time (seconds)."""
    return f"{time:.3f}.png"


def keep_tokens(folder: Path) -> OnTokens:
    """A function that writes pictures of clips' tokens to the folder, which is made on demand."""
    from stadkit.video.draw_tokens import draw_tokens, save_png

    def keep(clip: Clip, kept: Kept) -> None:
        folder.mkdir(exist_ok=True)
        save_png(draw_tokens(clip, kept), folder / picture(clip.time))

    return keep


def own_files(folder: Path) -> list[Path]:
    """The files in a folder that `detect` wrote, sorted by name."""
    names = OWN_NAMES.get(folder.suffix)
    return sorted(path for path in folder.iterdir() if names and names.fullmatch(path.name))


def remove(path: Path) -> None:
    """Remove a file, or our own files in a folder, and the folder if it is then empty."""
    with suppress(OSError):
        if not path.is_dir():
            path.unlink()
            return
        for each in own_files(path):
            each.unlink()
        path.rmdir()
