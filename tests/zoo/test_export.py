"""Exported models: the same weights, and the same outputs in onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import stadkit
from stadkit import zoo
from stadkit.errors import StadkitError, UsageError, WeightsError
from stadkit.layers.roi_align import roi_align
from stadkit.layers.runtime import exporting
from stadkit.models import Outputs, two_stage
from stadkit.models.two_stage import TwoStageConfig
from stadkit.zoo import export
from stadkit.zoo.weights import save_weights

SMALL: dict[str, Any] = {"width": 8, "depth": 1, "groups": 2, "roi_size": 2, "max_people": 2}


def nano(**settings: Any) -> zoo.Card:
    """A small mestad-tiny."""
    known = zoo.card("mestad-tiny")
    return replace(known, settings={**known.settings, **SMALL, **settings}, frames=8)


class Brightness(nn.Module):
    """Finds one person whose action score is the clip's brightness; returns any given boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(
        self, pixels: Tensor, sizes: Tensor, given: list[Tensor] | None = None, scores: Any = None
    ) -> Outputs:
        box = torch.tensor([[[0.1, 0.2, 0.5, 0.9]]]) if given is None else given[0][None]
        bright = (pixels.mean() * self.gain).expand(1, box.shape[1])
        return Outputs(bright, box[:, :, None], bright[..., None] + sizes.sum())


def write(model: nn.Module, out: Path, card: zoo.Card | None = None) -> export.Exported:
    pytest.importorskip("onnxruntime", reason="ONNX is an extra: stadkit[onnx]")
    return export.to_onnx(model.eval(), card or nano(), (32, 64), out, {"stadkit.model": "it"})


def test_a_graph_gives_what_the_model_gives(tmp_path: Path) -> None:
    out = tmp_path / "x.onnx"
    made = write(Brightness(), out)
    assert made.inputs == {"pixels": [1, 3, 8, 32, 64]}
    assert made.outputs == {"person": [1, 1], "box": [1, 1, 1, 4], "action": [1, 1, 1]}
    assert made.difference < 1e-6
    assert list(tmp_path.iterdir()) == [out]
    with export.quiet():
        import onnx
        import onnxruntime

        notes = {prop.key: prop.value for prop in onnx.load(out).metadata_props}
        session = onnxruntime.InferenceSession(out)
    pixels = torch.full((1, 3, 8, 32, 64), 0.25)
    person, box, action = session.run(None, {"pixels": pixels.numpy()})
    assert person.tolist() == [[0.5]]
    assert action.tolist() == [[[96.5]]]
    assert box[0, 0, 0].tolist() == pytest.approx([0.1, 0.2, 0.5, 0.9])
    assert notes["stadkit.model"] == "it"
    assert json.loads(notes["stadkit.mean"]) == [127.5] * 3
    assert json.loads(notes["stadkit.classes"])["names"] == list(nano().classes.names)


def test_a_model_that_needs_boxes_has_them_as_input(tmp_path: Path) -> None:
    class Given(Brightness):
        counted_boxes = 3

    made = write(Given(), tmp_path / "x.onnx")
    assert made.inputs["boxes"] == [3, 4]
    assert made.outputs["box"] == [1, 3, 1, 4]


class DataDependent(Brightness):
    """Control flow that depends on the data, which no graph can hold."""

    def forward(self, pixels: Tensor, *rest: Any) -> Outputs:
        if pixels.mean().item() > 0.5:
            pixels = pixels * 2
        return super().forward(pixels, *rest)


class DiffersInGraph(Brightness):
    """Computes something else inside a graph."""

    def forward(self, pixels: Tensor, *rest: Any) -> Outputs:
        return super().forward(pixels + (0.1 if exporting() else 0.0), *rest)


def test_nan_in_any_output_counts_as_a_difference(tmp_path: Path) -> None:
    model = Brightness()
    write(model, tmp_path / "x.onnx")
    given = export._example(model, nano(), (32, 64))
    with torch.no_grad():
        wanted = list(export.FixedInputs(model)(*given.values()))
    for i, held in enumerate(wanted):
        lost = [*wanted[:i], torch.full_like(held, torch.nan), *wanted[i + 1 :]]
        with pytest.raises(StadkitError, match=r"differ from torch.s by nan "):
            export._compare(given, lost, tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("model", "told"),
    [(DataDependent, "cannot be exported to ONNX"), (DiffersInGraph, "differ from torch")],
)
def test_a_failed_export_leaves_no_file(
    tmp_path: Path, model: Callable[[], nn.Module], told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StadkitError, match=told) as caught:
        write(model(), tmp_path / "x.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")  # torch would print the graph


