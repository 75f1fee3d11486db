"""One stage of STMixer's decoder (Wu et al. 2024, Fig. 3 and Fig. 5).

Queries attend to each other, sample features adaptively, mix them, and predict person, box and
actions. Each query is a pair: a spatial query, which regresses the box, and a temporal one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers import box_ops
from stadkit.layers.matching import wide
from stadkit.models.sampling import (
    AdaptiveMixing,
    Table,
    points,
    refine,
    sample,
    sample_each,
    to_corners,
)

if TYPE_CHECKING:
    from stadkit.models.stmixer import StmixerConfig

CODE_SCALE = (1000.0, 1000.0, 1.0, 1.0)  # divides x y z r in box codes
ACTION_PRIOR = 0.01  # initial probability of every action


@dataclass(frozen=True)
class Queries:
    """The decoder's N queries; F, the frames of a tubelet, is absent in K."""

    xyzr: Tensor  # [B, N, 4] or [B, N, F, 4]  boxes as in `sampling`
    spatial: Tensor  # [B, N, D] or [B, N, F, D]
    temporal: Tensor  # [B, N, D]


@dataclass(frozen=True)
class StageOutputs:
    """A stage's predictions for its N queries; float32 or wider."""

    person: Tensor  # [B, N, 2]  logits of person and background
    xyzr: Tensor  # [B, N, 4] or [B, N, F, 4]
    action: Tensor  # [B, N, C]  logits
    presence: Tensor | None = None  # [B, N, F]  presence logit in each frame


