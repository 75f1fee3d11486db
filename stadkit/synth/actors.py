"""Actors: a body with clothes, the chair, bed or mount it uses, a path and a timeline of actions.

Paths are straight for clips, and wander within bounds for long videos. A timeline is a sequence of
segments, each with a pose and optionally a gesture, blended at their boundaries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stadkit.synth import mounts
from stadkit.synth.classes import CLASSES, GESTURES, POSES
from stadkit.synth.draws import Floats, Rng, happens, pick
from stadkit.synth.face import GADGET, Look, draw_look
from stadkit.synth.figure import FIRST_PROP_MATERIAL, Figure, Model, Part
from stadkit.synth.gestures import add_gesture
from stadkit.synth.people import person
from stadkit.synth.poses import bed_height, mount_of, on_seat, pose_motion, turns_over
from stadkit.synth.skeleton import PELVIS, Build, Manner, Motion, joints, to_world

SEGMENT_SECONDS = (1.2, 4.0)  # duration range of a segment
BLEND_SECONDS = 0.3  # blending time between segments
# Pose weights for full bodies in view, and for upper bodies.
POSE_WEIGHTS = (0.24, 0.15, 0.12, 0.14, 0.11, 0.09, 0.08, 0.09)
UPPER_WEIGHTS = (0.45, 0.15, 0.07, 0.22, 0.05, 0.03, 0.02, 0.02)
# For each pose, the chance of a gesture, and the weights of the gestures in order of GESTURES.
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
class Path:
    """A person's ground position and heading over time."""

    x: Floats  # [T]  body heights
    z: Floats  # [T]
    yaw: Floats  # [T]  radians, 0: away from the camera, pi: towards it


@dataclass(frozen=True)
class Bounds:
    """Ground bounds of people in long videos; wider than the frame, so that they leave it."""

    left: float
    right: float
    near: float
    far: float


def draw_heading(rng: Rng) -> float:
    """Draw a yaw; two in five face the camera, one in eight faces away."""
    if happens(rng, 0.4):
        return np.pi + rng.normal(0, 0.5)
    if happens(rng, 0.2):
        return rng.normal(0, 0.5)
    return rng.uniform(0, 2 * np.pi)


def straight(rng: Rng, t: Floats, speed: Floats, x: float, z: float, heading: float) -> Path:
    """A slightly curved path through (x, z) at t = 0; speed [T] at times t [T]."""
    yaw = heading + rng.normal(0, 0.15) * t
    step = np.diff(t, prepend=t[0])
    dx, dz = np.cumsum(speed * np.sin(yaw) * step), np.cumsum(speed * np.cos(yaw) * step)
    now = int(np.argmin(abs(t)))
    return Path(x + dx - dx[now], np.maximum(z + dz - dz[now], 0.55 * z), yaw)


def wander(rng: Rng, t: Floats, speed: Floats, start: tuple[float, float], bounds: Bounds) -> Path:
    """A path from `start` that turns back at the bounds; speed [T] at times t [T]."""
    x, z = start
    yaw = goal = draw_heading(rng)
    turn = rng.normal(0, 0.15)
    path = np.empty((3, len(t)))
    step = np.diff(t, prepend=t[0])
    for i, (dt, v) in enumerate(zip(step, speed, strict=True)):
        goal += turn * dt
        if v > 0.05:
            goal = _turned_back(goal, x, z, bounds)
        ahead = (goal - yaw + np.pi) % (2 * np.pi) - np.pi
        yaw += np.clip(ahead, -4 * dt, 4 * dt)
        x, z = x + v * np.sin(yaw) * dt, z + v * np.cos(yaw) * dt
        path[:, i] = x, z, yaw
    return Path(*path)


def _turned_back(goal: float, x: float, z: float, bounds: Bounds) -> float:
    outside = (x < bounds.left and np.sin(goal) < 0) or (x > bounds.right and np.sin(goal) > 0)
    if outside:
        goal = -goal
    beyond = (z < bounds.near and np.cos(goal) < 0) or (z > bounds.far and np.cos(goal) > 0)
    return np.pi - goal if beyond else goal


@dataclass(frozen=True)
class Segment:
    """One action segment, from `start` until the next segment."""

    start: float  # seconds
    pose: int  # index in POSES
    gesture: int  # index in GESTURES, -1: none
    manner: Manner


@dataclass(frozen=True)
class Timeline:
    """A person's motion and true actions over time."""

    motion: Motion
    action: NDArray[np.bool_]  # [T, C]
    segment: NDArray[np.int32]  # [T]  index into segments
    segments: tuple[Segment, ...]


def draw_segments(rng: Rng, start: float, end: float, upper: bool = False) -> list[Segment]:
    """Draw segments that cover start..end; the first begins earlier."""
    out, time = [], start - rng.uniform(0, SEGMENT_SECONDS[1])
    while time < end:
        end_of_segment = time + rng.uniform(*SEGMENT_SECONDS)
        drawn = _draw_segment(rng, time, upper)
        if end_of_segment > start:
            out.append(drawn)
        time = end_of_segment
    return out


