"""Averaged weights, worked by hand."""

import pytest
import torch
from torch import nn

from stadkit.training.checkpoint import Average


def test_two_steps_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = Average(model, decay=0.999)
    nn.init.ones_(model.weight)
    average.follow(model)
    # Step 1 keeps 1 - 101/102; step 2 keeps 1 - 101/103 of the average.
    first = 1 - (1 - 101 / 102)
    assert float(average.model.weight) == pytest.approx(first, rel=1e-5)
    average.follow(model)
    keep = 1 - 101 / 103
    assert float(average.model.weight) == pytest.approx(keep * first + (1 - keep), rel=1e-5)


def test_never_keeps_more_than_decay() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = Average(model, decay=0.5)
    average.steps = 10_000
    nn.init.zeros_(average.model.weight)
    nn.init.ones_(model.weight)
    average.follow(model)
    assert float(average.model.weight) == pytest.approx(0.5)


def test_buffers_follow_and_the_copy_is_frozen() -> None:
    model = nn.BatchNorm1d(2)
    average = Average(model, decay=0.0)
    model(torch.randn(8, 2) + 5)
    average.follow(model)
    assert torch.equal(average.model.running_mean, model.running_mean)
    assert int(average.model.num_batches_tracked) == 1
    assert not average.model.training
    assert not any(p.requires_grad for p in average.model.parameters())
