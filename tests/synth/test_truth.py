import numpy as np

from stadkit.synth.figure import Ids
from stadkit.synth.light import COVER
from stadkit.synth.truth import _enough_inside, _visible_box


def ids(number: int = 1) -> Ids:
    out = np.zeros((60, 80), np.uint16)
    out[10:40, 20:30] = number * 16 + 1
    return out


def test_box_is_the_extent_of_visible_pixels() -> None:
    picture = ids()
    assert _visible_box(picture, 1, 300) is not None
    assert np.array_equal(np.asarray(_visible_box(picture, 1, 300)), [20, 10, 30, 40])
    picture[30:] = COVER
    assert np.array_equal(np.asarray(_visible_box(picture, 1, 300)), [20, 10, 30, 30])


def test_less_than_a_quarter_visible_is_ignored() -> None:
    assert _visible_box(ids(), 1, 1200) is not None
    assert _visible_box(ids(), 1, 1201) is None


def test_tiny_people_are_ignored() -> None:
    picture = np.zeros((60, 80), np.uint16)
    picture[10:18, 20:30] = 16
    assert _visible_box(picture, 1, 80) is None
    picture[10:19, 20:30] = 16
    assert _visible_box(picture, 1, 90) is not None


def test_a_chair_is_not_part_of_its_user() -> None:
    picture = ids()
    picture[40:50, 20:30] = 16 + 8
    assert np.array_equal(np.asarray(_visible_box(picture, 1, 300)), [20, 10, 30, 40])
    assert _visible_box(picture, 2, 1) is None


def test_a_head_or_a_quarter_of_the_joints_must_be_inside() -> None:
    uv = np.full((20, 2), -5.0)
    assert not _enough_inside(uv, 80, 60)
    uv[8:12] = 10
    assert not _enough_inside(uv, 80, 60)
    uv[3] = 10  # the head
    assert _enough_inside(uv, 80, 60)
    uv[3], uv[12] = -5, 10
    assert _enough_inside(uv, 80, 60)
