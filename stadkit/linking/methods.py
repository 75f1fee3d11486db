"""All linking methods behind one function, by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stadkit.detections import Detections, Keyframes
from stadkit.errors import UsageError
from stadkit.instances import Instances
from stadkit.linking.greedy import link_act, link_mmaction2, pixels_of
from stadkit.linking.options import LinkOptions
from stadkit.linking.track import Linked, link
from stadkit.linking.viterbi import link_viterbi
from stadkit.tubes import Tubelets, Tubes

Sizes = dict[str, tuple[int, int]]  # height, width in pixels of each video


def link_by(
    method: str,
    found: Detections,
    keyframes: Keyframes | None = None,
    *,
    rate: float = 25.0,
    sizes: Sizes | None = None,
    options: LinkOptions | None = None,
) -> Linked:
    """Link by `track`, or by a baseline: `act`, `mmaction2` or `viterbi`.

    `act` is the linking of ACT and MOC, with tubelets of one frame.
    rate: keyframes a second, by which the baselines number frames; `act` needs `sizes`. Baselines
    link each class separately and set no tracks. Raises UsageError for an unknown method, or when
    sizes are needed but missing.
    """
    check_method(method)
    if method == "track":
        return link(found, keyframes, options)
    untracked = found.with_track(np.full(len(found), -1, np.int32))
    return Linked(untracked, _BASELINES[method](found, keyframes, rate, sizes))


def check_method(method: str) -> None:
    """Raise UsageError for an unknown linking method."""
    if method not in METHODS:
        raise UsageError(f"--method {method!r}: wants one of {', '.join(METHODS)}")


def one_frame_tubelets(found: Detections, rate: float, sizes: Sizes) -> Tubelets:
    """Make a one-frame tubelet for each class of each detection, in pixels."""
    instances = Instances.of(found)
    side = pixels_of(instances.videos, sizes)
    return Tubelets(
        videos=instances.videos,
        video=instances.video,
        frame=np.rint(instances.time * rate).astype(np.int64) + 1,
        label=instances.label,
        score=instances.score,
        box=(instances.box * side[instances.video])[:, None],
        classes=instances.classes,
    )


def _by_act(
    found: Detections, keyframes: Keyframes | None, rate: float, sizes: Sizes | None
) -> Tubes:
    sizes = sizes or {}
    return link_act(one_frame_tubelets(found, rate, sizes), sizes, rate)


def _by_mmaction2(
    found: Detections, keyframes: Keyframes | None, rate: float, sizes: Sizes | None
) -> Tubes:
    return link_mmaction2(Instances.of(found), rate, sizes)


def _by_viterbi(
    found: Detections, keyframes: Keyframes | None, rate: float, sizes: Sizes | None
) -> Tubes:
    return link_viterbi(found, keyframes)


_BASELINES: dict[str, Callable[[Detections, Keyframes | None, float, Sizes | None], Tubes]] = {
    "act": _by_act,
    "mmaction2": _by_mmaction2,
    "viterbi": _by_viterbi,
}
METHODS = ("track", *_BASELINES)
