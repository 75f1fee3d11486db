"""Each rule of the evaluators by an example worked by hand."""

from dataclasses import replace

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
    loop_iou,
)

from stadkit.detections import Keyframes
from stadkit.errors import UsageError
from stadkit.metrics.counting import PROTOCOLS, Protocol, protocol_of
from stadkit.metrics.frame_map import FrameMap, frame_map, group_means

EVERY = list(PROTOCOLS)
ONE: Row = ("v", 1, LEFT, 0, 1)


def ap(
    found: list[Row],
    truth: list[Row],
    protocol: str | Protocol = "ava",
    cap: int | None = None,
    excluded: Keyframes | None = None,
) -> float:
    """AP of the first class."""
    result = frame_map(
        claims(*found), claims(*truth), protocol=protocol, cap=cap, excluded=excluded
    )
    return float(result.ap[0, 0])


@pytest.mark.parametrize("protocol", EVERY)
def test_a_row_without_its_class_is_skipped(protocol: str) -> None:
    found: list[Row] = [("v", 1, RIGHT, -1, 0.9), ("v", 1, LEFT, 0, 0.5)]
    truth: list[Row] = [ONE, ("v", 1, RIGHT, -1, 1)]
    assert ap(found, truth, protocol) == 1


@pytest.mark.parametrize("protocol", EVERY)
def test_inverted_detections_are_dropped(protocol: str) -> None:
    found: list[Row] = [("v", 1, (0.5, 1.0, 0.6, 0.0), 0, 0.9), ("v", 1, LEFT, 0, 0.5)]
    assert ap(found, [ONE], protocol) == 1


@pytest.mark.parametrize(("protocol", "want"), [*((p, 1) for p in EVERY[:4]), ("mmaction2", 0.5)])
def test_detections_without_area(protocol: str, want: float) -> None:
    found: list[Row] = [("v", 1, (0.5, 0.0, 0.5, 1.0), 0, 0.9), ("v", 1, LEFT, 0, 0.5)]
    assert ap(found, [ONE], protocol) == want


@pytest.mark.parametrize("protocol", EVERY)
def test_truth_without_area_counts_but_is_never_matched(protocol: str) -> None:
    flat = (0.2, 0.0, 0.2, 1.0)
    found: list[Row] = [("v", 1, LEFT, 0, 0.5)]
    assert ap(found, [ONE, ("v", 1, flat, 0, 1)], protocol) == 0.5
    assert ap([("v", 1, flat, 0, 0.5)], [("v", 1, flat, 0, 1), ONE], "mmaction2") == 0


@pytest.mark.parametrize("protocol", EVERY)
def test_coordinates_are_not_clipped(protocol: str) -> None:
    # Cut at 0 and 1 both would be the whole frame; as they are, IoU is 1.2 / 3.
    wide, wider = (-0.1, 0.0, 1.1, 1.0), (-1.0, 0.0, 2.0, 1.0)
    assert ap([("v", 1, wide, 0, 0.5)], [("v", 1, wider, 0, 1)], protocol) == 0


@pytest.mark.parametrize("protocol", EVERY)
def test_no_fallback_to_the_second_best_truth(protocol: str) -> None:
    between = (0.04, 0.0, 0.44, 1.0)
    assert loop_iou(between, LEFT) > loop_iou(between, SHIFTED) > 0.5
    found: list[Row] = [("v", 1, LEFT, 0, 0.9), ("v", 1, between, 0, 0.8)]
    assert ap(found, [ONE, ("v", 1, SHIFTED, 0, 1)], protocol) == 0.5


@pytest.mark.parametrize("protocol", EVERY)
def test_iou_ties_take_the_first_truth(protocol: str) -> None:
    first, second = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    found: list[Row] = [
        ("v", 1, (0.0, 0.0, 1.0, 1.0), 0, 0.9),  # IoU .5 with both: takes the first
        ("v", 1, first, 0, 0.8),  # wrong: taken
        ("v", 1, second, 0, 0.7),  # right: 2/3
    ]
    truth: list[Row] = [("v", 1, first, 0, 1), ("v", 1, second, 0, 1)]
    assert ap(found, truth, protocol) == pytest.approx((1 + 2 / 3) / 2)
    assert ap(found, truth[::-1], protocol) == 1


