"""EVAD (Chen et al. 2023): a video transformer with token pruning and context refinement.

The encoder keeps all tokens of the key frame and prunes the others by the attention they receive
(`vit.py`); people are localized on the key frame by iterative box refinement (`sparse_rcnn.py`).
Here, the remaining tokens are scattered back to their cells, people are pooled from that map, and
a decoder refines them with the context. The losses are in `evad_loss.py`.

If a clip is smaller than its batch, its padding becomes ordinary tokens, as in the authors' code:
its results depend slightly on the amount of padding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from stadkit.errors import UsageError
from stadkit.layers.attention import TransformerBlock, positions
from stadkit.layers.matching import wide
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
ROI_SIZE = 7  # cells per side
ROI_SAMPLING = 2  # points per cell and axis
# Fields of EvadConfig that must be whole numbers above 0, except those of the encoder.
COUNTS: tuple[str, ...] = ("classes", "frames", "tubelet", "proposals", "people_heads")
COUNTS += ("feedforward", "dynamic", "decoder_depth", "classifier")


@dataclass(frozen=True)
class EvadConfig:
    """Architecture only; defaults are the paper's ViT-B. Raises UsageError for invalid settings."""

    classes: int = 80
    frames: int = 16  # per clip in training; inference takes any multiple of `tubelet`
    width: int = 768
    depth: int = 12
    heads: int = 12
    patch: int = 16  # pixels per side
    tubelet: int = 2  # frames per token
    stem: str = "pixels"  # input of the patch embedding; "lite": see `models.lite`
    base: tuple[int, int] = (14, 14)  # cells of the position table, resized to other grids
    maps_at: tuple[int, ...] = (2, 5, 8, 11)  # blocks whose key-frame tokens feed the pyramid
    prune_at: tuple[int, ...] = (3, 6, 9)  # blocks that prune tokens
    keep_rate: float = 0.7  # rho, Table 2: share of all tokens kept at each of `prune_at`
    keyframe_weight: float = 1.0  # w_kf of Eq. 3; Table 1g has 4 for rho = 0.6
    drop_path: float = 0.1
    proposals: int = 100  # boxes per clip
    people_width: int = 256  # channels of the pyramid and of the localization heads
    people_heads: int = 6  # refinement heads, in sequence
    people_attention: int = 8  # attention heads
    feedforward: int = 2048
    dynamic: int = 64  # hidden channels of the dynamic convolutions
    decoder_width: int = 384
    decoder_depth: int = 6
    decoder_heads: int = 6
    decoder_drop_path: float = 0.1
    classifier: int = 2048  # hidden units before the action logits
    roi_extension: tuple[float, float] = (0.4, 0.2)  # of a person's width and height
    # Cells that kept tokens are scattered to: their own, or with "importance", as in the authors'
    # code, the most important token to the first kept cell and so on. Released weights were trained
    # that way and need it.
    token_order: str = "position"
    lean: bool = True  # skip unused computations; False runs all that the paper counts

    def __post_init__(self) -> None:
        to_tuples(self, "maps_at", "prune_at", "base", "roi_extension")
        check_counts(self, *COUNTS)
        check_split(self, "people_width", "people_attention")
        check_split(self, "decoder_width", "decoder_heads")
        check_rate(self, "decoder_drop_path")
        check_shares(self, "roi_extension")
        if len(self.maps_at) != 4:
            raise UsageError(f"EvadConfig.maps_at is {self.maps_at}; it needs 4 blocks.")
        _ = self.encoder  # validates its own fields
        if self.token_order not in TOKEN_ORDERS:
            raise UsageError(
                f"EvadConfig.token_order is {self.token_order!r}; choose one of "
                f"{', '.join(TOKEN_ORDERS)}."
            )
        if self.frames % self.tubelet:
            raise UsageError(
                f"EvadConfig.frames is {self.frames}; it must be a multiple of {self.tubelet}."
            )

    @property
    def encoder(self) -> VitConfig:
        """The config of the backbone."""
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
        """The config of the localizer."""
        return LocalizerConfig(
            proposals=self.proposals,
            width=self.people_width,
            heads=self.people_heads,
            attention_heads=self.people_attention,
            feedforward=self.feedforward,
            dynamic=self.dynamic,
        )


@dataclass(frozen=True)
class EvadDetails:
    """Intermediate outputs for EVAD's losses and visualizations; `Outputs` holds the last ones."""

    tokens: Tokens
    people: Localized  # after each localization head
    action: Tensor  # [L, B, P, C]  logits after each decoder block


