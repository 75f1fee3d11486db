"""The table of `stadkit eval` in any terminal, and the notes printed with it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from stadkit.files.ava_rows import Faults
from stadkit.instances import Instances
from stadkit.labels import Labels
from stadkit.metrics import table
from stadkit.metrics.evaluate import EvaluationSide, Scores, TubeFacts, evaluate
from stadkit.tubes import Tubes

NAMES = ("talk to (e.g., self, a person, a group)", "watch (a person)", "stand")
LABELS = Labels((12, 79, 80), NAMES)
BOX = [0.1, 0.1, 0.5, 0.9]


def claims(
    seconds: list[float], label: list[int], score_: list[float], box: Any = BOX
) -> Instances:
    n = len(seconds)
    return Instances(
        videos=("v",),
        video=np.zeros(n, np.int32),
        time=np.array(seconds, np.float64),
        box=np.tile(np.array(box, np.float64), (n, 1)),
        label=np.array(label, np.int32),
        score=np.array(score_, np.float64),
        classes=NAMES,
    )


def tubes(seconds: list[float], score_: float) -> Tubes:
    n = len(seconds)
    return Tubes(
        video=np.array(["v"]),
        label=np.zeros(1, np.int32),
        score=np.array([score_], np.float64),
        track=np.full(1, -1, np.int32),
        start=np.array([0, n], np.int64),
        time=np.array(seconds, np.float64),
        box=np.tile(BOX, (n, 1)),
        box_score=np.full(n, score_, np.float64),
        interpolated=np.zeros(n, bool),
        classes=NAMES,
    )


TRUTH = claims([*range(1200)] * 3, [0] * 1200 + [1] * 1200 + [2] * 1200, [1] * 3600)
FOUND = claims([*range(1200)] * 3, [0] * 1200 + [1] * 1200 + [2] * 1200, [0.9, 0.8, 0.7] * 1200)


def side(rows: Instances, tracks: Tubes | None = None) -> EvaluationSide:
    return EvaluationSide(rows, Faults(Path("a.csv"), {}), (), tracks)


def scores(found: Instances = FOUND, truth: Instances = TRUTH, **options: Any) -> Scores:
    return evaluate(side(found), side(truth), LABELS, **options)


def drawn(scored: Scores, columns: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines printed on a terminal of this many columns."""
    out = io.StringIO()

    class Terminal(Console):
        def __init__(self, **options: Any) -> None:
            options["file"] = out
            options.setdefault("width", columns)
            super().__init__(force_terminal=True, color_system=None, **options)

    monkeypatch.setattr("rich.console.Console", Terminal)
    table.show(scored, "id")
    return out.getvalue().splitlines()


@pytest.mark.parametrize("ious", [(0.5,), (0.5, 0.75, 0.9), tuple(np.arange(0.5, 1, 0.05))])
@pytest.mark.parametrize("columns", [300, 80, 60, 40, 20])
def test_a_narrow_terminal_shortens_only_names(
    columns: int, ious: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = drawn(scores(ious=ious), columns, monkeypatch)
    at = [f"AP@{iou:g}" for iou in ious] if len(ious) == 3 else []
    assert lines[0].split()[-4 - len(at) :] == ["AP", *at, "recall", "truth", "found"]
    for number, line in zip((12, 79, 80), lines[1:4], strict=True):
        cells = line.split()
        assert cells[0] == str(number)
        assert cells[-4 - len(at) :] == ["100.00"] * (2 + len(at)) + ["1,200", "1,200"]
    if columns >= 80:
        assert all(len(line.rstrip()) <= columns for line in lines[:4])
    assert (NAMES[0] in lines[1]) == (columns == 300 or (columns == 80 and not at))
    if columns < 80:
        assert "…" in lines[1]


def test_many_thresholds_are_a_range() -> None:
    ious = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
    (line,) = [line for line in table.summary_lines(scores(ious=ious)) if "frame mAP" in line]
    assert "(ava, 10 IoUs from 0.5 to 0.95, 3 of 3 classes)" in line
    assert len(line) <= 80
    (line,) = [line for line in table.summary_lines(scores(ious=ious[:2])) if "frame mAP" in line]
    assert "(ava, IoU 0.5, 0.55, 3 of 3 classes)" in line


def test_unlabelled_keyframes_suggest_activitynet() -> None:
    half = TRUTH.select(TRUTH.time < 600)
    assert any(
        "--protocol activitynet" in line for line in table.coverage_notes(scores(truth=half))
    )


def test_truth_tubes_do_not_suggest_activitynet() -> None:
    """In a video with tubes, frames without tubes are known to be empty."""
    found, truth = tubes([0.0, 0.04, 0.08, 0.12], 0.9), tubes([0.0, 0.04], 1)
    rows = claims([0.0, 0.04, 0.08, 0.12], [0] * 4, [0.9, 0.8, 0.7, 0.6])
    true = side(claims([0.0, 0.04], [0, 0], [1, 1]), truth)
    for mine in (side(rows, found), side(rows)):
        scored = evaluate(mine, true, LABELS, TubeFacts(None, 25.0))
        lines = table.coverage_notes(scored)
        assert any("found keyframes without truth: 2" in line for line in lines)
        assert not any("activitynet" in line for line in lines)


def test_missing_boxes_are_counted_at_iou_half() -> None:
    """At IoU .9 all truth is missed, but all of it has a box of IoU .75."""
    found = claims([0, 1], [0, 1], [0.9, 0.8], [0.1, 0.1, 0.4, 0.9])
    truth = claims([0, 1], [0, 1], [1, 1])
    lines = table.coverage_notes(scores(found, truth, ious=(0.9,)))
    assert (
        "2 of 2 truth labels are missed, 0 of them without a box of any action (IoU 0.5)" in lines
    )
