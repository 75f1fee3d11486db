"""Linking of boxes in single frames against numbers worked by hand."""

import numpy as np
import pytest

from stadkit.errors import UsageError
from stadkit.instances import Instances
from stadkit.linking.greedy import link_mmaction2

LEFT, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0)
Row = tuple[int, int, float, tuple[float, ...]]  # frame from 0, label, score, box


def claims(*rows: Row) -> Instances:
    return Instances(
        videos=("a",),
        video=np.zeros(len(rows), np.int32),
        time=np.array([row[0] for row in rows], np.float64) / 25,
        box=np.array([row[3] for row in rows], np.float64).reshape(-1, 4),
        label=np.array([row[1] for row in rows], np.int32),
        score=np.array([row[2] for row in rows], np.float64),
        classes=("run", "jump"),
    )


def test_two_people_and_two_classes_do_not_mix() -> None:
    rows: list[Row] = [(f, 0, 0.5, LEFT) for f in range(16)]
    rows += [(f, 0, 0.7, RIGHT) for f in range(16)]
    rows += [(f, 1, 0.6, LEFT) for f in range(17)]
    tubes = link_mmaction2(claims(*rows), rate=25)
    assert tubes.label.tolist() == [0, 0, 1]
    # Those that end in one frame, be it the last, come from the worst to the best.
    assert tubes.score == pytest.approx([0.5, 0.7, 0.6])
    assert np.diff(tubes.start).tolist() == [16, 16, 17]
    assert tubes.time[:3] == pytest.approx([0, 0.04, 0.08])
    assert tubes.box[0] == pytest.approx(LEFT)


def test_one_missed_frame_ends_a_tube() -> None:
    rows: list[Row] = [(f, 0, 0.5, LEFT) for f in range(40) if f != 15]
    tubes = link_mmaction2(claims(*rows), rate=25)
    assert np.diff(tubes.start).tolist() == [15, 24]
    assert tubes.time[tubes.start[:-1]] == pytest.approx([0, 16 / 25])


def test_a_box_without_a_class_is_skipped() -> None:
    rows: list[Row] = [(f, -1, 0.5, LEFT) for f in range(20)]
    assert len(link_mmaction2(claims(*rows), rate=25)) == 0


def test_the_score_of_the_last_row_for_all() -> None:
    rows: list[Row] = [(f, 0, 0.5 + f / 100, LEFT) for f in range(15)]
    found = claims(*rows, (99, 1, 0.25, RIGHT))
    assert link_mmaction2(found, rate=25).score == pytest.approx([0.57])
    tubes = link_mmaction2(found, rate=25, last_score=True)
    assert tubes.score == pytest.approx([0.25])
    assert tubes.box_score == pytest.approx(np.full(15, 0.25))


def test_nothing_found() -> None:
    assert len(link_mmaction2(claims(), rate=25, last_score=True)) == 0


def test_an_iou_of_exactly_half_links() -> None:
    half = (0.0, 0.0, 0.4, 0.5)
    rows: list[Row] = [(f, 0, 0.5, LEFT if f % 2 else half) for f in range(15)]
    tubes = link_mmaction2(claims(*rows), rate=25, sizes={"a": (240, 320)})
    assert len(tubes) == 1
    assert tubes.box[:2] == pytest.approx(np.array([half, LEFT]))
    with pytest.raises(UsageError, match="no width and height for video 'a'"):
        link_mmaction2(claims(*rows), rate=25, sizes={})


def test_tubes_open_at_the_end_are_sorted_best_first() -> None:
    rows: list[Row] = [(f, 0, 0.5, LEFT) for f in range(16)]
    rows += [(f, 0, 0.7, RIGHT) for f in range(16)]
    assert link_mmaction2(claims(*rows), rate=25).score == pytest.approx([0.7, 0.5])
