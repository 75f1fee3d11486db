"""ME-STAD end to end on a tiny SlowFast: every option, and the rows of Outputs."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stadkit.errors import UsageError
from stadkit.models.mestad import Mestad, build
from stadkit.models.mestad_config import MestadConfig
from stadkit.models.slowfast import SlowFast, SlowFastConfig

BACKBONE = SlowFastConfig(depths=(1, 1, 1, 1), temporal=(1, 1, 1, 1), width=8, beta=4)
SMALL = {"classes": 3, "width": 8, "depth": 1, "groups": 2, "roi_size": 4}


def tiny(**changes: Any) -> Mestad:
    """A model whose points differ: with FCOS's init, all are nearly equal."""
    torch.manual_seed(0)
    model = Mestad(MestadConfig(**{**SMALL, **changes}), SlowFast(BACKBONE)).eval()
    for name, weight in model.fcos.named_parameters():
        if weight.ndim > 1:
            nn.init.normal_(weight, std=0.3)
        elif name == "reg.bias":
            nn.init.ones_(weight)
    return model


def clip(count: int = 2, height: int = 64, width: int = 96) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    pixels = torch.randn(count, 3, 8, height, width, generator=random)
    return pixels, torch.tensor([[height, width]] * count)


PROPOSED = [torch.tensor([[0.1, 0.1, 0.5, 0.9]])] * 2

