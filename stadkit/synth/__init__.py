"""The Playground: rendered people with exact ground truth at every frame."""

from stadkit.synth.classes import CLASSES, labels
from stadkit.synth.clip import RenderedClip, render_clip
from stadkit.synth.playground import Footage, write_playground

__all__ = ["CLASSES", "Footage", "RenderedClip", "labels", "render_clip", "write_playground"]
