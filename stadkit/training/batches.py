"""Augment examples and collate them into batches, deterministically for a seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from stadkit import boxes
from stadkit.detection.bank import batch as as_bank
from stadkit.errors import StadkitError, UsageError
from stadkit.models.classifiers import Bank
from stadkit.models.targets import AnyTargets, Targets, TubeTargets
from stadkit.synth.skeleton import MIRRORED
from stadkit.training.augment import (
    View,
    move_boxes,
    move_joints,
    move_tubes,
    random_view,
    recolour,
    warp,
)
from stadkit.training.bank_settings import Near
from stadkit.training.config import AugmentConfig
from stadkit.training.sources import Example, ExampleSource
from stadkit.training.tubelets import ExampleTubes


@dataclass(frozen=True)
class Batch:
    """Augmented clips, zero-padded at the bottom and right to the largest, and their targets."""

    pixels: Tensor  # [B, 3, T, H, W]  uint8
    sizes: Tensor  # [B, 2]  height, width before padding
    targets: list[AnyTargets]  # boxes in pixels; one type in all batches
    bank: Bank | None = None  # query banks around the clips, where the source has them

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        targets = [_moved(targets, device) for targets in self.targets]
        bank = None if self.bank is None else self.bank.to(device)
        return Batch(self.pixels.to(device), self.sizes.to(device), targets, bank)


def _moved(targets: AnyTargets, device: torch.device) -> AnyTargets:
    columns = {name: column for name, column in vars(targets).items() if column is not None}
    return replace(targets, **{name: column.to(device) for name, column in columns.items()})


class Augmented(NamedTuple):
    """An augmented example."""

    pixels: NDArray[np.uint8]  # [T, H, W, 3]
    size: tuple[int, int]  # height, width before padding
    targets: AnyTargets
    near: Near | None = None


# Errors are returned, as one raised in a worker would reach the user as the worker's traceback.
Item = Augmented | StadkitError | OSError


class Views(Dataset[Item]):
    """(epoch, index) -> an augmented example, which depends only on (seed, epoch, index).

    Errors in the user's data are returned; `raise_errors` raises them.
    """

    def __init__(self, source: ExampleSource, augment: AugmentConfig, seed: int) -> None:
        self._source, self._augment, self._seed = source, augment, seed

    def __getitem__(self, at: tuple[int, int]) -> Item:
        try:
            return self._view(at)
        except (StadkitError, OSError) as error:
            return error

    def _view(self, at: tuple[int, int]) -> Augmented:
        random = np.random.default_rng([self._seed, *at])
        example = self._source[at[1]]
        height, width = example.clip.pixels.shape[1:3]
        view = random_view(self._augment, height, width, random)
        pixels = recolour(warp(example.clip.pixels, view), self._augment, random)
        targets = _targets(example, view, self._augment.min_visible)
        return Augmented(pixels, view.size, targets, example.near)


def _targets(example: Example, view: View, min_visible: float) -> AnyTargets:
    """The example's truth in a view: tubes where it has them, else the key frame's boxes."""
    height, width = example.clip.pixels.shape[1:3]
    if example.tubes is not None:
        return _tube_targets(example.tubes, view, min_visible, (height, width))
    box = boxes.scale(example.box, width, height).astype(np.float32)
    moved, stays = move_boxes(box, view, min_visible)
    return Targets(
        box=torch.from_numpy(moved[stays]),
        action=torch.from_numpy(example.action[stays].astype(np.float32)),
        joints=_joints(example, view, stays),
    )


def _tube_targets(
    tubes: ExampleTubes, view: View, min_visible: float, size: tuple[int, int]
) -> TubeTargets:
    """Mark people cropped out of a frame as absent there, and drop those absent in all frames."""
    box = boxes.scale(tubes.box, size[1], size[0]).astype(np.float32)
    moved, stays = move_tubes(box, view, min_visible)
    there = np.where((tubes.there == 1) & ~stays, np.float32(0), tubes.there)
    kept = (there == 1).any(1)
    return TubeTargets(
        box=torch.from_numpy(moved[kept]),
        there=torch.from_numpy(there[kept]),
        action=torch.from_numpy(tubes.action[kept]),
    )


def _joints(example: Example, view: View, stays: NDArray[np.bool_]) -> Tensor | None:
    if example.joints is None:
        return None
    size = np.array(example.clip.pixels.shape[2:0:-1], np.float32)
    return torch.from_numpy(move_joints(example.joints[stays] * size, view, MIRRORED))


def collate(items: list[Item], multiple: int = 1) -> Batch | Exception:
    """Collate views into a batch padded to multiples of `multiple` pixels, or return an error."""
    views = []
    for item in items:
        if isinstance(item, Exception):
            return item
        views.append(item)
    pixels, sizes, targets, _ = zip(*views, strict=True)
    near = [view.near for view in views if view.near is not None]
    return Batch(
        pixels=torch.from_numpy(_stacked(pixels, multiple)).permute(0, 4, 1, 2, 3),
        sizes=torch.tensor(sizes),
        targets=list(targets),
        bank=as_bank(near) if near else None,
    )


def _stacked(pixels: Sequence[NDArray[np.uint8]], multiple: int) -> NDArray[np.uint8]:
    """Stack clips [T, h, w, 3] of several sizes to [B, T, H, W, 3], zero-padded."""
    shapes = np.array([clip.shape for clip in pixels])
    frames, height, width, colours = shapes.max(0)
    # The same padding as in `detect`.
    high, wide = (-(-side // multiple) * multiple for side in (height, width))
    out = np.zeros((len(pixels), frames, high, wide, colours), np.uint8)
    for target, clip in zip(out, pixels, strict=True):
        target[:, : clip.shape[1], : clip.shape[2]] = clip
    return out


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index), shuffled by (seed, epoch) and divided among processes.

    The last, short batch is dropped, so that every process takes the same number of steps. With
    `steps`, an epoch has that many batches and repeats the examples as needed.
    """

    def __init__(
        self, length: int, batch: int, seed: int, rank: int = 0, world: int = 1, steps: int = 0
    ) -> None:
        if batch % world:
            raise UsageError(f"batch: {batch} is not a multiple of {world} processes")
        if length < batch and not steps:
            count = f"{length} example{'' if length == 1 else 's'}"
            raise UsageError(f"batch: {batch} clips a step, but the data has only {count}")
        self._length, self._batch, self._seed = length, batch, seed
        self._rank, self._world = rank, world
        self._steps = steps or length // batch
        self.epoch = 0

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        random = np.random.default_rng([self._seed, self.epoch])
        passes = -(-len(self) * self._batch // self._length)
        order = np.concatenate([random.permutation(self._length) for _ in range(passes)])
        for step in range(len(self)):
            batch = order[step * self._batch : (step + 1) * self._batch]
            yield [(self.epoch, int(index)) for index in batch[self._rank :: self._world]]


def loader(views: Views, sampler: EpochSampler, workers: int, multiple: int = 1) -> DataLoader[Any]:
    """A DataLoader over one epoch, which the sampler's `epoch` selects.

    Heights and widths are multiples of `multiple` pixels.
    """
    return DataLoader(
        views,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=partial(collate, multiple=multiple),
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        # Source of the workers' seeds: drawn from torch's global generator, they would change the
        # random numbers of the first epoch, also after --resume.
        generator=torch.Generator(),
    )


def raise_errors(batches: Iterable[Batch | Exception]) -> Iterator[Batch]:
    """Yield batches; raises a StadkitError or OSError that was returned in place of one."""
    for batch in batches:
        if isinstance(batch, Exception):
            raise batch
        yield batch
