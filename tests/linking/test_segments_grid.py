"""Tracks on the grid of keyframes, by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stadkit.linking.segments import Grid, TrackedPeople, grids

Row = tuple[int, int, float]  # frame, track, left edge; its score is ten times that


def seen(time: NDArray[np.float64], *rows: Row) -> TrackedPeople:
    rows = tuple(sorted(rows))
    return TrackedPeople(
        time=time,
        frame=np.array([row[0] for row in rows], np.intp),
        box=np.array([(x, 0, x + 1, 2) for _, _, x in rows], np.float64).reshape(-1, 4),
        score=np.array([(10 * x, 1) for _, _, x in rows], np.float64).reshape(-1, 2),
        track=np.array([row[1] for row in rows], np.int32),
    )


def only(grid: list[Grid]) -> Grid:
    assert len(grid) == 1
    return grid[0]


def test_values_are_linear_in_time_between_observations() -> None:
    # TrackedPeople at 1 and 3 s; not at 1.5 and 2.5.
    time = np.array([0, 1, 1.5, 2.5, 3, 4])
    grid = only(list(grids(seen(time, (1, 7, 0.0), (4, 7, 0.8)), split_gap=9)))
    assert grid.track.tolist() == [7]
    assert grid.length.tolist() == [4]
    assert grid.frame.tolist() == [[1], [2], [3], [4]]
    assert grid.time[:, 0].tolist() == [1, 1.5, 2.5, 3]
    assert grid.box[:, 0, 0] == pytest.approx([0, 0.2, 0.6, 0.8])
    assert grid.box[:, 0, 2] == pytest.approx([1, 1.2, 1.6, 1.8])
    assert grid.score[:, 0, 0] == pytest.approx([0, 2, 6, 8])
    assert grid.score[:, 0, 1] == pytest.approx([1, 1, 1, 1])
    assert grid.seen[:, 0].tolist() == [True, False, False, True]
    assert grid.unseen[:, 0].tolist() == [0, 2, 2, 0]


def test_each_absence_has_its_own_length() -> None:
    rows: list[Row] = [(f, 0, 0.1) for f in (0, 1, 3, 6)]
    grid = only(list(grids(seen(np.arange(7.0), *rows), split_gap=9)))
    assert grid.unseen[:, 0].tolist() == [0, 0, 2, 0, 3, 3, 0]
    assert grid.seen[:, 0].tolist() == [True, True, False, True, False, False, True]


def test_tracks_of_similar_length_share_a_grid() -> None:
    # Of 5, 7 and 8 keyframes together, of 2 and of 1 each alone.
    lengths = {0: 5, 1: 2, 2: 8, 3: 1, 4: 7}
    rows: list[Row] = [(1 + f, track, 0.1 * f) for track, n in lengths.items() for f in range(n)]
    got = list(grids(seen(np.arange(9.0), *rows), split_gap=9))
    assert [grid.track.tolist() for grid in got] == [[3], [1], [0, 2, 4]]
    grid = got[-1]
    assert grid.length.tolist() == [5, 8, 7]
    assert grid.frame.shape == (8, 3)
    assert grid.frame[:, 0].tolist() == [1, 2, 3, 4, 5, 5, 5, 5]
    # Beyond its end a track has no scores and was not seen.
    assert grid.score[:, 0, 1].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    assert grid.seen.sum(0).tolist() == [5, 8, 7]
    assert grid.unseen.max() == 0
    assert grid.box[:, 1, 0] == pytest.approx(0.1 * np.arange(8))


def test_unprocessed_time_splits_a_track() -> None:
    time = np.array([0, 0.2, 0.4, 1.4, 1.6, 3.1])
    rows: list[Row] = [(f, 2, 0.1 * f) for f in range(6)] + [(5, 3, 0.5)]
    got = list(grids(seen(time, *rows), split_gap=1.2))
    # Up to .4 s and 1.4 s on, 1 s apart, are one; 3.1 s is another row of track 2.
    parts = sorted(
        (int(grid.track[i]), grid.time[: grid.length[i], i].tolist())
        for grid in got
        for i in range(len(grid.track))
    )
    assert parts == [(2, [0, 0.2, 0.4, 1.4, 1.6]), (2, [3.1]), (3, [3.1])]
    assert sum(len(grid.track) for grid in grids(seen(time, *rows), split_gap=0.9)) == 4
    assert sum(len(grid.track) for grid in grids(seen(time, *rows), split_gap=1.6)) == 2


def test_no_interpolation_across_unprocessed_time() -> None:
    # Not seen in the last keyframe before the hole and the first after it.
    time = np.array([0, 1, 2, 50, 51, 52.0])
    got = list(grids(seen(time, (0, 0, 0.1), (1, 0, 0.1), (4, 0, 0.5), (5, 0, 0.5)), split_gap=3))
    grid = only(got)
    assert grid.track.tolist() == [0, 0]
    assert grid.frame.T.tolist() == [[0, 1], [4, 5]]
    assert grid.seen.all()
