"""Measures the figures on the model card.

    stadkit synth -o runs/heldout --videos 100 --seed 7
    python weights/measure.py --playground runs/heldout --photos FOLDER --videos FOLDER
    python weights/measure.py --films JHMDB/videos --truth examples/configs/jhmdb/train.csv

`--photos` expects images/*.jpg and boxes.csv (image,x1,y1,x2,y2 in fractions; a row without
numbers for a photo without people); each photo is repeated as a clip. `--model` also accepts the
weights.safetensors of a training.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from people import is_held_out

import stadkit
from stadkit import boxes
from stadkit.detection import Detector
from stadkit.detection.detector import Times
from stadkit.detections import Detections, Keyframes
from stadkit.files.ava_csv import read_truth
from stadkit.instances import Instances
from stadkit.labels import read_labels
from stadkit.metrics.frame_map import frame_map
from stadkit.video.clips import Clip
from stadkit.zoo import Card

MIN_PERSON = 0.01  # low, since AP needs the whole ranking
FRAME_STEP = 8  # every 8th labelled frame of a film is measured
TALL = 0.2  # of the image height; the photo figure counts taller people


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mestad-nano", help="a name or a weights file")
    parser.add_argument("--playground", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--films", type=Path, help="J-HMDB's videos, in folders of actions")
    parser.add_argument("--truth", type=Path, help="train.csv of examples/import_jhmdb.py")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    detector = stadkit.load(args.model)
    figures: dict[str, Any] = {}
    if args.playground:
        figures["playground"] = on_playground(detector, args.playground)
    if args.photos:
        figures["photos"] = on_photos(detector, args.photos)
    if args.videos:
        figures["videos"] = {p.name: on_video(detector, p) for p in sorted(args.videos.iterdir())}
    if args.films:
        figures["films_kept_back"] = on_films(detector, args.films, args.truth)
    text = json.dumps(figures, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def on_playground(detector: Detector, folder: Path) -> dict[str, Any]:
    """Person AP and frame mAP at IoU 0.5, at one keyframe per second."""
    truth = read_truth(folder / "sparse.csv", read_labels(folder / "labels.txt"))
    videos = sorted((folder / "videos").glob("*.mp4"))
    tables, names, times = [], [], []
    for path in videos:
        for key_times, table in detect_all(detector, path):
            tables.append(select_classes(table, truth.classes))
            names.append(path.stem)
            times.append(float(key_times[0]))
    found = Detections.join(tables, truth.classes)
    keyframes = Keyframes(np.array(names, np.str_), np.array(times, np.float64))
    actions = frame_map(Instances.of(found), Instances.of_truth(truth), only=keyframes)
    shown = found.select(found.person >= detector.card.min_person)
    return {
        "videos": len(videos),
        "keyframes": len(keyframes),
        "people": len(truth),
        "person_ap50": round(person_ap(found, truth, keyframes), 4),
        "frame_map50": round(actions.mean, 4),
        "per_class": {name: round(ap, 3) for name, ap in actions.per_class.items()},
        **shown_figures(shown, truth, keyframes, detector.card.min_person),
        "f1_by_threshold": by_threshold(found, truth, keyframes),
    }


def select_classes(table: Detections, names: tuple[str, ...]) -> Detections:
    """The same people, with only these actions."""
    at = [table.classes.index(name) for name in names]
    return replace(table, action=table.action[:, at], classes=names)


def person_ap(found: Detections, truth: Detections, keyframes: Keyframes) -> float:
    """AP of boxes alone, ranked by person score."""
    return frame_map(Instances.of_people(found), Instances.of_people(truth), only=keyframes).mean


def by_threshold(found: Detections, truth: Detections, keyframes: Keyframes) -> dict[str, float]:
    """F1 of people at each person threshold.

    The default threshold maximizes this on other videos than those reported.
    """
    out = {}
    for threshold in np.arange(0.2, 0.75, 0.05):
        shown = found.select(found.person >= threshold)
        figures = shown_figures(shown, truth, keyframes, float(threshold))
        recall, precision = figures["recall"], figures["precision"]
        f1 = 2 * recall * precision / max(recall + precision, 1e-9)
        out[f"{threshold:.2f}"] = round(f1, 3)
    return out


def on_video(detector: Detector, path: Path) -> dict[str, Any]:
    """Histogram of boxes per keyframe at the default threshold; there is no truth."""
    counts: dict[int, int] = {}
    scores: list[float] = []
    for people in detector.detect(path, every=1.0):
        counts[len(people)] = counts.get(len(people), 0) + 1
        scores += people.person.tolist()
    return {
        "keyframes_by_boxes": dict(sorted(counts.items())),
        "mean_score": round(float(np.mean(scores)), 3) if scores else None,
    }


def on_films(detector: Detector, films: Path, truth: Path) -> dict[str, Any]:
    """Recall of actors in films held out of person training, at the default threshold.

    Every eighth labelled frame, from the fourth; IoU .5. Other people have no boxes, so precision
    is unknown.
    """
    table = read_truth(truth, read_labels(truth.with_name("labels.txt")))
    frames = correct = count = 0
    for path in sorted(films.rglob("*.avi")):
        rows = np.flatnonzero(table.video == path.stem)[FRAME_STEP // 2 :: FRAME_STEP]
        if not is_held_out(path) or not len(rows):
            continue
        tables = detector.detect(path, times=table.time[rows].tolist())
        for row, found in zip(rows, tables, strict=True):
            overlap = boxes.iou(table.box[row : row + 1], found.box)
            correct += int(overlap.size and overlap.max() >= 0.5)
            count += len(found)
            frames += 1
    return {
        "frames": frames,
        "recall": round(correct / frames, 3),
        "boxes_a_frame": round(count / frames, 2),
    }


def detect_all(detector: Detector, path: Path) -> Iterator[tuple[Times, Detections]]:
    """Times and detections of each keyframe, one per second, down to MIN_PERSON."""
    from stadkit.detection.detector import DetectOptions
    from stadkit.video.decode import open_video

    with open_video(path) as video:
        yield from detector.watch(video, DetectOptions(every=1.0, min_person=MIN_PERSON))


def on_photos(detector: Detector, folder: Path) -> dict[str, Any]:
    """Person AP at IoU 0.5 of tall people; others are neither required nor counted as wrong."""
    truth, sizes = read_photos(folder)
    clips = (photo_clip(folder / "images" / f"{name}.jpg", detector.card) for name in sizes)
    tables = detector.detect_clips(clips, min_person=MIN_PERSON)
    found = Detections.join(tables, detector.card.classes.names)
    names = np.array(sorted(sizes), np.str_)
    keyframes = Keyframes(names, np.zeros(len(names), np.float64))
    tall = (truth.box[:, 3] - truth.box[:, 1]) > TALL
    counted = found.select(~is_ignored(found, truth.select(tall), truth.select(~tall)))
    shown = counted.select(counted.person >= detector.card.min_person)
    return {
        "photos": len(names),
        "tall_people": int(tall.sum()),
        "person_ap50_tall": round(person_ap(counted, truth.select(tall), keyframes), 4),
        "person_ap50_tall_nothing_excused": round(
            person_ap(found, truth.select(tall), keyframes), 4
        ),
        "person_ap50_all": round(person_ap(found, truth, keyframes), 4),
        **shown_figures(shown, truth.select(tall), keyframes, detector.card.min_person),
    }


def read_photos(folder: Path) -> tuple[Detections, dict[str, None]]:
    """The people in boxes.csv, and the names of all photos in file order."""
    rows, names = [], {}
    with (folder / "boxes.csv").open() as file:
        for row in csv.DictReader(file):
            names[row["image"]] = None
            if row["x1"]:
                box = [float(row[side]) for side in ("x1", "y1", "x2", "y2")]
                rows.append((row["image"], box))
    n = len(rows)
    truth = Detections(
        video=np.array([name for name, _ in rows], np.str_),
        time=np.zeros(n, np.float64),
        box=np.array([box for _, box in rows], np.float32).reshape(n, 4),
        person=np.ones(n, np.float32),
        action=np.zeros((n, 0), np.float32),
        track=np.full(n, -1, np.int32),
        classes=(),
    )
    return truth, names


def photo_clip(path: Path, card: Card) -> Clip:
    """A clip that repeats a photo, at the size of the model's card."""
    image = cv2.imread(str(path))
    height, width = image.shape[:2]
    scale = card.short_side / min(height, width)
    size = (round(width * scale), round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)[..., ::-1]
    pixels = np.repeat(small[None], card.frames, 0)
    return Clip(
        path.stem, np.ascontiguousarray(pixels), 0.0, np.zeros(card.frames), (height, width)
    )


