"""STMixer's adaptive sampling and adaptive mixing (Wu et al. 2024, Fig. 3).

STMixer's adaptive sampling (Wu et al. 2024, Fig. 3): each query reads where it wants to.

Letters beside those of `stadkit.models`: N queries, G groups of channels, P points of a group.
Boxes here are `xyzr`: the centre x y in pixels, z = log2 of the root of the area, r = log2 of
height over width.

STMixer's adaptive mixing (Wu et al. 2024, Fig. 3): layers that a query makes for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FIRST = 3.0  # z of boxes that the finest map shows best: 8 pixels a side
LARGEST = 40.0  # log2 of the pixels of a box's side, at most
SPREAD = 2.0  # of a point's weights over the maps
FEW = 100  # queries at a time: what lies between two layers of more no longer fits a CPU's caches


@dataclass(frozen=True)
class Table:
    """The maps of all scales as rows that points pick from.

    A group's channels of one cell at all times lie together.
    """

    cells: Tensor  # [B, G, cells of all maps, t, D / G]
    sizes: tuple[tuple[int, int], ...]  # (h, w) of each map
    strides: tuple[int, ...]  # pixels a cell of each

    @property
    def times(self) -> int:
        """Time steps of the maps."""
        return self.cells.shape[3]


def tabulate(maps: Sequence[Tensor], strides: Sequence[int], groups: int) -> Table:
    """Maps [B, D, t, h, w] -> their table; channels are cut into `groups` neighbourhoods."""
    clips, width, times, _, _ = maps[0].shape
    rows = []
    for x in maps:
        cells = x.shape[3] * x.shape[4]
        parts = x.permute(0, 3, 4, 2, 1).reshape(clips, cells, times, groups, width // groups)
        rows.append(parts.permute(0, 3, 1, 2, 4))
    sizes = tuple((x.shape[3], x.shape[4]) for x in maps)
    return Table(torch.cat(rows, 2), sizes, tuple(strides))


def points(offset: Tensor, xyzr: Tensor) -> Tensor:
    """Where queries look: [..., G, P, 3] x y in pixels and z.

    offset [..., G, P, 3] in widths and heights of the box, and in z; xyzr [..., 4].
    """
    centre, side = xyzr[..., :2], _side(xyzr)
    # The level is not scaled by the box; its offset counts octaves.
    scale = torch.cat([side, torch.ones_like(side[..., :1])], -1)
    start = torch.cat([centre, xyzr[..., 2:3]], -1)
    return start[..., None, None, :] + offset * scale[..., None, None, :]


def sample(table: Table, point: Tensor) -> Tensor:
    """What points [B, N, G, P, 3] show at all times: [B, N, G, P, t, D / G].

    Bilinear within a map, zero outside, maps weighted by a Gaussian of how far their scale is.
    """
    index, weight = _corners(table, point, _groups(point))
    rows = table.cells.flatten(3).flatten(0, 2)  # [B G cells, t D/G]
    return _gather(rows, index, weight).view(*point.shape[:4], table.times, -1)


def sample_each(table: Table, point: Tensor) -> Tensor:
    """What points [B, N, t, G, P, 3] show, each at its own time: [B, N, t, G, P, D / G]."""
    moved = point.transpose(1, 2)  # [B, t, N, G, P, 3]
    times, queries = moved.shape[1:3]
    moved = moved.flatten(1, 2)  # [B, t N, G, P, 3]
    index, weight = _corners(table, moved, _groups(moved))
    step = torch.arange(times, device=point.device).repeat_interleave(queries)
    index = index * times + step[:, None, None, None]  # rows of the table, a time each
    rows = table.cells.flatten(0, 3)  # [B G cells t, D/G]
    shown = _gather(rows, index, weight).view(len(point), times, queries, *moved.shape[2:4], -1)
    return shown.transpose(1, 2)


def _groups(point: Tensor) -> Tensor:
    """Which group of channels of which clip each point reads: [B, 1, G, 1]."""
    clips, groups = point.shape[0], point.shape[2]
    return torch.arange(clips * groups, device=point.device).view(clips, 1, groups, 1)


def _corners(table: Table, point: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """The cells around points [B, N, G, P, 3] and their shares, each [4 L, B, N, G, P]."""
    first = group * table.cells.shape[2]
    share = _level_shares(point[..., 2], len(table.sizes))
    index, weight = [], []
    for (height, width), stride, of_level in zip(table.sizes, table.strides, share, strict=True):
        # Cell i covers pixels i * stride to (i + 1) * stride; its value is that of its middle.
        at = point[..., :2] / stride - 0.5
        low = at.floor()
        near = at - low
        for dy in (0, 1):
            for dx in (0, 1):
                x, y = low[..., 0] + dx, low[..., 1] + dy
                # What is no number is nowhere; its share stays none, for others to complain of.
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
    """How much of each map points of scale z [...] get: [L, ...], 1 in sum."""
    level = torch.arange(levels, device=z.device, dtype=z.dtype).view(-1, *[1] * z.ndim)
    return (-((z - FIRST - level) ** 2) / SPREAD).softmax(0)


def _gather(rows: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums of `rows` [n, D]: index and weight [..., 4 L] -> [n of these, D]."""
    # One pass for all maps and corners, rows of memory at a time: on CPUs much faster than a
    # grid_sample a map, which goes through channel by channel.
    corners = index.shape[-1]
    if torch.is_grad_enabled() and rows.dtype in (torch.bfloat16, torch.float16):
        rows = rows.float()  # many points add to one cell's gradient: too many for 8 bits
    return F.embedding_bag(
        index.reshape(-1, corners),
        rows,
        mode="sum",
        per_sample_weights=weight.to(rows.dtype).reshape(-1, corners),
    )


