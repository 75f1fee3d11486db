"""The example that compares strategies runs, on truth once a second and on dense truth."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from stadkit.detections import Keyframes
from stadkit.files.ava_csv import write_truth
from stadkit.files.jsonl import write_jsonl
from stadkit.labels import Labels, write_labels
from stadkit.synth.benchmark_sets import crowd

ROOT = Path(__file__).parents[2]


def scores(folder: Path, every: float, *options: str) -> dict[str, float]:
    """F1 of each strategy on people labelled every `every` seconds in folder/truth.csv."""
    truth = crowd(1, 50, 3, 6, seed=1)
    truth = replace(truth, time=np.round(truth.time * 25 * every, 3))
    labels = Labels(tuple(range(1, 7)), truth.classes)
    write_truth(truth, labels, folder / "truth.csv")
    write_labels(labels, folder / "labels.txt")
    (folder / "found").mkdir()
    write_jsonl(truth, Keyframes.of(truth), labels, folder / "found" / "crowd-0000.jsonl")
    files = [str(folder / "truth.csv"), str(folder / "labels.txt")]
    command = [sys.executable, "examples/pseudo_labels.py", *files, *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    return {name: float(f1) for name, *_, f1 in rows}


def test_truth_once_a_second(tmp_path: Path) -> None:
    result = scores(tmp_path, 1.0, "--detector", "poor", "--seeds", "2")
    assert len(result) == 9
    assert result["tla"] > result["hard, restricted"] > result["hard"] > 0.1


def test_dense_truth_and_true_detections(tmp_path: Path) -> None:
    found = ("--found", str(tmp_path / "found"), "--min-person", "0.9")
    result = scores(tmp_path, 0.2, "--dense", *found)
    assert result["hard"] == 1
    assert 0.8 < result["tla"] <= 1