class Evad(nn.Module):
    """`model(pixels, sizes) -> Outputs`: the `proposals` of each clip, unordered."""

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
        self.decoder = EvadDecoder(config)
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
        """Detect the people on the key frame and their actions.

        pixels [B, 3, T, H, W] normalised RGB, H and W multiples of the patch, T even; sizes
        [B, 2] (height, width) before padding. proposals: boxes [n_i, 4] of each clip in
        fractions of the unpadded clip, classified instead; scores: their person scores [n_i]
        0..1, default 1.
        """
        tokens: Tokens = self.backbone(pixels)
        known = None
        if proposals is None:
            found = self.localize(tokens, sizes)
            logit, box = found.logit[-1], found.box[-1]
            person = logit[..., 0] - logit[..., 1]
        else:
            person, box = person_selection.from_proposals(proposals, scores, sizes)
            known = person_selection.proposal_mask(proposals, sizes.device)
        action = self.classify(tokens, box.detach(), sizes, known)[-1]
        return Outputs(person, (box / person_selection.frame(sizes))[:, :, None], action)

    def details(self, pixels: Tensor, sizes: Tensor) -> EvadDetails:
        """The outputs of every head and block, for deep supervision; arguments as in `forward`."""
        tokens: Tokens = self.backbone(pixels)
        found = self.localize(tokens, sizes)
        action = self.classify(tokens, found.box[-1].detach(), sizes, deep=True)
        return EvadDetails(tokens, found, torch.stack(action))

    def localize(self, tokens: Tokens, sizes: Tensor) -> Localized:
        """Localize people on the key frame's maps, resized to strides 4 to 32 (for patch 16)."""
        height, width = tokens.grid[1:]
        maps = [*tokens.maps[:3], tokens.maps[3][..., ::2, ::2]]
        scales = [(4 * height, 4 * width), (2 * height, 2 * width)]
        scales += [(x.shape[2], x.shape[3]) for x in maps[2:]]
        if not self.config.lean:  # the pyramid upsamples later, at a lower cost
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
        """Action logits [B, P, C] of boxes [B, P, 4] (pixels) after the last decoder block.

        known [B, P] bool: real boxes; padding is masked from attention; None: all. deep: return
        the logits after each block.
        """
        context, restored = self.restore(tokens)
        extended = extend(box, sizes, self.config.roi_extension)
        actors = self.actors(restored, extended)
        return self.decoder(context, actors, known, deep)  # type: ignore[no-any-return]

    def restore(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Kept tokens with position codes [B, N, D], and scattered to the map [B, t, h, w, D].

        Pruned cells hold the mask token plus their codes. The paper pads with zeros; the
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
        """The cell [B, N] of each token, in raster order (time, height, width)."""
        slices, height, width = tokens.grid
        area = height * width
        start = keyframe_slice(slices) * area
        kept = tokens.kept
        if self.config.token_order == "importance":
            kept = kept.sort(1).values
        others = kept + area * (kept >= start)  # skip the key frame's cells
        key = torch.arange(start, start + area, device=kept.device)
        return torch.cat([key.expand(len(kept), -1), others], 1)

    def actors(self, restored: Tensor, box: Tensor) -> Tensor:
        """A token [B, P, D] per box [B, P, 4]: 3D RoIAlign, max over space, mean over time.

        restored: [B, t, h, w, D].
        """
        clips, slices, _, _, width = restored.shape
        count = box.shape[1]
        maps = restored.permute(0, 1, 4, 2, 3).flatten(1, 2)  # time steps concatenated as channels
        index = torch.arange(clips, device=box.device).repeat_interleave(count)
        cells = Cells([maps], [self.config.patch])
        most = cells.strongest(box.flatten(0, 1), index, ROI_SIZE, ROI_SAMPLING)
        return most.view(clips, count, slices, width).mean(2)


class EvadDecoder(nn.Module):
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
        """Action logits [B, P, C] of actors [B, P, D] with context [B, N, D].

        Of the last block, or of each if `deep`. known [B, P]: actors to attend to; None: all.
        """
        x = torch.cat([context, actors.to(context.dtype)], 1)
        keys = None
        if known is not None:
            keys = torch.cat([known.new_ones(context.shape[:2]), known], 1)  # [B, N + P]
        count = actors.shape[1]
        logits = []
        for number, block in enumerate(cast(Iterable[DecoderBlock], self.blocks)):
            last = number == len(self.blocks) - 1
            # The context is unused after the last block.
            x = block(x, count if last and self.lean else None, keys)
            if deep or last:
                logits.append(block.classify(x[:, x.shape[1] - count :]))
        return logits


class DecoderBlock(TransformerBlock):
    """A transformer block with its own actor classifier."""

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
    """Enlarge boxes [B, P, 4] (pixels) by shares of their width and height, clipped to the frame.

    As in the authors' code, a side is last minus first pixel plus one, and the frame ends at its
    last pixel.
    """
    low, high = box[..., :2], box[..., 2:]
    pad = (high - low + 1) * box.new_tensor(by) / 2
    last = (sizes.flip(1) - 1)[:, None].to(box.dtype)  # [B, 1, 2]
    grown = [(low - pad).clamp(min=0), (high + pad).clamp(min=0)]
    return torch.cat([torch.minimum(side, last) for side in grown], -1)


def build(config: EvadConfig) -> Evad:
    """Build the untrained model."""
    return Evad(config)
