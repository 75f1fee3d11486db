"""Greedy linking: in order of score, each tube is extended by its best overlapping tubelet.

ACT (Kalogeiton et al. 2017) and MOC (Li et al. 2020) link tubelets of k frames this way, and
mmaction2's MultiSports evaluation links single-frame boxes (k = 1) by the same rules. At each
frame a tube's box is the mean of the tubelets that cover it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stadkit.arrays import Ints, expand_ranges, greedy_match, run_starts
from stadkit.errors import UsageError
from stadkit.instances import Instances
from stadkit.pairwise import Sides, best_first, sides, soft_nms, summed_iou
from stadkit.tubes import Tubelets, Tubes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rules:
    """Linking parameters; ACT, MOC and mmaction2 use the same values except `edge`."""

    max_iou: float = 0.6  # soft NMS at each start frame
    keep: int = 10  # tubelets per start frame and class
    min_iou: float = 0.5  # of a tube's last tubelet and the next
    min_score: float = 0.005  # of a tube
    min_length: int = 15  # frames
    edge: float = 0.0  # pixels added beyond x2 and y2: 1 in ACT and MOC


ACT = Rules(edge=1.0)
MMACTION2 = Rules()


@dataclass(frozen=True)
class LinkedTubelets:
    """The kept tubelets, sorted by chain, frame and score, and the tube of each."""

    row: Ints  # [m]  row of the input tubelets
    score: NDArray[np.float64]  # [m]  after soft NMS
    tube: Ints  # [m]  from 0, in the order in which tubes began


def link_greedily(
    chain: Ints, frame: Ints, score: NDArray[np.float64], box: Sides, rules: Rules
) -> LinkedTubelets:
    """Link tubelets [n], `box` [4, k, n], within each chain (one class of one video).

    At each frame, tubes are extended in order of mean score, best first. Among the tubelets whose
    IoU with a tube's last one is at least `min_iou`, the one of highest SCORE, not IoU, is added.
    A tube ends after k frames without a match; unmatched tubelets start new tubes.
    """
    cell = chain * (int(frame.max(initial=0)) + 1) + frame
    score = soft_nms(cell, score, box, rules.max_iou, rules.edge)
    row = _best(cell, score, rules.keep)
    candidates = Candidates(chain[row], box.take(row, 2), rules.min_iou, rules.edge)
    return LinkedTubelets(
        row, score[row], _follow(frame[row], score[row], candidates, box.shape[1])
    )


def _follow(frame: Ints, score: NDArray[np.float64], candidates: Candidates, k: int) -> Ints:
    """Assign each tubelet its tube [m], for all chains at once, frame by frame."""
    tube, begun = np.full(len(frame), -1, np.int64), 0
    last, count, total = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    by_frame = np.argsort(frame, kind="stable")
    for here in np.split(by_frame, np.flatnonzero(run_starts(frame[by_frame]))[1:]):
        missed = frame[here[:1]] - frame[last]
        live = np.flatnonzero(missed <= k)
        # Chains are independent, so one sort of all tubes serves all chains.
        live = live[np.argsort(-(total / count)[live], kind="stable")]
        last, count, total = last[live], count[live], total[live]
        tube_row, taken = candidates.pairs(last, missed[live], here)
        pairs = greedy_match(tube_row, taken)
        tube_row, taken = tube_row[pairs], taken[pairs]
        tube[taken] = tube[last[tube_row]]
        last[tube_row] = taken
        count[tube_row] += 1
        total[tube_row] += score[taken]
        new = here[tube[here] < 0]
        tube[new] = begun + np.arange(len(new))
        begun += len(new)
        last = np.append(last, new)
        count = np.append(count, np.ones(len(new), np.int64))
        total = np.append(total, score[new])
    return tube


def _best(cell: Ints, score: NDArray[np.float64], keep: int) -> Ints:
    """Return the `keep` highest-scoring rows of each cell, sorted by cell, best first."""
    order = best_first(cell, score)
    starts = np.flatnonzero(run_starts(cell[order]))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return order[place < keep]


@dataclass(frozen=True)
class Candidates:
    """Tubelets sorted by chain, and the minimum overlap of consecutive ones."""

    chain: Ints  # [n]
    box: Sides  # [4, k, n]
    min_iou: float  # mean over the common frames
    edge: float

    def pairs(self, last: Ints, offset: Ints, here: Ints) -> tuple[Ints, Ints]:
        """Return the linkable pairs (index into `last` [m], tubelet of `here`), in that order.

        The tubelets `here`, sorted by chain, start `offset` [m] frames after those of `last`.
        """
        next_chain, last_chain = self.chain[here], self.chain[last]
        start = np.searchsorted(next_chain, last_chain, "left")
        i, j = expand_ranges(start, np.searchsorted(next_chain, last_chain, "right") - start)
        j = here[j]
        total, shared = summed_iou(self.box, last[i], j, offset[i], self.min_iou, self.edge)
        enough = total >= self.min_iou * shared
        return i[enough], j[enough]


@dataclass(frozen=True)
class FrameTubes:
    """n tubes frame by frame; sorted by chain, then by the order in which they ended."""

    chain: Ints  # [n]
    score: Floats  # [n]  mean of the tubelets
    start: Ints  # [n + 1]  first row of each tube below, then t
    frame: Ints  # [t]  consecutive within a tube
    box: Floats  # [t, 4]
    box_score: Floats  # [t]


def average_tubelets(
    linked: LinkedTubelets, chain: Ints, frame: Ints, box: Sides, final: Ints, rules: Rules
) -> FrameTubes:
    """Average linked tubelets into tubes, keeping those above the minimum length and score.

    `chain`, `frame` [n] and `box` [4, k, n] are the tubelets passed to `link_greedily`; `final`
    [n] is the last start frame in each one's video, where linking stops.
    """
    k = box.shape[1]
    by_tube = np.argsort(linked.tube, kind="stable")
    row, score = linked.row[by_tube], linked.score[by_tube]
    first = np.flatnonzero(run_starts(linked.tube[by_tube]))
    # Rows of a tube are in time order, as those of its chain were.
    count = np.diff(np.append(first, len(row)))
    length = frame[row[first + count - 1]] + k - frame[row[first]]
    long = np.flatnonzero(length >= rules.min_length)
    first, count, length = first[long], count[long], length[long]
    # One by one as in the references: when all scores are equal, the last bit decides the order.
    spans = zip(first.tolist(), (first + count).tolist(), strict=True)
    mean = np.array([score[a:b].mean() for a, b in spans], np.float64)
    good = np.flatnonzero(mean >= rules.min_score)
    head = row[first[good]]
    ended = frame[head] + length[good]  # the first frame after the tube
    good = good[_as_ended(chain[head], ended, ended > final[head], mean[good])]
    first, count, length, mean = first[good], count[good], length[good], mean[good]
    head, start = row[first], np.append(0, np.cumsum(length))
    tube, member = expand_ranges(first, count)
    at = start[tube] + frame[row[member]] - frame[head][tube]
    return FrameTubes(
        chain=chain[head],
        score=mean,
        start=start,
        frame=expand_ranges(frame[head], length)[1],
        box=np.stack([_mean_at(side, at, start[-1]) for side in box.take(row[member], 2)], 1),
        box_score=_mean_at(np.broadcast_to(score[member], (k, len(at))), at, start[-1]),
    )


def _as_ended(chain: Ints, ended: Ints, left: NDArray[np.bool_], mean: Floats) -> Ints:
    """Sort tubes [n], numbered as they began, in the references' order, which breaks score ties.

    Tubes that end in the same frame go from worst to best; tubes still open when linking stops
    come last, from best to worst.
    """
    age = np.arange(len(chain))
    last = np.where(left, np.iinfo(np.int64).max, ended)
    return np.lexsort((np.where(left, age, -age), np.where(left, -mean, mean), last, chain))


def _mean_at(value: Floats, at: Ints, size: int) -> Floats:
    """Average tubelet values [k, m], the first at index `at` [m], into an array [size]."""
    k = len(value)
    place = (at + np.arange(k)[:, None]).ravel()
    sums = np.bincount(place, value.ravel(), minlength=size)
    return np.asarray(sums / np.bincount(place, minlength=size))


def link_act(
    tubelets: Tubelets, sizes: dict[str, tuple[int, int]], rate: float, rules: Rules = ACT
) -> Tubes:
    """Link tubelets as ACT and MOC do; tubes are sorted by video and class.

    `sizes`: height and width in pixels; frame f, counted from 1, is at (f - 1) / `rate` seconds.
    A tube's score is the mean of its tubelets' scores after soft NMS; its boxes and box scores
    are means over the tubelets that cover the frame. Raises UsageError when `sizes` lacks a video.
    """
    scale = pixels_of(tubelets.videos, sizes)
    return to_tubes(link_frames(tubelets, rules), tubelets, scale, rate)


def pixels_of(videos: Sequence[str], sizes: dict[str, tuple[int, int]]) -> NDArray[np.float64]:
    """Return width, height, width, height [v, 4] per video; UsageError for an unlisted video."""
    missing = [video for video in videos if video not in sizes]
    if missing:
        raise UsageError(
            f"no width and height for video {missing[0]!r} ({len(missing)} of {len(videos)});"
            " linking works in pixels: pass --size WxH, or a --truth file that lists sizes"
        )
    return np.array([sizes[video][::-1] * 2 for video in videos], np.float64).reshape(-1, 4)


def link_frames(tubelets: Tubelets, rules: Rules) -> FrameTubes:
    """Link tubelets into tubes in the same unit; chain v * c + l is class l of c in video v."""
    chain = tubelets.video.astype(np.int64) * len(tubelets.classes) + tubelets.label
    box = sides(tubelets.box)
    linked = link_greedily(chain, tubelets.frame, tubelets.score, box, rules)
    final = np.zeros(len(tubelets.videos), np.int64)
    np.maximum.at(final, tubelets.video, tubelets.frame)
    return average_tubelets(linked, chain, tubelets.frame, box, final[tubelets.video], rules)


def to_tubes(
    tubes: FrameTubes, tubelets: Tubelets, scale: NDArray[np.float64], rate: float
) -> Tubes:
    """Convert to seconds and fractions; `scale` [v, 4]: frame width, height, width, height."""
    video, label = np.divmod(tubes.chain, max(len(tubelets.classes), 1))
    boxes = np.repeat(scale[video], np.diff(tubes.start), axis=0)
    return Tubes(
        video=np.array(tubelets.videos, np.str_)[video],
        label=label.astype(np.int32),
        score=tubes.score,
        track=np.full(len(video), -1, np.int32),
        start=tubes.start,
        time=(tubes.frame - 1) / rate,
        box=tubes.box / boxes,
        box_score=tubes.box_score,
        interpolated=np.zeros(len(tubes.frame), np.bool_),
        classes=tubelets.classes,
    )


def link_mmaction2(
    found: Instances,
    rate: float,
    sizes: dict[str, tuple[int, int]] | None = None,
    rules: Rules = MMACTION2,
    *,
    last_score: bool = False,
) -> Tubes:
    """Link boxes as mmaction2 does; one missed frame ends a tube. Sorted by video and class.

    Times of `found` are rounded to the nearest frame at `rate` frames a second; rows with label
    -1 are skipped. Boxes are compared in pixels given `sizes`, height and width of each video,
    else in fractions, which differs only for an IoU exactly at the threshold.
    Raises UsageError when `sizes` lacks a video.

    The mmaction2 version behind the reference numbers in the tests gave every box the score of
    the last row, a bug that ties all tubes. `last_score` reproduces it for comparison.
    """
    found = found.select(found.label >= 0)
    score = found.score
    if last_score:
        # Rounded to decimals, which float32 lacks: the order of tubes depends on the last bit.
        score = np.full(len(found), np.round(score[-1:], 6))
    scale = np.ones((len(found.videos), 4)) if sizes is None else pixels_of(found.videos, sizes)
    tubelets = Tubelets(
        videos=found.videos,
        video=found.video,
        frame=np.rint(found.time * rate).astype(np.int64) + 1,
        label=found.label,
        score=score,
        # Rounding undoes the error of the pixel -> fraction -> pixel round trip.
        box=np.round(found.box * scale[found.video], 6)[:, None],
        classes=found.classes,
    )
    return to_tubes(link_frames(tubelets, rules), tubelets, scale, rate)
