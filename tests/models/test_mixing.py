"""STMixer's mixing: layers that a query makes for itself."""

import pytest
import torch
from torch import Tensor

from stadkit.models import sampling
from stadkit.models.sampling import AdaptiveMixing

GROUPS, POINTS, OUT, CHANNELS = 2, 3, 5, 4
WIDTH = GROUPS * CHANNELS


@pytest.fixture
def made() -> tuple[AdaptiveMixing, Tensor, Tensor]:
    """A layer, and what seven queries sampled."""
    torch.manual_seed(3)
    layer = AdaptiveMixing(WIDTH, GROUPS, POINTS, OUT).double()
    sampled = torch.randn(7, GROUPS, POINTS, CHANNELS, dtype=torch.float64)
    return layer, sampled, torch.randn(7, WIDTH, dtype=torch.float64)


def by_hand(layer: AdaptiveMixing, sampled: Tensor, query: Tensor) -> Tensor:
    """One query [D] and what it sampled [G, P, D / G], a group after the other."""
    own = layer.parameter_generator(query).view(GROUPS, -1)
    groups = []
    for x, weights in zip(sampled, own, strict=True):
        for_channels = weights[: CHANNELS**2].view(CHANNELS, CHANNELS)
        for_points = weights[CHANNELS**2 :].view(OUT, POINTS)
        groups.append(settled(for_points @ settled(x @ for_channels)))
    out: Tensor = query + layer.out_proj(torch.stack(groups).flatten())
    return out


def settled(x: Tensor) -> Tensor:
    return ((x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()).clamp(min=0)


def test_each_query_has_its_own_layers(made: tuple[AdaptiveMixing, Tensor, Tensor]) -> None:
    layer, sampled, query = made
    by_query = [by_hand(layer, x, q) for x, q in zip(sampled, query, strict=True)]
    assert torch.allclose(layer(sampled, query), torch.stack(by_query), atol=1e-12)


def test_few_at_a_time_give_what_all_at_once_do(
    made: tuple[AdaptiveMixing, Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, sampled, query = made
    learning = layer(sampled, query)  # where something learns, all go at once
    monkeypatch.setattr(sampling, "QUERIES_AT_ONCE", 3)
    seen = []
    layer.out_proj.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    with torch.no_grad():
        looking = layer(sampled, query)
    assert seen == [3, 3, 1]
    assert torch.allclose(looking, learning, atol=1e-12)
