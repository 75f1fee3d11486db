"""STMixer-T (Wu et al. 2024, Fig. 5): people in every frame of a clip, as tubelets.

As STMixer-K, but a query has one temporal part and one spatial part per frame, whose points are
sampled in that frame only. For backbones with fewer time steps than frames, the feature space is
interpolated back to one step per frame. The method sections were not available: what the figure
does not show is our reading, and marked so in `stmixer_stage.py` and `stmixer_loss.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.models import Outputs, person_selection
from stadkit.models.sampling import to_corners
from stadkit.models.stmixer import Stmixer, StmixerConfig, StmixerDecoder, StmixerDetails
from stadkit.models.stmixer_stage import DecoderStage, Queries, TubeStage


@dataclass(frozen=True)
class StmixerTConfig(StmixerConfig):
    """Architecture only. Raises UsageError for invalid settings."""

    frames: int = 8  # of a clip and of a tubelet


class StmixerT(Stmixer):
    """`model(pixels, sizes) -> Outputs` with a box and a presence logit in each frame."""

    def decoder(self, times: int) -> StmixerDecoder:
        return TubeDecoder(self.config, self.config.frames, TubeStage)

    def space(self, pixels: Tensor) -> list[Tensor]:
        """The 4D feature space with one time step per frame: [B, D, T, h, w] of each scale."""
        maps = super().space(pixels)
        frames = pixels.shape[2]
        return [resize_time(x, frames) for x in maps]

    def _outputs(self, details: StmixerDetails, sizes: Tensor) -> Outputs:
        last = details.stages[-1]
        person = last.person[..., 0] - last.person[..., 1]
        box = to_corners(last.xyzr) / person_selection.frame(sizes)[:, :, None]
        return Outputs(person, box, last.action, last.presence)


class TubeDecoder(StmixerDecoder):
    """The decoder with a spatial query for each frame."""

    def __init__(self, config: StmixerConfig, times: int, stage: type[DecoderStage]) -> None:
        super().__init__(config, times, stage)
        # Without frame codes, the queries of all frames would be identical.
        self.frame_codes = nn.Embedding(times, config.width)

    def start(self, sizes: Tensor, times: int) -> Queries:
        queries = super().start(sizes, times)
        spatial = queries.spatial[:, :, None] + self.frame_codes.weight  # [B, N, F, D]
        xyzr = queries.xyzr[:, :, None].expand(-1, -1, times, -1)
        return Queries(xyzr, F.layer_norm(spatial, spatial.shape[3:]), queries.temporal)


def resize_time(x: Tensor, frames: int) -> Tensor:
    """Resize maps [B, D, t, h, w] to one time step per frame, by linear interpolation."""
    times = x.shape[2]
    if times == frames:
        return x
    at = (torch.arange(frames, device=x.device) + 0.5) * times / frames - 0.5
    at = at.clamp(0, times - 1)
    low = at.floor().long()
    part = (at - low).to(x.dtype).view(-1, 1, 1)
    high = (low + 1).clamp(max=times - 1)
    return x[:, :, low] * (1 - part) + x[:, :, high] * part


def build(config: StmixerTConfig) -> StmixerT:
    """Build the untrained model."""
    return StmixerT(config)
