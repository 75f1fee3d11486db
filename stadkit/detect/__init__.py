"""Clips -> model -> table."""

from stadkit.detect.detector import Detector, Options
from stadkit.detect.device import pick_device, pick_precision
from stadkit.detect.load import load
from stadkit.detect.table import to_batch, to_table, to_tubelets
from stadkit.detect.video import VideoDetections, detect_video

__all__ = [
    "Detector",
    "Options",
    "VideoDetections",
    "detect_video",
    "load",
    "pick_device",
    "pick_precision",
    "to_batch",
    "to_table",
    "to_tubelets",
]
