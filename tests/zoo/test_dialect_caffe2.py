"""Caffe2's pickles are read without running them, and blobs get PySlowFast's names."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import made_slowfast

from stadkit.errors import WeightsError
from stadkit.zoo import read_checkpoint
from stadkit.zoo.dialects import caffe2


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("caffe2_slowonly_r50", 267),
        ("caffe2_slowfast_r50", 552),
        ("caffe2_slowfast_r101_nl", 1098),
    ],
)
def test_every_blob_has_pyslowfasts_name(name: str, rows: int) -> None:
    known = made_slowfast.table(name)
    assert len(known) == rows
    assert {blob: caffe2.our_name(blob) for blob in known} == known


@pytest.mark.parametrize(
    ("blob", "ours"),
    [
        ("t_pool1_subsample_bn_riv", "s1_fuse.bn.running_var"),
        ("t_res4_22_branch2c_bn_subsample_w", "s4_fuse.conv_f2s.weight"),
        ("nonlocal_conv4_13_out_b", "s4.pathway0_nonlocal13.conv_out.bias"),
        ("nonlocal_conv4_6_bn_s", "s4.pathway0_nonlocal6.bn.weight"),
        ("t_res5_2_branch2b_bn_rm", "s5.pathway1_res2.branch2.b_bn.running_mean"),
        ("pred_w", "head.projection.weight"),
        ("pred_s", "pred_s"),  # no rule matches these
        ("conv1_s", "conv1_s"),
        ("res2_0_branch2d_w", "res2_0_branch2d_w"),
        ("w", "w"),
    ],
)
def test_names_one_by_one(blob: str, ours: str) -> None:
    assert caffe2.our_name(blob) == ours


@pytest.mark.parametrize("python2", [True, False])
def test_a_file_is_read_whole_under_any_name(tmp_path: Path, python2: bool) -> None:
    wanted = made_slowfast.weights()
    read = read_checkpoint(made_slowfast.caffe2(tmp_path / "x.pth", wanted, python2))
    head = {"head.projection.weight", "head.projection.bias"}
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    assert read.keys() == (wanted.keys() - counters) | head | {"odd_one"}
    assert all(torch.equal(read[name], wanted[name]) for name in wanted.keys() - counters)
    assert read["head.projection.weight"].shape == (400, 4)


def blobs(path: Path, held: dict[str, Any], protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps({"blobs": held}, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 5])  # 5 keeps the byte order
def test_matrices_of_kernels_get_their_dimensions_back(tmp_path: Path, protocol: int) -> None:
    flat = np.arange(6, dtype=">f4").reshape(2, 3)
    held = {"nonlocal_conv4_6_g_w": flat, "nonlocal_conv4_6_g_b": flat[0], "pred_w": flat}
    read = read_checkpoint(blobs(tmp_path / "x.pkl", held, protocol))
    kernel = read["s4.pathway0_nonlocal6.conv_g.weight"]
    assert (kernel.shape, kernel.dtype) == ((2, 3, 1, 1, 1), torch.float32)
    assert kernel.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert read["s4.pathway0_nonlocal6.conv_g.bias"].shape == (3,)
    assert read["head.projection.weight"].shape == (2, 3)


@pytest.mark.parametrize("protocol", range(6))
def test_any_protocol(tmp_path: Path, protocol: int) -> None:
    path = blobs(tmp_path / "x.pkl", {"conv1_w": np.ones((1, 1, 1, 1, 1))}, protocol)
    assert read_checkpoint(path).keys() == {"s1.pathway0_stem.conv.weight"}


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"weights": {}}, "a pickle without `blobs`"),
        ({"blobs": {}}, "a pickle without `blobs`"),
        ([1, 2], "a pickle without `blobs`"),
        ({"blobs": {"conv1_w": "text"}}, "the blob conv1_w is a str, not an array of numbers"),
        ({"blobs": {"a": np.array(["x"], object)}}, "the blob a is a object, not an array"),
        (
            {"blobs": {f"t_res2_{i}_branch2c_bn_subsample_w": np.ones(1) for i in (1, 2)}},
            r"t_res2_1_branch2c_bn_subsample_w and t_res2_2\S+ both become s2_fuse\.conv_f2s",
        ),
    ],
)
def test_other_pickles_give_one_line(tmp_path: Path, held: Any, message: str) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(held, 2))
    with pytest.raises(WeightsError, match=message) as caught:
        read_checkpoint(tmp_path / "x.pkl")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


class Evil:
    """Unpickling this makes a folder."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_among_the_blobs_does_not_run(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "canary"
    path = blobs(tmp_path / "x.pkl", {"conv1_w": Evil(canary)}, protocol)
    with pytest.raises(WeightsError, match=r"refuses to run \w+\.mkdir"):
        read_checkpoint(path)
    assert not canary.exists()


def test_a_truncated_pickle(tmp_path: Path) -> None:
    path = made_slowfast.caffe2(tmp_path / "x.pkl", made_slowfast.weights())
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"cannot be read as a pickle .*download it again"):
        read_checkpoint(path)
