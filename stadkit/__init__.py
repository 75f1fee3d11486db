"""Spatio-temporal action detection: who does what, where and when in a video."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stadkit.detect import Detector

    __version__: str

__all__ = ["__version__", "load"]


def load(name: str, device: str = "auto", precision: str = "auto") -> Detector:
    """The detector of this name, ready to use: `load("mestad-nano").detect("video.mp4")`.

    `name` is one of `stadkit models list`, or the path of weights that `stadkit train` wrote.
    Raises UsageError for an unknown name and WeightsError where its weights are not here.
    """
    from stadkit import detect

    return detect.load(name, device, precision)


def __getattr__(name: str) -> str:
    # Looked up on demand: `import stadkit` stays free of importlib.metadata's 20 ms.
    if name == "__version__":
        from importlib.metadata import version

        return version("stadkit")
    raise AttributeError(f"module 'stadkit' has no attribute {name!r}")
