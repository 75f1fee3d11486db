import numpy as np
import pytest

from stadkit.synth.draws import pick
from stadkit.synth.effects import degrade, draw_camcorder
from stadkit.synth.texture import CLOTHS, NEUTRAL, TILE, cloth, foliage, noise, noise_bank


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_noise_bank_is_centred() -> None:
    assert abs(float(noise_bank(6, 4).mean())) < 1e-3
    assert float(noise_bank(6, 4).std()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("height", "width"), [(1, 5), (30, 700), (900, 20)])
def test_noise_of_any_size(height: int, width: int) -> None:
    assert noise(rng(), height, width).shape == (height, width)


@pytest.mark.parametrize("kind", CLOTHS)
def test_cloth_is_a_colour_times_a_tile(kind: str) -> None:
    base, tile = cloth(rng(3), 0.0, kind)
    assert tile.shape == (TILE, TILE, 3)
    visible = base * (tile / NEUTRAL)
    assert visible.min() >= 0
    assert visible.max() < 256 * 255 / NEUTRAL
    assert (tile.std() > 1) == (kind != "plain")


def test_foliage_varies_about_its_colour() -> None:
    leaves = foliage(rng(), 64, 80, np.array([60.0, 110, 40]))
    assert leaves.shape == (64, 80, 3)
    assert leaves.std() > 8
    assert leaves.mean(axis=(0, 1)).argmax() == 1


def test_pick_follows_its_weights() -> None:
    draws = rng()
    counts = np.bincount([pick(draws, (1, 0, 3)) for _ in range(4000)], minlength=3)
    assert counts[1] == 0
    assert counts[2] / 4000 == pytest.approx(0.75, abs=0.03)


def test_no_camera_makes_a_mid_grey_image_black_or_white() -> None:
    scene = np.full((48, 64, 3), 110, np.uint8)
    scene[:, 32:] = 150
    for seed in range(60):
        camcorder = draw_camcorder(rng(seed))
        out = degrade(scene, camcorder, rng(seed))
        assert out.shape == scene.shape
        assert 50 < out.mean() < 220
        assert abs(float(out[:, 40:].mean()) - float(out[:, :24].mean())) > 8
