"""Frame AP against the evaluators' own numbers, a plain loop, and numbers worked by hand."""

import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from helpers.made_claims import (
    LEFT,
    MIDDLE,
    NAN,
    NEAR_LEFT,
    RIGHT,
    SHIFTED,
    Row,
    at,
    claims,
    loop_ap,
    sorts_as_then,
)
from hypothesis import given
from hypothesis import strategies as st

from stadkit.detections import Keyframes
from stadkit.instances import Instances
from stadkit.labels import ava_groups, ava_scored
from stadkit.metrics import matching
from stadkit.metrics.counting import MULTISPORTS, PROTOCOLS, Protocol
from stadkit.metrics.frame_map import frame_map, group_means, person_ap
from stadkit.metrics.matching import best_truth, frames_of

PARITY = Path(__file__).parents[1] / "data" / "ava_parity"
LABELS = ava_scored()


def read_case(case: str) -> tuple[Instances, Instances, Keyframes]:
    """Truth, found and excluded frames as passed to an evaluator."""
    if (PARITY / case / "rows.npz").exists():
        return read_packed(PARITY / case / "rows.npz")
    rows = {
        name: list(csv.reader((PARITY / case / f"{name}.csv").read_text().splitlines()))
        for name in ("gt", "pred", "excl")
    }
    truth, found = (
        claims(
            *(
                (r[0], float(r[1]), tuple(map(float, r[2:6])), LABELS.ids.index(int(r[6])), s)
                for r in rows[name]
                for s in [1.0 if name == "gt" or len(r) < 8 else float(r[7])]
            ),
            classes=LABELS.names,
        )
        for name in ("gt", "pred")
    )
    return truth, found, at(*((r[0], float(r[1])) for r in rows["excl"]))


@cache
def read_packed(path: Path) -> tuple[Instances, Instances, Keyframes]:
    """Read many rows, packed as boxes in 1/1000 and scores in 1/10000."""
    data = np.load(path)
    label = np.full(256, -1, np.int32)
    label[list(LABELS.ids)] = np.arange(len(LABELS))
    truth, found = (
        Instances(
            videos=tuple(data["videos"].tolist()),
            video=data[f"{name}_video"].astype(np.int32),
            time=data[f"{name}_time"].astype(np.float64),
            box=data[f"{name}_box"] / 1000,
            label=label[data[f"{name}_action"]],
            score=data["pred_score"] / 10000 if name == "pred" else np.ones(len(data["gt_video"])),
            classes=LABELS.names,
        )
        for name in ("gt", "pred")
    )
    excluded = Keyframes(data["videos"][data["excl_video"]], data["excl_time"].astype(np.float64))
    return truth, found, excluded


def expected() -> list[Any]:
    return [
        pytest.param(
            path.parent.name,
            reference,
            id=f"{path.parent.name}-{reference['protocol']}-{reference['cap']}",
        )
        for path in sorted(PARITY.glob("*/expected.json"))
        for reference in json.loads(path.read_text())["evaluators"]
    ]


@pytest.mark.parametrize(("case", "reference"), expected())
def test_equals_the_evaluator(case: str, reference: dict[str, Any]) -> None:
    truth, found, excluded = read_case(case)
    # ActivityNet's script of today has no list of excluded frames.
    left_out = None if reference["protocol"] == "activitynet" else excluded
    rules = {"protocol": reference["protocol"], "cap": reference["cap"], "excluded": left_out}
    got = frame_map(found, truth, **rules)
    want = np.array([reference["per_class"].get(str(number), NAN) for number in LABELS.ids])
    # Of equal scores the evaluators' order hangs on the machine where there are many: their
    # number lies between those with the right ones last and first. Without ties these are one.
    shift = got.right[0] * 1e-6
    last, first = (
        frame_map(replace(found, score=score), truth, **rules).ap[0]
        for score in (found.score - shift, found.score + shift)
    )
    assert np.array_equal(np.isnan(got.ap[0]), np.isnan(want))
    known = ~np.isnan(want)
    assert (last[known] - 1e-9 <= want[known]).all()
    assert (want[known] <= first[known] + 1e-9).all()
    near = 1e-9 if case != "rand0" or sorts_as_then() else 5e-4
    if near == 1e-9:
        assert got.ap[0] == pytest.approx(want, abs=near, nan_ok=True)
    assert got.mean == pytest.approx(_number(reference["mean"]), abs=near, nan_ok=True)
    groups = list(group_means(got, ava_groups()).values())
    for group, value in zip(groups, reference.get("groups", {}).values(), strict=False):
        assert group == pytest.approx(_number(value), abs=near, nan_ok=True)