@pytest.mark.parametrize("protocol", EVERY)
def test_an_iou_at_the_threshold_matches(protocol: str) -> None:
    assert ap([("v", 1, (0.0, 0.0, 0.5, 1.0), 0, 1)], [("v", 1, (0, 0, 1, 1), 0, 1)], protocol) == 1


def test_float32_boxes_decide_the_last_bit() -> None:
    # In decimals IoU is 1/2. In float64 .3 - .1 falls below .2; in float32 it lies above.
    half, whole = (0.1, 0.0, 0.3, 1.0), (0.1, 0.0, 0.5, 1.0)
    found, truth = [("v", 1.0, half, 0, 1.0)], [("v", 1.0, whole, 0, 1.0)]
    assert 0.3 - 0.1 < 0.2 < np.float32(0.3) - np.float32(0.1)
    assert ap(found, truth, "ava") == 0
    assert ap(found, truth, "mmaction2") == 1


@pytest.mark.parametrize("protocol", [name for name in EVERY if name != "slowfast"])
def test_the_best_claims_a_truth_first(protocol: str) -> None:
    found: list[Row] = [("v", 1, LEFT, 0, 0.3), ("v", 1, NEAR_LEFT, 0, 0.6)]
    assert ap(found, [ONE], protocol) == 1


def test_slowfast_claims_in_the_order_of_the_file() -> None:
    found: list[Row] = [("v", 1, LEFT, 0, 0.3), ("v", 1, NEAR_LEFT, 0, 0.6)]
    # The row of .3 takes the truth, the row of .6 comes first in the ranking and is wrong.
    assert ap(found, [ONE], "slowfast") == 0.5


@pytest.mark.parametrize("protocol", EVERY)
def test_area_under_the_envelope(protocol: str) -> None:
    truth: list[Row] = [ONE, ("v", 1, RIGHT, 0, 1), ("v", 2, LEFT, 0, 1)]
    found: list[Row] = [
        ("v", 1, MIDDLE, 0, 0.9),
        ("v", 1, LEFT, 0, 0.8),  # 1/2, lifted to the 2/3 that follows
        ("v", 1, RIGHT, 0, 0.7),  # 2/3
    ]
    assert ap(found, truth, protocol) == pytest.approx(4 / 9)


@pytest.mark.parametrize(
    ("protocol", "right_first", "wrong_first"),
    [
        ("ava", 1, 0.5),
        ("slowfast", 0.5, 1),
        ("mmaction2", 0.5, 1),
        ("activitynet", 0.5, 0.5),  # the heap has the left box first, whatever the rows
        ("activitynet-2019", 0.5, 0.5),
    ],
)
def test_equal_scores_of_a_frame(protocol: str, right_first: float, wrong_first: float) -> None:
    right, wrong = ("v", 1.0, LEFT, 0, 0.5), ("v", 1.0, RIGHT, 0, 0.5)
    assert ap([right, wrong], [ONE], protocol) == right_first
    assert ap([wrong, right], [ONE], protocol) == wrong_first


@pytest.mark.parametrize("protocol", EVERY)
def test_score_ties_rank_the_later_frame_first(protocol: str) -> None:
    right, wrong = ("v", 1.0, LEFT, 0, 0.5), ("v", 2.0, RIGHT, 0, 0.5)
    truth: list[Row] = [ONE, ("v", 2, LEFT, 1, 1)]
    # mmaction2 takes the frames in the order of the truth, the others in that of the rows.
    of_rows, of_truth = (right, wrong), (wrong, right)
    later = 0.5 if protocol == "mmaction2" else 1
    assert ap(list(of_rows), truth, protocol) == 0.5
    assert ap(list(of_truth), truth, protocol) == later
    assert ap(list(of_rows), truth[::-1], protocol) == (1 if protocol == "mmaction2" else 0.5)


