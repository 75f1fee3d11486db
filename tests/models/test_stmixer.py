"""STMixer-K and -T on small models: shapes, batches, odd sizes, losses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stadkit.detection import to_table
from stadkit.errors import StadkitError, UsageError
from stadkit.layers.matching import Diverged
from stadkit.models.feature_space import Unfold
from stadkit.models.stmixer import Stmixer, StmixerConfig, build
from stadkit.models.stmixer_loss import (
    StmixerLossConfig,
    stmixer_loss,
    stmixer_t_loss,
    tube_cost,
)
from stadkit.models.stmixer_stage import box_code, intersection_over_foreground
from stadkit.models.stmixer_t import StmixerTConfig, resize_time
from stadkit.models.stmixer_t import build as build_t
from stadkit.models.targets import Targets, TubeTargets
from stadkit.video.clips import Clip

SMALL: dict[str, Any] = {
    "classes": 3,
    "backbone": "slowonly-tiny",
    "frames": 4,
    "queries": 7,
    "width": 16,
    "groups": 2,
    "points": 4,
    "out_points": 6,
    "stages": 2,
    "heads": 2,
    "feedforward": 24,
}


def model(**changes: Any) -> Stmixer:
    torch.manual_seed(0)
    return perturbed(build(StmixerConfig(**{**SMALL, **changes})).eval())


def model_t(**changes: Any) -> Stmixer:
    torch.manual_seed(0)
    return perturbed(build_t(StmixerTConfig(**{**SMALL, **changes})).eval())


@torch.no_grad()
def perturbed(made: Stmixer) -> Stmixer:
    """Randomize zero-initialised weights, so that boxes and points differ."""
    for name, weight in made.named_parameters():
        if "fc_reg" in name or "offset_generator" in name or "branch2.c_bn" in name:
            weight.normal_(std=0.1)
    return made


def clips(*sizes: tuple[int, int], frames: int = 4) -> tuple[Tensor, Tensor]:
    """Noise clips, zero-padded to the largest, and their sizes."""
    height = -(-max(h for h, _ in sizes) // 32) * 32
    width = -(-max(w for _, w in sizes) // 32) * 32
    pixels = torch.zeros(len(sizes), 3, frames, height, width)
    for i, (h, w) in enumerate(sizes):
        random = torch.Generator().manual_seed(h * w)
        pixels[i, :, :, :h, :w] = torch.randn(3, frames, h, w, generator=random)
    return pixels, torch.tensor(sizes)


def make_targets(*boxes: list[float]) -> Targets:
    return Targets(torch.tensor(boxes).view(-1, 4), torch.eye(3)[: len(boxes)])


def test_outputs_of_k_and_of_t() -> None:
    pixels, sizes = clips((50, 64))
    outputs = model()(pixels, sizes)
    assert (outputs.person.shape, outputs.box.shape, outputs.action.shape) == (
        (1, 7),
        (1, 7, 1, 4),
        (1, 7, 3),
    )
    assert outputs.present is None
    outputs = model_t()(pixels, sizes)
    assert (outputs.person.shape, outputs.box.shape, outputs.action.shape) == (
        (1, 7),
        (1, 7, 4, 4),
        (1, 7, 3),
    )
    assert outputs.present is not None
    assert outputs.present.shape == (1, 7, 4)
    assert outputs.box.std(2).max() > 1e-4  # boxes differ between frames


@pytest.mark.parametrize("backbone", ["slowonly-tiny", "lite"])
@pytest.mark.parametrize("make", [model, model_t])
def test_results_do_not_depend_on_the_other_clips_of_a_batch(make: Any, backbone: str) -> None:
    sizes = [(60, 64), (96, 40), (32, 64), (60, 60)]
    made = make(backbone=backbone)
    with torch.inference_mode():
        together = made(*clips(*sizes))
        for i, size in enumerate(sizes):
            alone = made(*clips(size))
            for name in ("person", "box", "action"):
                got, wanted = getattr(together, name)[i], getattr(alone, name)[0]
                torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def test_shared_padding_equals_details_and_differs_from_own() -> None:
    pixels, sizes = clips((60, 64), (96, 40))
    with torch.inference_mode():
        own, shared = model()(pixels, sizes), model(padding="shared")(pixels, sizes)
        details = model().details(pixels, sizes)
    torch.testing.assert_close(shared.action, details.stages[-1].action)
    assert (own.action - shared.action).abs().max() > 1e-4


@pytest.mark.parametrize("points", [4, 9, 16])
@pytest.mark.parametrize("frames", [1, 3, 6])
@pytest.mark.parametrize("make", [model, model_t])
def test_any_number_of_points_and_frames(make: Any, frames: int, points: int) -> None:
    outputs = make(frames=frames, points=points)(*clips((40, 70), frames=frames))
    assert torch.isfinite(outputs.action).all()


def test_time_steps_of_slowfast_and_vit() -> None:
    with torch.device("meta"):
        for backbone, frames, times in (("slowfast-r50", 8, 2), ("vit-b", 6, 3)):
            changes = {**SMALL, "backbone": backbone, "frames": frames}
            pixels = torch.empty(1, 3, frames, 64, 96)
            space = build(StmixerConfig(**changes)).space(pixels)
            assert [tuple(x.shape[2:]) for x in space] == [
                (times, 16, 24),
                (times, 8, 12),
                (times, 4, 6),
                (times, 2, 3),
            ]
            whole = build_t(StmixerTConfig(**changes)).space(pixels)
            assert {x.shape[2] for x in whole} == {frames}


def test_odd_frames_of_a_vit_are_an_error() -> None:
    with pytest.raises(UsageError, match="multiple of 2"), torch.device("meta"):
        build(StmixerConfig(backbone="vit-b", frames=5))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backbone": "slowonly"}, "choose one of slowonly-r50"),
        ({"padding": "none"}, "own, shared"),
        ({"points": 0}, "points is 0"),
        ({"width": 18, "groups": 3, "heads": 3}, "multiple of 4"),
    ],
)
def test_wrong_settings_are_reported(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        StmixerConfig(**{**SMALL, **wrong})


def test_sizes_must_be_multiples_of_32() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        model()(torch.zeros(1, 3, 4, 40, 64), torch.tensor([[40, 64]]))


def test_proposals_are_an_error() -> None:
    with pytest.raises(UsageError, match="finds its own people"):
        model()(*clips((32, 32)), [torch.zeros(1, 4)])


def test_bfloat16_is_near_float32() -> None:
    pixels, sizes = clips((64, 64))
    made = model()
    with torch.inference_mode():
        full = made(pixels, sizes)
        with torch.autocast("cpu", torch.bfloat16):
            low = made(pixels, sizes)
    assert low.action.dtype == torch.float32
    torch.testing.assert_close(low.box, full.box, atol=0.05, rtol=0)


def test_intersection_over_foreground_by_hand() -> None:
    box = torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 4.0, 4.0], [9.0, 9.0, 9.0, 9.0]])
    assert intersection_over_foreground(box).tolist() == [[1, 0.5, 0], [1, 1, 0], [0, 0, 0]]


def test_codes_are_sines_and_cosines_of_each_coordinate() -> None:
    code = box_code(torch.tensor([[500.0, 250.0, 2.0, -1.0]]), 16)
    first, second = np.array([0.5, 0.25, 2, -1]), np.array([0.5, 0.25, 2, -1]) / 100
    wanted = np.stack([np.sin(first), np.cos(first), np.sin(second), np.cos(second)], 1)
    np.testing.assert_allclose(code, wanted.reshape(1, 16), atol=1e-6)


def test_unfolding_is_a_transposed_convolution() -> None:
    torch.manual_seed(1)
    layer, x = Unfold(6, 4), torch.randn(2, 6, 3, 2, 5)
    wanted = torch.nn.ConvTranspose3d.forward(layer, x)
    torch.testing.assert_close(layer(x), wanted, atol=1e-5, rtol=1e-4)


def test_maps_are_interpolated_linearly_in_time() -> None:
    x = torch.tensor([0.0, 4.0]).view(1, 1, 2, 1, 1)
    assert resize_time(x, 4).flatten().tolist() == [0, 1, 3, 4]


def test_a_clip_without_people_has_only_background_loss() -> None:
    pixels, sizes = clips((64, 64), (64, 64))
    made = model()
    terms = stmixer_loss(made.details(pixels, sizes), sizes, [make_targets(), make_targets()])
    assert all(torch.isfinite(value) for value in terms.values())
    assert {name.split("_")[1] for name, value in terms.items() if value > 0} == {"ce"}


def test_more_people_than_queries_are_an_error() -> None:
    pixels, sizes = clips((64, 64))
    made = model(queries=2)
    people = Targets(torch.tensor([[1.0, 1, 9, 9]]).repeat(3, 1), torch.zeros(3, 3))
    with pytest.raises(UsageError, match=r"3 people, the model 2 queries"):
        stmixer_loss(made.details(pixels, sizes), sizes, [people])


def test_every_parameter_of_t_gets_a_gradient() -> None:
    pixels, sizes = clips((64, 64), (64, 50))
    made = model_t().train()
    box = torch.tensor([[[5.0, 5, 40, 60]] * 4, [[20.0, 5, 50, 60]] * 4])
    presence = torch.tensor([[1.0, 1, 0, np.nan], [1, 1, 1, 1]])
    targets = [TubeTargets(box, presence, torch.eye(3)[:2])] * 2
    terms = stmixer_t_loss(made.details(pixels, sizes), sizes, targets)
    assert set(terms) >= {
        "loss_ce",
        "loss_bbox",
        "loss_giou",
        "loss_there",
        "loss_bce",
        "loss_ce_0",
    }
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert [name for name, p in made.named_parameters() if p.grad is None] == []


def test_boxes_of_absent_people_are_ignored() -> None:
    pixels, sizes = clips((64, 64))
    details = model_t().details(pixels, sizes)
    presence, action = torch.tensor([[1.0, 0, np.nan, 1]]), torch.eye(3)[:1]
    box = torch.tensor([[[5.0, 5, 40, 60]] * 4])
    wild = box.clone()
    wild[0, 1], wild[0, 2] = torch.nan, torch.inf
    terms, same = (
        stmixer_t_loss(details, sizes, [TubeTargets(x, presence, action)]) for x in (box, wild)
    )
    assert {k: v.item() for k, v in terms.items()} == {k: v.item() for k, v in same.items()}


def test_a_tubelet_of_one_frame_has_the_losses_of_a_key_frame() -> None:
    """For the same outputs, a T of one frame has K's loss terms."""
    pixels, sizes = clips((64, 64), frames=1)
    made = model_t(frames=1)
    details = made.details(pixels, sizes)
    plain = replace(
        details,
        stages=tuple(replace(s, xyzr=s.xyzr[:, :, 0], presence=None) for s in details.stages),
    )
    box, action = torch.tensor([[5.0, 5, 40, 60], [1, 1, 9, 30]]), torch.eye(3)[:2]
    tubes = TubeTargets(box[:, None], torch.ones(2, 1), action)
    terms = stmixer_t_loss(details, sizes, [tubes], StmixerLossConfig())
    for name, value in stmixer_loss(plain, sizes, [Targets(box, action)]).items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-5), name