def _draw_segment(rng: Rng, start: float, upper: bool) -> Segment:
    pose = pick(rng, UPPER_WEIGHTS if upper else POSE_WEIGHTS)
    gesture = -1
    if happens(rng, GESTURE_CHANCE[pose]):
        gesture = pick(rng, GESTURE_WEIGHTS[pose])
    if upper and gesture == KICK:  # legs are out of view
        gesture = -1
    manner = Manner.draw(rng)
    if POSES[pose] == "jump" and turns_over(manner):
        gesture = -1  # the hands are busy
    return Segment(start, pose, gesture, manner)


def play(segments: list[Segment], t: Floats) -> Timeline:
    """The motion and labels of these segments at times t [T], seconds, ascending."""
    motion, current = _play_segment(segments[0], t), np.zeros(len(t), np.int32)
    for i, segment in enumerate(segments[1:], 1):
        ramp = np.clip((t - segment.start) / BLEND_SECONDS + 0.5, 0, 1)
        if ramp.any():
            motion = motion.blend(_play_segment(segment, t), ramp * ramp * (3 - 2 * ramp))
        current[t >= segment.start] = i
    action = np.zeros((len(t), len(CLASSES)), np.bool_)
    for i, segment in enumerate(segments):
        action[current == i, segment.pose] = True
        if segment.gesture >= 0:
            action[current == i, len(POSES) + segment.gesture] = True
    return Timeline(motion, action, current, tuple(segments))


def _play_segment(segment: Segment, t: Floats) -> Motion:
    motion = pose_motion(segment.pose, t, segment.manner)
    if segment.gesture >= 0:
        add_gesture(motion, segment.gesture, t, segment.manner)
    return motion


@dataclass(frozen=True)
class Actor:
    """A person in the scene over time."""

    figure: Figure
    timeline: Timeline


@dataclass(frozen=True)
class Role:
    """An actor before placement: body, clothes, timeline, points."""

    build: Build
    look: Look
    timeline: Timeline
    local: Floats  # [T, K, 3]  the body in its own frame
    make_figure: Callable[..., Figure] = person  # of points, build, look, phone and number

    @property
    def speed(self) -> Floats:
        """[T] speed along the heading in body heights per second."""
        return self.timeline.motion.speed * self.build.scale


def draw_role(rng: Rng, t: Floats, upper: bool = False) -> Role:
    """Draw an actor at times t [T], seconds; `upper`: seen from the hips up."""
    build, look = Build.draw(rng), draw_look(rng)
    timeline = play(draw_segments(rng, float(t[0]), float(t[-1]), upper), t)
    return Role(build, look, timeline, joints(timeline.motion, build))


def place(rng: Rng, role: Role, path: Path, number: int) -> Actor:
    """Place an actor on its path, with what it sits, lies or rides on."""
    figure = role.make_figure(role.local, role.build, role.look, _phone(role.timeline), number)
    used = mounts.materials(rng)
    figure = replace(
        figure,
        visible=_part_visibility(figure, role.timeline),
        # The materials between the look's and the props' are never used.
        materials=(
            *figure.materials,
            *figure.materials[:1] * (FIRST_PROP_MATERIAL - len(figure.materials)),
            *used,
        ),
    )
    for i, segment in enumerate(role.timeline.segments):
        active = role.timeline.segment == i
        model = _draw_support(rng, role, segment, active) if active.any() else None
        if model is not None:
            figure = _with_prop(figure, model, active)
    world = to_world(figure.world, path.x, path.z, path.yaw)
    return Actor(replace(figure, world=world), role.timeline)


def _phone(timeline: Timeline) -> int:
    for segment in timeline.segments:
        if segment.gesture == PHONE:
            return segment.manner.side
    return -1


def _part_visibility(figure: Figure, timeline: Timeline) -> Mask:
    """Visibility of the parts [T, N]: all but the phone while not in use."""
    visible = np.ones((len(timeline.action), len(figure.parts)), np.bool_)
    calling = timeline.action[:, len(POSES) + PHONE]
    for n, part in enumerate(figure.parts):
        if part.material == GADGET:
            visible[:, n] = calling
    return visible


def _draw_support(rng: Rng, role: Role, segment: Segment, active: Mask) -> Model | None:
    """Draw the seat, bed or mount of a segment; None if it needs none."""
    pose, q, size = POSES[segment.pose], segment.manner, role.build.scale
    height = float(np.median(role.local[active, PELVIS, 1]))
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


def _with_prop(figure: Figure, model: Model, active: Mask) -> Figure:
    """The figure with a prop's parts added, visible at the times `active` [T]."""
    first = figure.world.shape[1]
    parts = tuple(
        Part(
            tuple(p + first for p in part.points),
            part.radii,
            part.material + FIRST_PROP_MATERIAL,
            part.bias,
        )
        for part in model.parts
    )
    assert figure.visible is not None
    visible = np.repeat(active[:, None], len(parts), 1)
    return replace(
        figure,
        world=np.concatenate([figure.world, model.moved(len(active))], 1),
        parts=figure.parts + parts,
        visible=np.concatenate([figure.visible, visible], 1),
    )
