"""Scenes and the painting of their frames.

In scenes for long videos people wander within bounds wider than the frame; short clips have
straight paths (see `clip`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from stadkit.synth.actors import Actor, Bounds, Timeline, draw_role, place, wander
from stadkit.synth.backdrop import Backdrop, draw_backdrop
from stadkit.synth.camera import Camera, draw_sway
from stadkit.synth.draws import Floats, Pixels, Rng, happens, pick
from stadkit.synth.effects import Camcorder, degrade, draw_camcorder
from stadkit.synth.figure import FLAT, Canvas, Figure, Ids, Shapes, outline
from stadkit.synth.light import (
    Cover,
    Light,
    draw_cover,
    draw_light,
    lay_patches,
    lay_shadows,
    shadow_view,
)
from stadkit.synth.painter import draw
from stadkit.synth.props import draw_prop
from stadkit.synth.skeleton import JOINTS, Motion

PEOPLE_WEIGHTS = (0.2, 0.32, 0.26, 0.14, 0.08)  # weights of 1, 2, ... people
BLOCK = 50  # frames whose outlines are in memory at once
cv2.setNumThreads(1)  # several processes render in parallel


@dataclass(frozen=True)
class Scene:
    """The contents of a scene at T times; people are numbered from 1 in the order of `actors`."""

    camera: Camera
    backdrop: Backdrop
    actors: tuple[Actor, ...]
    props: tuple[Figure, ...]
    light: Light
    cover: Cover | None
    camcorder: Camcorder
    grain: int  # seed of the noise
    size: tuple[int, int]  # height, width
    first: int = 0  # index of its first frame, for a block of a longer scene


@dataclass(frozen=True)
class Staged:
    """A figure with its outlines, distance and shadow at every time."""

    figure: Figure
    shapes: Shapes
    distance: Floats  # [T]
    shadow: Floats  # [T, K, 2]


@dataclass(frozen=True)
class Painted:
    """A painted frame."""

    pixels: Pixels  # [H, W, 3]
    ids: Ids  # [H, W]
    covered: tuple[int, ...]  # pixels of each actor inside the frame, before occlusion


def stage(scene: Scene) -> tuple[Staged, ...]:
    """Compute the outlines of all figures at all times, people first."""
    people = [actor.figure for actor in scene.actors]
    return tuple(_stage_one(scene, figure) for figure in (*people, *scene.props))


def _stage_one(scene: Scene, figure: Figure) -> Staged:
    view = scene.camera.see(figure.world)
    body = len(JOINTS) if figure.face is not None else None
    shadow = shadow_view(scene.camera, scene.light, figure.world[:, :body]).uv
    distance = view.depth[:, 0] if figure.face is not None else view.depth.mean(1)
    return Staged(figure, outline(figure, view, scene.light.side), distance, shadow)


def paint_frame(scene: Scene, staged: tuple[Staged, ...], t: int) -> Painted:
    """Paint frame t before camera effects: backdrop, shadows, figures back to front, cover."""
    height, width = scene.size
    pixels = scene.backdrop.at(scene.camera.sway[t], width, height)
    if staged:
        pixels = lay_shadows(pixels, [s.shadow[t] for s in staged], scene.light)
    canvas = Canvas(
        pixels, np.zeros((height, width), np.uint16), np.empty((height, width), np.uint8)
    )
    canvas.shade[:] = FLAT
    covered = [0] * len(scene.actors)
    for i in sorted(range(len(staged)), key=lambda i: -float(staged[i].distance[t])):
        count = draw(staged[i].figure, staged[i].shapes, t, canvas)
        if i < len(covered):
            covered[i] = count
    if scene.cover is not None:
        scene.cover.lay(canvas, 1.5 * scene.camera.sway[t, :, 2] * 0.3)
    return Painted(canvas.pixels, canvas.ids, tuple(covered))


def develop(scene: Scene, pixels: Pixels, t: int) -> Pixels:
    """Apply light patches and camera effects to the painted pixels [H, W, 3] of frame t."""
    if scene.light.patches is not None:
        pixels = lay_patches(pixels, scene.light.patches)
    grain: Rng = np.random.default_rng((scene.grain, scene.first + t))
    return degrade(pixels, scene.camcorder, grain)


def draw_long_scene(rng: Rng, t: Floats, height: int, width: int, pace: float = 1.0) -> Scene:
    """Draw a scene at times t [T], seconds from 0; people move `pace` times as fast as usual."""
    camera, depth = _draw_camera(rng, t, height, width)
    light = draw_light(rng, height, width)
    people = 1 + pick(rng, PEOPLE_WEIGHTS)
    bounds = _bounds(camera, depth)
    actors = tuple(_draw_actor(rng, t, camera, bounds, i + 1, pace) for i in range(people))
    wall = bounds.far + rng.uniform(0.4, 2.5)
    return Scene(
        camera=camera,
        backdrop=draw_backdrop(rng, camera, wall),
        actors=actors,
        props=_draw_props(rng, t, camera, depth, people),
        light=light,
        cover=draw_cover(rng, height, width) if happens(rng, 0.15) else None,
        camcorder=draw_camcorder(rng),
        grain=int(rng.integers(0, 2**31)),
        size=(height, width),
    )


def _draw_camera(rng: Rng, t: Floats, height: int, width: int) -> tuple[Camera, float]:
    """Draw a camera, and the depth that gives people the drawn height."""
    focal = width / 2 / np.tan(np.radians(rng.uniform(40, 75)) / 2)
    near = happens(rng, 0.15)
    tall = height * (rng.uniform(0.9, 1.4) if near else rng.uniform(0.38, 0.85))
    pitch = rng.uniform(0.3, 0.7) if happens(rng, 0.12) else rng.uniform(-0.02, 0.25)
    depth = focal * np.cos(pitch) / tall
    below = 0.35 * tall / height if near else rng.uniform(-0.05, 0.12)
    raised = 0.5 + depth * (np.sin(pitch) + below * height / focal * np.cos(pitch))
    sway = draw_sway(rng, t, width, height, steady=True)
    return Camera(focal, width, height, max(raised, 0.15), pitch, sway), float(depth)


def _bounds(camera: Camera, depth: float) -> Bounds:
    """Bounds slightly wider than the frame at the nearest depth."""
    half = 0.53 * camera.width * depth / camera.focal
    near = camera.at_depth(0.9 * depth, 0)[1]
    far = camera.at_depth(1.7 * depth, 0)[1]
    return Bounds(-half, half, near, far)


def _draw_actor(
    rng: Rng, t: Floats, camera: Camera, bounds: Bounds, number: int, pace: float
) -> Actor:
    role = draw_role(rng, t)
    start = rng.uniform(bounds.left, bounds.right), rng.uniform(bounds.near, bounds.far)
    # The path has its own clock, so that pace does not change its shape.
    return place(rng, role, wander(rng, pace * t, role.speed, start, bounds), number)


def _draw_props(
    rng: Rng, t: Floats, camera: Camera, depth: float, people: int
) -> tuple[Figure, ...]:
    props = []
    for i in range(pick(rng, (0.2, 0.3, 0.25, 0.15, 0.1))):
        away = depth * (rng.uniform(0.6, 0.9) if happens(rng, 0.15) else rng.uniform(1.0, 2.4))
        x, z = camera.at_depth(away, camera.width * rng.uniform(0, 1))
        # Moving props come and go: each is halfway along its path at a random time.
        late = t - rng.uniform(t[0], t[-1])
        props.append(draw_prop(rng, late, x, z, people + 1 + i))
    return tuple(props)


def blocks(scene: Scene, frames: int) -> Iterator[Scene]:
    """Split the scene into consecutive blocks of at most BLOCK frames, to limit memory."""
    for start in range(0, frames, BLOCK):
        yield _cut(scene, slice(start, min(start + BLOCK, frames)))


def _cut(scene: Scene, when: slice) -> Scene:
    return replace(
        scene,
        camera=replace(scene.camera, sway=scene.camera.sway[when]),
        actors=tuple(
            Actor(_cut_figure(actor.figure, when), _cut_timeline(actor.timeline, when))
            for actor in scene.actors
        ),
        props=tuple(_cut_figure(prop, when) for prop in scene.props),
        first=scene.first + when.start,
    )


def _cut_figure(figure: Figure, when: slice) -> Figure:
    if figure.visible is None:
        return replace(figure, world=figure.world[when])
    visible = figure.visible[when]
    used = np.flatnonzero(visible.any(0))  # a body's parts come first, so the head keeps its index
    used = np.union1d(used, np.arange(figure.face_after + 1))
    return replace(
        figure,
        world=figure.world[when],
        parts=tuple(figure.parts[n] for n in used),
        visible=visible[:, used],
    )


def _cut_timeline(timeline: Timeline, when: slice) -> Timeline:
    motion = timeline.motion
    return replace(
        timeline,
        motion=Motion(motion.trunk[when], motion.limbs[when], motion.speed[when]),
        action=timeline.action[when],
        segment=timeline.segment[when],
    )
