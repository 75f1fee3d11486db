"""Faces of the wide variety: chins, ears, fringes, lips, dark glasses, light over the round."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stadkit.synth.chance import Floats, Rng, happens, paint
from stadkit.synth.face import Face, Head
from stadkit.synth.figure import FLAT, Canvas
from stadkit.synth.look import EXTRA, HAIR, SKIN
from stadkit.synth.outline import FINE, fine

LEVELS = 4  # steps of light from a face's edge to its middle


@dataclass(frozen=True)
class Features:
    """What tells one face from another, in head radii about their usual places."""

    wide: float
    jaw: float
    eyes: float  # how large
    fringe: float  # how far hair falls over the forehead, 0: not
    lips: float
    smile: bool
    shades: bool
    light: float  # -1..1, the side that is lit

    @classmethod
    def draw(cls, rng: Rng) -> Features:
        """One face's."""
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
    """A head painted with more than ovals."""

    features: Features

    def _draw_skin(self, canvas: Canvas, head: Head, first: int) -> None:
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

    def _light(self, canvas: Canvas, head: Head, face: Floats) -> None:
        dark, light = self.look.contrast
        middle = face.mean(0)
        for i in range(LEVELS):
            s = i / (LEVELS - 1)
            shift = s * 0.3 * head.radius * np.array([self.features.light, -0.4])
            inner = middle + (face - middle) * (1 - 0.6 * s) + shift
            gain = FLAT * (dark + (light - dark) * (0.35 + 0.65 * s))
            cv2.fillConvexPoly(canvas.shade, fine(inner), (gain,), cv2.LINE_8, FINE)

    def _draw_features(self, canvas: Canvas, head: Head) -> None:
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
        head: Head,
        place: tuple[float, float, float],
        size: tuple[float, float],
        rgb: Floats,
    ) -> None:
        # A feature turned away from us is narrow.
        wide = size[0] * head.radius * (0.35 + 0.65 * max(head.towards, 0.0))
        outline = fine(head.oval(head.at(*place), wide, size[1] * head.radius))
        cv2.fillConvexPoly(canvas.pixels, outline, paint(rgb), cv2.LINE_AA, FINE)

    def _draw_hat(self, canvas: Canvas, head: Head, first: int) -> None:
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
