"""Frame AP against numbers worked by hand, a plain loop, and AVA's evaluator."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stadkit import boxes
from stadkit.detections import Detections, Keyframes, milliseconds
from stadkit.files.ava_csv import read_found, read_keyframes, read_truth
from stadkit.labels import ava_scored
from stadkit.metrics.frame_map import frame_map, mean_ap, person_ap

NAN = float("nan")
PARITY = Path(__file__).parents[1] / "data" / "ava_parity"

Row = tuple[str, float, tuple[float, ...], tuple[float, ...]]  # video, time, box, action

LEFT, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0)
NEAR_LEFT = (0.0, 0.0, 0.3, 1.0)  # IoU with LEFT .75


def table(*rows: Row, person: list[float] | None = None, classes: int = 1) -> Detections:
    n = len(rows)
    return Detections(
        video=np.array([row[0] for row in rows], np.str_),
        time=np.array([row[1] for row in rows], np.float64),
        box=np.array([row[2] for row in rows], np.float32).reshape(n, 4),
        person=np.array(person or [NAN] * n, np.float32),
        action=np.array([row[3] for row in rows], np.float32).reshape(n, classes),
        track=np.full(n, -1, np.int32),
        classes=tuple(f"class {c}" for c in range(classes)),
    )


def frames(*tables_: Detections) -> Keyframes:
    return Keyframes.of(Detections.join(tables_, tables_[0].classes))


def ap(found: Detections, truth: Detections) -> float:
    return frame_map(found, truth, frames(found, truth))["class 0"]


def test_by_hand() -> None:
    truth = table(("a", 1, LEFT, (1,)), ("a", 1, RIGHT, (1,)), ("a", 2, LEFT, (1,)))
    found = table(
        ("a", 1, NEAR_LEFT, (0.9,)),  # right: precision 1/1
        ("a", 2, RIGHT, (0.8,)),  # wrong
        ("a", 1, RIGHT, (0.7,)),  # right: 2/3
    )
    # The third person is not found: recall ends at 2/3.
    assert ap(found, truth) == pytest.approx((1 + 2 / 3) / 3)


def test_the_envelope_lifts_an_early_miss() -> None:
    truth = table(("a", 1, LEFT, (1,)), ("a", 1, RIGHT, (1,)))
    found = table(
        ("a", 1, (0.4, 0.0, 0.6, 1.0), (0.9,)),
        ("a", 1, LEFT, (0.8,)),  # 1/2, lifted to the 2/3 that follows
        ("a", 1, RIGHT, (0.7,)),  # 2/3
    )
    assert ap(found, truth) == pytest.approx(2 / 3)


def test_each_truth_is_found_once_by_the_best() -> None:
    truth = table(("a", 1, LEFT, (1,)))
    worse_first = table(("a", 1, LEFT, (0.3,)), ("a", 1, NEAR_LEFT, (0.6,)))
    assert ap(worse_first, truth) == 1
    twice = table(("a", 1, LEFT, (0.3,)), ("a", 1, NEAR_LEFT, (0.6,)), ("a", 2, LEFT, (0.2,)))
    truth = table(("a", 1, LEFT, (1,)), ("a", 2, LEFT, (1,)))
    assert ap(twice, truth) == pytest.approx((1 + 2 / 3) / 2)


def test_a_taken_truth_does_not_send_on_to_the_next_best() -> None:
    shifted = (0.1, 0.0, 0.5, 1.0)
    truth = table(("a", 1, LEFT, (1,)), ("a", 1, shifted, (1,)))
    found = table(("a", 1, LEFT, (0.9,)), ("a", 1, (0.04, 0.0, 0.44, 1.0), (0.8,)))
    assert boxes.iou(found.box[1:], truth.box[1:])[0, 0] > 0.5
    assert ap(found, truth) == 0.5


def test_truth_of_another_class_is_not_looked_at() -> None:
    truth = table(("a", 1, LEFT, (0, 1)), ("a", 1, NEAR_LEFT, (1, 0)), classes=2)
    found = table(("a", 1, LEFT, (0.9, 0.2)), classes=2)
    assert frame_map(found, truth, frames(truth)) == {"class 0": 1, "class 1": 1}


def test_ties_go_in_the_order_of_the_rows() -> None:
    truth = table(("a", 1, LEFT, (1,)))
    right, wrong = ("a", 1.0, LEFT, (0.5,)), ("a", 1.0, RIGHT, (0.5,))
    assert ap(table(right, wrong), truth) == 1
    assert ap(table(wrong, right), truth) == 0.5


def test_frames_are_the_same_to_a_millisecond() -> None:
    truth = table(("a", 0.04, LEFT, (1,)))
    assert ap(table(("a", 0.0404, LEFT, (0.5,))), truth) == 1
    assert ap(table(("a", 0.0407, LEFT, (0.5,))), truth) == 0
    assert ap(table(("b", 0.04, LEFT, (0.5,))), truth) == 0


def test_only_the_keyframes_count() -> None:
    truth = table(("a", 1, LEFT, (1,)), ("a", 2, LEFT, (1,)))
    found = table(("a", 1, LEFT, (0.5,)), ("a", 3, LEFT, (0.9,)))
    one = Keyframes(np.array(["a"]), np.array([1.0]))
    assert frame_map(found, truth, one) == {"class 0": 1}
    # Frame 3 was looked at and is empty: its detection is wrong, and comes first.
    assert frame_map(found, truth, frames(found, truth)) == {"class 0": 0.25}
    none = Keyframes(np.zeros(0, np.str_), np.zeros(0))
    assert np.isnan(frame_map(found, truth, none)["class 0"])


def test_unscored_and_empty_boxes_are_no_detections() -> None:
    truth = table(("a", 1, LEFT, (1,)))
    found = table(
        ("a", 1, RIGHT, (NAN,)),
        ("a", 1, (0.5, 0.0, 0.5, 1.0), (0.9,)),
        ("a", 1, (0.5, 1.0, 0.6, 0.0), (0.9,)),
        ("a", 1, LEFT, (0.0,)),  # 0 is a score
    )
    assert ap(found, truth) == 1


def test_truth_without_area_can_never_be_found() -> None:
    truth = table(("a", 1, (0.2, 0.0, 0.2, 1.0), (1,)), ("a", 1, LEFT, (1,)))
    assert ap(table(("a", 1, LEFT, (0.5,))), truth) == 0.5


def test_classes_without_truth_or_detections() -> None:
    truth = table(("a", 1, LEFT, (1, 0)), classes=2)
    nothing = Detections.empty(truth.classes)
    got = frame_map(nothing, truth, frames(truth))
    assert got["class 0"] == 0
    assert np.isnan(got["class 1"])
    assert mean_ap(got) == 0
    assert np.isnan(mean_ap(frame_map(truth, nothing, frames(truth))))


def test_mean_ap_passes_over_nan() -> None:
    assert mean_ap({"a": 0.5, "b": NAN, "c": 1.0}) == 0.75
    assert np.isnan(mean_ap({}))


def test_other_classes_are_refused() -> None:
    truth = table(("a", 1, LEFT, (1,)))
    with pytest.raises(ValueError, match="found has classes"):
        frame_map(Detections.empty(("x",)), truth, frames(truth))


def test_min_iou() -> None:
    truth, found = table(("a", 1, LEFT, (1,))), table(("a", 1, NEAR_LEFT, (0.5,)))
    assert frame_map(found, truth, frames(truth), min_iou=0.75) == {"class 0": 1}
    assert frame_map(found, truth, frames(truth), min_iou=0.76) == {"class 0": 0}


def test_person_ap_ranks_by_person() -> None:
    truth = table(("a", 1, LEFT, (0,)), ("a", 1, RIGHT, (1,)))  # who does nothing counts too
    rows: list[Row] = [("a", 1, (0.4, 0.0, 0.6, 1.0), (0.9,)), ("a", 1, LEFT, (0.1,))]
    keyframes = frames(truth)
    assert person_ap(table(*rows, person=[0.1, 0.9]), truth, keyframes) == 0.5
    # Without person scores the best action ranks, here the wrong box first.
    assert person_ap(table(*rows), truth, keyframes) == 0.25
    assert person_ap(table(*rows), truth, keyframes, min_iou=1.01) == 0
    assert np.isnan(person_ap(truth, truth.select(np.zeros(0, np.int64)), keyframes))


def test_person_ap_of_proposals_without_classes() -> None:
    truth = table(("a", 1, LEFT, ()), person=[1], classes=0)
    assert person_ap(truth, truth, frames(truth)) == 1
    assert person_ap(replace(truth, person=np.full(1, NAN, np.float32)), truth, frames(truth)) == 0


@pytest.mark.parametrize("case", sorted(path.name for path in PARITY.iterdir()))
def test_equals_avas_evaluator(case: str) -> None:
    labels, folder = ava_scored(), PARITY / case
    truth, found = read_truth(folder / "gt.csv", labels), read_found(folder / "pred.csv", labels)
    excluded = read_keyframes(folder / "excl.csv")
    gone = set(zip(excluded.video, milliseconds(excluded.time), strict=True))
    seen = frames(truth, found)
    kept = [pair not in gone for pair in zip(seen.video, milliseconds(seen.time), strict=True)]
    got = frame_map(found, truth, Keyframes(seen.video[kept], seen.time[kept]))
    want = json.loads((folder / "expected.json").read_text())["average_precision"]
    known = {name: value for name, value in got.items() if not np.isnan(value)}
    assert known == pytest.approx(
        {labels.names[labels.ids.index(int(number))]: value for number, value in want.items()},
        abs=1e-12,
    )


def decimals(rows: Detections, i: int) -> NDArray[np.float64]:
    return np.array([[round(float(side), 6) for side in rows.box[i]]])


def loop_ap(found: Detections, truth: Detections, c: int) -> float:
    """The same by the words of the specification, one detection at a time."""
    rows = [i for i in range(len(found)) if not np.isnan(found.action[i, c])]
    rows.sort(key=lambda i: -found.action[i, c])
    truths = [j for j in range(len(truth)) if truth.action[j, c] == 1]
    free, right = set(truths), []
    for i in rows:
        here = [
            j for j in truths if truth.video[j] == found.video[i] and truth.time[j] == found.time[i]
        ]
        overlap = [float(boxes.iou(decimals(found, i), decimals(truth, j))[0, 0]) for j in here]
        best = here[int(np.argmax(overlap))] if here else -1
        right.append(bool(here) and max(overlap) >= 0.5 and best in free)
        free -= {best} if right[-1] else set()
    if not truths:
        return NAN
    precision = [sum(right[: k + 1]) / (k + 1) for k in range(len(right))]
    area = sum(max(precision[k:]) for k in range(len(right)) if right[k])
    return float(area / len(truths))


corners = st.sampled_from([LEFT, RIGHT, NEAR_LEFT, (0.1, 0.0, 0.5, 1.0), (0.0, 0.2, 0.4, 1.0)])


def rows_of(score: st.SearchStrategy[float], most: int) -> st.SearchStrategy[list[Row]]:
    two = st.tuples(score, score)
    row = st.tuples(st.sampled_from("ab"), st.sampled_from([1.0, 2.0]), corners, two)
    return st.lists(row, max_size=most)


truths = rows_of(st.sampled_from([0.0, 1.0]), 6)
founds = rows_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, NAN]), 10)


@given(founds, truths)
def test_equals_the_loop(found_rows: list[Row], truth_rows: list[Row]) -> None:
    found, truth = table(*found_rows, classes=2), table(*truth_rows, classes=2)
    got = frame_map(found, truth, frames(found, truth))
    want = {f"class {c}": loop_ap(found, truth, c) for c in range(2)}
    assert got == pytest.approx(want, nan_ok=True)


@given(truths)
def test_perfect_is_one(rows: list[Row]) -> None:
    unique = {row[:3]: row for row in rows}.values()  # equal boxes would hide each other
    truth = table(*unique, classes=2)
    got = frame_map(truth, truth, frames(truth))
    assert all(np.isnan(value) or value == 1 for value in got.values())
    everyone = replace(truth, person=np.ones(len(truth), np.float32))
    assert not len(truth) or person_ap(everyone, everyone, frames(truth)) == 1


@given(founds, truths, st.sampled_from([0.1, 0.3, 0.9]))
def test_a_wrong_detection_never_helps(
    found_rows: list[Row], truth_rows: list[Row], score: float
) -> None:
    found, truth = table(*found_rows, classes=2), table(*truth_rows, classes=2)
    wrong = ("a", 1.0, (0.45, 0.0, 0.5, 0.1), (score, score))
    worse = table(*found_rows, wrong, classes=2)
    keyframes = frames(worse, truth)
    before, after = frame_map(found, truth, keyframes), frame_map(worse, truth, keyframes)
    for name in before:
        assert np.isnan(before[name]) or after[name] <= before[name] + 1e-12


@given(founds, truths, st.randoms(use_true_random=False))
def test_the_order_of_rows_is_nothing_without_ties(
    found_rows: list[Row], truth_rows: list[Row], random: Random
) -> None:
    distinct: list[Row] = [(*row[:3], (0.05 + 0.05 * i, NAN)) for i, row in enumerate(found_rows)]
    mixed = random.sample(distinct, len(distinct))
    truth = table(*truth_rows, classes=2)
    a, b = table(*distinct, classes=2), table(*mixed, classes=2)
    keyframes = frames(a, truth)
    assert frame_map(a, truth, keyframes) == pytest.approx(
        frame_map(b, truth, keyframes), nan_ok=True
    )
