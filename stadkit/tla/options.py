"""Options of pseudo-labelling, including choices that ME-STAD leaves open."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stadkit.errors import UsageError

STRATEGIES = ("tla", "tla+", "hard", "per-class", "nearest", "interpolate")
BCE = ("sum", "mean")
DISTANCES = ("l1", "smooth-l1")
BACKGROUNDS = ("paper", "free")
FROM_SCORES = ("hard", "per-class")  # strategies based on scores, which `restricted` applies to


@dataclass(frozen=True)
class LabellingOptions:
    """Defaults performed best on real annotations; raises UsageError for invalid values."""

    strategy: str = "tla"
    # In Eq. 6. The paper does not say whether cross entropy is summed or averaged over classes.
    bce: str = "sum"
    # Over all four corner coordinates in frame fractions; the text says smooth-L1, Eq. 6 L1.
    distance: str = "l1"
    # Only where N > M. "paper": N - M background objects of cost BCE(s, 0); "free": surplus
    # boxes cost nothing.
    background: str = "paper"
    # Of cross entropy, distance, and 1 - GIoU; section 3.4: all 1.
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    # For "hard": every class with at least this score, and the best class at any score.
    threshold: float = 0.2
    # "hard", "per-class": drop classes that neither neighbour has (section 4.3). The other
    # strategies take their labels from the neighbours anyway.
    restricted: bool = True
    # Maximum distance of a neighbour in seconds. None: 1.5 times the median spacing of the
    # video's labelled keyframes, so frames around one missing label keep a neighbour, while long
    # unlabelled stretches get no labels.
    max_gap: float | None = None

    def __post_init__(self) -> None:
        _check_choice("strategy", self.strategy, STRATEGIES)
        _check_choice("bce", self.bce, BCE)
        _check_choice("distance", self.distance, DISTANCES)
        _check_choice("background", self.background, BACKGROUNDS)
        if len(self.weights) != 3 or not all(0 <= w < math.inf for w in self.weights):
            raise UsageError(f"weights is {self.weights}; wants three numbers, 0 or more")
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"threshold is {self.threshold:g}; wants 0 to 1")
        if self.max_gap is not None and not self.max_gap > 0:
            raise UsageError(f"max_gap is {self.max_gap:g}; wants seconds above 0")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"unknown {name} {value!r}; choose one of {', '.join(choices)}")
