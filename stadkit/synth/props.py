"""Props: distractors built from the same parts, cloth and light as people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stadkit.synth.draws import Floats, Rng, colour, happens, pick
from stadkit.synth.face import draw_contrast
from stadkit.synth.figure import Figure, Material, Model
from stadkit.synth.mounts import animal, bicycle, motorcycle, seat
from stadkit.synth.skeleton import to_world
from stadkit.synth.texture import cloth, plain


def draw_prop(rng: Rng, t: Floats, x: float, z: float, number: int) -> Figure:
    """Draw a prop on the ground, at (x, z) at time 0, still or moving; t [T] in seconds."""
    kind = pick(rng, WEIGHTS)
    model, speed = MAKERS[kind](rng, t)
    yaw = rng.uniform(0, 2 * np.pi)
    drift = speed * t
    world = to_world(
        model.moved(len(t)),
        x + drift * np.sin(yaw),
        np.maximum(z + drift * np.cos(yaw), 0.5),
        np.full(len(t), yaw),
    )
    return Figure(
        world=world,
        parts=tuple(model.parts),
        materials=_materials(rng),
        contrast=draw_contrast(rng),
        axis=_axis(world),
        number=number,
    )


def _axis(world: Floats) -> tuple[int, int]:
    """The lowest and the highest point, which orient the cloth."""
    height = world[0, :, 1]
    return int(height.argmin()), int(height.argmax())


def _materials(rng: Rng) -> tuple[Material, ...]:
    out = []
    for _ in range(3):
        body = cloth(rng, rng.uniform(0.02, 0.16)) if happens(rng, 0.5) else None
        out.append(Material(*(body or plain(rng, colour(rng), rng.uniform(0.02, 0.25))), 0.3))
    return tuple(out)


def _tree(rng: Rng, t: Floats) -> tuple[Model, float]:
    model, tall = Model(), rng.uniform(0.9, 2.5)
    thick = rng.uniform(0.025, 0.11)
    sway = 0.02 * np.sin(2 * np.pi * 0.4 * t + rng.uniform(0, 6))
    foot, fork = model.point(0, 0, 0), model.point(sway, tall * 0.55, 0)
    model.limb(foot, fork, thick * 1.3, thick * 0.9, 0)
    for _ in range(int(rng.integers(1, 6))):
        dx, dz = rng.normal(0, 0.22, 2) * tall
        end = model.point(dx + 3 * sway, tall * rng.uniform(0.6, 1.0), dz)
        model.limb(fork, end, thick * 0.7, thick * 0.4, 0)
        if happens(rng, 0.7):
            model.hull((end,), tall * rng.uniform(0.1, 0.28), 1)
    return model, 0.0


def _lamp(rng: Rng, t: Floats) -> tuple[Model, float]:
    model, tall = Model(), rng.uniform(0.6, 2.4)
    foot, top = model.point(0, 0, 0), model.point(0, tall, 0)
    model.limb(foot, top, rng.uniform(0.015, 0.04), 0.015, 0)
    if happens(rng, 0.7):
        shade = model.point(rng.uniform(-0.2, 0.2), tall * 1.03, 0)
        model.limb(top, shade, 0.02, rng.uniform(0.03, 0.12), 1)
    if happens(rng, 0.5):
        model.hull((foot,), rng.uniform(0.05, 0.12), 2)
    return model, 0.0


def _coat_stand(rng: Rng, t: Floats) -> tuple[Model, float]:
    """A coat on a stand: shoulders and sleeves without head, hands and legs."""
    model, top, drop = Model(), rng.uniform(0.65, 1.1), rng.uniform(0.25, 0.5)
    sway = 0.015 * np.sin(2 * np.pi * 0.5 * t)
    if happens(rng, 0.7):
        model.limb(model.point(0, 0, 0), model.point(0, top + 0.03, 0), 0.014, 0.012, 1)
    half = rng.uniform(0.08, 0.13)
    left, right = model.point(-half, top, 0), model.point(half, top, 0)
    hem = model.point(sway - half, top - drop, 0), model.point(sway + half, top - drop, 0)
    model.hull((left, right, *hem), 0.04, 0)
    if happens(rng, 0.6):
        for side, sign in ((left, -1), (right, 1)):
            cuff = model.point(sway + sign * (half + 0.05), top - rng.uniform(0.2, 0.32), 0.02)
            model.limb(side, cuff, 0.04, 0.03, 0)
    return model, 0.0


def _chair(rng: Rng, t: Floats) -> tuple[Model, float]:
    return seat(rng, rng.uniform(0.3, 0.5), rng.uniform(0.8, 1.3)), 0.0


def _animal(rng: Rng, t: Floats) -> tuple[Model, float]:
    walking = happens(rng, 0.6)
    size, neck = rng.uniform(0.18, 0.95), rng.uniform(0.02, 0.5)
    rate = rng.uniform(0.8, 2.2) if walking else 0.0
    model = animal(t, size, rate, neck, rng.uniform(0.8, 1.5))
    return model, size * rate * 0.9


def _ball(rng: Rng, t: Floats) -> tuple[Model, float]:
    model, radius = Model(), rng.uniform(0.04, 0.25)
    hop = rng.uniform(0, 0.5) * abs(np.sin(2 * np.pi * rng.uniform(0.5, 1.2) * t))
    middle = model.point(0, radius + hop, 0)
    model.hull((middle,), radius, 0)
    model.points.append(model.points[0] + np.array([0, radius, 0]))
    return model, rng.uniform(0, 1.5)


def _box(rng: Rng, t: Floats) -> tuple[Model, float]:
    """A crate, cupboard, bin or bollard, often as tall as a person."""
    model = Model()
    wide, deep, tall = rng.uniform(0.05, 0.4), rng.uniform(0.05, 0.3), rng.uniform(0.15, 1.2)
    model.box((-wide, 0, -deep), (wide, tall, deep), 0)
    if happens(rng, 0.5):
        model.box((-wide * 0.9, tall, -deep * 0.9), (wide * 0.7, tall * 1.3, deep * 0.5), 1, -0.01)
    return model, 0.0


def _car(rng: Rng, t: Floats) -> tuple[Model, float]:
    model, size = Model(), rng.uniform(0.8, 1.1)
    model.box((-0.5 * size, 0.12, -1.2 * size), (0.5 * size, 0.5 * size, 1.2 * size), 0)
    model.box((-0.45 * size, 0.5 * size, -0.8), (0.45 * size, 0.85 * size, 0.5), 1, -0.02)
    for x in (-0.5 * size, 0.5 * size):
        for z in (-0.75 * size, 0.75 * size):
            model.hull((model.point(x, 0.16, z),), 0.17, 2)
    return model, rng.uniform(0, 3) if happens(rng, 0.6) else 0.0


def _cycle(rng: Rng, t: Floats) -> tuple[Model, float]:
    return (bicycle if happens(rng, 0.6) else motorcycle)(rng.uniform(0.85, 1.1)), 0.0


def _bush(rng: Rng, t: Floats) -> tuple[Model, float]:
    model, size = Model(), rng.uniform(0.1, 0.4)
    for _ in range(int(rng.integers(2, 9))):
        dx, dz = rng.normal(0, 0.8, 2) * size
        ball = model.point(dx, rng.uniform(0.4, 2.2) * size, dz)
        model.hull((ball,), size * rng.uniform(0.4, 0.8), int(rng.integers(0, 2)))
    return model, 0.0


def _tangle(rng: Rng, t: Floats) -> tuple[Model, float]:
    """Randomly joined swaying limbs that form no person."""
    model = Model()
    last = model.point(0, rng.uniform(0, 0.7), 0)
    for _ in range(int(rng.integers(2, 9))):
        base = model.points[last]
        step = rng.normal(0, 0.2, 3)
        swing = 0.06 * np.sin(2 * np.pi * rng.uniform(0.3, 1.5) * t)[:, None] * rng.normal(0, 1, 3)
        place = base + step + swing
        end = model.point(place[..., 0], np.maximum(place[..., 1], 0.02), place[..., 2])
        thick, thin = rng.uniform(0.015, 0.09), rng.uniform(0.015, 0.09)
        model.limb(last, end, thick, thin, int(rng.integers(0, 3)))
        last = end if happens(rng, 0.5) else int(rng.integers(0, len(model.points)))
    return model, rng.uniform(0, 1.2) if happens(rng, 0.3) else 0.0


def _table(rng: Rng, t: Floats) -> tuple[Model, float]:
    model = Model()
    wide, deep, tall = rng.uniform(0.2, 0.7), rng.uniform(0.15, 0.4), rng.uniform(0.35, 0.5)
    model.box((-wide, tall - 0.03, -deep), (wide, tall, deep), 0)
    for x in (-wide, wide):
        for z in (-deep, deep):
            model.limb(model.point(x, 0, z), model.point(x, tall, z), 0.015, 0.015, 1)
    for _ in range(int(rng.integers(0, 4))):
        x, high = rng.uniform(-wide, wide), rng.uniform(0.05, 0.25)
        foot, top = model.point(x, tall + 0.03, 0), model.point(x, tall + high, 0)
        model.limb(foot, top, rng.uniform(0.01, 0.06), rng.uniform(0.01, 0.06), 2)
    return model, 0.0


MAKERS: tuple[Callable[[Rng, Floats], tuple[Model, float]], ...] = (
    _tree,
    _lamp,
    _coat_stand,
    _chair,
    _animal,
    _ball,
    _box,
    _car,
    _cycle,
    _bush,
    _tangle,
    _table,
)
WEIGHTS = (1.0, 0.8, 0.6, 1.1, 1.3, 0.6, 1.1, 0.5, 0.4, 0.8, 1.2, 0.8)
