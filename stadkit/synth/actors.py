"""Actors: a body with its clothes, its props, and what it does over time.

What one person does over time: stretches of a pose and a gesture, blended at their seams.

Actors: a body with its clothes and timeline, and the chair, bed or mount that it uses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stadkit.synth import mounts
from stadkit.synth.classes import CLASSES, GESTURES, POSES
from stadkit.synth.draws import Floats, Rng, happens, pick
from stadkit.synth.figure import OWN, Figure, Model, Part
from stadkit.synth.gestures import add_gesture
from stadkit.synth.look import GADGET, Look, draw_look
from stadkit.synth.paths import Path
from stadkit.synth.people import person
from stadkit.synth.poses import bed_height, mount_of, on_seat, pose_motion, turns_over
from stadkit.synth.skeleton import PELVIS, Build, Manner, Motion, joints, to_world

STRETCH = (1.2, 4.0)  # seconds that one action lasts
SEAM = 0.3  # seconds of blending
# Weights of the poses for a whole body in view, and for an upper body.
POSE_WEIGHTS = (0.24, 0.15, 0.12, 0.14, 0.11, 0.09, 0.08, 0.09)
UPPER_WEIGHTS = (0.45, 0.15, 0.07, 0.22, 0.05, 0.03, 0.02, 0.02)
# How likely a pose carries a gesture, and which (wave, clap, punch, kick, raise arms, phone).
GESTURE_CHANCE = (0.8, 0.45, 0.12, 0.5, 0.0, 0.4, 0.35, 0.35)
GESTURE_WEIGHTS = (
    (0.8, 0.8, 1.5, 2.3, 0.8, 0.7),
    (1.0, 0.8, 0.4, 0.0, 0.7, 1.2),
    (0.4, 0.0, 0.0, 0.0, 1.0, 0.3),
    (1.0, 1.3, 0.4, 0.0, 0.7, 1.3),
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, 0.3, 0.5, 0.8, 1.0, 0.0),
    (0.2, 0.0, 0.0, 0.0, 0.0, 1.0),
    (1.0, 0.0, 0.0, 0.0, 0.0, 0.7),
)
KICK = GESTURES.index("kick")
Mask = NDArray[np.bool_]
PHONE = GESTURES.index("phone")


@dataclass(frozen=True)
class Stretch:
    """One action: from `start` on, until the next stretch."""

    start: float  # seconds
    pose: int  # index in POSES
    gesture: int  # index in GESTURES, -1: none
    manner: Manner


@dataclass(frozen=True)
class Timeline:
    """A person's motion and true actions at given times."""

    motion: Motion
    action: NDArray[np.bool_]  # [T, C]
    stretch: NDArray[np.int32]  # [T]  index into stretches
    stretches: tuple[Stretch, ...]


def draw_stretches(rng: Rng, start: float, end: float, upper: bool = False) -> list[Stretch]:
    """Stretches that cover start..end; the first has begun before."""
    out, at = [], start - rng.uniform(0, STRETCH[1])
    while at < end:
        until = at + rng.uniform(*STRETCH)
        drawn = _draw_stretch(rng, at, upper)
        if until > start:
            out.append(drawn)
        at = until
    return out


def _draw_stretch(rng: Rng, start: float, upper: bool) -> Stretch:
    pose = pick(rng, UPPER_WEIGHTS if upper else POSE_WEIGHTS)
    gesture = -1
    if happens(rng, GESTURE_CHANCE[pose]):
        gesture = pick(rng, GESTURE_WEIGHTS[pose])
    if upper and gesture == KICK:  # nobody could see it
        gesture = -1
    manner = Manner.draw(rng)
    if POSES[pose] == "jump" and turns_over(manner):
        gesture = -1  # the hands are busy
    return Stretch(start, pose, gesture, manner)


def play(stretches: list[Stretch], t: Floats) -> Timeline:
    """The motion and labels of these stretches at times t [T], seconds, ascending."""
    motion, current = _play_one(stretches[0], t), np.zeros(len(t), np.int32)
    for i, stretch in enumerate(stretches[1:], 1):
        ramp = np.clip((t - stretch.start) / SEAM + 0.5, 0, 1)
        if ramp.any():
            motion = motion.blend(_play_one(stretch, t), ramp * ramp * (3 - 2 * ramp))
        current[t >= stretch.start] = i
    action = np.zeros((len(t), len(CLASSES)), np.bool_)
    for i, stretch in enumerate(stretches):
        action[current == i, stretch.pose] = True
        if stretch.gesture >= 0:
            action[current == i, len(POSES) + stretch.gesture] = True
    return Timeline(motion, action, current, tuple(stretches))


def _play_one(stretch: Stretch, t: Floats) -> Motion:
    motion = pose_motion(stretch.pose, t, stretch.manner)
    if stretch.gesture >= 0:
        add_gesture(motion, stretch.gesture, t, stretch.manner)
    return motion


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