def is_ignored(found: Detections, tall: Detections, small: Detections) -> np.ndarray:
    """Boxes that are small or on a small person, and on no tall one, as in COCO's area ranges."""
    is_small = (found.box[:, 3] - found.box[:, 1]) <= TALL
    return (is_small | overlaps(found, small)) & ~overlaps(found, tall)


def overlaps(found: Detections, people: Detections) -> np.ndarray:
    """Which boxes [n] have an IoU of at least 0.5 with one of these people in the same photo."""
    out = np.zeros(len(found), bool)
    for name in np.unique(people.video):
        rows, others = found.video == name, people.video == name
        out[rows] = (boxes.iou(found.box[rows], people.box[others]) >= 0.5).any(1)
    return out


def shown_figures(
    shown: Detections, truth: Detections, keyframes: Keyframes, threshold: float
) -> dict[str, Any]:
    """Recall, precision and boxes per frame at a threshold."""
    correct = 0
    for name, time in zip(keyframes.video, keyframes.time, strict=True):
        found = (shown.video == name) & np.isclose(shown.time, time, atol=5e-4)
        true = (truth.video == name) & np.isclose(truth.time, time, atol=5e-4)
        overlap = boxes.iou(shown.box[found], truth.box[true])
        # A second box on the same person counts as wrong.
        correct += int((overlap >= 0.5).any(0).sum()) if overlap.size else 0
    return {
        "threshold": threshold,
        "recall": round(correct / max(len(truth), 1), 3),
        "precision": round(correct / max(len(shown), 1), 3),
        "boxes_a_frame": round(len(shown) / max(len(keyframes), 1), 3),
        "people_a_frame": round(len(truth) / max(len(keyframes), 1), 3),
    }


if __name__ == "__main__":
    main()