def _number(value: float | None) -> float:
    return NAN if value is None else value


@pytest.mark.parametrize("protocol", [*PROTOCOLS.values(), MULTISPORTS], ids=lambda p: p.name)
@pytest.mark.parametrize("cap", [None, 5])
def test_many_ties_are_ordered_as_by_the_evaluator(protocol: Protocol, cap: int | None) -> None:
    random, corners = Random(7), [LEFT, RIGHT, NEAR_LEFT, SHIFTED, MIDDLE]
    frames = [(video, float(time)) for video in "vwx" for time in range(10)]
    found: list[Row] = [
        (*random.choice(frames), random.choice(corners), random.randrange(2), score / 10)
        for score in random.choices(range(4), k=300)
    ]
    truth: list[Row] = [(*random.choice(frames), random.choice(corners), 0, 1) for _ in range(60)]
    got = frame_map(claims(*found), claims(*truth), protocol=protocol, cap=cap).ap[0, 0]
    assert got == pytest.approx(loop_ap(found, truth, 0, protocol.with_cap(cap)), abs=1e-12)


def test_by_hand() -> None:
    truth = claims(("v", 1, LEFT, 0, 1), ("v", 1, RIGHT, 0, 1), ("v", 2, LEFT, 0, 1))
    found = claims(
        ("v", 1, NEAR_LEFT, 0, 0.9),  # right: precision 1/1
        ("v", 2, RIGHT, 0, 0.8),  # wrong
        ("v", 1, RIGHT, 0, 0.7),  # right: 2/3
    )
    # The third person is not found: recall ends at 2/3.
    got = frame_map(found, truth)
    assert got.ap[0, 0] == pytest.approx((1 + 2 / 3) / 3)
    assert got.recall[0, 0] == pytest.approx(2 / 3)
    assert got.right.tolist() == [[True, False, True]]
    assert got.truths.tolist() == [3, 0]
    assert got.detections.tolist() == [3, 0]
    assert got.counted.all()


def test_thresholds() -> None:
    truth, found = claims(("v", 1, LEFT, 0, 1)), claims(("v", 1, NEAR_LEFT, 0, 0.5))
    got = frame_map(found, truth, ious=(0.5, 0.75, 0.76))
    assert got.ap[:, 0].tolist() == [1, 1, 0]
    assert got.mean == pytest.approx(2 / 3)
    assert got.per_class == pytest.approx({"a": 2 / 3, "b": NAN}, nan_ok=True)
    assert got.ious == (0.5, 0.75, 0.76)
    for wrong in ((), (0.0,)):
        with pytest.raises(ValueError, match="IoU thresholds"):
            frame_map(found, truth, ious=wrong)


def test_truth_of_another_class_is_ignored() -> None:
    truth = claims(("v", 1, LEFT, 1, 1), ("v", 1, NEAR_LEFT, 0, 1))
    found = claims(("v", 1, LEFT, 0, 0.9), ("v", 1, LEFT, 1, 0.2))
    assert frame_map(found, truth).per_class == {"a": 1, "b": 1}


def test_frames_are_equal_by_video_name_and_millisecond() -> None:
    truth = claims(("a", 0.04, LEFT, 0, 1), ("b", 0.04, LEFT, 0, 1))
    # The videos come in another order here.
    assert frame_map(claims(("b", 0.0404, LEFT, 0, 1)), truth).ap[0, 0] == 0.5
    assert frame_map(claims(("b", 0.0407, LEFT, 0, 1)), truth).ap[0, 0] == 0
    assert frame_map(claims(("c", 0.04, LEFT, 0, 1)), truth).ap[0, 0] == 0


