"""Frames broken on their way, as in a bad transmission: nobody can be found in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.synth.chance import Pixels, Rng, pick

# Random numbers apart from the scene's own: a scene with glitches is the same scene, and what is
# broken with a small share stays broken with a larger one.
STREAM = 0x611C
BLOCKS = 15  # macroblocks along the shorter side


@dataclass(frozen=True)
class Glitches:
    """Which frames of a video are broken, and how: the same for the same seed."""

    lost: NDArray[np.bool_]  # [T]
    seed: tuple[int, ...]

    @classmethod
    def draw(cls, seed: tuple[int, ...], frames: int, share: float) -> Glitches:
        """Each of so many frames is broken with this chance, 0..1, whatever its neighbours are."""
        return cls(np.random.default_rng((*seed, STREAM)).random(frames) < share, seed)

    def transmit(self, pixels: Pixels, t: int) -> Pixels:
        """Frame t [H, W, 3] as it arrives."""
        if not self.lost[t]:
            return pixels
        rng = np.random.default_rng((*self.seed, STREAM, t))
        return KINDS[pick(rng, (0.5, 0.25, 0.25))](pixels, rng)


def _scrambled(pixels: Pixels, rng: Rng) -> Pixels:
    """Macroblocks in wrong places, a third of them without detail."""
    height, width = pixels.shape[:2]
    side = max(min(height, width) // BLOCKS, 4)
    down, across = -(-height // side), -(-width // side)
    margin = ((0, down * side - height), (0, across * side - width), (0, 0))
    whole = np.pad(pixels, margin, mode="edge").reshape(down, side, across, side, 3)
    blocks = rng.permutation(whole.swapaxes(1, 2).reshape(-1, side, side, 3))
    flat = rng.random(len(blocks)) < 1 / 3
    blocks[flat] = blocks[flat].mean((1, 2), keepdims=True).astype(np.uint8)
    picture = blocks.reshape(down, across, side, side, 3).swapaxes(1, 2)
    return picture.reshape(down * side, across * side, 3)[:height, :width]


def _smeared(pixels: Pixels, rng: Rng) -> Pixels:
    """One column of the picture over all of it."""
    column = int(rng.integers(0, pixels.shape[1]))
    return np.repeat(pixels[:, column : column + 1], pixels.shape[1], 1)


def _snow(pixels: Pixels, rng: Rng) -> Pixels:
    """Noise, brighter in some bands than in others."""
    height, width = pixels.shape[:2]
    rows = np.arange(height)[:, None]
    band = 0.7 + 0.3 * np.sin(rows * rng.uniform(2, 9) / height + rng.uniform(0, 2 * np.pi))
    grey = (band * rng.integers(0, 256, (height, width))).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


KINDS: tuple[Callable[[Pixels, Rng], Pixels], ...] = (_scrambled, _smeared, _snow)
