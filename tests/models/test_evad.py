"""A tiny EVAD end to end: token positions and every option."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from stadkit.errors import UsageError
from stadkit.layers.attention import Attention, TransformerBlock
from stadkit.models.cost import cost
from stadkit.models.evad import Evad, EvadConfig, build, extend
from stadkit.models.vit import Tokens

TINY: dict[str, Any] = {
    "classes": 3,
    "frames": 8,
    "width": 16,
    "depth": 4,
    "heads": 2,
    "base": (4, 4),
    "maps_at": (0, 1, 2, 3),
    "prune_at": (1, 2),
    "proposals": 5,
    "people_width": 16,
    "people_heads": 2,
    "people_attention": 2,
    "feedforward": 16,
    "dynamic": 4,
    "decoder_width": 8,
    "decoder_depth": 2,
    "decoder_heads": 2,
    "classifier": 16,
}


def tiny(**changes: Any) -> Evad:
    """A model with larger weights: with the default init, all tokens are nearly equal."""
    torch.manual_seed(0)
    model = build(EvadConfig(**{**TINY, **changes})).eval()
    for weight in model.backbone.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.2)
    return model


def clip(count: int = 2, height: int = 64, width: int = 96, frames: int = 8) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randn(count, 3, frames, height, width, generator=random)


SIZES = torch.tensor([[64, 96], [50, 70]])


@pytest.mark.parametrize("frames", [2, 6, 8])
@pytest.mark.parametrize("size", [(64, 96), (32, 160), (48, 16)])
@pytest.mark.parametrize("rate", [1.0, 0.8])
def test_any_length_size_and_rate(frames: int, size: tuple[int, int], rate: float) -> None:
    model, pixels = tiny(keep_rate=rate), clip(1, *size, frames)
    cells = size[0] * size[1] // 256
    if frames == 2 and math.ceil(rate * cells) < cells:  # there is only the key frame
        with pytest.raises(UsageError, match="keep_rate"):
            model(pixels, torch.tensor([size]))
        return
    with torch.no_grad():
        found = model(pixels, torch.tensor([size]))
    assert found.person.shape == (1, 5)
    assert found.box.shape == (1, 5, 1, 4)
    assert found.action.shape == (1, 5, 3)
    assert found.action.isfinite().all()


@pytest.mark.parametrize("order", ["position", "importance"])
def test_the_key_frame_alone_may_be_kept(order: str) -> None:
    model = tiny(keep_rate=0.5, token_order=order)  # half of 4 slices, twice, is one
    with torch.no_grad():
        tokens = model.backbone(clip())
        context, restored = model.restore(tokens)
        found = model(clip(), SIZES)
    assert tokens.kept.shape == (2, 0)
    torch.testing.assert_close(context, restored[:, 2].flatten(1, 2))  # the key frame's slice
    assert found.action.isfinite().all()


@pytest.mark.parametrize("order", ["position", "importance"])
def test_forward_returns_the_last_details_and_lean_changes_nothing(order: str) -> None:
    model, full = tiny(token_order=order), tiny(token_order=order, lean=False)
    with torch.no_grad():
        found, details = model(clip(), SIZES), model.details(clip(), SIZES)
        whole = full(clip(), SIZES)
    logit = details.people.logit[-1]
    torch.testing.assert_close(found.person, logit[..., 0] - logit[..., 1])
    torch.testing.assert_close(found.action, details.action[-1])
    torch.testing.assert_close(found.action, whole.action)
    # Boxes are fractions of each clip's own size.
    torch.testing.assert_close(found.box[1, :, 0], details.people.box[-1][1] / BOTH)


BOTH = torch.tensor([70, 50, 70, 50])


def test_lean_has_a_lower_cost() -> None:
    assert cost(tiny(), 64)["gmacs"] < cost(tiny(lean=False), 64)["gmacs"]


def made_tokens(kept: list[int]) -> Tokens:
    """A clip of 3 slices of 1 x 2 cells, token n filled with 10 n; 0 and 1 are the key frame's."""
    token = 10.0 * torch.arange(2 + len(kept))[None, :, None].expand(1, -1, 16)
    maps = (torch.zeros(1, 16, 1, 2),) * 4
    return Tokens(token, torch.tensor([kept]), (3, 1, 2), maps, ())


