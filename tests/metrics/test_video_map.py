"""Video AP against numbers worked by hand and a plain loop."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stadkit.errors import UsageError
from stadkit.metrics.ranking import trapezoid_precision
from stadkit.metrics.tube_overlap import TubeTracks, tube_overlap
from stadkit.metrics.video_map import RANGES, THRESHOLDS, UNSCORED, VideoMap, video_map
from stadkit.tubes import Tubes

LEFT, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0)
Row = tuple[str, int, float, tuple[int, int], tuple[float, ...]]  # first and last frame
SIZES = {"a": (100, 200), "b": (100, 200)}


def tubes(*rows: Row, classes: tuple[str, ...] = ("run",)) -> Tubes:
    lengths = [last - first + 1 for *_, (first, last), _ in rows]
    time = [f / 25 for *_, (first, last), _ in rows for f in range(first, last + 1)]
    return Tubes(
        video=np.array([row[0] for row in rows], np.str_),
        label=np.array([row[1] for row in rows], np.int32),
        score=np.array([row[2] for row in rows], np.float64),
        track=np.full(len(rows), -1, np.int32),
        start=np.append(0, np.cumsum(lengths)).astype(np.int64),
        time=np.array(time, np.float64),
        box=np.repeat(
            np.array([row[4] for row in rows], np.float64).reshape(-1, 4), lengths, axis=0
        ),
        box_score=np.ones(len(time)),
        interpolated=np.zeros(len(time), np.bool_),
        classes=classes,
    )


def score(found: Tubes, truth: Tubes, protocol: str = "multisports") -> VideoMap:
    return video_map(found, truth, sizes=SIZES, rate=25, protocol=protocol)


TRUTH = tubes(("a", 0, 1, (0, 20), LEFT), ("a", 0, 1, (0, 20), RIGHT), ("b", 0, 1, (0, 20), LEFT))
FOUND = tubes(
    ("a", 0, 0.9, (0, 20), LEFT),  # right
    ("b", 0, 0.8, (0, 20), RIGHT),  # wrong
    ("a", 0, 0.7, (0, 12), RIGHT),  # 12/20 of the second truth, or 13/21 with the last frame
)


@pytest.mark.parametrize(("threshold", "expected"), [(0.5, (1 + 2 / 3) / 3), (0.65, 1 / 3)])
def test_multisports_by_hand(threshold: float, expected: float) -> None:
    result = score(FOUND, TRUTH)
    assert result.mean(threshold) == pytest.approx(expected)
    assert result.truths.tolist() == [3]
    assert result.detections.tolist() == [3]
    assert result.right[THRESHOLDS.index(0.5)].tolist() == [True, False, True]


def test_act_by_hand() -> None:
    # Points: recall 0, 1/3, 1/3, 2/3 with precision 1, 1, 1/2, 2/3.
    area = 1 / 3 * 1 + 1 / 3 * (1 / 2 + 2 / 3) / 2
    assert score(FOUND, TRUTH, "act").mean(0.5) == pytest.approx(area, abs=1e-6)


def test_the_last_frame_counts_only_in_act() -> None:
    exact = (0.6,)  # 12/20 is 0.6, 13/21 more
    found = tubes(("a", 0, 0.7, (0, 12), RIGHT))
    truth = TRUTH.select(np.array([1]))
    for protocol, thresholds, right in (
        ("multisports", exact, True),
        ("multisports", (0.61,), False),
        ("act", (0.61,), True),
    ):
        result = video_map(
            found, truth, sizes=SIZES, rate=25, protocol=protocol, thresholds=thresholds
        )
        assert result.right.tolist() == [[right]]


def test_a_second_tube_may_take_the_next_truth_only_in_act() -> None:
    truth = tubes(("a", 0, 1, (0, 30), LEFT), ("a", 0, 1, (29, 60), LEFT))
    found = tubes(("a", 0, 0.9, (0, 30), LEFT), ("a", 0, 0.8, (22, 30), LEFT))
    # The second likes the first truth best, 9/31, which is gone; 2/39 of the other is left.
    at = THRESHOLDS.index(0.05)
    assert score(found, truth, "act").right[at].tolist() == [True, True]
    assert score(found, truth).right[at].tolist() == [True, False]


def test_act_suppresses_tubes_and_multisports_does_not() -> None:
    truth = tubes(("a", 0, 1, (0, 20), LEFT))
    found = tubes(("a", 0, 0.9, (0, 20), LEFT), ("a", 0, 0.8, (0, 19), LEFT))
    act, multisports = score(found, truth, "act"), score(found, truth)
    assert act.counted.tolist() == [True, False]
    assert act.detections.tolist() == [1]
    assert multisports.counted.all()
    assert multisports.right[0].tolist() == [True, False]


def test_score_ties_keep_row_order() -> None:
    truth = tubes(("a", 0, 1, (0, 20), LEFT))
    found = tubes(("a", 0, 0.5, (0, 20), RIGHT), ("a", 0, 0.5, (0, 20), LEFT))
    assert score(found, truth).mean(0.5) == pytest.approx(1 / 2)
    assert score(found.select(np.array([1, 0])), truth).mean(0.5) == pytest.approx(1)


def test_classes_without_truth_or_without_tubes() -> None:
    classes = ("run", "jump", "sit")
    found = tubes(("a", 0, 0.9, (0, 20), LEFT), ("a", 1, 0.9, (0, 20), LEFT), classes=classes)
    truth = tubes(("a", 0, 1, (0, 20), LEFT), ("a", 2, 1, (0, 20), LEFT), classes=classes)
    for protocol in ("multisports", "act"):
        result = score(found, truth, protocol)
        assert result.ap[0].tolist() == pytest.approx([1, np.nan, 0], nan_ok=True)
        assert result.mean(0.5) == pytest.approx(0.5)
        assert result.detections.tolist() == [1, 1, 0]
        assert result.truths.tolist() == [1, 0, 1]


def test_other_videos_and_empty_inputs() -> None:
    nothing = Tubes.empty(("run",))
    assert score(nothing, TRUTH).mean(0.5) == 0
    assert score(nothing, TRUTH, "act").mean(0.5) == 0
    assert np.isnan(score(FOUND, nothing).mean(0.5))
    elsewhere = replace(FOUND, video=np.full(3, "b", np.str_))
    assert score(elsewhere, TRUTH.select(np.array([0]))).mean(0.2) == 0


def test_multisports_excludes_six_classes() -> None:
    classes = ("run", *UNSCORED)
    found = tubes(("a", 0, 0.9, (0, 20), LEFT), ("a", 1, 0.9, (0, 20), RIGHT), classes=classes)
    truth = tubes(("a", 0, 1, (0, 20), LEFT), ("a", 1, 1, (0, 20), LEFT), classes=classes)
    result = score(found, truth)
    assert result.unscored == UNSCORED
    assert result.counted.tolist() == [True, False]
    assert result.mean(0.5) == 1
    assert score(found, truth, "act").mean(0.5) == pytest.approx(0.5)


def test_ranges() -> None:
    assert [len(values) for values in RANGES.values()] == [10, 9, 9]
    assert RANGES["0.5:0.95"][-1] == 0.95
    assert RANGES["0.1:0.9"][:3] == (0.1, 0.2, 0.3)
    found, truth = FOUND.select(np.array([2])), TRUTH.select(np.array([1]))
    result = score(found, truth)  # overlap 0.6
    assert result.summary() == pytest.approx(
        {"0.2": 1, "0.5": 1, "0.75": 0, "0.5:0.95": 0.3, "0.1:0.9": 6 / 9, "0.05:0.45": 1}
    )
    with pytest.raises(ValueError, match=r"threshold 0\.33"):
        result.mean(0.33)
    one = video_map(found, truth, sizes=None, rate=25, thresholds=[0.5])
    assert one.summary() == {"0.5": 1}


def test_invalid_arguments_are_rejected() -> None:
    with pytest.raises(UsageError, match="unknown video protocol 'ava'"):
        score(FOUND, TRUTH, "ava")
    with pytest.raises(UsageError, match="protocol act works in pixels"):
        video_map(FOUND, TRUTH, sizes=None, rate=25, protocol="act")
    with pytest.raises(ValueError, match="found has classes"):
        score(Tubes.empty(("walk",)), TRUTH)


def test_trapezoid() -> None:
    # Recall 1/2, 1/2, 1 with precision 1, 1/2, 2/3.
    right = np.array([True, False, True])
    assert trapezoid_precision(right, 2) == pytest.approx(0.5 + 0.5 * (1 / 2 + 2 / 3) / 2)
    assert trapezoid_precision(np.zeros(0, bool), 2) == 0
    assert np.isnan(trapezoid_precision(right, 0))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("protocol", ["multisports", "act"])
def test_equals_a_plain_loop(protocol: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, truth = _random(rng, 40), _random(rng, 10)
    result = score(found, truth, protocol)
    for at, threshold in ((0, 0.05), (5, 0.3)):
        assert result.thresholds[at] == threshold
        right = _loop(found, truth, result.counted, threshold, protocol)
        assert result.right[at].tolist() == right
    assert result.right[0].any()


def _random(rng: np.random.Generator, n: int) -> Tubes:
    rows: list[Row] = []
    for _ in range(n):
        first, low = int(rng.integers(0, 10)), rng.uniform(0, 0.3, 2)
        video, last = str(rng.choice(["a", "b"])), first + int(rng.integers(2, 20))
        box = (*low.tolist(), *(low + 0.6).tolist())
        rows.append((video, int(rng.integers(0, 2)), rng.random(), (first, last), box))
    return tubes(*rows, classes=("run", "jump"))


def _loop(
    found: Tubes, truth: Tubes, counted: NDArray[np.bool_], threshold: float, protocol: str
) -> list[bool]:
    edge, right, gone = float(protocol == "act"), [False] * len(found), set[int]()
    a, b = TubeTracks.of(found, 25, SIZES), TubeTracks.of(truth, 25, SIZES)
    for i in np.argsort(-found.score, kind="stable").tolist():
        rivals = [
            j
            for j in range(len(truth))
            if (truth.video[j], truth.label[j]) == (found.video[i], found.label[i])
            and not (protocol == "act" and j in gone)
        ]
        pair = np.full(len(rivals), i), np.array(rivals, np.int64)
        overlap = tube_overlap(a, b, *pair, edge)
        if counted[i] and len(rivals) and overlap.max() >= threshold:
            best = rivals[int(overlap.argmax())]
            right[i] = best not in gone
            gone.add(best)
    return right


@given(st.integers(0, 10_000))
def test_perfect_tubes_give_one(seed: int) -> None:
    truth = _random(np.random.default_rng(seed), 12)
    assert score(truth, truth).mean(0.95) == 1


@given(st.integers(0, 10_000), st.sampled_from(["multisports", "act"]))
def test_the_order_of_rows_does_not_matter_without_equal_scores(seed: int, protocol: str) -> None:
    rng = np.random.default_rng(seed)
    found, truth = _random(rng, 20), _random(rng, 8)
    order = rng.permutation(20)
    result, turned = score(found, truth, protocol), score(found.select(order), truth, protocol)
    assert np.array_equal(result.ap, turned.ap, equal_nan=True)
    assert np.array_equal(result.right[:, order], turned.right)


@given(st.integers(0, 10_000), st.sampled_from(["multisports", "act"]))
def test_an_extra_wrong_tube_never_raises_ap(seed: int, protocol: str) -> None:
    rng = np.random.default_rng(seed)
    found, truth = _random(rng, 20), _random(rng, 8)
    wrong = tubes(("c", 0, rng.random(), (0, 9), LEFT), classes=("run", "jump"))
    more = Tubes.join([found, wrong], found.classes)
    result = video_map(more, truth, sizes=SIZES | {"c": (9, 9)}, rate=25, protocol=protocol)
    before = score(found, truth, protocol)
    assert (np.nan_to_num(result.ap) <= np.nan_to_num(before.ap) + 1e-6).all()
