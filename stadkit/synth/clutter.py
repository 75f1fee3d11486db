"""Objects painted flat into a backdrop: racks, shelves, food, posters, facades, vehicles."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from stadkit.synth import texture
from stadkit.synth.draws import Floats, Pixels, Rng, cv_colour, happens, pick
from stadkit.synth.texture import cloudy, noise, planks, streaks, to_pixels

Box = tuple[int, int, int, int]  # x1 y1 x2 y2
WORDS = ("SALE", "POLO", "96", "OPEN", "No5", "BUS", "EXIT", "CAFE", "2019", "STOP", "TAXI")


def object_colour(rng: Rng) -> Floats:
    """Draw an object colour [3]; one in seven is a skin colour."""
    return texture.skin_colour(rng) if happens(rng, 0.14) else texture.natural_colour(rng)


def _box(rng: Rng, pixels: Pixels, wide: tuple[float, float], tall: tuple[float, float]) -> Box:
    """Draw a box with sides in image heights; two in three stand on the lower edge."""
    height, width = pixels.shape[:2]
    w, h = (max(4, int(height * rng.uniform(*side))) for side in (wide, tall))
    x = int(rng.uniform(-0.4 * w, width - 0.6 * w))
    y = height - h if happens(rng, 0.65) else int(rng.uniform(0, max(height - h, 1)))
    return x, y, x + w, y + h


def _part(pixels: Pixels, box: Box) -> Pixels:
    x1, y1, x2, y2 = box
    return pixels[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]


def shaded_oval(
    rng: Rng, pixels: Pixels, at: Floats, axes: Floats, turn: float, rgb: Floats
) -> None:
    """Paint a shaded oval at [2], lit from one side."""
    light = rng.uniform(-0.25, 0.25)
    for i in range(4):
        inner = axes * (1 - 0.24 * i)
        middle = at + axes.min() * np.array([light, -0.08]) * i
        cv2.ellipse(
            pixels,
            (tuple(middle.tolist()), tuple((2 * inner).tolist()), turn),
            cv_colour(rgb, 0.68 + 0.14 * i),
            -1,
            cv2.LINE_AA,
        )


def shaded_stick(rng: Rng, pixels: Pixels, a: Floats, b: Floats, thick: float, rgb: Floats) -> None:
    """Paint a long round object from a [2] to b [2]: branch, sausage, banana, furniture leg."""
    bend = rng.normal(0, 0.12, 2) * np.hypot(*(b - a))
    s = np.linspace(0, 1, 7)[:, None]
    middle = a * (1 - s) + b * s + bend * 4 * s * (1 - s)
    for i in range(4):
        line = np.rint((middle - (0.1 * thick * i)) * 8).astype(np.int32)
        width = max(1, round(thick * (1 - 0.25 * i)))
        cv2.polylines(
            pixels, [line], False, cv_colour(rgb, 0.7 + 0.13 * i), width, cv2.LINE_AA, shift=3
        )


def leaves(rng: Rng, pixels: Pixels) -> None:
    """Paint a dead leaves model: overlapping shapes with a natural distribution of sizes."""
    height, width = pixels.shape[:2]
    count = int(rng.integers(25, 120))
    size = np.clip(0.03 * height * rng.random(count) ** -0.6, 2, 0.4 * height)
    colours = [object_colour(rng) for _ in range(int(rng.integers(3, 9)))]
    for radius in size.tolist():
        at = rng.uniform(0, 1, 2) * (width, height)
        rgb = colours[int(rng.integers(0, len(colours)))] * rng.uniform(0.8, 1.2)
        kind = rng.random()
        if kind < 0.35:
            axes = radius * rng.uniform(0.4, 1.0, 2)
            shaded_oval(rng, pixels, at, axes, rng.uniform(0, 180), rgb)
        elif kind < 0.6:
            angle = rng.normal(np.pi / 2, 0.5) if happens(rng, 0.6) else rng.uniform(0, np.pi)
            reach = radius * rng.uniform(1, 3) * np.array([np.cos(angle), np.sin(angle)])
            thick = radius * rng.uniform(0.15, 0.6) + 1
            shaded_stick(rng, pixels, at - reach / 2, at + reach / 2, thick, rgb)
        else:
            turn = 0.0 if happens(rng, 0.5) else rng.uniform(-45, 45)
            sides = tuple((2 * radius * rng.uniform(0.3, 1, 2)).tolist())
            corners = cv2.boxPoints((tuple(at.tolist()), sides, turn))
            cv2.fillConvexPoly(pixels, corners.astype(np.int32), cv_colour(rgb), cv2.LINE_AA)


def rack(rng: Rng, pixels: Pixels) -> None:
    """Paint clothes side by side on a rail."""
    x1, y1, x2, y2 = _box(rng, pixels, (0.4, 1.4), (0.4, 0.9))
    metal = cv_colour(texture.family_colour(rng, texture.STONES))
    x, step = float(x1), max(2.0, (y2 - y1) * rng.uniform(0.05, 0.25))
    colours = [object_colour(rng) for _ in range(int(rng.integers(2, 7)))]
    while x < x2:
        wide = step * rng.uniform(0.8, 2.2)
        drop = (y2 - y1) * rng.uniform(0.4, 0.95)
        rgb = colours[int(rng.integers(0, len(colours)))] * rng.uniform(0.7, 1.2)
        top = y1 + 0.05 * (y2 - y1)
        shape = np.array([[x + wide / 2, top], [x + wide, top + 0.08 * drop],
                          [x + wide * rng.uniform(0.9, 1.2), top + drop], [x, top + drop],
                          [x, top + 0.1 * drop]])  # fmt: skip
        cv2.fillPoly(pixels, [shape.astype(np.int32)], cv_colour(rgb), cv2.LINE_AA)
        for _ in range(2):
            fold = int(x + wide * rng.uniform(0.1, 0.9))
            ends = (fold, int(top + 0.2 * drop)), (fold, int(top + 0.97 * drop))
            cv2.line(pixels, *ends, cv_colour(rgb, rng.uniform(0.6, 1.25)), max(1, int(wide / 6)))
        x += step * rng.uniform(0.6, 1.3)
    cv2.line(pixels, (x1, y1), (x2, y1), metal, max(1, (y2 - y1) // 40), cv2.LINE_AA)
    for end in (x1, x2):
        cv2.line(pixels, (end, y1), (end, y2), metal, max(1, (y2 - y1) // 40), cv2.LINE_AA)


def shelves(rng: Rng, pixels: Pixels) -> None:
    """Paint shelves with books, bottles, boxes and pots."""
    box = _box(rng, pixels, (0.3, 1.3), (0.3, 0.95))
    x1, y1, x2, y2 = box
    rgb = texture.family_colour(rng, texture.FAMILIES[int(rng.integers(0, 4))])
    cv2.rectangle(pixels, (x1, y1), (x2, y2), cv_colour(rgb, rng.uniform(0.3, 0.8)), -1)
    row = max(7, int((y2 - y1) / rng.integers(2, 7)))
    for y in range(y1 + row, y2 + 1, row):
        x = float(x1 + 2)
        while x < x2 - 3:
            x += _shelf_object(rng, pixels, x, y, row)
        cv2.line(pixels, (x1, y), (x2, y), cv_colour(rgb), max(1, row // 10))
    for x_side in (x1, x2):
        cv2.line(pixels, (x_side, y1), (x_side, y2), cv_colour(rgb), max(1, row // 10))


def _shelf_object(rng: Rng, pixels: Pixels, x: float, y: int, room: float) -> float:
    """Paint an object standing at (x, y), lower than `room`; returns its width."""
    tall, rgb = room * rng.uniform(0.35, 0.85), object_colour(rng)
    kind = pick(rng, (0.5, 0.2, 0.2, 0.2))
    wide = tall * (rng.uniform(0.12, 0.35), rng.uniform(0.25, 0.4), 0.9, 1.2)[kind]
    if kind == 2:
        axes = np.array([wide, tall]) / 2
        shaded_oval(rng, pixels, np.array([x + wide / 2, y - tall / 2]), axes, 0, rgb)
    else:
        low = y - tall * (0.6 if kind == 1 else 1.0)
        ends = (int(x), int(low)), (int(x + wide), y)
        cv2.rectangle(pixels, *ends, cv_colour(rgb), -1)
        bright = (int(x + 0.25 * wide), int(low)), (int(x + 0.45 * wide), y)
        cv2.rectangle(pixels, *bright, cv_colour(rgb, 1.2), -1)
        if kind == 1:
            neck = int(x + wide / 2)
            thick = max(1, int(wide / 3))
            cv2.line(pixels, (neck, int(low)), (neck, int(y - tall)), cv_colour(rgb, 0.9), thick)
    return wide + rng.uniform(0, 0.15) * room


def food(rng: Rng, pixels: Pixels) -> None:
    """Paint a plate or bowl with food, seen from above or at an angle."""
    height, width = pixels.shape[:2]
    at = rng.uniform(0.05, 0.95, 2) * (width, height)
    r, flat = height * rng.uniform(0.08, 0.4), rng.uniform(0.4, 1.0)
    plate = object_colour(rng) if happens(rng, 0.5) else texture.family_colour(rng, texture.WHITES)
    shaded_oval(rng, pixels, at, r * np.array([1, flat]), 0, plate)
    pile(rng, pixels, at, 0.75 * r * np.array([1, flat]))


def pile(rng: Rng, pixels: Pixels, at: Floats, reach: Floats) -> None:
    """Paint a pile of fruit, bread or vegetables: round and long objects in few colours."""
    colours = [
        texture.family_colour(rng, texture.FRUITS) if happens(rng, 0.6) else object_colour(rng)
        for _ in range(3)
    ]
    size = float(reach.mean()) * rng.uniform(0.15, 0.6)
    long = happens(rng, 0.4)
    angle = rng.uniform(0, np.pi)
    for _ in range(int(rng.integers(1, 14))):
        place = at + rng.normal(0, 0.45, 2) * reach
        rgb = colours[pick(rng, (0.7, 0.2, 0.1))] * rng.uniform(0.85, 1.1)
        if long:
            turned = angle + rng.normal(0, 0.4)
            half = size * np.array([np.cos(turned), np.sin(turned)]) * 1.3
            shaded_stick(rng, pixels, place - half, place + half, max(size * 0.7, 2), rgb)
        else:
            axes = size * rng.uniform(0.7, 1, 2) * 0.8
            shaded_oval(rng, pixels, place, axes, rng.uniform(0, 180), rgb)


def large_pile(rng: Rng, pixels: Pixels) -> None:
    """Paint a large pile anywhere."""
    height, width = pixels.shape[:2]
    at = rng.uniform(0.1, 0.9, 2) * (width, height)
    pile(rng, pixels, at, height * rng.uniform(0.1, 0.5, 2))


def poster(rng: Rng, pixels: Pixels) -> None:
    """Paint a picture, screen or sign: a frame around shapes or letters."""
    box = _box(rng, pixels, (0.15, 0.8), (0.12, 0.5))
    part = _part(pixels, box)
    if min(part.shape[:2]) < 6:
        return
    part[:] = cloudy(rng, *part.shape[:2]) if happens(rng, 0.5) else to_pixels(object_colour(rng))
    if happens(rng, 0.5):
        leaves(rng, part)
    for _ in range(int(rng.integers(0, 4))):
        _letters(rng, part)
    cv2.rectangle(pixels, box[:2], box[2:], cv_colour(object_colour(rng)), int(rng.integers(1, 5)))


def _letters(rng: Rng, part: Pixels) -> None:
    word = WORDS[int(rng.integers(0, len(WORDS)))]
    at = (int(rng.uniform(0, 0.7) * part.shape[1]), int(rng.uniform(0.2, 1) * part.shape[0]))
    size = part.shape[0] / 60 * rng.uniform(0.5, 2)
    font, rgb = int(rng.integers(0, 5)), cv_colour(object_colour(rng))
    cv2.putText(part, word, at, font, size, rgb, 1 + int(size), cv2.LINE_AA)


def facade(rng: Rng, pixels: Pixels) -> None:
    """Paint a facade: a grid of windows or cupboard doors."""
    box = _box(rng, pixels, (0.5, 2.0), (0.4, 1.0))
    x1, y1, x2, y2 = box
    rgb, glass = texture.natural_colour(rng), texture.natural_colour(rng) * rng.uniform(0.3, 1.1)
    cv2.rectangle(pixels, (x1, y1), (x2, y2), cv_colour(rgb), -1)
    wide, tall = (max(5, int((y2 - y1) * rng.uniform(0.1, 0.5))) for _ in range(2))
    gap = rng.uniform(0.05, 0.3)
    for y in range(y1, y2, tall):
        for x in range(x1, x2, wide):
            ends = (int(x + gap * wide), int(y + gap * tall)), (x + wide - 1, y + tall - 1)
            cv2.rectangle(pixels, *ends, cv_colour(glass, rng.uniform(0.75, 1.25)), -1)
            if happens(rng, 0.3):
                cv2.line(pixels, *ends, cv_colour(glass, 1.3), 1)


def vehicle(rng: Rng, pixels: Pixels) -> None:
    """Paint a bus, train, boat or plane from the side: a long body, windows, wheels."""
    x1, y1, x2, y2 = _box(rng, pixels, (0.7, 2.5), (0.25, 0.8))
    h, rgb = y2 - y1, texture.natural_colour(rng) if happens(rng, 0.5) else object_colour(rng)
    body = np.array([[x1, y1 + h // 5], [x1 + h // 6, y1], [x2 - h // 6, y1], [x2, y1 + h // 5],
                     [x2, y2 - h // 6], [x1, y2 - h // 6]])  # fmt: skip
    cv2.fillConvexPoly(pixels, body.astype(np.int32), cv_colour(rgb), cv2.LINE_AA)
    stripe = (x1, y1 + int(h * 0.6)), (x2, y1 + int(h * rng.uniform(0.62, 0.75)))
    cv2.rectangle(pixels, *stripe, cv_colour(object_colour(rng)), -1)
    wide = max(4, int(h * rng.uniform(0.12, 0.5)))
    dark = texture.family_colour(rng, texture.DARKS)
    for x in range(x1 + h // 8, x2 - h // 8, wide):
        ends = (x, y1 + int(h * 0.15)), (x + int(wide * 0.85), y1 + int(h * 0.5))
        cv2.rectangle(pixels, *ends, cv_colour(dark, rng.uniform(0.8, 2.2)), -1)
    if happens(rng, 0.6):
        _letters(rng, _part(pixels, (x1 + 2, y1 + h // 2, x2, y2)))
    for share in (0.2, 0.8):
        place = np.array([x1 + share * (x2 - x1), y2 - h / 7])
        shaded_oval(rng, pixels, place, np.full(2, h / 7 + 1), 0, dark)


def trunks(rng: Rng, pixels: Pixels) -> None:
    """Paint tree trunks and branches, near and far."""
    height, width = pixels.shape[:2]
    for _ in range(int(rng.integers(1, 8))):
        family = texture.WOODS if happens(rng, 0.7) else texture.STONES
        rgb, x = texture.family_colour(rng, family) * 0.8, rng.uniform(0, width)
        thick = height * rng.uniform(0.01, 0.12)
        foot = np.array([x, height * rng.uniform(0.6, 1.1)])
        top = np.array([x + rng.normal(0, 0.08) * height, -5.0])
        shaded_stick(rng, pixels, foot, top, thick, rgb)
        for _ in range(int(rng.integers(0, 5))):
            s = rng.uniform(0.2, 0.8)
            at = foot * (1 - s) + top * s
            end = at + rng.normal(0, 0.2, 2) * height - (0, 0.15 * height)
            shaded_stick(rng, pixels, at, end, max(1, thick * rng.uniform(0.2, 0.6)), rgb)


def folds(rng: Rng, pixels: Pixels) -> None:
    """Paint curtains, blankets or cloth: soft shading in one colour."""
    box = _box(rng, pixels, (0.2, 1.2), (0.3, 1.0))
    part = _part(pixels, box)
    if min(part.shape[:2]) < 6:
        return
    h, w = part.shape[:2]
    wave = streaks(rng, h, w, int(rng.integers(4, 14)), rng.uniform(0.5, 1.5))
    if happens(rng, 0.3):
        wave = np.ascontiguousarray(streaks(rng, w, h, int(rng.integers(3, 9)), 1.0).T)
    gain = 1 + rng.uniform(0.08, 0.28) * wave[..., None]
    part[:] = to_pixels(object_colour(rng) * gain)


def furniture(rng: Rng, pixels: Pixels) -> None:
    """Paint a sofa, cupboard or bed: a wide block with cushions and legs."""
    x1, y1, x2, y2 = _box(rng, pixels, (0.3, 1.2), (0.2, 0.6))
    h, rgb = y2 - y1, object_colour(rng)
    back = (x1, y1), (x2, y2 - h // 8)
    cv2.rectangle(pixels, *back, cv_colour(rgb, 0.75), -1)
    part = _part(pixels, (x1, y1, x2, y2 - h // 8))
    if happens(rng, 0.4) and min(part.shape[:2]) > 5:
        part[:] = planks(rng, *part.shape[:2])
    for i in range(int(rng.integers(0, 5))):
        at = np.array([x1 + (i + 0.5) * (x2 - x1) / 4, y1 + h * rng.uniform(0.3, 0.7)])
        axes = h * np.array([rng.uniform(0.2, 0.45), rng.uniform(0.12, 0.3)])
        shaded_oval(
            rng,
            pixels,
            at,
            axes,
            rng.normal(0, 15),
            rgb if happens(rng, 0.6) else object_colour(rng),
        )
    for x in (x1 + 3, x2 - 3):
        legs = (x, y2 - h // 8), (x, y2)
        cv2.line(
            pixels, *legs, cv_colour(texture.family_colour(rng, texture.WOODS)), max(1, h // 16)
        )


def bokeh(rng: Rng, pixels: Pixels) -> None:
    """Paint out-of-focus lights."""
    height, width = pixels.shape[:2]
    over = pixels.copy()
    r = height * rng.uniform(0.01, 0.07)
    for _ in range(int(rng.integers(5, 40))):
        at = (int(rng.uniform(0, width)), int(rng.uniform(0, 0.8) * height))
        rgb = cv_colour(texture.family_colour(rng, texture.FRUITS + texture.WHITES), 1.2)
        cv2.circle(over, at, max(1, int(r * rng.uniform(0.7, 1.2))), rgb, -1, cv2.LINE_AA)
    share = rng.uniform(0.3, 0.8)
    pixels[:] = cv2.addWeighted(over, share, pixels, 1 - share, 0)


def haze(rng: Rng, pixels: Pixels) -> None:
    """Modulate the image with light and dark patches."""
    height, width = pixels.shape[:2]
    gain = 1 + rng.uniform(0.05, 0.3) * noise(rng, height, width, 5, rng.uniform(0.8, 2))
    pixels[:] = to_pixels(pixels * gain[..., None])


Painter = Callable[[Rng, Pixels], None]
WALL_OBJECTS: tuple[Painter, ...] = (
    rack, shelves, shelves, poster, poster, facade,
    folds, folds, furniture, furniture, large_pile, trunks,
)  # fmt: skip
OUTDOOR_OBJECTS: tuple[Painter, ...] = (
    facade, facade, vehicle, vehicle, trunks, trunks, poster, large_pile, folds,
)  # fmt: skip
TABLE_OBJECTS: tuple[Painter, ...] = (food, food, large_pile, large_pile, poster, folds)
