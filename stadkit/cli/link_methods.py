"""Which linking a method is, of what was given."""

from __future__ import annotations

import numpy as np

from stadkit.claims import Claims
from stadkit.cli.link_inputs import Given
from stadkit.detections import milliseconds
from stadkit.errors import UsageError
from stadkit.link import Linked, Options, link_by
from stadkit.link.act import link_act
from stadkit.link.mmaction2 import link_mmaction2
from stadkit.tubes import Tubelets


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
    if method in ("act", "mmaction2") and given.raw is not None:
        return _link_raw(given, method)
    sizes = {video: s for video in given.videos if (s := size or given.facts.sizes.get(video))}
    if lacks := [video for video in given.videos if video not in sizes and method == "act"]:
        raise UsageError(
            f"--method act: counts in pixels, and nothing says how large {lacks[0]!r} is; "
            "give --size WxH"
        )
    frames = rate or (given.rate if given.raw is not None else None) or keyframe_rate(given)
    return link_by(
        method,
        given.found,
        given.looked,
        rate=frames,
        sizes=sizes if set(sizes) == set(given.videos) else None,
        options=Options(**options),
    )


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


def keyframe_rate(given: Given) -> float:
    """Keyframes a second: what the methods that count frames take for frames; 25 for none."""
    video = np.unique(given.looked.video, return_inverse=True)[1]
    ms = milliseconds(given.looked.time)
    order = np.lexsort((ms, video))
    gap = np.diff(ms[order])[np.diff(video[order]) == 0]
    gap = gap[gap > 0]
    return 1000 / float(np.median(gap)) if len(gap) else 25.0