class DecoderStage(nn.Module):
    """Queries and the feature table -> predictions and refined queries.

    Parameters are named as in the released weights.
    """

    def __init__(self, config: StmixerConfig, times: int) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.groups = config.groups
        self.iof_tau = nn.Parameter(torch.empty(heads).uniform_(0, 4))
        for branch in ("s", "t"):
            self.add_module(f"attention_{branch}", QueryAttention(width, heads))
            self.add_module(f"attention_norm_{branch}", nn.LayerNorm(width))
            self.add_module(f"ffn_{branch}", FeedForward(width, config.feedforward))
            self.add_module(f"ffn_norm_{branch}", nn.LayerNorm(width))
        self.samplingmixing = SamplingMixing(config, times)
        self.human_cls_fcs, self.human_fc_cls = _tower(width), nn.Linear(width, 2)
        self.reg_fcs, self.fc_reg = _tower(width), nn.Linear(width, 4)
        self.action_cls_fcs = _tower(2 * width)
        self.fc_action = nn.Linear(2 * width, config.classes)
        self._initialise()

    def _initialise(self) -> None:
        for weight in self.parameters():
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)
        nn.init.constant_(self.fc_action.bias, math.log(ACTION_PRIOR / (1 - ACTION_PRIOR)))
        nn.init.zeros_(self.fc_reg.weight)
        nn.init.zeros_(self.fc_reg.bias)  # untrained stages leave the boxes unchanged
        self.samplingmixing.initialise()

    def forward(self, queries: Queries, table: Table) -> tuple[StageOutputs, Queries]:
        code, bias = self._geometry(queries.xyzr)
        spatial = self._attend("s", queries.spatial, code, bias)
        temporal = self._attend("t", queries.temporal, code, bias)
        spatial, temporal = self.samplingmixing(table, queries.xyzr, spatial, temporal)
        spatial, temporal = self._feed_forward("s", spatial), self._feed_forward("t", temporal)
        xyzr = refine(queries.xyzr, wide(self.fc_reg(self.reg_fcs(spatial))))
        outputs = StageOutputs(self._person(spatial), xyzr, self._action(spatial, temporal))
        return outputs, Queries(xyzr, spatial, temporal)

    def _geometry(self, xyzr: Tensor) -> tuple[Tensor, Tensor]:
        """Codes [..., N, D] of boxes [..., N, 4], and the attention bias [..., heads, N, N]."""
        tau = wide(self.iof_tau)[:, None, None]
        with torch.no_grad():
            code = box_code(xyzr, self.fc_reg.in_features)
            iof = intersection_over_foreground(to_corners(xyzr))
            log = (iof + 1e-7).log()[..., None, :, :]
        return code, log * tau

    def _attend(self, branch: str, query: Tensor, code: Tensor, bias: Tensor) -> Tensor:
        # As released, the residual branch carries the code too.
        query = query + code.to(query.dtype)
        attended = self.get_submodule(f"attention_{branch}")(query, bias)
        return self.get_submodule(f"attention_norm_{branch}")(query + attended)  # type: ignore[no-any-return]

    def _feed_forward(self, branch: str, query: Tensor) -> Tensor:
        residual = self.get_submodule(f"ffn_{branch}")(query)
        return self.get_submodule(f"ffn_norm_{branch}")(query + residual)  # type: ignore[no-any-return]

    def _person(self, query: Tensor) -> Tensor:
        return wide(self.human_fc_cls(self.human_cls_fcs(query)))

    def _action(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        both = torch.cat([spatial, temporal], -1)
        return wide(self.fc_action(self.action_cls_fcs(both)))


class TubeStage(DecoderStage):
    """A stage of STMixer-T (Fig. 5): a spatial query and a box for each frame of the clip.

    The figure shows sampling and mixing only; the rest is our reading: spatial queries attend to
    those of the same frame, then to those of their own tubelet, to keep it on one person;
    temporal queries use the mean box code and attention bias over frames; person is predicted from
    the temporal query, presence from each spatial one.
    """

    def __init__(self, config: StmixerConfig, times: int) -> None:
        super().__init__(config, times)
        self.attention_f = QueryAttention(config.width, config.heads)
        self.attention_norm_f = nn.LayerNorm(config.width)
        for weight in (self.attention_f.attn.in_proj_weight, self.attention_f.attn.out_proj.weight):
            nn.init.xavier_uniform_(weight)
        self.there_fc_cls = nn.Linear(config.width, 1)
        nn.init.xavier_uniform_(self.there_fc_cls.weight)

    def forward(self, queries: Queries, table: Table) -> tuple[StageOutputs, Queries]:
        """xyzr [B, N, F, 4] and spatial [B, N, F, D], where F is the table's time steps."""
        frames = queries.xyzr.transpose(1, 2)  # [B, F, N, 4]
        code, bias = self._geometry(frames)
        by_frame = queries.spatial.transpose(1, 2)  # [B, F, N, D]
        spatial = self._attend("s", by_frame, code, bias).transpose(1, 2)
        spatial = self.attention_norm_f(spatial + self.attention_f(spatial))
        temporal = self._attend("t", queries.temporal, code.mean(1), bias.mean(1))
        spatial, temporal = self.samplingmixing.each(table, queries.xyzr, spatial, temporal)
        spatial, temporal = self._feed_forward("s", spatial), self._feed_forward("t", temporal)
        xyzr = refine(queries.xyzr, wide(self.fc_reg(self.reg_fcs(spatial))))
        presence = wide(self.there_fc_cls(self.human_cls_fcs(spatial)))[..., 0]
        action = self._action(spatial.mean(2), temporal)
        outputs = StageOutputs(self._person(temporal), xyzr, action, presence)
        return outputs, Queries(xyzr, spatial, temporal)


class SamplingMixing(nn.Module):
    """Adaptive sampling, then spatial and temporal mixing, each followed by a norm."""

    def __init__(self, config: StmixerConfig, times: int) -> None:
        super().__init__()
        width, groups = config.width, config.groups
        self.groups, self.points = groups, config.points
        self.offset_generator = nn.Sequential(nn.Linear(width, groups * config.points * 3))
        self.adaptive_mixing_s = AdaptiveMixing(width, groups, config.points, config.out_points)
        self.adaptive_mixing_t = AdaptiveMixing(width, groups, times, 4 * times)
        self.norm_s, self.norm_t = nn.LayerNorm(width), nn.LayerNorm(width)

    def initialise(self) -> None:
        """Points start at random in the box, at its scale; mixing starts independent of queries."""
        weight, bias = self.offset_generator.parameters()
        nn.init.zeros_(weight)
        with torch.no_grad():
            offset = bias.view(self.groups, self.points, 3)
            offset[..., :2].uniform_(-0.5, 0.5)
            offset[..., 2] = 0
        for mixing in (self.adaptive_mixing_s, self.adaptive_mixing_t):
            weight, _ = mixing.parameter_generator.parameters()
            nn.init.zeros_(weight)

    def forward(
        self, table: Table, xyzr: Tensor, spatial: Tensor, temporal: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sample the key frame's points at all time steps (K): queries [B, N, D] -> [B, N, D]."""
        sampled = sample(table, self._points(xyzr, spatial))  # [B, N, G, P, t, D/G]
        at_points, at_times = sampled.mean(4), sampled.mean(3)
        mixed_s = self.adaptive_mixing_s(at_points.flatten(0, 1), spatial.flatten(0, 1))
        mixed_t = self.adaptive_mixing_t(at_times.flatten(0, 1), temporal.flatten(0, 1))
        return self.norm_s(mixed_s.view_as(spatial)), self.norm_t(mixed_t.view_as(temporal))

    def each(
        self, table: Table, xyzr: Tensor, spatial: Tensor, temporal: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sample each frame's points in that frame only (T): spatial [B, N, F, D], same out."""
        sampled = sample_each(table, self._points(xyzr, spatial))  # [B, N, F, G, P, D/G]
        at_times = sampled.mean(4).transpose(2, 3)  # [B, N, G, F, D/G]
        mixed_s = self.adaptive_mixing_s(sampled.flatten(0, 2), spatial.flatten(0, 2))
        mixed_t = self.adaptive_mixing_t(at_times.flatten(0, 1), temporal.flatten(0, 1))
        return self.norm_s(mixed_s.view_as(spatial)), self.norm_t(mixed_t.view_as(temporal))

    def _points(self, xyzr: Tensor, spatial: Tensor) -> Tensor:
        offset = wide(self.offset_generator(spatial))
        return points(offset.view(*spatial.shape[:-1], self.groups, self.points, 3), xyzr)


class QueryAttention(nn.Module):
    """Multi-head attention among queries, with an optional pairwise bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.heads = heads

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x [..., N, D], bias [..., heads, N, N] -> [..., N, D]."""
        count, width = x.shape[-2:]
        qkv = F.linear(x, self.attn.in_proj_weight, self.attn.in_proj_bias)
        q, k, v = qkv.view(-1, count, 3, self.heads, width // self.heads).transpose(1, 3).unbind(2)
        mask = None if bias is None else bias.reshape(-1, *bias.shape[-3:]).to(q.dtype)
        out = F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2)
        return self.attn.out_proj(out.reshape(x.shape))  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with a ReLU in between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        first = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(inplace=True))
        self.layers = nn.Sequential(first, nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


def _tower(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(inplace=True))


def intersection_over_foreground(box: Tensor) -> Tensor:
    """The share of box i inside box j: [..., N, N], 0..1, for boxes [..., N, 4] in pixels."""
    first, second = box[..., :, None, :], box[..., None, :, :]
    return box_ops.intersection(first, second) / box_ops.area(first).clamp(min=box_ops.SMALLEST)


def box_code(xyzr: Tensor, width: int) -> Tensor:
    """Sinusoidal codes [..., width] of boxes [..., 4], a quarter for each of x y z r."""
    quarter = width // 4
    step = torch.arange(quarter, device=xyzr.device, dtype=xyzr.dtype)
    angle = (xyzr / xyzr.new_tensor(CODE_SCALE))[..., None] / 10000 ** (2 * (step // 2) / quarter)
    code = torch.where(step % 2 == 0, angle.sin(), angle.cos())
    return code.flatten(-2)
