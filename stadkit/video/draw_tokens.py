"""Visualization of the patches a model keeps at each stage: EVAD's Figure 4 for any clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stadkit.atomic import replacing
from stadkit.video.clips import Clip
from stadkit.video.draw import FONT
from stadkit.video.frame import Pixels
from stadkit.video.resize import resized

PAPER, INK, FAINT = (255, 255, 255), (34, 34, 34), (115, 115, 115)
KEY = (213, 94, 0)  # Okabe and Ito's vermilion, behind the key frame's slice
FADED = 0.86  # how far a dropped patch is blended towards white
MAX_WIDTH, MAX_HEIGHT = 2000, 1600  # pixels of all columns and of all rows
MIN_TILE_WIDTH = 88  # pixels of a frame: its caption has to fit
GAP, MARGIN = 8, 14  # pixels between frames, and around the image
SUPERSAMPLING = 4  # of text, as the font consists of straight strokes


@dataclass(frozen=True)
class Kept:
    """The patches of a clip kept after each stage; raises ValueError for a wrong shape."""

    mask: NDArray[np.bool_]  # [S, t, h, w]  cells of the clip, without padding
    layer: tuple[int, ...]  # S layer numbers from 1: where each stage drops patches
    patch: int  # side of a cell in pixels
    tubelet: int  # frames per slice
    key: int  # index of the key frame's slice

    def __post_init__(self) -> None:
        if self.mask.ndim != 4 or len(self.mask) != len(self.layer) or not self.mask.size:
            raise ValueError(
                f"Kept.mask has shape {self.mask.shape}, wants [{len(self.layer)}, t, h, w]"
            )


def draw_tokens(clip: Clip, kept: Kept) -> Pixels:
    """An image uint8 [height, width, 3] RGB with a column per slice and a row per stage.

    The first row is the original clip, one frame of each slice; below it dropped patches are
    faded and kept ones outlined. Each row is labelled with the share of the clip's patches kept,
    each column with its offset from the key time in seconds.
    """
    frame_indices = _slice_frames(clip, kept)
    size = clip.pixels.shape[1:3]
    shape = _tile(size, len(frame_indices), 1 + len(kept.mask))
    frames = [resized(clip.pixels[i], *shape) for i in frame_indices]
    rows = [frames]
    for stage in kept.mask:
        masks = (expand_cells(mask, kept.patch, size) for mask in stage)
        rows.append([fade(frame, mask) for frame, mask in zip(frames, masks, strict=True)])
    captions = [["clip", f"{clip.time:.3f} s"]]
    for number, (layer, mask) in enumerate(zip(kept.layer, kept.mask, strict=True), 1):
        captions.append([f"stage {number}", f"layer {layer}", f"{mask.mean():.0%} kept"])
    return _draw(
        rows, captions, [float(x) for x in clip.times[frame_indices] - clip.time], kept.key
    )


def expand_cells(mask: NDArray[np.bool_], patch: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Expand a mask of cells [h, w] to pixels [H, W]; cells at the edges may be cropped."""
    pixels = np.kron(mask, np.ones((patch, patch), bool))
    return pixels[: size[0], : size[1]]


