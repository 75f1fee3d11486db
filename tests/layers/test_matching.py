"""One-to-one matching at minimum cost, checked against brute force."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stadkit.errors import StadkitError
from stadkit.layers.matching import assign, set_cost

SIZES = st.tuples(st.integers(1, 5), st.integers(1, 5))


def random_cost(sizes: tuple[int, int], seed: int) -> Tensor:
    # Integers: sums are exact, and some costs tie.
    drawn = np.random.default_rng(seed).integers(-9, 10, (1, *sizes))
    return torch.from_numpy(drawn).double()


def every(cost: Tensor) -> Tensor:
    return torch.ones(len(cost), cost.shape[2], dtype=torch.bool)


def least(cost: Tensor) -> float:
    """The minimum cost of any one-to-one matching in [P, M], by brute force."""
    small = cost if cost.shape[0] <= cost.shape[1] else cost.T
    rows = range(small.shape[0])
    ways = itertools.permutations(range(small.shape[1]), small.shape[0])
    return min(float(sum(small[row, way[row]] for row in rows)) for way in ways)


@given(sizes=SIZES, seed=st.integers(0, 10_000))
def test_the_matching_has_minimum_cost(sizes: tuple[int, int], seed: int) -> None:
    cost = random_cost(sizes, seed)
    clip, proposal, target = assign(cost, every(cost))
    assert cost[clip, proposal, target].sum().item() == least(cost[0])


@given(sizes=SIZES, seed=st.integers(0, 10_000))
def test_targets_are_matched_once_in_proposal_order(sizes: tuple[int, int], seed: int) -> None:
    cost = random_cost(sizes, seed)
    clip, proposal, target = (index.tolist() for index in assign(cost, every(cost)))
    assert len(clip) == min(sizes)
    assert proposal == sorted(set(proposal))
    assert len(set(target)) == len(target)


@given(sizes=SIZES, seed=st.integers(0, 10_000), more=st.integers(-100, 100))
def test_a_constant_changes_nothing(sizes: tuple[int, int], seed: int, more: int) -> None:
    cost = random_cost(sizes, seed)
    clip, proposal, target = assign(cost + more, every(cost))
    assert cost[clip, proposal, target].sum().item() == least(cost[0])


def test_only_real_targets_are_matched_clip_by_clip() -> None:
    cost = torch.tensor([[[5.0, 1, 9], [0, 2, 9]], [[0.0, 0, 9], [0, 0, 3]], [[1.0, 1, 1]] * 2])
    rows = torch.tensor([[True, True, False], [False, False, True], [False] * 3])
    got = [index.tolist() for index in assign(cost, rows)]
    assert got == [[0, 0, 1], [0, 1, 1], [1, 0, 2]]


@pytest.mark.parametrize("shape", [(2, 3, 0), (0, 3, 2), (0, 0, 0)])
def test_no_targets(shape: tuple[int, int, int]) -> None:
    cost = torch.zeros(shape)
    for index in assign(cost, every(cost)):
        assert index.shape == (0,)
        assert index.dtype == torch.int64


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_costs_that_are_not_finite(wrong: float) -> None:
    cost = torch.zeros(1, 2, 2)
    cost[0, 1, 1] = wrong
    with pytest.raises(StadkitError, match=f"matching boxes with people is {wrong}"):
        assign(cost, every(cost))
    # Ignored without real targets.
    assert [len(index) for index in assign(cost, torch.tensor([[True, False]]))] == [1, 1, 1]


def test_cost_by_hand() -> None:
    logit = torch.tensor([[[0.0, 0.0], [3.0, 0.0]]], requires_grad=True)  # [1, 2, 2]
    box = torch.tensor([[[0.0, 0, 2, 2], [1, 1, 3, 3]]])
    truth = torch.tensor([[[1.0, 1, 3, 3]]])
    frame = torch.tensor([[[10.0, 20, 10, 20]]])
    got = set_cost(logit, box, truth, frame, (2.0, 5.0, 3.0))
    # One pixel off on every side: .1 + .05 + .1 + .05; IoU 1 / 7, two ninths of the hull empty.
    first = -2 * 0.5 + 5 * 0.3 - 3 * (1 / 7 - 2 / 9)
    second = -2 / (1 + np.exp(-3)) - 3
    assert got.shape == (1, 2, 1)
    assert got.flatten().tolist() == pytest.approx([first, second])
    assert not got.requires_grad


def test_cost_of_many_heads() -> None:
    random = torch.Generator().manual_seed(0)
    logit = torch.randn(3, 2, 4, 2, generator=random)
    box, truth = torch.rand(3, 2, 4, 4, generator=random), torch.rand(2, 5, 4, generator=random)
    frame, weights = torch.rand(2, 1, 4, generator=random), (2.0, 5.0, 2.0)
    whole = set_cost(logit, box, truth, frame, weights)
    assert whole.shape == (3, 2, 4, 5)
    pair = set_cost(logit[2, 1, 3:], box[2, 1, 3:], truth[1, 2:3], frame[1], weights)
    torch.testing.assert_close(whole[2, 1, 3:, 2:3], pair)
