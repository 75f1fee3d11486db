"""Tubelets put together by hand.

Boxes are 1 high, from 0 to where their row says: the IoU of two is the shorter to the longer.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from stadkit.linking.tubelets import Observations, chain_tubelets

Row = tuple[int, int, float]  # frame, tubelet, right end


def sights(
    *rows: Row, rank: list[float] | None = None, score: list[list[float]] | None = None
) -> Observations:
    return Observations(
        frame=np.array([row[0] for row in rows]),
        box=np.array([(0, 0, row[2], 1) for row in rows], np.float64),
        rank=np.array(rank or [0.5] * len(rows)),
        score=np.array(score or [[0.5]] * len(rows)),
        chain=np.array([row[1] for row in rows]),
    )


def summary(seen: Observations) -> list[tuple[int, int, float]]:
    """(frame, chain, right end) of each."""
    return list(
        zip(seen.frame.tolist(), seen.chain.tolist(), seen.box[:, 2].round(9).tolist(), strict=True)
    )


def test_without_tubelets_nothing_changes() -> None:
    given = sights((0, -1, 1), (0, -1, 1), (1, -1, 1))
    got, row = chain_tubelets(given)
    assert got is given
    assert row.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("second", "chain"), [((0.4, 0.6), 0), ((0.4, 0.5), 1), ((0, 0), 1)])
def test_tubelets_with_half_iou_are_one_person(second: tuple[float, float], chain: int) -> None:
    # Frames 1 and 2 are common: a mean IoU of (.4 + .6) / 2, .45, 0.
    rows: list[Row] = [(0, 5, 1), (1, 5, 1), (1, 8, second[0]), (2, 5, 1), (2, 8, second[1])]
    got, row = chain_tubelets(sights(*rows, (3, 8, 1)))
    assert got.chain[-1] == chain
    assert len(got.frame) == (4 if chain == 0 else 6)
    assert got.frame[row].tolist() == [0, 1, 1, 2, 2, 3]


def test_several_tubelets_at_one_frame_are_averaged() -> None:
    rows: list[Row] = [(0, 0, 1.0), (1, 0, 1.0), (1, 1, 0.8), (2, 1, 0.8)]
    score = [[0.1, 0.0], [0.2, 0.4], [0.6, 0.8], [0.3, 0.0]]
    got, row = chain_tubelets(sights(*rows, rank=[0.1, 0.2, 0.4, 0.8], score=score))
    assert summary(got) == [(0, 0, 1.0), (1, 0, 0.9), (2, 0, 0.8)]
    assert got.rank == pytest.approx([0.1, 0.3, 0.8])
    assert got.score == pytest.approx(np.array([[0.1, 0.0], [0.4, 0.6], [0.3, 0.0]]))
    assert row.tolist() == [0, 1, 1, 2]


def test_a_tubelet_counts_once_per_frame_by_its_best_row() -> None:
    # Two rows of tubelet 0 in frame 1 for two classes; one of tubelet 1.
    rows: list[Row] = [(0, 0, 1.0), (1, 0, 0.5), (1, 0, 1.0), (1, 1, 0.8)]
    score = [[0.0, 0.0], [0.8, 0.0], [0.0, 0.6], [0.4, 0.2]]
    got, row = chain_tubelets(sights(*rows, rank=[0.5, 0.2, 0.4, 0.8], score=score))
    assert summary(got) == [(0, 0, 1.0), (1, 0, 0.9)]
    assert got.rank == pytest.approx([0.5, 0.6])
    assert got.score[1] == pytest.approx([0.6, 0.4])
    assert row.tolist() == [0, 1, 1, 1]


def test_tubelets_without_earlier_overlap_are_two_people() -> None:
    assert chain_tubelets(sights((0, 3, 1), (0, 4, 1)))[0].chain.tolist() == [0, 1]
    assert chain_tubelets(sights((0, 3, 1), (1, 4, 1)))[0].chain.tolist() == [0, 1]


def test_each_tubelet_continues_the_chain_of_largest_iou() -> None:
    # In frame 1: tubelets 0 and 1 end at 1 and .8, 2 and 3 at .8 and 1; all overlap enough.
    rows: list[Row] = [(0, 0, 1), (0, 1, 0.8), (1, 0, 1), (1, 1, 0.8), (1, 2, 0.8), (1, 3, 1)]
    got, row = chain_tubelets(sights(*rows))
    assert got.chain[row].tolist() == [0, 1, 0, 1, 1, 0]
    # As a whole: .9 of .95 and .8 at .855 share more than the other way round.
    rows = [(0, 0, 0.95), (0, 1, 0.8), (1, 0, 0.95), (1, 1, 0.8), (1, 2, 0.855)]
    got, row = chain_tubelets(sights(*rows, (1, 3, 0.9)))
    assert got.chain[row].tolist() == [0, 1, 0, 1, 1, 0]


def test_a_chain_of_many() -> None:
    # Four frames each, two frames apart; each a little narrower than the one before.
    rows: list[Row] = [(f, k, 0.9**k) for k in range(9) for f in range(2 * k, 2 * k + 4)]
    got, row = chain_tubelets(sights(*rows))
    assert got.frame.tolist() == list(range(20))
    assert got.chain.tolist() == [0] * 20
    assert row.tolist() == [f for f, _, _ in rows]
    assert got.box[2:4, 2] == pytest.approx([0.95, 0.95])


def test_boxes_without_a_tubelet_are_unchanged() -> None:
    rows: list[Row] = [(0, -1, 1), (0, 2, 1), (0, -1, 1), (1, 2, 1), (1, -1, 1)]
    got, row = chain_tubelets(sights(*rows, score=[[0.1], [0.2], [0.3], [0.4], [0.5]]))
    assert sorted(summary(got)) == [(0, -1, 1), (0, -1, 1), (0, 0, 1), (1, -1, 1), (1, 0, 1)]
    back: NDArray[np.float64] = got.score[row, 0]
    assert back.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert np.diff(got.frame).min() >= 0
