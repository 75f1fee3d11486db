"""Detections to tracks and tubes."""

from stadkit.link.linking import Linked, link
from stadkit.link.methods import METHODS, link_by
from stadkit.link.options import Options

__all__ = ["METHODS", "Linked", "Options", "link", "link_by"]
