"""Files of EVAD's authors and of VideoMAE are imported, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import made_evad, made_slowfast, made_stmixer, made_videomae
from safetensors.torch import load_file, save_file

from stadkit import zoo
from stadkit.errors import WeightsError
from stadkit.zoo.backbones import FUSION_NORM, Backbone
from stadkit.zoo.dialects import official

MODELS = {
    *("evad-vit-b", "evad-vit-b-keep06", "evad-vit-b-full", "evad-vit-l"),
    *("stmixer-k-slowonly-r50", "stmixer-k-vit-b"),
}
KEEP06 = "EW:\n  KEEP_RATE: 0.6\n  ENHANCED_WEIGHT: 4.0\n"


@pytest.fixture(autouse=True)
def small_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    for name in zoo.CARDS.keys() - MODELS:  # the rest are built where a file fits no model
        monkeypatch.delitem(zoo.CARDS, name)
    for name in ("evad-vit-b", "evad-vit-b-keep06", "evad-vit-b-full"):
        monkeypatch.setitem(zoo.CARDS, name, made_evad.small(name))
    settings = {"width": 16, "depth": 4, "heads": 2, "maps_at": (0, 1), "prune_at": ()}
    small = Backbone("some/repo", settings, 1000, "nothing")
    monkeypatch.setitem(zoo.BACKBONES, "videomae-base", small)
    slowfast = Backbone("", made_slowfast.SHAPE, None, "nothing", kind="slowfast")
    monkeypatch.setitem(zoo.BACKBONES, "slowfast-r50-k400", slowfast)
    monkeypatch.setitem(zoo.CARDS, "stmixer-k-slowonly-r50", made_stmixer.small())


@pytest.mark.parametrize("wrapper", ["model_state", "model", "module", "state_dict"])
def test_a_released_file_under_our_names(tmp_path: Path, wrapper: str) -> None:
    card = zoo.card("evad-vit-b")
    path = made_evad.released(tmp_path / "a.pyth", card, "KEEP_RATE: 0.7\n", wrapper)
    kept = zoo.import_file(path, "evad-vit-b")
    wanted, found = made_evad.weights(card), load_file(kept)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    notes = zoo.read_sidecar(kept)
    assert (notes["source"], notes["source_sha256"]) == ("a.pyth", zoo.sha256(path))
    assert notes["told"] == []
    zoo.load_weights(zoo.build("evad-vit-b"), kept)


def test_canonical_names(tmp_path: Path) -> None:
    save_file(made_evad.weights(zoo.card("evad-vit-b")), tmp_path / "a.safetensors")
    (note,) = zoo.read_sidecar(zoo.import_file(tmp_path / "a.safetensors", "evad-vit-b"))["told"]
    assert note.startswith("no card beside the file: assuming evad-vit-b, but evad-vit-b-")


def test_an_unstated_keep_rate_is_noted(tmp_path: Path) -> None:
    path = made_evad.released(tmp_path / "a.pyth", zoo.card("evad-vit-b"))
    notes = zoo.read_sidecar(zoo.import_file(path, "evad-vit-b-keep06"))["told"]
    assert notes == [
        "the file does not state its keep rate, and no tensor shows it: assuming 0.6, as in "
        "evad-vit-b-keep06"
    ]


def test_another_keep_rate_is_refused_without_anyway(tmp_path: Path) -> None:
    path = made_evad.released(tmp_path / "a.pyth", zoo.card("evad-vit-b"), KEEP06)
    with pytest.raises(WeightsError) as caught:
        zoo.import_file(path, "evad-vit-b")
    message = str(caught.value)
    assert "keep rate 0.6, not 0.7, key-frame weight 4, not 1" in message
    assert "import it --as evad-vit-b-keep06 (or as evad-vit-b with --anyway)" in message
    assert zoo.weights_path("evad-vit-b") is None
    kept = zoo.import_file(path, "evad-vit-b", anyway=True)
    assert "although its config says keep rate 0.6" in zoo.read_sidecar(kept)["told"][0]
    assert zoo.read_sidecar(zoo.import_file(path, "evad-vit-b-keep06"))["told"] == []


def test_a_keep_rate_of_no_known_model(tmp_path: Path) -> None:
    path = made_evad.released(tmp_path / "a.pyth", zoo.card("evad-vit-b"), "KEEP_RATE: 0.8")
    with pytest.raises(WeightsError, match=r"keep rate 0\.8, not 0\.7; no known model matches"):
        zoo.import_file(path, "evad-vit-b")


def test_a_file_of_another_size_names_its_model(tmp_path: Path) -> None:
    path = made_evad.released(tmp_path / "a.pyth", zoo.card("evad-vit-b"), KEEP06)
    with pytest.raises(WeightsError, match=r"it fits evad-vit-b-keep06: import it --as evad-vit-b"):
        zoo.import_file(path, "evad-vit-l")


def test_a_backbone_drops_other_tensors(tmp_path: Path) -> None:
    save_file(made_videomae.classifier(made_videomae.original("")), tmp_path / "k.safetensors")
    kept = zoo.import_file(tmp_path / "k.safetensors", "videomae-base")
    assert kept.name == "videomae-base.safetensors"
    assert zoo.state("videomae-base") == "here"
    wanted = made_videomae.backbone()
    found = load_file(kept)
    assert all(torch.equal(value, wanted[name]) for name, value in found.items())
    assert len(found) == len(wanted) - 2
    unused, norm = zoo.read_sidecar(kept)["told"]
    assert unused.startswith("not used, as it is not part of the backbone: ")
    assert set(unused.split(": ")[1].split(", ")) == {
        *("fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias")
    }
    assert "newly initialized" in norm


def test_a_backbone_of_another_size(tmp_path: Path) -> None:
    save_file(made_videomae.original("encoder."), tmp_path / "k.safetensors")
    with pytest.raises(WeightsError, match=r"is not videomae-large: .*missing.*of another shape"):
        zoo.import_file(tmp_path / "k.safetensors", "videomae-large")
    with pytest.raises(WeightsError, match="may be a backbone: import it --as videomae-base or"):
        zoo.import_file(tmp_path / "k.safetensors", "evad-vit-b")


def test_a_file_that_is_no_backbone(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "k.safetensors")
    with pytest.raises(WeightsError, match=r"k\.safetensors: not a video transformer"):
        zoo.import_file(tmp_path / "k.safetensors", "videomae-base")


def test_options_beside_the_weights_are_ignored(tmp_path: Path) -> None:
    from argparse import Namespace

    held = made_videomae.pretrained()
    torch.save({"model": held, "args": Namespace(lr=1, model="base")}, tmp_path / "checkpoint.pth")
    kept = zoo.import_file(tmp_path / "checkpoint.pth", "videomae-base")
    assert load_file(kept).keys() == made_videomae.backbone().keys()
    assert zoo.read_sidecar(kept)["told"] == [
        "not used, as it is not part of the backbone: mask_token (1 tensor), encoder_to_decoder "
        "(1 tensor), decoder (55 tensors)"
    ]


def test_a_released_stmixer(tmp_path: Path) -> None:
    """EVAD's settings in its config are ignored."""
    wanted = zoo.build("stmixer-k-slowonly-r50").state_dict()
    theirs = {f"module.{k}": v for k, v in official.to_official(wanted, "stmixer-k").items()}
    assert "module.stm_head.criterion.empty_weight" in theirs
    held = {"model": theirs, "optimizer": {}, "scheduler": {}, "iteration": 9, "cfg": KEEP06}
    torch.save(held, tmp_path / "model_final.pth")
    kept = zoo.import_file(tmp_path / "model_final.pth", "stmixer-k-slowonly-r50")
    found = load_file(kept)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert zoo.read_sidecar(kept)["told"] == []
    with pytest.raises(WeightsError, match=r"is not stmixer-k-vit-b: .*it fits stmixer-k-slowonly"):
        zoo.import_file(tmp_path / "model_final.pth", "stmixer-k-vit-b")


