"""STMixer's adaptive sampling and adaptive mixing (Wu et al. 2024, Fig. 3).

Each query predicts the points it samples from the maps, and the weights of the layers that mix
these samples.

Letters in addition to those of `stadkit.models`: N queries, G channel groups, P points per group.
Boxes here are `xyzr`: the centre x y in pixels, z = log2(sqrt(area)), r = log2(height / width).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FINEST_Z = 3.0  # z of boxes that match the finest map: 8 pixels per side
MAX_LOG_SIDE = 40.0  # upper bound of log2 of a box side in pixels
LEVEL_SPREAD = 2.0  # denominator of the Gaussian that weights the maps
QUERIES_AT_ONCE = 100  # on CPUs: activations of more do not fit the caches


@dataclass(frozen=True)
class Table:
    """The maps of all scales, flattened to rows that points are sampled from.

    A group's channels of one cell are contiguous over all time steps.
    """

    cells: Tensor  # [B, G, cells of all maps, t, D / G]
    sizes: tuple[tuple[int, int], ...]  # (h, w) of each map
    strides: tuple[int, ...]  # pixels per cell of each

    @property
    def times(self) -> int:
        """Time steps of the maps."""
        return self.cells.shape[3]


def tabulate(maps: Sequence[Tensor], strides: Sequence[int], groups: int) -> Table:
    """Build the table of maps [B, D, t, h, w]; channels are split into `groups` runs."""
    clips, width, times, _, _ = maps[0].shape
    rows = []
    for x in maps:
        cells = x.shape[3] * x.shape[4]
        parts = x.permute(0, 3, 4, 2, 1).reshape(clips, cells, times, groups, width // groups)
        rows.append(parts.permute(0, 3, 1, 2, 4))
    sizes = tuple((x.shape[3], x.shape[4]) for x in maps)
    return Table(torch.cat(rows, 2), sizes, tuple(strides))


def points(offset: Tensor, xyzr: Tensor) -> Tensor:
    """Sampling points of queries: [..., G, P, 3] x y in pixels and z.

    offset [..., G, P, 3] in widths and heights of the box, and in z; xyzr [..., 4].
    """
    centre, side = xyzr[..., :2], _side(xyzr)
    # The z offset is in octaves and not scaled by the box.
    scale = torch.cat([side, torch.ones_like(side[..., :1])], -1)
    start = torch.cat([centre, xyzr[..., 2:3]], -1)
    return start[..., None, None, :] + offset * scale[..., None, None, :]


def sample(table: Table, point: Tensor) -> Tensor:
    """Sample points [B, N, G, P, 3] at all time steps: [B, N, G, P, t, D / G].

    Bilinear within a map, zero outside; maps are weighted by a Gaussian of their scale distance.
    """
    index, weight = _corners(table, point, _groups(point))
    rows = table.cells.flatten(3).flatten(0, 2)  # [B G cells, t D/G]
    return _gather(rows, index, weight).view(*point.shape[:4], table.times, -1)


def sample_each(table: Table, point: Tensor) -> Tensor:
    """Sample points [B, N, t, G, P, 3], each at its own time step: [B, N, t, G, P, D / G]."""
    moved = point.transpose(1, 2)  # [B, t, N, G, P, 3]
    times, queries = moved.shape[1:3]
    moved = moved.flatten(1, 2)  # [B, t N, G, P, 3]
    index, weight = _corners(table, moved, _groups(moved))
    step = torch.arange(times, device=point.device).repeat_interleave(queries)
    index = index * times + step[:, None, None, None]  # rows of the table, one per time step
    rows = table.cells.flatten(0, 3)  # [B G cells t, D/G]
    sampled = _gather(rows, index, weight).view(len(point), times, queries, *moved.shape[2:4], -1)
    return sampled.transpose(1, 2)


def _groups(point: Tensor) -> Tensor:
    """Index of the clip and channel group that each point reads: [B, 1, G, 1]."""
    clips, groups = point.shape[0], point.shape[2]
    return torch.arange(clips * groups, device=point.device).view(clips, 1, groups, 1)


def _corners(table: Table, point: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and weights of the cells around points [B, N, G, P, 3]: each [B, N, G, P, 4 L]."""
    first = group * table.cells.shape[2]
    share = _level_shares(point[..., 2], len(table.sizes))
    index, weight = [], []
    for (height, width), stride, of_level in zip(table.sizes, table.strides, share, strict=True):
        # Cell i covers pixels i * stride to (i + 1) * stride; its value is at its centre.
        at = point[..., :2] / stride - 0.5
        low = at.floor()
        near = at - low
        for dy in (0, 1):
            for dx in (0, 1):
                x, y = low[..., 0] + dx, low[..., 1] + dy
                # NaN points are outside; their weight stays NaN, to be detected downstream.
                inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
                part = (near[..., 0] if dx else 1 - near[..., 0]) * (
                    near[..., 1] if dy else 1 - near[..., 1]
                )
                cell = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
                index.append(first + cell.nan_to_num(0.0).long())
                weight.append(part * of_level * inside)
        first = first + height * width
    return torch.stack(index, -1), torch.stack(weight, -1)


