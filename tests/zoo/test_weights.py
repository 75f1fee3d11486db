"""Weights are stored and loaded complete, unchanged and finite, or not at all."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from stadkit import zoo
from stadkit.errors import UsageError, WeightsError
from stadkit.zoo import load_weights, save_weights
from stadkit.zoo.weights import home


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("stadkit.zoo.weights.BUILT_IN", tmp_path / "built-in")
    return tmp_path / "home"


def small(value: float = 1.0) -> nn.Linear:
    model = nn.Linear(2, 3)
    nn.init.constant_(model.weight, value)
    return model


def test_saved_weights_come_back(tmp_path: Path) -> None:
    digest = save_weights(small(2.0).state_dict(), tmp_path / "w.safetensors", {"source": "x"})
    model = small()
    assert load_weights(model, tmp_path / "w.safetensors") == digest
    assert model.weight.flatten().tolist() == [2.0] * 6
    assert json.loads((tmp_path / "w.json").read_text()) == {"sha256": digest, "source": "x"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.json", "w.safetensors"]


def test_half_precision_fills_float32(tmp_path: Path) -> None:
    halves = {name: value.half() for name, value in small(0.5).state_dict().items()}
    save_weights(halves, tmp_path / "w.safetensors")
    model = small()
    load_weights(model, tmp_path / "w.safetensors")
    assert model.weight.dtype == torch.float32
    assert model.weight[0, 0] == 0.5


def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(small().state_dict(), path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged or changed"):
        load_weights(small(), path)


def test_weights_without_a_checksum_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    digest = save_weights(small().state_dict(), path)
    path.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match="its checksum is unknown"):
        load_weights(small(), path)
    assert load_weights(small(), path, digest) == digest


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(tmp_path: Path, bad: float) -> None:
    state = small().state_dict()
    state["bias"][1] = bad
    save_weights(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"NaN or infinity in 1 tensor \(bias\)"):
        load_weights(small(), tmp_path / "w.safetensors")


def test_all_problems_are_in_one_message_and_nothing_is_loaded(tmp_path: Path) -> None:
    state = {"weight": torch.zeros(4, 2), "other": torch.zeros(1)}
    save_weights(state, tmp_path / "w.safetensors")
    model = small()
    with pytest.raises(WeightsError) as caught:
        load_weights(model, tmp_path / "w.safetensors")
    told = str(caught.value)
    assert "1 missing (bias)" in told
    assert "1 unexpected (other)" in told
    assert "1 of another shape (weight is [4, 2] for [3, 2])" in told
    assert model.weight[0, 0] == 1


def test_missing_weights_say_where_to_get_them(own_home: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        zoo.find_weights("mestad-slowfast-r50")
    told = str(caught.value)
    assert caught.value.exit_code == 3
    assert "stadkit models import FILE --as mestad-slowfast-r50" in told
    assert "mestad-slowfast-r50.safetensors" in told
    assert str(own_home) in told


def test_missing_weights_on_drive_and_hub_say_how_to_get_them() -> None:
    with pytest.raises(WeightsError) as caught:
        zoo.find_weights("evad-vit-b")
    told = str(caught.value)
    assert "`stadkit models pull evad-vit-b` downloads them, or get the file from https" in told
    assert zoo.card("evad-vit-b").drive_id in told
    assert "(licence: CC-BY-NC-4.0)" in told
    assert "`stadkit models import FILE --as evad-vit-b`" in told
    with pytest.raises(WeightsError, match="`stadkit models pull videomae-base` downloads them"):
        zoo.find_weights("videomae-base")


def test_home_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STADKIT_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    monkeypatch.setattr("sys.platform", "linux")
    assert home() == Path("/cache/stadkit")
    monkeypatch.setattr("sys.platform", "darwin")
    assert home() == Path("~/Library/Caches/stadkit").expanduser()
    monkeypatch.setattr("sys.platform", "win32")
    assert home() == Path("/local/stadkit")


def test_import_then_load(tmp_path: Path, own_home: Path) -> None:
    import stadkit

    model = zoo.build("mestad-nano")
    torch.save({"state_dict": model.state_dict()}, tmp_path / "nano.pth")
    assert zoo.state("mestad-nano") == "absent"
    kept = zoo.import_file(tmp_path / "nano.pth", "mestad-nano")
    assert kept == own_home / "weights" / "mestad-nano.safetensors"
    assert zoo.state("mestad-nano") == "here"
    detector = stadkit.load("mestad-nano", device="cpu")
    assert detector.sha256 == zoo.sha256(kept)
    assert not detector.model.training


def test_import_of_another_models_weights_names_it(tmp_path: Path, own_home: Path) -> None:
    model = zoo.build("mestad-nano")
    torch.save(model.state_dict(), tmp_path / "nano.pth")
    with pytest.raises(WeightsError, match="it fits mestad-nano") as caught:
        zoo.import_file(tmp_path / "nano.pth", "mestad-slowonly-r50")
    assert "missing" in str(caught.value)
    assert not own_home.exists()


def test_built_in_weights_are_not_shadowed(tmp_path: Path) -> None:
    torch.save(zoo.build("mestad-nano").state_dict(), tmp_path / "nano.pth")
    save_weights({"a": torch.zeros(1)}, tmp_path / "built-in" / "mestad-nano.safetensors")
    with pytest.raises(UsageError, match="built-in"):
        zoo.import_file(tmp_path / "nano.pth", "mestad-nano")


def test_trained_weights_come_with_their_card(tmp_path: Path) -> None:
    import stadkit
    from stadkit.zoo.cards import to_json

    card, path = zoo.card("mestad-nano"), tmp_path / "mine.safetensors"
    save_weights(zoo.build("mestad-nano").state_dict(), path, {"card": to_json(card)})
    detector = stadkit.load(str(path), device="cpu")
    assert (detector.card, detector.name) == (card, "mine")


def test_weights_without_a_card_say_what_to_do(tmp_path: Path) -> None:
    import stadkit

    save_weights({"a": torch.zeros(1)}, tmp_path / "mine.safetensors")
    with pytest.raises(WeightsError, match="no model card beside it"):
        stadkit.load(str(tmp_path / "mine.safetensors"))
    with pytest.raises(WeightsError, match="no such file"):
        stadkit.load(str(tmp_path / "gone.safetensors"))
