"""ME-STAD's Table 5 on the Playground: what labels between keyframes are worth in training.

    stadkit synth -o runs/sparse --videos 40 --seed 60 --size 240x180
    stadkit synth -o runs/dense --videos 16 --seed 61 --size 240x180
    python examples/table5.py runs/sparse runs/dense -o runs/table5

Truth is one frame a second. `mestad-tiny`, of which only the features of photographs are there
before, is trained on it (the burn-in, the same for all); then each strategy goes on from there for
as many steps, with each seed. "truth" is what no labeller can beat: true labels in place of made
ones, as many clips.
Scored on the other videos at 5 frames a second of dense truth: frame mAP; person AP; video mAP of
linked tubes; how far their starts and ends are from the truth, in seconds. Runs that are there
already are only scored. Prints a Markdown table of means and standard deviations.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from link_quality import THRESHOLDS, cut, tubes_of
from stmixer_tubes import boundary_errors, found_in

import stadkit
from stadkit import zoo
from stadkit.detections import Detections, Keyframes, milliseconds
from stadkit.files.ava_csv import read_truth
from stadkit.instances import Instances
from stadkit.labels import read_labels
from stadkit.linking import link
from stadkit.metrics.frame_map import frame_map
from stadkit.metrics.video_map import video_map
from stadkit.training.config import TrainConfig
from stadkit.training.loop import train

# A training without unlabelled clips gives two rows: its own weights, and their average.
STRATEGIES = ("ema", "hard", "per-class", "nearest", "tla", "truth")
BETWEEN = 400  # milliseconds from a labelled frame to the one that "truth" adds
STEP = 200  # milliseconds between the frames that are scored
EMA = {"strategy": "ema", "ema": 0.99}
FIGURES = ("frame mAP", "person AP", "video mAP .5", "ends, s")


def config(
    sparse: Path, store: Path, init: Path | None, truth: Path | None = None, **more: Any
) -> TrainConfig:
    """What all trainings here have in common, and more; truth: else one frame a second."""
    data = {"truth": truth or sparse / "sparse.csv", "labels": sparse / "labels.txt"}
    data |= {"videos": sparse / "videos", "short_side": 180}
    common: dict[str, Any] = {
        "model": "mestad-tiny",
        "init": init,
        "data": {"train": data, "store": store, "workers": 0},
        "augment": {
            "short_side": (140, 200),
            "crop": (144, 176),
            "stretch": 0.1,
            "gain": 0.25,
            "shift": 25,
        },
        "loss": {"rois": "jitter", "ranges": [32, 64]},
        "batch": 8,
        "precision": "fp32",
    }
    return TrainConfig.model_validate({**common, **more})


def optimizer(rate: float) -> dict[str, Any]:
    return {"name": "muon", "lr": rate, "weight_decay": 0.03, "clip_grad": 10}


def trained(what: TrainConfig, folder: Path) -> Path:
    """The weights of a training, made now unless they are there."""
    weights = folder / "weights.safetensors"
    if not (folder / "results.csv").exists() or _epochs(folder) < what.schedule.epochs:
        folder.mkdir(parents=True, exist_ok=True)
        train(what, folder, "cpu", (folder / "checkpoint.pt").exists(), _quiet)
    return weights


def _epochs(folder: Path) -> int:
    return len((folder / "results.csv").read_text().splitlines()) - 1


def _quiet(kind: str, figures: dict[str, Any]) -> None:
    if kind == "epoch":
        print(json.dumps({k: v for k, v in figures.items() if isinstance(v, int | float)}))


def burn_in(sparse: Path, out: Path, epochs: int) -> Path:
    what = config(
        sparse,
        out / "clips",
        None,
        optimizer=optimizer(0.001),
        schedule={"epochs": epochs, "warmup": 0.5, "last": 0.1},
        ema=0.99,
    )
    return trained(what, out / "burn-in")


def truth_between(sparse: Path, out: Path) -> Path:
    """Truth at each whole second and once between two."""
    path = out / "truth.csv"
    rows = (sparse / "dense.csv").read_text().splitlines(keepends=True)
    when = (round(float(row.split(",")[1]) * 1000) % 1000 for row in rows)
    path.write_text("".join(r for r, ms in zip(rows, when, strict=True) if ms in (0, BETWEEN)))
    return path


def run_of(sparse: Path, out: Path, init: Path, strategy: str, seed: int, epochs: int) -> Path:
    known: dict[str, Any] = {"semi": {"strategy": strategy, "ema": 0.99}}
    if strategy == "truth":  # as many clips a step, all of them labelled
        known = {"truth": truth_between(sparse, out), "batch": 16, "semi": EMA}
    what = config(
        sparse,
        out / "clips",
        init,
        optimizer=optimizer(0.0005),
        schedule={"epochs": epochs, "warmup": 0.2, "last": 0.05},
        seed=seed,
        **known,
    )
    return trained(what, out / f"{strategy}-{seed}")


def student(run: Path) -> Path:
    """The weights of a training's own model beside those of their average."""
    path = run / "student.safetensors"
    if not path.exists():
        own = torch.load(run / "checkpoint.pt", weights_only=True)["model"]
        notes = zoo.read_sidecar(run / "weights.safetensors")
        zoo.save_weights(own, path, {"card": notes["card"]})
    return path


