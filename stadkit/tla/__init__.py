"""Pseudo labels between labelled keyframes: temporal label assignment (TLA) and baselines."""

from stadkit.tla.check import Check, check
from stadkit.tla.labelling import Labelled, Notes, pseudo_label
from stadkit.tla.neighbours import Cuts
from stadkit.tla.options import STRATEGIES, Options

__all__ = [
    "STRATEGIES",
    "Check",
    "Cuts",
    "Labelled",
    "Notes",
    "Options",
    "check",
    "pseudo_label",
]
