"""The learning rate by hand, and what is decayed."""

import pytest
from torch import nn

from stadkit.training.config import OptimizerConfig, ScheduleConfig
from stadkit.training.optim import build_optimizer, learning_rate


def test_rate_by_hand() -> None:
    schedule = ScheduleConfig(epochs=10, warmup=2)
    assert learning_rate(1.0, schedule, 0, 100) == pytest.approx(0.1)
    # Half-way through warm-up: .55 of the cosine at a tenth of the way, (1 + cos 18 deg) / 2.
    assert learning_rate(1.0, schedule, 100, 100) == pytest.approx(0.55 * 0.975528, rel=1e-5)
    assert learning_rate(1.0, schedule, 500, 100) == pytest.approx(0.5)
    assert learning_rate(1.0, schedule, 1000, 100) == pytest.approx(0.0)


def test_last_is_the_floor() -> None:
    schedule = ScheduleConfig(epochs=1, warmup=0, last=0.2)
    assert learning_rate(2.0, schedule, 10, 10) == pytest.approx(0.4)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_norms_and_biases_are_not_decayed(name: str) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    config = OptimizerConfig.model_validate({"name": name, "weight_decay": 0.1})
    decayed, kept = build_optimizer(config, model).param_groups
    assert [p.shape for p in decayed["params"]] == [(3, 2)]
    assert len(kept["params"]) == 3
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
