"""People of the wide variety: more varied bodies, hair, clothes and faces.

Adds details visible to a near camera: chins, ears, fringes, lips, sunglasses, shaded faces, hands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from stadkit.synth import texture
from stadkit.synth.draws import Floats, Rng, cv_colour, happens, pick
from stadkit.synth.face import BOTTOM, EXTRA, HAIR, SHOE, SKIN, TOP, Face, HeadPose, Look, draw_look
from stadkit.synth.figure import FINE, FLAT, Canvas, Figure, Material, Part, fine
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

LEVELS = 4  # shading steps from a face's edge to its centre
# Points appended to the skeleton's.
CHIN, NAPE, BUN, TAIL = range(POINTS, POINTS + 4)
LOCK, SLOPE, BREAST, FINGER, HEEL, CALF = (
    (POINTS + 4 + 2 * i, POINTS + 5 + 2 * i) for i in range(6)
)


@dataclass(frozen=True)
class FaceFeatures:
    """Facial features; factors and head radii relative to the standard face."""

    wide: float
    jaw: float
    eyes: float  # size factor
    fringe: float  # how far hair covers the forehead, 0: none
    lips: float
    smile: bool
    shades: bool
    light: float  # -1..1, horizontal direction of the light

    @classmethod
    def draw(cls, rng: Rng) -> FaceFeatures:
        """Draw random features."""
        return cls(
            wide=rng.uniform(0.9, 1.1),
            jaw=rng.uniform(0.75, 1.2),
            eyes=rng.uniform(0.8, 1.3),
            fringe=rng.uniform(0.15, 0.4) if happens(rng, 0.4) else 0.0,
            lips=rng.uniform(0.6, 1.4),
            smile=happens(rng, 0.3),
            shades=happens(rng, 0.07),
            light=rng.uniform(-1, 1),
        )


@dataclass(frozen=True)
class WideFace(Face):
    """A face with more detail than the standard one."""

    features: FaceFeatures

    def _draw_skin(self, canvas: Canvas, head: HeadPose, first: int) -> None:
        r, f = head.radius, self.features
        bald = self.look.hair == "bald" and not self.look.hood
        front = max(head.towards, 0.0)
        wide = r * (0.58 + 0.24 * front) * f.wide
        if self.look.hair in ("short", "bald", "tail", "bun") and not self.look.hood:
            for side in (-1, 1):
                ear = head.oval(head.at(0.02, 0.97 * side, -0.12), 0.15 * r, 0.27 * r)
                self._fill(canvas, ear, SKIN, first)
        brow = head.at(0.1, 0, 0.15) if bald else head.at(0.4, 0, -0.08)
        upper = head.oval(brow, r * 0.92 if bald else wide, r * (1.0 if bald else 0.84))
        chin = head.oval(head.at(0.48, 0, -0.74), wide * 0.55 * f.jaw, 0.34 * r)
        face = self._hull(upper, chin)
        self._fill(canvas, face, SKIN, first)
        self._light(canvas, head, face)
        if self.look.beard:
            edge = head.oval(head.at(0.45, 0, -0.55), wide * 0.86, 0.3 * r)
            self._fill(canvas, self._hull(edge, chin), HAIR, first)
        if f.fringe and not bald:
            hair = head.oval(head.at(0.5, 0, 0.62 - 0.4 * f.fringe), wide * 1.02, f.fringe * r)
            self._fill(canvas, hair, HAIR, first)

    @staticmethod
    def _hull(a: Floats, b: Floats) -> Floats:
        points = np.concatenate([a, b]).astype(np.float32)
        return np.asarray(cv2.convexHull(points)[:, 0], np.float64)

    def _light(self, canvas: Canvas, head: HeadPose, face: Floats) -> None:
        dark, light = self.look.contrast
        middle = face.mean(0)
        for i in range(LEVELS):
            s = i / (LEVELS - 1)
            shift = s * 0.3 * head.radius * np.array([self.features.light, -0.4])
            inner = middle + (face - middle) * (1 - 0.6 * s) + shift
            gain = FLAT * (dark + (light - dark) * (0.35 + 0.65 * s))
            cv2.fillConvexPoly(canvas.shade, fine(inner), (gain,), cv2.LINE_8, FINE)

    def _draw_features(self, canvas: Canvas, head: HeadPose) -> None:
        skin, r, f = self.look.materials[SKIN].rgb, head.radius, self.features
        line = max(1, round(r * 0.06))
        if not f.shades:
            for side in (-1, 1):
                self._draw_eye(canvas, head, side, line)
        nose = (head.at(0.95, 0.0, 0.0), head.at(1.02, 0.09 * f.light, -0.34))
        self._line(canvas, nose, skin * 0.9, line)
        self._oval(canvas, head, (1.0, 0.0, -0.38), (0.15, 0.05), skin * 0.72)
        self._oval(canvas, head, (0.9, 0.0, -0.66), (0.27, 0.075 * f.lips), skin * (0.8, 0.5, 0.5))
        if f.smile:
            self._oval(canvas, head, (0.9, 0.0, -0.65), (0.2, 0.045), 0.3 * skin + 170)
        self._oval(canvas, head, (0.85, 0.0, -0.8), (0.18, 0.035), skin * 0.82)
        if f.shades:
            for side in (-1, 1):
                place = (0.86, 0.36 * side, 0.02)
                self._oval(canvas, head, place, (0.28, 0.2), np.full(3, 30.0))
            self._line(canvas, (head.at(0.9, -0.4, 0.1), head.at(0.9, 0.4, 0.1)), skin * 0, line)

    @staticmethod
    def _oval(
        canvas: Canvas,
        head: HeadPose,
        place: tuple[float, float, float],
        size: tuple[float, float],
        rgb: Floats,
    ) -> None:
        # Features turned away from the camera are narrow.
        wide = size[0] * head.radius * (0.35 + 0.65 * max(head.towards, 0.0))
        outline = fine(head.oval(head.at(*place), wide, size[1] * head.radius))
        cv2.fillConvexPoly(canvas.pixels, outline, cv_colour(rgb), cv2.LINE_AA, FINE)

    def _draw_hat(self, canvas: Canvas, head: HeadPose, first: int) -> None:
        r = head.radius
        if self.look.hat == "beanie":
            crown = head.oval(head.at(-0.08, 0, 0.55), r * 1.08, r * 0.72)
            self._fill(canvas, crown, EXTRA, first)
        elif self.look.hat == "sunhat":
            crown = head.oval(head.at(-0.05, 0, 0.75), r * 0.9, r * 0.55)
            self._fill(canvas, crown, EXTRA, first)
            self._fill(canvas, head.oval(head.at(0, 0, 0.4), r * 2.1, r * 0.3), EXTRA, first)
        else:
            super()._draw_hat(canvas, head, first)


def draw_build(rng: Rng) -> Build:
    """Draw a body: children with large heads, and adults from thin to broad."""
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
    """Draw clothes, from swimwear to winter clothes."""
    look = draw_look(rng)
    skin, top, bottom, hair, shoe, extra, gadget = look.materials
    skin = Material(*plain(rng, texture.skin_colour(rng), rng.uniform(0.01, 0.05)), 0.15)
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
    """Draw cloth in a clothing colour, with deep or shallow folds."""
    deep = rng.uniform(0.04, 0.26)
    if plain_only or happens(rng, 0.5):
        families = (texture.DARKS, texture.BLUES, texture.STONES, texture.WHITES, texture.EARTHS)
        rgb = texture.family_colour(rng, families[pick(rng, (0.3, 0.3, 0.15, 0.15, 0.1))])
        _, tile = cloth(rng, deep, "plain")
        return Material(rgb, tile, rng.uniform(0.2, 0.6))
    return Material(*cloth(rng, deep), rng.uniform(0.15, 0.5))


def dresser(features: FaceFeatures) -> Callable[..., Figure]:
    """A figure maker with the signature of `people.person`, for people with these features."""

    def make(world: Floats, build: Build, look: Look, phone: int = -1, number: int = 0) -> Figure:
        body = person(np.concatenate([world, _extra_points(world, build)], 1), build, look, phone,
                      number)  # fmt: skip
        extra = tuple(
            Part(p.points, tuple(r * build.scale for r in p.radii), p.material,
                 p.bias * build.scale)
            for p in _extra_parts(build, look)
        )  # fmt: skip
        face = WideFace(look, build.head * build.scale, features)
        return replace(body, parts=body.parts + extra, face=face.draw, round=True)

    return make


def _extra_points(p: Floats, build: Build) -> Floats:
    """Points [T, 16, 3] from CHIN onwards, from a body's points [T, 31, 3]."""
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


def _extra_parts(build: Build, look: Look) -> Iterator[Part]:
    h, g = build.head, build.girth
    yield Part((HEAD, CHIN), (0.86 * h, 0.42 * h), SKIN, 0.004)
    yield Part((NECK, *SLOPE, *SHOULDER), (0.036 * g, 0.034, 0.034, 0.034, 0.034), TOP, 0.02)
    yield from _extra_hair(h, look)
    if look.hair in ("locks", "bun", "tail", "long"):
        yield Part(BREAST, (0.052 * g, 0.052 * g), TOP, -0.004)
    for side in (0, 1):
        yield Part((HAND[side], FINGER[side]), (0.019, 0.011), SKIN, -0.01)
        yield Part((HEEL[side], TOE[side]), (0.022, 0.026), SHOE, 0.002)
        shin = BOTTOM if look.legs in ("trousers", "wide") else SKIN
        yield Part((KNEE_JOINT[side], CALF[side]), (0.041 * g, 0.042 * g), shin, 0.001)


def _extra_hair(h: float, look: Look) -> Iterator[Part]:
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
