"""EVAD (Chen et al. 2023): a video transformer that drops tokens, and repairs what that costs.

The encoder keeps all tokens of the key frame and drops others by how much they are looked at
(`vit.py`); people are found on the key frame by iterated boxes (`sparse_rcnn.py`); here, what is
left of the clip is put back on its map, people are cut out of it, and a decoder refines them by
everything around. The losses are in `evad_loss.py`.

Where a clip is smaller than its batch, the padding is tokens like any others, as in the authors'
code: a clip's results depend a little on how much of it there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from stadkit.errors import UsageError
from stadkit.layers.attention import Block, positions
from stadkit.layers.losses import wide
from stadkit.layers.pyramid import Pyramid, stretch
from stadkit.layers.roi_align import Cells
from stadkit.models import Outputs, person_selection
from stadkit.models.settings import (
    check_counts,
    check_rate,
    check_shares,
    check_split,
    to_tuples,
)
from stadkit.models.sparse_rcnn import Localized, Localizer, LocalizerConfig
from stadkit.models.vit import Tokens, Vit, VitConfig, keyframe_slice

TOKEN_ORDERS = ("position", "importance")
ROI_SIZE = 7  # cells a side
ROI_SAMPLING = 2  # points a cell and axis
# The fields of EvadConfig that are whole numbers above 0, but those of the encoder.
COUNTS: tuple[str, ...] = ("classes", "frames", "tubelet", "proposals", "people_heads")
COUNTS += ("feedforward", "dynamic", "decoder_depth", "classifier")


@dataclass(frozen=True)
class EvadConfig:
    """Architecture only; defaults are the paper's ViT-B. Raises UsageError for a wrong choice."""

    classes: int = 80
    frames: int = 16  # of a clip as it was trained; any number of whole tokens runs
    width: int = 768
    depth: int = 12
    heads: int = 12
    patch: int = 16  # pixels a side
    tubelet: int = 2  # frames a token
    stem: str = "pixels"  # what tokens are made of; "lite": see `models.lite`
    base: tuple[int, int] = (14, 14)  # cells of the position table, stretched to other sizes
    maps_at: tuple[int, ...] = (2, 5, 8, 11)  # blocks whose key frame feeds the pyramid
    prune_at: tuple[int, ...] = (3, 6, 9)  # blocks that drop tokens
    keep_rate: float = 0.7  # rho, Table 2: of all tokens, at each of `prune_at`
    keyframe_weight: float = 1.0  # w_kf of Eq. 3; Table 1g has 4 for rho = 0.6
    drop_path: float = 0.1
    proposals: int = 100  # boxes a clip
    people_width: int = 256  # channels of the pyramid and of the localization heads
    people_heads: int = 6  # one after the other
    people_attention: int = 8  # attention heads
    feedforward: int = 2048
    dynamic: int = 64  # hidden channels of the dynamic convolutions
    decoder_width: int = 384
    decoder_depth: int = 6
    decoder_heads: int = 6
    decoder_drop_path: float = 0.1
    classifier: int = 2048  # hidden units before the action logits
    roi_extension: tuple[float, float] = (0.4, 0.2)  # of a person's width and height
    # Which cells the kept tokens go back to: their own, or ("importance") as the authors' code
    # has it, the most important to the first kept cell and so on. Released weights were trained
    # with that, and want it.
    token_order: str = "position"
    lean: bool = True  # leave out what nobody reads; False computes all that the paper counts

    def __post_init__(self) -> None:
        to_tuples(self, "maps_at", "prune_at", "base", "roi_extension")
        check_counts(self, *COUNTS)
        check_split(self, "people_width", "people_attention")
        check_split(self, "decoder_width", "decoder_heads")
        check_rate(self, "decoder_drop_path")
        check_shares(self, "roi_extension")
        if len(self.maps_at) != 4:
            raise UsageError(f"EvadConfig.maps_at is {self.maps_at}; wants 4 blocks.")
        _ = self.encoder  # which checks its own
        if self.token_order not in TOKEN_ORDERS:
            raise UsageError(
                f"EvadConfig.token_order is {self.token_order!r}; choose one of "
                f"{', '.join(TOKEN_ORDERS)}."
            )
        if self.frames % self.tubelet:
            raise UsageError(
                f"EvadConfig.frames is {self.frames}; wants a multiple of {self.tubelet}."
            )

    @property
    def encoder(self) -> VitConfig:
        """The part that the backbone reads."""
        return VitConfig(
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            patch=self.patch,
            tubelet=self.tubelet,
            stem=self.stem,
            base=self.base,
            maps_at=self.maps_at,
            prune_at=self.prune_at,
            keep_rate=self.keep_rate,
            keyframe_weight=self.keyframe_weight,
            drop_path=self.drop_path,
        )

    @property
    def localizer(self) -> LocalizerConfig:
        """The part that finds people."""
        return LocalizerConfig(
            proposals=self.proposals,
            width=self.people_width,
            heads=self.people_heads,
            attention_heads=self.people_attention,
            feedforward=self.feedforward,
            dynamic=self.dynamic,
        )