def _level_shares(z: Tensor, levels: int) -> Tensor:
    """Weights of the maps for points of scale z [...]: [L, ...], summing to 1."""
    level = torch.arange(levels, device=z.device, dtype=z.dtype).view(-1, *[1] * z.ndim)
    return (-((z - FINEST_Z - level) ** 2) / LEVEL_SPREAD).softmax(0)


def _gather(rows: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums of `rows` [n, D]; index and weight [..., 4 L] -> [product of ..., D]."""
    # One pass for all maps and corners, over contiguous rows: on CPUs much faster than one
    # grid_sample per map, which goes channel by channel.
    corners = index.shape[-1]
    if torch.is_grad_enabled() and rows.dtype in (torch.bfloat16, torch.float16):
        rows = rows.float()  # a cell's gradient sums over many points: too many for 8 bits
    return F.embedding_bag(
        index.reshape(-1, corners),
        rows,
        mode="sum",
        per_sample_weights=weight.to(rows.dtype).reshape(-1, corners),
    )


def _side(xyzr: Tensor) -> Tensor:
    """Width and height [..., 2] in pixels."""
    z, half = xyzr[..., 2], xyzr[..., 3] / 2
    # Clamped so that boxes of a diverging model stay finite and map to a cell.
    return torch.stack([z - half, z + half], -1).clamp(max=MAX_LOG_SIDE).exp2()


def to_corners(xyzr: Tensor) -> Tensor:
    """Boxes xyzr [..., 4] as x1 y1 x2 y2 in pixels."""
    centre, half = xyzr[..., :2], _side(xyzr) / 2
    return torch.cat([centre - half, centre + half], -1)


def whole_frame(sizes: Tensor, dtype: torch.dtype) -> Tensor:
    """The box of each whole frame, sizes [B, 2] (height, width), as xyzr [B, 4]."""
    side = sizes.flip(1).to(dtype)
    log = side.log2()
    z, r = log.mean(1, keepdim=True), log[:, 1:] - log[:, :1]
    return torch.cat([side / 2, z, r], 1)


def refine(xyzr: Tensor, delta: Tensor) -> Tensor:
    """Boxes [..., 4] updated by delta [..., 4]: x y in units of sqrt(area), then z and r."""
    centre = xyzr[..., :2] + delta[..., :2] * xyzr[..., 2:3].exp2()
    return torch.cat([centre, xyzr[..., 2:] + delta[..., 2:]], -1)


class AdaptiveMixing(nn.Module):
    """Mix a query's samples over channels, then over points, and add the result to the query.

    Point mixing maps `points` to `out`. The temporal branch uses time steps as points.
    """

    def __init__(self, width: int, groups: int, points: int, out: int) -> None:
        super().__init__()
        self.groups, self.points, self.out = groups, points, out
        self.channels = width // groups  # of a group
        generated = groups * (self.channels**2 + points * out)
        # In a Sequential to match the name in released weights.
        self.parameter_generator = nn.Sequential(nn.Linear(width, generated))
        self.out_proj = nn.Linear(groups * out * self.channels, width)

    def forward(self, sampled: Tensor, query: Tensor) -> Tensor:
        """sampled [n, G, P, D / G], query [n, D] -> [n, D]."""
        if sampled.device.type != "cpu" or torch.is_grad_enabled():
            # Training stores all activations anyway, and would sum gradients part by part.
            return self._mixed(sampled, query)
        split = (torch.split(x, QUERIES_AT_ONCE) for x in (sampled, query))
        parts = zip(*split, strict=True)
        return torch.cat([self._mixed(*part) for part in parts])

    def _mixed(self, sampled: Tensor, query: Tensor) -> Tensor:
        generated = self.parameter_generator(query).view(len(query), self.groups, -1)
        first, second = generated.split([self.channels**2, self.points * self.out], 2)
        x = sampled.to(generated.dtype).flatten(0, 1)  # [n G, P, D/G]
        x = _norm_relu(x @ first.reshape(-1, self.channels, self.channels))
        x = _norm_relu(second.reshape(-1, self.out, self.points) @ x)  # [n G, out, D/G]
        return query + self.out_proj(x.view(len(query), -1))  # type: ignore[no-any-return]


def _norm_relu(x: Tensor) -> Tensor:
    """Layer norm over the last two dimensions, without weights, and a ReLU."""
    return F.relu(F.layer_norm(x, x.shape[-2:]), inplace=not torch.is_grad_enabled())
