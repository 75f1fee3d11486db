"""Random augmentation of a training example: scale, crop, flip, colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stadkit import boxes
from stadkit.training.config import AugmentConfig


@dataclass(frozen=True)
class View:
    """An affine map from the pixels of the stored clip to those of an augmented view."""

    matrix: NDArray[np.float32]  # [2, 3]
    size: tuple[int, int]  # (height, width) of the picture
    padded: tuple[int, int]  # (height, width) including zero padding below and to the right

    @property
    def mirrors(self) -> bool:
        """Whether the view is flipped horizontally."""
        return bool(self.matrix[0, 0] < 0)


def random_view(
    config: AugmentConfig, height: int, width: int, random: np.random.Generator
) -> View:
    """ME-STAD section 4.1: short side uniform in a range, random crop (or none), flip."""
    scale = random.uniform(*config.short_side) / min(height, width)
    across = scale * random.uniform(1 - config.stretch, 1 + config.stretch)
    wide, high = width * across, height * scale
    left, top, size = _window(config.crop, wide, high, random)
    matrix = np.array([[across, 0, -left], [0, scale, -top]], np.float32)
    if random.random() < config.flip:
        matrix[0] = [-across, 0, size[1] + left]
    return View(matrix, size, config.crop or size)


def _window(
    crop: tuple[int, int] | None, wide: float, high: float, random: np.random.Generator
) -> tuple[float, float, tuple[int, int]]:
    """Left, top and (height, width) of the visible part of a scaled picture."""
    whole = (int(high + 0.5), int(wide + 0.5))
    crop_high, crop_wide = crop or whole
    left = random.uniform(0, max(wide - crop_wide, 0))
    top = random.uniform(0, max(high - crop_high, 0))
    if crop is None:
        return 0.0, 0.0, whole
    return left, top, (min(crop_high, int(high)), min(crop_wide, int(wide)))


def warp(pixels: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Warp pixels [T, H, W, 3] to a view; zero outside the picture."""
    high, wide = view.size
    out = np.zeros((len(pixels), *view.padded, 3), np.uint8)
    # warpAffine has pixel centres at integers; box coordinates have them at halves.
    matrix = view.matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    for source, target in zip(pixels, out, strict=True):
        target[:high, :wide] = cv2.warpAffine(
            source, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return out


def move_boxes(
    box: NDArray[np.float32], view: View, min_visible: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Map boxes [n, 4] from stored pixels to a view's; returns them and a mask [n] of those kept.

    A box is kept if at least `min_visible` of it is inside the picture and its sides exceed 4
    pixels.
    """
    corners = box.reshape(-1, 2, 2) @ view.matrix[:, :2].T + view.matrix[:, 2]
    moved = np.concatenate([corners.min(1), corners.max(1)], 1).astype(np.float32)
    cut = boxes.clip(moved, view.size[1], view.size[0]).astype(np.float32)
    side = cut[:, 2:] - cut[:, :2]
    stays = (boxes.area(cut) >= min_visible * boxes.area(moved)) & (side > 4).all(1)
    return cut, stays


def move_tubes(
    box: NDArray[np.float32], view: View, min_visible: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Like `move_boxes`, for boxes [m, T, 4] and a mask [m, T]."""
    moved, stays = move_boxes(box.reshape(-1, 4), view, min_visible)
    return moved.reshape(box.shape), stays.reshape(box.shape[:2])


def move_joints(
    joints: NDArray[np.float32], view: View, mirrored: tuple[int, ...]
) -> NDArray[np.float32]:
    """Map joints [n, T, J, 2] from stored pixels to a view's, swapping left and right if flipped.

    mirrored [J]: the mirror image of each joint.
    """
    moved = joints @ view.matrix[:, :2].T + view.matrix[:, 2]
    return moved[:, :, list(mirrored)] if view.mirrors else moved


def recolour(
    pixels: NDArray[np.uint8], config: AugmentConfig, random: np.random.Generator
) -> NDArray[np.uint8]:
    """Apply random gain, shift, grey and channel order, the same for all frames."""
    # All numbers are always drawn, so that no option changes another's random numbers.
    gain = random.uniform(1 - config.gain, 1 + config.gain, 3)
    shift = random.uniform(-config.shift, config.shift)
    order = random.permutation(3)
    grey, shuffle = random.random() < config.grey, random.random() < config.shuffle
    if shuffle:
        pixels = pixels[..., order]
    if grey:
        pixels = np.repeat(pixels.mean(-1, keepdims=True).astype(np.uint8), 3, -1)
    if config.gain or config.shift:
        levels = np.arange(256)[:, None] * gain + shift
        table = np.clip(levels, 0, 255).astype(np.uint8)
        flat = np.ascontiguousarray(pixels).reshape(1, -1, 3)
        pixels = np.asarray(cv2.LUT(flat, table[None]), np.uint8).reshape(pixels.shape)
    return pixels
