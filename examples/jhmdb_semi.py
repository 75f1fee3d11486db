"""Measure semi-supervised training on J-HMDB with a tenth, a quarter and half of the labels.

    python examples/import_jhmdb.py JHMDB -o examples/configs/jhmdb
    python examples/jhmdb_features.py examples/configs/jhmdb -o runs/features
    python examples/jhmdb_semi.py examples/configs/jhmdb runs/features -o runs/semi

In each training clip, evenly spaced frames keep their label. A small STMixer-K trains on these (the
burn-in, one per share). Each strategy then continues with each seed, on equally many labelled clips
and, except for `ema`, as many unlabelled clips around the other frames. `ema` is the supervised
stage with averaged weights; "truth" uses true boxes and labels instead of pseudo-labels, an upper
bound for any labelling. Scored at every --every-th frame of the test clips. Models trained earlier
are only scored.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jhmdb_features import Frames, pixels_of, read_frames
from jhmdb_heads import (
    FIGURES,
    OPTIMIZER,
    Plan,
    at_frames,
    batches,
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
    sizes_of,
    step,
    targets_of,
)
from numpy.typing import NDArray
from torch import Tensor, nn

from stadkit.labels import Labels, read_labels
from stadkit.models.targets import AnyTargets, Targets
from stadkit.training.batches import Batch
from stadkit.training.checkpoint import Average
from stadkit.training.config import SemiConfig
from stadkit.training.criteria import build_criterion
from stadkit.training.optim import build_optimizer, set_rate
from stadkit.training.semi import Semi
from stadkit.zoo import Card

STRATEGIES = ("ema", "nearest", "tla", "truth")
CHOSEN = ("ema", "tla", "truth")
SHARES = (0.1, 0.25, 0.5)
MODEL = "stmixer-k-tiny"
MIN_PERSON = 0.3  # of scored people and of the teacher's boxes
DECAY = 0.99  # of the teacher's weights
WEIGHT = 0.5  # lambda of L_unsup
NAME = "weights.safetensors"


@dataclass(frozen=True)
class Thinned:
    """The training frames, of which some keep their label."""

    frames: Frames
    keys: NDArray[np.int64]  # labelled frames
    others: NDArray[np.int64]  # frames without their label
    before: NDArray[np.int64]  # [N]  labelled frame at or before each in its clip; -1: none
    after: NDArray[np.int64]  # [N]  the same, at or after

    def candidates(self, clip: NDArray[np.int64], key: int) -> Targets:
        """Algorithm 1 line 2: people of the labelled frames before and after, in this view."""
        view, frame = divmod(int(clip[key]), len(self.frames.time))
        around = [int(side[frame]) for side in (self.before, self.after) if side[frame] >= 0]
        numbers = np.array(around, np.int64) + view * len(self.frames.time)
        box, seen = self.frames.moved
        rows = numbers[seen[numbers]]
        action = self.frames.truth.action[self.frames.row[rows % len(self.frames.time)]]
        return Targets(torch.from_numpy(box[rows]), torch.from_numpy(action))


def thinned(frames: Frames, share: float) -> Thinned:
    """Thin each clip's labelled frames to a share, evenly spaced."""
    keys, every = labelled(frames), 1 / share
    place = np.concatenate([np.arange(n) for n in np.bincount(frames.owner[keys])])
    kept = keys[np.floor((place + every / 2) / every) > np.floor((place - 1 + every / 2) / every)]
    number = np.arange(len(frames.time))
    at = np.searchsorted(kept, number, "right")
    before, after = np.r_[-1, kept][at], np.r_[kept, -1][np.searchsorted(kept, number)]
    same = [(side >= 0) & (frames.owner[side] == frames.owner) for side in (before, after)]
    return Thinned(
        frames,
        keys=kept,
        others=np.setdiff1d(keys, kept),
        before=np.where(same[0], before, -1),
        after=np.where(same[1], after, -1),
    )


def go_on(card: Card, model: nn.Module, data: Thinned, strategy: str, plan: Plan) -> nn.Module:
    """Run the stage after the burn-in; returns the teacher."""
    if strategy == "ema":
        return learn(card, model, data.frames, data.keys, plan)
    torch.manual_seed(plan.seed)
    criterion = build_criterion(card.family, {})
    optimizer = build_optimizer(OPTIMIZER, model)
    average = Average(model, plan.decay, "copy")
    semi = stage(card, strategy)
    clips = data.frames.clips(card)
    model.train()
    both = zip(
        batches(data.keys, data.frames, clips, plan),
        batches(data.others, data.frames, clips, plan),
        strict=True,
    )
    counts: list[dict[str, float]] = []
    for number, (known, unknown) in enumerate(both):
        set_rate(optimizer, plan.rate_at(number))
        optimizer.zero_grad()
        # ME-STAD Eq. 4: the gradients of both halves are added.
        targets, people = pseudo(semi, average.model, data, card, unknown)
        losses = criterion(model, pixels_of(unknown), sizes_of(len(unknown)), targets)
        (WEIGHT * total(losses)).backward()  # type: ignore[no-untyped-call]
        known_targets = targets_of(data.frames, card, known)
        losses = criterion(model, pixels_of(known), sizes_of(len(known)), known_targets)
        step(model, optimizer, average, total(losses))
        counts.append(people)
    for name in counts[0]:
        print(f"  {name} {np.mean([people[name] for people in counts]):.2f} a clip", flush=True)
    return average.model


