"""Compare small STMixer-K (key frames) and STMixer-T (tubelets) on J-HMDB, split 1, with linking.

    python examples/import_jhmdb.py JHMDB -o examples/configs/jhmdb
    python examples/jhmdb_features.py examples/configs/jhmdb -o runs/features
    python examples/stmixer_tubes.py examples/configs/jhmdb runs/features -o runs/stmixer

Both train on the same number of clips of the same frozen maps: K on the truth of the key frame, T
on that of all frames. T is scored on consecutive tubelets, as in `detect`; K at each of their
frames, and again at every frame. Prints a Markdown table: frame mAP at IoU .5, recall of the
labelled people, and video mAP of tubes linked in two ways.
With --held some films are left out of training and scored instead of the test clips.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from jhmdb_features import Frames, read_frames
from jhmdb_heads import (
    LINKS,
    Looks,
    Plan,
    at_frames,
    detect,
    in_turn,
    labelled,
    learn,
    line,
    linked,
    load,
    new_model,
    save,
    short,
    true_tubes,
    video_scores,
)
from torch import nn

from stadkit.labels import read_labels
from stadkit.zoo import Card

Model = tuple[Card, nn.Module]

MODELS = {"k": "stmixer-k-tiny", "t": "stmixer-t-tiny"}
MIN_PERSON = 0.3  # from .05 to .6 results on held-out films are the same


def trained(kind: str, asked: argparse.Namespace, train: Frames) -> Path:
    """Train K or T unless its weights exist; returns their path."""
    path: Path = asked.output / f"{kind}-{asked.seed}{'-held' * asked.held}" / "weights.safetensors"
    if not path.exists():
        card, model = new_model(MODELS[kind], read_labels(asked.folder / "labels.txt"), train)
        keys = labelled(train, False if asked.held else None)
        plan = Plan(asked.clips, seed=asked.seed, rate=asked.rate)
        print(f"{MODELS[kind]}: {plan.clips} clips of {len(keys)} labelled frames", flush=True)
        started = time.perf_counter()
        save(card, learn(card, model, train, keys, plan), path)
        print(f"{MODELS[kind]}: {time.perf_counter() - started:.0f} s", flush=True)
    return path


def rows(
    name: str, model: Model, looks: Looks, frames: Frames, asked: argparse.Namespace
) -> list[str]:
    """Score a model at these frames; returns a table row per linking method."""
    found, looked = detect(*model, frames, looks, asked.min_person)
    scores = short(found, frames, looked)
    path = asked.folder / f"{'train' if asked.held else 'test'}.tubes.json"
    truth = true_tubes(path, np.unique(looked.video))
    lines = []
    for method in LINKS:
        tubes = linked(found, looked, method)
        video = video_scores(tubes, truth)
        cells = [video[key] for key in ("0.2", "0.5", "0.5:0.95")]
        cells = [scores["frame mAP"], scores["recall"], *cells]
        lines.append(line([f"{name}, {method}", *cells]))
    return lines


def seen(frames: Frames, asked: argparse.Namespace, looks: Looks) -> Looks:
    """The clips to score: all, or with --held those of the held-out films."""
    if not asked.held:
        return looks
    kept = np.isin(looks.video, np.unique(frames.owner[labelled(frames, True)]))
    return Looks(looks.video[kept], looks.time[kept], looks.clip[kept])


def compared(weights: dict[str, Path], frames: Frames, asked: argparse.Namespace) -> list[str]:
    """Score K and T; returns the table rows."""
    k, t = (load(weights[kind], frames) for kind in MODELS)
    tubelets = seen(frames, asked, in_turn(frames, t[0]))
    every = seen(frames, asked, at_frames(frames, k[0], np.arange(len(frames.time))))
    same = at_frames(frames, k[0], np.unique(tubelets.clip))
    return [
        *rows("K, every frame", k, every, frames, asked),
        *rows("K, T's frames", k, same, frames, asked),
        *rows("T, its frames", t, tubelets, frames, asked),
    ]


def main() -> None:
    """Train missing models, score both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="output of examples/import_jhmdb.py")
    parser.add_argument("features", type=Path, help="output of examples/jhmdb_features.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=8000, help="training clips of each model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--min-person", type=float, default=MIN_PERSON)
    parser.add_argument("--held", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    train = read_frames(asked.folder, asked.features, "train")
    weights = {kind: trained(kind, asked, train) for kind in MODELS}
    frames = train if asked.held else read_frames(asked.folder, asked.features, "test")
    print("| | frame mAP | recall | video mAP .2 | .5 | .5:.95 |")
    print("|-|-|-|-|-|-|")
    print("\n".join(compared(weights, frames, asked)))


if __name__ == "__main__":
    main()
