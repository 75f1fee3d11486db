"""What a model gave -> rows of the table.

Clips -> the tensor a model takes.
"""

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

THERE = 0.5  # how likely a person is there in a frame of a tubelet that is given


def to_table(
    outputs: Outputs,
    clips: Sequence[Clip],
    classes: tuple[str, ...],
    min_person: float,
    top_k: int | None = None,
) -> list[Detections]:
    """A table a clip: people at the key frame whose person score is at least `min_person`.

    Of a tubelet, whose key frame is its middle, the score is times that of being there. Best
    first, at most `top_k`; boxes cut to the frame, empty ones dropped. Nobody above the threshold
    is an empty table. Raises StadkitError where the model gave NaN.
    """
    person, box, action = _numbers(outputs)
    person = person * _there(outputs)[:, :, outputs.box.shape[2] // 2]
    return [
        _one(clip, person[i], box[i], action[i], classes, min_person, top_k)
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
    """A table a clip with all boxes of its tubelets (T > 1): a row a person and frame, for `link`.

    Frames where a person is more likely not there than there have no row; `min_person` is of the
    whole tubelet, the score of a row times that of being there. The T frames are spread evenly over
    the clip's, which repeats some at a video's ends: the best of these counts. Rows of a tubelet
    share a `track`, numbered over all clips of the call from `first` on, best first in each, at
    most `top_k`; boxes are cut to the frame, empty ones dropped. Raises StadkitError where the
    model gave NaN.
    """
    person, _, action = _numbers(outputs)
    box, there = _boxes(outputs), _there(outputs)
    tables = []
    for i, clip in enumerate(clips):
        rows = np.flatnonzero((person[i] >= min_person) & (person[i] > 0))
        rows = rows[np.argsort(-person[i, rows], kind="stable")][:top_k]
        said = person[i, rows], box[i, rows], there[i, rows], action[i, rows]
        tables.append(_frame_by_frame(clip, *said, classes, first))
        first += len(rows)
    return tables


def _frame_by_frame(
    clip: Clip,
    person: NDArray[np.float32],
    box: NDArray[np.float32],
    there: NDArray[np.float32],
    action: NDArray[np.float32],
    classes: tuple[str, ...],
    first: int,
) -> Detections:
    """The rows of n tubelets: person [n], box [n, T, 4], there [n, T], action [n, C]."""
    count, frames = there.shape
    times = clip.times[np.linspace(0, len(clip.times) - 1, frames).round().astype(int)]
    cut = boxes.clip(box.reshape(-1, 4))
    who, time = np.repeat(np.arange(count), frames), np.tile(times, count)
    shown = np.where(_solid(cut), there.ravel(), 0.0)
    kept = _once_a_time(time, who, shown) & (shown >= THERE)
    return Detections(
        video=np.full(int(kept.sum()), clip.video),
        time=time[kept].astype(np.float64),
        box=np.asarray(cut[kept], np.float32),
        person=(person[who] * there.ravel())[kept],
        action=action[who[kept]],
        track=(who[kept] + first).astype(np.int32),
        classes=classes,
    )


def _once_a_time(
    time: NDArray[np.float64], number: NDArray[np.intp], worth: NDArray[Any]
) -> NDArray[np.bool_]:
    """The best row of each tubelet and time: at a video's ends clips repeat frames."""
    order = np.lexsort((-worth, time, number))
    key = np.stack([number[order], time[order]])
    first = np.ones(len(order), bool)
    first[1:] = (key[:, 1:] != key[:, :-1]).any(0)
    kept = np.zeros(len(order), bool)
    kept[order[first]] = True
    return kept


def _numbers(outputs: Outputs) -> tuple[NDArray[np.float32], ...]:
    """Scores [B, N], boxes [B, N, 4] at the middle frame of the tubelet, scores [B, N, C]."""
    middle = outputs.box.shape[2] // 2
    tensors = (
        outputs.person.float().sigmoid(),
        outputs.box[:, :, middle].float(),
        outputs.action.float().sigmoid(),
    )
    there = torch.isfinite(outputs.person)
    whole = [outputs.box, outputs.action, *([] if outputs.present is None else [outputs.present])]
    if outputs.person.isnan().any() or any(t[there].isnan().any() for t in whole):
        raise StadkitError("the model gave NaN; try --precision fp32, or import its weights again")
    return tuple(tensor.cpu().numpy() for tensor in tensors)


def _boxes(outputs: Outputs) -> NDArray[np.float32]:
    """Boxes [B, N, T, 4]."""
    return np.asarray(outputs.box.float().cpu().numpy())


def _there(outputs: Outputs) -> NDArray[np.float32]:
    """How likely each is there in each frame, 0..1: [B, N, T]."""
    if outputs.present is None:
        return np.ones(outputs.box.shape[:3], np.float32)
    return np.asarray(outputs.present.float().sigmoid().cpu().numpy())


def _one(
    clip: Clip,
    person: NDArray[np.float32],
    box: NDArray[np.float32],
    action: NDArray[np.float32],
    classes: tuple[str, ...],
    min_person: float,
    top_k: int | None,
) -> Detections:
    # A score of exactly 0 is a row that is no person (logit -inf), even with threshold 0.
    rows = np.flatnonzero((person >= min_person) & (person > 0))
    cut = boxes.clip(box[rows])
    rows, cut = rows[_solid(cut)], cut[_solid(cut)]
    order = np.argsort(-person[rows], kind="stable")[:top_k]
    rows, n = rows[order], len(order)
    return Detections(
        video=np.full(n, clip.video),
        time=np.full(n, clip.time, np.float64),
        box=np.asarray(cut[order], np.float32),
        person=person[rows],
        action=action[rows],
        track=np.full(n, -1, np.int32),
        classes=classes,
    )


def _solid(box: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray((box[:, 2:] > box[:, :2]).all(1))


def stack(a: Outputs, b: Outputs) -> Outputs:
    """Two batches as one; the one with fewer people gets rows that are nobody."""
    n = max(a.person.shape[1], b.person.shape[1])
    wide = [_widen(part, n - part.person.shape[1]) for part in (a, b)]
    there = [part.present for part in wide if part.present is not None]
    return Outputs(
        person=torch.cat([part.person for part in wide]),
        box=torch.cat([part.box for part in wide]),
        action=torch.cat([part.action for part in wide]),
        present=torch.cat(there) if there else None,
    )


def _widen(outputs: Outputs, by: int) -> Outputs:
    pad = torch.nn.functional.pad
    there = outputs.present
    return Outputs(
        person=pad(outputs.person, (0, by), value=-torch.inf),
        box=pad(outputs.box, (0, 0, 0, 0, 0, by)),
        action=pad(outputs.action, (0, 0, 0, by)),
        present=None if there is None else pad(there, (0, 0, 0, by)),
    )


def to_batch(
    clips: Sequence[Clip], card: Card, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Clips -> (pixels float32 [B, 3, T, H, W] normalised, sizes int64 [B, 2] height and width).

    Zeros fill the bottom and right up to multiples of `card.multiple`; sizes are without
    them. Channels lie last in memory, which convolutions on CPUs and GPUs like best.
    """
    device = device or torch.device("cpu")
    heights, widths = zip(*(clip.pixels.shape[1:3] for clip in clips), strict=True)
    height, width = (_round_up(max(side), card.multiple) for side in (heights, widths))
    frames = clips[0].pixels.shape[0]
    batch = torch.zeros(len(clips), frames, height, width, 3, device=device)
    mean, std = (torch.tensor(row, device=device) for row in (card.mean, card.std))
    for target, clip in zip(batch, clips, strict=True):
        # Sent as bytes: a quarter of the traffic.
        pixels = torch.from_numpy(np.ascontiguousarray(clip.pixels)).to(device)
        part = target[:, : pixels.shape[1], : pixels.shape[2]]
        part.copy_(pixels).sub_(mean).div_(std)
    sizes = torch.tensor([heights, widths], device=device).T
    return batch.permute(0, 4, 1, 2, 3), sizes


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
