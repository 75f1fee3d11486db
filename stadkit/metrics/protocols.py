"""Frame mAP protocols: the matching rules of the evaluators behind published numbers.

All match a detection only to the truth of its class with the largest IoU, and take the area under
the monotone precision envelope. They differ in the fields of `Protocol`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from stadkit.errors import UsageError


@dataclass(frozen=True)
class Protocol:
    """The matching rules of one evaluator."""

    name: str
    unlabelled: str = "wrong"  # detections in frames without truth: "wrong" | "dropped"
    # Which row of a frame claims a truth first: the best "score" | the earliest in the "file"
    order: str = "score"
    # Which of tied rows in a frame claims first: the "first" or "last" row, the first in the
    # "heap", or ("sort") the first in the ranking.
    ties: Literal["first", "last", "heap", "sort"] = "last"
    # Order in which frames enter the ranking sort, which affects ties.
    frames: Literal["found", "truth"] = "found"
    cap: int | None = None  # best rows that count in a frame, over all known classes
    float32: bool = False  # precision of boxes and IoU, else float64
    undetected: float = 0.0  # AP of a class with truth but no detections; NaN: not in the mean
    no_area: str = "dropped"  # detections without area: "dropped" | "wrong"
    excluded: str = "dropped"  # truth in excluded frames: "dropped" | "missed" (lowers recall)

    def with_cap(self, cap: int | None) -> Protocol:
        """Return the protocol with this cap, if not None; 0: no cap. UsageError below 0."""
        if cap is None:
            return self
        if cap < 0:
            raise UsageError(f"cap is {cap}; wants the maximum rows per frame, or 0 for all")
        return replace(self, cap=cap or None)


_ALL = (
    Protocol("ava"),  # AlphAction, STMixer
    # get_ava_performance.py since May 2020, and its 2019 version
    Protocol("activitynet", unlabelled="dropped", ties="heap", cap=50),
    Protocol("activitynet-2019", ties="heap", cap=50),
    Protocol("slowfast", order="file", ties="first"),  # PySlowFast, EVAD
    # It counts truth before dropping excluded frames.
    Protocol(
        "mmaction2",
        unlabelled="dropped",
        ties="first",
        frames="truth",
        float32=True,
        undetected=float("nan"),
        no_area="wrong",
        excluded="missed",
    ),
)
PROTOCOLS = {protocol.name: protocol for protocol in _ALL}

# For frames of truth tubes; the rest of ACT's rules is in `act_count`.
MULTISPORTS = Protocol("multisports", ties="sort")
ACT = Protocol("act", ties="sort", no_area="wrong")  # the last pixel is inside: a line has area


def protocol_of(name: str | Protocol) -> Protocol:
    """Return the protocol of this name; raises UsageError for an unknown name."""
    if isinstance(name, Protocol):
        return name
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    near = get_close_matches(name, PROTOCOLS, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown protocol {name!r}; {hint}choose one of {', '.join(PROTOCOLS)}")
