"""People of the wide variety: more bodies, hair, clothes, and shapes that a near camera sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from stadkit.synth import palette
from stadkit.synth.chance import Floats, Rng, happens, pick
from stadkit.synth.figure import Figure, Material, Part
from stadkit.synth.look import BOTTOM, HAIR, SHOE, SKIN, TOP, Look, draw_look
from stadkit.synth.people import person
from stadkit.synth.skeleton import (
    ANKLE,
    BACK,
    CHEST,
    CROWN,
    CROWN_UP,
    EAR,
    FACE,
    HAND,
    HEAD,
    KNEE_JOINT,
    NECK,
    POINTS,
    SHOULDER,
    TOE,
    WRIST,
    Build,
)
from stadkit.synth.texture import cloth, plain
from stadkit.synth.wide_face import Features, WideFace

# Points after the skeleton's own.
CHIN, NAPE, BUN, TAIL = range(POINTS, POINTS + 4)
LOCK, SLOPE, BREAST, FINGER, HEEL, CALF = (
    (POINTS + 4 + 2 * i, POINTS + 5 + 2 * i) for i in range(6)
)


def draw_build(rng: Rng) -> Build:
    """Children with large heads, the broad, the thin, and everybody between."""
    build = Build.draw(rng)
    child = happens(rng, 0.22)
    small = rng.uniform(0.42, 0.8) if child else 1.0
    head = 1 + 0.75 * max(0.9 - small, 0) / 0.45
    return replace(
        build,
        scale=small if child else build.scale,
        head=0.061 * rng.uniform(0.9, 1.18) * head,
        neck=0.105 + 0.06 * (head - 1) * 0.8,
        torso=build.torso * (1.06 if child else 1.0),
        shoulder=build.shoulder * rng.uniform(0.9, 1.25) * (0.92 if child else 1.0),
        hip=build.hip * rng.uniform(0.9, 1.45),
        girth=float(np.clip(np.exp(rng.normal(0.08, 0.22)), 0.72, 1.9)),
        foot=build.foot * rng.uniform(1.0, 1.25),
    )


def draw_wide_look(rng: Rng) -> Look:
    """Clothes from swimming to snow."""
    look = draw_look(rng)
    skin, top, bottom, hair, shoe, extra, gadget = look.materials
    skin = Material(*plain(rng, palette.skin(rng), rng.uniform(0.01, 0.05)), 0.15)
    if happens(rng, 0.5):
        top = _garment(rng)
    if happens(rng, 0.6):
        bottom = _garment(rng, plain_only=True)
    if happens(rng, 0.1):
        bottom = top
    bare = happens(rng, 0.07)
    if bare:
        top = skin
    return replace(
        look,
        materials=(skin, top, bottom, hair, shoe, extra, gadget),
        hair=("short", "long", "bald", "full", "tail", "bun", "locks")[
            pick(rng, (0.44, 0.1, 0.08, 0.06, 0.09, 0.06, 0.17))
        ],
        hat=("", "cap", "brim", "helmet", "beanie", "sunhat")[
            pick(rng, (0.68, 0.12, 0.03, 0.07, 0.06, 0.04))
        ],
        coat=happens(rng, 0.16) and not bare,
        hood=happens(rng, 0.05) and not bare,
        loose=1.0 if bare else rng.uniform(1.4, 1.75) if happens(rng, 0.15) else look.loose,
        contrast=(rng.uniform(0.45, 0.85), rng.uniform(1.0, 1.22)),
    )


def _garment(rng: Rng, plain_only: bool = False) -> Material:
    """Cloth in a colour that people wear, its folds deep or shallow."""
    deep = rng.uniform(0.04, 0.26)
    if plain_only or happens(rng, 0.5):
        families = (palette.DARKS, palette.BLUES, palette.STONES, palette.WHITES, palette.EARTHS)
        rgb = palette.of(rng, families[pick(rng, (0.3, 0.3, 0.15, 0.15, 0.1))])
        _, tile = cloth(rng, deep, "plain")
        return Material(rgb, tile, rng.uniform(0.2, 0.6))
    return Material(*cloth(rng, deep), rng.uniform(0.15, 0.5))


def dresser(features: Features) -> Callable[..., Figure]:
    """A maker of figures, called as `people.person` is, for somebody with this face."""

    def make(world: Floats, build: Build, look: Look, phone: int = -1, number: int = 0) -> Figure:
        body = person(np.concatenate([world, _more_points(world, build)], 1), build, look, phone,
                      number)  # fmt: skip
        more = tuple(
            Part(p.points, tuple(r * build.scale for r in p.radii), p.material,
                 p.bias * build.scale)
            for p in _more_parts(build, look)
        )  # fmt: skip
        face = WideFace(look, build.head * build.scale, features)
        return replace(body, parts=body.parts + more, face=face.draw, round=True)

    return make


def _more_points(p: Floats, build: Build) -> Floats:
    """The points from CHIN on [T, 16, 3] for a body's points [T, 31, 3]."""
    head = p[:, HEAD]
    ahead, right, up = p[:, FACE] - head, p[:, EAR] - head, (p[:, CROWN] - head) / CROWN_UP
    front = (p[:, CHEST] - p[:, BACK]) / 0.11
    out = [
        head + 0.42 * ahead - 0.78 * up,
        head - 0.7 * ahead - 0.5 * up,
        head - 0.9 * ahead + 0.5 * up,
        head - 1.2 * ahead - 1.7 * up,
    ]
    for sign in (-1, 1):
        out.append(head + 0.72 * sign * right - 0.05 * ahead - 1.9 * up)
    out += [0.55 * p[:, NECK] + 0.45 * p[:, s] for s in SHOULDER]
    across = (p[:, SHOULDER[1]] - p[:, SHOULDER[0]]) / (2 * build.shoulder)
    out += [p[:, CHEST] + front * 0.055 + sign * 0.05 * across for sign in (-1, 1)]
    out += [p[:, h] + 0.55 * (p[:, h] - p[:, w]) for h, w in zip(HAND, WRIST, strict=True)]
    out += [p[:, a] - 0.3 * (p[:, t] - p[:, a]) for a, t in zip(ANKLE, TOE, strict=True)]
    out += [0.68 * p[:, k] + 0.32 * p[:, a] for k, a in zip(KNEE_JOINT, ANKLE, strict=True)]
    return np.stack(out, 1)


