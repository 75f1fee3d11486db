"""SlowFast weights of every dialect become the same backbone, for full tables of names."""

from __future__ import annotations

import pytest
import torch
from helpers import made_slowfast, made_videomae
from torch import Tensor

from stadkit import zoo
from stadkit.errors import WeightsError
from stadkit.models.slowfast import SlowFast, SlowFastConfig
from stadkit.zoo.backbones import FUSION_NORM, optional_missing
from stadkit.zoo.dialects.slowfast import code_base, dialect, matches, notes, rename

HEADS = ("head.projection.weight", "head.projection.bias")


def empty(names: list[str]) -> dict[str, Tensor]:
    return {name: torch.empty(1, device="meta") for name in names}


@pytest.mark.parametrize(
    ("name", "author", "rows"),
    [
        ("mmaction2_slowfast_r50", "mmaction2", 640),
        ("pytorchvideo_slowonly_r50", "PyTorchVideo", 318),
        ("pytorchvideo_slowfast_r50", "PyTorchVideo", 660),
    ],
)
@pytest.mark.parametrize("prefix", [True, False])
def test_every_name_of_the_references_tables(
    name: str, author: str, rows: int, prefix: bool
) -> None:
    known = made_slowfast.table(name)
    before = {"mmaction2": "backbone.", "PyTorchVideo": ""}[author] if prefix else ""
    strip = "" if prefix else "model."
    given = {before + theirs.removeprefix(strip): ours for theirs, ours in known.items()}
    tensors = empty(list(given))
    found = rename(tensors)
    assert code_base(given) == author
    assert len(found.tensors) == rows
    assert found.unused == [theirs for theirs, ours in given.items() if ours in HEADS]
    for theirs, ours in given.items():
        assert ours in HEADS or found.tensors[f"backbone.{ours}"] is tensors[theirs]


def test_numbers_go_with_their_names() -> None:
    wanted = made_slowfast.weights()
    for name in ("mmaction2_slowfast_r50", "pytorchvideo_slowfast_r50"):
        found = rename(made_slowfast.named(name, wanted)).tensors
        assert all(torch.equal(v, wanted[k.removeprefix("backbone.")]) for k, v in found.items())
        lacking = {f"backbone.{key}" for key in wanted} - found.keys()
        norms = set(FUSION_NORM) if name.startswith("mma") else set()
        assert {key for key in lacking if "num_batches" not in key} == norms


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_our_own_names_stay(prefix: str) -> None:
    ours = made_slowfast.weights(nonlocal4=(1,))
    given = {prefix + name: value for name, value in ours.items()}
    found = rename({**given, "head.projection.weight": torch.ones(1)})
    assert found.tensors.keys() == {f"backbone.{name}" for name in ours}
    assert found.unused == ["head.projection.weight"]


def test_the_slow_pathway_alone_and_non_local_blocks_of_mmaction2() -> None:
    known = {
        "backbone.conv1.conv.weight": "s1.pathway0_stem.conv.weight",
        "backbone.layer3.5.conv2.bn.running_var": "s4.pathway0_res5.branch2.b_bn.running_var",
        "backbone.layer4.0.downsample.conv.weight": "s5.pathway0_res0.branch1.weight",
        "backbone.layer2.0.non_local_block.g.0.conv.bias": "s3.pathway0_nonlocal0.conv_g.bias",
        "backbone.layer2.0.non_local_block.phi.0.conv.weight": (
            "s3.pathway0_nonlocal0.conv_phi.weight"
        ),
        "backbone.layer2.0.non_local_block.theta.conv.bias": (
            "s3.pathway0_nonlocal0.conv_theta.bias"
        ),
        "backbone.layer2.0.non_local_block.conv_out.conv.weight": (
            "s3.pathway0_nonlocal0.conv_out.weight"
        ),
        "backbone.layer2.0.non_local_block.conv_out.bn.weight": "s3.pathway0_nonlocal0.bn.weight",
        # A file's tensors with a head, and names that match no rule.
        "roi_head.bbox_head.fc_cls.weight": "",
        "roi_head.shared_head.conv1.conv.weight": "",
        "backbone.layer5.0.conv1.conv.weight": "",
        "backbone.layer1.0.conv4.conv.weight": "",
    }
    found = rename(empty(list(known)))
    assert list(found.tensors) == [f"backbone.{ours}" for ours in known.values() if ours]
    assert found.unused == [theirs for theirs, ours in known.items() if not ours]


def test_the_head_of_a_classifier_of_pytorchvideo_is_none_of_it() -> None:
    names = ["blocks.0.conv.weight", "blocks.1.res_blocks.0.branch2.norm_c.bias"]
    heads = ["blocks.5.proj.weight", "blocks.0.conv.mask", "blocks.1.res_blocks.0.extra.weight"]
    found = rename(empty([*names, *heads[::2]]))
    assert list(found.tensors) == [
        "backbone.s1.pathway0_stem.conv.weight",
        "backbone.s2.pathway0_res0.branch2.c_bn.bias",
    ]
    assert found.unused == heads[::2]


def test_two_names_for_one_tensor_are_refused() -> None:
    given = empty(["conv1.conv.weight", "slow_path.conv1.conv.weight"])
    with pytest.raises(
        WeightsError, match=r"a\.pth: conv1\.conv\.weight and slow_path.* both become"
    ):
        rename(given, "a.pth")


def test_other_networks_are_not_recognised() -> None:
    with pytest.raises(WeightsError, match=r"a\.pth: not a SlowFast"):
        rename(empty(["layer1.0.conv1.weight"]), "a.pth")
    assert not matches(made_videomae.original("backbone."))
    assert not matches(made_videomae.original(""))
    with torch.device("meta"):
        assert not matches(zoo.build("mestad-tiny").state_dict())
        assert not matches(zoo.build("evad-tiny").state_dict())
        assert dialect(SlowFast(SlowFastConfig.slowonly_r50()).state_dict()) is not None


def test_a_file_may_lack_all_norms_of_a_kind_but_not_some() -> None:
    counter = "backbone.s1_fuse.bn.num_batches_tracked"
    assert optional_missing([*FUSION_NORM, counter, "a"], ["backbone.a"]) == {*FUSION_NORM, counter}
    assert optional_missing([*FUSION_NORM[1:], counter], FUSION_NORM[:1]) == {counter}
    assert optional_missing(["backbone.norm.bias"], FUSION_NORM) == {"backbone.norm.bias"}
    assert optional_missing(["backbone.norm.bias"], ["backbone.norm.weight"]) == set()


def test_notes_for_the_user() -> None:
    fast, slow = (
        ["backbone.s1.pathway1_stem.conv.weight"],
        ["backbone.s1.pathway0_stem.conv.weight"],
    )
    settings = (
        "weights of mmaction2, trained with mean (123.675, 116.28, 103.53), "
        "std (58.395, 57.12, 57.375), no dilation"
    )
    norms = "; without fusion norms, which are newly initialized"
    assert notes("mmaction2", fast, FUSION_NORM) == [f"{settings}, slow frames 0 4 .. 28{norms}"]
    assert notes("mmaction2", fast, ["head"]) == [f"{settings}, slow frames 0 4 .. 28"]
    assert notes("mmaction2", slow, FUSION_NORM) == [settings]
    assert notes("", fast, FUSION_NORM) == ["without fusion norms, which are newly initialized"]
    for author in ("", "PySlowFast", "PyTorchVideo"):
        assert notes(author, fast, []) == notes(author, slow, FUSION_NORM) == []