OPTIONS: list[dict[str, Any]] = [
    {},
    {"pyramid": "res3-5"},
    {"pyramid": "res2-4"},
    {"head": "acrn"},
    {"head": "grid"},
    {"head": "grid", "joints": 4},
    {"context": True},
    {"distance": "exp", "quality_tower": "cls"},
    {"background_row": True, "head_init": "normal"},
    {"person_score": "geometric"},
    {"action_score": "product"},
    {"action_score": "geometric"},
    {"roi_sampling": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("size", [(64, 96), (70, 51)])
def test_every_option_at_any_size(options: dict[str, Any], size: tuple[int, int]) -> None:
    model, (pixels, sizes) = tiny(**options), clip(2, *size)
    with torch.no_grad():
        found = model(pixels, sizes)
    assert found.person.shape == (2, 10)
    assert found.box.shape == (2, 10, 1, 4)
    assert found.action.shape == (2, 10, 3)
    assert found.action.isfinite().all()
    assert (found.person > -torch.inf).sum() > 2


def test_people_are_the_best_by_cls_times_quality() -> None:
    model, (pixels, sizes) = tiny(max_iou=1.0, max_people=5), clip()
    with torch.no_grad():
        found, dense = model(pixels, sizes), model.localize(model.features(pixels, sizes))
    rank = dense.person.sigmoid() * dense.quality.sigmoid()
    visible = torch.minimum(dense.box.clamp(min=0), torch.tensor([96.0, 64, 96, 64]))
    shown = (visible[..., 2:] > visible[..., :2]).all(-1)
    best = (rank * shown).topk(5, 1).indices
    assert torch.equal(found.person, dense.person.gather(1, best))
    box = dense.box.gather(1, best[..., None].expand(-1, -1, 4))
    torch.testing.assert_close(found.box[:, :, 0] * torch.tensor([96, 64, 96, 64]), box)


def test_rows_beyond_the_people_are_minus_infinity() -> None:
    model, (pixels, sizes) = tiny(max_iou=0.0, max_people=200), clip()
    with torch.no_grad():
        found = model(pixels, sizes)
    absent = found.person == -torch.inf
    assert absent.any()
    assert not absent.all()
    assert (found.box[absent] == 0).all()


def test_no_people_are_found_in_the_padding() -> None:
    model, (pixels, _) = tiny(), clip(2, 96, 96)
    pixels[1, :, :, 40:] = 0
    pixels[1, :, :, :, 50:] = 0
    with torch.no_grad():
        found = model(pixels, torch.tensor([[96, 96], [40, 50]]))
    middle = (found.box[1, :, 0, :2] + found.box[1, :, 0, 2:]) / 2
    assert (middle[found.person[1] > -torch.inf] < 1.5).all()


def test_results_do_not_depend_on_the_batch() -> None:
    model, (pixels, sizes) = tiny(context=True), clip(3)
    with torch.no_grad():
        together = model(pixels, sizes)
        alone = [model(pixels[i : i + 1], sizes[i : i + 1]) for i in range(3)]
    for name in ("person", "box", "action"):
        parts = torch.cat([getattr(x, name) for x in alone])
        torch.testing.assert_close(getattr(together, name), parts)


class Patches(nn.Module):
    """A backbone whose cells read their own pixels only, so that padding cannot leak in."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = dict.fromkeys(("res2", "res3", "res4", "res5"), 3)
        self.strides = {"res2": 4, "res3": 8, "res4": 16, "res5": 16}

    def forward(self, pixels: Tensor) -> dict[str, list[Tensor]]:
        return {n: [F.avg_pool3d(pixels, (1, s, s))] for n, s in self.strides.items()}


@pytest.mark.parametrize("head", ["linear", "acrn"])
def test_proposals_do_not_read_the_padding(head: str) -> None:
    torch.manual_seed(0)
    model = Mestad(MestadConfig(**{**SMALL, "head": head, "context": head == "linear"}), Patches())
    pixels, sizes = clip(1, 64, 96)
    padded = F.pad(pixels, (0, 64, 0, 32))
    boxes = [torch.tensor([[0.0, 0, 1, 1], [0.7, 0.8, 1.2, 1.1]])]  # up to the padding, and into it
    with torch.no_grad():
        alone = model.eval()(pixels, sizes, boxes)
        together = model(padded, sizes, boxes)
    torch.testing.assert_close(alone.action, together.action)
    torch.testing.assert_close(alone.box, together.box)


@pytest.mark.parametrize("options", [{}, {"action_score": "product"}, {"head": "grid"}], ids=str)
def test_empty_proposals_have_no_rows(options: dict[str, Any]) -> None:
    model, (pixels, sizes) = tiny(**options), clip(2)
    with torch.no_grad():
        found = model(pixels, sizes, [torch.zeros(0, 4)] * 2)
    assert found.person.shape == (2, 0)
    assert found.box.shape == (2, 0, 1, 4)
    assert found.action.shape == (2, 0, 3)


def test_proposals_are_scored_in_their_order() -> None:
    model, (pixels, sizes) = tiny(), clip()
    boxes = [torch.tensor([[0.1, 0.1, 0.5, 0.9], [0.4, 0.0, 0.9, 1.0]]), torch.zeros(0, 4)]
    with torch.no_grad():
        found = model(pixels, sizes, boxes, [torch.tensor([0.5, 0.9]), torch.zeros(0)])
        features = model.features(pixels, sizes)
        pixel_boxes = boxes[0] * torch.tensor([96, 64, 96, 64])
        action = model.classify(features, pixel_boxes, torch.zeros(2).long())
    torch.testing.assert_close(found.person[0].sigmoid(), torch.tensor([0.5, 0.9]))
    assert (found.person[1] == -torch.inf).all()
    torch.testing.assert_close(found.box[0, :, 0], boxes[0])
    torch.testing.assert_close(found.action[0], action)


def test_geometric_person_score() -> None:
    model = tiny(person_score="geometric")
    chance, quality = torch.tensor([[0.9, 1e-6, 0.5]]), torch.tensor([[0.4, 1e-6, 0.5]])
    person = model.person(chance.logit(), quality.logit())
    torch.testing.assert_close(person.sigmoid(), (chance * quality).sqrt())
    certain = torch.full((1, 1), 90.0)
    assert model.person(certain, certain).isfinite().all()


def test_geometric_action_score() -> None:
    (pixels, sizes), kwargs = clip(), {"max_people": 5}
    with torch.no_grad():
        plain = tiny(**kwargs)
        cls, quality, _ = plain.people(plain.localize(plain.features(pixels)), sizes)
        action = plain(pixels, sizes).action.sigmoid()
        got = tiny(action_score="geometric", **kwargs)(pixels, sizes).action.sigmoid()
        alone = tiny(action_score="geometric")(pixels, sizes, PROPOSED, [torch.tensor([0.25])] * 2)
        bare = tiny()(pixels, sizes, PROPOSED).action.sigmoid()
    person = cls.sigmoid()[..., None]
    want = (action * quality.sigmoid()[..., None] * person).sqrt()
    torch.testing.assert_close(got, want)
    # Proposals have no quality: 1.
    torch.testing.assert_close(alone.action.sigmoid(), 0.5 * bare.sqrt())


def test_product_action_score() -> None:
    (pixels, sizes), boxes = clip(), [torch.tensor([[0.1, 0.1, 0.5, 0.9]]), torch.zeros(0, 4)]
    scores = [torch.tensor([0.25]), torch.zeros(0)]
    with torch.no_grad():
        plain = tiny()(pixels, sizes, boxes, scores).action.sigmoid()
        times = tiny(action_score="product")(pixels, sizes, boxes, scores).action
    torch.testing.assert_close(times[0].sigmoid(), 0.25 * plain[0])
    assert (times[1] == -torch.inf).all()  # padding row


def test_the_background_row_is_the_first_and_is_dropped() -> None:
    model, (pixels, sizes) = tiny(background_row=True), clip()
    boxes = [torch.tensor([[0.1, 0.1, 0.5, 0.9]])] * 2
    with torch.no_grad():
        before = model(pixels, sizes, boxes).action
        model.head.projection.bias[0] += 5
        torch.testing.assert_close(model(pixels, sizes, boxes).action, before)
        model.head.projection.bias[1] += 5
        change = model(pixels, sizes, boxes).action - before
    torch.testing.assert_close(change[0, 0], torch.tensor([5.0, 0, 0]))


def test_the_key_frame_is_the_middle_of_each_pathway() -> None:
    model, (pixels, sizes) = tiny(), clip()
    with torch.no_grad():
        slow, fast = model.backbone(pixels)["res3"]
        got = model.features(pixels, sizes).keyframe[0]
    assert (slow.shape[2], fast.shape[2]) == (2, 8)
    assert torch.equal(got, torch.cat([slow[:, :, 1], fast[:, :, 4]], 1))


def test_pixels_need_not_be_float32() -> None:
    model, (pixels, sizes) = tiny(), clip()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = model(pixels, sizes)
    assert {found.person.dtype, found.box.dtype, found.action.dtype} == {torch.float32}


def test_named_choices() -> None:
    assert MestadConfig.paper() == MestadConfig()
    release = MestadConfig.release(classes=24)
    got = (release.context, release.quality, release.dilation, release.classes)
    assert got == (True, "iou", (2, 1), 24)
    assert MestadConfig.fcos_minus().distance == "exp"


@pytest.mark.parametrize(
    ("field", "value"),
    [("backbone", "resnet"), ("pyramid", "p3"), ("head", "mlp"), ("quality", "area")],
)
def test_unknown_choices_name_the_field(field: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"MestadConfig.{field} is '{value}'; choose one of"):
        MestadConfig(**{field: value})  # type: ignore[arg-type]


def test_context_needs_the_linear_head() -> None:
    with pytest.raises(UsageError, match="linear head"):
        MestadConfig(head="acrn", context=True)


@pytest.mark.parametrize("options", [{"joints": 20}, {"glimpse": True}])
def test_joints_and_glimpse_need_the_grid_head(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"MestadConfig.{next(iter(options))} needs the grid head"):
        MestadConfig(head="acrn", **options)


@pytest.mark.parametrize("backbone", ["slowonly-r50", "slowfast-r50", "slowfast-r101-nl"])
def test_parameters_have_canonical_names(backbone: str) -> None:
    with torch.device("meta"):
        state = build(MestadConfig(backbone=backbone)).state_dict()
    assert "backbone.s2.pathway0_res0.branch2.a.weight" in state
    features = 2048 if backbone == "slowonly-r50" else 2304
    assert state["head.projection.weight"].shape == (80, features)
    assert {name.split(".")[0] for name in state} == {"backbone", "pyramid", "fcos", "head"}


def test_people_with_low_scores_are_dropped() -> None:
    pixels, sizes = clip()
    with torch.no_grad():
        everybody = tiny()(pixels, sizes)
        scores = everybody.person.sigmoid()
        least = float(scores.flatten().median())
        some = tiny(min_score=least)(pixels, sizes)
    kept = scores >= least
    assert 0 < int(kept.sum()) < kept.numel()
    assert torch.equal(some.person.isfinite(), kept)
    torch.testing.assert_close(some.action[kept], everybody.action[kept])
    assert tiny(min_score=1.0)(pixels, sizes).person.isneginf().all()
