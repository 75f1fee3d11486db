"""The figures on a model's card, measured.

    stadkit synth -o runs/heldout --videos 100 --seed 7
    python weights/measure.py --playground runs/heldout --photos FOLDER --videos FOLDER
    python weights/measure.py --films JHMDB/videos --truth examples/configs/jhmdb/train.csv

`--photos` wants images/*.jpg and boxes.csv (image,x1,y1,x2,y2 in fractions, a row without
numbers for a photo of nobody); each photo is repeated as a clip. `--model` also takes the
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
from people import kept_back

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

LOWEST = 0.01  # person score: AP wants the whole ranking
EVERY = 8  # of a film's labelled frames
TALL = 0.2  # of the picture's height: the people that the photo figure counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mestad-nano", help="a name, or trained weights")
    parser.add_argument("--playground", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--videos", type=Path)
    parser.add_argument("--films", type=Path, help="J-HMDB's videos, in folders of actions")
    parser.add_argument("--truth", type=Path, help="train.csv of examples/import_jhmdb.py")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    detector = stadkit.load(asked.model)
    figures: dict[str, Any] = {}
    if asked.playground:
        figures["playground"] = on_playground(detector, asked.playground)
    if asked.photos:
        figures["photos"] = on_photos(detector, asked.photos)
    if asked.videos:
        figures["videos"] = {p.name: on_video(detector, p) for p in sorted(asked.videos.iterdir())}
    if asked.films:
        figures["films_kept_back"] = on_films(detector, asked.films, asked.truth)
    text = json.dumps(figures, indent=2)
    print(text)
    if asked.json:
        asked.json.write_text(text + "\n")


def on_playground(detector: Detector, folder: Path) -> dict[str, Any]:
    """Person AP and frame mAP at IoU 0.5 on one key frame a second."""
    truth = read_truth(folder / "sparse.csv", read_labels(folder / "labels.txt"))
    videos = sorted((folder / "videos").glob("*.mp4"))
    tables, names, times = [], [], []
    for path in videos:
        for looked, table in watch(detector, path):
            tables.append(of_classes(table, truth.classes))
            names.append(path.stem)
            times.append(float(looked[0]))
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


def of_classes(table: Detections, names: tuple[str, ...]) -> Detections:
    """The same people, with these actions alone."""
    at = [table.classes.index(name) for name in names]
    return replace(table, action=table.action[:, at], classes=names)


def person_ap(found: Detections, truth: Detections, keyframes: Keyframes) -> float:
    """AP of the boxes alone, ranked by their person scores."""
    return frame_map(Instances.of_people(found), Instances.of_people(truth), only=keyframes).mean


def by_threshold(found: Detections, truth: Detections, keyframes: Keyframes) -> dict[str, float]:
    """F1 of the people shown at each person threshold.

    The default threshold was chosen where this is highest on other videos than are reported.
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
    """How many boxes the keyframes of a video get at the default threshold; no truth is known."""
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
    """Recall of the actors in films that taught nothing of people, at the default threshold.

    Every eighth labelled frame, from the fourth; IoU .5. Other people have no boxes, so precision
    cannot be told.
    """
    table = read_truth(truth, read_labels(truth.with_name("labels.txt")))
    seen = right = count = 0
    for path in sorted(films.rglob("*.avi")):
        rows = np.flatnonzero(table.video == path.stem)[EVERY // 2 :: EVERY]
        if not kept_back(path) or not len(rows):
            continue
        tables = detector.detect(path, times=table.time[rows].tolist())
        for row, found in zip(rows, tables, strict=True):
            shared = boxes.iou(table.box[row : row + 1], found.box)
            right += int(shared.size and shared.max() >= 0.5)
            count += len(found)
            seen += 1
    return {
        "frames": seen,
        "recall": round(right / seen, 3),
        "boxes_a_frame": round(count / seen, 2),
    }


def watch(detector: Detector, path: Path) -> Iterator[tuple[Times, Detections]]:
    from stadkit.detection.detector import Options
    from stadkit.video.decode import open_video

    with open_video(path) as video:
        yield from detector.watch(video, Options(every=1.0, min_person=LOWEST))


def on_photos(detector: Detector, folder: Path) -> dict[str, Any]:
    """Person AP at IoU 0.5 for tall people, other people neither asked for nor counted wrong."""
    truth, sizes = read_photos(folder)
    clips = (photo_clip(folder / "images" / f"{name}.jpg", detector.card) for name in sizes)
    tables = detector.detect_clips(clips, min_person=LOWEST)
    found = Detections.join(tables, detector.card.classes.names)
    names = np.array(sorted(sizes), np.str_)
    keyframes = Keyframes(names, np.zeros(len(names), np.float64))
    tall = (truth.box[:, 3] - truth.box[:, 1]) > TALL
    counted = found.select(~excused(found, truth.select(tall), truth.select(~tall)))
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
    image = cv2.imread(str(path))
    height, width = image.shape[:2]
    scale = card.short_side / min(height, width)
    size = (round(width * scale), round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)[..., ::-1]
    pixels = np.repeat(small[None], card.frames, 0)
    return Clip(
        path.stem, np.ascontiguousarray(pixels), 0.0, np.zeros(card.frames), (height, width)
    )


def excused(found: Detections, tall: Detections, small: Detections) -> np.ndarray:
    """Boxes on no tall person that are on a small one, or small: COCO's area ranges do the same."""
    low = (found.box[:, 3] - found.box[:, 1]) <= TALL
    return (low | on(found, small)) & ~on(found, tall)


def on(found: Detections, people: Detections) -> np.ndarray:
    """Which boxes [n] have an IoU of at least 0.5 with somebody in the same photo."""
    out = np.zeros(len(found), bool)
    for name in np.unique(people.video):
        mine, theirs = found.video == name, people.video == name
        out[mine] = (boxes.iou(found.box[mine], people.box[theirs]) >= 0.5).any(1)
    return out


def shown_figures(
    shown: Detections, truth: Detections, keyframes: Keyframes, threshold: float
) -> dict[str, Any]:
    """What a user sees at the threshold: recall, precision, boxes a frame."""
    right = 0
    for name, time in zip(keyframes.video, keyframes.time, strict=True):
        mine = (shown.video == name) & np.isclose(shown.time, time, atol=5e-4)
        theirs = (truth.video == name) & np.isclose(truth.time, time, atol=5e-4)
        overlap = boxes.iou(shown.box[mine], truth.box[theirs])
        # A second box on the same person is a wrong one.
        right += int((overlap >= 0.5).any(0).sum()) if overlap.size else 0
    return {
        "threshold": threshold,
        "recall": round(right / max(len(truth), 1), 3),
        "precision": round(right / max(len(shown), 1), 3),
        "boxes_a_frame": round(len(shown) / max(len(keyframes), 1), 3),
        "people_a_frame": round(len(truth) / max(len(keyframes), 1), 3),
    }


if __name__ == "__main__":
    main()
