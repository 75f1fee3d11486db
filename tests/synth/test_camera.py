import numpy as np
import pytest
from numpy.typing import NDArray

from stadkit.synth.camera import Camera, draw_sway


def still(times: int) -> NDArray[np.float64]:
    return np.tile(np.array([[1.0, 0, 0], [0, 1, 0]]), (times, 1, 1))


def camera(pitch: float, height: float = 1.0) -> Camera:
    return Camera(focal=100, width=200, image_height=100, height=height, pitch=pitch, sway=still(1))


def test_level_camera_by_hand() -> None:
    """A point 2 ahead, 1 right and 1 below the lens: 50 pixels right of and below the centre."""
    view = camera(0.0).see(np.array([[[1.0, 0.0, 2.0]]]))
    assert view.uv[0, 0].tolist() == [150.0, 100.0]
    assert view.scale[0, 0] == 50
    assert view.depth[0, 0] == 2


def test_tilted_camera_by_hand() -> None:
    """From height 1, 45 degrees down, the ground 1 ahead is in the centre, sqrt(2) away."""
    view = camera(np.pi / 4).see(np.array([[[0.0, 0.0, 1.0]]]))
    assert view.uv[0, 0] == pytest.approx([100, 50])
    assert view.depth[0, 0] == pytest.approx(2**0.5)


def test_horizon() -> None:
    assert camera(0.0).horizon == 50
    assert camera(np.pi / 4).horizon == pytest.approx(-50)


def test_plane_agrees_with_see() -> None:
    it = camera(0.3)
    across, along = np.array([0.2, 0, 0.1]), np.array([0, 0.5, 0])
    origin = np.array([0.3, 0.1, 2.5])
    a, b, c = it.plane(origin, across, along) @ np.array([3.0, 2.0, 1.0])
    seen = it.see((origin + 3 * across + 2 * along)[None, None]).uv[0, 0]
    assert [a / c, b / c] == pytest.approx(seen)


def test_at_depth_inverts_see() -> None:
    it = camera(0.4, height=1.5)
    x, z = it.at_depth(3.0, 130.0)
    view = it.see(np.array([[[x, 0.5, z]]]))
    assert view.depth[0, 0] == pytest.approx(3)
    assert view.uv[0, 0, 0] == pytest.approx(130)


def test_sway_keeps_the_scale_near_one() -> None:
    t = np.linspace(-0.6, 0.6, 8)
    for seed in range(30):
        sway = draw_sway(np.random.default_rng(seed), t, 192, 144, steady=False)
        zoom = np.hypot(sway[:, 0, 0], sway[:, 0, 1])
        assert sway.shape == (8, 2, 3)
        assert (abs(zoom - 1) <= 0.3).all()
