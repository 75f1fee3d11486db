"""Detections to tracks and tubes."""

from stadkit.link.linking import Linked, link
from stadkit.link.methods import METHODS, check_method, link_by
from stadkit.link.options import Options

__all__ = ["METHODS", "Linked", "Options", "check_method", "link", "link_by"]
