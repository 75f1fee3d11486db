"""Two-stage detectors as mmaction2, PySlowFast and PyTorchVideo release them: imported models match
each code base's formulas, written out by hand."""

from __future__ import annotations

import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import made_slowfast
from helpers import two_stage_by_hand as by_hand
from helpers.made_two_stage import PSF, PTV, SMALL, drawn, of_fair, of_mmaction2, saved
from safetensors.torch import save_file
from torch import Tensor

from stadkit import zoo
from stadkit.errors import WeightsError
from stadkit.models.two_stage import BACKBONES, TwoStageConfig
from stadkit.zoo import Card
from stadkit.zoo.dialects import caffe2, two_stage
from stadkit.zoo.export import to_safetensors
from stadkit.zoo.fitting import misfit_of
from stadkit.zoo.two_stage_catalogue import TWO_STAGE

BOXES = torch.tensor([[0.1, 0.15, 0.55, 0.95], [0.4, 0.0, 1.0, 0.8]])  # of 1 clip, fractions
SIZE = (72, 88)  # height and width; not multiples of a cell or a patch
# RoIAlign: cells per side, aligned.
REGIONS = {"PySlowFast": (7, False), "PyTorchVideo": (7, True), "mmaction2": (8, True)}


@pytest.fixture(autouse=True)
def small_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    for name in zoo.CARDS.keys() - SMALL:
        monkeypatch.delitem(zoo.CARDS, name)
    for name, backbone in SMALL.items():
        known = zoo.card(name)
        small = replace(known, settings={**known.settings, "backbone": backbone})
        monkeypatch.setitem(zoo.CARDS, name, small)


def wanted(name: str, pixels: Tensor) -> Tensor:
    """Scores [n, classes] of BOXES, as the source computes them."""
    t, settings = drawn(name), zoo.card(name).settings
    own = of_fair(t)
    if name == "roi-vit-b-ak":
        plain = of_mmaction2(name, t).items()
        named = {k.removeprefix("backbone."): v for k, v in plain if k.startswith("backbone.")}
        pathways = [by_hand.vit(named, pixels, heads=2, base=2)]
    elif name in (PSF, PTV):
        pathways = by_hand.slowfast(own, pixels, slow=[0, 7], dilation=2)  # of 8: both ends
    elif "slowonly" in name:
        pathways = by_hand.slowfast(own, pixels, slow=None, dilation=1, gaussian=True)
    else:
        slow = range(0, 8, 8 if "4x16" in name else 4)
        pathways = by_hand.slowfast(own, pixels, slow=slow, dilation=1)
    over_time = [x.amax(2) if settings.get("time") == "max" else x.mean(2) for x in pathways]
    maps = torch.cat(over_time, 1)[0]
    boxes = BOXES * torch.tensor(SIZE * 2).flip(0)
    regions = REGIONS[zoo.card(name).origin]
    vectors = [vector(t, maps, box, settings, *regions) for box in boxes]
    if "mlp" in name:
        vectors = [by_hand.linear(x, t, "head.hidden").relu() for x in vectors]
    logits = by_hand.linear(torch.stack(vectors), t, "head.projection")
    return logits.softmax(1) if "multisports" in name else logits.sigmoid()


