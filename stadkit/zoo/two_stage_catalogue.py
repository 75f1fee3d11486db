"""Card fields of the two-stage models with public weights, by code base."""

from __future__ import annotations

import re
from typing import Any

from stadkit.labels import Labels, ava

Fields = dict[str, Any]
BOXES = "It needs person boxes: --proposals or --person-model. GMACs are for 10 boxes."
MMACTION2 = "https://download.openmmlab.com/mmaction/v1.0/detection"
FAIR = "https://dl.fbaipublicfiles.com"
METRICS = {
    "ava21": "AVA v2.1 frame mAP",
    "ava22": "AVA v2.2 frame mAP",
    "multisports": "MultiSports frame mAP",
}
# In RGB levels; the second pair is .45 and .225 times 255.
IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
PLAIN = {"mean": (114.75, 114.75, 114.75), "std": (57.375, 57.375, 57.375)}
# Settings that no tensor name or shape reveals.
OF_MMACTION2: Fields = {"roi_size": 8, "aligned": True}
OF_SLOWFAST: Fields = {
    **OF_MMACTION2,
    "dilation": (1, 1),
    "fusion_norm": False,
    "slow_frames": "nearest",
}
OF_FAIR: Fields = {"roi_size": 7, "dilation": (2, 2), "slow_frames": "linspace"}
# MultiSports has 25 frames a second: one frame lasts 1.2 thirtieths of a second.
MULTISPORTS_RATE = 30 / 25
SLOWFAST_8X8: Fields = {"backbone": "slowfast-r50"}
# One slow frame in 8, and shorter fusion kernels.
SLOWFAST_4X16: Fields = {"backbone": "slowfast-r50", "alpha": 8, "fusion_kernel": 5}
R101_NL: Fields = {"backbone": "slowfast-r101-nl", "fusion_kernel": 5}
SLOWONLY: Fields = {"backbone": "slowonly-r50"}
MLP: Fields = {"backbone": "slowonly-r50", "context": True, "time": "max", "head": "mlp"}
_SLOWFAST_K400 = "slowfast/slowfast_kinetics400-pretrained-r50"
_ACRN = "acrn/slowfast-acrn_kinetics400-pretrained-r50_8xb8-8x8x1-cosine-10e"
_SLOWONLY_K400 = "slowonly/slowonly_kinetics400-pretrained"
_SLOWONLY_K700 = "slowonly/slowonly_k700-pre-r50"
_AK = "10e_ava-kinetics-rgb_20221205"
_FOCAL = "slowfast/slowfast_r50-k400-pre-temporal-max-focal-alpha3-gamma1_8xb6-8x8x1-cosine-10e"
_VIT = "8xb8-16x4x1-20e-adamw_ava-kinetics-rgb_20230314"
_NL_HEAD = f"{_SLOWONLY_K700}-context-temporal-max-nl-head_8xb8-8x8x1"


def multisports() -> Labels:
    """MultiSports's 66 actions by number: the files hold neither their names nor their order."""
    return Labels(tuple(range(66)), tuple(f"multisports {i}" for i in range(66)))


def mmaction2(
    file: str, reported: float, data: str, frames: int, stride: float, note: str = "", **more: Any
) -> Fields:
    """Fields of a detector from mmaction2's model zoo. file: FOLDER/CONFIG_DATE-SHA."""
    stem = file.rpartition("/")[2]
    config = re.sub(r"_\d+-[0-9a-f]{8}$", "", stem)
    sport = data == "multisports"
    classes = multisports() if sport else ava()
    own = OF_MMACTION2 if more["backbone"].startswith("vit") else OF_SLOWFAST
    settings = {"classes": len(classes), **own, **more}
    if sport:
        settings["scores"] = "softmax"
        note = "Classes by number; one action per person (softmax). " + note
    return {
        **_common(frames, stride * MULTISPORTS_RATE if sport else stride, classes),
        **IMAGENET,
        "settings": settings,
        "origin": "mmaction2",
        "url": f"{MMACTION2}/{file.rpartition('/')[0]}/{config}/{stem}.pth",
        "file": f"{stem}.pth",
        "sha256_prefix": stem[-8:],
        "reported": {METRICS["ava22" if data == "ak" else data]: reported},
        "source": f"mmaction2's model zoo, config {config}; not measured here",
        "note": f"{note} {BOXES}".strip(),
    }


def fair(path: str, reported: float, data: str, frames: int, stride: float, **more: Any) -> Fields:
    """Fields of a detector from PySlowFast's or PyTorchVideo's model zoo."""
    origin = "PyTorchVideo" if path.startswith("pytorchvideo/") else "PySlowFast"
    return {
        **_common(frames, stride, ava()),
        **PLAIN,
        # Detectron2's RoIAlign is aligned by default; PySlowFast's configs turn that off.
        "settings": {"classes": 80, **OF_FAIR, "aligned": origin == "PyTorchVideo", **more},
        "origin": origin,
        "url": f"{FAIR}/{path}",
        "file": path.rpartition("/")[2],
        "reported": {METRICS[data]: reported},
        "source": f"{origin}'s model zoo; not measured here",
        "note": BOXES,
    }


