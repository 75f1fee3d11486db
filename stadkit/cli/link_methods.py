"""Which linking a method is, of what was given."""

from __future__ import annotations

import numpy as np

from stadkit.claims import Claims
from stadkit.cli.link_frames import Frames
from stadkit.cli.link_inputs import Given
from stadkit.errors import UsageError
from stadkit.link import Linked, Options, link_by
from stadkit.link.greedy import link_act, link_mmaction2
from stadkit.tubes import Tubelets

FRAMED = ("act", "mmaction2")  # methods that count frames


def link_given(
    given: Given,
    method: str,
    options: dict[str, float],
    rate: float | None,
    size: tuple[int, int] | None,
) -> Linked:
    """Link by a method; `options` are those of "track", `size` height, width of every video.

    Raises UsageError where a method wants what is not known.
    """
    if method not in FRAMED:
        return link_by(method, given.found, given.looked, options=Options(**options))
    if given.raw is not None:
        return _link_raw(given, method)
    known = {video: s for video in given.videos if (s := size or given.facts.sizes.get(video))}
    # mmaction2 can do without, but not with some.
    sizes = known if method == "act" or set(known) == set(given.videos) else None
    if rate is not None:
        return link_by(method, given.found, given.looked, rate=rate, sizes=sizes)
    frames = Frames.of(given.looked, given.found)
    linked = link_by(method, frames.count(given.found), rate=1.0, sizes=sizes)
    return Linked(given.anew().found, frames.seconds(linked.tubes))


def _link_raw(given: Given, method: str) -> Linked:
    """Pickles as their own code links them: row by row, in pixels, ties in the file's order."""
    sizes, rate = given.facts.sizes, given.rate or 25.0
    if isinstance(given.raw, Tubelets) and method == "act":
        tubes = link_act(given.raw, sizes, rate)
    elif isinstance(given.raw, Claims) and method == "mmaction2":
        tubes = link_mmaction2(given.raw, rate, sizes)
    else:
        other = {"act": "mmaction2", "mmaction2": "act"}[method]
        raise UsageError(f"--method {method}: not of these pickles; --method {other} or track is")
    return Linked(given.found.with_track(np.full(len(given.found), -1, np.int32)), tubes)
