"""What labelling between keyframes may be told; where ME-STAD leaves something open, by name."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stadkit.errors import UsageError

STRATEGIES = ("tla", "tla+", "hard", "per-class", "nearest", "interpolate")
BCE = ("sum", "mean")
DISTANCES = ("l1", "smooth-l1")
BACKGROUNDS = ("paper", "free")
FROM_SCORES = ("hard", "per-class")  # the strategies that `restricted` and scores decide about


@dataclass(frozen=True)
class Options:
    """Defaults are what did best on real annotations; raises UsageError for what cannot be."""

    strategy: str = "tla"
    # Of Eq. 6. The paper does not say whether cross entropy is summed or averaged over classes.
    bce: str = "sum"
    # Of corners in fractions of the frame, over all four; the text says smooth-L1, Eq. 6 L1.
    distance: str = "l1"
    # "paper": N - M background objects of cost BCE(s, 0), only where N > M; "free": boxes may
    # only be left over where N > M, and that costs nothing.
    background: str = "paper"
    # Of cross entropy, distance, and 1 - GIoU; section 3.4: all 1.
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    # Of "hard": every class scored this much, and the best class whatever its score is.
    threshold: float = 0.2
    # "hard", "per-class": no class that neither neighbour has (section 4.3). The others take
    # their labels from the neighbours, and so have none to take away.
    restricted: bool = True
    # Seconds: a labelled keyframe farther away is no neighbour. None: 1.5 times the median
    # spacing of the video's labelled keyframes, so that where a label is missing its frames keep
    # a neighbour, and a long stretch that nobody labelled gets nothing.
    max_gap: float | None = None

    def __post_init__(self) -> None:
        _check_choice("strategy", self.strategy, STRATEGIES)
        _check_choice("bce", self.bce, BCE)
        _check_choice("distance", self.distance, DISTANCES)
        _check_choice("background", self.background, BACKGROUNDS)
        if len(self.weights) != 3 or not all(0 <= w < math.inf for w in self.weights):
            raise UsageError(f"weights are {self.weights}; wants three numbers, 0 or more")
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"threshold is {self.threshold:g}; wants 0 to 1")
        if self.max_gap is not None and not self.max_gap > 0:
            raise UsageError(f"max_gap is {self.max_gap:g}; wants seconds above 0")


def _check_choice(name: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise UsageError(f"no {name} called {given!r}; choose {', '.join(choices)}")