def _common(frames: int, stride: float, classes: Labels) -> Fields:
    return {
        "family": "slowfast-roi",
        "classes": classes,
        "frames": frames,
        "stride": stride,
        "key": frames // 2,
        "short_side": 256,
        "resize": "linear",
        "multiple": 1,  # the model removes padding itself
        "min_person": 0.9,  # for boxes from a file: the threshold behind the reported figures
        "min_action": 0.002,
        "licence": "Apache-2.0",
    }


TWO_STAGE: dict[str, Fields] = {
    "roi-slowfast-4x16-ava21": mmaction2(
        f"{_SLOWFAST_K400}_8xb16-4x16x1-20e_ava21-rgb_20220906-5180ea3c",
        *(24.32, "ava21", 32, 2),
        **SLOWFAST_4X16,
    ),
    "roi-slowfast-4x16-context-ava21": mmaction2(
        f"{_SLOWFAST_K400}-context_8xb16-4x16x1-20e_ava21-rgb_20220906-5bb4f6f2",
        *(25.34, "ava21", 32, 2),
        **SLOWFAST_4X16,
        context=True,
    ),
    "roi-slowfast-8x8-ava21": mmaction2(
        f"{_SLOWFAST_K400}_8xb8-8x8x1-20e_ava21-rgb_20220906-39133ec7",
        *(25.8, "ava21", 32, 2),
        **SLOWFAST_8X8,
    ),
    "roi-slowfast-8x8-ava22": mmaction2(
        f"{_SLOWFAST_K400}_8xb6-8x8x1-cosine-10e_ava22-rgb_20220906-d934a48f",
        *(25.9, "ava22", 32, 2),
        **SLOWFAST_8X8,
    ),
    "roi-slowfast-8x8-max-ava22": mmaction2(
        f"{_SLOWFAST_K400}-temporal-max_8xb6-8x8x1-cosine-10e_ava22-rgb_20220906-13a9078e",
        *(26.41, "ava22", 32, 2),
        **SLOWFAST_8X8,
        time="max",
    ),
    "roi-slowfast-8x8-max-focal-ava22": mmaction2(
        f"{_FOCAL}_ava22-rgb_20220906-dd59e26f",
        *(26.65, "ava22", 32, 2),
        **SLOWFAST_8X8,
        time="max",
    ),
    "roi-slowfast-8x8-acrn-ava21": mmaction2(
        f"{_ACRN}_ava21-rgb_20220906-0dae1a90",
        *(27.65, "ava21", 32, 2),
        **SLOWFAST_8X8,
        head="acrn",
    ),
    "roi-slowfast-8x8-acrn-ava22": mmaction2(
        f"{_ACRN}_ava22-rgb_20220906-66ec24a2",
        *(27.71, "ava22", 32, 2),
        **SLOWFAST_8X8,
        head="acrn",
    ),
    "roi-slowfast-4x16-multisports": mmaction2(
        f"{_SLOWFAST_K400}_8xb16-4x16x1-8e_multisports-rgb_20230320-af666368",
        *(36.88, "multisports", 32, 2),
        **SLOWFAST_4X16,
    ),
    "roi-slowonly-4x16-ava21": mmaction2(
        f"{_SLOWONLY_K400}-r50_8xb16-4x16x1-20e_ava21-rgb_20220906-953ef5fe",
        *(20.72, "ava21", 4, 16),
        **SLOWONLY,
    ),
    "roi-slowonly-4x16-k700-ava21": mmaction2(
        "slowonly/slowonly_kinetics700-pretrained-r50_8xb16-4x16x1-20e_ava21-rgb_20220906-b3b6d44e",
        *(22.77, "ava21", 4, 16),
        **SLOWONLY,
    ),
    "roi-slowonly-4x16-nl-ava21": mmaction2(
        f"{_SLOWONLY_K400}-r50-nl_8xb16-4x16x1-20e_ava21-rgb_20220906-5ae3f91b",
        *(21.55, "ava21", 4, 16),
        backbone="slowonly-r50-nl",
    ),
    "roi-slowonly-8x8-nl-ava21": mmaction2(
        f"{_SLOWONLY_K400}-r50-nl_8xb16-8x8x1-20e_ava21-rgb_20220906-9760eadb",
        *(23.77, "ava21", 8, 8),
        backbone="slowonly-r50-nl",
    ),
    "roi-slowonly-r101-8x8-ava21": mmaction2(
        f"{_SLOWONLY_K400}-r101_8xb16-8x8x1-20e_ava21-rgb_20220906-43f16877",
        *(24.83, "ava21", 8, 8),
        backbone="slowonly-r101",
    ),
    "roi-slowonly-4x16-ak": mmaction2(
        f"slowonly/slowonly_k400-pre-r50_8xb8-4x16x1-{_AK}-33e3ca7c",
        *(24.53, "ak", 4, 16),
        **SLOWONLY,
    ),
    "roi-slowonly-4x16-k700-ak": mmaction2(
        f"{_SLOWONLY_K700}_8xb8-4x16x1-{_AK}-a07e8c15", *(25.87, "ak", 4, 16), **SLOWONLY
    ),
    "roi-slowonly-8x8-ak": mmaction2(
        f"slowonly/slowonly_k400-pre-r50_8xb8-8x8x1-{_AK}-8f8dff3b",
        *(26.1, "ak", 8, 8),
        **SLOWONLY,
    ),
    "roi-slowonly-8x8-k700-ak": mmaction2(
        f"{_SLOWONLY_K700}_8xb8-8x8x1-{_AK}-16a01c37", *(27.82, "ak", 8, 8), **SLOWONLY
    ),
    "roi-slowonly-8x8-context-ak": mmaction2(
        f"{_SLOWONLY_K700}-context_8xb8-8x8x1-{_AK}-5d514f8c",
        *(28.31, "ak", 8, 8),
        **SLOWONLY,
        context=True,
    ),
    "roi-slowonly-8x8-context-max-ak": mmaction2(
        f"{_SLOWONLY_K700}-context-temporal-max_8xb8-8x8x1-{_AK}-5b5e71eb",
        *(28.48, "ak", 8, 8),
        **SLOWONLY,
        context=True,
        time="max",
    ),
    "roi-slowonly-8x8-mlp-ak": mmaction2(f"{_NL_HEAD}-{_AK}-87624265", *(29.83, "ak", 8, 8), **MLP),
    "roi-slowonly-8x8-mlp-focal-ak": mmaction2(
        f"{_NL_HEAD}-focal-{_AK}-37aa8395", *(30.33, "ak", 8, 8), **MLP
    ),
    "roi-slowonly-16x4-mlp-ak": mmaction2(
        f"{_SLOWONLY_K700}_8xb8-16x4x1-10e-tricks_ava-kinetics-rgb_20221205-dd652f81",
        *(31.29, "ak", 16, 4),
        note="Its tensors show context and two layers; the maximum over time is assumed, as in "
        "the models it extends.",
        **MLP,
    ),
    "roi-slowonly-4x16-multisports": mmaction2(
        f"{_SLOWONLY_K400}-r50_8xb16-4x16x1-8e_multisports-rgb_20230320-a1ca5e76",
        *(26.4, "multisports", 4, 16),
        **SLOWONLY,
    ),
    "roi-vit-b-ak": mmaction2(
        f"videomae/vit-base-p16_videomae-k400-pre_{_VIT}-3dafab75",
        *(33.6, "ak", 16, 4),
        backbone="vit-b",
    ),
    "roi-vit-l-ak": mmaction2(
        f"videomae/vit-large-p16_videomae-k400-pre_{_VIT}-bf93c9ea",
        *(38.7, "ak", 16, 4),
        backbone="vit-l",
    ),
    "roi-slowonly-4x16-psf": fair(
        "pyslowfast/model_zoo/ava/C2D_8x8_R50.pkl", *(19.5, "ava22", 4, 16), **SLOWONLY
    ),
    "roi-slowfast-r101-nl-ava21-psf": fair(
        "pyslowfast/model_zoo/ava/SLOWFAST_32x2_R101_50_50_v2.1.pkl",
        *(28.2, "ava21", 32, 2),
        **R101_NL,
    ),
    "roi-slowfast-r101-nl-psf": fair(
        "pyslowfast/model_zoo/ava/SLOWFAST_32x2_R101_50_50.pkl",
        *(29.1, "ava22", 32, 2),
        **R101_NL,
    ),
    "roi-slowfast-r101-nl-64-psf": fair(
        "pyslowfast/model_zoo/ava/SLOWFAST_64x2_R101_50_50.pkl",
        *(29.4, "ava22", 64, 2),
        **R101_NL,
    ),
    "roi-slowonly-4x16-ptv": fair(
        "pytorchvideo/model_zoo/ava/SLOW_4x16_R50_DETECTION.pyth",
        *(19.5, "ava22", 4, 16),
        **SLOWONLY,
    ),
    "roi-slowfast-8x8-ptv": fair(
        "pytorchvideo/model_zoo/ava/SLOWFAST_8x8_R50_DETECTION.pyth",
        *(24.67, "ava22", 32, 2),
        **SLOWFAST_8X8,
    ),
}
