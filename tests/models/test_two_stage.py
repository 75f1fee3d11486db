"""Two-stage models: proposals, clip sizes, and softmax scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from stadkit.errors import UsageError
from stadkit.models import two_stage
from stadkit.models.action_head import RoiHead
from stadkit.models.cost import cost
from stadkit.models.slowfast import slow_index
from stadkit.models.two_stage import TwoStage, TwoStageConfig

ONE = torch.tensor([[0.1, 0.2, 0.7, 0.9]])
TWO = torch.tensor([[0.0, 0.0, 0.4, 1.0], [0.5, 0.1, 1.0, 0.8]])


def tiny(backbone: str = "slowfast-tiny", **changes: Any) -> TwoStage:
    torch.manual_seed(0)
    model = two_stage.build(TwoStageConfig(backbone=backbone, classes=5, **changes)).eval()
    for name, value in model.named_parameters():
        if name.endswith("c_bn.weight"):  # with identity blocks, all inputs look alike
            torch.nn.init.ones_(value)
    return model


def clips(*sizes: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Clips of these (height, width), zero-padded to the largest, and their sizes."""
    random = torch.Generator().manual_seed(1)
    high, wide = (max(size[i] for size in sizes) for i in (0, 1))
    pixels = torch.zeros(len(sizes), 3, 8, high, wide)
    for clip, (height, width) in zip(pixels, sizes, strict=True):
        clip[..., :height, :width] = torch.randn(3, 8, height, width, generator=random)
    return pixels, torch.tensor(sizes)


@torch.no_grad()
def run(model: TwoStage, pixels: Tensor, sizes: Tensor, *proposals: Any) -> two_stage.Outputs:
    return model(pixels, sizes, *proposals)  # type: ignore[no-any-return]


def test_without_boxes_the_error_names_the_options() -> None:
    with pytest.raises(UsageError, match=r"with --proposals, or the name .* --person-model"):
        run(tiny(), *clips((64, 64)))


def test_people_are_the_proposals_with_their_scores() -> None:
    scores = [torch.tensor([0.25, 0.75]), torch.tensor([1.0])]
    outputs = run(tiny(), *clips((64, 80), (64, 80)), [TWO, ONE], scores)
    torch.testing.assert_close(outputs.person[0].sigmoid(), scores[0])
    assert outputs.person[1].tolist()[1] == -torch.inf
    assert torch.equal(outputs.box[0, :, 0], TWO)
    assert run(tiny(), *clips((64, 80)), [ONE]).person[0, 0].sigmoid() > 0.999


@pytest.mark.parametrize(
    ("backbone", "changes"),
    [
        ("slowfast-tiny", {"context": True}),
        ("slowonly-tiny-nl", {"aligned": True, "head": "acrn"}),
        ("vit-tiny", {"aligned": True, "roi_size": 8}),
    ],
)
def test_results_do_not_depend_on_the_batch(backbone: str, changes: dict[str, Any]) -> None:
    model, sizes = tiny(backbone, **changes), ((64, 80), (72, 56), (64, 80))
    pixels, size = clips(*sizes)
    empty = torch.zeros(0, 4)
    proposals = [TWO, ONE, empty]
    together = run(model, pixels, size, proposals)
    assert together.action[0].std() > 0
    for i, (height, width) in enumerate(sizes):
        own = pixels[i : i + 1, ..., :height, :width]
        alone = run(model, own, size[i : i + 1], proposals[i : i + 1])
        count = len(proposals[i])
        torch.testing.assert_close(
            together.action[i, :count], alone.action[0], rtol=1e-4, atol=1e-5
        )


def test_clips_without_boxes_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny()
    monkeypatch.setattr(model, "maps", lambda pixels: pytest.fail("the backbone ran"))
    outputs = run(model, *clips((64, 64), (64, 64)), [torch.zeros(0, 4)] * 2)
    assert outputs.person.shape == (2, 0)
    assert outputs.action.shape == (2, 0, 5)


