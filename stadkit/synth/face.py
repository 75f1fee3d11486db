"""The look of a person: skin, hair, clothes and accessories; faces and hats, painted on a head."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stadkit.synth.draws import Floats, Rng, colour, cv_colour, happens, pick
from stadkit.synth.figure import FINE, FLAT, RING, Canvas, Material, fine
from stadkit.synth.skeleton import CROWN, CROWN_UP, EAR, FACE, HEAD
from stadkit.synth.texture import SKINS, cloth, plain

HAIRS = np.array(
    [[28, 22, 20], [80, 50, 30], [160, 110, 60], [135, 130, 130], [225, 190, 110], [130, 60, 35]],
    np.float64,
)
SKIN, TOP, BOTTOM, HAIR, SHOE, EXTRA, GADGET = range(7)
DETAIL = 4.5  # minimum head radius in pixels for drawing eyes


@dataclass(frozen=True)
class Look:
    """A person's clothes, hair, accessories and shading."""

    materials: tuple[Material, ...]  # skin, top, bottom, hair, shoe, extra, gadget
    sleeves: str  # "long", "short", "none"
    legs: str  # "trousers", "wide", "shorts", "bare"
    skirt: str  # "", "short", "long"
    coat: bool
    hood: bool
    hair: str  # "short", "long", "bald", "full"
    hat: str  # "", "cap", "brim", "helmet"
    bag: str  # "", "backpack", "hand"
    beard: bool
    glasses: bool
    loose: float  # ratio of the radius of clothes to that of the limb
    contrast: tuple[float, float]


def draw_look(rng: Rng) -> Look:
    """Draw a look."""
    skirt = ("", "short", "long")[pick(rng, (0.8, 0.12, 0.08))]
    return Look(
        materials=_draw_materials(rng),
        sleeves=("long", "short", "none")[pick(rng, (0.45, 0.4, 0.15))],
        legs="bare" if skirt else ("trousers", "wide", "shorts")[pick(rng, (0.62, 0.15, 0.23))],
        skirt=skirt,
        coat=happens(rng, 0.13),
        hood=happens(rng, 0.07),
        hair=("short", "long", "bald", "full")[pick(rng, (0.52, 0.32, 0.09, 0.07))],
        hat=("", "cap", "brim", "helmet")[pick(rng, (0.8, 0.1, 0.05, 0.05))],
        bag=("", "backpack", "hand")[pick(rng, (0.78, 0.12, 0.1))],
        beard=happens(rng, 0.16),
        glasses=happens(rng, 0.14),
        loose=rng.uniform(0.95, 1.4),
        contrast=draw_contrast(rng),
    )


def draw_contrast(rng: Rng) -> tuple[float, float]:
    """Draw the gains at the rim and in the light; both near 1 in flat light."""
    return rng.uniform(0.5, 0.98), rng.uniform(1.0, 1.18)


def _draw_materials(rng: Rng) -> tuple[Material, ...]:
    wrinkles = rng.uniform(0.02, 0.2)
    skin = SKINS[rng.integers(0, len(SKINS))] * rng.uniform(0.85, 1.08)
    top = Material(*cloth(rng, wrinkles), rng.uniform(0.2, 0.5))
    bottom = Material(*cloth(rng, wrinkles, _bottom_kind(rng)), rng.uniform(0.2, 0.5))
    if happens(rng, 0.14):
        bottom = top
    hair = HAIRS[pick(rng, (0.4, 0.28, 0.11, 0.09, 0.07, 0.05))] * rng.uniform(0.7, 1.2)
    return (
        Material(*plain(rng, np.clip(skin, 5, 252), rng.uniform(0.01, 0.06)), 0.12),
        top,
        bottom,
        Material(*plain(rng, np.clip(hair, 5, 250), rng.uniform(0.05, 0.2)), 0.08),
        Material(colour(rng)),
        Material(*cloth(rng, 0.05), 0.2),
        Material(_gadget(rng)),
    )


def _bottom_kind(rng: Rng) -> str | None:
    return "plain" if happens(rng, 0.75) else None


def _gadget(rng: Rng) -> Floats:
    return np.full(3, rng.uniform(10, 60) if happens(rng, 0.7) else rng.uniform(150, 240))


@dataclass(frozen=True)
class HeadPose:
    """A head in the image: centre and axes in pixels, and how far it faces the camera."""

    centre: Floats  # [2]
    ahead: Floats  # [2]  direction of the nose
    right: Floats  # [2]  the person's left ear is at -right
    up: Floats  # [2]
    radius: float  # pixels
    towards: float  # 1: faces the camera, -1: faces away

    def at(self, ahead: float, right: float, up: float) -> Floats:
        """A point on the head, in head radii along its axes."""
        place: Floats = self.centre + ahead * self.ahead + right * self.right + up * self.up
        return place

    def oval(self, centre: Floats, wide: float, tall: float) -> Floats:
        """Outline [10, 2] of an oval in pixels, aligned with the head."""
        up = self.up / max(float(np.hypot(*self.up)), 1e-6)
        across = np.array([-up[1], up[0]])
        return np.asarray(centre + wide * RING[:, :1] * across + tall * RING[:, 1:] * up)


