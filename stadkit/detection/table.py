"""Clips -> the batch a model takes; the model's outputs -> tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stadkit import boxes
from stadkit.detections import Detections
from stadkit.errors import StadkitError
from stadkit.models import Outputs
from stadkit.video.clips import Clip
from stadkit.zoo import Card

MIN_PRESENCE = 0.5  # frames of a tubelet with a lower presence score get no row


def to_table(
    outputs: Outputs,
    clips: Sequence[Clip],
    classes: tuple[str, ...],
    min_person: float,
    top_k: int | None = None,
) -> list[Detections]:
    """One table per clip: people at the key frame whose person score is at least `min_person`.

    For tubelets, whose key frame is the middle one, the score is multiplied by the presence score.
    Best first, at most `top_k`; boxes are clipped to the frame, empty ones dropped. The table is
    empty where no score reaches the threshold. Raises StadkitError if the model returned NaN.
    """
    person, box, action = _scores_and_boxes(outputs)
    person = person * _presence(outputs)[:, :, outputs.box.shape[2] // 2]
    return [
        _keyframe_table(clip, person[i], box[i], action[i], classes, min_person, top_k)
        for i, clip in enumerate(clips)
    ]


def to_tubelets(
    outputs: Outputs,
    clips: Sequence[Clip],
    classes: tuple[str, ...],
    min_person: float,
    top_k: int | None = None,
    first: int = 0,
) -> list[Detections]:
    """One table per clip with a row per person and frame of its tubelets (T > 1), for `link`.

    Frames with a presence score below .5 get no row. `min_person` applies to the whole tubelet;
    the score of a row is multiplied by its presence score. The T frames are spread evenly over the
    clip's, which repeats some at a video's ends: the best of these is kept. Rows of a tubelet share
    a `track`, numbered over all clips of the call from `first`, best first in each clip, at most
    `top_k`; boxes are clipped to the frame, empty ones dropped. Raises StadkitError if the model
    returned NaN.
    """
    person, _, action = _scores_and_boxes(outputs)
    box, presence = _boxes(outputs), _presence(outputs)
    tables = []
    for i, clip in enumerate(clips):
        rows = np.flatnonzero((person[i] >= min_person) & (person[i] > 0))
        rows = rows[np.argsort(-person[i, rows], kind="stable")][:top_k]
        kept = person[i, rows], box[i, rows], presence[i, rows], action[i, rows]
        tables.append(_tubelet_table(clip, *kept, classes, first))
        first += len(rows)
    return tables


def _tubelet_table(
    clip: Clip,
    person: NDArray[np.float32],
    box: NDArray[np.float32],
    presence: NDArray[np.float32],
    action: NDArray[np.float32],
    classes: tuple[str, ...],
    first: int,
) -> Detections:
    """The rows of n tubelets: person [n], box [n, T, 4], presence [n, T], action [n, C]."""
    count, frames = presence.shape
    times = clip.times[np.linspace(0, len(clip.times) - 1, frames).round().astype(int)]
    clipped = boxes.clip(box.reshape(-1, 4))
    tubelet, time = np.repeat(np.arange(count), frames), np.tile(times, count)
    score = np.where(_is_solid(clipped), presence.ravel(), 0.0)
    kept = _best_per_time(time, tubelet, score) & (score >= MIN_PRESENCE)
    return Detections(
        video=np.full(int(kept.sum()), clip.video),
        time=time[kept].astype(np.float64),
        box=np.asarray(clipped[kept], np.float32),
        person=(person[tubelet] * presence.ravel())[kept],
        action=action[tubelet[kept]],
        track=(tubelet[kept] + first).astype(np.int32),
        classes=classes,
    )


def _best_per_time(
    time: NDArray[np.float64], tubelet: NDArray[np.intp], score: NDArray[Any]
) -> NDArray[np.bool_]:
    """Mask of the best row of each tubelet and time: clips repeat frames at a video's ends."""
    order = np.lexsort((-score, time, tubelet))
    key = np.stack([tubelet[order], time[order]])
    first = np.ones(len(order), bool)
    first[1:] = (key[:, 1:] != key[:, :-1]).any(0)
    kept = np.zeros(len(order), bool)
    kept[order[first]] = True
    return kept