def test_boxes_are_clipped_to_the_frame() -> None:
    beyond = torch.tensor([[-0.3, 0.2, 0.7, 1.4]])
    inside = torch.tensor([[0.0, 0.2, 0.7, 1.0]])
    model, (pixels, sizes) = tiny(), clips((64, 80))
    found = [run(model, pixels, sizes, [box]) for box in (beyond, inside)]
    assert torch.equal(found[0].action, found[1].action)
    torch.testing.assert_close(found[0].box[0, 0, 0], beyond[0])


def test_the_sigmoid_of_softmax_scores_is_the_softmax() -> None:
    model, logits = tiny(scores="softmax"), torch.tensor([[1.0, 2.0, 0.5, -1.0, 0.0]])
    model.head.forward = lambda *_: logits  # type: ignore[assignment, method-assign]
    found = model.classify(torch.zeros(1, 1, 2, 2), torch.zeros(1, 4), torch.zeros(1))
    torch.testing.assert_close(found.sigmoid(), logits.softmax(1), rtol=1e-4, atol=1e-6)


def test_the_head_takes_the_maximum_cell() -> None:
    head = RoiHead(1, 1, size=2, sampling=1, hidden=True)
    for layer in (head.hidden, head.projection):
        assert isinstance(layer, torch.nn.Linear)
        torch.nn.init.ones_(layer.weight)
        torch.nn.init.constant_(layer.bias, -1.5)
    ramp = torch.arange(4.0).expand(1, 1, 3, 4)  # each cell's value is its column
    box = torch.tensor([[16.0, 16, 48, 48], [0.0, 0, 32, 48]])
    # Largest samples: columns 2 and 1, then relu(2 - 1.5) - 1.5 and relu(1 - 1.5) - 1.5.
    found = head(ramp, box, torch.tensor([0, 0]), 16)
    torch.testing.assert_close(found, torch.tensor([[-1.0], [-1.5]]))


def test_unaligned_boxes_are_half_a_cell_off() -> None:
    box, first = torch.tensor([[16.0, 16, 48, 48]]), torch.tensor([0])
    ramp = torch.arange(5.0).expand(1, 1, 3, 5)
    for aligned, column in ((True, 2.0), (False, 2.5)):
        head = RoiHead(1, 1, size=2, sampling=1, aligned=aligned)
        torch.nn.init.ones_(head.projection.weight)
        torch.nn.init.zeros_(head.projection.bias)
        assert head(ramp, box, first, 16).item() == pytest.approx(column)


def test_slow_frames_of_both_code_bases() -> None:
    assert slow_index(32, 8, "nearest") == [0, 8, 16, 24]
    assert slow_index(32, 4, "linspace") == [0, 4, 8, 13, 17, 22, 26, 31]


@pytest.mark.parametrize("time", ["mean", "max"])
def test_boxes_are_pooled_in_float32(time: str) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert tiny("vit-tiny", time=time).maps(clips((32, 48))[0]).dtype == torch.float32
        assert tiny(time=time).maps(clips((32, 48))[0]).dtype == torch.float32


def test_cost_counts_ten_boxes() -> None:
    model = tiny(head="mlp")
    counted = cost(model, 64, 8)
    fewer = two_stage.build(model.config)
    fewer.counted_boxes = 5
    width = 320  # summed over both pathways
    head = (width * width + width * 5) / 1e9
    assert counted["gmacs"] - cost(fewer, 64, 8)["gmacs"] == pytest.approx(5 * head)
    assert counted["parameters"] == sum(p.numel() for p in model.parameters())


def test_wrong_choices_are_reported_in_one_line() -> None:
    for changes, words in (
        ({"backbone": "slowfast-r5"}, r"TwoStageConfig\.backbone is 'slowfast-r5'; choose one of"),
        ({"time": "sum"}, "time is 'sum'; choose one of mean, max"),
        ({"head": "acrn", "context": True}, "acrn', which needs aligned: true and context: false"),
        ({"roi_size": 0}, "roi_size is 0; it must be a whole number above 0"),
    ):
        with pytest.raises(UsageError, match=words):
            TwoStageConfig(**changes)  # type: ignore[arg-type]
