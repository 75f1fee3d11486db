"""Compare stages of ME-STAD's pyramid on J-HMDB, split 1: the paper's Table 8 with a small model.

    python examples/import_jhmdb.py JHMDB -o examples/configs/jhmdb
    python examples/jhmdb_features.py examples/configs/jhmdb -o runs/features
    python examples/mestad_pyramids.py examples/configs/jhmdb runs/features -o runs/pyramids

The backbone is frozen: res2 to res4 are Lite's maps of the key frame at strides 4, 8 and 16. res5,
from which actions are read, is trained on the maps of all frames at strides 16 and 32, and has
stride 16 as in the paper. Each pyramid trains on the same clips, with each seed. Prints a Markdown
table: AP50 and recall of the labelled people and frame mAP at every --every-th frame of the test
clips, and GMACs of the pyramid and its person head.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from jhmdb_features import SIZE, Frames, put_in, read_frames
from jhmdb_heads import (
    FIGURES,
    Plan,
    at_frames,
    detect,
    every_so_many,
    labelled,
    learn,
    line,
    means,
    short,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from stadkit.labels import Labels, read_labels
from stadkit.layers.memory_format import channels_last
from stadkit.models.lite import CHANNELS, Lite
from stadkit.models.mestad import Mestad
from stadkit.models.mestad_config import MestadConfig
from stadkit.training.model import chosen_card
from stadkit.zoo import Card

# Size limits of people between levels, as the farthest side in pixels: three strides of the finer.
PYRAMIDS: dict[str, tuple[float, ...]] = {
    "res3-4": (24, 48),
    "res3-5": (24, 48),
    "res2-4": (12, 24, 48),
}
MIN_PERSON = 0.05


class Still(nn.Module):
    """A backbone on frozen per-frame features; pixels -> res2..res5, [B, D, T, h, w] each.

    res2..res4 cover the key frame and are frozen; res5 covers all frames and is trained.
    """

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.photo = Lite()
        p2, p3, p4, p5 = CHANNELS
        self.mix = nn.Conv3d(p4 + p5, width, 1)
        self.motion = nn.Conv3d(width, width, 3, padding=1)
        self.channels = {"res2": p2, "res3": p3, "res4": p4, "res5": width}
        self.strides = {"res2": 4, "res3": 8, "res4": 16, "res5": 16}

    def forward(self, pixels: Tensor) -> dict[str, list[Tensor]]:
        clips, frames = len(pixels), pixels.shape[2]
        maps = self.photo.of_clips(pixels)
        key = [torch.unflatten(x, 0, (clips, frames))[:, frames // 2, :, None] for x in maps[:3]]
        deep = torch.cat([maps[2], F.interpolate(maps[3], scale_factor=2.0)], 1)
        mixed = F.relu(self.mix(torch.unflatten(deep, 0, (clips, frames)).transpose(1, 2)))
        res5 = F.relu(mixed + self.motion(mixed))  # [B, D, T, h, w]
        return {"res2": [key[0]], "res3": [key[1]], "res4": [key[2]], "res5": [res5]}


def new(pyramid: str, labels: Labels, frames: Frames) -> tuple[Card, nn.Module]:
    """An untrained model with this pyramid, and a card that describes its clips."""
    card = chosen_card("mestad-tiny", {}, labels, SIZE[0])
    config = MestadConfig(
        backbone="nano",  # sets the number of frames
        classes=len(labels),
        pyramid=pyramid,
        width=64,
        depth=2,
        groups=8,
        dropout=0.3,
        quality="iou",
        person_score="geometric",
        action_score="geometric",
        max_people=20,
        max_iou=0.5,
    )
    return card, channels_last(put_in(Mestad(config, Still()), frames))


def cost(model: nn.Module) -> float:
    """GMACs per clip of the pyramid and the head on it."""
    assert isinstance(model, Mestad)
    backbone = model.backbone
    assert isinstance(backbone, Still)
    shapes = [(backbone.channels[stage], backbone.strides[stage]) for stage in model.stages]
    maps = [torch.zeros(1, d, SIZE[0] // s, SIZE[1] // s) for d, s in shapes]
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model.fcos(model.pyramid(maps), model.strides)
    return float(counted.get_total_flops()) / 2e9


def scored(
    pyramid: str, seed: int, asked: argparse.Namespace, train: Frames, test: Frames
) -> dict[str, float]:
    """Train and score a pyramid, or read its stored scores."""
    kept: Path = asked.output / f"{pyramid}-{seed}.json"
    if not kept.exists():
        labels = read_labels(asked.folder / "labels.txt")
        torch.manual_seed(seed)
        card, model = new(pyramid, labels, train)
        loss: dict[str, Any] = {"rois": "jitter", "ranges": list(PYRAMIDS[pyramid])}
        started = time.perf_counter()
        model = learn(card, model, train, labelled(train), Plan(asked.clips, seed=seed), loss)
        print(f"{pyramid} {seed}: {time.perf_counter() - started:.0f} s", flush=True)
        looks = at_frames(test, card, every_so_many(test, asked.every))
        found, looked = detect(card, model, test, looks, MIN_PERSON)
        kept.write_text(json.dumps(short(found, test, looked) | {"cost": cost(model)}))
    return dict(json.loads(kept.read_text()))


def main() -> None:
    """Train missing models, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="output of examples/import_jhmdb.py")
    parser.add_argument("features", type=Path, help="output of examples/jhmdb_features.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=4000, help="training clips")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--every", type=int, default=8, help="score one test frame in so many")
    parser.add_argument("--pyramids", nargs="+", default=list(PYRAMIDS), choices=list(PYRAMIDS))
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    asked.output.mkdir(parents=True, exist_ok=True)
    train = read_frames(asked.folder, asked.features, "train")
    test = read_frames(asked.folder, asked.features, "test")
    seeds = range(1, asked.seeds + 1)
    rows = []
    for pyramid in asked.pyramids:
        figures = [scored(pyramid, seed, asked, train, test) for seed in seeds]
        rows.append(line([*means(pyramid, figures), f"{figures[0]['cost']:.3f}"]))
    print(line(["pyramid", *FIGURES, "GMACs"]))
    print("|-|" + "-|" * (len(FIGURES) + 1))
    print("\n".join(rows))


if __name__ == "__main__":
    main()
