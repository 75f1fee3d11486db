"""EVAD's losses: each term by hand, every head and block, and batches without people."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import distributed as dist

from stadkit.errors import StadkitError
from stadkit.layers import box_ops
from stadkit.models.evad_loss import EvadLossConfig, evad_loss
from stadkit.models.targets import Targets

HEADS, BLOCKS, CLIPS, PROPOSALS, CLASSES = 3, 2, 2, 4, 3
SIZES = torch.tensor([[20, 10], [40, 30]])  # height, width
NO_PEOPLE = Targets(torch.zeros(0, 4), torch.zeros(0, CLASSES))
KINDS = ("loss_ce", "loss_bbox", "loss_giou")


@dataclass
class People:
    logit: Tensor
    box: Tensor


@dataclass
class MadeDetails:
    """The part of a model's details that the loss reads."""

    people: People
    action: Tensor


def made_details(seed: int = 0, **kind: Any) -> MadeDetails:
    random = torch.Generator().manual_seed(seed)
    low = torch.rand(HEADS, CLIPS, PROPOSALS, 2, generator=random) * 8
    side = torch.rand(HEADS, CLIPS, PROPOSALS, 2, generator=random) * 8 + 1
    logit = torch.randn(HEADS, CLIPS, PROPOSALS, 2, generator=random)
    action = torch.randn(BLOCKS, CLIPS, PROPOSALS, CLASSES, generator=random)
    box = torch.cat([low, low + side], -1)
    logit, box, action = (x.to(**kind).requires_grad_() for x in (logit, box, action))
    return MadeDetails(People(logit, box), action)


def make_targets(count: int = 1, action: list[float] | None = None) -> Targets:
    low = 2.0 * torch.arange(count)[:, None].repeat(1, 2)
    box = torch.cat([low, low + torch.tensor([3.0, 5.0])], 1)
    return Targets(box, torch.tensor([action or [1.0, 0, 1]] * count))


def terms(details: MadeDetails, targets: list[Targets], **changes: Any) -> dict[str, Tensor]:
    return evad_loss(details, SIZES, targets, EvadLossConfig(**changes))  # type: ignore[arg-type]


def total(loss: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(loss.values())).sum()


def test_every_head_and_block_has_its_terms() -> None:
    loss = terms(made_details(), [make_targets(), NO_PEOPLE])
    heads = {f"{kind}{end}" for kind in KINDS for end in ("", "_0", "_1")}
    assert set(loss) == heads | {"loss_bce", "loss_bce_0"}
    assert all(value.ndim == 0 for value in loss.values())


def one(box: list[float], action: Tensor) -> MadeDetails:
    """One head, clip and block; the second proposal is far away and predicts background."""
    boxes = torch.tensor([[[box, [90.0, 90, 91, 91]]]])
    logit = torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]])
    return MadeDetails(People(logit, boxes), action)


def test_terms_by_hand() -> None:
    action = torch.tensor([[[[0.0, 2.0], [9.0, 9.0]]]])
    details = one([0, 0, 2, 2], action)
    targets = [Targets(torch.tensor([[1.0, 1, 3, 3]]), torch.tensor([[0.0, 1.0]]))]
    loss = evad_loss(details, torch.tensor([[20, 10]]), targets)  # type: ignore[arg-type]
    people, background = math.log(2), math.log(1 + math.exp(-1))
    assert loss["loss_ce"].item() == pytest.approx(2 * (people + 0.1 * background) / 1.1)
    assert loss["loss_bbox"].item() == pytest.approx(5 * (0.1 + 0.05 + 0.1 + 0.05))
    assert loss["loss_giou"].item() == pytest.approx(2 * (1 - 1 / 7 + 2 / 9))
    cross = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert loss["loss_bce"].item() == pytest.approx(12 * cross)


@pytest.mark.parametrize("people", [1, 3, 6])
def test_each_head_has_its_own_matching(people: int) -> None:
    details, targets = made_details(), [NO_PEOPLE, make_targets(people)]
    loss = terms(details, targets)
    for head in range(HEADS):
        alone = MadeDetails(
            People(details.people.logit[head, None], details.people.box[head, None]),
            details.action[-1:],
        )
        own = terms(alone, targets)
        end = "" if head == HEADS - 1 else f"_{head}"
        for kind in KINDS:
            assert own[kind].item() == pytest.approx(loss[kind + end].item())


def test_all_blocks_learn_from_the_last_heads_matching() -> None:
    details = made_details()
    with torch.no_grad():  # in each head another proposal matches
        for head in range(HEADS):
            details.people.box[head, 0, head] = make_targets().box[0]
    loss = terms(details, [make_targets(action=[1, 1, 1]), NO_PEOPLE])
    for block, name in enumerate(["loss_bce_0", "loss_bce"]):
        chance = details.action[block, 0, HEADS - 1].detach().sigmoid()
        assert loss[name].item() == pytest.approx(-12 * chance.log().mean().item())


