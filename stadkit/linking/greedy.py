"""Greedy linking: tubes in the order of their scores take the best tubelets.

As ACT (Kalogeiton et al. 2017) and MOC (Li et al. 2020) link tubelets of k frames, and as
mmaction2's MultiSports evaluation links boxes of single frames.

Greedy linking, as ACT began it: tubes in the order of their scores take the best tubelets.

The same rules serve ACT and MOC (tubelets of k frames) and mmaction2 (boxes: k = 1).

Which tubelets may follow which: those of one chain that overlap enough where both are.

Linked tubelets to tubes: at each frame the mean of the tubelets that cover it.

Tubelets of k frames to tubes, as ACT (Kalogeiton et al. 2017) and MOC (Li et al. 2020) do.

Boxes of single frames to tubes, as mmaction2's MultiSports evaluation does.
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
    """What the references fix; all three have the same numbers."""

    max_iou: float = 0.6  # soft NMS at each start frame
    keep: int = 10  # tubelets a start frame and class
    min_iou: float = 0.5  # of a tube's last tubelet and the next
    min_score: float = 0.005  # of a tube
    min_length: int = 15  # frames
    edge: float = 0.0  # pixels by which a box reaches beyond x2 and y2: 1 in ACT and MOC


ACT = Rules(edge=1.0)
MMACTION2 = Rules()


@dataclass(frozen=True)
class Linked:
    """Tubelets that were kept, by chain, frame and score, and the tube of each."""

    row: Ints  # [m]  of the tubelets as given
    score: NDArray[np.float64]  # [m]  after soft NMS
    tube: Ints  # [m]  0 and up, in the order in which tubes began


def link_greedily(
    chain: Ints, frame: Ints, score: NDArray[np.float64], box: Sides, rules: Rules
) -> Linked:
    """Tubelets [n], `box` [4, k, n], linked within each chain: one class of one video.

    At each frame tubes go by their mean score, best first. A tube looks at tubelets that overlap
    its last one by `min_iou` or more and takes that of the best SCORE, not of the best overlap.
    It ends when it took none for k frames; tubelets that are left begin tubes.
    """
    cell = chain * (int(frame.max(initial=0)) + 1) + frame
    score = soft_nms(cell, score, box, rules.max_iou, rules.edge)
    row = _best(cell, score, rules.keep)
    near = Candidates(chain[row], box.take(row, 2), rules.min_iou, rules.edge)
    return Linked(row, score[row], _follow(frame[row], score[row], near, box.shape[1]))


def _follow(frame: Ints, score: NDArray[np.float64], near: Candidates, k: int) -> Ints:
    """The tube [m] of each tubelet, all chains at once, one frame after the other."""
    tube, begun = np.full(len(frame), -1, np.int64), 0
    last, count, total = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    by_frame = np.argsort(frame, kind="stable")
    for here in np.split(by_frame, np.flatnonzero(run_starts(frame[by_frame]))[1:]):
        missed = frame[here[:1]] - frame[last]
        live = np.flatnonzero(missed <= k)
        # Chains do not touch each other, so that one order of all tubes serves them all.
        live = live[np.argsort(-(total / count)[live], kind="stable")]
        last, count, total = last[live], count[live], total[live]
        taker, taken = near.pairs(last, missed[live], here)
        pairs = greedy_match(taker, taken)
        taker, taken = taker[pairs], taken[pairs]
        tube[taken] = tube[last[taker]]
        last[taker] = taken
        count[taker] += 1
        total[taker] += score[taken]
        new = here[tube[here] < 0]
        tube[new] = begun + np.arange(len(new))
        begun += len(new)
        last = np.append(last, new)
        count = np.append(count, np.ones(len(new), np.int64))
        total = np.append(total, score[new])
    return tube


def _best(cell: Ints, score: NDArray[np.float64], keep: int) -> Ints:
    """The best `keep` rows of each cell, by cell, best first."""
    order = best_first(cell, score)
    starts = np.flatnonzero(run_starts(cell[order]))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return order[place < keep]


@dataclass(frozen=True)
class Candidates:
    """Tubelets by chain, and how much they must overlap to follow each other."""

    chain: Ints  # [n]
    box: Sides  # [4, k, n]
    min_iou: float  # the mean over the frames that both have
    edge: float

    def pairs(self, last: Ints, offset: Ints, here: Ints) -> tuple[Ints, Ints]:
        """Pairs (place in `last` [m], tubelet of `here`), by place, tubelets in their order.

        The tubelets `here`, by chain, start `offset` [m] frames after those of `last`.
        """
        there, mine = self.chain[here], self.chain[last]
        start = np.searchsorted(there, mine, "left")
        i, j = expand_ranges(start, np.searchsorted(there, mine, "right") - start)
        j = here[j]
        total, shared = summed_iou(self.box, last[i], j, offset[i], self.min_iou, self.edge)
        enough = total >= self.min_iou * shared
        return i[enough], j[enough]


@dataclass(frozen=True)
class Pieces:
    """Tubes, n of them, frame by frame; by chain, in a chain as they ended."""

    chain: Ints  # [n]
    score: Floats  # [n]  mean of the tubelets
    start: Ints  # [n + 1]  first row of each tube below, and t
    frame: Ints  # [t]  without gaps in a tube
    box: Floats  # [t, 4]
    box_score: Floats  # [t]


def averaged(
    linked: Linked, chain: Ints, frame: Ints, box: Sides, final: Ints, rules: Rules
) -> Pieces:
    """The tubes of `linked` that are long and good enough.

    `chain`, `frame` [n] and `box` [4, k, n] are of the tubelets as they were linked; `final` [n]
    is the last start frame of each one's video, where linking stops.
    """
    k = box.shape[1]
    by_tube = np.argsort(linked.tube, kind="stable")
    row, score = linked.row[by_tube], linked.score[by_tube]
    first = np.flatnonzero(run_starts(linked.tube[by_tube]))
    # Rows of a tube are in order of time, as those of its chain were.
    count = np.diff(np.append(first, len(row)))
    length = frame[row[first + count - 1]] + k - frame[row[first]]
    long = np.flatnonzero(length >= rules.min_length)
    first, count, length = first[long], count[long], length[long]
    # One by one, as the references do: where all scores are equal the last bit is the order.
    spans = zip(first.tolist(), (first + count).tolist(), strict=True)
    mean = np.array([score[a:b].mean() for a, b in spans], np.float64)
    good = np.flatnonzero(mean >= rules.min_score)
    head = row[first[good]]
    ended = frame[head] + length[good]  # the first frame that it has no part in
    good = good[_as_ended(chain[head], ended, ended > final[head], mean[good])]
    first, count, length, mean = first[good], count[good], length[good], mean[good]
    head, start = row[first], np.append(0, np.cumsum(length))
    tube, member = expand_ranges(first, count)
    at = start[tube] + frame[row[member]] - frame[head][tube]
    return Pieces(
        chain=chain[head],
        score=mean,
        start=start,
        frame=expand_ranges(frame[head], length)[1],
        box=np.stack([_mean_at(side, at, start[-1]) for side in box.take(row[member], 2)], 1),
        box_score=_mean_at(np.broadcast_to(score[member], (k, len(at))), at, start[-1]),
    )


def _as_ended(chain: Ints, ended: Ints, left: NDArray[np.bool_], mean: Floats) -> Ints:
    """Tubes [n], numbered as they began, in the references' order: it settles equal scores.

    Those that end in one frame are taken from the worst to the best; those left when linking
    stops come last, from the best to the worst.
    """
    age = np.arange(len(chain))
    last = np.where(left, np.iinfo(np.int64).max, ended)
    return np.lexsort((np.where(left, age, -age), np.where(left, -mean, mean), last, chain))


def _mean_at(value: Floats, at: Ints, size: int) -> Floats:
    """Mean [size] of tubelets' values [k, m], whose first is at place `at` [m]."""
    k = len(value)
    place = (at + np.arange(k)[:, None]).ravel()
    sums = np.bincount(place, value.ravel(), minlength=size)
    return np.asarray(sums / np.bincount(place, minlength=size))


