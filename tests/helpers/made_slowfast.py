"""A small SlowFast, and files of it in several dialects with the same values."""

from __future__ import annotations

import io
import json
import pickle
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from stadkit.models.slowfast import SlowFast, SlowFastConfig

DATA = Path(__file__).parents[1] / "data" / "slowfast_names"
SHAPE: dict[str, Any] = {"depths": (1, 2, 2, 1), "temporal": (1, 2, 2, 1), "width": 8, "beta": 4}


def table(name: str) -> dict[str, str]:
    """A reference's own table: theirs -> PySlowFast's."""
    held: dict[str, str] = json.loads((DATA / f"{name}.json").read_text())
    return held


class Detector(nn.Module):
    """A backbone with a head of 3 classes."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.backbone = SlowFast(SlowFastConfig(**{**SHAPE, **changes}))
        self.head = nn.Linear(4, 3)


def weights(**changes: Any) -> dict[str, Tensor]:
    """Random weights by PySlowFast's names; step counters are not random."""
    with torch.device("meta"):
        shapes = Detector(**changes).backbone.state_dict()
    random = torch.Generator().manual_seed(0)
    drawn = {k: torch.randn(v.shape, generator=random) for k, v in shapes.items()}
    counters = (key for key in drawn if key.endswith("num_batches_tracked"))
    return {**drawn, **{key: torch.tensor(7) for key in counters}}


def named(name: str, tensors: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """These tensors renamed by a table, without names that it lacks."""
    known = {ours: theirs for theirs, ours in table(name).items()}
    return {prefix + known[key]: value for key, value in tensors.items() if key in known}


def caffe2(path: Path, tensors: dict[str, Tensor], python2: bool = True) -> Path:
    """A file as in PySlowFast's model zoo, with a head of 400 classes and optimizer blobs."""
    blobs: dict[str, Any] = {k: v.numpy() for k, v in named("caffe2_slowfast_r50", tensors).items()}
    blobs |= {f"{name}_momentum": np.zeros(1) for name in list(blobs)}
    blobs |= {"pred_w": np.ones((400, 4), np.float32), "pred_b": np.ones(400, np.float32)}
    blobs |= {"lr": np.float32(0.1), "model_iter": np.array(9), "odd_one": np.zeros(2)}
    path.write_bytes(
        python2_pickle({"blobs": blobs}) if python2 else pickle.dumps({"blobs": blobs})
    )
    return path


class _Python2(pickle._Pickler):  # type: ignore[name-defined]
    """Writes pickles like Python 2: text and bytes are both byte strings."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_bytes(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)

    def save_text(self, value: str) -> None:
        self.save_bytes(value.encode("latin1"))

    dispatch[bytes] = save_bytes
    dispatch[str] = save_text


def python2_pickle(value: Any) -> bytes:
    """A pickle as written by Python 2 and its NumPy."""
    out = io.BytesIO()
    _Python2(out, protocol=2).dump(value)
    return out.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