def test_only_these_keyframes_count() -> None:
    truth = claims(("a", 1, LEFT, 0, 1), ("a", 2, LEFT, 0, 1))
    found = claims(("a", 1, LEFT, 0, 0.5), ("a", 3, LEFT, 0, 0.9))
    assert frame_map(found, truth, only=at(("a", 1))).ap[0, 0] == 1
    # Frame 3 is labelled and empty: its detection is wrong, and ranks first.
    assert frame_map(found, truth, only=at(("a", 1), ("a", 2), ("a", 3))).ap[0, 0] == 0.25
    assert frame_map(found, truth, only=at(("a", 1), ("a", 3)), excluded=at(("a", 3))).mean == 1
    assert np.isnan(frame_map(found, truth, only=at()).mean)


def test_a_nan_score_is_not_a_detection() -> None:
    found = claims(("v", 1, RIGHT, 0, NAN), ("v", 1, LEFT, 0, 0.0))  # 0 is a score
    got = frame_map(found, claims(("v", 1, LEFT, 0, 1)))
    assert got.mean == 1
    assert got.counted.tolist() == [False, True]


def test_different_classes_are_rejected() -> None:
    with pytest.raises(ValueError, match="found has classes"):
        frame_map(claims(classes=["x"]), claims())


def test_no_classes() -> None:
    got = frame_map(claims(classes=[]), claims(("v", 1, LEFT, -1, 1), classes=[]))
    assert np.isnan(got.mean)
    assert got.per_class == {}


def test_person_ap_takes_each_box_once_by_its_best_score() -> None:
    truth = claims(("v", 1, LEFT, 0, 1), ("v", 1, LEFT, 1, 1), ("v", 1, RIGHT, -1, 1))
    found = claims(
        ("v", 1, LEFT, 0, 0.2),
        ("v", 1, MIDDLE, 1, 0.5),  # wrong: precision 1/2 for what follows
        ("v", 1, LEFT, 1, 0.4),  # the best of LEFT
        ("v", 1, RIGHT, -1, 0.9),  # a box without a class
        ("v", 2, LEFT, 0, NAN),
    )
    got = person_ap(found, truth)
    assert got.classes == ("person",)
    assert got.mean == pytest.approx((1 + 2 / 3) / 2)
    assert got.truths.tolist() == [2]
    assert got.counted.tolist() == [False, True, True, True, False]
    assert got.right.tolist() == [[False, False, True, True, False]]


def test_person_ap_by_protocol_and_frames() -> None:
    truth = claims(("v", 1, LEFT, 0, 1), ("v", 2, LEFT, -1, 1))
    found = claims(("v", 3, LEFT, 0, 0.9), ("v", 1, LEFT, 0, 0.8), ("v", 2, LEFT, 1, 0.7))
    assert person_ap(found, truth).mean == pytest.approx(2 / 3)
    assert person_ap(found, truth, protocol="activitynet").mean == 1
    assert person_ap(found, truth, only=at(("v", 1))).mean == 1
    assert person_ap(found, truth, excluded=at(("v", 3))).mean == 1
    assert person_ap(found, truth, ious=(0.5, 1.01)).mean == pytest.approx(1 / 3)
    assert person_ap(claims(), truth).mean == 0
    assert np.isnan(person_ap(found, claims()).mean)


def test_frames_of_times_far_apart() -> None:
    far = claims(("a", 0, LEFT, 0, 1), ("a", 1e9, LEFT, 0, 1), ("b", 1e9, LEFT, 0, 1))
    a, b = frames_of(far, at(("b", 1e9), ("a", 0.0), ("c", 0.0)))
    assert len(set(a.tolist())) == 3
    assert (b[0], b[1]) == (a[2], a[0])
    assert b[2] not in a
    assert min(a.min(), b.min()) >= 0


def test_block_size_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    low = random.random((60, 2))
    box = np.concatenate([low, low + random.random((60, 2))], 1)
    group = random.integers(0, 4, 60)
    whole = best_truth(group, group[:30], box, box[:30])
    monkeypatch.setattr(matching, "_BLOCK_SIZE", 7)
    parts = best_truth(group, group[:30], box, box[:30])
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))
    assert (whole[0][:30] == np.arange(30)).all()
    assert (whole[1][:30] == 1).all()