def _more_parts(build: Build, look: Look) -> Iterator[Part]:
    h, g = build.head, build.girth
    yield Part((HEAD, CHIN), (0.86 * h, 0.42 * h), SKIN, 0.004)
    yield Part((NECK, *SLOPE, *SHOULDER), (0.036 * g, 0.034, 0.034, 0.034, 0.034), TOP, 0.02)
    yield from _more_hair(h, look)
    if look.hair in ("locks", "bun", "tail", "long"):
        yield Part(BREAST, (0.052 * g, 0.052 * g), TOP, -0.004)
    for side in (0, 1):
        yield Part((HAND[side], FINGER[side]), (0.019, 0.011), SKIN, -0.01)
        yield Part((HEEL[side], TOE[side]), (0.022, 0.026), SHOE, 0.002)
        shin = BOTTOM if look.legs in ("trousers", "wide") else SKIN
        yield Part((KNEE_JOINT[side], CALF[side]), (0.041 * g, 0.042 * g), shin, 0.001)


def _more_hair(h: float, look: Look) -> Iterator[Part]:
    if look.hood:
        return
    if look.hair == "locks":
        for lock in LOCK:
            yield Part((HEAD, lock), (0.98 * h, 0.3 * h), HAIR, 0.008)
        yield Part((HEAD, *LOCK, NAPE), (1.0 * h, 0.3 * h, 0.3 * h, 0.6 * h), HAIR, 0.03)
    elif look.hair == "bun":
        yield Part((BUN, BUN), (0.5 * h, 0.5 * h), HAIR, 0.01)
    elif look.hair == "tail":
        yield Part((BUN, TAIL), (0.35 * h, 0.2 * h), HAIR, 0.01)
    if look.hair != "bald":
        yield Part((HEAD, NAPE), (0.99 * h, 0.6 * h), HAIR, 0.005)