def fade(frame: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    """A copy of a frame [H, W, 3], faded to near white outside `mask`, which may differ in size.

    A dark line follows the border of the kept area: in bright scenes fading alone is invisible.
    """
    size = frame.shape[1::-1]
    kept = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    pale = 255 - (255 - frame.astype(np.float32)) * (1 - FADED)
    drawn = np.where(kept[..., None], frame, np.rint(pale)).astype(np.uint8)
    drawn[_border(kept)] = INK
    return drawn


def save_png(image: Pixels, path: Path) -> None:
    """Write an image [H, W, 3] RGB atomically. Raises OSError."""
    data = cv2.imencode(".png", image[..., ::-1])[1]
    with replacing(path) as part:
        part.write_bytes(data.tobytes())


def _slice_frames(clip: Clip, kept: Kept) -> NDArray[np.int64]:
    """The frame index [t] of each slice: in the key slice, the frame nearest to the key time."""
    first = kept.key * kept.tubelet
    away = np.abs(clip.times[first : first + kept.tubelet] - clip.time)
    return np.arange(kept.mask.shape[1]) * kept.tubelet + int(away.argmin())


def _border(kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Kept pixels with a dropped neighbour."""
    inner = np.pad(kept, 1, constant_values=True)  # no line along the edge of the frame
    around = [inner[:-2, 1:-1], inner[2:, 1:-1], inner[1:-1, :-2], inner[1:-1, 2:]]
    return np.asarray(kept & ~np.logical_and.reduce(around), bool)


def _tile(size: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """(height, width) of a drawn frame, so that all frames and their captions fit the page."""
    height, width = size
    scale = min(1, MAX_WIDTH / (columns * width), MAX_HEIGHT / (rows * height))
    scale = max(scale, MIN_TILE_WIDTH / width)
    return max(1, round(scale * height)), round(scale * width)


@dataclass(frozen=True)
class _Page:
    """Page layout in pixels."""

    tile: tuple[int, int]  # (height, width) of a frame
    rows: int
    columns: int
    captions: list[list[str]]  # of each row

    @property
    def letter(self) -> int:
        """Cap height of a row's first line; large pages, viewed scaled down, need larger text."""
        return min(max(self.columns * self.tile[1] // 130, 11), 15)

    @property
    def small(self) -> int:
        return self.letter - 2

    @property
    def line(self) -> int:
        return 2 * self.letter - 3

    @property
    def tab(self) -> int:
        """Height of the line above the frames, and of that below them."""
        return 2 * self.letter + 2

    @property
    def step(self) -> tuple[int, int]:
        """(vertical, horizontal) distance from a frame to the next."""
        lines = max(len(lines) for lines in self.captions)
        return max(self.tile[0], lines * self.line) + GAP, self.tile[1] + GAP

    @property
    def left(self) -> int:
        return 2 * MARGIN + max(_width(x, self.letter) for lines in self.captions for x in lines)

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """(y, x) of a frame's top left corner."""
        spare = (self.step[0] - GAP - self.tile[0]) // 2
        y = MARGIN + self.tab + row * self.step[0] + spare
        return y, self.left + column * self.step[1]

    @property
    def bottom(self) -> int:
        """y of the end of the last row."""
        return MARGIN + self.tab + self.rows * self.step[0] - GAP

    @property
    def size(self) -> tuple[int, int]:
        right = self.left + self.columns * self.step[1] - GAP + MARGIN
        return self.bottom + self.tab + MARGIN, right


def _draw(
    rows: list[list[Pixels]], captions: list[list[str]], seconds: list[float], key: int
) -> Pixels:
    """Draw frames on a white page, captions left of the rows, seconds below the columns."""
    tile = rows[0][0].shape[0], rows[0][0].shape[1]
    page = _Page(tile, len(rows), len(seconds), captions)
    drawn = np.full((*page.size, 3), PAPER, np.uint8)
    _mark_key(drawn, page, key)
    for i, (row, lines) in enumerate(zip(rows, captions, strict=True)):
        for j, frame in enumerate(row):
            y, x = page.corner(i, j)
            drawn[y : y + tile[0], x : x + tile[1]] = frame
        _write_lines(drawn, page, page.corner(i, 0)[0] + tile[0] // 2, lines)
    for j, time in enumerate(seconds):
        at = page.corner(0, j)[1] + tile[1] // 2, page.bottom + page.tab // 2
        _write(drawn, at, _signed(time), page.small, PAPER if j == key else FAINT, 0.5)
    return drawn


def _mark_key(drawn: Pixels, page: _Page, key: int) -> None:
    """Draw a coloured plate behind the key frame's column, with its name on top."""
    x, wide = page.corner(0, key)[1], page.tile[1]
    low = x - GAP // 2, MARGIN
    end = x + wide + GAP // 2 - 1, page.bottom + page.tab - 1
    cv2.rectangle(drawn, low, end, KEY, cv2.FILLED)
    _write(drawn, (x + wide // 2, MARGIN + page.tab // 2), "key frame", page.small, PAPER, 0.5)


def _write_lines(drawn: Pixels, page: _Page, y: int, lines: list[str]) -> None:
    """Write a caption: the first line large, the stack centred at y."""
    for i, line in enumerate(lines):
        at = MARGIN, y + round((i - (len(lines) - 1) / 2) * page.line)
        letter, ink = (page.letter, INK) if i == 0 else (page.small, FAINT)
        _write(drawn, at, line, letter, ink)


def _signed(seconds: float) -> str:
    """A time with its sign, such as -0.32 s, 0.00 s or +0.32 s."""
    hundredths = round(seconds * 100)
    return f"{hundredths / 100:{'+' if hundredths else ''}.2f} s"


def _width(text: str, letter: int) -> int:
    return int(np.ceil(_measure(text, letter)[2] / SUPERSAMPLING))


def _measure(text: str, letter: int) -> tuple[float, int, int]:
    """(font scale, stroke, text width) for cap height `letter`; lengths in supersampled pixels."""
    thick = max(1, round(letter * SUPERSAMPLING / 9))
    scale = cv2.getFontScaleFromHeight(FONT, letter * SUPERSAMPLING, thick)
    return scale, thick, cv2.getTextSize(text, FONT, scale, thick)[0][0]


def _write(
    drawn: Pixels,
    at: tuple[int, int],
    text: str,
    letter: int,
    ink: tuple[int, int, int],
    before: float = 0.0,
) -> None:
    """Write text with its vertical centre at y and the share `before` of its width left of x."""
    scale, thick, fine = _measure(text, letter)
    wide, high = -(-fine // SUPERSAMPLING), 2 * letter
    mask = np.zeros((high * SUPERSAMPLING, wide * SUPERSAMPLING), np.uint8)
    foot = (0, (high + letter) * SUPERSAMPLING // 2)
    cv2.putText(mask, text, foot, FONT, scale, 255, thick, cv2.LINE_AA)
    share = cv2.resize(mask, (wide, high), interpolation=cv2.INTER_AREA)[..., None] / 255
    x, y = max(0, at[0] - round(before * wide)), at[1] - high // 2
    under = drawn[y : y + high, x : x + wide]
    share = share[: under.shape[0], : under.shape[1]]
    under[:] = np.rint(under * (1 - share) + np.array(ink) * share)
