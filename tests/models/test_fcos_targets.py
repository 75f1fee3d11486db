"""Assignment of points to people, by hand on a clip of 128 x 128."""

import math

import pytest
import torch
from torch import Tensor

from stadkit.errors import UsageError
from stadkit.models.fcos import DensePredictions, assign, centerness, points

STRIDES = (8, 16, 32)
OPEN = (64.0, 128.0, math.inf)


def dense(size: int = 128, clips: int = 1) -> DensePredictions:
    """Empty predictions at all points of three levels."""
    parts = [points(size // s, size // s, s) for s in STRIDES]
    level = torch.cat([torch.full((len(p),), i) for i, p in enumerate(parts)])
    point = torch.cat(parts)
    nothing = torch.zeros(clips, len(point))
    stride = torch.tensor(STRIDES).float()[level]
    return DensePredictions(
        nothing, nothing[..., None].repeat(1, 1, 4), nothing, point, stride, level
    )


def positives(where: DensePredictions, match: Tensor) -> list[list[float]]:
    """Rows (level, x, y, person) of the positive points of the first clip."""
    at = torch.nonzero(match[0] >= 0)[:, 0]
    rows = torch.cat([where.level[at, None], where.point[at], match[0, at, None]], 1)
    return rows.tolist()  # type: ignore[no-any-return]


def test_positive_points_are_near_the_centre_on_the_matching_level() -> None:
    where, box = dense(), torch.tensor([[[0.0, 0, 64, 64]]])
    match = assign(where, torch.ones(1, 1).bool(), box, OPEN)
    # Closer than 12 pixels to (32, 32); farthest side 36, so the first level only.
    want = [[0, x, y, 0] for y in (28, 36) for x in (28, 36)]
    assert positives(where, match) == want


def test_the_farthest_side_determines_the_level() -> None:
    where, box = dense(), torch.tensor([[[8.0, 8, 120, 120]]])
    match = assign(where, torch.ones(1, 1).bool(), box, OPEN)
    # Centre (64, 64). First level: 60 at (60, 60). Second: 64 at (56, 56), where its range
    # begins. Third: (48, 48) is near enough to the centre, but 72 is not in 128 and more.
    first = [[0, 60, 60, 0], [0, 68, 60, 0], [0, 60, 68, 0], [0, 68, 68, 0]]
    second = [[1, x, y, 0] for y in (56, 72) for x in (56, 72)]
    assert positives(where, match) == first + second


def test_both_ends_of_a_range_are_included() -> None:
    where, box = dense(), torch.tensor([[[8.0, 24, 88, 88]]])
    # To the right side: 68 from (20, 52) and 60 from (28, 52) of the first level, exactly
    # 64 from (24, 56) of the second.
    match = assign(where, torch.ones(1, 1).bool(), box, OPEN, None)
    rows = positives(where, match)
    assert [1, 24, 56, 0] in rows
    assert [0, 20, 52, 0] not in rows
    assert [0, 28, 52, 0] in rows


def test_the_smallest_box_wins() -> None:
    box = torch.tensor([[[0.0, 0, 64, 64], [24, 24, 40, 40]]])
    where = dense()
    match = assign(where, torch.ones(1, 2).bool(), box, OPEN)
    assert {row[3] for row in positives(where, match)} == {1}


def test_without_radius_the_whole_box_is_positive() -> None:
    where, box = dense(), torch.tensor([[[0.0, 0, 32, 32]]])
    match = assign(where, torch.ones(1, 1).bool(), box, OPEN, None)
    assert [row[0] for row in positives(where, match)] == [0.0] * 16


def test_people_larger_than_a_finite_last_range_are_background() -> None:
    where, box = dense(640), torch.tensor([[[0.0, 0, 600, 600]]])
    rows = torch.ones(1, 1).bool()
    assert (assign(where, rows, box, OPEN) >= 0).any()
    assert not (assign(where, rows, box, (64, 128, 256)) >= 0).any()


def test_rows_that_are_nobody_and_clips_of_nobody() -> None:
    box = torch.tensor([[[0.0, 0, 64, 64]]]).repeat(2, 1, 1)
    match = assign(dense(clips=2), torch.tensor([[True], [False]]), box, OPEN)
    assert (match >= 0).sum(1).tolist() == [4, 0]
    none = assign(dense(clips=2), torch.zeros(2, 0).bool(), torch.zeros(2, 0, 4), OPEN)
    assert (none == -1).all()


def test_a_range_a_level() -> None:
    with pytest.raises(UsageError, match="pyramid of 3 levels needs 2"):
        assign(dense(), torch.ones(1, 1).bool(), torch.zeros(1, 1, 4), (64, math.inf))


def test_centerness_by_hand() -> None:
    point = torch.tensor([[5.0, 5], [2, 5], [2, 1], [0, 5]])
    got = centerness(point, torch.tensor([[0.0, 0, 10, 10]]).repeat(4, 1))
    want = torch.tensor([1, 2 / 8, 2 / 8 * 1 / 9, 0]).sqrt()
    torch.testing.assert_close(got, want)
