"""Every way of linking on the same table, by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stadkit.detections import Detections, Keyframes
from stadkit.errors import UsageError
from stadkit.instances import Instances
from stadkit.linking.greedy import link_act, link_mmaction2, pixels_of
from stadkit.linking.options import Options
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
    options: Options | None = None,
) -> Linked:
    """`track`, or what others do: `act` (ACT, MOC; one frame a tubelet), `mmaction2`, `viterbi`.

    rate: keyframes a second, by which the others number frames; `act` wants `sizes`. Their tubes
    are of single classes, and fill no tracks. Raises UsageError for another method, or without
    sizes where they are wanted.
    """
    check_method(method)
    if method == "track":
        return link(found, keyframes, options)
    nobody = found.with_track(np.full(len(found), -1, np.int32))
    return Linked(nobody, _OTHERS[method](found, keyframes, rate, sizes))


def check_method(method: str) -> None:
    """Raise UsageError for a way of linking that there is not."""
    if method not in METHODS:
        raise UsageError(f"--method {method!r}: wants one of {', '.join(METHODS)}")


def one_frame_tubelets(found: Detections, rate: float, sizes: Sizes) -> Tubelets:
    """A tubelet of one frame for each class of each detection, in pixels by these sizes."""
    claims = Instances.of(found)
    side = pixels_of(claims.videos, sizes)
    return Tubelets(
        videos=claims.videos,
        video=claims.video,
        frame=np.rint(claims.time * rate).astype(np.int64) + 1,
        label=claims.label,
        score=claims.score,
        box=(claims.box * side[claims.video])[:, None],
        classes=claims.classes,
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


_OTHERS: dict[str, Callable[[Detections, Keyframes | None, float, Sizes | None], Tubes]] = {
    "act": _by_act,
    "mmaction2": _by_mmaction2,
    "viterbi": _by_viterbi,
}
METHODS = ("track", *_OTHERS)