def stage(card: Card, strategy: str) -> Semi | None:
    """The package's semi-supervised stage without a source of clips; None for "truth"."""
    if strategy == "truth":
        return None
    config = SemiConfig.model_validate(
        {"strategy": strategy, "ema": DECAY, "min_person": MIN_PERSON}
    )
    return Semi(config, card, cast(Any, None), None)


def pseudo(
    semi: Semi | None, teacher: nn.Module, data: Thinned, card: Card, clips: NDArray[np.int64]
) -> tuple[list[AnyTargets], dict[str, float]]:
    """The targets of clips [B, T]: the teacher's people with pseudo-labels, or the truth."""
    if semi is None:
        return targets_of(data.frames, card, clips), {}
    around: list[AnyTargets] = [data.candidates(clip, card.key) for clip in clips]
    pixels = pixels_of(clips)
    batch, counts = semi.pseudo(teacher, pixels, Batch(pixels, sizes_of(len(clips)), around))
    return batch.targets, counts


def total(losses: dict[str, Tensor]) -> Tensor:
    """The sum of a loss's terms."""
    return torch.stack(list(losses.values())).sum()


def scored(path: Path, frames: Frames, every: int) -> dict[str, float]:
    """Score these weights, or read the scores stored beside them."""
    kept = path.with_suffix(".scores.json")
    if not kept.exists():
        card, model = load(path, frames)
        looks = at_frames(frames, card, every_so_many(frames, every))
        found, looked = detect(card, model, frames, looks, MIN_PERSON)
        kept.write_text(json.dumps(short(found, frames, looked)))
    return dict(json.loads(kept.read_text()))


def burn_in(data: Thinned, labels: Labels, asked: argparse.Namespace, folder: Path) -> Path:
    """Train the supervised stage of a share unless its weights exist; returns their path."""
    path = folder / "burn-in" / NAME
    if not path.exists():
        print(f"{len(data.keys)} labelled frames, {len(data.others)} others", flush=True)
        card, model = new_model(MODEL, labels, data.frames)
        save(card, learn(card, model, data.frames, data.keys, Plan(asked.base, last=0.1)), path)
    return path


def compared(share: float, asked: argparse.Namespace, train: Frames, test: Frames) -> list[str]:
    """Train and score all strategies at a share of the labels; returns the table rows."""
    data, folder = thinned(train, share), asked.output / f"{share:g}"
    start = burn_in(data, read_labels(asked.folder / "labels.txt"), asked, folder)
    lines = [line(means(f"{share:g}, the burn-in", [scored(start, test, asked.every)]))]
    for strategy in asked.strategies:
        figures = []
        for seed in range(1, asked.seeds + 1):
            path = folder / f"{strategy}-{seed}" / NAME
            if not path.exists():
                started = time.perf_counter()
                card, model = load(start, train)
                plan = Plan(asked.clips, seed=seed, rate=0.0005, decay=DECAY)
                save(card, go_on(card, model, data, strategy, plan), path)
                seconds = time.perf_counter() - started
                print(f"{share:g} {strategy} {seed}: {seconds:.0f} s", flush=True)
            figures.append(scored(path, test, asked.every))
        lines.append(line(means(f"{share:g}, {strategy}", figures)))
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Train missing models, score all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="output of examples/import_jhmdb.py")
    parser.add_argument("features", type=Path, help="output of examples/jhmdb_features.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="label shares")
    parser.add_argument("--strategies", nargs="+", default=CHOSEN, choices=STRATEGIES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--base", type=int, default=3000, help="training clips of the burn-in")
    parser.add_argument("--clips", type=int, default=640, help="labelled clips after the burn-in")
    parser.add_argument("--every", type=int, default=8, help="score one test frame in so many")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    train = read_frames(asked.folder, asked.features, "train")
    test = read_frames(asked.folder, asked.features, "test")
    lines = [row for share in asked.shares for row in compared(share, asked, train, test)]
    print(line(["labels", *FIGURES]))
    print("|-|" + "-|" * len(FIGURES))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
