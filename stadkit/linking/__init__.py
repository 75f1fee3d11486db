"""Detections to tracks and tubes."""

from stadkit.linking.methods import METHODS, check_method, link_by
from stadkit.linking.options import LinkOptions
from stadkit.linking.track import Linked, link

__all__ = ["METHODS", "LinkOptions", "Linked", "check_method", "link", "link_by"]
