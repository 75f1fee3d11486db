import numpy as np
import pytest

from stadkit.synth import mounts
from stadkit.synth.draws import Rng
from stadkit.synth.props import MAKERS, WEIGHTS, draw_prop

T = np.linspace(-0.6, 0.5, 8)


def rng(seed: int = 0) -> Rng:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", range(len(MAKERS)))
def test_every_prop_stands_on_the_ground(kind: int) -> None:
    for seed in range(10):
        model, speed = MAKERS[kind](rng(seed), T)
        points = model.moved(len(T))
        assert points.shape == (len(T), len(model.points), 3)
        assert points[..., 1].min() > -0.05
        assert speed >= 0
        assert all(max(part.points) < len(model.points) for part in model.parts)
        assert all(len(part.points) == len(part.radii) for part in model.parts)


def test_props_have_a_material_for_each_part() -> None:
    assert len(WEIGHTS) == len(MAKERS)
    for seed in range(60):
        prop = draw_prop(rng(seed), T, 1.0, 3.0, 2)
        assert max(part.material for part in prop.parts) < len(prop.materials)
        assert np.isfinite(prop.world).all()


def test_wheels_touch_the_ground() -> None:
    for model in (mounts.bicycle(1.0), mounts.motorcycle(1.0), mounts.scooter(1.0)):
        assert model.moved(1)[..., 1].min() == pytest.approx(0, abs=0.02)