def link_act(
    tubelets: Tubelets, sizes: dict[str, tuple[int, int]], rate: float, rules: Rules = ACT
) -> Tubes:
    """The tubes of each class of each video, by video and class.

    `sizes` are height and width in pixels; frame f, counted from 1, is at (f - 1) / `rate`
    seconds. A tube's score is the mean of its tubelets' after soft NMS; its boxes and their
    scores are means over the tubelets that cover the frame. Raises UsageError when `sizes` lacks
    a video.
    """
    scale = pixels_of(tubelets.videos, sizes)
    return to_tubes(link_pieces(tubelets, rules), tubelets, scale, rate)


def pixels_of(videos: Sequence[str], sizes: dict[str, tuple[int, int]]) -> NDArray[np.float64]:
    """Width, height, width, height [v, 4] of these videos; UsageError when one is not listed."""
    lacking = [video for video in videos if video not in sizes]
    if lacking:
        raise UsageError(
            f"no width and height for video {lacking[0]!r} ({len(lacking)} such), and linking"
            " is in pixels; name them by --size WxH or a --truth that lists them"
        )
    return np.array([sizes[video][::-1] * 2 for video in videos], np.float64).reshape(-1, 4)


def link_pieces(tubelets: Tubelets, rules: Rules) -> Pieces:
    """Tubes in the unit of the tubelets; chain v * c + l is class l of c in video v."""
    chain = tubelets.video.astype(np.int64) * len(tubelets.classes) + tubelets.label
    box = sides(tubelets.box)
    linked = link_greedily(chain, tubelets.frame, tubelets.score, box, rules)
    final = np.zeros(len(tubelets.videos), np.int64)
    np.maximum.at(final, tubelets.video, tubelets.frame)
    return averaged(linked, chain, tubelets.frame, box, final[tubelets.video], rules)


