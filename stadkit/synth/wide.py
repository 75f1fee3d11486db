"""Scenes of the wide variety: close-ups, crowds, tables, full bodies, and empty scenes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stadkit.synth.actors import Actor, Role, draw_heading, draw_segments, place, play, straight
from stadkit.synth.camera import Camera, draw_pitch, draw_sway
from stadkit.synth.classes import POSES
from stadkit.synth.draws import Floats, Rng, happens, pick
from stadkit.synth.effects import draw_photo, draw_photo_light
from stadkit.synth.figure import Figure
from stadkit.synth.gear import carry
from stadkit.synth.light import draw_cover
from stadkit.synth.scene import Scene
from stadkit.synth.skeleton import joints
from stadkit.synth.wide_backdrop import (
    draw_still_life,
    draw_wide_backdrop,
    draw_wide_prop,
    stand,
    table,
)
from stadkit.synth.wide_people import FaceFeatures, draw_build, draw_wide_look, dresser


@dataclass(frozen=True)
class Framing:
    """How people are framed in the image."""

    tall: float  # height of a body, in image heights
    top: float  # top of the first person's head, in image heights
    people: int
    upper: bool  # legs are mostly out of the frame
    pose: str = ""  # pose of the people, "" for any
    spread: tuple[float, float] = (0.8, 1.9)  # depths of the others relative to the first
    row: float = 0.0  # distance of neighbours in a row in body heights, 0: no row


def draw_framing(rng: Rng) -> Framing:
    """Draw a framing: full bodies, close-ups, tables, rows, crowds, or no people."""
    kind = pick(rng, (0.33, 0.22, 0.14, 0.08, 0.13, 0.1))
    people = 1 + pick(rng, (0.42, 0.3, 0.16, 0.08, 0.04))
    if kind == 0:
        tall = float(np.exp(rng.uniform(-1.6, 0.2)))
        top = min(rng.uniform(0.02, 1.0), max(0.98 - tall, -0.15))
        return Framing(tall, top, people, False)
    if kind == 1:
        tall = float(np.exp(rng.uniform(0.25, 1.6)))
        legs = happens(rng, 0.15)  # or the trunk: the head is out of the frame
        top = rng.uniform(0.5, 0.8) - tall * rng.uniform(0.4, 1) if legs else rng.uniform(-0.1, 0.4)
        return Framing(tall, top, people, not legs, spread=(0.85, 2.4))
    if kind == 2:
        tall = rng.uniform(0.7, 2.2)
        top = rng.uniform(-0.25, 0.15) * tall
        pose = "sit" if happens(rng, 0.8) else "stand"
        row = rng.uniform(0.25, 0.5) if happens(rng, 0.6) else 0.0
        return Framing(tall, top, people, True, pose, (0.9, 1.5), row)
    if kind == 3:
        tall, pose = rng.uniform(0.35, 1.1), "stand" if happens(rng, 0.7) else ""
        row = rng.uniform(0.22, 0.4)
        return Framing(tall, rng.uniform(0.05, 0.35), int(rng.integers(4, 12)), False, pose,
                       (0.95, 1.35), row)  # fmt: skip
    if kind == 4:
        tall = rng.uniform(0.18, 0.7)
        return Framing(tall, rng.uniform(0.1, 0.7 * (1 - tall) + 0.1), int(rng.integers(6, 16)),
                       False, "" if happens(rng, 0.5) else "stand", (0.75, 2.2))  # fmt: skip
    return Framing(rng.uniform(0.3, 2.5), rng.uniform(0, 0.4), 0, False)


def draw_wide_scene(rng: Rng, t: Floats, height: int, width: int, pace: float = 1.0) -> Scene:
    """Draw a scene at times t [T], with the key time at 0."""
    framing = draw_framing(rng)
    camera, first = _draw_camera(rng, t, height, width, framing)
    desk = framing.upper and framing.pose != ""
    actors = _draw_actors(rng, t, camera, first, framing, pace)
    wall = first[2] * rng.uniform(1.3, 3.0) + rng.uniform(0.2, 1.5)
    wall = max(wall, max((float(a.figure.world[:, 0, 2].max()) for a in actors), default=0) + 0.3)
    still = not actors and happens(rng, 0.6)
    near = framing.tall > 1.1
    props = () if still and happens(rng, 0.6) else _draw_props(rng, t, camera, first, framing, desk)
    return Scene(
        camera=camera,
        backdrop=draw_still_life(rng, camera)
        if still
        else draw_wide_backdrop(rng, camera, wall, near),
        actors=actors,
        props=props,
        light=draw_photo_light(rng, height, width),
        cover=draw_cover(rng, height, width) if happens(rng, 0.1) else None,
        camcorder=draw_photo(rng),
        grain=int(rng.integers(0, 2**31)),
        size=(height, width),
    )


def _draw_camera(
    rng: Rng, t: Floats, height: int, width: int, framing: Framing
) -> tuple[Camera, tuple[float, float, float]]:
    """Draw a camera, and the first person's depth, x and z; close-ups use long focal lengths."""
    focal = width / 2 / np.tan(np.radians(rng.uniform(25, 75)) / 2)
    tall, top = framing.tall * height, framing.top * height
    afar = 0.8 if framing.upper and framing.pose else 0.0  # or tables would fill the frame
    focal = max(focal, tall * (afar + rng.uniform(0.7, 1.3)))
    pitch = draw_pitch(rng, framing.upper)
    depth = max(focal * np.cos(pitch) / tall, 0.5)
    below = (top + tall / 2 - height / 2) / focal
    raised = 0.5 + depth * (np.sin(pitch) + below * np.cos(pitch))
    sway = draw_sway(rng, t, width, height, steady=happens(rng, 0.5))
    camera = Camera(focal, width, height, max(raised, 0.1), pitch, sway)
    x, z = camera.at_depth(depth, width * rng.uniform(0.05, 0.95))
    return camera, (depth, x, z)


