"""Gear that people hold or stand on: rackets, bats, boards, skis, umbrellas, cups, books.

It occludes people, as in photographs, and is not part of their boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from stadkit.synth.actors import Actor
from stadkit.synth.clutter import object_colour
from stadkit.synth.draws import Floats, Rng, colour, happens
from stadkit.synth.figure import Figure, Material, Part
from stadkit.synth.skeleton import ANKLE, HAND, HEAD, PELVIS, TOE, WRIST
from stadkit.synth.texture import cloth

Gear = tuple[list[Floats], list[Part]]  # points [T, 3], and parts indexing them from 0
BODY, FRAME = 0, 1  # materials


def carry(rng: Rng, actor: Actor, size: float) -> Actor:
    """The actor with a random object in its hands or under its feet."""
    maker = MAKERS[int(rng.integers(0, len(MAKERS)))]
    points, parts = maker(rng, actor.figure.world, size)
    return replace(actor, figure=_add_parts(rng, actor.figure, points, parts))


def _add_parts(rng: Rng, figure: Figure, points: list[Floats], parts: list[Part]) -> Figure:
    first, first_material = figure.world.shape[1], len(figure.materials)
    added = tuple(
        Part(
            tuple(p + first for p in part.points),
            part.radii,
            part.material + first_material,
            part.bias,
        )
        for part in parts
    )
    assert figure.visible is not None
    always_visible = np.ones((len(figure.world), len(added)), np.bool_)
    body = Material(*cloth(rng, 0.03), 0.4) if happens(rng, 0.4) else Material(object_colour(rng))
    return replace(
        figure,
        world=np.concatenate([figure.world, np.stack(points, 1)], 1),
        parts=figure.parts + added,
        materials=(*figure.materials, body, Material(colour(rng))),
        visible=np.concatenate([figure.visible, always_visible], 1),
    )


def _unit(v: Floats) -> Floats:
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-6))


def _grip(rng: Rng, p: Floats) -> tuple[Floats, Floats, Floats]:
    """A hand [T, 3], the direction of an object in it, and a perpendicular direction."""
    side = int(rng.integers(0, 2))
    ahead = _unit(p[:, HAND[side]] - p[:, WRIST[side]])
    ahead = _unit(ahead + rng.normal(0, 0.5, 3))
    across = _unit(np.cross(ahead, rng.normal(0, 1, 3)))
    return p[:, HAND[side]], ahead, across


def _racket(rng: Rng, p: Floats, size: float) -> Gear:
    hand, ahead, across = _grip(rng, p)
    throat, middle = hand + 0.14 * size * ahead, hand + 0.26 * size * ahead
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    ring = [middle + size * (0.11 * np.cos(a) * ahead + 0.075 * np.sin(a) * across) for a in angles]
    around = list(zip(range(2, 10), [*range(3, 10), 2], strict=True))
    parts = [Part((0, 1), (0.012 * size, 0.01 * size), FRAME, -0.01)]
    parts += [Part(pair, (0.007 * size,) * 2, FRAME) for pair in around]
    return [hand, throat, *ring], parts


def _stick(rng: Rng, p: Floats, size: float) -> Gear:
    """A bat, club, pole, broom or paddle."""
    hand, ahead, _ = _grip(rng, p)
    long, thick = rng.uniform(0.3, 0.9) * size, rng.uniform(0.008, 0.022) * size
    start = hand - rng.uniform(0.02, 0.3) * long * ahead
    thicker = thick * rng.uniform(0.8, 2.2)
    return [start, hand + long * ahead], [Part((0, 1), (thick, thicker), BODY)]


def _ball(rng: Rng, p: Floats, size: float) -> Gear:
    hand, ahead, _ = _grip(rng, p)
    radius = rng.uniform(0.02, 0.08) * size
    at = hand + (radius + 0.02) * ahead
    if happens(rng, 0.4):  # on the ground in front of the feet
        at = p[:, TOE[0]] + rng.uniform(-0.3, 0.3, 3) * (1, 0, 1)
        at[:, 1] = radius
    return [at], [Part((0,), (radius,), BODY, -0.02)]


def _board(rng: Rng, p: Floats, size: float) -> Gear:
    """A skateboard, snowboard or surfboard under both feet."""
    feet = (p[:, ANKLE[0]] + p[:, ANKLE[1]]) / 2 - np.array([0, 0.05 * size, 0])
    along = _unit(p[:, ANKLE[0]] - p[:, ANKLE[1]] + np.array([1e-3, 0, 0]))
    if happens(rng, 0.4):
        along = _unit(p[:, TOE[0]] - p[:, ANKLE[0]])
    half, wide = rng.uniform(0.2, 0.6) * size, rng.uniform(0.03, 0.09) * size
    across = _unit(np.cross(along, np.array([0.0, 1.0, 0.0])))
    points = [feet + half * along, feet - half * along]
    points += [feet + 0.5 * half * s * along + wide * w * across for s in (-1, 1) for w in (-1, 1)]
    return points, [Part((0, 1, 2, 3, 4, 5), (0.012 * size,) * 6, BODY, 0.02)]


def _skis(rng: Rng, p: Floats, size: float) -> Gear:
    points, parts = [], []
    for i, (ankle, toe, hand) in enumerate(zip(ANKLE, TOE, HAND, strict=True)):
        along = _unit((p[:, toe] - p[:, ankle]) * (1, 0.2, 1))
        foot = p[:, ankle] - np.array([0, 0.04 * size, 0])
        tip = p[:, hand] - np.array([0, 0.5 * size, 0]) - 0.2 * size * along
        points += [foot - 0.35 * size * along, foot + 0.5 * size * along, p[:, hand], tip]
        parts.append(Part((4 * i, 4 * i + 1), (0.016 * size, 0.014 * size), BODY))
        parts.append(Part((4 * i + 2, 4 * i + 3), (0.007 * size,) * 2, FRAME))
    return points, parts


def _umbrella(rng: Rng, p: Floats, size: float) -> Gear:
    hand, _, _ = _grip(rng, p)
    lean = rng.normal(0, 0.15, 3) * (1, 0, 1)
    up = _unit(np.array([0.0, 1.0, 0.0]) + lean)
    top = np.maximum(hand[:, 1], p[:, HEAD, 1]) + 0.22 * size
    tip = hand + up * (top - hand[:, 1])[:, None]
    r = rng.uniform(0.2, 0.36) * size
    angles = np.linspace(0, 2 * np.pi, 9)[:-1]
    rim = [tip + r * np.array([np.cos(a), -0.35, np.sin(a)]) for a in angles]
    parts = [Part((0, 1), (0.007 * size,) * 2, FRAME), Part(tuple(range(1, 10)), (0.01,) * 9, BODY)]
    return [hand, tip, *rim], parts


def _small(rng: Rng, p: Floats, size: float) -> Gear:
    """A cup, can, phone or microphone."""
    hand, ahead, across = _grip(rng, p)
    along = across if happens(rng, 0.5) else ahead
    half, r = rng.uniform(0.015, 0.07) * size, rng.uniform(0.01, 0.03) * size
    return [hand - half * along, hand + half * along], [Part((0, 1), (r, r), BODY, -0.03)]


def _sheet(rng: Rng, p: Floats, size: float) -> Gear:
    """A book, paper, tray or box held in front of the body."""
    middle = (p[:, HAND[0]] + p[:, HAND[1]]) / 2
    side = _unit(p[:, HAND[1]] - p[:, HAND[0]] + np.array([1e-3, 0, 0]))
    up = _unit(np.array([0.0, 1.0, 0.0]) + rng.normal(0, 0.5, 3))
    w, h = rng.uniform(0.05, 0.16, 2) * size
    points = [middle + w * a * side + h * b * up for a in (-1, 1) for b in (-1, 1)]
    return points, [Part((0, 1, 2, 3), (0.006 * size,) * 4, BODY, -0.03)]


def _pack(rng: Rng, p: Floats, size: float) -> Gear:
    """A shoulder bag at the hip."""
    hip = p[:, PELVIS] + rng.choice((-0.14, 0.14)) * size * np.array([1.0, 0, 0])
    low = hip - np.array([0, rng.uniform(0.05, 0.15) * size, 0])
    r = rng.uniform(0.04, 0.08) * size
    return [hip, low], [Part((0, 1), (r, r * 1.2), BODY, -0.02)]


MAKERS: tuple[Callable[[Rng, Floats, float], Gear], ...] = (
    _racket,
    _stick,
    _stick,
    _ball,
    _board,
    _board,
    _skis,
    _umbrella,
    _small,
    _small,
    _sheet,
    _pack,
)