def to_tubes(pieces: Pieces, tubelets: Tubelets, scale: NDArray[np.float64], rate: float) -> Tubes:
    """The pieces in seconds and fractions; `scale` [v, 4] is what one frame's sides count."""
    video, label = np.divmod(pieces.chain, max(len(tubelets.classes), 1))
    boxes = np.repeat(scale[video], np.diff(pieces.start), axis=0)
    return Tubes(
        video=np.array(tubelets.videos, np.str_)[video],
        label=label.astype(np.int32),
        score=pieces.score,
        track=np.full(len(video), -1, np.int32),
        start=pieces.start,
        time=(pieces.frame - 1) / rate,
        box=pieces.box / boxes,
        box_score=pieces.box_score,
        interpolated=np.zeros(len(pieces.frame), np.bool_),
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
    """The tubes of each class of each video, by video and class; one missed frame ends a tube.

    The time of `found` is brought to the nearest frame at `rate` frames a second. Rows with
    label -1 are passed over. Boxes are compared in pixels by `sizes`, height and width of each
    video, else in fractions, which gives the same but for an overlap of just the threshold.
    Raises UsageError when `sizes` lacks a video.

    mmaction2, as its numbers in the tests were made, gave every box the score of the last row, a
    fault by which all tubes are equally good. `last_score` does so too, to compare with it.
    """
    found = found.select(found.label >= 0)
    score = found.score
    if last_score:
        # As a decimal, which float32 files do not hold: the tubes' order hangs on the last bit.
        score = np.full(len(found), np.round(score[-1:], 6))
    scale = np.ones((len(found.videos), 4)) if sizes is None else pixels_of(found.videos, sizes)
    tubelets = Tubelets(
        videos=found.videos,
        video=found.video,
        frame=np.rint(found.time * rate).astype(np.int64) + 1,
        label=found.label,
        score=score,
        # A pixel that became a fraction is no round number when it comes back.
        box=np.round(found.box * scale[found.video], 6)[:, None],
        classes=found.classes,
    )
    return to_tubes(link_pieces(tubelets, rules), tubelets, scale, rate)