def test_missing_packages_are_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(UsageError, match=r"needs onnx.*`pip install 'stadkit\[onnx\]'`"):
        export.to_onnx(Brightness(), nano(), (32, 32), tmp_path / "x.onnx", {})


def test_sizes_are_multiples() -> None:
    export.check_size(nano(), (32, 64))
    with pytest.raises(UsageError, match=r"50 is not a multiple of 32 pixels, .*the nearest is 64"):
        export.check_size(nano(), (32, 50))


def test_pooling_in_a_graph_is_the_same() -> None:
    """Small and large boxes, sampled adaptively up to the map's limit."""

    class Pool(nn.Module):
        def forward(self, maps: Tensor, boxes: Tensor, index: Tensor) -> Tensor:
            return roi_align(maps, boxes, index, 3, 0.5)

    maps = torch.rand(2, 4, 9, 13)
    boxes = torch.tensor([[0.0, 0, 26, 18], [3, 4, 8, 9], [1, 1, 2, 17]])
    given = (maps, boxes, torch.tensor([1, 0, 1]))
    with export.quiet():
        graph = torch.export.export(Pool(), given).module()
    assert (graph(*given) - Pool()(*given)).abs().max() < 1e-6


def test_a_whole_frame_box_larger_than_the_feature_map(tmp_path: Path) -> None:
    """143 pixels are 8 whole patches of 16, and the box is almost 9 cells wide."""
    torch.manual_seed(0)
    config = TwoStageConfig(backbone="vit-tiny", classes=5, roi_size=8, aligned=True)
    model = two_stage.build(config).eval()
    nn.init.normal_(model.head.projection.weight, std=3)
    card = replace(zoo.card("roi-vit-b-ak"), frames=4)
    given = export._example(model, card, (143, 143))
    assert given["boxes"][0].tolist() == [0, 0, 1, 1]
    whole = export.FixedInputs(model)
    with export.quiet(), torch.no_grad():
        wanted = whole(*given.values())[2]  # run first: it caches tables
        found = torch.export.export(whole, tuple(given.values())).module()(*given.values())[2]
    assert (found.sigmoid() - wanted.sigmoid()).abs().max() < 1e-6


def test_safetensors_bring_their_card(tmp_path: Path) -> None:
    card, path = nano(), tmp_path / "mine.safetensors"
    save_weights(zoo.build_card(card).state_dict(), path, {"source": "x"})
    out = tmp_path / "out.safetensors"
    digest = export.to_safetensors(path, card, out)
    assert out.read_bytes() == path.read_bytes()
    assert zoo.read_sidecar(out)["source"] == "x"
    detector = stadkit.load(str(out), device="cpu")
    assert (detector.card, detector.sha256) == (card, digest)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json"] * 2 + [".safetensors"] * 2


def test_damaged_weights_are_not_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_weights({"a": torch.zeros(4)}, path)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(WeightsError, match="damaged or changed"):
        export.to_safetensors(path, nano(), tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("out", ["gone/out", "mine.safetensors/out"])
def test_a_target_that_cannot_be_written_is_named(tmp_path: Path, out: str) -> None:
    path = tmp_path / "mine.safetensors"
    save_weights({"a": torch.zeros(4)}, path)
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        export.to_safetensors(path, nano(), tmp_path / f"{out}.safetensors")
    assert caught.value.filename == str(tmp_path / f"{out}.safetensors")
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        write(Brightness(), tmp_path / f"{out}.onnx")
    assert caught.value.filename == str(tmp_path / f"{out}.onnx")


def test_weights_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.safetensors"
    save_weights({"a": torch.zeros(4)}, path)
    monkeypatch.setattr(export, "verify", lambda *_: path.unlink() or "aa")
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        export.to_safetensors(path, nano(), tmp_path / "out.safetensors")
    assert str(caught.value.filename) == str(path)