@dataclass(frozen=True)
class Face:
    """The appearance of a person's head; `draw` is the face callback of a Figure."""

    look: Look
    radius: float  # body heights

    def draw(self, canvas: Canvas, uv: Floats, scale: Floats, depth: Floats, first: int) -> None:
        """Paint the face and the hat for points uv [K, 2], scale and depth [K]."""
        radius = self.radius * float(scale[HEAD])
        towards = float(depth[HEAD] - depth[FACE]) / self.radius
        head = HeadPose(
            uv[HEAD],
            uv[FACE] - uv[HEAD],
            uv[EAR] - uv[HEAD],
            (uv[CROWN] - uv[HEAD]) / CROWN_UP,
            radius,
            towards,
        )
        if towards > -0.55:
            self._draw_skin(canvas, head, first)
            if radius > DETAIL and towards > -0.1:
                self._draw_features(canvas, head)
        if self.look.hat:
            self._draw_hat(canvas, head, first)

    def _fill(self, canvas: Canvas, outline: Floats, material: int, first: int) -> None:
        shape = fine(outline)
        rgb = self.look.materials[material].rgb
        cv2.fillConvexPoly(canvas.pixels, shape, cv_colour(rgb), cv2.LINE_AA, FINE)
        cv2.fillConvexPoly(canvas.ids, shape, (first + material,), cv2.LINE_8, FINE)

    def _draw_skin(self, canvas: Canvas, head: HeadPose, first: int) -> None:
        r, bald = head.radius, self.look.hair == "bald" and not self.look.hood
        wide = r * (0.86 if bald else 0.55 + 0.27 * max(head.towards, 0))
        centre = head.at(0.1 if bald else 0.42, 0, -0.05 if bald else -0.22)
        skin = head.oval(centre, wide, r * (1.15 if bald else 0.98))
        self._fill(canvas, skin, SKIN, first)
        dark, light = self.look.contrast
        gain = FLAT * (dark + light) / 2
        cv2.fillConvexPoly(canvas.shade, fine(skin), (gain,), cv2.LINE_8, FINE)
        inner = head.oval(centre, wide * 0.6, r * 0.65)
        cv2.fillConvexPoly(canvas.shade, fine(inner), (FLAT * light,), cv2.LINE_8, FINE)
        if self.look.beard:
            chin = head.oval(head.at(0.5, 0, -0.8), wide * 0.8, r * 0.42)
            self._fill(canvas, chin, HAIR, first)

    def _draw_features(self, canvas: Canvas, head: HeadPose) -> None:
        skin, r = self.look.materials[SKIN].rgb, head.radius
        line = max(1, round(r * 0.08))
        for side in (-1, 1):
            self._draw_eye(canvas, head, side, line)
        nose = (head.at(0.98, 0.02, -0.02), head.at(1.06, 0.05, -0.32))
        self._line(canvas, nose, skin * 0.85, line)
        mouth = (head.at(0.9, -0.24, -0.62), head.at(0.9, 0.24, -0.62))
        self._line(canvas, mouth, skin * (0.78, 0.55, 0.55), line)

    def _draw_eye(self, canvas: Canvas, head: HeadPose, side: int, line: int) -> None:
        skin, r = self.look.materials[SKIN].rgb, head.radius
        eye = head.at(0.85, 0.36 * side, 0.02)
        dark = 0.35 * skin + (10, 8, 8)
        socket = fine(head.oval(eye, 0.2 * r, 0.13 * r))
        cv2.fillConvexPoly(canvas.pixels, socket, cv_colour(skin * 0.84), cv2.LINE_AA, FINE)
        if r > 9:
            dark = 0.15 * skin + (18, 14, 12)
            white = fine(head.oval(eye, 0.13 * r, 0.06 * r))
            cv2.fillConvexPoly(canvas.pixels, white, cv_colour(0.5 * skin + 95), cv2.LINE_AA, FINE)
            if self.look.glasses:
                rim = fine(head.oval(eye, 0.24 * r, 0.18 * r))
                cv2.polylines(canvas.pixels, [rim], True, (40, 38, 40), 1, cv2.LINE_AA, FINE)
        pupil = fine(head.oval(eye, 0.07 * r, 0.07 * r))
        cv2.fillConvexPoly(canvas.pixels, pupil, cv_colour(dark), cv2.LINE_AA, FINE)
        brow = (head.at(0.85, 0.18 * side, 0.25), head.at(0.78, 0.55 * side, 0.24))
        self._line(canvas, brow, (self.look.materials[HAIR].rgb + skin) / 2, line)

    @staticmethod
    def _line(canvas: Canvas, ends: tuple[Floats, Floats], rgb: Floats, thickness: int) -> None:
        a, b = (tuple(int(v) for v in fine(end)) for end in ends)
        cv2.line(canvas.pixels, a, b, cv_colour(rgb), thickness, cv2.LINE_AA, FINE)

    def _draw_hat(self, canvas: Canvas, head: HeadPose, first: int) -> None:
        r, kind = head.radius, self.look.hat
        if kind == "helmet":
            self._fill(canvas, head.oval(head.at(-0.1, 0, 0.55), r * 1.1, r * 0.68), EXTRA, first)
            return
        self._fill(canvas, head.oval(head.at(-0.05, 0, 0.62), r * 1.0, r * 0.6), EXTRA, first)
        reach = 0.75 if kind == "cap" else 0.0
        wide = r * (0.75 if kind == "cap" else 1.7)
        self._fill(canvas, head.oval(head.at(reach, 0, 0.42), wide, r * 0.16), EXTRA, first)
