"""Whose frame mAP: the ways of counting that published numbers come from.

All look only at the truth of its class that a detection overlaps most, and take the area under
the monotone precision envelope. They part where the fields of `Protocol` say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from stadkit.errors import UsageError


@dataclass(frozen=True)
class Protocol:
    """How one evaluator counts."""

    name: str
    unseen: str = "wrong"  # detections in frames without truth: "wrong" | "dropped"
    order: str = (
        "score"  # who claims a truth first in a frame: best "score" | earlier in the "file"
    )
    # Who of equal scores in a frame does: the "first" or the "last" row, or the one that its
    # "heap" holds first. "sort": the one that the ranking has first.
    ties: Literal["first", "last", "heap", "sort"] = "last"
    # In whose order frames go into the ranking, which turns it round for equal scores.
    frames: Literal["found", "truth"] = "found"
    cap: int | None = None  # best rows that count in a frame, all known classes together
    float32: bool = False  # boxes and IoU, else float64
    undetected: float = 0.0  # AP of a class with truth and no detection; NaN: not in the mean
    no_area: str = "dropped"  # detections without area: "dropped" | "wrong"
    excluded: str = "gone"  # truth in excluded frames: "gone" | "missed", which lowers recall

    def with_cap(self, cap: int | None) -> Protocol:
        """The same with this cap, where it is one; 0: no cap. Raises UsageError below 0."""
        if cap is None:
            return self
        if cap < 0:
            raise UsageError(f"cap {cap} is below 0; give how many rows a frame may have, 0: all")
        return replace(self, cap=cap or None)


_ALL = (
    Protocol("ava"),  # AlphAction, STMixer
    # get_ava_performance.py since May 2020, and as it was in 2019
    Protocol("activitynet", unseen="dropped", ties="heap", cap=50),
    Protocol("activitynet-2019", ties="heap", cap=50),
    Protocol("slowfast", order="file", ties="first"),  # PySlowFast, EVAD
    # Its truth is counted before excluded frames are left out.
    Protocol(
        "mmaction2",
        unseen="dropped",
        ties="first",
        frames="truth",
        float32=True,
        undetected=float("nan"),
        no_area="wrong",
        excluded="missed",
    ),
)
PROTOCOLS = {protocol.name: protocol for protocol in _ALL}

# Frames of true tubes; ACT also counts otherwise, in `act_count`.
MULTISPORTS = Protocol("multisports", ties="sort")
ACT = Protocol("act", ties="sort", no_area="wrong")  # the last pixel is inside: a line has an area


def protocol_of(name: str | Protocol) -> Protocol:
    """The protocol of that name; raises UsageError when there is none."""
    if isinstance(name, Protocol):
        return name
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    near = get_close_matches(name, PROTOCOLS, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"no protocol called {name!r}; {hint}There are {', '.join(PROTOCOLS)}")
