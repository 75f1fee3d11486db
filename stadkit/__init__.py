"""Spatio-temporal action detection: who does what, where and when in a video."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stadkit.api import (
        detect,
        evaluate,
        link,
        list_models,
        load,
        pseudo_label,
        read_detections,
        read_truth,
        read_tubes,
        write_ava_csv,
    )
    from stadkit.detection.detector import Detector
    from stadkit.detections import Detections, Keyframes
    from stadkit.labels import Labels
    from stadkit.tubes import Tubes

    __version__: str

# Name -> the module that defines it, imported when the name is first used: `import stadkit` takes
# no torch and a few milliseconds.
_HOMES = {
    "Detections": "stadkit.detections",
    "Detector": "stadkit.detection.detector",
    "Keyframes": "stadkit.detections",
    "Labels": "stadkit.labels",
    "Tubes": "stadkit.tubes",
    "detect": "stadkit.api",
    "evaluate": "stadkit.api",
    "link": "stadkit.api",
    "list_models": "stadkit.api",
    "load": "stadkit.api",
    "pseudo_label": "stadkit.api",
    "read_detections": "stadkit.api",
    "read_truth": "stadkit.api",
    "read_tubes": "stadkit.api",
    "write_ava_csv": "stadkit.api",
}

__all__ = [
    "Detections",
    "Detector",
    "Keyframes",
    "Labels",
    "Tubes",
    "__version__",
    "detect",
    "evaluate",
    "link",
    "list_models",
    "load",
    "pseudo_label",
    "read_detections",
    "read_truth",
    "read_tubes",
    "write_ava_csv",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("stadkit")
    if name not in _HOMES:
        raise AttributeError(f"module 'stadkit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