def _side(xyzr: Tensor) -> Tensor:
    """Width and height [..., 2] in pixels."""
    z, half = xyzr[..., 2], xyzr[..., 3] / 2
    # Boxes of a diverging model stay numbers that a cell can be found for.
    return torch.stack([z - half, z + half], -1).clamp(max=LARGEST).exp2()


def to_corners(xyzr: Tensor) -> Tensor:
    """Boxes [..., 4] as x1 y1 x2 y2 in pixels."""
    centre, half = xyzr[..., :2], _side(xyzr) / 2
    return torch.cat([centre - half, centre + half], -1)


def whole(sizes: Tensor, dtype: torch.dtype) -> Tensor:
    """The whole of each picture, sizes [B, 2] (height, width), as xyzr [B, 4]."""
    side = sizes.flip(1).to(dtype)
    log = side.log2()
    z, r = log.mean(1, keepdim=True), log[:, 1:] - log[:, :1]
    return torch.cat([side / 2, z, r], 1)


def refine(xyzr: Tensor, delta: Tensor) -> Tensor:
    """Boxes [..., 4] moved by delta [..., 4]: x y in roots of the area, then z and r."""
    centre = xyzr[..., :2] + delta[..., :2] * xyzr[..., 2:3].exp2()
    return torch.cat([centre, xyzr[..., 2:] + delta[..., 2:]], -1)


class AdaptiveMixing(nn.Module):
    """Mixes channels, then points, of what a query sampled, and adds the result to the query.

    Points become `out` new ones. Points may be times: the temporal branch has the same layers.
    """

    def __init__(self, width: int, groups: int, points: int, out: int) -> None:
        super().__init__()
        self.groups, self.points, self.out = groups, points, out
        self.channels = width // groups  # of a group
        made = groups * (self.channels**2 + points * out)
        # In a Sequential for the sake of its name in released weights.
        self.parameter_generator = nn.Sequential(nn.Linear(width, made))
        self.out_proj = nn.Linear(groups * out * self.channels, width)

    def forward(self, sampled: Tensor, query: Tensor) -> Tensor:
        """sampled [n, G, P, D / G], query [n, D] -> [n, D]."""
        if sampled.device.type != "cpu" or torch.is_grad_enabled():
            # Learning keeps all that lies between anyway, and adds gradients up a part at a time.
            return self._mixed(sampled, query)
        parts = zip(torch.split(sampled, FEW), torch.split(query, FEW), strict=True)
        return torch.cat([self._mixed(*part) for part in parts])

    def _mixed(self, sampled: Tensor, query: Tensor) -> Tensor:
        made = self.parameter_generator(query).view(len(query), self.groups, -1)
        first, second = made.split([self.channels**2, self.points * self.out], 2)
        x = sampled.to(made.dtype).flatten(0, 1)  # [n G, P, D/G]
        x = _settle(x @ first.reshape(-1, self.channels, self.channels))
        x = _settle(second.reshape(-1, self.out, self.points) @ x)  # [n G, out, D/G]
        return query + self.out_proj(x.view(len(query), -1))  # type: ignore[no-any-return]


def _settle(x: Tensor) -> Tensor:
    """A norm over both of the last dimensions, without weights, and a ReLU."""
    return F.relu(F.layer_norm(x, x.shape[-2:]), inplace=not torch.is_grad_enabled())