@pytest.mark.parametrize(
    ("order", "first", "last"),
    # Other tokens were kept in order 3, 0: cells 5 and 0. The authors' code sorts the cells.
    [("position", [30, -1], [-1, 20]), ("importance", [20, -1], [-1, 30])],
)
def test_kept_tokens_are_scattered_to_their_cells(
    order: str, first: list[float], last: list[float]
) -> None:
    model = tiny(token_order=order)
    with torch.no_grad():
        model.encoder_to_decoder.weight.zero_()[:, 0] = 1
        model.mask_token.fill_(-1)
        context, restored = model.restore(made_tokens([3, 0]))
        code = model.restore(made_tokens([0, 1, 2, 3]))[1] - torch.tensor(
            [[20.0, 30], [0, 10], [40, 50]]
        ).view(1, 3, 1, 2, 1)
    got = (restored - code)[0, :, 0, :, 0]
    torch.testing.assert_close(got, torch.tensor([first, [0.0, 10], last]))
    cells = restored.flatten(1, 3)
    place = {"position": [2, 3, 5, 0], "importance": [2, 3, 0, 5]}[order]
    torch.testing.assert_close(context[0], cells[0, place])


def test_boxes_are_extended_within_the_frame() -> None:
    box = torch.tensor([[[10.0, 20, 29, 49]], [[-5.0, 0, 80, 60]]])
    grown = extend(box, torch.tensor([[64, 96], [50, 70]]), (0.4, 0.2))
    # 20 wide: 4 on each side; 30 high: 3 above and below. The second frame ends at 69, 49.
    torch.testing.assert_close(grown[0, 0], torch.tensor([6.0, 17, 33, 52]))
    torch.testing.assert_close(grown[1, 0], torch.tensor([0.0, 0, 69, 49]))


def test_an_actor_is_the_max_over_space_and_the_mean_over_time() -> None:
    model = tiny()
    restored = torch.zeros(1, 2, 4, 4, 8)
    restored[0, 0, 1, 1] = 4  # pixels 16 to 32
    restored[0, 1, 3, 3] = 100  # outside the box
    actor = model.actors(restored, torch.tensor([[[0.0, 0, 40, 40]]]))
    assert actor.shape == (1, 1, 8)
    assert 1.5 < actor[0, 0, 0] <= 2  # half of a bin's value near 4


def test_external_boxes_are_classified() -> None:
    model = tiny()
    proposals = [torch.tensor([[0.1, 0.1, 0.5, 0.9], [0.2, 0, 1, 1]]), torch.zeros(0, 4)]
    with torch.no_grad():
        found = model(clip(), SIZES, proposals, [torch.tensor([0.5, 1.0]), torch.zeros(0)])
        nobody = model(clip(), SIZES, [torch.zeros(0, 4)] * 2)
    assert found.person.isneginf().tolist() == [[False, False], [True, True]]
    torch.testing.assert_close(found.box[0, :, 0], proposals[0])
    assert found.action[0].isfinite().all()
    assert nobody.action.shape == (2, 0, 3)


@pytest.mark.parametrize("rate", [1.0, 0.8])
@pytest.mark.parametrize("lean", [True, False])
def test_other_clips_boxes_change_nothing(rate: float, lean: bool) -> None:
    model, random = tiny(keep_rate=rate, lean=lean), torch.Generator().manual_seed(2)
    low = torch.rand(7, 2, generator=random) / 2
    boxes = torch.cat([low, low + 0.4], 1)
    one, six = boxes.split([1, 6])
    with torch.no_grad():
        alone = model(clip()[:1], SIZES[:1], [one])
        first = model(clip(), SIZES, [one, six])
        # The clip with all boxes has several, so that actors influence each other.
        whole = model(clip()[:1], SIZES[:1], [boxes])
    torch.testing.assert_close(first.action[:1, :1], alone.action, rtol=0, atol=1e-5)
    assert (whole.action[:, :1] - alone.action).abs().max() > 1e-3


