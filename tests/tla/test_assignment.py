"""Eq. 6 against numbers worked by hand, Eq. 7 against trying every assignment."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stadkit import boxes
from stadkit.tla import LabellingOptions
from stadkit.tla.assignment import assign, assign_labels, cross_entropy, distance
from stadkit.tla.assignment import costs as eq6

Floats = NDArray[np.float64]
ONE, ANOTHER = np.array([[0.0, 0.0, 0.4, 0.4]]), np.array([[0.2, 0.0, 0.6, 0.4]])
FIRST = np.zeros(1, np.intp)
SCORE, LABEL = np.array([[0.8, 0.1]]), np.array([[True, False]])


def cost_of(options: LabellingOptions) -> tuple[float, float]:
    cost, background = eq6(SCORE, ONE, LABEL, ANOTHER, FIRST, FIRST, options)
    return float(cost[0]), float(background[0])


def test_cost_by_hand() -> None:
    # BCE: -ln .8 - ln .9. L1: .2 + 0 + .2 + 0. IoU .08 / .24, the hull is the union.
    entropy, apart, overlap = -math.log(0.8) - math.log(0.9), 0.4, 1 - 1 / 3
    nothing = -math.log(0.2) - math.log(0.9)
    assert cost_of(LabellingOptions()) == pytest.approx((entropy + apart + overlap, nothing))
    mean = entropy / 2 + apart + overlap
    assert cost_of(LabellingOptions(bce="mean")) == pytest.approx((mean, nothing / 2))
    smooth = entropy + 0.04 + overlap
    assert cost_of(LabellingOptions(distance="smooth-l1")) == pytest.approx((smooth, nothing))
    weighted = 2 * entropy + 3 * apart + 5 * overlap
    assert cost_of(LabellingOptions(weights=(2, 3, 5))) == pytest.approx((weighted, 2 * nothing))


def test_smooth_l1_is_straight_beyond_one() -> None:
    apart = np.array([[0.5, 0, 0, -2.0]])
    assert distance(apart, "smooth-l1").tolist() == [0.125 + 1.5]


def test_scores_of_0_and_1_cost_a_finite_amount() -> None:
    sure, label = np.array([[0.0, 1.0]]), np.array([[True, False]])
    entropy, background = cross_entropy(sure, label, FIRST, FIRST)
    assert entropy[0] == pytest.approx(-2 * math.log(1e-4))
    assert background[0] == pytest.approx(-math.log(1e-4) - math.log1p(-1e-4))


@given(st.integers(0, 2**32 - 1))
def test_pairwise_overlap_equals_the_matrix_functions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (np.sort(rng.random((2, 5, 2)), 0).swapaxes(0, 1).reshape(5, 4) for _ in range(2))
    b[0] = a[0, [0, 1, 0, 1]]  # no area
    np.testing.assert_allclose(boxes.paired_giou(a, b), np.diag(boxes.giou(a, b)), atol=1e-12)
    np.testing.assert_allclose(boxes.paired_iou(a, b), np.diag(boxes.iou(a, b)), atol=1e-12)


def least(cost: Floats, background: Floats, rule: str) -> float:
    """Minimum total over all assignments of columns to at most one row."""
    n, m = cost.shape
    best = math.inf
    spare = max(n - m, 0)
    for columns in itertools.permutations([*range(m), *[-1] * spare], n):
        left_over = 0.0 if rule == "free" else 1.0
        paid = [cost[i, c] if c >= 0 else left_over * background[i] for i, c in enumerate(columns)]
        best = min(best, sum(paid))
    return best


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=3),
    st.sampled_from(["paper", "free"]),
    st.integers(0, 2**32 - 1),
)
def test_no_assignment_costs_less(sizes: list[tuple[int, int]], rule: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = np.array(sizes, np.intp).T
    cost, background = rng.random(int((n * m).sum())), 2 * rng.random(int(n.sum()))
    chosen = assign(cost, background, n, m, rule)
    at, base = 0, 0
    for rows, columns in sizes:
        own = chosen[(chosen >= base) & (chosen < base + rows * columns)] - base
        taken = {int(c) // columns: int(c) % columns for c in own}
        assert len(taken) == len(own) == len(set(taken.values())) == min(rows, columns)
        block = cost[base : base + rows * columns].reshape(rows, columns)
        spare = [i for i in range(rows) if i not in taken]
        paid = sum(block[i, c] for i, c in taken.items())
        paid += background[at : at + rows][spare].sum() if rule == "paper" else 0
        # Without anybody around there is nothing to assign: all are background.
        if columns:
            assert paid == pytest.approx(least(block, background[at : at + rows], rule))
        at, base = at + rows, base + rows * columns


def test_the_most_confident_person_is_not_background() -> None:
    # Both boxes fit the label equally; the rule decides which one is unmatched.
    cost, background = np.array([1.0, 0.9]), np.array([5.0, 0.1])
    two, one = np.array([2]), np.array([1])
    assert assign(cost, background, two, one, "paper").tolist() == [0]
    assert assign(cost, background, two, one, "free").tolist() == [1]


def test_frames_do_not_mix() -> None:
    score, box = np.array([[0.9, 0.1], [0.1, 0.9]]), np.concatenate([ONE, ONE])
    label, start = np.array([[False, True], [True, False]]), np.array([0, 1, 2])
    together = assign_labels(
        score, box, np.array([0, 2]), label, box, start[[0, 2]], LabellingOptions()
    )
    assert together[0].tolist() == [1, 0]
    apart = assign_labels(score, box, start, label, box, start, LabellingOptions())
    assert apart[0].tolist() == [0, 1]
    assert apart[1][0] > together[1][0]


def test_no_neighbours_or_no_detections() -> None:
    none, one = np.array([0, 0]), np.array([0, 1])
    taken, cost = assign_labels(SCORE, ONE, one, LABEL[:0], ONE[:0], none, LabellingOptions())
    assert taken.tolist() == [-1]
    assert np.isnan(cost).all()
    taken, cost = assign_labels(SCORE[:0], ONE[:0], none, LABEL, ONE, one, LabellingOptions())
    assert len(taken) == len(cost) == 0
