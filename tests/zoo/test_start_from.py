"""A training starts from VideoMAE's, EVAD's or its own weights, by file or by name."""

from __future__ import annotations

from pathlib import Path

import made_evad
import made_videomae
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stadkit import zoo
from stadkit.errors import WeightsError
from stadkit.training.checkpoint import start_from
from stadkit.zoo.backbones import FINAL_NORM, Backbone


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    settings = {"width": 16, "depth": 2, "heads": 2, "maps_at": (0, 1), "prune_at": ()}
    small = Backbone("some/repo", settings, 1000, "nothing")
    monkeypatch.setitem(zoo.BACKBONES, "videomae-base", small)


def evad(**settings: object) -> nn.Module:
    """A model whose backbone is that of made_videomae."""
    own = {"depth": 2, "maps_at": [0, 1], "prune_at": [1]}
    return zoo.build_card(made_evad.small(**{**own, **settings}))


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
    initial = start_from(model, tmp_path / "k.safetensors")
    assert same(model, made_videomae.backbone())
    assert set(initial) == {n for n in model.state_dict() if not n.startswith("backbone.")}


def test_a_pulled_backbone_by_its_name(tmp_path: Path) -> None:
    save_file(made_videomae.classifier(made_videomae.original("")), tmp_path / "k.safetensors")
    kept = zoo.import_file(tmp_path / "k.safetensors", "videomae-base")
    model = evad()
    initial = start_from(model, tmp_path / "videomae-base")  # beside the YAML there is none
    assert set(FINAL_NORM) <= set(initial)
    given = {k: v for k, v in made_videomae.backbone().items() if k not in FINAL_NORM}
    assert same(model, given)
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsError, match="damaged or changed"):
        start_from(evad(), tmp_path / "videomae-base")


def test_a_name_that_is_not_here_is_told_how(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="`stadkit models pull videomae-large` gets them"):
        start_from(evad(), tmp_path / "videomae-large")


def test_a_file_of_that_name_comes_first(tmp_path: Path) -> None:
    save_file(made_videomae.original(""), tmp_path / "videomae-large")
    model = evad()
    start_from(model, tmp_path / "videomae-large")
    assert same(model, made_videomae.backbone())


def test_a_released_file_and_ones_own(tmp_path: Path) -> None:
    card = made_evad.small()
    wanted = made_evad.weights(card)
    theirs = made_evad.released(tmp_path / "a.pyth", card)
    save_file(wanted, tmp_path / "a.safetensors")
    for path in (theirs, tmp_path / "a.safetensors"):
        model = zoo.build_card(card)
        assert start_from(model, path) == []
        assert same(model, wanted)


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
    with pytest.raises(WeightsError, match="not the whole backbone"):
        start_from(evad(width=32), tmp_path / "k.safetensors")
    # A norm of another width is no norm that lacks.
    given = {**made_videomae.original(""), "norm.weight": torch.ones(8), "norm.bias": torch.ones(8)}
    save_file(given, tmp_path / "k.safetensors")
    with pytest.raises(WeightsError, match=r"not the whole backbone .*backbone\.norm"):
        start_from(evad(), tmp_path / "k.safetensors")