@contextmanager
def same_order(seen: list[Tensor], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pruning blocks use the importances in `seen`, or record them there if it is empty."""
    found, importance = iter(list(seen)), Attention.with_importance

    def forced(self: Attention, *args: Any) -> tuple[Tensor, Tensor]:
        out, own = importance(self, *args)
        known = next(found, None)
        if known is None:
            seen.append(own)
            return out, own
        torch.testing.assert_close(own, known, rtol=0.03, atol=0)
        return out, known

    with monkeypatch.context() as patch:
        patch.setattr(Attention, "with_importance", forced)
        yield


@pytest.mark.parametrize("order", ["position", "importance"])
def test_bfloat16_agrees_given_the_same_tokens(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the same boxes too: this compares the accumulated error of all layers.
    model, seen = tiny(keep_rate=0.7, token_order=order), []  # type: tuple[Evad, list[Tensor]]
    boxes = [torch.tensor([[0.1, 0.1, 0.5, 0.9], [0.2, 0, 1, 1], [0.5, 0.4, 0.7, 0.8]])] * 2
    with torch.no_grad():
        with same_order(seen, monkeypatch):
            exact = model(clip(), SIZES, boxes).action
        with torch.autocast("cpu", torch.bfloat16), same_order(seen, monkeypatch):
            rough = model(clip(), SIZES, boxes).action
    assert len(seen) == 2
    assert rough.dtype == torch.float32
    error = (rough - exact).std() / exact.std()
    assert error < 0.02


def test_token_sums_are_float32_under_autocast() -> None:
    # Rounded to bfloat16 after each block, they would lose the updates of deep blocks.
    model, kinds = tiny(keep_rate=0.7), []  # type: tuple[Evad, list[torch.dtype]]
    norms = [
        x for x in model.modules() if isinstance(x, TransformerBlock) for x in (x.norm1, x.norm2)
    ]
    for norm in norms:
        norm.register_forward_pre_hook(lambda _, inputs: kinds.append(inputs[0].dtype))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model(clip(), SIZES)
    assert len(kinds) == len(norms) == 2 * (4 + 2)
    assert set(kinds) == {torch.float32}


def test_bfloat16_autocast_runs_and_stays_near() -> None:
    model = tiny(keep_rate=1.0)  # lower rates would keep other tokens than in float32
    with torch.no_grad():
        exact = model.details(clip(), SIZES)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model.details(clip(), SIZES)
    assert rough.action.dtype == rough.people.box.dtype == torch.float32
    torch.testing.assert_close(rough.people.box, exact.people.box, atol=3, rtol=0.1)


def test_gradients_reach_every_weight_without_checkpointing() -> None:
    model = tiny().train()
    details = model.details(clip(), SIZES)
    people = details.people
    (details.action.sum() + people.box.sum() + people.logit[..., 0].sum()).backward()  # type: ignore[no-untyped-call]
    lacking = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert not lacking


@pytest.mark.parametrize(
    "wrong",
    [
        {"token_order": "size"},
        {"keep_rate": 0.0},
        {"heads": 3},
        {"frames": 7},
        {"tubelet": 0},
        {"maps_at": (0, 1, 2)},
        {"people_attention": 3},
        {"decoder_heads": 3},
        {"drop_path": 1.0},
        {"decoder_drop_path": 1.0},
        {"decoder_depth": 0},
        {"proposals": -1},
        {"classifier": 2.5},
        {"roi_extension": (0.4,)},
        {"roi_extension": (0.4, -0.1)},
        {"roi_extension": 0.4},
        {"base": (0, 4)},
    ],
    ids=str,
)
def test_wrong_settings_are_named(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(UsageError, match=rf"^(Evad|Vit)Config\..*\b{name}\b[^\n]*\.$"):
        EvadConfig(**{**TINY, **wrong})


def test_lists_are_accepted() -> None:
    names = ("base", "maps_at", "prune_at", "roi_extension")
    config = EvadConfig()
    assert EvadConfig(**{name: list(getattr(config, name)) for name in names}) == config
