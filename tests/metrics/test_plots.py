"""Curves by hand; plots are written, valid, and have the right texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stadkit.errors import UsageError
from stadkit.instances import Instances
from stadkit.metrics import plots
from stadkit.metrics.frame_map import frame_map
from stadkit.metrics.mistakes import mistakes
from stadkit.metrics.plots import calibration, precision_recall

CLASSES = ("stand", "walk $5", "wave \N{HORSE}", "never")


def claims(seconds: list[int], label: list[int], score: list[float]) -> Instances:
    n = len(seconds)
    return Instances(
        videos=("a",),
        video=np.zeros(n, np.int32),
        time=np.array(seconds, np.float64),
        box=np.tile([0.1, 0.1, 0.5, 0.9], (n, 1)),
        label=np.array(label, np.int32),
        score=np.array(score, np.float64),
        classes=CLASSES,
    )


TRUTH = claims([0, 1, 2, 3, 0, 1], [0, 0, 0, 0, 1, 2], [1] * 6)
# Of standing the first and the third are right, of four.
FOUND = claims([0, 9, 1, 1, 0], [0, 0, 0, 1, 3], [0.9, 0.8, 0.7, 0.25, 0.5])


def test_precision_over_recall() -> None:
    drawn = precision_recall(frame_map(FOUND, TRUTH))
    recall, precision = drawn[0]
    assert recall.tolist() == [0.25, 0.5]
    assert precision == pytest.approx([1, 2 / 3])
    assert [len(curve[0]) for curve in drawn] == [2, 0, 0, 0]


def test_the_area_under_the_curve_is_ap() -> None:
    rng = np.random.default_rng(0)
    found = claims(rng.integers(0, 6, 80).tolist(), [0] * 80, (rng.integers(0, 9, 80) / 9).tolist())
    result = frame_map(found, TRUTH)
    recall, precision = precision_recall(result)[0]
    assert np.sum(np.diff(recall, prepend=0) * precision) == pytest.approx(result.ap[0, 0])


def test_calibration() -> None:
    table = calibration(FOUND, frame_map(FOUND, TRUTH))
    # The class without truth counts for nothing: it could only be wrong.
    assert table.count.tolist() == [0, 0, 1, 0, 0, 0, 0, 1, 1, 1]
    assert table.right[[2, 7, 8, 9]].tolist() == [0, 1, 0, 1]
    assert table.error == pytest.approx((0.25 + 0.3 + 0.8 + 0.1) / 4)


def test_calibration_ignores_scores_outside_0_to_1() -> None:
    found = replace(FOUND, score=FOUND.score + np.array([0, 1, -1, 0, 0]))
    assert calibration(found, frame_map(found, TRUTH)).count.sum() == 2
    none = replace(FOUND, score=FOUND.score + 5)
    assert np.isnan(calibration(none, frame_map(none, TRUTH)).error)


def test_plots_of_few_classes(tmp_path: Path) -> None:
    result = frame_map(FOUND, TRUTH)
    paths = plots.write_plots(tmp_path / "new", FOUND, result, mistakes(FOUND, TRUTH, result))
    assert [path.name for path in paths] == list(plots.NAMES)
    import cv2

    for path in paths:
        picture = cv2.imread(str(path))
        assert picture is not None
        assert picture.std() > 5  # something is on it


def test_plots_without_detections(tmp_path: Path) -> None:
    nothing = FOUND.select(np.zeros(0, np.int64))
    result = frame_map(nothing, TRUTH)
    plots.write_plots(tmp_path, nothing, result, mistakes(nothing, TRUTH, result))


def texts(figure: Any) -> list[str]:
    figure.canvas.draw()
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_plot_texts() -> None:
    result = frame_map(FOUND, TRUTH)
    with plots.drawing():
        shown = texts(plots.ap_bars(result))
        assert "41.7  (4)" in shown
        assert "walk $5" in shown
        assert "never" not in shown
        assert "Frame AP, IoU 0.5: mean 13.89 (line)" in shown
        assert "stand\nAP 41.7" in texts(plots.curves(result))
        shown = texts(plots.confusion(mistakes(FOUND, TRUTH, result)))
        assert {"missed", "background", "50"} <= set(shown)


def test_nan_is_a_dash() -> None:
    """mmaction2 excludes a class without detections from the mean: it has truth but no AP."""
    result = frame_map(FOUND, TRUTH, protocol="mmaction2")
    nothing = FOUND.select(np.zeros(0, np.int64))
    none = frame_map(nothing, TRUTH, protocol="mmaction2")
    with plots.drawing():
        assert "wave \N{HORSE}\nAP -" in texts(plots.curves(result))
        assert "Frame AP, IoU 0.5: mean - (line)" in texts(plots.ap_bars(none))
        assert any("error -\n" in text for text in texts(plots.reliability(nothing, none)))


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    result = frame_map(FOUND, TRUTH)
    with pytest.raises(UsageError, match=r"pip install 'stadkit\[report\]'"):
        plots.write_plots(tmp_path / "new", FOUND, result, mistakes(FOUND, TRUTH, result))
    assert not (tmp_path / "new").exists()
