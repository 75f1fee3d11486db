"""The `semi:` section of a training YAML."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from stadkit.training.strict import Strict


class SemiConfig(Strict):
    """The semi-supervised stage, ME-STAD section 3.4: a teacher labels clips between keyframes.

    burn_in: epochs of the supervised stage before; 0: `init` has been through it. Boxes of the
    teacher become labelled people by a `strategy` of Table 5: "tla", "hard", "per-class",
    "nearest"; "ema" is the averaged weights alone, "none" the supervised stage.
    """

    strategy: Literal["tla", "hard", "per-class", "nearest", "ema", "none"] = "tla"
    burn_in: int = Field(0, ge=0)
    unlabelled: int = Field(1, ge=1)  # clips for each labelled one of `batch`
    weight: float = Field(0.5, ge=0)  # lambda_unsup of Eq. 4, Table 4
    localization: bool = True  # Eq. 5 has both parts; false: actions alone, as SE-STAD's release
    # Of the teacher's weights, the ramp is `Average`'s; the paper gives no number, the release has
    # this one.
    ema: float = Field(0.999, ge=0, lt=1)
    # The teacher's running means (of batch norm): the student's, averaged like the weights, or
    # those it started with, as in the release.
    buffers: Literal["copy", "average", "keep"] = "copy"
    # Seconds between an unlabelled clip and a labelled keyframe: near the middle of two, where
    # truth is one a second.
    offset: tuple[float, float] = (1 / 3, 1 / 2)
    places: int = Field(2, ge=1)  # times around a keyframe, in turn before and after; all are kept
    min_person: float | None = Field(None, ge=0, le=1)  # of the teacher's boxes; null: the card's
    max_people: int = Field(10, ge=1)  # of a clip, the teacher's best
    # As in `stadkit pseudo-label`.
    bce: Literal["sum", "mean"] = "sum"
    distance: Literal["l1", "smooth-l1"] = "l1"
    background: Literal["paper", "free"] = "paper"
    threshold: float = Field(0.2, ge=0, le=1)
    restricted: bool = True
    max_gap: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def rising(self) -> SemiConfig:
        if not 0 < self.offset[0] <= self.offset[1]:
            raise ValueError("offset wants [low, high] seconds with 0 < low <= high")
        return self

    @property
    def labels(self) -> bool:
        """Whether unlabelled clips are looked at."""
        return self.strategy not in ("ema", "none")
