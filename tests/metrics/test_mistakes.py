"""Mistakes by kind, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stadkit.detections import Keyframes
from stadkit.instances import Instances
from stadkit.metrics.frame_map import frame_map
from stadkit.metrics.mistakes import Mistakes, mistakes

CLASSES = ("stand", "walk", "wave")
Row = tuple[float, float, int, float]  # second, left side, class, score; boxes are 0.2 wide


def claims(*rows: Row) -> Instances:
    table = np.array(rows, np.float64).reshape(-1, 4)
    low, high = np.zeros(len(table)), np.ones(len(table))
    return Instances(
        videos=("a",),
        video=np.zeros(len(table), np.int32),
        time=table[:, 0],
        box=np.column_stack([table[:, 1], low, table[:, 1] + 0.2, high]),
        label=table[:, 2].astype(np.int32),
        score=table[:, 3],
        classes=CLASSES,
    )


def analyse(found: Instances, truth: Instances, excluded: Keyframes | None = None) -> Mistakes:
    return mistakes(found, truth, frame_map(found, truth, excluded=excluded), excluded)


# Two people at 0 s, the first stands and waves, the second walks; at 1 s one walks.
TRUTH = claims((0, 0.0, 0, 1), (0, 0.0, 2, 1), (0, 0.6, 1, 1), (1, 0.3, 1, 1))


def test_each_kind() -> None:
    found = claims(
        (0, 0.0, 0, 0.9),  # stand: right; it is the one best detection of its class
        (0, 0.0, 0, 0.8),  # beyond the top detections: ignored
        (0, 0.01, 1, 0.9),  # walk: on the person who stands and waves
        (0, 0.6, 1, 0.5),  # walk: right
        (0, 0.1, 2, 0.7),  # wave: IoU 1/3 with the waving person
    )
    analysis = analyse(found, TRUTH)
    assert analysis.kinds.tolist() == [[1, 0, 0, 0, 0], [1, 0, 0, 1, 0], [0, 0, 1, 0, 0]]
    assert analysis.shares == pytest.approx(
        {
            "right": 0.5,
            "duplicate": 0,
            "localization": 0.25,
            "classification": 0.25,
            "background": 0,
        }
    )
    # Missed: the waving person, who has boxes; the walk at 1 s, which has none.
    assert analysis.missed.tolist() == [0, 1, 1]
    assert analysis.missed_without_box.tolist() == [0, 1, 0]
    # Rows: truth, columns: found; the false walk is on a standing, waving person: half each.
    assert analysis.confusion.tolist() == [
        [1, 0.5, 0, 0],
        [0, 1, 0, 1],
        [0, 0.5, 0, 1],
        [0, 0, 1, 0],
    ]
    assert analysis.worst_pairs == [("stand", "walk", 0.5), ("wave", "walk", 0.5)]


def test_duplicate_and_background() -> None:
    found = claims((0, 0.6, 1, 0.9), (0, 0.59, 1, 0.8), (5, 0.3, 1, 0.7))
    analysis = analyse(found, TRUTH)
    assert analysis.kinds[1].tolist() == [1, 1, 0, 0, 0]
    found = claims((0, 0.6, 1, 0.9), (5, 0.3, 1, 0.95))
    analysis = analyse(found, TRUTH)
    assert analysis.kinds[1].tolist() == [1, 0, 0, 0, 1]
    assert analysis.confusion[3].tolist() == [0, 1, 0, 0]


def test_perfect_detections_make_no_mistake() -> None:
    analysis = analyse(TRUTH, TRUTH)
    assert analysis.shares["right"] == 1
    assert analysis.missed.sum() == 0
    assert np.diag(analysis.confusion).tolist() == [1, 2, 1, 0]
    assert analysis.confusion.sum() == 4
    assert analysis.worst_pairs == []


def test_excluded_frames_are_not_mistakes() -> None:
    out = Keyframes(np.array(["a"]), np.array([1.0]))
    analysis = analyse(claims((0, 0.6, 1, 0.9), (1, 0.9, 1, 0.8)), TRUTH, out)
    assert analysis.truths.tolist() == [1, 1, 1]
    assert analysis.missed.tolist() == [1, 0, 1]
    assert analysis.kinds[1].tolist() == [1, 0, 0, 0, 0]


def test_a_loose_box_is_a_box_at_every_threshold() -> None:
    """Walking at 1 s has a box of IoU 2/3, right at .5, too loose at .9."""
    found = claims((1, 0.34, 1, 0.9))
    for iou, missed in ((0.5, 1), (0.9, 2), (0.2, 1)):
        analysis = mistakes(found, TRUTH, frame_map(found, TRUTH, ious=(iou,)))
        assert analysis.missed[1] == missed
        assert analysis.missed_without_box[1] == 1
    assert analysis.to_json()["box_iou"] == 0.5


def test_json() -> None:
    analysis = analyse(claims((0, 0.01, 1, 0.9)), TRUTH).to_json()
    assert analysis["classification"] == 1
    assert (analysis["truth"], analysis["missed"], analysis["missed_with_box"]) == (4, 4, 2)
    assert analysis["missed_without_box"] == 2
    assert analysis["confused"][0] == {"truth": "stand", "found": "walk", "times": 0.5}


@pytest.mark.parametrize("seed", range(6))
def test_rows_are_recounted_without_stored_steps(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def table(count: int) -> Instances:
        columns = rng.integers(0, 4, count), rng.integers(0, 12, count) / 20
        return claims(*zip(*columns, rng.integers(0, 3, count), rng.random(count), strict=True))

    found, truth, out = table(60), table(30), Keyframes(np.array(["a"]), np.array([1.0]))
    result = frame_map(found, truth, excluded=out)
    one = mistakes(found, truth, result, out)
    other = mistakes(found, truth, replace(result, steps=None), out)
    assert one.missed.sum() > 0
    for name in ("kinds", "missed", "missed_without_box", "truths", "confusion"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name


def test_nothing_found() -> None:
    analysis = analyse(claims(), TRUTH)
    assert analysis.shares["background"] == 0
    assert analysis.missed_without_box.tolist() == analysis.missed.tolist() == [1, 2, 1]
