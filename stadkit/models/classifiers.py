"""STMixer's short-term and long-term classifiers (Wu et al. 2024, Fig. 3, right).

Of the paper the figure's caption was at hand: one of the two "can be used for action score
prediction", the long-term one with "the query bank produced by an offline STMixer-K for long-term
information". How they are computed is our reading, given at each equation. Both change the last
stage's queries before its action head reads them; their last layers start at 0, so that they begin
as the plain classifier, and its weights can start them.

Letters beside those of `stadkit.models`: E = 2 D channels, of a spatial query and its temporal one;
M entries of a bank.
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
SLOWEST = 100.0  # the slowest wave of a code of seconds, in lengths of the fastest, 6.3 s


@dataclass(frozen=True)
class Bank:
    """Who was seen around each clip's key time in its video; raises ValueError for a wrong shape.

    Rows that are not known are there to fill the batch; what they hold does not matter.
    """

    entry: Tensor  # [B, M, E]  queries, as `joint` has them
    seconds: Tensor  # [B, M]  from the key time on; below 0: before it
    known: Tensor  # [B, M]  bool

    def __post_init__(self) -> None:
        for name in ("seconds", "known"):
            got = tuple(getattr(self, name).shape)
            if self.entry.ndim != 3 or got != self.entry.shape[:2]:
                raise ValueError(
                    f"Bank.{name} has shape {got}, wants [B, M] of Bank.entry, "
                    f"{tuple(self.entry.shape)}"
                )

    def clips(self, rows: Tensor) -> Bank:
        """Of these clips, in this order."""
        return Bank(self.entry[rows], self.seconds[rows], self.known[rows])

    def to(self, device: torch.device) -> Bank:
        """The same on a device."""
        return Bank(self.entry.to(device), self.seconds.to(device), self.known.to(device))


def joint(queries: Queries) -> Tensor:
    """Each spatial query beside its temporal one: [B, N, E]; of a tubelet the mean over frames."""
    spatial = queries.spatial
    spatial = spatial if spatial.ndim == 3 else spatial.mean(2)
    return torch.cat([spatial, queries.temporal], -1)


class Classifier(nn.Module):
    """Joint queries -> the same, with what others in the clip and in the video tell of them."""

    def __init__(self, config: StmixerConfig) -> None:
        super().__init__()
        depth = config.classifier_depth
        self.reads_bank = config.classifier == "long"
        self.short = nn.ModuleList(Exchange(config) for _ in range(depth))
        self.long = nn.ModuleList(Exchange(config) for _ in range(depth * self.reads_bank))
        if self.reads_bank:
            self.entry_norm = nn.LayerNorm(2 * config.width)

    def forward(self, x: Tensor, person: Tensor, bank: Bank | None = None) -> Tensor:
        """x [B, N, E], person [B, N, 2] logits of somebody and nobody -> [B, N, E].

        Raises ValueError where the bank is of other clips or another width.
        """
        x = self._short_term(x, person)
        if not self.reads_bank:
            return x
        if bank is None or not bank.entry.shape[1]:
            bank = nothing(x)
        if (len(bank.entry), bank.entry.shape[2]) != (len(x), x.shape[2]):
            raise ValueError(
                f"Bank.entry has shape {tuple(bank.entry.shape)}, wants [{len(x)}, M, {x.shape[2]}]"
            )
        return self._long_term(x, bank)

    def _short_term(self, x: Tensor, person: Tensor) -> Tensor:
        """STMixer Fig. 3, short-term classifier (our reading): self-attention among the clip's
        queries, q_j counting as much as the last stage holds it for somebody.

        x_i <- x_i + sum_j softmax_j(q_i k_j / sqrt(d) + log p_j) v_j
        """
        # Not a threshold: early in training nobody passes one, and a person at its edge would
        # change what is said of all others. No gradient: p has a loss of its own.
        share = wide(person).detach().log_softmax(-1)[..., 0]
        for layer in self.short:
            x = layer(x, share)
        return x

    def _long_term(self, x: Tensor, bank: Bank) -> Tensor:
        """STMixer Fig. 3, long-term classifier (our reading, after Wu et al. 2019, Long-Term
        Feature Banks): cross-attention to the bank's entries b_m, with a code of when they are.

        x_i <- x_i + sum_m softmax_m(q_i k_m / sqrt(d)) v_m,  k, v of LN(b_m) + code(seconds_m)

        Where no entry is known it gives x, to the last bit.
        """
        some = bank.known.any(1)  # [B]
        # Entries of no meaning are asked where there are no others, and what they say is dropped:
        # a softmax over nothing is NaN in some kernels, and on the way back, too.
        asked = bank.known | ~some[:, None]
        share = torch.zeros_like(bank.seconds, dtype=wide(x).dtype).masked_fill(~asked, -torch.inf)
        entry = bank.entry.where(bank.known[..., None], 0).to(x.dtype)
        entry = self.entry_norm(entry) + seconds_code(bank.seconds, x.shape[2]).to(x.dtype)
        told = x
        for layer in self.long:
            told = layer(told, share, entry)
        return told.where(some[:, None, None], x)


class Exchange(nn.Module):
    """Rows ask others, then think, each after a norm and beside the identity; at first nothing
    comes of it."""

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

    def forward(self, x: Tensor, share: Tensor, others: Tensor | None = None) -> Tensor:
        """x [B, N, E] asks others [B, M, E], or itself; share [B, M]: log of what each counts."""
        rows = self.norm_ask(x)
        x = x + self.dropout(self._ask(rows, rows if others is None else others, share))
        return x + self.dropout(self.ffn(self.norm_think(x)))  # type: ignore[no-any-return]

    def _ask(self, rows: Tensor, others: Tensor, share: Tensor) -> Tensor:
        query = self._split(self.query(rows))
        key, value = (self._split(part) for part in self.key_value(others).chunk(2, -1))
        bias = share[:, None, None].to(query.dtype)  # [B, 1, 1, M]
        told = F.scaled_dot_product_attention(query, key, value, bias)
        return self.out(told.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        """[B, N, E] -> [B, heads, N, d]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


def nothing(x: Tensor) -> Bank:
    """A bank [B, 1, E] for queries x [B, N, E] that knows nobody.

    Not one of no entries: all parameters are to have gradients in distributed training.
    """
    seconds = x.new_zeros(len(x), 1)
    return Bank(x.new_zeros(len(x), 1, x.shape[2]), seconds, torch.zeros_like(seconds).bool())


def seconds_code(seconds: Tensor, width: int) -> Tensor:
    """Codes [..., width] of seconds [...]: sines, then cosines, of 6.3 s up to 10 minutes.

    A cosine is the same before and after; a sine is not.
    """
    half = torch.arange(width // 2, device=seconds.device)
    angle = wide(seconds)[..., None] / SLOWEST ** (half / (width // 2))
    return torch.cat([angle.sin(), angle.cos()], -1)