@dataclass(frozen=True)
class Details:
    """All that the losses and pictures of EVAD want; `Outputs` is the last of each."""

    tokens: Tokens
    people: Localized  # after each localization head
    action: Tensor  # [L, B, P, C]  logits after each block of the decoder


class Evad(nn.Module):
    """`model(pixels, sizes) -> Outputs`: the `proposals` of each clip, in no order."""

    def __init__(self, config: EvadConfig) -> None:
        super().__init__()
        self.config = config
        self.frames = config.frames
        self.strides = tuple(config.patch * scale / 4 for scale in (1, 2, 4, 8))
        self.backbone = Vit(config.encoder)
        self.pyramid = Pyramid([config.width] * 4, config.people_width, extra=False)
        self.people = Localizer(config.localizer)
        self.encoder_to_decoder = nn.Linear(config.width, config.decoder_width, bias=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, config.decoder_width))
        self.decoder = Decoder(config)
        for weight in (*self.encoder_to_decoder.parameters(), *self.decoder.parameters()):
            if weight.ndim > 1:
                nn.init.xavier_uniform_(weight)
        nn.init.xavier_uniform_(self.mask_token)

    def forward(
        self,
        pixels: Tensor,
        sizes: Tensor,
        proposals: Sequence[Tensor] | None = None,
        scores: Sequence[Tensor] | None = None,
    ) -> Outputs:
        """Who is on the key frame, and what they do.

        pixels [B, 3, T, H, W] normalised RGB, H and W multiples of the patch, T even; sizes
        [B, 2] (height, width) before padding. proposals: boxes [n_i, 4] of each clip as
        fractions of the unpadded clip, to be scored instead; scores [n_i] 0..1 of these, 1 if
        absent.
        """
        tokens: Tokens = self.backbone(pixels)
        known = None
        if proposals is None:
            found = self.localize(tokens, sizes)
            logit, box = found.logit[-1], found.box[-1]
            person = logit[..., 0] - logit[..., 1]
        else:
            person, box = person_selection.given(proposals, scores, sizes)
            known = person_selection.present(proposals, sizes.device)
        action = self.classify(tokens, box.detach(), sizes, known)[-1]
        return Outputs(person, (box / person_selection.frame(sizes))[:, :, None], action)

    def details(self, pixels: Tensor, sizes: Tensor) -> Details:
        """What every head and block says, for deep supervision; arguments as `forward` has them."""
        tokens: Tokens = self.backbone(pixels)
        found = self.localize(tokens, sizes)
        action = self.classify(tokens, found.box[-1].detach(), sizes, deep=True)
        return Details(tokens, found, torch.stack(action))

    def localize(self, tokens: Tokens, sizes: Tensor) -> Localized:
        """People on the key frame's maps, brought to strides of 4 to 32 (at patches of 16)."""
        height, width = tokens.grid[1:]
        maps = [*tokens.maps[:3], tokens.maps[3][..., ::2, ::2]]
        scales = [(4 * height, 4 * width), (2 * height, 2 * width)]
        scales += [(x.shape[2], x.shape[3]) for x in maps[2:]]
        if not self.config.lean:  # the pyramid would stretch later, at a lower cost
            maps = [stretch(x, size) for x, size in zip(maps, scales, strict=True)]
        found: Localized = self.people(self.pyramid(maps, scales), sizes, self.strides)
        return found

    def classify(
        self,
        tokens: Tokens,
        box: Tensor,
        sizes: Tensor,
        known: Tensor | None = None,
        deep: bool = False,
    ) -> list[Tensor]:
        """Action logits [B, P, C] of boxes [B, P, 4] (pixels) after the decoder's last block.

        known [B, P] bool: rows that are boxes and not padding, which nobody asks; absent: all.
        deep: after each of its blocks.
        """
        context, restored = self.restore(tokens)
        extended = extend(box, sizes, self.config.roi_extension)
        actors = self.actors(restored, extended)
        return self.decoder(context, actors, known, deep)  # type: ignore[no-any-return]

    def restore(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Kept tokens with their position codes [B, N, D], and on the map [B, t, h, w, D].

        Dropped cells hold the mask token and their codes. The paper pads with zeros; the
        authors' code learns the mask token.
        """
        cell = self._cells(tokens)  # [B, N]
        reduced = self.encoder_to_decoder(tokens.token)  # [B, N, D]
        code = positions(tokens.grid, self.config.base, self.config.decoder_width)
        code = code.to(reduced.device)  # [t h w, D]
        context = reduced + code[cell]
        empty = (self.mask_token + code).to(context.dtype)  # [1, t h w, D]
        whole = empty.expand(len(context), -1, -1)
        restored = whole.scatter(1, cell[..., None].expand_as(context), context)
        return context, restored.view(len(context), *tokens.grid, -1)

    def _cells(self, tokens: Tokens) -> Tensor:
        """Where each token goes: cells [B, N] in raster order (time, height, width)."""
        slices, height, width = tokens.grid
        area = height * width
        start = keyframe_slice(slices) * area
        kept = tokens.kept
        if self.config.token_order == "importance":
            kept = kept.sort(1).values
        others = kept + area * (kept >= start)  # skip the key frame's own
        key = torch.arange(start, start + area, device=kept.device)
        return torch.cat([key.expand(len(kept), -1), others], 1)

    def actors(self, restored: Tensor, box: Tensor) -> Tensor:
        """A token [B, P, D] for each box [B, P, 4]: 3D RoIAlign, the most of it in space, the
        mean of it in time. restored [B, t, h, w, D]."""
        clips, slices, _, _, width = restored.shape
        count = box.shape[1]
        maps = restored.permute(0, 1, 4, 2, 3).flatten(1, 2)  # all times side by side
        index = torch.arange(clips, device=box.device).repeat_interleave(count)
        cells = Cells([maps], [self.config.patch])
        most = cells.strongest(box.flatten(0, 1), index, ROI_SIZE, ROI_SAMPLING)
        return most.view(clips, count, slices, width).mean(2)


class Decoder(nn.Module):
    """Context refinement (EVAD 3.3): actors and context attend to each other."""

    def __init__(self, config: EvadConfig) -> None:
        super().__init__()
        last = max(config.decoder_depth - 1, 1)
        rates = (config.decoder_drop_path * i / last for i in range(config.decoder_depth))
        self.blocks = nn.ModuleList(DecoderBlock(config, rate) for rate in rates)
        self.lean = config.lean

    def forward(
        self, context: Tensor, actors: Tensor, known: Tensor | None, deep: bool
    ) -> list[Tensor]:
        """Action logits [B, P, C] of actors [B, P, D] amid context [B, N, D]: the last block's,
        or, deep, each block's. known [B, P]: actors that are asked; None: all."""
        x = torch.cat([context, actors.to(context.dtype)], 1)
        keys = None
        if known is not None:
            keys = torch.cat([known.new_ones(context.shape[:2]), known], 1)  # [B, N + P]
        count = actors.shape[1]
        logits = []
        for number, block in enumerate(cast(Iterable[DecoderBlock], self.blocks)):
            last = number == len(self.blocks) - 1
            # Nobody reads the context after the last block.
            x = block(x, count if last and self.lean else None, keys)
            if deep or last:
                logits.append(block.classify(x[:, x.shape[1] - count :]))
        return logits


class DecoderBlock(Block):
    """A transformer block with its own classifier of the actors."""

    def __init__(self, config: EvadConfig, drop_path: float) -> None:
        super().__init__(config.decoder_width, config.decoder_heads, drop_path)
        hidden = config.classifier
        self.act_module = nn.Sequential(
            nn.Linear(config.decoder_width, hidden, bias=False),
            nn.LayerNorm(hidden),
            nn.ReLU(),
        )
        self.action_logits = nn.Linear(hidden, config.classes)

    def classify(self, actors: Tensor) -> Tensor:
        """Action logits [B, P, C] of actors [B, P, D]."""
        return wide(self.action_logits(self.act_module(actors)))


def extend(box: Tensor, sizes: Tensor, by: tuple[float, float]) -> Tensor:
    """Boxes [B, P, 4] (pixels) grown by shares of their width and height, inside the picture.

    A side is counted in pixels, last minus first plus one, and the picture ends at its last
    pixel, as in the authors' code.
    """
    low, high = box[..., :2], box[..., 2:]
    pad = (high - low + 1) * box.new_tensor(by) / 2
    last = (sizes.flip(1) - 1)[:, None].to(box.dtype)  # [B, 1, 2]
    grown = [(low - pad).clamp(min=0), (high + pad).clamp(min=0)]
    return torch.cat([torch.minimum(side, last) for side in grown], -1)


def build(config: EvadConfig) -> Evad:
    """The untrained model of a config."""
    return Evad(config)
