"""Sources files: the truth's rows with three more fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stadkit.detections import Detections
from stadkit.files.ava_csv import write_sources, write_truth
from stadkit.labels import Labels

LABELS = Labels((1, 5), ("stand", "wave"))


def table(n: int, video: str = "a") -> Detections:
    """n people at intervals of 0.25 s: alternately with both actions and with none."""
    does = np.array([[1, 1], [0, 0], [0, 1]], np.float32)
    return Detections(
        video=np.full(n, video),
        time=900 + np.arange(n) / 4,
        box=np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (n, 1)),
        person=np.ones(n, np.float32),
        action=does[np.arange(n) % 3],
        track=np.arange(n, dtype=np.int32) + 7,
        classes=LABELS.names,
    )


def test_lines_by_hand(tmp_path: Path) -> None:
    pseudo = np.array([False, True, True])
    source = np.array([np.nan, 901.5, np.nan])
    cost = np.array([np.nan, 2.25, np.nan])
    write_sources(table(3, "a, b"), LABELS, tmp_path / "s.csv", pseudo, source, cost)
    assert (tmp_path / "s.csv").read_text().splitlines() == [
        '"a, b",0900,0.1,0.2,0.3,0.4,1,7,true,,',
        '"a, b",0900,0.1,0.2,0.3,0.4,5,7,true,,',
        '"a, b",0900.25,0.1,0.2,0.3,0.4,,8,pseudo,0901.5,2.25',
        '"a, b",0900.5,0.1,0.2,0.3,0.4,5,9,pseudo,,',
    ]


def test_the_first_eight_fields_equal_the_truth_file(tmp_path: Path) -> None:
    people = table(12_000)  # more than are written at once
    cost = np.arange(12_000) / 2
    write_truth(people, LABELS, tmp_path / "t.csv")
    write_sources(people, LABELS, tmp_path / "s.csv", cost > 3, people.time, cost)
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert [line.rsplit(",", 3)[0] for line in lines] == (
        (tmp_path / "t.csv").read_text().splitlines()
    )
    # Each is beside its own person.
    for line in lines:
        fields = line.split(",")
        assert fields[1] == fields[9]
        assert float(fields[10]) == (int(fields[7]) - 7) / 2
