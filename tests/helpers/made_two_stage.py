"""Small two-stage detectors, and files of them in several dialects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from helpers import made_slowfast
from stadkit import zoo
from stadkit.layers.attention import sinusoid

PSF, PTV = "roi-slowfast-r101-nl-psf", "roi-slowfast-8x8-ptv"
MMACTION2 = {
    "roi-slowfast-8x8-ava22": "slowfast-tiny",
    "roi-slowfast-4x16-context-ava21": "slowfast-tiny",
    "roi-slowfast-8x8-max-ava22": "slowfast-tiny",
    "roi-slowfast-8x8-acrn-ava22": "slowfast-tiny",
    "roi-slowfast-4x16-multisports": "slowfast-tiny",
    "roi-slowonly-4x16-ava21": "slowonly-tiny",
    "roi-slowonly-8x8-mlp-ak": "slowonly-tiny",
    "roi-slowonly-4x16-nl-ava21": "slowonly-tiny-nl",
    "roi-vit-b-ak": "vit-tiny",
}
SMALL = {**MMACTION2, PSF: "slowfast-tiny-nl", PTV: "slowfast-tiny"}


def drawn(name: str) -> dict[str, Tensor]:
    """Random tensors of a small model by our names, with positive variances."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in zoo.build(name).state_dict().items()}
    random = torch.Generator().manual_seed(0)
    tensors = {}
    for key, shape in shapes.items():
        inputs = max(shape[1:].numel(), 1)
        tensors[key] = torch.randn(shape, generator=random) / inputs**0.5
        if key.endswith("running_var"):
            tensors[key] = torch.rand(shape, generator=random) + 0.5
        elif key.endswith("num_batches_tracked"):
            tensors[key] = torch.tensor(7)
    return tensors


def of_mmaction2(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By mmaction2's names, with its background row where it has one."""
    backbone = SMALL[name]
    ours = {k.removeprefix("backbone."): v for k, v in tensors.items() if k.startswith("backbone.")}
    if backbone.startswith("vit"):
        named = {_vit_name(key): value for key, value in ours.items()}
        named["pos_embed"] = sinusoid(4 * 4, 16)[None]
    else:
        named = made_slowfast.named("mmaction2_slowfast_r50", ours)
        for stage, i in ((3, 0), (4, 1)):
            start = f"s{stage}.pathway0_nonlocal{i}."
            theirs = f"layer{stage - 1}.{i}.non_local_block."
            named |= {
                theirs + _nonlocal_name(key.removeprefix(start)): value
                for key, value in ours.items()
                if key.startswith(start)
            }
        if "slowonly" in backbone:
            named = {key.removeprefix("slow_path."): value for key, value in named.items()}
    named = {f"backbone.{key}": value for key, value in named.items()}
    return named | _mmaction2_head(name, tensors)


def _vit_name(key: str) -> str:
    key = key.replace("patch_embed.proj.", "patch_embed.projection.")
    return key.replace("mlp.fc1.", "mlp.layers.0.0.").replace("mlp.fc2.", "mlp.layers.1.")


def _nonlocal_name(key: str) -> str:
    part, leaf = key.split(".")
    table = {"conv_phi": "phi.0.conv", "conv_g": "g.0.conv", "conv_theta": "theta.conv"}
    return f"{({**table, 'conv_out': 'conv_out.conv', 'bn': 'conv_out.bn'})[part]}.{leaf}"


def _mmaction2_head(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    head: dict[str, Tensor] = {}
    last = "fc_cls.2" if "head.hidden.weight" in tensors else "fc_cls"
    for leaf in ("weight", "bias"):
        rows = tensors[f"head.projection.{leaf}"]
        if len(rows) == 80:
            rows = torch.cat([torch.full_like(rows[:1], 9.0), rows])
        head[f"bbox_head.{last}.{leaf}"] = rows
        if last == "fc_cls.2":
            head[f"bbox_head.fc_cls.0.{leaf}"] = tensors[f"head.hidden.{leaf}"]
    for conv in ("conv1", "conv2"):
        for key, value in tensors.items():
            if key == f"head.{conv}.0.weight":
                head[f"shared_head.{conv}.conv.weight"] = value[:, :, None]
            elif key.startswith(f"head.{conv}.1."):
                head[f"shared_head.{conv}.bn.{key.rsplit('.', 1)[1]}"] = value
    return {f"roi_head.{key}": value for key, value in head.items()}


def of_fair(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By PySlowFast's names."""
    return {key.removeprefix("backbone."): value for key, value in tensors.items()}


def saved(name: str, path: Path) -> Path:
    """A file in the source's own format."""
    tensors = drawn(name)
    if name == PSF:
        torch.save({"model_state": of_fair(tensors), "epoch": 9, "cfg": "MODEL: 1"}, path)
    elif name == PTV:
        named = made_slowfast.named("pytorchvideo_slowfast_r50", of_fair(tensors))
        torch.save({"model_state": named}, path)
    else:
        meta = {"experiment_name": "a", "epoch": 8, "cfg": "clip_len = 32", "dataset_meta": {}}
        torch.save({"meta": meta, "state_dict": of_mmaction2(name, tensors)}, path)
    return path
