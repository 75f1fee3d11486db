"""Fields of a two-stage model's card, by the code base that it is of."""

from __future__ import annotations

import re
from typing import Any

from stadkit.labels import Labels, ava

Fields = dict[str, Any]

BOXES = "It needs person boxes: --proposals or --person-model. GMACs are with 10 boxes."
MMACTION2 = "https://download.openmmlab.com/mmaction/v1.0/detection"
FAIR = "https://dl.fbaipublicfiles.com"
METRICS = {
    "ava21": "AVA v2.1 frame mAP",
    "ava22": "AVA v2.2 frame mAP",
    "multisports": "MultiSports frame mAP",
}
# Of RGB levels; the second is .45 and .225 of 255.
IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
PLAIN = {"mean": (114.75, 114.75, 114.75), "std": (57.375, 57.375, 57.375)}
# Maths that no tensor shows.
OF_MMACTION2: Fields = {"roi_size": 8, "aligned": True}
OF_SLOWFAST: Fields = {
    **OF_MMACTION2,
    "dilation": (1, 1),
    "fusion_norm": False,
    "slow_frames": "nearest",
}
OF_FAIR: Fields = {"roi_size": 7, "dilation": (2, 2), "slow_frames": "linspace"}
# Its 25 frames a second make a frame 1.2 thirtieths of a second.
MULTISPORTS_RATE = 30 / 25


def multisports() -> Labels:
    """MultiSports's 66 actions by number: the files tell no names, and no order of them."""
    return Labels(tuple(range(66)), tuple(f"multisports {i}" for i in range(66)))


def mmaction2(
    file: str, reported: float, data: str, frames: int, stride: float, note: str = "", **more: Any
) -> Fields:
    """A detector of mmaction2's model zoo. file: FOLDER/CONFIG_DATE-SHA."""
    stem = file.rpartition("/")[2]
    config = re.sub(r"_\d+-[0-9a-f]{8}$", "", stem)
    sport = data == "multisports"
    classes = multisports() if sport else ava()
    own = OF_MMACTION2 if more["backbone"].startswith("vit") else OF_SLOWFAST
    settings = {"classes": len(classes), **own, **more}
    if sport:
        settings["scores"] = "softmax"
        note = "Classes by number; one action a person, with softmax. " + note
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
    """A detector of PySlowFast's or PyTorchVideo's model zoo."""
    origin = "PyTorchVideo" if path.startswith("pytorchvideo/") else "PySlowFast"
    return {
        **_common(frames, stride, ava()),
        **PLAIN,
        # Detectron2's RoIAlign is aligned unless a config says otherwise, as PySlowFast's do.
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
        "multiple": 1,  # the model cuts each clip to its own size anyway
        "min_person": 0.9,  # of boxes from a file, as those were chosen for the reported figures
        "min_action": 0.002,
        "licence": "Apache-2.0",
    }
