"""Learning rates by hand, weight decay, and the head's scale."""

import copy

import pytest
import torch
from torch import Tensor, nn

from stadkit.layers.memory_format import channels_last
from stadkit.training.config import OptimizerConfig, ScheduleConfig
from stadkit.training.optim import MuonAdamW, build_optimizer, learning_rate, set_rate


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


def test_steps_by_hand() -> None:
    schedule = ScheduleConfig(epochs=12, warmup=2, shape="steps", steps=(5, 8), start=0.2)
    rates = [learning_rate(3.0, schedule, step, 7) for step in (0, 7, 14, 34, 35, 55, 56, 83)]
    assert rates == pytest.approx([0.6, 1.8, 3, 3, 0.3, 0.3, 0.03, 0.03])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_norms_and_biases_are_not_decayed(name: str) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    config = OptimizerConfig.model_validate({"name": name, "weight_decay": 0.1})
    decayed, kept = build_optimizer(config, model).param_groups
    assert [p.shape for p in decayed["params"]] == [(3, 2)]
    assert len(kept["params"]) == 3
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)


MUON = OptimizerConfig(name="muon", lr=0.1, weight_decay=0.0)


def network() -> nn.Module:
    torch.manual_seed(0)
    stem, hidden, last = nn.Conv3d(3, 24, 1), nn.Conv3d(24, 32, 3, padding=1), nn.Conv3d(32, 2, 1)
    return channels_last(nn.Sequential(stem, nn.BatchNorm3d(24), hidden, last))


def descend(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[Tensor]:
    pixels = torch.randn(2, 3, 2, 5, 7, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        model(pixels).square().mean().backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def test_muon_updates_only_hidden_kernels() -> None:
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    build_optimizer(MUON, model).step()
    steps = [b - p.detach() for b, p in zip(before, model.parameters(), strict=True)]
    shapes = [tuple(p.shape) for p in before]
    hidden = shapes.index((32, 24, 3, 3, 3))
    # Muon: all singular values are about lr * .2 * sqrt(longer side of [32, 24 * 27]).
    sizes = torch.linalg.svdvals(steps[hidden].flatten(1)) / (0.1 * 0.2 * (24 * 27) ** 0.5)
    assert sizes.min() > 0.5
    assert sizes.max() < 1.5
    # AdamW's first step is the rate along the sign, wherever there is a gradient.
    for shape, step in zip(shapes, steps, strict=True):
        if shape in ((24, 3, 1, 1, 1), (2, 32, 1, 1, 1)):
            assert step.abs().median().item() == pytest.approx(0.1, rel=1e-3)


def test_muon_resumes_from_its_state() -> None:
    whole, half = network(), network()
    want = descend(whole, build_optimizer(MUON, whole), 4)
    optimizer = build_optimizer(MUON, half)
    descend(half, optimizer, 2)
    state = copy.deepcopy(optimizer.state_dict())
    again = build_optimizer(MUON, half)
    again.load_state_dict(state)
    for a, b in zip(want, descend(half, again, 2), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_muon_follows_set_rate() -> None:
    model = network()
    optimizer = build_optimizer(MUON, model)
    assert isinstance(optimizer, MuonAdamW)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = [p.detach().clone() for p in model.parameters()]
    assert all(map(torch.equal, before, descend(model, optimizer, 1)))


class Detector(nn.Module):
    """The names of EVAD's parts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Linear(24, 24)
        self.pyramid = nn.Linear(24, 24)
        self.people = nn.ParameterDict(
            {name: torch.randn(24, 24) for name in ("box", "feature", "heads")}
        )
        self.mask_token = nn.Parameter(torch.randn(1, 1, 24))
        self.decoder = nn.Linear(24, 24)


def first_steps(name: str, scale: float, decay: float = 0.0) -> dict[str, float]:
    """The length of the first step at rate .001, in units of that rate, by parameter."""
    model = Detector()
    settings = {"name": name, "lr": 1.0, "head_scale": scale, "weight_decay": decay}
    optimizer = build_optimizer(OptimizerConfig.model_validate(settings), model)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    for p in model.parameters():
        p.grad = torch.zeros_like(p) if decay else torch.ones_like(p)
    set_rate(optimizer, 0.001)
    optimizer.step()
    moved = {key: before[key] - p.detach() for key, p in model.named_parameters()}
    return {key: way.abs().mean().item() / 0.001 for key, way in moved.items()}


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_heads_learn_faster(name: str) -> None:
    plain, scaled = first_steps(name, 1.0), first_steps(name, 8.0)
    fast = {key for key in plain if scaled[key] == pytest.approx(8 * plain[key], rel=1e-3)}
    same = {key for key in plain if scaled[key] == pytest.approx(plain[key], rel=1e-3)}
    assert fast == {"people.heads", "mask_token", "decoder.weight", "decoder.bias"}
    assert fast | same == set(plain)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_mask_tokens_are_not_decayed(scale: float) -> None:
    decayed = {key for key, way in first_steps("adamw", scale, decay=0.1).items() if way}
    learned = {"backbone.weight", "pyramid.weight", "decoder.weight"}
    assert decayed == learned | {"people.box", "people.feature", "people.heads"}


def test_muon_leaves_embeddings_to_adamw() -> None:
    # Muon makes all directions of a step equally long; AdamW's first is along the sign: 1.
    ways = first_steps("muon", 1.0)
    for name in ("people.box", "people.feature", "mask_token"):
        assert ways[name] == pytest.approx(1, rel=1e-3)
    assert ways["people.heads"] != pytest.approx(1, rel=1e-2)


def test_muon_resumes_with_new_settings() -> None:
    old = build_optimizer(MUON, Detector())
    gentler = MUON.model_copy(update={"weight_decay": 0.5, "momentum": 0.3})
    new = build_optimizer(gentler, Detector())
    assert isinstance(new, MuonAdamW)
    new.load_state_dict(copy.deepcopy(old.state_dict()))
    held = new.state_dict()
    assert {g["weight_decay"] for g in held["muon"]["param_groups"]} == {0.5}
    assert {g["momentum"] for g in held["muon"]["param_groups"]} == {0.3}
    assert {g["weight_decay"] for g in held["adamw"]["param_groups"]} == {0.5, 0.0}
