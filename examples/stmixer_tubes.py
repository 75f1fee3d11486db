"""Key frames or tubelets? Small STMixer-K and -T on J-HMDB, split 1, linked.

    python examples/import_jhmdb.py JHMDB -o examples/configs/jhmdb
    python examples/jhmdb_features.py examples/configs/jhmdb -o runs/features
    python examples/stmixer_tubes.py examples/configs/jhmdb runs/features -o runs/stmixer

Both learn from as many clips of the same frozen maps, K from the truth of the key frame, T from
that of all its frames. Both are asked at every frame of the test clips. Prints a Markdown table:
frame mAP at IoU .5, recall of the labelled people, and video mAP of tubes linked in two ways.
With --held the films that --held keeps back from training are scored in place of the test clips.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from jhmdb_features import Frames, read_frames
from jhmdb_heads import (
    LINKS,
    Plan,
    detect,
    frame_scores,
    labelled,
    learn,
    line,
    linked,
    load,
    new_model,
    save,
    video_scores,
)

from stadkit.labels import read_labels

MODELS = {"k": "stmixer-k-tiny", "t": "stmixer-t-tiny"}
NAMES = {"k": "K, key frames", "t": "T, tubelets"}
MIN_PERSON = 0.3  # chosen on films kept back


def trained(kind: str, asked: argparse.Namespace, train: Frames) -> Path:
    """The weights of K or T, trained now unless they are there."""
    path: Path = asked.output / f"{kind}-{asked.seed}{'-held' * asked.held}" / "weights.safetensors"
    if not path.exists():
        card, model = new_model(
            MODELS[kind], read_labels(asked.folder / "labels.txt"), train, **asked.settings
        )
        keys = labelled(train, False if asked.held else None)
        plan = Plan(asked.clips, seed=asked.seed, rate=asked.rate)
        print(f"{MODELS[kind]}: {plan.clips} clips of {len(keys)} labelled frames", flush=True)
        started = time.perf_counter()
        save(card, learn(card, model, train, keys, plan), path)
        print(f"{MODELS[kind]}: {time.perf_counter() - started:.0f} s", flush=True)
    return path


def rows(kind: str, weights: Path, asked: argparse.Namespace, frames: Frames) -> list[str]:
    """The lines of a model: one a way of linking."""
    card, model = load(weights, frames)
    keys = labelled(frames, True) if asked.held else np.arange(len(frames.time))
    if asked.held:
        own = np.unique(frames.owner[keys])
        keys = np.flatnonzero(np.isin(frames.owner, own))
    found, looked = detect(card, model, frames, keys, asked.min_person)
    actions, people = frame_scores(found, frames, looked)
    recall = float(people.recall[0].max())
    truth = asked.folder / ("train" if asked.held else "test")
    lines = []
    for method in LINKS:
        tubes = linked(found, looked, method)
        videos = np.unique(frames.video[frames.owner[keys]])
        told = video_scores(tubes, truth.with_suffix(".tubes.json"), videos)
        cells = [told[name] for name in ("0.2", "0.5", "0.5:0.95")]
        lines.append(line([f"{NAMES[kind]}, {method}", actions.mean, recall, *cells]))
    return lines


def main() -> None:
    """Train what is missing, score both, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of examples/import_jhmdb.py")
    parser.add_argument("features", type=Path, help="of examples/jhmdb_features.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=8000, help="that each model learns from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--min-person", type=float, default=MIN_PERSON)
    parser.add_argument("--held", action="store_true")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    asked.settings = {}
    torch.set_num_threads(asked.threads)
    train = read_frames(asked.folder, asked.features, "train")
    weights = {kind: trained(kind, asked, train) for kind in asked.models}
    frames = train if asked.held else read_frames(asked.folder, asked.features, "test")
    print("| | frame mAP | recall | video mAP .2 | .5 | .5:.95 |")
    print("|-|-|-|-|-|-|")
    for kind, path in weights.items():
        print("\n".join(rows(kind, path, asked, frames)), flush=True)


if __name__ == "__main__":
    main()
