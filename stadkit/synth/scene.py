"""Scenes: everything that is seen at given times, and how one frame of it is painted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stadkit.synth.actors import Actor
from stadkit.synth.backdrop import Backdrop
from stadkit.synth.camera import Camera
from stadkit.synth.chance import Floats, Pixels, Rng
from stadkit.synth.cover import Cover
from stadkit.synth.degrade import Camcorder, degrade
from stadkit.synth.figure import FLAT, Canvas, Figure, Ids
from stadkit.synth.light import Light, lay_patches, lay_shadows, shadow_view
from stadkit.synth.outline import Shapes, outline
from stadkit.synth.painter import draw
from stadkit.synth.skeleton import JOINTS

cv2.setNumThreads(1)  # many processes render at once


@dataclass(frozen=True)
class Scene:
    """What there is, at T times; people have the numbers from 1 in the order of `actors`."""

    camera: Camera
    backdrop: Backdrop
    actors: tuple[Actor, ...]
    props: tuple[Figure, ...]
    light: Light
    cover: Cover | None
    camcorder: Camcorder
    grain: int  # seed of the noise
    size: tuple[int, int]  # height, width
    first: int = 0  # number of its first frame, where the scene is a piece of a longer one


@dataclass(frozen=True)
class Staged:
    """A figure with its outlines, its distance and its shadow at every time."""

    figure: Figure
    shapes: Shapes
    distance: Floats  # [T]
    shadow: Floats  # [T, K, 2]


@dataclass(frozen=True)
class Painted:
    """One frame."""

    pixels: Pixels  # [H, W, 3]
    ids: Ids  # [H, W]
    covered: tuple[int, ...]  # pixels of each actor inside the picture, before occlusion


def stage(scene: Scene) -> tuple[Staged, ...]:
    """Outlines of all figures at all times, people first."""
    people = [actor.figure for actor in scene.actors]
    return tuple(_stage_one(scene, figure) for figure in (*people, *scene.props))


def _stage_one(scene: Scene, figure: Figure) -> Staged:
    view = scene.camera.see(figure.world)
    body = len(JOINTS) if figure.face is not None else None
    shadow = shadow_view(scene.camera, scene.light, figure.world[:, :body]).uv
    distance = view.depth[:, 0] if figure.face is not None else view.depth.mean(1)
    return Staged(figure, outline(figure, view, scene.light.side), distance, shadow)


def paint_frame(scene: Scene, staged: tuple[Staged, ...], t: int) -> Painted:
    """Frame t before it is developed: backdrop, shadows, figures from far to near, cover."""
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
    """The painted pixels [H, W, 3] of frame t as the camera gives them."""
    if scene.light.patches is not None:
        pixels = lay_patches(pixels, scene.light.patches)
    grain: Rng = np.random.default_rng((scene.grain, scene.first + t))
    return degrade(pixels, scene.camcorder, grain)
