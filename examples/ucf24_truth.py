r"""Convert UCF101-24's tubes to sparse truth: AVA CSV with each person's box at a fixed interval.

    python examples/ucf24_truth.py tubes.csv videos.csv -o runs/ucf/truth.csv \
        --name "BasketballDunk=13: shoot ball" "Surfing=31: Surfing"
    stadkit pseudo-label runs/ucf/truth.csv --videos videos --check --strategy all

tubes.csv has the columns video, class, tube, frame (from 0) and x1, y1, x2, y2 in pixels (x2, y2
one past the last), with a row per frame of an action; videos.csv has video, width, height and fps.
One frame every --every seconds is kept, starting with the first frame of each video. `labels.txt`
is written beside the truth. Labels and detections are matched by name, so use --name to give a
class the number and name of the model's nearest class, and other classes numbers that the model
does not use.
"""

import argparse
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np

from stadkit.detections import Detections
from stadkit.files.ava_csv import write_truth
from stadkit.labels import Labels, write_labels

Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a CSV as dicts by column."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def thinned(rows: list[Row], rates: dict[str, float], every: float) -> list[Row]:
    """The rows at the frames nearest to multiples of `every` seconds."""
    steps = {video: max(round(every * rate), 1) for video, rate in rates.items()}
    return [row for row in rows if int(row["frame"]) % steps[row["video"]] == 0]


def to_table(rows: list[Row], videos: dict[str, Row], names: tuple[str, ...]) -> Detections:
    """Truth with a row per person and frame; person ids are tube numbers."""
    sizes = [[float(videos[row["video"]][side]) for side in ("width", "height")] for row in rows]
    corners = [[float(row[side]) for side in ("x1", "y1", "x2", "y2")] for row in rows]
    rates = np.array([float(videos[row["video"]]["fps"]) for row in rows])
    label = [names.index(row["class"]) for row in rows]
    return Detections(
        video=np.array([row["video"] for row in rows]),
        time=np.array([float(row["frame"]) for row in rows]) / rates,
        box=(np.array(corners) / np.tile(np.array(sizes), 2)).clip(0, 1).astype(np.float32),
        person=np.ones(len(rows), np.float32),
        action=np.eye(len(names), dtype=np.float32)[label],
        track=np.array([int(row["tube"]) for row in rows], np.int32),
        classes=names,
    )


def labels_of(classes: tuple[str, ...], given: list[str]) -> Labels:
    """Number the classes from 1, with their own names unless CLASS=NUMBER: NAME overrides both."""
    shown = {name: (number, name) for number, name in enumerate(classes, 1)}
    for pair in given:
        name, _, wanted = pair.partition("=")
        number, _, other = wanted.partition(":")
        shown[name] = (int(number), other.strip())
    return Labels(tuple(shown[c][0] for c in classes), tuple(shown[c][1] for c in classes))


def main() -> None:
    """Write the truth and the labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tubes", type=Path)
    parser.add_argument("videos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between kept frames")
    parser.add_argument("--name", nargs="+", default=[], help="CLASS=NUMBER: NAME")
    asked = parser.parse_args()
    videos = {row["video"]: row for row in read_rows(asked.videos)}
    rows = read_rows(asked.tubes)
    names = tuple(sorted({row["class"] for row in rows}))
    rates = {video: float(row["fps"]) for video, row in videos.items()}
    kept = thinned(rows, rates, asked.every)
    labels = labels_of(names, asked.name)
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    table = replace(to_table(kept, videos, names), classes=labels.names)
    write_truth(table, labels, asked.output)
    write_labels(labels, asked.output.parent / "labels.txt")
    print(f"{len(kept)} of {len(rows)} boxes, {len({row['video'] for row in kept})} videos")


if __name__ == "__main__":
    main()
