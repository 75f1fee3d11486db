"""Seats, beds and mounts, in the person's frame of reference, so that they move along."""

from __future__ import annotations

import numpy as np

from stadkit.synth.draws import Floats, Rng, colour, happens
from stadkit.synth.figure import Material, Model
from stadkit.synth.texture import cloth, plain


def materials(rng: Rng) -> tuple[Material, ...]:
    """Draw two materials: for the body and for the frame."""
    body = cloth(rng, 0.08) if happens(rng, 0.5) else plain(rng, colour(rng), 0.06)
    return Material(*body), Material(colour(rng))


def seat(rng: Rng, height: float, size: float) -> Model:
    """Draw a chair, stool, armchair or bench with the seat at `height`."""
    model, kind = Model(), rng.random()
    half, top = 0.13 * size * rng.uniform(0.9, 1.4), max(height - 0.07 * size, 0.05)
    wide = half * (3.0 if kind > 0.85 else 1.0)
    thick = top * 0.9 if kind < 0.25 else 0.04 * size
    model.box((-wide, top - thick, -half), (wide, top, half), 0, 0.05)
    if kind > 0.25:
        for x in (-wide, wide):
            for z in (-half, half):
                foot, end = model.point(x, 0.01, z), model.point(x, top - thick, z)
                model.limb(foot, end, 0.012 * size, 0.012 * size, 1)
    if happens(rng, 0.7):
        tall = top + rng.uniform(0.15, 0.4) * size
        model.box((-wide, top, -half - 0.03 * size), (wide, tall, -half), 0, 0.06)
    return model


def bed(rng: Rng, height: float, size: float) -> Model:
    """Draw a bed, bench or mat for a lying person, its top at `height`."""
    model = Model()
    wide, long = rng.uniform(0.2, 0.5) * size, rng.uniform(0.45, 0.7) * size
    model.box((-wide, 0.0, -long), (wide, max(height, 0.015), long), 0, 0.3)
    if happens(rng, 0.4):
        model.box((-wide, height, -long), (wide, height + 0.05, -long + 0.15 * size), 1, 0.25)
    return model


def bicycle(size: float) -> Model:
    """A bicycle: two wheels, a frame, a saddle and a handlebar."""
    model, radius = Model(), 0.185 * size
    for z in (-0.3 * size, 0.32 * size):
        model.wheel(z, radius, 0.01 * size, 1, spokes=True)
    rear, front = model.point(0, radius, -0.3 * size), model.point(0, radius, 0.32 * size)
    crank, saddle = model.point(0, 0.15 * size, 0.02), model.point(0, 0.5 * size, -0.08 * size)
    head = model.point(0, 0.5 * size, 0.25 * size)
    for a, b in ((rear, crank), (crank, saddle), (saddle, rear), (crank, head), (saddle, head),
                 (head, front)):  # fmt: skip
        model.limb(a, b, 0.012 * size, 0.012 * size, 0)
    left = model.point(-0.13 * size, 0.57 * size, 0.26 * size)
    right = model.point(0.13 * size, 0.57 * size, 0.26 * size)
    model.limb(left, right, 0.012 * size, 0.012 * size, 1)
    model.limb(head, right, 0.012 * size, 0.01 * size, 1)
    return model


def motorcycle(size: float) -> Model:
    """A motorcycle: two thick wheels and a body between them."""
    model, radius = Model(), 0.17 * size
    for z in (-0.36 * size, 0.4 * size):
        model.wheel(z, radius, 0.02 * size, 1, spokes=False)
    ends = tuple(model.point(0, y * size, z * size) for y, z in
                 ((0.36, -0.35), (0.22, -0.1), (0.22, 0.2), (0.46, 0.3), (0.36, 0.0)))  # fmt: skip
    model.hull(ends, 0.06 * size, 0)
    fork, axle = model.point(0, 0.5 * size, 0.3 * size), model.point(0, radius, 0.4 * size)
    model.limb(fork, axle, 0.02 * size, 0.02 * size, 1)
    left = model.point(-0.17 * size, 0.54 * size, 0.25 * size)
    model.limb(left, model.point(0.17 * size, 0.54 * size, 0.25 * size), 0.012, 0.012, 1)
    return model


def scooter(size: float) -> Model:
    """A scooter: a board on two small wheels with an upright handlebar."""
    model = Model()
    for z in (-0.2 * size, 0.25 * size):
        model.wheel(z, 0.04 * size, 0.012 * size, 1, spokes=False)
    back, front = model.point(0, 0.05 * size, -0.2 * size), model.point(0, 0.05 * size, 0.2 * size)
    model.limb(back, front, 0.025 * size, 0.025 * size, 0)
    top = model.point(0, 0.55 * size, 0.2 * size)
    model.limb(front, top, 0.014 * size, 0.012 * size, 1)
    left = model.point(-0.12 * size, 0.55 * size, 0.2 * size)
    model.limb(left, model.point(0.12 * size, 0.55 * size, 0.2 * size), 0.012, 0.012, 1)
    return model


def animal(t: Floats, size: float, rate: float, neck: float, long: float) -> Model:
    """An animal: four walking legs, a trunk, a neck, a head and a tail; `size`: height of its back.

    `rate` is in Hz; `neck` (in heights) makes it a horse (.45) or a dog (.15).
    """
    model, half = Model(), long * size / 2
    rear, front = model.point(0, 0.82 * size, -half), model.point(0, 0.84 * size, half)
    model.limb(rear, front, 0.19 * size, 0.2 * size, 0)
    for i, (x, z) in enumerate(((-0.1, -half), (0.1, -half), (-0.1, half), (0.1, half))):
        swing = 0.22 * size * np.sin(2 * np.pi * rate * t + np.pi * (i in (0, 3)))
        hip, knee = (
            model.point(x * size, 0.75 * size, z),
            model.point(x * size, 0.4 * size, z + 0.6 * swing),
        )
        hoof = model.point(x * size, 0.03 * size + 0.15 * np.maximum(swing, 0), z + swing)
        model.limb(hip, knee, 0.09 * size, 0.055 * size, 0)
        model.limb(knee, hoof, 0.05 * size, 0.035 * size, 0)
    poll = model.point(0, (0.95 + neck) * size, half + (0.2 + 0.5 * neck) * size)
    nose = model.point(0, (0.82 + neck) * size, half + (0.45 + 0.5 * neck) * size)
    model.limb(front, poll, 0.14 * size, 0.09 * size, 0)
    model.limb(poll, nose, 0.1 * size, 0.055 * size, 0)
    wag = 0.1 * size * np.sin(2 * np.pi * 1.5 * rate * t)
    tail = model.point(wag, 0.7 * size, -half - 0.35 * size)
    model.limb(rear, tail, 0.05 * size, 0.03 * size, 1)
    return model
