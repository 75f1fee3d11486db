"""Labels for the frames between labelled keyframes: temporal label assignment, and what else."""

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