def vector(
    t: dict[str, Tensor],
    maps: Tensor,
    box: Tensor,
    settings: Mapping[str, Any],
    size: int,
    aligned: bool,
) -> Tensor:
    """The last layers' input for one box."""
    region = by_hand.roi_align(maps, box, size, aligned)
    if settings.get("head") == "acrn":
        actor = region.amax((1, 2))[:, None, None].expand_as(maps)
        x = torch.cat([actor, maps])[None]
        for conv in ("conv1", "conv2"):
            kernel = t[f"head.{conv}.0.weight"]
            x = torch.nn.functional.conv2d(x, kernel, padding=kernel.shape[2] // 2)
            x = by_hand.norm(x, t, f"head.{conv}.1").relu()
        return x[0].amax((1, 2))
    if settings.get("context"):
        whole = torch.nn.functional.adaptive_avg_pool2d(maps, size)
        region = torch.cat([region, whole])
    return region.amax((1, 2))


def pixels() -> Tensor:
    return torch.randn(1, 3, 8, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", list(SMALL))
def test_imported_models_match_their_source(tmp_path: Path, name: str) -> None:
    kept = zoo.import_file(saved(name, tmp_path / "x.pth"), name)
    model = zoo.build(name).eval()
    zoo.load_weights(model, kept)
    with torch.no_grad():
        found = model(pixels(), torch.tensor([SIZE]), [BOXES]).action[0].sigmoid()
        expected = wanted(name, pixels())
    assert expected.std() > 0.01  # a constant output would match trivially
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=2e-5)


def test_a_detector_of_caffe2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = PSF
    tensors = of_fair(drawn(name))
    blobs = made_slowfast.named("caffe2_slowfast_r50", tensors)
    for part in ("theta", "phi", "g", "out"):
        blobs |= {
            f"nonlocal_conv4_1_{part}_{leaf}": tensors[f"s4.pathway0_nonlocal1.conv_{part}.{long}"]
            for leaf, long in (("w", "weight"), ("b", "bias"))
        }
    leaves = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
    blobs |= {
        f"nonlocal_conv4_1_bn_{leaf}": tensors[f"s4.pathway0_nonlocal1.bn.{long}"]
        for leaf, long in leaves.items()
    }
    # The fusion after a stage is named after the stage's last block, here the first or second.
    renamed = {_last_block(blob): value.numpy() for blob, value in blobs.items()}
    renamed |= {f"{blob}_momentum": np.zeros(1) for blob in list(renamed)}
    renamed |= {"pred_w": tensors["head.projection.weight"].numpy()}
    renamed |= {"pred_b": tensors["head.projection.bias"].numpy(), "lr": np.float32(0.1)}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"blobs": renamed}))
    kept = zoo.import_file(tmp_path / "x.pkl", name)
    model = zoo.build(name).eval()
    zoo.load_weights(model, kept)
    own = {k: v for k, v in drawn(name).items() if not k.endswith("num_batches_tracked")}
    held = model.state_dict()
    assert all(torch.equal(held[key], value) for key, value in own.items())
    assert zoo.read_sidecar(kept)["told"] == []


def _last_block(blob: str) -> str:
    for stage, deep in ((2, 2), (3, 3), (4, 5)):
        last = 1 if stage == 4 else 0
        blob = blob.replace(
            f"t_res{stage}_{deep}_branch2c_bn_sub", f"t_res{stage}_{last}_branch2c_bn_sub"
        )
    return blob


class HistoryBuffer:
    """Stands in for mmengine's class of this name."""

    def __init__(self) -> None:
        self._log_history, self._max_length = np.ones(3), 100

    def min(self) -> float:
        return float(self._log_history.min())

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "statistics_methods": {"min": HistoryBuffer.min}}


