"""Actors: a body with its clothes and timeline, and the chair, bed or mount that it uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stadkit.synth import mounts
from stadkit.synth.chance import Floats, Rng, happens
from stadkit.synth.classes import GESTURES, POSES
from stadkit.synth.figure import OWN, Figure, Part
from stadkit.synth.look import GADGET, Look, draw_look
from stadkit.synth.model import Model
from stadkit.synth.paths import Path
from stadkit.synth.people import person
from stadkit.synth.resting import bed_height, on_seat
from stadkit.synth.riding import mount_of
from stadkit.synth.skeleton import PELVIS, Build, joints, to_world
from stadkit.synth.timeline import Stretch, Timeline, draw_stretches, play

Mask = NDArray[np.bool_]
PHONE = GESTURES.index("phone")


@dataclass(frozen=True)
class Actor:
    """Somebody at given times."""

    figure: Figure
    timeline: Timeline


@dataclass(frozen=True)
class Role:
    """What is known of an actor before it has a place: body, clothes, timeline, points."""

    build: Build
    look: Look
    timeline: Timeline
    local: Floats  # [T, K, 3]  the body in its own frame
    make: Callable[..., Figure] = person  # of its points, build, look, telephone and number

    @property
    def speed(self) -> Floats:
        """[T] body heights a second along the heading."""
        return self.timeline.motion.speed * self.build.scale


def draw_role(rng: Rng, t: Floats, upper: bool = False) -> Role:
    """Somebody who acts at times t [T], seconds; `upper`: seen from the hips up."""
    build, look = Build.draw(rng), draw_look(rng)
    timeline = play(draw_stretches(rng, float(t[0]), float(t[-1]), upper), t)
    return Role(build, look, timeline, joints(timeline.motion, build))


def place(rng: Rng, role: Role, path: Path, number: int) -> Actor:
    """The actor on its path, with what it sits, lies or rides on."""
    figure = role.make(role.local, role.build, role.look, _phone(role.timeline), number)
    used = mounts.materials(rng)
    figure = replace(
        figure,
        shown=_shown(figure, role.timeline),
        # The materials between the look's and OWN are never asked for.
        materials=(*figure.materials, *figure.materials[:1] * (OWN - len(figure.materials)), *used),
    )
    for i, stretch in enumerate(role.timeline.stretches):
        now = role.timeline.stretch == i
        model = _support(rng, role, stretch, now) if now.any() else None
        if model is not None:
            figure = _using(figure, model, now)
    world = to_world(figure.world, path.x, path.z, path.yaw)
    return Actor(replace(figure, world=world), role.timeline)


def _phone(timeline: Timeline) -> int:
    for stretch in timeline.stretches:
        if stretch.gesture == PHONE:
            return stretch.manner.side
    return -1


def _shown(figure: Figure, timeline: Timeline) -> Mask:
    """Which parts are there [T, N]: all but the telephone between calls."""
    shown = np.ones((len(timeline.action), len(figure.parts)), np.bool_)
    calling = timeline.action[:, len(POSES) + PHONE]
    for n, part in enumerate(figure.parts):
        if part.material == GADGET:
            shown[:, n] = calling
    return shown


def _support(rng: Rng, role: Role, stretch: Stretch, now: Mask) -> Model | None:
    """What this stretch of action needs under it."""
    pose, q, size = POSES[stretch.pose], stretch.manner, role.build.scale
    height = float(np.median(role.local[now, PELVIS, 1]))
    if pose == "sit" and on_seat(q):
        return mounts.seat(rng, height, size) if happens(rng, 0.75) else None
    if pose == "lie" and bed_height(q) > 0.02:
        return mounts.bed(rng, bed_height(q) * size, size)
    if pose != "ride":
        return None
    if mount_of(q) == "horse":
        t = np.arange(len(role.local)) * 0.1
        return mounts.animal(t, 0.78 * size, 1.2, 0.45, 1.15)
    return {
        "bicycle": mounts.bicycle,
        "motorcycle": mounts.motorcycle,
        "scooter": mounts.scooter,
    }[mount_of(q)](size)


def _using(figure: Figure, model: Model, now: Mask) -> Figure:
    """The figure with a thing's parts added, there at the times `now` [T]."""
    first = figure.world.shape[1]
    parts = tuple(
        Part(tuple(p + first for p in part.points), part.radii, part.material + OWN, part.bias)
        for part in model.parts
    )
    assert figure.shown is not None
    there = np.repeat(now[:, None], len(parts), 1)
    return replace(
        figure,
        world=np.concatenate([figure.world, model.moved(len(now))], 1),
        parts=figure.parts + parts,
        shown=np.concatenate([figure.shown, there], 1),
    )
