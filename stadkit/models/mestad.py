"""ME-STAD (Sui et al. 2022): a video backbone, FCOS on its key frame, and an action head.

The losses are in `mestad_loss.py`. Where the paper (arXiv v1) and the authors' later release
(SE-STAD) differ, both are available: `MestadConfig.paper()` and `.release()`.

A clip's results do not depend on the others in its batch, with one exception: if it is smaller
than the batch, the convolutions of backbone, pyramid and towers read activations computed from
its zero padding where alone they would read zeros, so cells at the padded edge can differ
slightly. Nothing else reads the padding: points there are discarded, RoIs see the border
replicated, and pooling over a whole map covers the unpadded frame only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.layers.pyramid import Pyramid
from stadkit.layers.runtime import exporting
from stadkit.models import Outputs, nanodet, person_selection
from stadkit.models.action_head import AcrnHead, LinearHead
from stadkit.models.fcos import DensePredictions, Fcos
from stadkit.models.frame_head import FrameHead
from stadkit.models.frame_reader import NUMBERS, FrameMaps, FrameReader
from stadkit.models.grid_head import Glimpse, GridHead
from stadkit.models.mestad_config import BACKBONES, PYRAMIDS, MestadConfig


@dataclass(frozen=True)
class MestadFeatures:
    """Backbone features, as the person head and the action head read them."""

    keyframe: tuple[Tensor, ...]  # [B, D of the stage, h, w] for each pyramid stage
    action: Tensor  # [B, D, h, w]  res5: mean over time, pathways concatenated; float32
    cells: Tensor  # [B, 2]  (h, w) of the unpadded part of `action`; beyond, its border repeats
    pixels: Tensor  # [B, 3, T, H, W]  the input clips
    sizes: Tensor  # [B, 2]  (height, width) of the unpadded part of `pixels`
    frames: FrameMaps | None = None  # for the "frames" head


class Mestad(nn.Module):
    """`model(pixels, sizes) -> Outputs`; `features`, `localize` and `classify` run separately too.

    backbone: pixels [B, 3, T, H, W] -> {"res2".."res5": pathways [B, D, T', h, w]}, with
    `channels` (summed over pathways) and `strides` by stage.
    """

    def __init__(self, config: MestadConfig, backbone: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        channels = cast(dict[str, int], backbone.channels)
        strides = cast(dict[str, int], backbone.strides)
        self.stages, extra = PYRAMIDS[config.pyramid]
        self.strides = tuple(strides[s] for s in self.stages)
        if extra:
            self.strides += (2 * self.strides[-1],)
        self.action_stride = strides["res5"]
        self.frames = BACKBONES[config.backbone][1]
        self.pyramid, self.fcos = _person_detector(
            config, [channels[s] for s in self.stages], extra
        )
        self.glimpse = Glimpse() if config.glimpse else None
        self.reader = _reader() if config.head == "frames" else None
        self.head = _head(config, channels["res5"], self.glimpse.width if self.glimpse else 0)

    def forward(
        self,
        pixels: Tensor,
        sizes: Tensor,
        proposals: Sequence[Tensor] | None = None,
        scores: Sequence[Tensor] | None = None,
    ) -> Outputs:
        """Detect the top `max_people` people of each clip, best first, and their actions.

        pixels [B, 3, T, H, W] normalised RGB, padded at the bottom and right; sizes [B, 2]
        (height, width) before padding. proposals: boxes [n_i, 4] of each clip in fractions of
        the unpadded clip, classified instead; scores: their person scores [n_i] 0..1, default 1.
        """
        features = self.features(pixels, sizes)
        if proposals is None:
            cls, quality, box = self.people(self.localize(features), sizes)
            weak = self.person(cls, quality).sigmoid() < self.config.min_score
            cls = cls.masked_fill(weak, -torch.inf)
            person = self.person(cls, quality)
        else:
            cls, box = person_selection.from_proposals(proposals, scores, sizes)
            quality = torch.full_like(cls, torch.inf)
            person = cls
        count, most = person.shape
        index = torch.arange(count, device=box.device).repeat_interleave(most)
        visible = person_selection.clip_boxes(box, sizes).flatten(0, 1)
        action = self._actions(features, visible, index, person.flatten())
        action = action.view(count, most, action.shape[1])
        if self.config.action_score == "product":
            action = logit_of_product(action, person[..., None])
        elif self.config.action_score == "geometric":
            action = _logit_of_root(action, cls[..., None], quality[..., None])
        fraction = box / person_selection.frame(sizes)
        return Outputs(person, fraction[:, :, None], action)

    def features(self, pixels: Tensor, sizes: Tensor | None = None) -> MestadFeatures:
        """pixels [B, 3, T, H, W] -> features for the heads; sizes None: there is no padding."""
        stages: dict[str, list[Tensor]] = self.backbone(pixels)
        keyframe = tuple(_keyframe(stages[s]) for s in self.stages)
        action = _concat_resized([x.mean(2, dtype=torch.float32) for x in stages["res5"]])
        whole = torch.tensor(action.shape[-2:], device=pixels.device)
        if sizes is None:
            sizes = torch.tensor(pixels.shape[-2:], device=pixels.device).expand(len(pixels), 2)
            cells = whole.expand(len(pixels), 2)
        else:
            cells = torch.minimum(-(-sizes // self.action_stride), whole)
            action = _repeat_border(action, cells)
        frames = None if self.reader is None else self.reader(pixels, sizes)
        return MestadFeatures(keyframe, action, cells, pixels, sizes, frames)

    def localize(self, features: MestadFeatures) -> DensePredictions:
        """Dense person predictions at every point of the key frame."""
        maps = self.pyramid(features.keyframe)
        if isinstance(self.fcos, nanodet.NanoDetHead):
            return _dense_people(self.fcos(maps))
        return cast(DensePredictions, self.fcos(maps, self.strides))

    def classify(self, features: MestadFeatures, boxes: Tensor, index: Tensor) -> Tensor:
        """Action logits [n, C], float32, of boxes [n, 4] (pixels) in clips index [n]."""
        if isinstance(self.head, FrameHead):
            return cast(Tensor, self.head(self.describe(features, boxes, index)))
        logits: Tensor = self.head(
            features.action,
            features.cells,
            boxes,
            index,
            self.action_stride,
            *self._glimpse_features(features, boxes, index),
        )
        return logits[:, int(self.config.background_row) :].float()

    def _actions(
        self, features: MestadFeatures, boxes: Tensor, index: Tensor, person: Tensor
    ) -> Tensor:
        """`classify`; with the costly "frames" head, only boxes with a finite person logit [n]."""
        if self.reader is None or boxes.is_meta or exporting():
            return self.classify(features, boxes, index)
        valid = person.isfinite()
        logits = self.classify(features, boxes[valid], index[valid])
        return logits.new_zeros(len(boxes), logits.shape[1]).index_put((valid,), logits)

    def describe(self, features: MestadFeatures, boxes: Tensor, index: Tensor) -> Tensor:
        """Frozen descriptors [n, NUMBERS] of boxes [n, 4] (pixels) in clips index [n], for the
        "frames" head."""
        assert self.reader is not None
        assert features.frames is not None
        return self.reader.describe(features.frames, boxes, index)

    def classify_and_place(
        self, features: MestadFeatures, boxes: Tensor, index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`classify`, and joints [n, T, J, 2], for a config with `joints`.

        At the key frame, positions in the box, -.5 to .5; at other frames, displacements from
        there, scaled as in `joints_loss`.
        """
        assert isinstance(self.head, GridHead)
        seen = self._glimpse_features(features, boxes, index)
        logits, places = self.head.with_places(
            features.action, boxes, index, self.action_stride, *seen
        )
        assert places is not None
        joints = places.float().view(len(places), self.frames, self.config.joints, 2)
        return logits.float(), joints

    def _glimpse_features(
        self, features: MestadFeatures, boxes: Tensor, index: Tensor
    ) -> list[Tensor]:
        """The glimpse's features of the boxes, as extra arguments of the head; [] without one."""
        if self.glimpse is None:
            return []
        return [self.glimpse(features.pixels, features.sizes, boxes, index)]

    def people(self, dense: DensePredictions, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Select the people of each clip: cls and quality logits [B, N], boxes [B, N, 4] in pixels.

        In padding rows, cls is -inf and boxes are 0.
        """
        rank = dense.person.sigmoid() * dense.quality.sigmoid()
        index, kept = person_selection.choose(
            dense.box, dense.point, rank, sizes, self.config.max_people, self.config.max_iou
        )
        cls = dense.person.gather(1, index).masked_fill(~kept, -torch.inf)
        box = dense.box.gather(1, index[..., None].expand(-1, -1, 4))
        return cls, dense.quality.gather(1, index), box * kept[..., None]

    def person(self, cls: Tensor, quality: Tensor) -> Tensor:
        """The person logit [B, N] according to `person_score`."""
        if self.config.person_score == "cls":
            return cls
        return log_to_logit((F.logsigmoid(cls) + F.logsigmoid(quality)) / 2)


def build(config: MestadConfig) -> Mestad:
    """The untrained model of a config."""
    make, _ = BACKBONES[config.backbone]
    return Mestad(config, make(config))


def log_to_logit(log: Tensor) -> Tensor:
    """The logit of a log probability; finite if that is."""
    return log - (-torch.expm1(log.clamp(max=-1e-6))).log()


def logit_of_product(a: Tensor, b: Tensor) -> Tensor:
    """The logit of the product of two probabilities, given their logits; -inf in b stays -inf."""
    log = F.logsigmoid(a) + F.logsigmoid(b.clamp(min=-80))
    return log_to_logit(log).masked_fill(b.isneginf(), -torch.inf)


def _logit_of_root(action: Tensor, cls: Tensor, quality: Tensor) -> Tensor:
    """The logit of sqrt(action * cls * quality), given their logits; -inf in cls stays -inf."""
    log = F.logsigmoid(action) + F.logsigmoid(cls.clamp(min=-80)) + F.logsigmoid(quality)
    return log_to_logit(log / 2).masked_fill(cls.isneginf(), -torch.inf)


def _keyframe(pathways: Sequence[Tensor]) -> Tensor:
    """The middle frame of each pathway [B, D, T, h, w], concatenated: [B, sum of D, h, w]."""
    return _concat_resized([x[:, :, x.shape[2] // 2] for x in pathways])


def _concat_resized(maps: Sequence[Tensor]) -> Tensor:
    """Concatenate maps [B, D, h, w] along channels, resizing them to the first one's size."""
    size = maps[0].shape[-2:]
    same = [x if x.shape[-2:] == size else F.interpolate(x, size=size) for x in maps]
    return torch.cat(same, 1)


def _repeat_border(maps: Tensor, cells: Tensor) -> Tensor:
    """Maps [B, D, h, w] with padding replaced by the border of the unpadded cells [B, 2]."""
    height, width = maps.shape[2:]
    whole = torch.tensor((height, width), device=cells.device)
    if maps.is_meta or (not exporting() and bool((cells == whole).all())):
        return maps
    rows = torch.minimum(torch.arange(height, device=cells.device), cells[:, :1] - 1)  # [B, h]
    cols = torch.minimum(torch.arange(width, device=cells.device), cells[:, 1:] - 1)  # [B, w]
    clip = torch.arange(len(maps), device=cells.device)[:, None, None]
    picked = maps.permute(0, 2, 3, 1)[clip, rows[:, :, None], cols[:, None]]  # [B, h, w, D]
    return picked.permute(0, 3, 1, 2)


def _person_detector(
    config: MestadConfig, channels: list[int], extra: bool
) -> tuple[nn.Module, nn.Module]:
    """The person detector on the key frame's stages: a pyramid and a head over its levels."""
    if config.people == "nanodet":
        return nanodet.Neck().requires_grad_(False), nanodet.NanoDetHead().requires_grad_(False)
    pyramid = Pyramid(channels, config.width, extra)
    levels = len(channels) + int(extra)
    tower = (config.width, config.depth, levels, config.groups)
    return pyramid, Fcos(*tower, config.distance, config.quality_tower)


def _dense_people(guesses: nanodet.Guesses) -> DensePredictions:
    """NanoDet's person predictions; its score includes the box quality, so quality is 1."""
    person = guesses.objects[..., 0]
    quality = torch.full_like(person, torch.inf)
    return DensePredictions(
        person, guesses.box(), quality, guesses.point, guesses.stride, guesses.level
    )


def _reader() -> FrameReader:
    return FrameReader(torch.tensor(nanodet.MEAN), torch.tensor(nanodet.STD))


def _head(config: MestadConfig, channels: int, seen: int) -> nn.Module:
    rows = config.classes + int(config.background_row)
    places = BACKBONES[config.backbone][1] * config.joints
    common = (channels, rows, config.roi_size, config.roi_sampling, config.dropout)
    makers: dict[str, Callable[[], LinearHead | AcrnHead | GridHead | FrameHead]] = {
        "linear": lambda: LinearHead(*common, config.context),
        "acrn": lambda: AcrnHead(*common),
        "grid": lambda: GridHead(*common, places=places, seen=seen),
        "frames": lambda: FrameHead(NUMBERS, config.classes, config.sources, config.exclusive),
    }
    head = makers[config.head]()
    if isinstance(head, FrameHead):
        nn.init.zeros_(head.projection.weight)  # fitted directly, not trained from random values
    elif config.head_init == "xavier":
        nn.init.xavier_uniform_(head.projection.weight)
    else:
        nn.init.normal_(head.projection.weight, std=0.01)
    nn.init.zeros_(head.projection.bias)
    return head
