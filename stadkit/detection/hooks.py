"""What goes on inside a model, seen while a detector looks at clips.

What a model's queries know of its people, seen while it looks at its clips.

Which patches of its clips a model drops, seen while it looks at them.
"""

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
    """While it is entered, `_see` is given what a part of the model gives, and `_tell` the clips.

    Of a batch `_see` comes first. Nothing of the model is changed.
    """

    def __init__(self, detector: Detector, part: nn.Module) -> None:
        self._detector, self._part = detector, part

    def __enter__(self) -> Self:
        self._hook = self._part.register_forward_hook(self._see)
        self._detector.on_clips = self._tell
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
    def _see(self, part: Any, given: Any, output: Any) -> None:
        """The part was given this and gave that."""

    @abstractmethod
    def _tell(self, clips: Sequence[Clip]) -> None:
        """The batch was of these clips."""


class QueryWatch(ForwardHook):
    """While it is entered, `each(clip, person, entry)` is called for every clip looked at.

    A hook on the model sees what it gives; of that only one batch is held.
    """

    def __init__(self, detector: Detector, each: OnQueries) -> None:
        """Raises UsageError as `require_query_model`."""
        super().__init__(detector, require_query_model(detector))
        self._each = each

    def _see(self, part: Any, given: Any, output: Queried) -> None:
        assert output.query is not None
        self._person = output.person.float().sigmoid().cpu().numpy()
        self._entry = output.query.float().cpu().numpy()

    def _tell(self, clips: Sequence[Clip]) -> None:
        for clip, person, entry in zip(clips, self._person, self._entry, strict=True):
            self._each(clip, person, entry)


def require_query_model(detector: Detector) -> Stmixer:
    """The model; raises UsageError where it has no queries."""
    model = detector.model
    if not isinstance(model, Stmixer):
        raise UsageError(
            f"{detector.name}: has no queries to save; take an STMixer, such as "
            "stmixer-k-slowonly-r50"
        )
    return model


def require_bank_reader(detector: Detector) -> Stmixer:
    """The model; raises UsageError where it reads no bank of queries."""
    model = detector.model
    if not isinstance(model, Stmixer) or model.config.classifier != "long":
        raise UsageError(
            f"{detector.name}: reads no bank of queries; train an STMixer with settings "
            "`classifier: long`"
        )
    return model


def entry_width(model: Stmixer) -> int:
    """Channels of the entries that a model makes and reads."""
    return 2 * model.config.width


class TokenWatch(ForwardHook):
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
