"""Linking of tubelets against numbers worked by hand and a plain loop over tubes."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from stadkit.errors import UsageError
from stadkit.linking.greedy import ACT, Rules, link_act, link_frames
from stadkit.pairwise import sides, soft_nms
from stadkit.tubes import Tubelets

Row = tuple[int, int, float, list[float]]  # first frame, label, score, x1 y1 x2 y2
SIZES = {"a": (100, 200), "b": (100, 200)}
HERE, NEAR, FAR = [0.0, 0, 9, 9], [0.0, 0, 9, 7], [50.0, 50, 59, 59]


def tubelets(*rows: Row, k: int = 1, videos: tuple[str, ...] = ("a",)) -> Tubelets:
    return Tubelets(
        videos=videos,
        video=np.zeros(len(rows), np.int32),
        frame=np.array([row[0] for row in rows], np.int64),
        label=np.array([row[1] for row in rows], np.int32),
        score=np.array([row[2] for row in rows], np.float64),
        box=np.repeat(np.array([row[3] for row in rows], np.float64).reshape(-1, 1, 4), k, axis=1),
        classes=("run", "jump"),
    )


def suppressed(*rows: Row, k: int = 1, edge: float = 1) -> list[float]:
    found = tubelets(*rows, k=k)
    cell = np.zeros(len(found), np.int64)
    return soft_nms(cell, found.score, sides(found.box), 0.6, edge).tolist()


def test_a_suppressed_box_keeps_one_minus_iou_of_its_score() -> None:
    # With the last pixel inside: 10 x 8 of 10 x 10.
    assert suppressed((1, 0, 0.9, HERE), (1, 0, 0.5, NEAR)) == pytest.approx([0.9, 0.1])
    # Without it: 9 x 7 of 9 x 9.
    assert suppressed((1, 0, 0.9, HERE), (1, 0, 0.5, NEAR), edge=0) == pytest.approx([0.9, 1 / 9])


def test_the_ious_of_a_tubelet_are_summed_not_averaged() -> None:
    rows = ((1, 0, 0.9, HERE), (1, 0, 0.5, NEAR))
    assert suppressed(*rows, k=3) == pytest.approx([0.9, 0.5 * (1 - 3 * 0.8)])


def test_a_suppressed_box_suppresses_no_other() -> None:
    lower = [0.0, 0, 9, 5]  # IoU with HERE .6, not above it; with NEAR .75
    scores = suppressed((1, 0, 0.9, HERE), (1, 0, 0.5, NEAR), (1, 0, 0.4, lower))
    assert scores == pytest.approx([0.9, 0.1, 0.4])


def test_score_ties_prefer_the_last_row() -> None:
    assert suppressed((1, 0, 0.5, HERE), (1, 0, 0.5, NEAR)) == pytest.approx([0.1, 0.5])


def test_boxes_of_a_tube_are_means_of_the_tubelets_that_cover_them() -> None:
    rows = [(f, 1, 0.2 + 0.2 * (f == 3), [0.0, 0, 9.0 + f, 9]) for f in range(1, 15)]
    tubes = link_act(tubelets(*rows, k=2), SIZES, rate=10)
    assert len(tubes) == 1
    assert (tubes.video[0], tubes.label[0], tubes.track[0]) == ("a", 1, -1)
    assert tubes.time == pytest.approx(np.arange(15) / 10)
    # Frame 1 has one tubelet, frame 2 those of 1 and 2, the last that of 14; 200 pixels wide.
    assert tubes.box[:2, 2] * 200 == pytest.approx([10, 10.5])
    assert tubes.box[-1] == pytest.approx([0, 0, 23 / 200, 9 / 100])
    assert tubes.box_score[:5] == pytest.approx([0.2, 0.2, 0.3, 0.3, 0.2])
    assert tubes.score[0] == pytest.approx((13 * 0.2 + 0.4) / 14)


def test_a_tube_takes_the_best_score_among_overlapping_tubelets() -> None:
    aside = [0.0, 0, 9, 5]  # IoU with HERE .6: enough, and less than NEAR
    rows = [(f, 0, 0.5, HERE) for f in range(1, 15)]
    tubes = link_act(tubelets(*rows, (15, 0, 0.3, NEAR), (15, 0, 0.4, aside)), SIZES, rate=25)
    # NEAR overlaps `aside` by .75, so that soft NMS leaves it .3 * .25.
    assert tubes.box[14] * 100 == pytest.approx([0, 0, 4.5, 5])


def test_a_tubelet_joins_only_the_better_tube() -> None:
    low = [0.0, 5, 9, 14]  # IoU with HERE 1/3; both overlap the middle by 2/3
    rows: list[Row] = [(f, 0, 0.5, HERE) for f in range(1, 16)]
    rows += [(f, 0, 0.6, low) for f in range(1, 16)]
    rows += [(16, 0, 0.9, [0.0, 2.5, 9, 11.5])]
    tubes = link_act(tubelets(*rows), SIZES, rate=25)
    assert sorted(
        zip(np.diff(tubes.start).tolist(), tubes.score.round(2).tolist(), strict=True)
    ) == [
        (15, 0.5),
        (16, 0.62),
    ]


@pytest.mark.parametrize(("missed", "count"), [(1, 1), (2, 1), (3, 2)])
def test_a_tube_ends_after_k_frames_without_a_match(missed: int, count: int) -> None:
    starts = [*range(1, 14), *range(14 + missed, 28 + missed)]
    found = tubelets(*((f, 0, 0.5, HERE) for f in starts), k=3)
    assert len(link_act(found, SIZES, rate=25)) == count


def test_short_and_weak_tubes_are_dropped() -> None:
    rows = [(f, 0, 0.5, HERE) for f in range(1, 15)]
    rows += [(f, 1, 0.004, HERE) for f in range(1, 31)]
    assert len(link_act(tubelets(*rows), SIZES, rate=25)) == 0
    shorter = replace(ACT, min_length=14)
    assert len(link_act(tubelets(*rows), SIZES, rate=25, rules=shorter)) == 1


def test_ten_boxes_per_frame_and_class_are_kept() -> None:
    rows = [
        (f, 0, 0.9 - i / 100, [20.0 * i, 0, 20.0 * i + 9, 9])
        for f in range(1, 16)
        for i in range(12)
    ]
    tubes = link_act(tubelets(*rows), SIZES | {"a": (100, 300)}, rate=25)
    assert np.sort(tubes.score) == pytest.approx(np.arange(81, 91) / 100)


def test_no_tubelets() -> None:
    assert len(link_act(Tubelets.empty(("a",), 7, ("run",)), SIZES, rate=25)) == 0


def test_a_video_of_unknown_size() -> None:
    with pytest.raises(UsageError, match=r"no width and height for video 'c' \(1 of "):
        link_act(tubelets((1, 0, 0.5, HERE), videos=("c",)), SIZES, rate=25)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_plain_loop(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, rules = _crowd(rng, k), Rules(edge=float(seed % 2), min_length=4, keep=6)
    pieces = link_frames(found, rules)
    got = [
        (chain, round(score, 9), frames.tolist(), box.round(6).tolist())
        for chain, score, frames, box in zip(
            pieces.chain.tolist(),
            pieces.score.tolist(),
            np.split(pieces.frame, pieces.start[1:-1]),
            np.split(pieces.box, pieces.start[1:-1]),
            strict=True,
        )
    ]
    expected = []
    for chain in range(4):
        of_chain = (found.video == chain // 2) & (found.label == chain % 2)
        expected += [(chain, *tube) for tube in _loop(found.select(of_chain), rules)]
    assert len(got) > 5
    assert sorted(got) == sorted(expected)


def _crowd(rng: np.random.Generator, k: int) -> Tubelets:
    """Random walks of overlapping boxes in two videos, some of them missed."""
    n, frames = 400, 25
    person = rng.integers(0, 8, n)
    frame = rng.integers(1, frames, n)
    low = rng.uniform(0, 30, (8, 2))[person] + frame[:, None] * rng.normal(0, 1, (8, 2))[person]
    box = np.concatenate([low, low + 20], 1)[:, None] + rng.normal(0, 1.5, (n, k, 4))
    return Tubelets(
        videos=("a", "b"),
        video=rng.integers(0, 2, n).astype(np.int32),
        frame=frame,
        label=rng.integers(0, 2, n).astype(np.int32),
        score=rng.random(n),
        box=box,
        classes=("run", "jump"),
    )


def _iou(a: NDArray[np.float64], b: NDArray[np.float64], edge: float) -> float:
    wide, high = np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + edge)
    area = [float(np.prod(box[2:] - box[:2] + edge)) for box in (a, b)]
    return float(wide * high / (sum(area) - wide * high))


def _kept(found: Tubelets, rules: Rules) -> list[tuple[float, NDArray[np.float64]]]:
    """The tubelets of one frame after soft NMS, best first."""
    left = sorted(range(len(found)), key=lambda i: -found.score[i])
    score = found.score.copy()
    while left:
        best, left = left[0], left[1:]
        for i in list(left):
            pairs = zip(found.box[best], found.box[i], strict=True)
            shared = sum(_iou(a, b, rules.edge) for a, b in pairs)
            if shared > rules.max_iou * found.length:
                score[i] *= 1 - shared
                left.remove(i)
    order = sorted(range(len(found)), key=lambda i: -score[i])[: rules.keep]
    return [(float(score[i]), found.box[i]) for i in order]


def _follows(
    last: NDArray[np.float64], box: NDArray[np.float64], offset: int, rules: Rules
) -> bool:
    k = len(box)
    shared = range(k - offset) if offset < k else [0]
    ious = [_iou(last[min(s + offset, k - 1)], box[s], rules.edge) for s in shared]
    return float(np.mean(ious)) >= rules.min_iou


def _loop(found: Tubelets, rules: Rules) -> list[tuple[float, list[int], list[list[float]]]]:
    """The tubes of one class of one video."""
    k = found.length
    tubes: list[list[tuple[int, float, NDArray[np.float64]]]] = []
    for frame in range(1, int(found.frame.max()) + 1):
        boxes = _kept(found.select(found.frame == frame), rules)
        live = [tube for tube in tubes if frame - tube[-1][0] <= k]
        for tube in sorted(live, key=lambda t: -float(np.mean([score for _, score, _ in t]))):
            begun, _, last = tube[-1]
            for place, (score, box) in enumerate(boxes):
                if _follows(last, box, frame - begun, rules):
                    tube.append((frame, score, box))
                    del boxes[place]
                    break
        tubes += [[(frame, score, box)] for score, box in boxes]
    result = []
    for tube in tubes:
        score, first = float(np.mean([s for _, s, _ in tube])), tube[0][0]
        frames = range(first, tube[-1][0] + k)
        if score >= rules.min_score and len(frames) >= rules.min_length:
            covering = [[b[f - s] for s, _, b in tube if 0 <= f - s < k] for f in frames]
            means = [np.mean(boxes, 0).round(6).tolist() for boxes in covering]
            result.append((round(score, 9), list(frames), means))
    return result
