"""examples/link_quality.py: its table on a few made-up people, and how it cuts true tubes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stadkit.detections import Detections, Keyframes
from stadkit.files.ava_csv import write_truth
from stadkit.labels import Labels, write_labels
from stadkit.synth.benchmark_sets import crowd

ROOT = Path(__file__).parents[2]


def test_the_table(tmp_path: Path) -> None:
    truth = crowd(videos=2, frames=60, people=3, classes=4, seed=0)
    labels = Labels((1, 2, 3, 4), truth.classes)
    write_truth(truth, labels, tmp_path / "dense.csv")
    write_labels(labels, tmp_path / "labels.txt")
    script = str(ROOT / "examples" / "link_quality.py")
    command = [sys.executable, script, str(tmp_path), "--rates", "5"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heads, _, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()
    ]
    assert heads[:6] == ["keyframes/s", "missed", "method", "mAP .2", "mAP .5", "mAP .5:.95"]
    assert heads[6:] == ["switches", "IDF1", "matched", "on one tube"]
    assert [line[:3] for line in lines] == [
        ["5", miss, name]
        for miss in ("0%", "35%")
        for name in ("track", "act", "mmaction2", "viterbi")
    ]
    found = np.array([[float(cell) for cell in line[3:]] for line in lines])
    assert (found[:, [0, 1, 2, 4, 5, 6]] <= 1).all()
    assert found[0, 0] > 0.5  # track, where none is missed


def test_true_tubes_at_keyframes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    from link_quality import cut, tubes_of

    n = 100  # 0 to 3.96 s: class 0 until 2.0 s, then class 1 until 3.0 s, then 0 again
    time = np.arange(n) / 25
    first = (time <= 2) | (time > 3)
    truth = Detections(
        video=np.full(n, "a"),
        time=time,
        box=np.tile(np.array([0.1, 0.1, 0.4, 0.9], np.float32), (n, 1)),
        person=np.ones(n, np.float32),
        action=np.stack([first, ~first], 1).astype(np.float32),
        track=np.full(n, 5, np.int32),
        classes=("stand", "walk"),
    )
    tubes = tubes_of(truth)
    assert np.diff(tubes.start).tolist() == [51, 24, 25]
    # At 0, 1, 2 s; at 3 s; and at none.
    whole = cut(tubes, Keyframes(np.full(4, "a"), np.arange(4.0)))
    assert whole.label.tolist() == [0]
    assert whole.time.tolist() == [0, 1, 2]
    often = cut(tubes, Keyframes(np.full(9, "a"), np.arange(9) * 0.4))
    assert often.label.tolist() == [0, 1]  # the last stretch has 3.2 s alone
    assert often.time == pytest.approx(np.arange(8) * 0.4)
    assert often.start.tolist() == [0, 6, 8]
    assert often.track.tolist() == [5, 5]