def _scores_and_boxes(outputs: Outputs) -> tuple[NDArray[np.float32], ...]:
    """Person scores [B, N], boxes [B, N, 4] of the middle frame, action scores [B, N, C]."""
    middle = outputs.box.shape[2] // 2
    tensors = (
        outputs.person.float().sigmoid(),
        outputs.box[:, :, middle].float(),
        outputs.action.float().sigmoid(),
    )
    used = torch.isfinite(outputs.person)
    others = [outputs.box, outputs.action, *([] if outputs.present is None else [outputs.present])]
    if outputs.person.isnan().any() or any(t[used].isnan().any() for t in others):
        raise StadkitError(
            "the model returned NaN; try --precision fp32, or import its weights again"
        )
    return tuple(tensor.cpu().numpy() for tensor in tensors)


def _boxes(outputs: Outputs) -> NDArray[np.float32]:
    """Boxes [B, N, T, 4]."""
    return np.asarray(outputs.box.float().cpu().numpy())


def _presence(outputs: Outputs) -> NDArray[np.float32]:
    """Presence score of each person in each frame, 0..1: [B, N, T]."""
    if outputs.present is None:
        return np.ones(outputs.box.shape[:3], np.float32)
    return np.asarray(outputs.present.float().sigmoid().cpu().numpy())


def _keyframe_table(
    clip: Clip,
    person: NDArray[np.float32],
    box: NDArray[np.float32],
    action: NDArray[np.float32],
    classes: tuple[str, ...],
    min_person: float,
    top_k: int | None,
) -> Detections:
    # A score of exactly 0 marks a padding row (logit -inf), even with threshold 0.
    rows = np.flatnonzero((person >= min_person) & (person > 0))
    clipped = boxes.clip(box[rows])
    rows, clipped = rows[_is_solid(clipped)], clipped[_is_solid(clipped)]
    order = np.argsort(-person[rows], kind="stable")[:top_k]
    rows, n = rows[order], len(order)
    return Detections(
        video=np.full(n, clip.video),
        time=np.full(n, clip.time, np.float64),
        box=np.asarray(clipped[order], np.float32),
        person=person[rows],
        action=action[rows],
        track=np.full(n, -1, np.int32),
        classes=classes,
    )


def _is_solid(box: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each box [n, 4] has a positive area."""
    return np.asarray((box[:, 2:] > box[:, :2]).all(1))


def stack(a: Outputs, b: Outputs) -> Outputs:
    """Concatenate two batches; the one with fewer people is padded (logit -inf)."""
    n = max(a.person.shape[1], b.person.shape[1])
    padded = [_pad_people(part, n - part.person.shape[1]) for part in (a, b)]
    present = [part.present for part in padded if part.present is not None]
    return Outputs(
        person=torch.cat([part.person for part in padded]),
        box=torch.cat([part.box for part in padded]),
        action=torch.cat([part.action for part in padded]),
        present=torch.cat(present) if present else None,
    )


def _pad_people(outputs: Outputs, by: int) -> Outputs:
    pad = torch.nn.functional.pad
    present = outputs.present
    return Outputs(
        person=pad(outputs.person, (0, by), value=-torch.inf),
        box=pad(outputs.box, (0, 0, 0, 0, 0, by)),
        action=pad(outputs.action, (0, 0, 0, by)),
        present=None if present is None else pad(present, (0, 0, 0, by)),
    )


def to_batch(
    clips: Sequence[Clip], card: Card, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Clips -> (pixels float32 [B, 3, T, H, W] normalised, sizes int64 [B, 2] height and width).

    Height and width are zero-padded at the bottom and right to multiples of `card.multiple`;
    sizes exclude the padding. Memory layout is channels-last, the fastest for convolutions.
    """
    device = device or torch.device("cpu")
    heights, widths = zip(*(clip.pixels.shape[1:3] for clip in clips), strict=True)
    height, width = (_round_up(max(side), card.multiple) for side in (heights, widths))
    frames = clips[0].pixels.shape[0]
    batch = torch.zeros(len(clips), frames, height, width, 3, device=device)
    mean, std = (torch.tensor(row, device=device) for row in (card.mean, card.std))
    for target, clip in zip(batch, clips, strict=True):
        # Transferred as bytes: a quarter of the traffic.
        pixels = torch.from_numpy(np.ascontiguousarray(clip.pixels)).to(device)
        part = target[:, : pixels.shape[1], : pixels.shape[2]]
        part.copy_(pixels).sub_(mean).div_(std)
    sizes = torch.tensor([heights, widths], device=device).T
    return batch.permute(0, 4, 1, 2, 3), sizes


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
