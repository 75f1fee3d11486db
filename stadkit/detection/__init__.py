"""Detection: clips -> model -> table."""

from stadkit.detection.detector import DetectOptions, Detector
from stadkit.detection.device import pick_device, pick_precision
from stadkit.detection.load import load
from stadkit.detection.table import to_batch, to_table, to_tubelets
from stadkit.detection.video import VideoDetections, detect_video

__all__ = [
    "DetectOptions",
    "Detector",
    "VideoDetections",
    "detect_video",
    "load",
    "pick_device",
    "pick_precision",
    "to_batch",
    "to_table",
    "to_tubelets",
]
