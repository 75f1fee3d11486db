"""STMixer's short-term and long-term classifiers (Wu et al. 2024, Fig. 3, right).

Only the figure's caption was available: one of the two "can be used for action score prediction",
the long-term one with "the query bank produced by an offline STMixer-K for long-term information".
The computation is our reading, stated at each equation. Both update the last stage's queries
before its action head; their last layers start at 0, so they begin as the plain classifier and can
be initialised from its weights.

Letters in addition to those of `stadkit.models`: E = 2 D channels, of a spatial query and its
temporal one; M entries of a bank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.losses import wide
from stadkit.models.stmixer_stage import FeedForward, Queries

if TYPE_CHECKING:
    from stadkit.models.stmixer import StmixerConfig

CLASSIFIERS = ("plain", "short", "long")
PERIOD_RATIO = 100.0  # longest to shortest period of the time codes; the shortest is 6.3 s


@dataclass(frozen=True)
class Bank:
    """Queries of people around each clip's key time; raises ValueError for a wrong shape.

    Rows not `known` are batch padding with arbitrary contents.
    """

    entry: Tensor  # [B, M, E]  queries, as from `joint_queries`
    seconds: Tensor  # [B, M]  after the key time; negative: before it
    known: Tensor  # [B, M]  bool

    def __post_init__(self) -> None:
        for name in ("seconds", "known"):
            got = tuple(getattr(self, name).shape)
            if self.entry.ndim != 3 or got != self.entry.shape[:2]:
                raise ValueError(
                    f"Bank.{name} has shape {got}, wants the [B, M] of Bank.entry, "
                    f"{tuple(self.entry.shape)}"
                )

    def clips(self, rows: Tensor) -> Bank:
        """The banks of the clips `rows`, in that order."""
        return Bank(self.entry[rows], self.seconds[rows], self.known[rows])

    def to(self, device: torch.device) -> Bank:
        """A copy on a device."""
        return Bank(self.entry.to(device), self.seconds.to(device), self.known.to(device))


def joint_queries(queries: Queries) -> Tensor:
    """Concatenated spatial and temporal queries [B, N, E]; spatial ones of a tubelet averaged."""
    spatial = queries.spatial
    spatial = spatial if spatial.ndim == 3 else spatial.mean(2)
    return torch.cat([spatial, queries.temporal], -1)


class Classifier(nn.Module):
    """Joint queries -> joint queries with context from the clip and from the rest of the video."""

    def __init__(self, config: StmixerConfig) -> None:
        super().__init__()
        depth = config.classifier_depth
        self.reads_bank = config.classifier == "long"
        self.short = nn.ModuleList(Exchange(config) for _ in range(depth))
        self.long = nn.ModuleList(Exchange(config) for _ in range(depth * self.reads_bank))
        if self.reads_bank:
            self.entry_norm = nn.LayerNorm(2 * config.width)

    def forward(self, x: Tensor, person: Tensor, bank: Bank | None = None) -> Tensor:
        """x [B, N, E], person [B, N, 2] logits of person and background -> [B, N, E].

        Raises ValueError for a bank with another number of clips or another width.
        """
        x = self._short_term(x, person)
        if not self.reads_bank:
            return x
        if bank is None or not bank.entry.shape[1]:
            bank = empty_bank(x)
        if (len(bank.entry), bank.entry.shape[2]) != (len(x), x.shape[2]):
            raise ValueError(
                f"Bank.entry has shape {tuple(bank.entry.shape)}, wants [{len(x)}, M, {x.shape[2]}]"
            )
        return self._long_term(x, bank)

    def _short_term(self, x: Tensor, person: Tensor) -> Tensor:
        """STMixer Fig. 3, short-term classifier (our reading): self-attention among the clip's
        queries, key j weighted by its person probability p_j from the last stage.

        x_i <- x_i + sum_j softmax_j(q_i k_j / sqrt(d) + log p_j) v_j
        """
        # Not a threshold: early in training no query would pass, and one at its edge would change
        # the scores of all others. No gradient: p has its own loss.
        log_weight = wide(person).detach().log_softmax(-1)[..., 0]
        for layer in self.short:
            x = layer(x, log_weight)
        return x

    def _long_term(self, x: Tensor, bank: Bank) -> Tensor:
        """STMixer Fig. 3, long-term classifier (our reading, after Wu et al. 2019, Long-Term
        Feature Banks): cross-attention to the bank's entries b_m, with a time code.

        x_i <- x_i + sum_m softmax_m(q_i k_m / sqrt(d)) v_m,  k, v of LN(b_m) + code(seconds_m)

        Without known entries the result is exactly x.
        """
        not_empty = bank.known.any(1)  # [B]
        # Empty banks attend to padding, and the result is discarded: a softmax over no keys is NaN
        # in some kernels, also in the backward pass.
        keys = bank.known | ~not_empty[:, None]
        log_weight = torch.zeros_like(bank.seconds, dtype=wide(x).dtype)
        log_weight = log_weight.masked_fill(~keys, -torch.inf)
        entry = bank.entry.where(bank.known[..., None], 0).to(x.dtype)
        entry = self.entry_norm(entry) + seconds_code(bank.seconds, x.shape[2]).to(x.dtype)
        updated = x
        for layer in self.long:
            updated = layer(updated, log_weight, entry)
        return updated.where(not_empty[:, None, None], x)


class Exchange(nn.Module):
    """Pre-norm attention and MLP, each with a residual connection; starts as the identity."""

    def __init__(self, config: StmixerConfig) -> None:
        super().__init__()
        width = 2 * config.width
        self.heads = config.heads
        self.norm_ask, self.norm_think = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.ffn = FeedForward(width, config.feedforward)
        self.dropout = nn.Dropout(config.classifier_dropout)
        for last in (self.out, self.ffn.layers[1]):
            for weight in last.parameters():
                nn.init.zeros_(weight)

    def forward(self, x: Tensor, log_weight: Tensor, others: Tensor | None = None) -> Tensor:
        """x [B, N, E] attends to others [B, M, E], default x; log_weight [B, M]: bias of keys."""
        rows = self.norm_ask(x)
        x = x + self.dropout(self._attend(rows, rows if others is None else others, log_weight))
        return x + self.dropout(self.ffn(self.norm_think(x)))  # type: ignore[no-any-return]

    def _attend(self, rows: Tensor, others: Tensor, log_weight: Tensor) -> Tensor:
        query = self._split(self.query(rows))
        key, value = (self._split(part) for part in self.key_value(others).chunk(2, -1))
        bias = log_weight[:, None, None].to(query.dtype)  # [B, 1, 1, M]
        attended = F.scaled_dot_product_attention(query, key, value, bias)
        return self.out(attended.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        """[B, N, E] -> [B, heads, N, d]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


def empty_bank(x: Tensor) -> Bank:
    """A bank [B, 1, E] without known entries, for queries x [B, N, E].

    Its one padding row gives all parameters gradients, as distributed training requires.
    """
    seconds = x.new_zeros(len(x), 1)
    return Bank(x.new_zeros(len(x), 1, x.shape[2]), seconds, torch.zeros_like(seconds).bool())


def seconds_code(seconds: Tensor, width: int) -> Tensor:
    """Codes [..., width] of seconds [...]: sines, then cosines, with periods of 6.3 s to 10 min.

    Cosines are symmetric in time; sines distinguish before from after.
    """
    half = torch.arange(width // 2, device=seconds.device)
    angle = wide(seconds)[..., None] / PERIOD_RATIO ** (half / (width // 2))
    return torch.cat([angle.sin(), angle.cos()], -1)
