"""Clips for training: one scene, a few frames around a key time, truth of the key frame or all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stadkit.synth.actors import Actor, draw_role, place
from stadkit.synth.backdrop import draw_backdrop
from stadkit.synth.camera import Camera, draw_pitch, draw_sway
from stadkit.synth.classes import CLASSES
from stadkit.synth.cover import draw_cover
from stadkit.synth.draws import Floats, Pixels, Rng, happens, pick
from stadkit.synth.effects import Glitches, draw_camcorder
from stadkit.synth.figure import Figure
from stadkit.synth.light import draw_light
from stadkit.synth.paths import draw_heading, straight
from stadkit.synth.props import draw_prop
from stadkit.synth.scene import Painted, Scene, Staged, develop, paint_frame, stage
from stadkit.synth.skeleton import JOINTS
from stadkit.synth.truth import Truth, truth
from stadkit.synth.wide import draw_wide_scene

Variety = Literal["standard", "wide"]

STREAMS: dict[Variety, int] = {"standard": 0x57AD, "wide": 0x31DE}  # of random numbers
AS_STANDARD = 0.2  # of the wide clips are drawn as standard ones
UPPER = 0.28  # of the clips show people from the hips or chest up
EMPTY = 0.045  # of the clips hold nobody
BLURRED = 0.07  # of the clips blur what moves
PEOPLE = (0.34, 0.3, 0.19, 0.1, 0.07)  # weights of 1, 2, ... people


@dataclass(frozen=True)
class RenderedClip:
    """A clip and who does what in its key frame, and in each frame if asked; n, m may be 0."""

    pixels: Pixels  # [T, H, W, 3]  RGB
    box: NDArray[np.float32]  # [n, 4]  x1 y1 x2 y2 of what is visible, fractions of the frame
    action: NDArray[np.float32]  # [n, C]  0 or 1, one a class of CLASSES
    person: NDArray[np.int32]  # [n]  index of the person in its scene
    joints: NDArray[np.float32]  # [n, T, 20, 2]  x y, fractions, as skeleton.JOINTS; may be outside
    # Everybody who is visible in any frame; None where `tubes` was not said.
    tube_person: NDArray[np.int32] | None = None  # [m]  index in the scene, rising
    tube_box: NDArray[np.float32] | None = None  # [m, T, 4]  as box; NaN where not visible
    tube_action: NDArray[np.float32] | None = None  # [m, T, C]  as action; NaN where not visible


def render_clip(
    seed: int,
    *,
    frames: int = 8,
    stride: float = 0.16,
    key: int = 4,
    height: int = 144,
    width: int = 192,
    variety: Variety = "standard",
    tubes: bool = False,
    pace: float = 1.0,
    glitches: float = 0.0,
) -> RenderedClip:
    """The clip of this seed and variety: the same in every process and order.

    "wide" has more kinds of places, people and framings, and a fifth of standard scenes.
    Frame i is at (i - key) * stride seconds; truth is of frame `key`, with `tubes` of all
    frames too. People go along their paths `pace` times as fast, at their usual tempo of limbs;
    about that share `glitches` of frames is broken in transmission, which changes no truth.
    """
    rng = np.random.default_rng((seed, STREAMS[variety]))
    exposure = _draw_exposure(rng)
    t = (np.arange(frames) - key)[:, None] * stride + exposure  # [T, shots]
    widely = variety == "wide" and not happens(rng, AS_STANDARD)
    scene = (draw_wide_scene if widely else draw_scene)(rng, t.ravel(), height, width, pace)
    staged = stage(scene)
    painted = [_expose(scene, staged, i, len(exposure)) for i in range(frames)]
    middle = np.arange(frames) * len(exposure) + len(exposure) // 2  # shot of each frame
    found = truth(scene, staged, painted[key], middle[key])
    way = Glitches.draw((seed,), frames, glitches)
    clip = RenderedClip(
        pixels=np.stack(
            [way.transmit(develop(scene, p.pixels, i), i) for i, p in enumerate(painted)]
        ),
        box=found.box,
        action=found.action.reshape(-1, len(CLASSES)),
        person=found.person,
        joints=_joints(staged, found.person, middle, scene.size),
    )
    if not tubes:
        return clip
    shots = zip(painted, middle.tolist(), strict=True)
    seen = [truth(scene, staged, frame, shot) for frame, shot in shots]
    return _with_tubes(clip, seen)


def _with_tubes(clip: RenderedClip, seen: list[Truth]) -> RenderedClip:
    """The clip with the tubes of the people in its frames [T]."""
    person = np.unique(np.concatenate([frame.person for frame in seen]))
    box = np.full((len(person), len(seen), 4), np.nan, np.float32)
    action = np.full((len(person), len(seen), len(CLASSES)), np.nan, np.float32)
    for i, frame in enumerate(seen):
        rows = np.searchsorted(person, frame.person)
        box[rows, i] = frame.box
        action[rows, i] = frame.action.reshape(-1, len(CLASSES))
    return replace(clip, tube_person=person, tube_box=box, tube_action=action)


def _joints(
    staged: tuple[Staged, ...],
    person: NDArray[np.int32],
    t: NDArray[np.int64],
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """Where the joints of these people are in frames t [T]: [n, T, 20, 2], fractions."""
    height, width = size
    seen = [staged[i].shapes.view.uv[t, : len(JOINTS)] / (width, height) for i in person]
    return np.array(seen, np.float32).reshape(len(person), len(t), len(JOINTS), 2)


def _draw_exposure(rng: Rng) -> Floats:
    """Seconds from a frame's time at which light falls in: one moment, or three that blur."""
    if happens(rng, BLURRED):
        return rng.uniform(0.01, 0.035) * np.array([-1.0, 0.0, 1.0])
    return np.zeros(1)


