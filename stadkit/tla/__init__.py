"""Pseudo labels between labelled keyframes: temporal label assignment (TLA) and baselines."""

from stadkit.tla.check import CheckReport, check
from stadkit.tla.labelling import Labelled, Notes, pseudo_label
from stadkit.tla.neighbours import Cuts
from stadkit.tla.options import STRATEGIES, LabellingOptions

__all__ = [
    "STRATEGIES",
    "CheckReport",
    "Cuts",
    "Labelled",
    "LabellingOptions",
    "Notes",
    "check",
    "pseudo_label",
]