def test_frames_without_the_person_have_no_cost() -> None:
    frame = torch.tensor([[[64.0, 64, 64, 64]]])
    box = torch.tensor([[[[[0.0, 0, 32, 32], [0, 0, 64, 64]]]]])  # one query, two frames
    truth = torch.tensor([[[[0.0, 0, 32, 32], [40, 40, 44, 44]]]])
    logit = torch.zeros(1, 1, 1, 2)
    cost = tube_cost(logit, box, truth, torch.tensor([[[1.0, 0]]]), frame, (2.0, 2.0, 2.0))
    assert cost.flatten().tolist() == pytest.approx(
        [-2 * 0.5 - 2]
    )  # person .5, GIoU 1, no distance


@pytest.mark.parametrize("make", [model, model_t])
def test_divergence_is_reported(make: Any) -> None:
    pixels, sizes = clips((64, 64))
    made = make()
    with torch.no_grad():
        made.stm_head.decoder_stages[0].fc_reg.bias[2] = torch.inf
    clip = Clip("v", np.zeros((4, 4, 4, 3), np.uint8), 0.0, np.arange(4) * 0.1, (4, 4))
    with torch.no_grad():
        outputs = made(pixels, sizes)
    with pytest.raises(StadkitError, match="the model returned NaN"):
        to_table(outputs, [clip], ("a", "b", "c"), 0.1)
    box, action = torch.tensor([[5.0, 5, 40, 60]]), torch.eye(3)[:1]
    details = made.details(pixels, sizes)
    whole = TubeTargets(box[:, None].expand(1, 4, 4), torch.ones(1, 4), action)
    losses = {
        model: lambda: stmixer_loss(details, sizes, [Targets(box, action)]),
        model_t: lambda: stmixer_t_loss(details, sizes, [whole]),
    }
    with pytest.raises(Diverged):
        losses[make]()


def test_fast_frames_need_not_be_a_multiple_of_slow_ones() -> None:
    with torch.device("meta"):
        made = build(StmixerConfig(**{**SMALL, "backbone": "slowfast-r50", "frames": 30}))
        assert {x.shape[2] for x in made.space(torch.empty(1, 3, 30, 32, 32))} == {8}