def test_ties_of_truth_take_the_first() -> None:
    box = np.tile([[0.0, 0.0, 1.0, 1.0]], (500, 1))
    best, _ = best_truth(np.arange(5), np.tile(np.arange(5), 100)[::-1].copy(), box[:5], box)
    assert best.tolist() == [4, 3, 2, 1, 0]


corners = st.sampled_from([LEFT, RIGHT, NEAR_LEFT, SHIFTED, (0, 0.2, 0.4, 1.0), (0.2, 0, 0.2, 1)])


def rows_of(score: st.SearchStrategy[float], most: int) -> st.SearchStrategy[list[Row]]:
    frame = st.sampled_from("vw"), st.sampled_from([1.0, 2.0])
    return st.lists(
        st.tuples(*frame, corners, st.sampled_from([0, 1, 1, -1]), score), max_size=most
    )


truths = rows_of(st.just(1.0), 6)
founds = rows_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, NAN]), 12)
rules = st.sampled_from([*PROTOCOLS.values(), MULTISPORTS])


@given(founds, truths, rules, st.sampled_from([None, 0, 1, 3]))
def test_equals_the_loop(
    found: list[Row], truth: list[Row], rules: Protocol, cap: int | None
) -> None:
    got = frame_map(claims(*found), claims(*truth), protocol=rules, cap=cap)
    want = [loop_ap(found, truth, c, rules.with_cap(cap)) for c in range(2)]
    assert got.ap[0].tolist() == pytest.approx(want, nan_ok=True)


@given(truths, st.sampled_from(list(PROTOCOLS)))
def test_perfect_is_one(rows: list[Row], name: str) -> None:
    # Equal boxes would hide each other, and those without area are never found.
    unique = [row for row in dict.fromkeys(rows) if row[2][2] > row[2][0]]
    truth = claims(*unique)
    got = frame_map(truth, truth, protocol=name)
    assert all(np.isnan(ap) or ap == 1 for ap in got.ap[0])
    assert not len(truth) or person_ap(truth, truth, protocol=name).mean == 1


@given(founds, truths, st.sampled_from([0.1, 0.3, 0.9]), st.sampled_from(["ava", "slowfast"]))
def test_a_wrong_detection_never_raises_ap(
    found: list[Row], truth: list[Row], score: float, name: str
) -> None:
    # One more row may move equal scores about.
    found = [(*row[:4], 0.05 + 0.07 * i) for i, row in enumerate(found)]
    wrong: Row = ("v", 1.0, (0.45, 0.0, 0.5, 0.1), 0, score)
    before = frame_map(claims(*found), claims(*truth), protocol=name).ap[0, 0]
    after = frame_map(claims(*found, wrong), claims(*truth), protocol=name).ap[0, 0]
    assert np.isnan(before) or after <= before + 1e-12


@given(founds, truths, st.randoms(use_true_random=False), st.sampled_from(list(PROTOCOLS)))
def test_row_order_does_not_matter_without_ties(
    found: list[Row], truth: list[Row], random: Random, name: str
) -> None:
    if name == "slowfast":  # whose order in a frame is the file's
        found = list({row[:2]: row for row in found}.values())
    distinct: list[Row] = [(*row[:4], 0.05 + 0.05 * i) for i, row in enumerate(found)]
    mixed = random.sample(distinct, len(distinct))
    a, b = (
        frame_map(claims(*rows), claims(*truth), protocol=name, cap=3) for rows in (distinct, mixed)
    )
    assert np.array_equal(a.ap, b.ap, equal_nan=True)
    right = [
        {row[4] for row, is_right in zip(rows, result.right[0], strict=True) if is_right}
        for rows, result in ((distinct, a), (mixed, b))
    ]
    assert right[0] == right[1]


@given(founds, truths)
def test_one_video_equals_selecting_its_frames(found: list[Row], truth: list[Row]) -> None:
    mine = [[row for row in rows if row[0] == "v"] for rows in (found, truth)]
    alone = frame_map(claims(*mine[0]), claims(*mine[1]))
    only = frame_map(claims(*found), claims(*truth), only=at(("v", 1), ("v", 2)))
    assert np.array_equal(alone.ap, only.ap, equal_nan=True)
