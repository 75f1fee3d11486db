"""Masks of kept tokens: worked by hand, and one for each clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stadkit.detection import Detector, detect_video, to_batch
from stadkit.detection.hooks import TokenWatch, kept_masks, pruning_backbone
from stadkit.errors import UsageError
from stadkit.models.vit import Tokens
from stadkit.video.clips import Clip
from stadkit.video.draw_tokens import Kept


def clip(time: float, height: int = 32, width: int = 32) -> Clip:
    pixels = np.random.default_rng(int(time)).integers(0, 256, (4, height, width, 3), np.uint8)
    return Clip("v", pixels, time, np.full(4, time), (height, width))


def tokens(*stages: Tensor, grid: tuple[int, int, int]) -> Tokens:
    clips, others = stages[-1].shape
    token = torch.zeros(clips, grid[1] * grid[2] + others, 1)
    return Tokens(token, stages[-1], grid, (), stages)


def test_masks_of_three_slices_of_two_by_two() -> None:
    # The key frame's slice is the middle one: others 0..3 are slice 0, 4..7 are slice 2.
    first = torch.tensor([[6, 0, 3, 5, 4]])
    second = torch.tensor([[5, 0]])
    masks = kept_masks(tokens(first, second, grid=(3, 2, 2)))
    assert masks.astype(int).tolist() == [
        [
            [[[1, 0], [0, 1]], [[1, 1], [1, 1]], [[1, 1], [1, 0]]],
            [[[1, 0], [0, 0]], [[1, 1], [1, 1]], [[0, 1], [0, 0]]],
        ]
    ]


def test_of_two_slices_the_second_is_the_key_frame_and_clips_differ() -> None:
    masks = kept_masks(tokens(torch.tensor([[0], [1]]), grid=(2, 1, 2)))
    assert masks.astype(int).tolist() == [[[[[1, 0]], [[1, 1]]]], [[[[0, 1]], [[1, 1]]]]]


def test_cells_of_padding_are_left_out(pruning_detector: Detector) -> None:
    seen: list[Kept] = []
    shape = clip(0, 20, 40)  # padded to 32 x 64: 2 x 4 cells, of which 2 x 3 have pixels
    with TokenWatch(pruning_detector, lambda _, kept: seen.append(kept)):
        list(pruning_detector.detect_clips([shape]))
    (kept,) = seen
    pixels, _ = to_batch([shape], pruning_detector.card)
    whole = kept_masks(pruning_backbone(pruning_detector)(pixels))
    assert whole.shape == (1, 2, 2, 2, 4)
    np.testing.assert_array_equal(kept.mask, whole[0, :, :, :, :3])
    assert (kept.layer, kept.patch, kept.tubelet, kept.key) == ((1, 3), 16, 2, 1)


def test_each_clip_gets_its_own_mask_in_any_batch_and_in_split_ones(
    pruning_detector: Detector,
) -> None:
    clips = [clip(i, 64, 64) for i in range(5)]

    def masks(batch: int) -> dict[float, list[Any]]:
        seen: dict[float, list[Any]] = {}
        with TokenWatch(pruning_detector, lambda c, k: seen.update({c.time: k.mask.tolist()})):
            list(pruning_detector.detect_clips(clips, batch=batch))
        return seen

    alone = masks(1)
    assert list(alone) == [0, 1, 2, 3, 4]
    assert len({str(mask) for mask in alone.values()}) > 1
    assert masks(3) == alone
    heads = pruning_detector.model.heads
    whole = heads.forward

    def forward(pixels: Any, *rest: Any) -> Any:  # after the backbone has run on the whole batch
        if len(pixels) > 2:
            raise torch.OutOfMemoryError
        return whole(pixels, *rest)

    heads.forward = forward
    assert masks(5) == alone


def test_a_clip_is_reported_before_later_ones_are_read(pruning_detector: Detector) -> None:
    read: list[float] = []
    calls: list[tuple[float, int]] = []

    def reading() -> Iterator[Clip]:
        for i in range(4):
            read.append(i)
            yield clip(i)

    with TokenWatch(pruning_detector, lambda c, _: calls.append((c.time, len(read)))):
        list(pruning_detector.detect_clips(reading(), batch=1))
    assert calls == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_the_hook_is_removed_even_after_an_error(pruning_detector: Detector) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"), TokenWatch(pruning_detector, broken):
        list(pruning_detector.detect_clips([clip(0)]))
    assert not pruning_backbone(pruning_detector)._forward_hooks
    assert len(list(pruning_detector.detect_clips([clip(0)]))) == 1


def test_a_model_without_tokens(fake_detector: Detector) -> None:
    with pytest.raises(UsageError, match="fake: has no tokens to drop"):
        detect_video(fake_detector, "gone.mp4", on_tokens=lambda *_: None)


@pytest.mark.parametrize("change", [{"keep_rate": 1.0}, {"prune_at": ()}])
def test_a_model_that_keeps_all_tokens(pruning_detector: Detector, change: dict[str, Any]) -> None:
    backbone = pruning_backbone(pruning_detector)
    backbone.config = replace(backbone.config, **change)
    with pytest.raises(UsageError, match="fake: keeps all tokens"):
        detect_video(pruning_detector, "gone.mp4", on_tokens=lambda *_: None)