def _expose(scene: Scene, staged: tuple[Staged, ...], i: int, shots: int) -> Painted:
    """Frame i: the mean of its shots, with the ids of the middle one."""
    painted = [paint_frame(scene, staged, i * shots + k) for k in range(shots)]
    if shots == 1:
        return painted[0]
    mean = np.mean([frame.pixels for frame in painted], axis=0)
    return replace(painted[shots // 2], pixels=mean.astype(np.uint8))


def draw_scene(rng: Rng, t: Floats, height: int, width: int, pace: float = 1.0) -> Scene:
    """A scene of a few seconds at times t [T], the key time at 0."""
    upper = happens(rng, UPPER)
    camera, first = _draw_camera(rng, t, height, width, upper)
    light = draw_light(rng, height, width)
    people = 0 if happens(rng, EMPTY) else 1 + pick(rng, PEOPLE)
    actors = _draw_actors(rng, t, camera, first, people, upper, pace)
    wall = first[2] * rng.uniform(1.3, 3.5) + rng.uniform(0.2, 1.5)
    return Scene(
        camera=camera,
        backdrop=draw_backdrop(rng, camera, wall),
        actors=actors,
        props=_draw_props(rng, t, camera, first[2], people),
        light=light,
        cover=draw_cover(rng, height, width) if happens(rng, 0.15) else None,
        camcorder=draw_camcorder(rng),
        grain=int(rng.integers(0, 2**31)),
        size=(height, width),
    )


def _draw_camera(
    rng: Rng, t: Floats, height: int, width: int, upper: bool
) -> tuple[Camera, tuple[float, float, float]]:
    """A camera, and the depth, x and z at which it sees the first person as tall as drawn."""
    focal = width / 2 / np.tan(np.radians(rng.uniform(35, 75)) / 2)
    pitch = draw_pitch(rng, upper)
    tall = height * (rng.uniform(0.95, 2.3) if upper else np.exp(rng.uniform(-1.45, 0.0)))
    top = height * (rng.uniform(0.0, 0.28) if upper else rng.uniform(0.02, 1.0))
    top = top if upper else min(top, max(height * 0.98 - tall, 0.02 * height))
    depth = max(focal * np.cos(pitch) / tall, 0.35)
    below = (top + tall / 2 - height / 2) / focal  # of the body's middle, in depths
    camera_height = 0.5 + depth * (np.sin(pitch) + below * np.cos(pitch))
    sway = draw_sway(rng, t, width, height, steady=False)
    camera = Camera(focal, width, height, max(camera_height, 0.1), pitch, sway)
    x, z = camera.at_depth(depth, width * rng.uniform(0.12, 0.88))
    return camera, (depth, x, z)


def _draw_actors(
    rng: Rng,
    t: Floats,
    camera: Camera,
    first: tuple[float, float, float],
    people: int,
    upper: bool,
    pace: float,
) -> tuple[Actor, ...]:
    actors = []
    for i in range(people):
        role = draw_role(rng, t, upper)
        depth, x, z = first
        if i:
            x, z = _another_place(rng, camera, depth)
        path = straight(rng, pace * t, role.speed, x, z, draw_heading(rng))
        actors.append(place(rng, role, path, i + 1))
    return tuple(actors)


def _another_place(rng: Rng, camera: Camera, depth: float) -> tuple[float, float]:
    u = camera.width * rng.uniform(0.04, 0.96)
    if camera.pitch > 0.35:  # seen from above: people stand before and behind each other
        depth = max(depth + rng.uniform(-0.8, 1.0), 0.5 * depth)
    else:
        depth *= rng.uniform(0.8, 1.9)
    return camera.at_depth(depth, u)


def _draw_props(
    rng: Rng, t: Floats, camera: Camera, depth: float, people: int
) -> tuple[Figure, ...]:
    count = pick(rng, (0.22, 0.27, 0.22, 0.15, 0.09, 0.05)) + (0 if people else 2)
    props = []
    for i in range(count):
        near = happens(rng, 0.13)
        away = depth * (rng.uniform(0.55, 0.95) if near else rng.uniform(0.9, 2.6))
        x, z = camera.at_depth(away, camera.width * rng.uniform(-0.02, 1.02))
        props.append(draw_prop(rng, t, x, z, people + 1 + i))
    return tuple(props)
