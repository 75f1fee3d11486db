"""Initial weights, and what may change on resume."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from stadkit.errors import UsageError, WeightsError
from stadkit.models.mestad import build
from stadkit.models.mestad_config import MestadConfig
from stadkit.training.checkpoint import Done, load_checkpoint, save_checkpoint
from stadkit.training.config import TrainConfig
from stadkit.training.init_weights import start_from

CONFIG: dict[str, Any] = TrainConfig.model_validate(
    {
        "model": "mestad-tiny",
        "batch": 4,
        "precision": "bf16",
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
        "data": {"train": {"clips": 8, "seed": 1}, "workers": 2},
        "schedule": {"epochs": 9},
    }
).model_dump(mode="json")


def model(classes: int = 3) -> nn.Module:
    return build(MestadConfig("nano", classes, width=8, depth=1, groups=4, head="grid", roi_size=4))


def canonical(part: nn.Module) -> dict[str, Tensor]:
    """A backbone's weights as published elsewhere: no prefix, no counters, with a head."""
    given = {name: value + 1 for name, value in part.state_dict().items()}
    return {k: v for k, v in given.items() if not k.endswith("num_batches_tracked")}


def test_a_backbone_by_its_canonical_names(tmp_path: Path) -> None:
    own = model()
    given = canonical(own.get_submodule("backbone"))
    save_file({**given, "head.projection.weight": torch.zeros(400, 7)}, tmp_path / "k.safetensors")
    initial, unused, *_ = start_from(own, tmp_path / "k.safetensors")
    now = own.state_dict()
    assert all(torch.equal(now[f"backbone.{name}"], value) for name, value in given.items())
    assert "head.projection.weight" in initial
    assert not any(name.startswith("backbone.") for name in initial)
    assert unused == ["head.projection.weight"]  # of another shape


def test_one_tensor_under_two_names_is_refused(tmp_path: Path) -> None:
    own = model()
    name, value = next(iter(canonical(own.get_submodule("backbone")).items()))
    save_file({name: value, f"backbone.{name}": value + 1}, tmp_path / "k.safetensors")
    with pytest.raises(WeightsError, match=rf"backbone\.{name} and {name} both become backbone"):
        start_from(own, tmp_path / "k.safetensors")


def test_a_file_with_only_a_head_is_refused(tmp_path: Path) -> None:
    own = model()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    head = {k: v + 1 for k, v in own.state_dict().items() if k.startswith("head.")}
    save_file(head, tmp_path / "h.safetensors")
    with pytest.raises(WeightsError, match=r"not this model's complete backbone: backbone\."):
        start_from(own, tmp_path / "h.safetensors")
    assert all(torch.equal(before[name], value) for name, value in own.state_dict().items())


def saved(folder: Path, config: dict[str, Any] = CONFIG) -> Path:
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    save_checkpoint(
        folder / "c.pt", layer, None, optimizer, Done(3, {"epoch": 3, "box": 0.5}), config
    )
    return folder / "c.pt"


def loaded(path: Path, momentum: float, config: dict[str, Any]) -> tuple[Done, dict[str, Any]]:
    layer = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01, momentum=momentum)
    done = load_checkpoint(path, layer, None, optimizer, config)
    return done, optimizer.param_groups[0]


def test_the_optimizer_may_change(tmp_path: Path) -> None:
    gentler = {
        **CONFIG,
        "precision": "fp32",
        "optimizer": {**CONFIG["optimizer"], "lr": 0.01, "momentum": 0.5},
        "data": {**CONFIG["data"], "workers": 0, "store": "elsewhere"},
    }
    done, group = loaded(saved(tmp_path), 0.5, gentler)
    assert done == Done(3, {"epoch": 3, "box": 0.5})
    assert (group["lr"], group["momentum"]) == (0.01, 0.5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"batch": 8}, "another batch;"),
        ({"data": {**CONFIG["data"], "train": {"clips": 9, "seed": 1}}}, r"another data\.train;"),
        ({"optimizer": {**CONFIG["optimizer"], "name": "adamw"}}, r"another optimizer\.name;"),
        ({"optimizer": {**CONFIG["optimizer"], "head_scale": 2}}, r"optimizer\.head_scale;"),
    ],
)
def test_the_run_may_not_change(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        loaded(saved(tmp_path), 0.9, {**CONFIG, **change})


@pytest.mark.parametrize("held", [{"weight": torch.zeros(1)}, {"config": CONFIG}, [1]])
def test_other_files_are_refused(tmp_path: Path, held: Any) -> None:
    torch.save(held, tmp_path / "c.pt")
    with pytest.raises(WeightsError, match=r"c\.pt: not a"):
        loaded(tmp_path / "c.pt", 0.9, CONFIG)


def older() -> dict[str, Any]:
    """CONFIG as stored before some of its fields existed."""
    held = {**CONFIG, "optimizer": {**CONFIG["optimizer"]}, "data": {**CONFIG["data"]}}
    del held["optimizer"]["head_scale"]
    held["data"]["train"] = {k: v for k, v in CONFIG["data"]["train"].items() if k != "variety"}
    held["schedule"] = {"epochs": 9, "warmup": 2.0, "last": 0.0}
    return held


def test_fields_newer_than_the_checkpoint_are_no_change(tmp_path: Path) -> None:
    path = saved(tmp_path, older())
    assert loaded(path, 0.9, CONFIG)[0].epochs == 3
    stepped = {**CONFIG["schedule"], "shape": "steps", "steps": [5.0]}
    wide = {**CONFIG["data"], "train": {**CONFIG["data"]["train"], "variety": "wide"}}
    with pytest.raises(UsageError, match=r"another data\.train, schedule;"):
        loaded(path, 0.9, {**CONFIG, "schedule": stepped, "data": wide})


def test_an_invalid_old_config_gives_one_line(tmp_path: Path) -> None:
    path = saved(tmp_path, {**CONFIG, "gone": 1, "batch": 0})
    with pytest.raises(
        WeightsError, match=r"c\.pt: its config is not valid in this version"
    ) as caught:
        loaded(path, 0.9, CONFIG)
    assert "batch: Input should be greater than 0; gone: Extra inputs" in str(caught.value)
    assert "\n" not in str(caught.value)
