"""A training starts from a SlowFast of any code base, by file or name, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import made_slowfast
from helpers.made_slowfast import SHAPE, Detector
from safetensors.torch import save_file
from torch import Tensor, nn

from stadkit import zoo
from stadkit.errors import WeightsError
from stadkit.training.init_weights import Started, start_from
from stadkit.zoo.backbones import FUSION_NORM, Backbone
from stadkit.zoo.dialects import official
from stadkit.zoo.dialects.slowfast import matches

HEAD = ["head.bias", "head.weight"]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    small = Backbone("", SHAPE, None, "nothing", licence="Apache-2.0", kind="slowfast")
    monkeypatch.setitem(zoo.BACKBONES, "slowfast-r50-k400", small)


def same(model: nn.Module, wanted: dict[str, Tensor]) -> bool:
    now = model.get_submodule("backbone").state_dict()
    return all(torch.equal(now[name], value) for name, value in wanted.items())


def numbers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}


def pyslowfast(path: Path, tensors: dict[str, Tensor]) -> Path:
    head = {"head.projection.weight": torch.ones(400, 4)}
    torch.save({"model_state": {**tensors, **head}, "epoch": 3, "cfg": "A: 1"}, path)
    return path


def pytorchvideo(path: Path, tensors: dict[str, Tensor]) -> Path:
    named = made_slowfast.named("pytorchvideo_slowfast_r50", tensors)
    torch.save({"model_state": {**named, "detection_head.proj.weight": torch.ones(80, 4)}}, path)
    return path


def mmaction2(path: Path, tensors: dict[str, Tensor]) -> Path:
    named = made_slowfast.named("mmaction2_slowfast_r50", tensors, "backbone.")
    head = {"roi_head.bbox_head.fc_cls.weight": torch.ones(81, 4)}
    torch.save({"meta": {"epoch": 3}, "state_dict": {**named, **head}}, path)
    return path


Make = Callable[[Path, dict[str, Tensor]], Path]


@pytest.mark.parametrize(
    ("make", "unused"),
    [
        (pyslowfast, ["head.projection.weight"]),
        (made_slowfast.caffe2, ["head.projection.bias", "head.projection.weight", "odd_one"]),
        (pytorchvideo, ["detection_head.proj.weight"]),
    ],
)
def test_every_dialect_starts_a_training(tmp_path: Path, make: Make, unused: list[str]) -> None:
    wanted = made_slowfast.weights()
    model = Detector()
    started = start_from(model, make(tmp_path / "k.pkl", wanted))
    assert same(model, numbers(wanted))
    assert (started.initial, started.unused, started.notes) == (HEAD, unused, ())


def test_mmaction2_has_no_norms_in_its_fusions(tmp_path: Path) -> None:
    wanted = made_slowfast.weights()
    path = mmaction2(tmp_path / "k.pth", wanted)
    model = Detector()
    before = {k: v.clone() for k, v in model.backbone.state_dict().items() if "_fuse.bn." in k}
    started = start_from(model, path)
    assert same(model, {**numbers({k: v for k, v in wanted.items() if k not in before}), **before})
    assert started.initial == sorted([*FUSION_NORM, *HEAD])
    assert started.unused == ["roi_head.bbox_head.fc_cls.weight"]
    (note,) = started.notes
    assert note.startswith("weights of mmaction2, trained with mean (123.675, ")
    assert note.endswith("slow frames 0 4 .. 28; without fusion norms, which are newly initialized")
    # A model without them is complete.
    bare = Detector(fusion_norm=False)
    started = start_from(bare, path)
    assert started.initial == HEAD
    assert started.notes[0].endswith("slow frames 0 4 .. 28")


def test_an_imported_backbone_keeps_its_code_base(tmp_path: Path) -> None:
    wanted = made_slowfast.weights()
    for make, kinds in ((mmaction2, 1), (pytorchvideo, 0), (made_slowfast.caffe2, 0)):
        kept = zoo.import_file(make(tmp_path / "k.pth", wanted), "slowfast-r50-k400")
        model = Detector()
        started = start_from(model, "slowfast-r50-k400")
        assert [note.split(",")[0] for note in started.notes] == ["weights of mmaction2"] * kinds
        assert started.notes == start_from(Detector(), kept).notes
        assert (started.unused, started.licence) == ([], "Apache-2.0")
        known = {k: v for k, v in wanted.items() if not kinds or "_fuse.bn." not in k}
        assert same(model, numbers(known))


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        (
            {"fusion_kernel": 5},
            {},
            r"not this model's complete backbone: backbone\.s1_fuse\.conv_f2s\.weight is "
            r"\[4, 2, 7, 1, 1\] for \[4, 2, 5, 1, 1\] \(3 more missing or of another shape\)",
        ),
        (
            {"depths": (1, 2, 3, 1)},
            {},
            r"backbone\.s4\.pathway0_res2\.branch2\.a\.weight is missing \(29 more",
        ),
        (
            {},
            {"depths": (1, 3, 2, 1)},
            r"another backbone than this model's, which has no s3\.pathway0_res2\.",
        ),
        ({}, {"nonlocal4": (1,)}, r"which has no s4\.pathway0_nonlocal1\.conv_theta"),
        (
            {"slow_kernels": (3, 1, 3, 3)},
            {},
            r"s2\.pathway0_res0\.branch2\.a\.weight is \[8, 12, 1",
        ),
        ({"fast": False}, {}, r"s2\.pathway0_res0\.branch1\.weight is \[32, 12, 1, 1, 1\] for"),
        ({"fusion_norm": False}, {}, r"which has no s1_fuse\.bn\.weight \(19 more"),
    ],
)
def test_another_architecture_is_refused_with_its_first_misfit(
    tmp_path: Path, model: dict[str, Any], given: dict[str, Any], words: str
) -> None:
    detector = Detector(**model)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    with pytest.raises(WeightsError, match=words) as caught:
        start_from(detector, pyslowfast(tmp_path / "k.pth", made_slowfast.weights(**given)))
    assert "\n" not in str(caught.value)
    assert "use weights of this architecture" in str(caught.value)
    assert all(torch.equal(value, before[k]) for k, value in detector.state_dict().items())


def test_some_missing_fusion_norms_are_refused(tmp_path: Path) -> None:
    given = made_slowfast.weights()
    del given["s3_fuse.bn.running_var"]
    with pytest.raises(WeightsError, match=r"backbone\.s3_fuse\.bn\.running_var is missing; use"):
        start_from(Detector(), pyslowfast(tmp_path / "k.pth", given))


def test_an_incomplete_dialect_is_refused(tmp_path: Path) -> None:
    given = made_slowfast.weights()
    del given["s5.pathway1_res0.branch2.b.weight"]
    for make in (mmaction2, pytorchvideo, made_slowfast.caffe2):
        with pytest.raises(
            WeightsError, match=r"backbone\.s5\.pathway1_res0\.branch2\.b\.weight is"
        ):
            start_from(Detector(), make(tmp_path / "k.pth", given))


def test_a_video_transformer_is_refused_for_a_slowfast(tmp_path: Path) -> None:
    save_file({"patch_embed.proj.weight": torch.ones(1)}, tmp_path / "k.safetensors")
    with pytest.raises(WeightsError, match=r"backbone\.s1\.pathway0_stem\.conv\.weight is missing"):
        start_from(Detector(), tmp_path / "k.safetensors")


def test_the_backbone_of_an_stmixer(tmp_path: Path) -> None:
    wanted = made_slowfast.weights()
    ours = {f"backbone.{k}": v for k, v in wanted.items()} | {"stm_head.a": torch.ones(1)}
    held = {f"module.{k}": v for k, v in official.to_official(ours, "stmixer-k").items()}
    torch.save({"model": held, "iteration": 1}, tmp_path / "model_final.pth")
    model = Detector()
    started = start_from(model, tmp_path / "model_final.pth")
    assert same(model, wanted)
    assert started == Started(HEAD, ["stm_head.a"], "", "")


@pytest.mark.parametrize("family", ["mestad", "stmixer-k"])
def test_the_zoos_own_models(family: str) -> None:
    """All our SlowFast backbones are recognised as such."""
    with torch.device("meta"):
        models = {
            name: zoo.build(name).state_dict()
            for name, card in zoo.CARDS.items()
            if card.family == family and "slow" in str(card.settings["backbone"])
        }
    assert len(models) >= 3
    for name, state in models.items():
        assert matches(state), name
