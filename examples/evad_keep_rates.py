"""What dropping tokens costs a small EVAD: mAP and speed at keep rates 1.0 to 0.6.

    stadkit train examples/configs/evad-tiny.yaml -o runs/evad-tiny
    python examples/evad_keep_rates.py runs/evad-tiny -o runs/keep

Each rate goes on from the same weights for --clips rendered clips and is scored on --val others (as
the paper's Table 2); then the one trained at .7 is scored at all rates (its Figure 5). Rates that
are trained already are only scored.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from stadkit import zoo
from stadkit.detection import Detector
from stadkit.models.evad import Evad
from stadkit.models.lite import LitePatches
from stadkit.training.config import PlaygroundSource, TrainConfig, read_config
from stadkit.training.loop import train
from stadkit.training.sources import Playground
from stadkit.training.validation import validate
from stadkit.zoo.cards import from_json

CONFIG = Path(__file__).parent / "configs" / "evad-tiny.yaml"
RATES = (1.0, 0.9, 0.8, 0.7, 0.6)
PASSES = 60  # of each rate; the fastest counts, as others are the machine's doing
FRESH = 3_000_000  # seed of the first clip; the base has seen others


def trained(rate: float, base: Path, out: Path, clips: int, store: Path | None) -> Path:
    """The weights of this keep rate, trained now unless they are there."""
    folder = out / f"{rate:g}"
    weights = folder / "weights.safetensors"
    if not weights.exists():
        train(_config(rate, base, clips, store), folder, "cpu", False, _quiet)
    return weights


def _config(rate: float, base: Path, clips: int, store: Path | None) -> TrainConfig:
    plain = read_config(CONFIG)
    changes: dict[str, Any] = {
        "settings": {"keep_rate": rate},
        "init": base / "weights.safetensors",
        "data": plain.data.model_copy(
            update={"train": PlaygroundSource(clips=clips, seed=FRESH), "val": None, "store": store}
        ),
        "schedule": plain.schedule.model_copy(update={"epochs": 1, "warmup": 0.05, "last": 0.0}),
        "ema": 0.98,
    }
    return plain.model_copy(update=changes)


def _quiet(kind: str, figures: dict[str, Any]) -> None:
    pass


def scored(weights: Path, rate: float, store: Path, clips: int) -> dict[str, float]:
    """Person AP50 and frame mAP of these weights at a keep rate."""
    card = from_json(zoo.read_sidecar(weights)["card"])
    card = replace(card, settings={**card.settings, "keep_rate": rate})
    model = zoo.build_card(card)
    zoo.load_weights(model, weights)
    source = Playground(PlaygroundSource(clips=clips, seed=500), card, store)
    return validate(model, card, source, bf16=False)


def speeds(rates: Sequence[float]) -> dict[float, tuple[float, float]]:
    """Clips of 128 x 192 pixels a second, one at a time; and those of all but the frozen maps."""
    works = {rate: looks(rate) for rate in rates}
    fastest = {rate: [math.inf, math.inf] for rate in rates}
    with torch.inference_mode():
        # All in turns, so that a slow moment of the machine hits all.
        for _ in range(PASSES):
            for rate, both in works.items():
                taken = (seconds(work) for work in both)
                fastest[rate] = [min(pair) for pair in zip(fastest[rate], taken, strict=True)]
    return {rate: (1 / whole, 1 / (whole - maps)) for rate, (whole, maps) in fastest.items()}


def looks(rate: float) -> tuple[Callable[[], object], Callable[[], object]]:
    """A look at a clip at this keep rate, and at the frozen maps alone."""
    card = zoo.card("evad-tiny")
    card = replace(card, settings={**card.settings, "keep_rate": rate})
    model = cast(Evad, zoo.build_card(card))
    detector = Detector(model, card, "cpu", "fp32")
    pixels, sizes = torch.randn(1, 3, card.frames, 128, 192), torch.tensor([[128, 192]])
    photo = cast(LitePatches, model.backbone.patch_embed).photo
    return lambda: detector.forward(pixels, sizes), lambda: photo.of_clips(pixels)


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Train what is missing, score everything, print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path, help="folder of the training that all go on from")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=3600)
    parser.add_argument("--val", type=int, default=300)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--store", type=Path, default=Path("runs/clips"))
    a = parser.parse_args()
    weights = {r: trained(r, a.base, a.output, a.clips, a.store) for r in a.rates}
    fast = speeds(a.rates)
    print("| keep rate | trained at it: mAP | person AP | trained at .7: mAP | clips/s | no Lite |")
    print("|-|-|-|-|-|-|")
    for rate, file in weights.items():
        own = scored(file, rate, a.store, a.val)
        other = "-"  # nothing was trained at .7
        if 0.7 in weights:
            other = f"{scored(weights[0.7], rate, a.store, a.val)['frame_map']:.3f}"
        whole, rest = fast[rate]
        print(
            f"| {rate} | {own['frame_map']:.3f} | {own['person_ap']:.3f} "
            f"| {other} | {whole:.1f} | {rest:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
