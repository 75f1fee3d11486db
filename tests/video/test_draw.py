"""Drawing: correct boxes, labels readable and inside the frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.video.draw import COLOURS, Edge, draw_people, label_lines, place, plain, short

BOX = np.array([[0.25, 0.25, 0.75, 0.75]], np.float32)
EDGES: tuple[Edge, ...] = ("seen", "moved", "guessed")


def test_a_box_is_drawn_in_its_persons_colour() -> None:
    blank = np.zeros((240, 320, 3), np.uint8)
    drawn = draw_people(blank, BOX, [1], [[]])
    assert drawn[60, 80].tolist() == list(COLOURS[1])  # top left
    assert drawn[179, 239].tolist() == list(COLOURS[1])  # bottom right, inside
    assert not drawn[120, 160].any()
    assert not drawn[:58].any()
    assert not drawn[182:].any()
    assert not blank.any()  # the input frame is unchanged


def test_colours_repeat_and_are_stable() -> None:
    blank = np.zeros((60, 60, 3), np.uint8)
    one, again = (draw_people(blank, BOX, [i], [[]]) for i in (3, 3 + len(COLOURS)))
    np.testing.assert_array_equal(one, again)


def test_text_scales_with_the_frame() -> None:
    def plate(height: int) -> float:
        blank = np.zeros((height, height, 3), np.uint8)
        drawn = draw_people(blank, np.full((1, 4), 0.5, np.float32), [0], [["walk 0.83"]])
        return float((drawn.sum(2) > 0).mean())

    assert plate(1080) == pytest.approx(plate(540), rel=0.2)


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (-0.5, -0.5, 0.1, 0.1), (0.9, 0.9, 1.5, 1.5)])
@pytest.mark.parametrize("size", [(1, 1), (20, 300), (300, 20), (144, 192)])
def test_any_box_in_any_frame_can_be_drawn(box: tuple[float, ...], size: tuple[int, int]) -> None:
    labels = [[f"class {i} 0.50" for i in range(5)]]
    drawn = draw_people(np.zeros((*size, 3), np.uint8), np.array([box], np.float32), [0], labels)
    assert drawn.shape == (*size, 3)


def test_without_people_the_frame_is_copied() -> None:
    frame = np.full((8, 8, 3), 7, np.uint8)
    drawn = draw_people(frame, np.zeros((0, 4), np.float32), [], [])
    np.testing.assert_array_equal(drawn, frame)
    assert drawn is not frame


def test_the_stack_is_placed_where_there_is_room() -> None:
    frame, size = (200, 100), (40, 20)
    assert place((50, 40, 90, 80), size, frame, []) == (50, 20, 90, 40)  # above
    assert place((50, 10, 90, 60), size, frame, []) == (50, 60, 90, 80)  # below
    assert place((50, 5, 90, 95), size, frame, []) == (50, 5, 90, 25)  # inside
    assert place((190, 40, 230, 80), size, frame, []) == (160, 20, 200, 40)  # pushed in
    taken = [(50, 20, 90, 40)]
    assert place((50, 40, 90, 80), size, frame, taken) == (50, 80, 90, 100)  # above is taken


@given(
    corner=st.tuples(*[st.integers(-300, 300)] * 4),
    size=st.tuples(st.integers(1, 300), st.integers(1, 90)),
)
def test_a_plate_is_never_outside_the_frame(
    corner: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    x1, y1, x2, y2 = place(corner, size, (200, 100), [(0, 0, 50, 50)])
    assert 0 <= x1 < x2 <= 200
    assert 0 <= y1 < y2 <= 100


def test_labels_are_the_best_scores_first() -> None:
    scores = np.array([0.2, np.nan, 0.83, 0.5, 0.83], np.float32)
    names = ["sit", "jump", "walk", "talk", "run"]
    assert label_lines(scores, names) == ["walk 0.83", "run 0.83", "talk 0.50", "sit 0.20"]
    assert label_lines(scores, names, min_action=0.5, most=2) == ["walk 0.83", "run 0.83"]
    assert label_lines(np.full(3, np.nan, np.float32), names[:3]) == []


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("walk", "walk"),
        ("carry/hold (an object)", "carry/hold..."),
        ("talk to (e.g., self, a person, a group)", "talk to..."),
        ("a class with a name beyond all measure", "a class with a name be.."),
        ("müde Übung", "mude Ubung"),
        ("Straße", "Strasse"),
        ("走", "<8D70>"),
        ("tab\there", "tab here"),
    ],
)
def test_names_are_converted_for_the_font(name: str, drawn: str) -> None:
    assert short(name) == drawn


@given(st.text())
def test_any_name_becomes_plain_letters(name: str) -> None:
    assert all(c.isascii() and c.isprintable() for c in plain(name))


def test_line_styles_show_the_source_of_a_box() -> None:
    blank = np.zeros((540, 960, 3), np.uint8)
    drawn = {edge: draw_people(blank, BOX, [1], [[]], [edge]) for edge in EDGES}
    inked = {edge: int((picture.sum(2) > 0).sum()) for edge, picture in drawn.items()}
    assert inked["guessed"] < 0.75 * inked["moved"] < inked["moved"] < inked["seen"]
    # Dashes begin at the corner, with gaps along the upper side.
    top = drawn["guessed"][135, 240:720].sum(1) > 0
    assert top[0]
    assert 0.4 < top.mean() < 0.75
    np.testing.assert_array_equal(drawn["moved"], draw_people(blank, BOX, [1], [[]]))
    for edge in EDGES:
        assert not drawn[edge][150:390, 255:705].any()
