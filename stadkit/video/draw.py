"""Drawing people on a frame: a box in the person's colour and a stack of labels next to it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from stadkit.video.frame import Pixels

# Okabe and Ito's colour-blind safe palette (2008); RGB, without black.
COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
FONT = cv2.FONT_HERSHEY_SIMPLEX
MAX_NAME_LENGTH = 24  # characters
# Letters that Unicode does not decompose into a plain letter and an accent.
PLAIN = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "–": "-"}
)

# Source of a box: detected at this time, interpolated, or interpolated past a missed keyframe.
Edge = Literal["seen", "moved", "guessed"]
Plate = tuple[int, int, int, int]  # x1 y1 x2 y2, pixels


def draw_people(
    pixels: Pixels,
    box: NDArray[np.float32],
    person: Sequence[int],
    labels: Sequence[Sequence[str]],
    edges: Sequence[Edge] = (),
) -> Pixels:
    """Draw n people on a copy of a frame.

    pixels: uint8 [H, W, 3] RGB; box: [n, 4] fractions of it; person: n numbers that select the
    colours; labels: n stacks of lines, best first. A stack is placed above its box, or below or
    inside it if there is more room, always within the frame. edges: n line styles, bold for
    "seen", plain for "moved", dashed for "guessed"; plain by default.
    """
    image = np.array(pixels, np.uint8, order="C")
    height, width = image.shape[:2]
    corners = np.rint(box * np.array([width, height, width, height])).astype(int).tolist()
    thick = max(1, round(min(height, width) / 270))
    for i, (x1, y1, x2, y2) in enumerate(corners):
        edge = edges[i] if edges else "moved"
        wide = thick + max(1, thick // 2) if edge == "seen" else thick
        draw = _dashed if edge == "guessed" else cv2.rectangle
        draw(image, (x1, y1), (x2 - 1, y2 - 1), colour(person[i]), wide)
    taken: list[Plate] = []
    for i, corner in enumerate(corners):
        if labels[i]:
            taken.append(_draw_stack(image, corner, colour(person[i]), labels[i], taken))
    return image


def _dashed(
    image: Pixels, low: tuple[int, int], high: tuple[int, int], ink: tuple[int, int, int], w: int
) -> None:
    """Draw a dashed rectangle, starting at its corners."""
    dash = 4 * w + 2
    (x1, y1), (x2, y2) = low, high
    for start in range(x1, x2 + 1, 2 * dash):
        for y in (y1, y2):
            cv2.line(image, (start, y), (min(start + dash, x2), y), ink, w)
    for start in range(y1, y2 + 1, 2 * dash):
        for x in (x1, x2):
            cv2.line(image, (x, start), (x, min(start + dash, y2)), ink, w)


def colour(person: int) -> tuple[int, int, int]:
    """The RGB colour for a person's number."""
    return COLOURS[person % len(COLOURS)]


def label_lines(
    action: NDArray[np.float32], names: Sequence[str], min_action: float = 0.0, most: int = 5
) -> list[str]:
    """At most `most` lines such as "walk 0.83" for scores [c] of at least min_action, best first.

    Classes without a score (NaN) are skipped.
    """
    order = np.argsort(-np.nan_to_num(action, nan=-1), kind="stable")[:most]
    return [f"{short(names[c])} {action[c]:.2f}" for c in order if action[c] >= min_action]


def short(name: str) -> str:
    """Shorten a class name for a label: "..." for text in brackets, long names truncated."""
    name = re.sub(r"\s*\([^)]*\)", "...", plain(name))
    return name if len(name) <= MAX_NAME_LENGTH else name[: MAX_NAME_LENGTH - 2].rstrip() + ".."


def plain(name: str) -> str:
    """The name in characters of OpenCV's font: accents dropped, others as code points."""
    decomposed = unicodedata.normalize("NFKD", name.translate(PLAIN))
    letters = (c for c in decomposed if not unicodedata.combining(c))
    return "".join(c if c.isascii() and c.isprintable() else _code(c) for c in letters)


def _code(character: str) -> str:
    return " " if character.isspace() else f"<{ord(character):X}>"


def _draw_stack(
    image: Pixels,
    corner: Sequence[int],
    fill: tuple[int, int, int],
    lines: Sequence[str],
    taken: Sequence[Plate],
) -> Plate:
    """Draw a person's lines on a plate of their colour; returns the plate's position."""
    height, width = image.shape[:2]
    letter = max(8, round(min(height, width) / 40))  # cap height in pixels
    thick = max(1, round(letter / 14))
    size = cv2.getFontScaleFromHeight(FONT, letter, thick)
    pad, step = max(2, letter // 3), letter + max(4, letter * 2 // 3)
    lines = lines[: max(1, (height - pad) // step)]
    wide = max(cv2.getTextSize(line, FONT, size, thick)[0][0] for line in lines) + 2 * pad
    plate = place(corner, (wide, step * len(lines)), (width, height), taken)
    x, y = plate[:2]
    cv2.rectangle(image, (x, y), (plate[2] - 1, plate[3] - 1), fill, cv2.FILLED)
    for i, line in enumerate(lines):
        at = (x + pad, y + i * step + (step + letter) // 2 - letter // 8)
        cv2.putText(image, line, at, FONT, size, _ink(fill), thick, cv2.LINE_AA)
    return plate


def place(
    corner: Sequence[int], size: tuple[int, int], frame: tuple[int, int], taken: Sequence[Plate]
) -> Plate:
    """Position of a plate of (width, height) next to a box: x1 y1 x2 y2, inside the frame.

    The first position free of other plates among above, below, inside at the top, right and left
    of the box; if none is free, the first that fits.
    """
    (x1, y1, x2, y2), (wide, high) = corner, size
    spots = [(x1, y1 - high), (x1, y2), (x1, y1), (x2, y1), (x1 - wide, y1)]
    fitting = [
        (x, y) for x, y in spots if 0 <= y <= frame[1] - high and -wide < x < frame[0]
    ] or spots[2:3]
    plates = [_inside(x, y, size, frame) for x, y in fitting]
    free = [p for p in plates if not any(_overlap(p, other) for other in taken)]
    return (free or plates)[0]


def _inside(x: int, y: int, size: tuple[int, int], frame: tuple[int, int]) -> Plate:
    x = max(0, min(x, frame[0] - size[0]))
    y = max(0, min(y, frame[1] - size[1]))
    return x, y, min(x + size[0], frame[0]), min(y + size[1], frame[1])


def _overlap(a: Plate, b: Plate) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _ink(fill: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever contrasts with the fill (ITU-R BT.601 luma)."""
    light = 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2] > 100
    return (0, 0, 0) if light else (255, 255, 255)
