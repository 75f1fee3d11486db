"""Forward hooks on a detector's model: its queries, and the tokens it keeps of each clip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stadkit.detection.detector import Detector
from stadkit.errors import UsageError
from stadkit.models.stmixer import Queried, Stmixer
from stadkit.models.vit import Tokens, Vit, keyframe_slice
from stadkit.video.clips import Clip
from stadkit.video.draw_tokens import Kept

# (clip, person scores [n] 0..1, joint queries [n, E])
OnQueries = Callable[[Clip, NDArray[np.float32], NDArray[np.float32]], None]
OnTokens = Callable[[Clip, Kept], None]


class ForwardHook(ABC):
    """While entered, `_on_output` gets a module's output, then `_on_clips` the batch's clips.

    The model is not changed.
    """

    def __init__(self, detector: Detector, part: nn.Module) -> None:
        self._detector, self._part = detector, part

    def __enter__(self) -> Self:
        self._hook = self._part.register_forward_hook(self._on_output)
        self._detector.on_clips = self._on_clips
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hook.remove()
        self._detector.on_clips = None

    @abstractmethod
    def _on_output(self, part: Any, inputs: Any, output: Any) -> None:
        """Called with the inputs and the output of the module."""

    @abstractmethod
    def _on_clips(self, clips: Sequence[Clip]) -> None:
        """Called with the clips of the same batch."""


class QueryWatch(ForwardHook):
    """While entered, `each(clip, person, entry)` is called for every processed clip.

    Only the queries of one batch are held.
    """

    def __init__(self, detector: Detector, each: OnQueries) -> None:
        """Raises UsageError as `require_query_model`."""
        super().__init__(detector, require_query_model(detector))
        self._each = each

    def _on_output(self, part: Any, inputs: Any, output: Queried) -> None:
        assert output.query is not None
        self._person = output.person.float().sigmoid().cpu().numpy()
        self._entry = output.query.float().cpu().numpy()

    def _on_clips(self, clips: Sequence[Clip]) -> None:
        for clip, person, entry in zip(clips, self._person, self._entry, strict=True):
            self._each(clip, person, entry)


def require_query_model(detector: Detector) -> Stmixer:
    """The detector's model; raises UsageError if it has no queries."""
    model = detector.model
    if not isinstance(model, Stmixer):
        raise UsageError(
            f"{detector.name}: has no queries to save; use an STMixer, such as "
            "stmixer-k-slowonly-r50"
        )
    return model


def require_bank_reader(detector: Detector) -> Stmixer:
    """The detector's model; raises UsageError if it reads no query bank."""
    model = detector.model
    if not isinstance(model, Stmixer) or model.config.classifier != "long":
        raise UsageError(
            f"{detector.name}: reads no query bank; train an STMixer with settings "
            "`classifier: long`"
        )
    return model


def entry_width(model: Stmixer) -> int:
    """Channels of the bank entries that a model writes and reads."""
    return 2 * model.config.width


class TokenWatch(ForwardHook):
    """While entered, `each(clip, kept)` is called for every processed clip.

    The hook is on the backbone; only the token masks of one batch are held.
    """

    def __init__(self, detector: Detector, each: OnTokens) -> None:
        """Raises UsageError as `pruning_backbone`."""
        self._backbone = pruning_backbone(detector)
        super().__init__(detector, self._backbone)
        self._each = each
        self._masks = np.zeros((0, 0, 0, 0, 0), bool)

    def _on_output(self, part: Any, inputs: Any, output: Tokens) -> None:
        self._masks = kept_masks(output)

    def _on_clips(self, clips: Sequence[Clip]) -> None:
        for clip, mask in zip(clips, self._masks, strict=True):
            self._each(clip, self._kept(clip, mask))

    def _kept(self, clip: Clip, mask: NDArray[np.bool_]) -> Kept:
        """Crop mask [S, t, h, w] to the cells that contain pixels of the clip."""
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
    """The backbone that drops tokens; raises UsageError if the model drops none."""
    backbone = getattr(detector.model, "backbone", None)
    if not isinstance(backbone, Vit):
        raise UsageError(
            f"{detector.name}: has no tokens to drop; use a model that does, such as evad-vit-b"
        )
    if backbone.config.keep_rate == 1 or not backbone.config.prune_at:
        raise UsageError(f"{detector.name}: keeps all tokens; use a model with a keep_rate below 1")
    return backbone


def kept_masks(tokens: Tokens) -> NDArray[np.bool_]:
    """Cells kept after each of S stages: [B, S, t, h, w]; those of the key frame always are."""
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
