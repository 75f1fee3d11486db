from dataclasses import replace

import numpy as np
import pytest

from stadkit.synth.camera import CameraView
from stadkit.synth.figure import FLAT, Canvas, Figure, Material, Part, limb_outlines, outline
from stadkit.synth.painter import draw
from stadkit.synth.texture import NEUTRAL, TILE

RED = Material(np.array([200.0, 40, 20]))


def canvas() -> Canvas:
    return Canvas(
        np.full((40, 60, 3), 100, np.uint8),
        np.zeros((40, 60), np.uint16),
        np.full((40, 60), FLAT, np.uint8),
    )


def view_of(uv: list[list[float]], depth: float = 1.0) -> CameraView:
    points = np.array([uv])
    return CameraView(points, np.ones(points.shape[:2]), np.full(points.shape[:2], depth))


def ball(radius: float, number: int = 1, own: bool = True) -> Figure:
    part = Part((0,), (radius,), 0 if own else 8)
    return Figure(np.zeros((1, 1, 3)), (part,), (RED,) * 9, (1.0, 1.0), (0, 0), number=number)


def test_limb_outline_reaches_its_radii() -> None:
    a, b = np.array([10.0, 5]), np.array([20.0, 5])
    shape = limb_outlines(a, np.array(2.0), b, np.array(1.0))
    assert shape.shape == (12, 2)
    assert np.ptp(shape[:, 1]) == pytest.approx(4)
    assert shape[:, 0].max() <= 21
    assert shape[:, 0].min() >= 8


def test_ball_covers_its_disc_and_its_id() -> None:
    painted, figure = canvas(), ball(8.0, number=3)
    shapes = outline(figure, view_of([[30.0, 20.0]]), np.zeros(2))
    count = draw(figure, shapes, 0, painted)
    assert count == np.count_nonzero(painted.ids == 3 * 16)
    assert 0.9 * np.pi * 64 < count < 1.25 * np.pi * 64
    assert painted.pixels[20, 30].tolist() == [200, 40, 20]
    assert painted.pixels[2, 2].tolist() == [100, 100, 100]


def test_ball_half_outside_counts_pixels_inside() -> None:
    painted, figure = canvas(), ball(8.0)
    count = draw(figure, outline(figure, view_of([[0.0, 20.0]]), np.zeros(2)), 0, painted)
    assert 0.4 * np.pi * 64 < count < 0.7 * np.pi * 64
    assert draw(figure, outline(figure, view_of([[-50.0, 20.0]]), np.zeros(2)), 0, canvas()) == 0


def test_props_in_use_are_painted_but_not_counted() -> None:
    painted, chair = canvas(), ball(8.0, own=False)
    assert draw(chair, outline(chair, view_of([[30.0, 20.0]]), np.zeros(2)), 0, painted) == 0
    assert painted.pixels[20, 30].tolist() == [200, 40, 20]


def test_invisible_parts_are_not_painted() -> None:
    painted = canvas()
    figure = replace(ball(8.0), visible=np.zeros((1, 1), np.bool_))
    assert draw(figure, outline(figure, view_of([[30.0, 20.0]]), np.zeros(2)), 0, painted) == 0
    assert (painted.pixels == 100).all()


def test_near_parts_hide_far_ones() -> None:
    materials = (RED, Material(np.array([10.0, 200, 10])))
    figure = Figure(
        np.zeros((1, 2, 3)),
        (Part((0,), (8.0,), 0), Part((1,), (8.0,), 1)),
        materials,
        (1.0, 1.0),
    )
    view = CameraView(np.array([[[30.0, 20], [30, 20]]]), np.ones((1, 2)), np.array([[1.0, 2.0]]))
    painted = canvas()
    draw(figure, outline(figure, view, np.zeros(2)), 0, painted)
    assert painted.pixels[20, 30].tolist() == [200, 40, 20]


def test_cloth_multiplies_its_colour() -> None:
    half = np.full((TILE, TILE, 3), NEUTRAL // 2, np.uint8)
    figure = replace(ball(8.0), materials=(Material(np.array([200.0, 100, 60]), half),))
    painted = canvas()
    draw(figure, outline(figure, view_of([[30.0, 20.0]]), np.zeros(2)), 0, painted)
    assert painted.pixels[20, 30].tolist() == [100, 50, 30]


def test_shade_is_darker_at_the_rim() -> None:
    figure = replace(ball(14.0), contrast=(0.5, 1.0))
    painted = canvas()
    draw(figure, outline(figure, view_of([[30.0, 20.0]]), np.zeros(2)), 0, painted)
    assert painted.pixels[20, 30, 0] > 180
    assert painted.pixels[20, 18, 0] < 150
