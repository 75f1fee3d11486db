"""Clips for training: one scene, a few frames around a key time, truth of the key or all frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stadkit.synth.actors import Actor, draw_heading, draw_role, place, straight
from stadkit.synth.backdrop import draw_backdrop
from stadkit.synth.camera import Camera, draw_pitch, draw_sway
from stadkit.synth.classes import CLASSES
from stadkit.synth.draws import Floats, Pixels, Rng, happens, pick
from stadkit.synth.effects import Glitches, draw_camcorder
from stadkit.synth.figure import Figure
from stadkit.synth.light import draw_cover, draw_light
from stadkit.synth.props import draw_prop
from stadkit.synth.scene import Painted, Scene, Staged, develop, paint_frame, stage
from stadkit.synth.skeleton import JOINTS
from stadkit.synth.truth import Truth, truth
from stadkit.synth.wide import draw_wide_scene

Variety = Literal["standard", "wide"]

STREAMS: dict[Variety, int] = {"standard": 0x57AD, "wide": 0x31DE}  # random number streams
STANDARD_SHARE = 0.2  # of the wide clips use standard scenes
UPPER_BODY_SHARE = 0.28  # of the clips show people from the hips or chest up
EMPTY_SHARE = 0.045  # of the clips contain no people
MOTION_BLUR_SHARE = 0.07  # of the clips have motion blur
PEOPLE_WEIGHTS = (0.34, 0.3, 0.19, 0.1, 0.07)  # weights of 1, 2, ... people


@dataclass(frozen=True)
class RenderedClip:
    """A clip with the truth of its key frame, and optionally of every frame; n, m may be 0."""

    pixels: Pixels  # [T, H, W, 3]  RGB
    box: NDArray[np.float32]  # [n, 4]  x1 y1 x2 y2 of the visible part, fractions of the frame
    action: NDArray[np.float32]  # [n, C]  0 or 1, by class of CLASSES
    person: NDArray[np.int32]  # [n]  index of the person in its scene
    joints: NDArray[np.float32]  # [n, T, 20, 2]  x y, fractions, as skeleton.JOINTS; may be outside
    # All people visible in any frame; None without `tubes`.
    tube_person: NDArray[np.int32] | None = None  # [m]  index in the scene, ascending
    tube_box: NDArray[np.float32] | None = None  # [m, T, 4]  as box; NaN if not visible
    tube_action: NDArray[np.float32] | None = None  # [m, T, C]  as action; NaN if not visible


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
    """Render the clip for a seed and variety: identical in every process and order.

    "wide" has more kinds of places, people and framings, and a fifth of standard scenes.
    Frame i is at (i - key) * stride seconds; truth is for frame `key`, with `tubes` also for all
    frames. People move along their paths `pace` times as fast, with unchanged limb motion. About
    a share `glitches` of the frames is corrupted in transmission, which does not change the truth.
    """
    rng = np.random.default_rng((seed, STREAMS[variety]))
    exposure = _draw_exposure(rng)
    t = (np.arange(frames) - key)[:, None] * stride + exposure  # [T, exposures]
    is_wide = variety == "wide" and not happens(rng, STANDARD_SHARE)
    scene = (draw_wide_scene if is_wide else draw_scene)(rng, t.ravel(), height, width, pace)
    staged = stage(scene)
    painted = [_expose(scene, staged, i, len(exposure)) for i in range(frames)]
    middle = np.arange(frames) * len(exposure) + len(exposure) // 2  # exposure index of each frame
    found = truth(scene, staged, painted[key], middle[key])
    transmission = Glitches.draw((seed,), frames, glitches)
    clip = RenderedClip(
        pixels=np.stack(
            [transmission.transmit(develop(scene, p.pixels, i), i) for i, p in enumerate(painted)]
        ),
        box=found.box,
        action=found.action.reshape(-1, len(CLASSES)),
        person=found.person,
        joints=_joints(staged, found.person, middle, scene.size),
    )
    if not tubes:
        return clip
    exposures = zip(painted, middle.tolist(), strict=True)
    truths = [truth(scene, staged, frame, moment) for frame, moment in exposures]
    return _with_tubes(clip, truths)


def _with_tubes(clip: RenderedClip, truths: list[Truth]) -> RenderedClip:
    """Add the tubes of the people in the frames [T]."""
    person = np.unique(np.concatenate([frame.person for frame in truths]))
    box = np.full((len(person), len(truths), 4), np.nan, np.float32)
    action = np.full((len(person), len(truths), len(CLASSES)), np.nan, np.float32)
    for i, frame in enumerate(truths):
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
    """Joint positions of these people in frames t [T]: [n, T, 20, 2], fractions."""
    height, width = size
    projected = [staged[i].shapes.view.uv[t, : len(JOINTS)] / (width, height) for i in person]
    return np.array(projected, np.float32).reshape(len(person), len(t), len(JOINTS), 2)


def _draw_exposure(rng: Rng) -> Floats:
    """Exposure times of a frame, in seconds around its time: one, or three for motion blur."""
    if happens(rng, MOTION_BLUR_SHARE):
        return rng.uniform(0.01, 0.035) * np.array([-1.0, 0.0, 1.0])
    return np.zeros(1)


def _expose(scene: Scene, staged: tuple[Staged, ...], i: int, exposures: int) -> Painted:
    """Frame i: the mean of its exposures, with the ids of the middle one."""
    painted = [paint_frame(scene, staged, i * exposures + k) for k in range(exposures)]
    if exposures == 1:
        return painted[0]
    mean = np.mean([frame.pixels for frame in painted], axis=0)
    return replace(painted[exposures // 2], pixels=mean.astype(np.uint8))


def draw_scene(rng: Rng, t: Floats, height: int, width: int, pace: float = 1.0) -> Scene:
    """Draw a short scene at times t [T], with the key time at 0."""
    upper = happens(rng, UPPER_BODY_SHARE)
    camera, first = _draw_camera(rng, t, height, width, upper)
    light = draw_light(rng, height, width)
    people = 0 if happens(rng, EMPTY_SHARE) else 1 + pick(rng, PEOPLE_WEIGHTS)
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
    """Draw a camera, and the depth, x and z that give the first person the drawn height."""
    focal = width / 2 / np.tan(np.radians(rng.uniform(35, 75)) / 2)
    pitch = draw_pitch(rng, upper)
    tall = height * (rng.uniform(0.95, 2.3) if upper else np.exp(rng.uniform(-1.45, 0.0)))
    top = height * (rng.uniform(0.0, 0.28) if upper else rng.uniform(0.02, 1.0))
    top = top if upper else min(top, max(height * 0.98 - tall, 0.02 * height))
    depth = max(focal * np.cos(pitch) / tall, 0.35)
    below = (top + tall / 2 - height / 2) / focal  # of the body's centre, relative to its depth
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
            x, z = _draw_position(rng, camera, depth)
        path = straight(rng, pace * t, role.speed, x, z, draw_heading(rng))
        actors.append(place(rng, role, path, i + 1))
    return tuple(actors)


def _draw_position(rng: Rng, camera: Camera, depth: float) -> tuple[float, float]:
    u = camera.width * rng.uniform(0.04, 0.96)
    if camera.pitch > 0.35:  # seen from above: people may stand behind one another
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