def test_people_without_a_proposal_are_counted() -> None:
    details = one([0, 0, 2, 2], torch.zeros(1, 1, 2, 2))
    people = torch.tensor([[1.0, 1, 3, 3], [91, 91, 92, 92], [50, 50, 60, 60]])
    targets = [Targets(people, torch.zeros(3, 2))]
    loss = evad_loss(details, torch.tensor([[20, 10]]), targets)  # type: ignore[arg-type]
    assert loss["loss_bbox"].item() == pytest.approx(5 * (0.3 + 0.3) / 3)


def test_boxes_of_the_best_pairs() -> None:
    details, targets = made_details(), make_targets(2)
    loss = terms(details, [NO_PEOPLE, targets], person_weight=0, box_weight=0)
    box = details.people.box[-1, 1].detach()
    pairs = 1 - box_ops.giou(box[:, None], targets.box[None])
    ways = [(i, j) for i in range(PROPOSALS) for j in range(PROPOSALS) if i != j]
    best = min(float(pairs[i, 0] + pairs[j, 1]) for i, j in ways)
    assert loss["loss_giou"].item() == pytest.approx(2 * best / 2)


def test_weights() -> None:
    plain = terms(made_details(), [make_targets(), NO_PEOPLE])
    # Doubling all matching weights keeps the pairs.
    twice = {"person_weight": 4, "box_weight": 10, "giou_weight": 4, "action_weight": 24}
    heavy = terms(made_details(), [make_targets(), NO_PEOPLE], **twice)
    for name, value in plain.items():
        assert heavy[name].item() == pytest.approx(2 * value.item())
    louder = terms(made_details(), [make_targets(), NO_PEOPLE], background=1.0)
    assert louder["loss_ce"] != plain["loss_ce"]
    assert louder["loss_bbox"] == plain["loss_bbox"]


@pytest.mark.parametrize("targets", [[make_targets(), NO_PEOPLE], [NO_PEOPLE, NO_PEOPLE]])
def test_everything_gets_a_finite_gradient(targets: list[Targets]) -> None:
    # A parameter without gradient would hang distributed training.
    details = made_details()
    loss = terms(details, targets)
    total(loss).backward()
    for learned in (details.people.logit, details.people.box, details.action):
        assert learned.grad is not None
        assert learned.grad.isfinite().all()
    assert details.people.logit.grad.abs().sum() > 0
    assert all(value.isfinite() for value in loss.values())


def test_a_batch_without_people_has_only_background_loss() -> None:
    loss = terms(made_details(), [NO_PEOPLE, NO_PEOPLE])
    for name, value in loss.items():
        assert (value > 0) == name.startswith("loss_ce"), name


def test_unknown_actions_are_ignored() -> None:
    unknown = terms(made_details(), [make_targets(action=[torch.nan] * 3), NO_PEOPLE])
    assert unknown["loss_bce"] == 0
    assert unknown["loss_bbox"] > 0
    # The unknown second class is ignored.
    details = made_details()
    part = terms(details, [make_targets(action=[1, torch.nan, 1]), NO_PEOPLE])
    two = MadeDetails(details.people, details.action[..., ::2])
    fewer = [
        Targets(make_targets().box, torch.ones(1, 2)),
        Targets(NO_PEOPLE.box, torch.ones(0, 2)),
    ]
    assert part["loss_bce"].item() == pytest.approx(terms(two, fewer)["loss_bce"].item())
    # A person doing none of the actions has a loss.
    assert terms(made_details(), [make_targets(action=[0, 0, 0]), NO_PEOPLE])["loss_bce"] > 0


def test_people_are_counted_over_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = terms(made_details(), [make_targets(2), NO_PEOPLE])
    # Another process has as many clips but no people: half as many people per process.
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda total: total)
    shared = terms(made_details(), [make_targets(2), NO_PEOPLE])
    for name, value in alone.items():
        counted = name.startswith(("loss_bbox", "loss_giou"))
        assert shared[name].item() == pytest.approx((2 if counted else 1) * value.item())


@pytest.mark.parametrize("wide", [torch.float32, torch.float64])
def test_dtypes(wide: torch.dtype) -> None:
    kept = terms(made_details(dtype=wide), [make_targets(), NO_PEOPLE])
    assert {value.dtype for value in kept.values()} == {wide}
    halves = made_details(dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        loss = terms(halves, [make_targets(), NO_PEOPLE])
    assert {value.dtype for value in loss.values()} == {torch.float32}
    people = People(halves.people.logit.float(), halves.people.box.float())
    exact = terms(MadeDetails(people, halves.action.float()), [make_targets(), NO_PEOPLE])
    assert {name: value.item() for name, value in loss.items()} == pytest.approx(
        {name: value.item() for name, value in exact.items()}
    )


def test_divergence_is_reported() -> None:
    details = made_details()
    with torch.no_grad():
        details.people.box[0, 1, 2] = torch.nan
    with pytest.raises(StadkitError, match="matching boxes with people is nan"):
        terms(details, [make_targets(), make_targets()])


def test_a_few_steps_reduce_the_loss() -> None:
    details = made_details()
    learned = [details.people.logit, details.people.box, details.action]
    optimizer = torch.optim.Adam(learned, 0.1)
    totals = []
    for _ in range(40):
        loss = total(terms(details, [make_targets(2), make_targets()]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < totals[0] / 3