def test_an_incomplete_stmixer_is_refused(tmp_path: Path) -> None:
    theirs = official.to_official(zoo.build("stmixer-k-slowonly-r50").state_dict(), "stmixer-k")
    del theirs["stm_head.init_spatial_queries.weight"]
    torch.save({"model": theirs}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"1 missing \(stm_head\.init_spatial_queries") as caught:
        zoo.import_file(tmp_path / "x.pth", "stmixer-k-slowonly-r50")
    message = str(caught.value)
    backbones = "slowonly-r50-k400 or slowfast-r50-k400 or slowfast-r101-nl-k600"
    assert f"import it --as {backbones}" in message
    assert "videomae" not in message


def test_a_slowfast_of_caffe2(tmp_path: Path) -> None:
    wanted = made_slowfast.weights()
    path = made_slowfast.caffe2(tmp_path / "SLOWFAST_8x8_R50.pkl", wanted)
    kept = zoo.import_file(path, "slowfast-r50-k400")
    found = load_file(kept)
    counters = {f"backbone.{name}" for name in wanted if name.endswith("num_batches_tracked")}
    assert found.keys() == {f"backbone.{name}" for name in wanted} - counters
    assert all(torch.equal(v, wanted[k.removeprefix("backbone.")]) for k, v in found.items())
    notes = zoo.read_sidecar(kept)
    assert (notes["source"], notes["names"]) == ("SLOWFAST_8x8_R50.pkl", "PySlowFast")
    assert notes["told"] == [
        "not used, as it is not part of the backbone: head.projection.weight, "
        "head.projection.bias, odd_one"
    ]


def test_a_slowfast_of_mmaction2(tmp_path: Path) -> None:
    given = made_slowfast.named("mmaction2_slowfast_r50", made_slowfast.weights(), "backbone.")
    torch.save({"state_dict": {**given, "cls_head.fc_cls.bias": torch.ones(400)}}, tmp_path / "x")
    kept = zoo.import_file(tmp_path / "x", "slowfast-r50-k400")
    assert not set(FUSION_NORM) & load_file(kept).keys()
    notes = zoo.read_sidecar(kept)
    unused, settings = notes["told"]
    assert unused == "not used, as it is not part of the backbone: cls_head.fc_cls.bias"
    assert settings.endswith("without fusion norms, which are newly initialized")
    assert notes["names"] == "mmaction2"


def test_a_slowfast_of_another_shape_is_refused(tmp_path: Path) -> None:
    deeper = made_slowfast.weights(depths=(1, 2, 3, 1), nonlocal4=(1,))
    for given, words in (
        (deeper, r"is not slowfast-r50-k400: 4\d unexpected \(s4\.pathway0_nonlocal1\."),
        (made_slowfast.weights(fusion_kernel=5), r"4 of another shape \(s1_fuse\.conv_f2s\.weight"),
        ({"s1.pathway0_stem.conv.weight": torch.ones(1)}, r"\d+ missing \(s1\.pathway0_stem\.bn"),
    ):
        save_file(given, tmp_path / "x")
        with pytest.raises(WeightsError, match=words):
            zoo.import_file(tmp_path / "x", "slowfast-r50-k400")
    save_file(made_videomae.original("encoder."), tmp_path / "x")
    with pytest.raises(WeightsError, match=r"x: not a SlowFast"):
        zoo.import_file(tmp_path / "x", "slowfast-r50-k400")
