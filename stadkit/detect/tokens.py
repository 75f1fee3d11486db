"""Which patches of its clips a model drops, seen while it looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stadkit.detect.detector import Detector
from stadkit.detect.hook import Watch
from stadkit.errors import UsageError
from stadkit.models.vit import Tokens, Vit, keyframe_slice
from stadkit.video.clips import Clip
from stadkit.video.draw_tokens import Kept

OnTokens = Callable[[Clip, Kept], None]


class TokenWatch(Watch):
    """While it is entered, `each(clip, kept)` is called for every clip that was looked at.

    A hook on the model's backbone sees the tokens; of these only the masks of one batch are
    held.
    """

    def __init__(self, detector: Detector, each: OnTokens) -> None:
        """Raises UsageError as `pruning_backbone`."""
        self._backbone = pruning_backbone(detector)
        super().__init__(detector, self._backbone)
        self._each = each
        self._masks = np.zeros((0, 0, 0, 0, 0), bool)

    def _see(self, part: Any, given: Any, output: Tokens) -> None:
        self._masks = kept_masks(output)

    def _tell(self, clips: Sequence[Clip]) -> None:
        for clip, mask in zip(clips, self._masks, strict=True):
            self._each(clip, self._kept(clip, mask))

    def _kept(self, clip: Clip, mask: NDArray[np.bool_]) -> Kept:
        """mask [S, t, h, w], without the cells that no pixel of the clip is in."""
        config = self._backbone.config
        height, width = (-(-side // config.patch) for side in clip.pixels.shape[1:3])
        return Kept(
            mask[:, :, :height, :width],
            layer=tuple(block + 1 for block in config.prune_at),
            patch=config.patch,
            tubelet=config.tubelet,
            key=keyframe_slice(mask.shape[1]),
        )


def pruning_backbone(detector: Detector) -> Vit:
    """The part of the model that drops tokens; raises UsageError where there is none."""
    backbone = getattr(detector.model, "backbone", None)
    if not isinstance(backbone, Vit):
        raise UsageError(
            f"{detector.name}: has no tokens to drop; take a model that does, such as evad-vit-b"
        )
    if backbone.config.keep_rate == 1 or not backbone.config.prune_at:
        raise UsageError(
            f"{detector.name}: keeps all of its tokens; take a model with a keep_rate below 1"
        )
    return backbone


def kept_masks(tokens: Tokens) -> NDArray[np.bool_]:
    """[B, S, t, h, w]: which cells are left after each of S stages; the key frame's always are."""
    slices, height, width = tokens.grid
    area = height * width
    start = keyframe_slice(slices) * area
    stages = []
    for kept in tokens.stages:
        others = kept.new_zeros(len(kept), (slices - 1) * area, dtype=torch.bool)
        before, after = others.scatter(1, kept, True).tensor_split((start,), 1)
        key = before.new_ones(len(kept), area)
        stages.append(torch.cat([before, key, after], 1).view(-1, *tokens.grid))
    return np.asarray(torch.stack(stages, 1).cpu().numpy(), bool)
