"""Score each strategy's labels of hidden frames of truth, as a Markdown table.

python examples/pseudo_labels.py TRUTH.csv LABELS            truth once per second, as in AVA
python examples/pseudo_labels.py DIR/dense.csv DIR/labels.txt --dense   after `stadkit synth -o DIR`

With truth once per second, every second keyframe is hidden. With dense truth, the whole seconds are
kept and the frames at 5 per second between them are hidden.

Unless --found gives a folder of `stadkit detect --every 0.2`, detections are made from the truth at
the kept and the hidden frames: sides off by 3 % of the box, 10 % missed, 5 % false boxes that seem
to do one class. The logits of scores are normal around one mean for classes a person does and
another for the rest. For the detector "fair" the means are -0.5 and -3.5, 1.2 wide: on AVA's poses,
thresholding alone then has F1 .64. For "poor" they are -1.35 and -3.5, 1.4 wide: there thresholding
has .63 with the help of the neighbours. Only classes in the truth are scored.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Detections, Keyframes, milliseconds
from stadkit.files.ava_csv import read_truth
from stadkit.files.jsonl import read_jsonl
from stadkit.labels import read_labels
from stadkit.tla import CheckReport, LabellingOptions, check, pseudo_label
from stadkit.tla.check import compare

DETECTORS = {"fair": (-0.5, -3.5, 1.2), "poor": (-1.35, -3.5, 1.4)}  # done, not done, width
JITTER, MISS, FALSE = 0.03, 0.1, 0.05
STRATEGIES = {
    "tla+": LabellingOptions("tla+"),
    "tla": LabellingOptions("tla"),
    "tla, BCE averaged": LabellingOptions("tla", bce="mean"),
    "nearest": LabellingOptions("nearest"),
    "per-class, restricted": LabellingOptions("per-class"),
    "per-class": LabellingOptions("per-class", restricted=False),
    "hard, restricted": LabellingOptions("hard"),
    "hard": LabellingOptions("hard", restricted=False),
    "interpolate": LabellingOptions("interpolate"),
}


def detections(truth: Detections, detector: str, seed: int) -> Detections:
    """Simulate this detector at the frames of truth."""
    rng = np.random.default_rng(seed)
    size = np.tile(truth.box[:, 2:] - truth.box[:, :2], 2)
    box = np.clip(truth.box + size * rng.normal(0, JITTER, truth.box.shape), 0, 1)
    inside = (box[:, 2:] > box[:, :2]).all(1, keepdims=True)
    there = replace(truth, box=np.where(inside, box, truth.box).astype(np.float32))
    seen = there.select(rng.random(len(truth)) >= MISS)
    both = Detections.join([seen, false_boxes(rng, truth)], truth.classes)
    return scored(rng, both, detector, np.asarray(truth.action.any(0)))


def false_boxes(rng: np.random.Generator, truth: Detections) -> Detections:
    """False boxes with sizes of true people, at random places and frames, of one class each."""
    count, frames = round(FALSE * len(truth)), Keyframes.of(truth)
    when = rng.integers(0, max(len(frames), 1), count)
    model = truth.select(rng.integers(0, max(len(truth), 1), count))
    size = np.minimum(model.box[:, 2:] - model.box[:, :2], 1)
    corner = (rng.random((count, 2)) * (1 - size)).astype(np.float32)
    does = np.flatnonzero(truth.action.any(0))
    action = np.zeros_like(model.action)
    action[np.arange(count), rng.choice(does, count)] = 1
    return replace(
        model,
        video=frames.video[when],
        time=frames.time[when],
        box=np.concatenate([corner, corner + size], 1),
        action=action,
    )


def scored(
    rng: np.random.Generator, table: Detections, detector: str, known: NDArray[np.bool_]
) -> Detections:
    """The same rows with this detector's scores of the `known` classes [c], without ids."""
    done, not_done, width = DETECTORS[detector]
    logit = np.where(table.action > 0.5, done, not_done) + rng.normal(0, width, table.action.shape)
    return replace(
        table,
        action=np.where(known, 1 / (1 + np.exp(-logit)), np.nan).astype(np.float32),
        track=np.full(len(table), -1, np.int32),
    )


def hide_between(found: Detections, dense: Detections, options: LabellingOptions) -> CheckReport:
    """Label from whole seconds, and compare the frames at 5 per second between them."""
    ms = milliseconds(dense.time)
    labelled = dense.select(ms % 1000 == 0)
    last = {video: ms[dense.video == video].max() // 1000 * 1000 for video in set(dense.video)}
    inside = ms < np.array([last[video] for video in dense.video.tolist()])
    hidden = dense.select((ms % 200 == 0) & (ms % 1000 > 0) & inside)
    frames = Keyframes.of(hidden)
    wanted = set(zip(frames.video.tolist(), milliseconds(frames.time).tolist(), strict=True))
    at = zip(found.video.tolist(), milliseconds(found.time).tolist(), strict=True)
    kept = np.array([key in wanted or key[1] % 1000 == 0 for key in at], bool)
    given = pseudo_label(found.select(kept), labelled, options=options, frames=frames)
    return compare(given, hidden, frames)


def rows(truth: Detections, given: argparse.Namespace, found: Detections | None) -> list[str]:
    """The rows of the table: means over the seeds."""
    measure = hide_between if given.dense else (lambda f, t, o: check(f, t, options=o))
    made = [found] if found else [detections(truth, given.detector, s) for s in range(given.seeds)]
    lines = ["| strategy | precision | recall | F1 |", "|---|---|---|---|"]
    for name, options in STRATEGIES.items():
        reports = [measure(one, truth, options) for one in made]
        figures = np.mean([(one.precision, one.recall, one.f1) for one in reports], axis=0)
        lines.append(f"| {name} | " + " | ".join(f"{x:.3f}" for x in figures) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("truth", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--dense", action="store_true", help="truth at 5 frames a second or more")
    parser.add_argument("--detector", choices=list(DETECTORS), default="fair")
    parser.add_argument("--found", type=Path, help="result folder of `stadkit detect`")
    parser.add_argument("--min-person", type=float, default=0.4, help="lowest score in --found")
    parser.add_argument("--seeds", type=int, default=1, help="draws to average over")
    given = parser.parse_args()
    labels = read_labels(given.labels)
    truth, found = read_truth(given.truth, labels), None
    if given.dense:
        truth = truth.select(milliseconds(truth.time) % 200 == 0)
    if given.found:
        files = sorted(given.found.glob("*.jsonl"))
        found = Detections.join([read_jsonl(path, labels)[0] for path in files], labels.names)
        found = found.select(found.person >= given.min_person)
    print("\n".join(rows(truth, given, found)))


if __name__ == "__main__":
    main()
