"""A training starts from VideoMAE's, EVAD's or its own weights, by file or by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import made_evad, made_videomae
from safetensors.torch import save_file
from torch import Tensor, nn

from stadkit import zoo
from stadkit.errors import WeightsError
from stadkit.training.init_weights import Started, start_from, start_notes
from stadkit.zoo.backbones import FINAL_NORM, Backbone
from stadkit.zoo.dialects import official


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    settings = {"width": 16, "depth": 4, "heads": 2, "maps_at": (0, 1), "prune_at": ()}
    small = Backbone("some/repo", settings, 1000, "nothing")
    monkeypatch.setitem(zoo.BACKBONES, "videomae-base", small)


def evad(**settings: object) -> nn.Module:
    """A model whose backbone is that of made_videomae."""
    return zoo.build_card(made_evad.small(**settings))


def same(model: nn.Module, given: dict[str, Tensor]) -> bool:
    now = model.state_dict()
    return all(torch.equal(now[name], value) for name, value in given.items())


@pytest.mark.parametrize("kind", ["original", "hub", "pre-training", "mmaction2"])
def test_videomae_in_any_dialect(tmp_path: Path, kind: str) -> None:
    makers = {
        "original": lambda: made_videomae.original("backbone."),
        "hub": made_videomae.huggingface,
        "pre-training": made_videomae.pretrained,
        "mmaction2": made_videomae.mmaction2,
    }
    save_file(makers[kind](), tmp_path / "k.safetensors")
    model = evad()
    initial = start_from(model, tmp_path / "k.safetensors").initial
    assert same(model, made_videomae.backbone())
    assert set(initial) == {n for n in model.state_dict() if not n.startswith("backbone.")}


def test_a_pulled_backbone_by_its_name(tmp_path: Path) -> None:
    save_file(made_videomae.classifier(made_videomae.original("")), tmp_path / "k.safetensors")
    kept = zoo.import_file(tmp_path / "k.safetensors", "videomae-base")
    model = evad()
    started = start_from(model, "videomae-base")
    assert set(FINAL_NORM) <= set(started.initial)
    assert (started.licence, started.order) == ("CC-BY-NC-4.0", "")
    assert start_from(evad(), kept) == started  # the same when given as a file
    given = {k: v for k, v in made_videomae.backbone().items() if k not in FINAL_NORM}
    assert same(model, given)
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="damaged or changed"):
        start_from(evad(), "videomae-base")


def test_a_missing_backbone_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="`stadkit models pull videomae-large` downloads them"):
        start_from(evad(), "videomae-large")


@pytest.mark.parametrize("init", ["no/such/mestad-nano", Path("mestad-nano"), "videomae-bass"])
def test_a_missing_path_is_not_taken_for_a_name(init: str | Path) -> None:
    with pytest.raises(WeightsError, match=f"^{init}: no such file; .*`init: ") as e:
        start_from(evad(), init)
    assert "\n" not in str(e.value)


def test_a_file_of_that_name_comes_first(tmp_path: Path) -> None:
    save_file(made_videomae.original(""), tmp_path / "videomae-large")
    model = evad()
    start_from(model, tmp_path / "videomae-large")
    assert same(model, made_videomae.backbone())


def test_a_released_file_and_a_file_with_canonical_names(tmp_path: Path) -> None:
    card = made_evad.small()
    wanted = made_evad.weights(card)
    theirs = made_evad.released(tmp_path / "a.pyth", card)
    save_file(wanted, tmp_path / "a.safetensors")
    for path, order in ((theirs, "importance"), (tmp_path / "a.safetensors", "")):
        model = zoo.build_card(card)
        assert start_from(model, path) == Started([], [], "", order)
        assert same(model, wanted)


def test_a_file_without_the_final_norm_keeps_its_heads(tmp_path: Path) -> None:
    card = made_evad.small()
    wanted = {k: v for k, v in made_evad.weights(card).items() if k not in FINAL_NORM}
    save_file(wanted, tmp_path / "a.safetensors")
    model = zoo.build_card(card)
    started = start_from(model, tmp_path / "a.safetensors")
    assert (started.initial, started.unused) == (sorted(FINAL_NORM), [])
    assert same(model, wanted)


def test_unused_tensors_are_named(tmp_path: Path) -> None:
    card = made_evad.small()
    given = made_evad.weights(card)
    given["people.boxes"] = given.pop("people.box")
    save_file({**given, "extra": torch.ones(1)}, tmp_path / "a.safetensors")
    started = start_from(zoo.build_card(card), tmp_path / "a.safetensors")
    assert (started.initial, started.unused) == (["people.box"], ["extra", "people.boxes"])
    save_file(made_videomae.mmaction2(), tmp_path / "k.safetensors")
    unused = start_from(evad(), tmp_path / "k.safetensors").unused
    assert unused == ["backbone.pos_embed", "roi_head.fc_cls.weight"]
    # A smaller model takes a larger one's first blocks, and reports the unused rest.
    deeper = made_evad.weights(made_evad.small(depth=5))
    save_file({k: v for k, v in deeper.items() if "backbone" in k}, tmp_path / "k.safetensors")
    unused = start_from(evad(), tmp_path / "k.safetensors").unused
    assert {name.split(".")[2] for name in unused} == {"4"}


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("people.box", lambda v: v * float("nan"), "NaN or infinity in 1 tensor .people.box"),
        ("backbone.norm.bias", lambda v: v / 0, "NaN or infinity in 1 tensor .backbone"),
        ("people.box", lambda v: v.to(torch.int8), "people.box is int8, not floating point; use"),
        (
            "backbone.norm.bias",
            lambda v: None,
            "not this model's complete backbone: backbone.norm.bias",
        ),
        (
            "backbone.norm.weight",
            lambda v: None,
            "not this model's complete backbone: backbone.norm.weight",
        ),
    ],
)
def test_broken_numbers_and_half_a_norm_are_refused(
    tmp_path: Path, name: str, change: Callable[[Tensor], Tensor | None], words: str
) -> None:
    card = made_evad.small()
    given = made_evad.weights(card)
    changed = change(given.pop(name))
    held = official.to_official({**given, **({} if changed is None else {name: changed})})
    save_file({k: v.contiguous() for k, v in held.items()}, tmp_path / "a.safetensors")
    model = zoo.build_card(card)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=words):
        start_from(model, tmp_path / "a.safetensors")
    assert same(model, before)


def test_notes_about_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = made_evad.small()
    monkeypatch.setitem(zoo.CARDS, "evad-vit-b", card)
    zoo.import_file(made_evad.released(tmp_path / "a.pyth", card), "evad-vit-b")
    started = start_from(zoo.build_card(card), "evad-vit-b")
    assert (started.licence, started.order) == ("CC-BY-NC-4.0", "importance")
    for order in ("position", "importance"):
        own = replace(card, settings={**card.settings, "token_order": order}, licence="yours")
        assert start_notes(started, own) == [
            f"trains with token_order: {order}; these weights were trained with importance"
        ]
    (tmp_path / "a.json").write_text("[1]")  # not a sidecar of ours
    assert start_from(zoo.build_card(card), tmp_path / "a.pyth").licence == ""


def test_half_a_norm_or_half_a_block_is_refused(tmp_path: Path) -> None:
    for lost in ("norm.bias", "blocks.0.mlp.fc1.bias"):
        given = {k: v for k, v in made_videomae.original("").items() if k != lost}
        save_file(given, tmp_path / "k.safetensors")
        model = evad()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with pytest.raises(WeightsError, match=lost):
            start_from(model, tmp_path / "k.safetensors")
        assert same(model, before)


def test_another_width_is_refused(tmp_path: Path) -> None:
    save_file(made_videomae.huggingface(), tmp_path / "k.safetensors")
    with pytest.raises(WeightsError, match="not this model's complete backbone"):
        start_from(evad(width=32), tmp_path / "k.safetensors")
    # A norm of another width does not count as missing.
    given = {**made_videomae.original(""), "norm.weight": torch.ones(8), "norm.bias": torch.ones(8)}
    save_file(given, tmp_path / "k.safetensors")
    with pytest.raises(WeightsError, match=r"not this model's complete backbone: backbone\.norm"):
        start_from(evad(), tmp_path / "k.safetensors")
