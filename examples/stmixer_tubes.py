"""Key frames or tubelets? STMixer-K and -T, linked, on videos with fast people and lost frames.

    stadkit synth -o runs/fast --videos 24 --seed 9 --pace 2 --glitches 0.1
    stadkit train examples/configs/stmixer-k-tiny.yaml -o runs/stmixer-k-tiny
    stadkit train examples/configs/stmixer-t-tiny.yaml -o runs/stmixer-t-tiny
    python examples/stmixer_tubes.py runs/fast runs/stmixer-k-tiny runs/stmixer-t-tiny

Both look at the same frames, those of T's tubelets: K once for each. Prints a Markdown table: frame
mAP; video mAP of linked tubes; how far their starts and ends are from the truth in seconds, the
mean over true tubes that a tube of their class overlaps by .2, and how many these are.
"""

import argparse
from pathlib import Path

import numpy as np
from link_quality import THRESHOLDS, cut, tubes_of
from numpy.typing import NDArray

import stadkit
from stadkit.detection import DetectOptions, Detector, detect_video
from stadkit.detections import Detections, Keyframes
from stadkit.files.ava_csv import read_truth
from stadkit.instances import Instances
from stadkit.labels import read_labels
from stadkit.linking import link
from stadkit.metrics.frame_map import frame_map
from stadkit.metrics.tube_overlap import TubeTracks, tube_overlap
from stadkit.metrics.video_map import video_map
from stadkit.tubes import Tubes

NEAR = 0.2  # overlap in space and time from which a tube is about a true one
LOWEST = 0.05  # person score: AP wants most of the ranking


def found_in(
    detector: Detector, videos: list[Path], looked: Keyframes | None, every: float | None = None
) -> tuple[Detections, Keyframes]:
    """What a detector finds in videos; at the key frames of `looked`, or where it wants to.

    every: seconds from one of these to the next.
    """
    tables, keyframes = [], []
    for path in videos:
        times = None if looked is None else looked.time[looked.video == path.stem].tolist()
        found = detect_video(
            detector, path, DetectOptions(times=times, every=every, min_person=LOWEST)
        )
        tables.append(found.table)
        keyframes.append(found.keyframes)
    both = Keyframes(
        np.concatenate([k.video for k in keyframes]), np.concatenate([k.time for k in keyframes])
    )
    return Detections.join(tables, detector.card.classes.names), both


def boundary_errors(found: Tubes, truth: Tubes, rate: float) -> tuple[float, int]:
    """Mean distance in seconds of starts and ends, and the number of true tubes that count."""
    if not len(found):
        return float("nan"), 0
    own, other = TubeTracks.of(found, rate, None), TubeTracks.of(truth, rate, None)
    errors = []
    for row in range(len(truth)):
        same = np.flatnonzero((found.label == truth.label[row]) & (found.video == truth.video[row]))
        if not len(same):
            continue
        shared = tube_overlap(own, other, same, np.full(len(same), row), 0.0)
        best = int(same[int(shared.argmax())])
        if shared.max() >= NEAR:
            errors.append(_ends(found, best) - _ends(truth, row))
    return float(np.abs(errors).mean()) if errors else float("nan"), len(errors)


def _ends(tubes: Tubes, row: int) -> NDArray[np.float64]:
    """First and last second of a tube."""
    return tubes.time[[tubes.start[row], tubes.start[row + 1] - 1]]


def row(name: str, found: Detections, looked: Keyframes, truth: Detections) -> str:
    """A line of the table."""
    step = float(np.median(np.diff(np.unique(looked.time))))
    wanted = cut(tubes_of(truth), looked)
    tubes = link(found, looked).tubes
    told = video_map(tubes, wanted, sizes=None, rate=1 / step, thresholds=THRESHOLDS).summary()
    frames = frame_map(Instances.of(found), Instances.of_truth(truth), only=looked)
    error, count = boundary_errors(tubes, wanted, 1 / step)
    cells = [frames.mean, told["0.2"], told["0.5"], told["0.5:0.95"], error]
    numbers = " | ".join(f"{cell:.3f}" for cell in cells)
    return f"| {name} | {numbers} | {count} of {len(wanted)} |"


def main() -> None:
    """Score both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="made by `stadkit synth`")
    parser.add_argument("k", type=Path, help="folder of the training of a stmixer-k")
    parser.add_argument("t", type=Path, help="folder of the training of a stmixer-t")
    asked = parser.parse_args()
    truth = read_truth(asked.folder / "dense.csv", read_labels(asked.folder / "labels.txt"))
    videos = sorted((asked.folder / "videos").glob("*.mp4"))
    k, t = (stadkit.load(str(run / "weights.safetensors")) for run in (asked.k, asked.t))
    tubelets, looked = found_in(t, videos, None)
    boxes, same = found_in(k, videos, looked)
    print("| | frame mAP | video mAP .2 | .5 | .5:.95 | ends, s | true tubes met |")
    print("|-|-|-|-|-|-|-|")
    print(row("K, key frames", boxes, same, truth))
    print(row("T, tubelets", tubelets, looked, truth))


if __name__ == "__main__":
    main()