def scored(weights: Path, dense: Path, threads: int) -> dict[str, float]:
    """The figures of these weights; kept beside them."""
    kept = weights.with_suffix(".scores.json")
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    torch.set_num_threads(threads)
    truth = read_truth(dense / "dense.csv", read_labels(dense / "labels.txt"))
    truth = truth.select(milliseconds(truth.time) % STEP == 0)
    videos = sorted((dense / "videos").glob("*.mp4"))
    detector = stadkit.load(str(weights))
    found, looked = found_in(detector, videos, None, STEP / 1000)
    figures = measure(found, looked, truth)
    kept.write_text(json.dumps(figures))
    return figures


def measure(found: Detections, looked: Keyframes, truth: Detections) -> dict[str, float]:
    """The figures of a table at the frames looked at."""
    wanted = cut(tubes_of(truth), looked)
    tubes = link(found, looked).tubes
    rate = 1000 / STEP
    told = video_map(tubes, wanted, sizes=None, rate=rate, thresholds=THRESHOLDS).summary()
    error, _ = boundary_errors(tubes, wanted, rate)
    values = (
        frame_map(Instances.of(found), Instances.of_truth(truth), only=looked).mean,
        frame_map(Instances.of_people(found), Instances.of_people(truth), only=looked).mean,
        told["0.5"],
        error,
    )
    return dict(zip(FIGURES, map(float, values), strict=True))


def line(name: str, figures: list[dict[str, float]]) -> str:
    cells = []
    for figure in FIGURES:
        values = [one[figure] for one in figures]
        spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.3f}{spread}")
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Train what is missing, score everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sparse", type=Path, help="of `stadkit synth`: to learn from")
    parser.add_argument("dense", type=Path, help="of `stadkit synth`: to score on")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--burn-in", type=int, default=10, help="epochs")
    parser.add_argument("--epochs", type=int, default=2, help="of each strategy")
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES, choices=STRATEGIES)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    out = asked.output.resolve()
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(asked.threads)
    sparse = asked.sparse.resolve()
    start = burn_in(sparse, out, asked.burn_in)
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in range(1, asked.seeds + 1):
        for strategy in asked.strategies:
            weights = run_of(sparse, out, start, strategy, seed, asked.epochs)
            if strategy == "ema":
                own = scored(student(weights.parent), asked.dense, asked.threads)
                rows.setdefault("none", []).append(own)
            rows.setdefault(strategy, []).append(scored(weights, asked.dense, asked.threads))
            print(line(f"{strategy}, seed {seed}", rows[strategy][-1:]), flush=True)
    print("| | " + " | ".join(FIGURES) + " |")
    print("|-|" + "-|" * len(FIGURES))
    print(line("the burn-in", [scored(start, asked.dense, asked.threads)]))
    for name, figures in rows.items():
        print(line(name, figures))


if __name__ == "__main__":
    main()