def draw_wide_role(rng: Rng, t: Floats, framing: Framing) -> Role:
    """Draw an actor of the wide variety; most take `framing.pose`."""
    build, look = draw_build(rng), draw_wide_look(rng)
    segments = draw_segments(rng, float(t[0]), float(t[-1]), framing.upper)
    if framing.pose and happens(rng, 0.85):
        pose, on_chair = POSES.index(framing.pose), rng.uniform(0, 0.6)
        segments = [
            replace(s, pose=pose, manner=replace(s.manner, variant=on_chair)) for s in segments
        ]
    timeline = play(segments, t)
    local = joints(timeline.motion, build)
    return Role(build, look, timeline, local, dresser(FaceFeatures.draw(rng)))


def _draw_actors(
    rng: Rng,
    t: Floats,
    camera: Camera,
    first: tuple[float, float, float],
    framing: Framing,
    pace: float,
) -> tuple[Actor, ...]:
    actors = []
    common = np.pi + rng.normal(0, 0.3) if happens(rng, 0.6) else draw_heading(rng)
    for i, (x, z) in enumerate(_places(rng, camera, first, framing)):
        role = draw_wide_role(rng, t, framing)
        heading = common + rng.normal(0, 0.35)
        if not framing.row and happens(rng, 0.6):
            heading = draw_heading(rng)
        path = straight(rng, pace * t, role.speed, x, z, heading)
        actor = place(rng, role, path, i + 1)
        if happens(rng, 0.3):
            actor = carry(rng, actor, role.build.scale)
        actors.append(actor)
    return tuple(actors)


def _places(
    rng: Rng, camera: Camera, first: tuple[float, float, float], framing: Framing
) -> list[tuple[float, float]]:
    """Ground positions (x, z) of all people."""
    depth, x, z = first
    out = [(x, z)] if framing.people else []
    start, back = x - framing.row * rng.integers(0, max(framing.people, 1)), rng.uniform(0.15, 0.5)
    for i in range(1, framing.people):
        if framing.row:
            second = back * (i % 2) if framing.people > 4 else 0.0
            at = start + framing.row * (i + rng.normal(0, 0.12))
            out.append((float(at), z + second + rng.normal(0, 0.05)))
        else:
            u = camera.width * rng.uniform(-0.02, 1.02)
            out.append(camera.at_depth(depth * rng.uniform(*framing.spread), u))
    return out


def _draw_props(
    rng: Rng,
    t: Floats,
    camera: Camera,
    first: tuple[float, float, float],
    framing: Framing,
    desk: bool,
) -> tuple[Figure, ...]:
    depth, x, z = first
    count = pick(rng, (0.35, 0.25, 0.18, 0.12, 0.1)) + (0 if framing.people else 2)
    number = framing.people + 1
    props = []
    if desk:
        tall = rng.uniform(0.33, 0.47) if framing.pose == "sit" else rng.uniform(0.5, 0.68)
        half = rng.uniform(0.3, 0.6) + framing.row * framing.people
        model = table(rng, half, tall, rng.uniform(0.12, 0.25))
        yaw = rng.normal(0, 0.12)
        props.append(stand(rng, model, t, (x, max(z - rng.uniform(0.3, 0.42), 0.35), yaw), number))
    for _ in range(count):
        away = depth * (rng.uniform(0.6, 0.95) if happens(rng, 0.1) else rng.uniform(1.0, 2.6))
        px, pz = camera.at_depth(away, camera.width * rng.uniform(-0.02, 1.02))
        props.append(draw_wide_prop(rng, t, px, pz, number + len(props)))
    return tuple(props)