@pytest.mark.parametrize("protocol", EVERY[:4])
def test_frames_are_ordered_by_their_first_row_of_any_class(protocol: str) -> None:
    truth: list[Row] = [ONE, ("v", 2, LEFT, 1, 1)]
    found: list[Row] = [
        ("v", 2, RIGHT, 1, 0.1),
        ("v", 1, LEFT, 0, 0.5),
        ("v", 2, RIGHT, 0, 0.5),  # by frame the earlier one, so that it is ranked last
    ]
    assert ap(found, truth, protocol) == 1


@pytest.mark.parametrize(
    ("protocol", "first"),
    [
        ("ava", [False, True]),
        ("slowfast", [True, False]),
        ("mmaction2", [True, False]),
        ("activitynet", [False, True]),  # the narrower one is the lesser entry of the heap
        ("activitynet-2019", [False, True]),
    ],
)
def test_which_tied_row_claims_a_truth(protocol: str, first: list[bool]) -> None:
    found = claims(("v", 1, LEFT, 0, 0.5), ("v", 1, NEAR_LEFT, 0, 0.5))
    result = frame_map(found, claims(ONE), protocol=protocol)
    assert result.right[0].tolist() == first
    assert result.mean == 0.5  # the first to claim is ranked last
    assert [rows.tolist() for rows in result.ranking] == [[0, 1] if first[1] else [1, 0], []]


def test_mmaction2_ranks_by_float32() -> None:
    # In float64 the wrong one is better; in float32 they are equal, and of those the later
    # frame is ranked first.
    found: list[Row] = [("v", 1, RIGHT, 0, 0.5 + 1e-9), ("v", 2, LEFT, 0, 0.5)]
    truth: list[Row] = [("v", 1, LEFT, 1, 1), ("v", 2, LEFT, 0, 1)]
    assert ap(found, truth, "mmaction2") == 1
    assert ap(found, truth, "activitynet") == 0.5


@pytest.mark.parametrize(
    ("protocol", "want"),
    [
        ("ava", 0.5),
        ("activitynet-2019", 0.5),
        ("slowfast", 0.5),
        ("activitynet", 1),
        ("mmaction2", 1),
    ],
)
def test_detections_in_frames_without_truth(protocol: str, want: float) -> None:
    found: list[Row] = [("v", 7, LEFT, 0, 0.9), ("v", 1, LEFT, 0, 0.5)]
    assert ap(found, [ONE], protocol) == want


def test_truth_of_another_class_makes_a_frame_labelled() -> None:
    truth: list[Row] = [ONE, ("v", 7, LEFT, 1, 1)]
    assert ap([("v", 7, LEFT, 0, 0.9), ("v", 1, LEFT, 0, 0.5)], truth, "activitynet") == 0.5


@pytest.mark.parametrize(
    ("protocol", "capped"),
    [
        ("ava", False),
        ("slowfast", False),
        ("mmaction2", False),
        ("activitynet", True),
        ("activitynet-2019", True),
    ],
)
def test_fifty_rows_of_a_frame_count_all_classes_together(protocol: str, capped: bool) -> None:
    found: list[Row] = [("v", 1, RIGHT, i % 2, 0.9 - i / 100) for i in range(50)]
    found.append(("v", 1, LEFT, 0, 0.01))  # right: of 51 rows the last, of 26 of class 0
    assert ap(found, [ONE], protocol) == (0 if capped else pytest.approx(1 / 26))
    assert ap(found, [ONE], protocol, cap=0) == pytest.approx(1 / 26)
    assert ap(found, [ONE], protocol, cap=51) == pytest.approx(1 / 26)
    assert ap(found, [ONE], protocol, cap=50) == 0


def test_the_cap_is_per_frame_and_keeps_the_earlier_of_ties() -> None:
    truth: list[Row] = [ONE, ("v", 2, LEFT, 0, 1)]
    found: list[Row] = [("v", 1, LEFT, 0, 0.5), ("v", 1, RIGHT, 0, 0.5), ("v", 2, LEFT, 0, 0.1)]
    result = frame_map(claims(*found), claims(*truth), cap=1)
    assert result.counted.tolist() == [True, False, True]
    assert result.mean == 1