def test_what_mmaction2s_runner_stores_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = "mmengine.logging.history_buffer"
    monkeypatch.setattr(HistoryBuffer, "__module__", full)
    monkeypatch.setattr(HistoryBuffer.min, "__module__", full)
    for module in ("mmengine", "mmengine.logging", full):
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    monkeypatch.setattr(sys.modules[full], "HistoryBuffer", HistoryBuffer, raising=False)
    name = "roi-slowonly-4x16-ava21"
    held = {"meta": {"epoch": 8}, "state_dict": of_mmaction2(name, drawn(name))}
    held["message_hub"] = {"log_scalars": OrderedDict(loss=HistoryBuffer()), "runtime_info": {}}
    torch.save(held, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as archive:
        assert b"getattr" in archive.read("x/data.pkl")
    assert zoo.import_file(tmp_path / "x.pth", name).is_file()


@pytest.mark.parametrize(
    ("table", "name", "count"),
    [
        ("caffe2_slowonly_r50", "roi-slowonly-4x16-psf", 267),
        ("caffe2_slowfast_r101_nl", "roi-slowfast-r101-nl-64-psf", 1098),
        ("pytorchvideo_slowonly_r50", "roi-slowonly-4x16-ptv", 320),
        ("pytorchvideo_slowfast_r50", "roi-slowfast-8x8-ptv", 662),
    ],
)
def test_every_name_of_a_reference_fits_at_full_size(
    monkeypatch: pytest.MonkeyPatch, table: str, name: str, count: int
) -> None:
    monkeypatch.setitem(zoo.CARDS, name, Card(**TWO_STAGE[name]))
    with torch.device("meta"):
        whole = of_fair(zoo.build(name).state_dict())
    named = made_slowfast.named(table, whole)
    assert len(named) == len(made_slowfast.table(table)) == count
    if table.startswith("caffe2"):
        named = {caffe2.our_name(blob): value for blob, value in named.items()}
    found = two_stage.read(named)
    assert found is not None
    assert found.code_base == zoo.card(name).origin
    assert misfit_of(found.tensors, name) == ""


def test_same_shapes_of_another_code_base_are_refused(tmp_path: Path) -> None:
    """PySlowFast's SlowFast imported as PyTorchVideo's."""
    torch.save({"model_state": of_fair(drawn(PTV))}, tmp_path / "x.pyth")
    with pytest.raises(
        WeightsError, match="its tensor names are PySlowFast's, which computes differently"
    ):
        zoo.import_file(tmp_path / "x.pyth", PTV)
    kept = zoo.import_file(tmp_path / "x.pyth", PTV, anyway=True)
    note = zoo.read_sidecar(kept)["told"][0]
    assert note.startswith("imported as roi-slowfast-8x8-ptv, although its tensor names are")


def test_a_released_file_is_known_by_its_sha256(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean, strongest = "roi-slowfast-8x8-ava22", "roi-slowfast-8x8-max-ava22"
    path = saved(mean, tmp_path / "x.pth")
    released = replace(zoo.card(strongest), sha256_prefix=zoo.sha256(path)[:8])
    monkeypatch.setitem(zoo.CARDS, strongest, released)
    with pytest.raises(WeightsError) as caught:
        zoo.import_file(path, mean)
    assert f"by its sha256 it is {strongest} (--anyway imports it as {mean})" in str(caught.value)
    assert f"; import it --as {strongest};" in str(caught.value)
    notes = zoo.read_sidecar(zoo.import_file(path, strongest))["told"]
    assert notes == ["row 0 of its 81 logits (background) was dropped: it was never trained"]
    notes = zoo.read_sidecar(zoo.import_file(path, mean, anyway=True))["told"]
    assert notes[1].startswith(f"imported as {mean}, although by its sha256 it is {strongest}")


def test_an_unreleased_file_is_noted_as_uncertain(tmp_path: Path) -> None:
    name = "roi-slowfast-8x8-ava22"
    notes = zoo.read_sidecar(zoo.import_file(saved(name, tmp_path / "x.pth"), name))["told"]
    assert notes[1] == (
        "its sha256 does not start with d934a48f, unlike the released file's: assuming "
        f"{name}, as no tensor shows clip length or temporal pooling"
    )


@pytest.fixture
def long_clips(monkeypatch: pytest.MonkeyPatch) -> str:
    """A model with PSF's tensors and longer clips."""
    name = "roi-slowfast-r101-nl-64-psf"
    known = Card(**TWO_STAGE[name])
    small = replace(known, settings={**known.settings, "backbone": SMALL[PSF]})
    monkeypatch.setitem(zoo.CARDS, name, small)
    return name


def test_an_unknown_sha256_is_noted_as_uncertain(tmp_path: Path, long_clips: str) -> None:
    (note,) = zoo.read_sidecar(zoo.import_file(saved(PSF, tmp_path / "x.pyth"), PSF))["told"]
    assert note == f"no sha256 is known: assuming {PSF}, but {long_clips} has the same tensors"


def test_a_released_file_is_recognised_by_its_name(tmp_path: Path, long_clips: str) -> None:
    path = saved(PSF, tmp_path / "SLOWFAST_64x2_R101_50_50.pkl")
    with pytest.raises(WeightsError) as caught:
        zoo.import_file(path, PSF)
    assert f"by its file name it is {long_clips} (--anyway imports it as" in str(caught.value)
    assert f"; import it --as {long_clips};" in str(caught.value)
    assert zoo.weights_path(PSF) is None
    assert zoo.import_file(path, long_clips).is_file()
    notes = zoo.read_sidecar(zoo.import_file(path, PSF, anyway=True))["told"]
    assert notes == [f"imported as {PSF}, although by its file name it is {long_clips}"]


def test_canonical_names_are_checked_against_the_card_beside(tmp_path: Path) -> None:
    mean, strongest = "roi-slowfast-8x8-ava22", "roi-slowfast-8x8-max-ava22"
    save_file(drawn(mean), tmp_path / "x.safetensors")
    kept = zoo.import_file(tmp_path / "x.safetensors", strongest)
    (note,) = zoo.read_sidecar(kept)["told"]
    assert note.startswith(f"no card beside the file: assuming {strongest}, but {mean} ")
    kept = zoo.import_file(tmp_path / "x.safetensors", mean)
    out = tmp_path / "out.safetensors"
    to_safetensors(kept, zoo.card(mean), out)
    with pytest.raises(WeightsError) as caught:
        zoo.import_file(out, strongest)
    assert "the card beside it says time unset, not max; import it --as " in str(caught.value)
    assert mean in str(caught.value).partition("--as")[2]
    assert zoo.read_sidecar(zoo.import_file(out, mean))["told"] == []
    (note,) = zoo.read_sidecar(zoo.import_file(out, strongest, anyway=True))["told"]
    assert note == f"imported as {strongest}, although the card beside it says time unset, not max"


def test_missing_and_unexpected_tensors_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "roi-slowfast-8x8-ava22"
    for other in SMALL.keys() - {name}:  # saves building each to see whether the file fits
        monkeypatch.delitem(zoo.CARDS, other)
    tensors = of_mmaction2(name, drawn(name))
    for change, words in (
        ({"roi_head.bbox_head.fc_reg.weight": torch.ones(4)}, "1 unexpected .*fc_reg"),
        (
            {"backbone.fast_path.layer5.0.conv1.conv.weight": torch.ones(1)},
            "1 unexpected .*layer5",
        ),
        ({"roi_head.bbox_head.fc_cls.bias": torch.ones(60)}, "2 of another shape .*projection"),
    ):
        torch.save({"state_dict": tensors | change}, tmp_path / "x.pth")
        with pytest.raises(WeightsError, match=words):
            zoo.import_file(tmp_path / "x.pth", name)
    del tensors["backbone.fast_path.conv1.bn.bias"]
    torch.save({"state_dict": tensors}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"1 missing \(backbone\.s1\.pathway1_stem\.bn\.bias"):
        zoo.import_file(tmp_path / "x.pth", name)
    assert zoo.weights_path(name) is None


def test_another_models_file_names_its_own(tmp_path: Path) -> None:
    path = saved("roi-slowfast-8x8-acrn-ava22", tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"; import it --as roi-slowfast-8x8-acrn-ava22;"):
        zoo.import_file(path, "roi-slowfast-8x8-ava22")


def test_canonical_names_suggest_their_model(tmp_path: Path) -> None:
    name = "roi-slowfast-8x8-acrn-ava22"
    save_file(drawn(name), tmp_path / "x.safetensors")
    assert zoo.read_sidecar(zoo.import_file(tmp_path / "x.safetensors", name))["told"] == []
    with pytest.raises(WeightsError, match=rf"it fits {name}: import it --as {name};"):
        zoo.import_file(tmp_path / "x.safetensors", "roi-slowfast-8x8-ava22")


def test_a_classifier_may_be_a_backbone(tmp_path: Path) -> None:
    tensors = of_fair(drawn(PTV)) | {"head.projection.weight": torch.ones(400, 320)}
    torch.save({"model_state": tensors}, tmp_path / "x.pyth")
    with pytest.raises(
        WeightsError, match=r"1 of another shape .* it may be a backbone: import it"
    ):
        zoo.import_file(tmp_path / "x.pyth", PTV)


def test_all_small_backbones_are_looked_at() -> None:
    tiny = {name for name in BACKBONES if "tiny" in name}
    assert tiny == set(SMALL.values())
    assert TwoStageConfig().backbone not in tiny
