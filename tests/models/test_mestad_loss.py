"""The supervised losses: each term by hand, every option, and training steps."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch import distributed as dist

import stadkit
from stadkit.errors import UsageError
from stadkit.models.fcos import DensePredictions
from stadkit.models.mestad import Mestad, build
from stadkit.models.mestad_config import MestadConfig
from stadkit.models.mestad_loss import (
    LossConfig,
    action_loss,
    actor_loss,
    joints_loss,
    mestad_loss,
)
from stadkit.models.slowfast import SlowFast, SlowFastConfig
from stadkit.models.targets import Targets

BACKBONE = SlowFastConfig(
    depths=(1, 1, 1, 1), temporal=(1, 1, 1, 1), width=8, fast=False, slow_kernels=(1, 1, 1, 1)
)
TRUTH = torch.tensor([[20.0, 10, 60, 60]])


def tiny(**changes: Any) -> Mestad:
    torch.manual_seed(0)
    config = MestadConfig(classes=3, width=16, depth=1, groups=4, dropout=0.0, **changes)
    return Mestad(config, SlowFast(BACKBONE))


def clips() -> Tensor:
    return torch.randn(2, 3, 2, 64, 96, generator=torch.Generator().manual_seed(0))


def make_targets(action: list[float] | None = None) -> Targets:
    return Targets(TRUTH, torch.tensor([action or [1.0, 0, 1]]))


JITTER = LossConfig(rois="jitter", ranges=(32, 64))
NO_PEOPLE = Targets(torch.zeros(0, 4), torch.zeros(0, 3))


def terms(model: Mestad, targets: list[Targets], **changes: Any) -> dict[str, Tensor]:
    features = model.features(clips())
    proposals = [t.box for t in targets]
    config = LossConfig(**changes)
    return mestad_loss(model, features, model.localize(features), targets, config, proposals)


def test_actor_terms_by_hand() -> None:
    # Two points; the first is matched with a person of 10 x 10, off-centre: centerness .5.
    box = torch.tensor([[[0.0, 0, 10, 5], [0, 0, 1, 1]]])
    point = torch.tensor([[2.0, 5], [50, 50]])
    dense = DensePredictions(
        torch.zeros(1, 2), box, torch.zeros(1, 2), point, point[:, 0], point[:, 0]
    )
    truth, match = torch.tensor([[[0.0, 0, 10, 10]]]), torch.tensor([[0, -1]])
    got = actor_loss(dense, match, truth, LossConfig(), "centerness")
    focal = (0.25 + 0.75) * 0.25 * math.log(2)
    assert got["person"].item() == pytest.approx(focal)
    assert got["box"].item() == pytest.approx(0.5)  # 1 - GIoU, weighted mean of one
    assert got["quality"].item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(("quality", "goal"), [("centerness", 0.5), ("iou", 0.25)])
def test_quality_targets(quality: str, goal: float) -> None:
    box = torch.tensor([[[0.0, 0, 10, 2.5]]], requires_grad=True)
    point = torch.tensor([[2.0, 5]])
    logit = torch.tensor([[3.0]])
    dense = DensePredictions(torch.zeros(1, 1), box, logit, point, point[:, 0], point[:, 0])
    truth = torch.tensor([[[0.0, 0, 10, 10]]])
    got = actor_loss(dense, torch.tensor([[0]]), truth, LossConfig(), quality)["quality"]
    chance = torch.sigmoid(logit).item()
    want = -goal * math.log(chance) - (1 - goal) * math.log(1 - chance)
    assert got.item() == pytest.approx(want, rel=1e-5)
    assert not got.requires_grad  # the box gets no gradient from its quality target


def test_action_loss_is_a_mean_over_known_labels() -> None:
    logit = torch.zeros(2, 3)
    action = torch.tensor([[1.0, 0, torch.nan], [1, 1, 0]])
    assert action_loss(logit, action).item() == pytest.approx(math.log(2))
    far = torch.tensor([[100.0, 0, 0], [0, 0, 0]])
    assert action_loss(far, action).item() == pytest.approx(math.log(2) * 4 / 5)


def test_weights_of_the_sum() -> None:
    plain = terms(tiny(), [make_targets(), NO_PEOPLE], action_weight=1, rois="gt")
    heavy = terms(tiny(), [make_targets(), NO_PEOPLE], action_weight=10, actor_weight=2, rois="gt")
    assert set(plain) == {"person", "box", "quality", "action"}
    for name, value in plain.items():
        assert heavy[name].item() == pytest.approx((10 if name == "action" else 2) * value.item())


@pytest.mark.parametrize("rois", ["dense", "sparse", "gt", "jitter", "found", "proposals"])
@pytest.mark.parametrize("targets", [[make_targets(), NO_PEOPLE], [NO_PEOPLE, NO_PEOPLE]])
def test_every_parameter_gets_a_gradient(rois: str, targets: list[Targets]) -> None:
    # A parameter without gradient would hang distributed training.
    model = tiny()
    loss = terms(model, targets, rois=rois, min_person=0.001)
    sum(loss.values(), torch.zeros(())).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]
    assert all(value.isfinite() for value in loss.values())


def test_positives_are_counted_over_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = terms(tiny(), [make_targets(), NO_PEOPLE], rois="gt")
    # Another process has as many clips but no people: half as many people per process.
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda total: total)
    shared = terms(tiny(), [make_targets(), NO_PEOPLE], rois="gt")
    for name in ("person", "box", "quality"):
        assert shared[name].item() == pytest.approx(2 * alone[name].item())
    assert shared["action"].item() == pytest.approx(alone["action"].item())


@pytest.mark.parametrize("unlabelled", [[torch.nan] * 3, [0.0, 0, 0]])
def test_unknown_and_background_rows_have_no_action_loss(unlabelled: list[float]) -> None:
    loss = terms(tiny(), [make_targets(unlabelled), NO_PEOPLE])
    assert loss["action"] == 0
    assert loss["box"] > 0


def test_empty_found_boxes_have_an_action_loss() -> None:
    found: dict[str, Any] = {"rois": "found", "min_person": 0.001}
    assert terms(tiny(), [NO_PEOPLE, NO_PEOPLE], rois="jitter")["action"] == 0
    assert terms(tiny(), [NO_PEOPLE, NO_PEOPLE], **found)["action"] > 0
    assert terms(tiny(), [NO_PEOPLE, NO_PEOPLE], **found, max_empty=0)["action"] == 0


@pytest.mark.parametrize("changes", [{}, {"quality": "iou"}, {"distance": "exp"}])
@pytest.mark.parametrize("loss", [LossConfig(), LossConfig.release(), LossConfig.fcos_minus()])
def test_named_choices_run(changes: dict[str, Any], loss: LossConfig) -> None:
    model = tiny(**changes)
    features = model.features(clips())
    got = mestad_loss(model, features, model.localize(features), [make_targets(), NO_PEOPLE], loss)
    assert all(value.isfinite() for value in got.values())


def test_a_person_larger_than_the_strict_last_range_is_background() -> None:
    huge = Targets(torch.tensor([[-400.0, -400, 500, 500]]), torch.ones(1, 3))
    strict = terms(tiny(), [huge, NO_PEOPLE], last_range=256.0)
    assert strict["box"] == 0
    assert terms(tiny(), [huge, NO_PEOPLE])["box"] > 0


def test_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = terms(tiny(), [make_targets(), NO_PEOPLE])
    assert {value.dtype for value in loss.values()} == {torch.float32}


def test_a_few_steps_reduce_the_loss() -> None:
    model = tiny()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    totals = []
    for _ in range(10):
        loss = sum(
            terms(model, [make_targets(), NO_PEOPLE], rois="jitter").values(), torch.zeros(())
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < totals[0] / 2


def test_proposals_are_required() -> None:
    model = tiny()
    features = model.features(clips())
    dense = model.localize(features)
    with pytest.raises(UsageError, match="proposals"):
        mestad_loss(model, features, dense, [make_targets()] * 2, LossConfig(rois="proposals"))


@pytest.mark.parametrize(("field", "value"), [("rois", "all"), ("box_loss", "l1")])
def test_unknown_choices_name_the_field(field: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"LossConfig.{field} is '{value}'"):
        LossConfig(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_equation_has_one_place(number: int) -> None:
    package = Path(stadkit.__file__).parent
    pattern = re.compile(rf"ME-STAD Eq\. {number}\b")
    text = [path.read_text() for path in package.rglob("*.py")]
    assert sum(len(pattern.findall(x)) for x in text) == 1


def test_joints_by_hand() -> None:
    # A box of 20 x 40 at (10, 20); one joint at (15, 30), 4 pixels further left a frame earlier.
    box = torch.tensor([[10.0, 20, 30, 60]])
    joints = torch.tensor(
        [[[[11.0, 30]], [[15.0, 30]]]]
    )  # [1, T = 2, J = 1, 2]; the key frame is last
    right = torch.tensor([[[[2 * -4 / 40, 0.0]], [[-0.25, -0.25]]]])
    assert joints_loss(right, joints, box).item() == pytest.approx(0, abs=1e-12)
    # Off by 1 in one of four values: |1| - .1 / 2, over four.
    wrong = right + torch.tensor([[[[1.0, 0]], [[0, 0]]]])
    assert joints_loss(wrong, joints, box).item() == pytest.approx(0.95 / 4)


def test_joints_far_outside_are_clamped() -> None:
    box, far = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[[[9000.0, 5]]]])
    assert joints_loss(torch.tensor([[[[1.5, 0]]]]), far, box).item() == pytest.approx(0)


def test_joints_have_a_loss_if_model_and_targets_have_them() -> None:
    torch.manual_seed(0)
    config = MestadConfig(
        backbone="nano", classes=3, width=16, depth=1, groups=4, head="grid", joints=2
    )
    model = build(config)
    pixels = torch.randn(1, 3, 8, 64, 96, generator=torch.Generator().manual_seed(0))
    features = model.features(pixels)
    known = Targets(TRUTH, torch.ones(1, 3), torch.zeros(1, 8, 2, 2))
    for targets, learned in ((known, True), (make_targets(), False)):
        got = mestad_loss(model, features, model.localize(features), [targets], JITTER)
        assert ("joints" in got) == learned
    got = mestad_loss(model, features, model.localize(features), [known], JITTER)
    got["joints"].backward()
    assert model.head.places.weight.grad.abs().sum() > 0
    no_people = Targets(torch.zeros(0, 4), torch.zeros(0, 3), torch.zeros(0, 8, 2, 2))
    found = LossConfig(rois="found", min_person=0.001)  # empty boxes have no joints
    for config in (JITTER, found):
        got = mestad_loss(model, features, model.localize(features), [no_people], config)
        assert got["joints"].item() == 0