@pytest.mark.parametrize(("protocol", "kept"), [("ava", [0, 2]), ("activitynet", [1, 2])])
def test_a_full_heap_drops_its_minimum(protocol: str, kept: list[int]) -> None:
    found = claims(("v", 1, LEFT, 0, 0.5), ("v", 1, RIGHT, 0, 0.5), ("v", 1, MIDDLE, 0, 0.9))
    result = frame_map(found, claims(ONE), protocol=protocol, cap=2)
    assert np.flatnonzero(result.counted).tolist() == kept
    # One that is no better does not get in.
    result = frame_map(found.select(np.array([1, 0])), claims(ONE), protocol=protocol, cap=1)
    assert result.counted.tolist() == [True, False]


def test_a_row_without_area_counts_towards_the_cap() -> None:
    found: list[Row] = [("v", 1, (0.5, 0.0, 0.5, 1.0), 0, 0.9), ("v", 1, LEFT, 0, 0.5)]
    assert ap(found, [ONE], cap=1) == 0


@pytest.mark.parametrize("protocol", EVERY)
def test_excluded_frames(protocol: str) -> None:
    truth: list[Row] = [ONE, ("v", 2, LEFT, 0, 1)]
    found: list[Row] = [("v", 2, RIGHT, 0, 0.9), ("v", 1, LEFT, 0, 0.5)]
    # mmaction2 leaves out the frame's detections and still counts its truth.
    want = 0.5 if protocol == "mmaction2" else 1
    assert ap(found, truth, protocol, excluded=at(("v", 2), ("w", 1))) == want


@pytest.mark.parametrize(("protocol", "want"), [*((p, 0.5) for p in EVERY[:4]), ("mmaction2", 1)])
def test_a_class_with_truth_and_no_detection(protocol: str, want: float) -> None:
    truth = claims(ONE, ("v", 1, LEFT, 1, 1))
    assert frame_map(claims(("v", 1, LEFT, 0, 0.5)), truth, protocol=protocol).mean == want


@pytest.mark.parametrize("protocol", EVERY)
def test_a_class_without_truth_is_not_in_the_mean(protocol: str) -> None:
    found = claims(("v", 1, LEFT, 0, 0.5), ("v", 1, LEFT, 1, 0.9))
    result = frame_map(found, claims(ONE), protocol=protocol)
    assert result.mean == 1
    assert np.isnan(result.ap[0, 1])
    assert np.isnan(result.recall[0, 1])
    assert result.detections.tolist() == [1, 1]


@pytest.mark.parametrize("protocol", EVERY)
def test_no_detections_and_no_truth(protocol: str) -> None:
    nothing, something = claims(), claims(ONE)
    mean = frame_map(nothing, something, protocol=protocol).mean
    assert np.isnan(mean) if protocol == "mmaction2" else mean == 0
    assert np.isnan(frame_map(something, nothing, protocol=protocol).mean)
    assert np.isnan(frame_map(nothing, nothing, protocol=protocol).mean)


def test_groups() -> None:
    names = ("sit", "read", "hug")
    truth = claims(("v", 1, LEFT, 0, 1), ("v", 1, LEFT, 1, 1), classes=names)
    result = frame_map(claims(("v", 1, LEFT, 0, 0.5), classes=names), truth)
    groups = {"pose": ("sit",), "both": ("sit", "read", "fly"), "other": ("hug",), "none": ()}
    assert group_means(result, groups) == pytest.approx(
        {"pose": 1, "both": 0.5, "other": NAN, "none": NAN}, nan_ok=True
    )


def test_protocols_by_name() -> None:
    assert [protocol_of(name).name for name in PROTOCOLS] == EVERY
    own = replace(PROTOCOLS["ava"], cap=3)
    assert protocol_of(own) is own
    with pytest.raises(UsageError, match="unknown protocol 'slowfat'; did you mean 'slowfast'"):
        protocol_of("slowfat")
    with pytest.raises(UsageError, match="choose one of ava, activitynet"):
        protocol_of("?")
    with pytest.raises(UsageError, match="cap is -1; wants"):
        ap([], [ONE], cap=-1)


def test_the_result_names_its_protocol() -> None:
    result: FrameMap = frame_map(claims(ONE), claims(ONE), protocol="activitynet", cap=7)
    assert (result.protocol.name, result.protocol.cap) == ("activitynet", 7)
