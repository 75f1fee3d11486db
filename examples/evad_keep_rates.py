"""Measure mAP and speed of a small EVAD on J-HMDB, split 1, at keep rates 1.0 to 0.6.

    python examples/import_jhmdb.py JHMDB -o examples/configs/jhmdb
    python examples/jhmdb_features.py examples/configs/jhmdb -o runs/features
    python examples/evad_keep_rates.py examples/configs/jhmdb runs/features -o runs/keep

A base model trains on --base clips at keep rate 1.0. Each rate continues from it on the same
--clips other clips and is scored at that rate (as in the paper's Table 2), at every --every-th
frame of the test clips: frame mAP at IoU .5, and recall of the labelled people. Models trained
earlier are only scored.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from jhmdb_features import SIZE, Frames, read_frames
from jhmdb_heads import (
    FIGURES,
    Plan,
    at_frames,
    detect,
    every_so_many,
    labelled,
    learn,
    line,
    load,
    means,
    new_model,
    save,
    short,
)
from torch import nn

from stadkit import zoo
from stadkit.detection import Detector
from stadkit.labels import read_labels
from stadkit.models.evad import Evad
from stadkit.models.lite import LitePatches
from stadkit.zoo import Card

RATES = (1.0, 0.9, 0.8, 0.7, 0.6)
MIN_PERSON = 0.05


def trained(card: Card, model: nn.Module, frames: Frames, plan: Plan, path: Path) -> Path:
    """Run this training unless its weights exist; returns their path."""
    if not path.exists():
        started = time.perf_counter()
        print(f"keep rate {card.settings.get('keep_rate')}: {plan.clips} clips", flush=True)
        save(card, learn(card, model, frames, labelled(frames), plan), path)
        print(f"{time.perf_counter() - started:.0f} s", flush=True)
    return path


def scored(path: Path, frames: Frames, every: int) -> dict[str, float]:
    """Score these weights at one in `every` frames of the test clips."""
    card, model = load(path, frames)
    looks = at_frames(frames, card, every_so_many(frames, every))
    found, looked = detect(card, model, frames, looks, MIN_PERSON)
    return short(found, frames, looked)


def speeds(rates: Sequence[float], passes: int) -> dict[float, tuple[float, float]]:
    """Clips of 96 x 128 pixels per second, one at a time: in all, and without the frozen maps.

    The fastest pass counts; slower ones are due to other load on the machine.
    """
    works = {rate: looks(rate) for rate in rates}
    fastest = {rate: [math.inf, math.inf] for rate in rates}
    with torch.inference_mode():
        # In turn, so that a slow moment of the machine affects all rates.
        for _ in range(passes):
            for rate, both in works.items():
                taken = (seconds(work) for work in both)
                fastest[rate] = [min(pair) for pair in zip(fastest[rate], taken, strict=True)]
    return {rate: (1 / whole, 1 / (whole - maps)) for rate, (whole, maps) in fastest.items()}


def looks(rate: float) -> tuple[Callable[[], object], Callable[[], object]]:
    """The work on a clip at this keep rate: all of it, and the frozen maps alone."""
    card = zoo.card("evad-tiny")
    card = replace(card, settings={**card.settings, "keep_rate": rate})
    model = cast(Evad, zoo.build_card(card))
    detector = Detector(model, card, "cpu", "fp32")
    pixels, sizes = torch.randn(1, 3, card.frames, *SIZE), torch.tensor([SIZE])
    photo = cast(LitePatches, model.backbone.patch_embed).photo
    return lambda: detector.forward(pixels, sizes), lambda: photo.of_clips(pixels)


def seconds(work: Callable[[], object]) -> float:
    """Time one run of the work."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Train missing models, score all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="output of examples/import_jhmdb.py")
    parser.add_argument("features", type=Path, help="output of examples/jhmdb_features.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--base", type=int, default=5000, help="training clips of the base")
    parser.add_argument("--clips", type=int, default=1000, help="training clips of each rate")
    parser.add_argument("--every", type=int, default=5, help="score one test frame in so many")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--passes", type=int, default=60, help="timed passes; the fastest counts")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    train = read_frames(asked.folder, asked.features, "train")
    test = read_frames(asked.folder, asked.features, "test")
    labels = read_labels(asked.folder / "labels.txt")
    new = new_model("evad-tiny", labels, train, keep_rate=1.0)
    name = "weights.safetensors"
    base = trained(*new, train, Plan(asked.base, last=0.2), asked.output / "base" / name)
    weights = {}
    for rate in asked.rates:
        card, model = load(base, train, keep_rate=rate)
        plan = Plan(asked.clips, seed=2, rate=0.0005)
        weights[rate] = trained(card, model, train, plan, asked.output / f"{rate:g}" / name)
    fast = speeds(asked.rates, asked.passes)
    print(line(["keep rate", *FIGURES, "clips/s", "no Lite"]))
    print("|-|" + "-|" * (len(FIGURES) + 2))
    for rate, file in weights.items():
        cells = [f"{x:.1f}" for x in fast[rate]]
        print(line([*means(f"{rate}", [scored(file, test, asked.every)]), *cells]), flush=True)


if __name__ == "__main__":
    main()
