"""Batches depend only on (seed, epoch, index)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stadkit import zoo
from stadkit.errors import UsageError, VideoError
from stadkit.models.targets import Targets
from stadkit.training.batches import (
    Augmented,
    Batch,
    EpochSampler,
    Views,
    collate,
    loader,
    raise_errors,
)
from stadkit.training.config import AugmentConfig, PlaygroundSource
from stadkit.training.sources import Example, Playground
from stadkit.video.clips import Clip

CARD = zoo.card("mestad-tiny")


def test_a_view_depends_only_on_seed_epoch_and_index(tmp_path: Path) -> None:
    source = Playground(PlaygroundSource(clips=2, seed=9, height=48, width=64), CARD, tmp_path)
    augment = AugmentConfig(short_side=(30, 40), crop=(24, 32), gain=0.2)
    views, again = Views(source, augment, 5), Views(source, augment, 5)
    views[0, 1]
    first, second, later = views[3, 0], again[3, 0], views[4, 0]
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    assert isinstance(later, tuple)
    assert np.array_equal(first[0], second[0])
    assert torch.equal(first[2].box, second[2].box)
    assert not np.array_equal(first[0], later[0])
    batch = collate([views[0, 0], views[0, 1]])
    assert isinstance(batch, Batch)
    assert batch.pixels.shape == (2, 3, 8, 24, 32)
    assert batch.sizes.tolist() == [[24, 32], [24, 32]]


def test_clips_of_several_sizes_are_padded() -> None:
    def view(height: int, width: int) -> Augmented:
        pixels = np.full((2, height, width, 3), 9, np.uint8)
        targets = Targets(torch.zeros(0, 4), torch.zeros(0, 3))
        return Augmented(pixels, (height, width), targets)

    batch = collate([view(20, 33), view(30, 16)], multiple=16)
    assert isinstance(batch, Batch)
    assert batch.pixels.shape == (2, 3, 2, 32, 48)
    assert batch.sizes.tolist() == [[20, 33], [30, 16]]
    for clip, (height, width) in zip(batch.pixels, batch.sizes.tolist(), strict=True):
        assert (clip[..., :height, :width] == 9).all()
        assert clip.sum() == 9 * 3 * 2 * height * width


def test_batches_are_padded_to_multiples(tmp_path: Path) -> None:
    source = Playground(PlaygroundSource(clips=2, seed=9, height=48, width=64), CARD, tmp_path)
    views = Views(source, AugmentConfig(short_side=(40, 40), crop=None), 5)
    (batch,) = raise_errors(loader(views, EpochSampler(2, 2, seed=0), 0, multiple=32))
    assert batch.pixels.shape == (2, 3, 8, 64, 64)
    assert batch.sizes.tolist() == [[40, 53], [40, 53]]


def test_epochs_cover_everything_once_in_another_order() -> None:
    sampler = EpochSampler(10, 5, seed=1)
    epochs = []
    for sampler.epoch in range(2):
        epochs.append([index for batch in sampler for _, index in batch])
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]


def test_processes_share_a_batch() -> None:
    whole = list(EpochSampler(9, 4, seed=2))
    halves = [list(EpochSampler(9, 4, seed=2, rank=rank, world=2)) for rank in range(2)]
    assert len(whole) == 2
    for batch, left, right in zip(whole, *halves, strict=True):
        assert sorted(batch) == sorted(left + right)


def test_impossible_batches_are_refused() -> None:
    with pytest.raises(UsageError, match="is not a multiple of 2"):
        EpochSampler(9, 3, seed=2, world=2)
    with pytest.raises(UsageError, match="only 3 examples"):
        EpochSampler(3, 4, seed=2)


def test_a_batch_goes_to_the_device_whole(tmp_path: Path) -> None:
    source = Playground(PlaygroundSource(clips=1, seed=9, height=48, width=64), CARD, tmp_path)
    augment = AugmentConfig(short_side=(30, 40), crop=(24, 32))
    batch = collate([Views(source, augment, 5)[0, 0]])
    assert isinstance(batch, Batch)
    moved = batch.to(torch.device("meta"))
    target = moved.targets[0]
    tensors = [moved.pixels, moved.sizes, target.box, target.action]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


class Damaged:
    """A source whose second example cannot be read."""

    labels = CARD.classes

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Example:
        if index == 1:
            raise VideoError("a.mp4: cannot be read")
        pixels = np.zeros((8, 32, 32, 3), np.uint8)
        clip = Clip("a", pixels, 0.0, np.zeros(8), (32, 32))
        return Example(clip, np.zeros((0, 4), np.float32), np.zeros((0, 3), np.float32))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_in_a_worker_reaches_the_user(workers: int) -> None:
    views = Views(Damaged(), AugmentConfig(short_side=(32, 32), crop=(32, 32)), 5)
    batches = loader(views, EpochSampler(2, 1, seed=0), workers)
    with pytest.raises(VideoError, match=r"^a\.mp4: cannot be read$"):
        list(raise_errors(batches))


def test_workers_do_not_change_torchs_random_numbers() -> None:
    before = torch.get_rng_state()
    iter(loader(Views(Damaged(), AugmentConfig(), 5), EpochSampler(2, 1, seed=0), 1))
    assert torch.equal(torch.get_rng_state(), before)
