"""STMixer-T (Wu et al. 2024, Fig. 5): people in every frame of a clip, as tubelets.

As STMixer-K, but a query is a temporal one and a spatial one for each frame, whose points are read
in that frame alone. Backbones that halve the number of frames have their feature space stretched
back to all of them. The method sections were not at hand: what the figure does not show is our
reading, and marked so in `stmixer_stage.py` and `stmixer_loss.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.models import Outputs, person_selection
from stadkit.models.sampling import to_corners
from stadkit.models.stmixer import Decoder, Details, Stmixer, StmixerConfig
from stadkit.models.stmixer_stage import Queries, Stage, TubeStage


@dataclass(frozen=True)
class StmixerTConfig(StmixerConfig):
    """Architecture only. Raises UsageError for a wrong choice."""

    frames: int = 8  # of a clip and of a tubelet


class StmixerT(Stmixer):
    """`model(pixels, sizes) -> Outputs` with a box and a logit of being there in each frame."""

    def decoder(self, times: int) -> Decoder:
        return TubeDecoder(self.config, self.config.frames, TubeStage)

    def space(self, pixels: Tensor) -> list[Tensor]:
        """The 4D feature space with a time step a frame: [B, D, T, h, w] of each scale."""
        maps = super().space(pixels)
        frames = pixels.shape[2]
        return [stretched(x, frames) for x in maps]

    def _outputs(self, details: Details, sizes: Tensor) -> Outputs:
        last = details.said[-1]
        person = last.person[..., 0] - last.person[..., 1]
        box = to_corners(last.xyzr) / person_selection.frame(sizes)[:, :, None]
        return Outputs(person, box, last.action, last.there)


class TubeDecoder(Decoder):
    """Learned queries through the stages, a spatial one for each frame."""

    def __init__(self, config: StmixerConfig, times: int, stage: type[Stage]) -> None:
        super().__init__(config, times, stage)
        # Without a code of its own a frame's query would be its neighbour's twin.
        self.frame_codes = nn.Embedding(times, config.width)

    def start(self, sizes: Tensor, times: int) -> Queries:
        queries = super().start(sizes, times)
        spatial = queries.spatial[:, :, None] + self.frame_codes.weight  # [B, N, F, D]
        xyzr = queries.xyzr[:, :, None].expand(-1, -1, times, -1)
        return Queries(xyzr, F.layer_norm(spatial, spatial.shape[3:]), queries.temporal)


def stretched(x: Tensor, frames: int) -> Tensor:
    """Maps [B, D, t, h, w] with a time step a frame, linearly between those there are."""
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
    """The untrained model of a config."""
    return StmixerT(config)
