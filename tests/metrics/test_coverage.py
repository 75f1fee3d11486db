"""Never a silent zero: which key does not match, three examples of each side, what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stadkit.detections import Keyframes
from stadkit.errors import NothingMatchedError
from stadkit.files.faults import Faults
from stadkit.instances import Instances
from stadkit.metrics.coverage import Coverage, check

CLASSES = ("stand", "walk", "wave")
FOUND, TRUTH = Faults(Path("found.csv"), {}), Faults(Path("truth.csv"), {})


def claims(videos: tuple[str, ...] = ("aa", "bb"), seconds: Any = range(12)) -> Instances:
    """One person per frame moving right, in turn standing, walking and waving."""
    n = len(videos) * len(seconds)
    x = np.linspace(0.1, 0.5, n)
    return Instances(
        videos=videos,
        video=np.repeat(np.arange(len(videos)), len(seconds)).astype(np.int32),
        time=np.tile(np.array(list(seconds), np.float64), len(videos)),
        box=np.column_stack([x, np.full(n, 0.2), x + 0.1, np.full(n, 0.7)]),
        label=(np.arange(n) % 3).astype(np.int32),
        score=np.linspace(1, 0.1, n),
        classes=CLASSES,
    )


def compare(found: Instances, truth: Instances, **options: Any) -> Coverage:
    return check(found, truth, FOUND, TRUTH, **options)


def complaint(found: Instances, truth: Instances) -> str:
    with pytest.raises(NothingMatchedError) as error:
        compare(found, truth)
    assert error.value.exit_code == 5
    return str(error.value)


def test_full_coverage() -> None:
    message = compare(claims(), claims())
    assert message.lines() == [
        "coverage: 2 of 2 videos and 24 of 24 keyframes of truth have detections"
    ]
    assert message.to_json()["shared_keyframes"] == 24


def test_partial_coverage() -> None:
    found = claims(("aa", "zz"), range(6, 15))
    found = replace(found, label=np.where(found.label == 2, 1, found.label).astype(np.int32))
    truth = claims()
    truth = replace(truth, label=np.where(truth.label == 0, 2, truth.label).astype(np.int32))
    message = compare(found, truth)
    assert (message.shared_videos, message.shared_keyframes, message.found_keyframes) == (1, 6, 18)
    assert message.lines() == [
        "coverage: 1 of 2 videos and 6 of 24 keyframes of truth have detections",
        "truth videos without detections: 1 ('bb')",
        "found videos without truth: 1 ('zz')",
        "truth classes never detected: 1 ('wave')",
        "classes with detections but no truth, excluded from the mean: 1 ('stand')",
        "found keyframes without truth: 12",
    ]


def test_times_before_the_start() -> None:
    early = claims(seconds=[-1, -0.001, 0, 1])
    assert compare(early, early).shared_keyframes == 8
    assert "have no keyframe" in complaint(claims(seconds=[-0.001]), claims(seconds=[3]))


def test_excluded_keyframes_count_on_neither_side() -> None:
    out = Keyframes(np.array(["bb"] * 12 + ["gone"]), np.arange(13.0))
    message = compare(claims(), claims(), excluded=out)
    assert (message.truth_videos, message.found_keyframes, message.shared_keyframes) == (1, 12, 12)


def test_excluding_no_or_all_keyframes() -> None:
    nothing = Keyframes(np.array(["a.mp4"]), np.array([3.0]))
    (note,) = compare(claims(), claims(), excluded=nothing).notes
    assert note.startswith("no excluded keyframe is in found or truth")
    every = Keyframes(np.repeat(["aa", "bb"], 12), np.tile(np.arange(12.0), 2))
    with pytest.raises(NothingMatchedError, match=r"truth\.csv: all keyframes are excluded"):
        compare(claims(), claims(), excluded=every)


@pytest.mark.parametrize(
    ("videos", "reason"),
    [
        (("aa.mp4", "bb.mp4"), "they match without file extensions"),
        (("v/aa", "v/bb"), "they match without folders;"),
        (("C:\\v\\aa.mkv", "v/bb.mkv"), "they match without folders and file extensions"),
        (("AA", "Bb"), "they match ignoring case"),
        ((" aa", "bb "), "they match without surrounding whitespace"),
        (("xx", "yy"), "use the same ids in both"),
    ],
)
def test_no_video_in_common(videos: tuple[str, ...], reason: str) -> None:
    message = complaint(claims(videos), claims())
    assert message.startswith(
        f"found.csv and truth.csv have no video in common: found has {videos[0]!r}, {videos[1]!r}; "
        f"truth has 'aa', 'bb'; {reason}"
    )


def test_ids_with_affixes_and_missing_zeros() -> None:
    alike = "'clip1_cam' and 'clip1' differ by a prefix or suffix; remove it"
    assert alike in complaint(claims(("clip1_cam", "clip2_cam")), claims(("clip1", "clip2")))
    assert "without leading zeros" in complaint(claims(("7", "8")), claims(("007", "008")))


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        (range(12000, 24000, 1000), "the times of found look like milliseconds; divide them by"),
        (range(300, 600, 25), "look like frame numbers; divide them by 25 frames a second"),
        (range(360, 720, 30), "look like frame numbers; divide them by 30 frames a second"),
        (range(301, 601, 25), "frame numbers from 1; convert them by (n - 1) / 25"),
        (np.arange(12, 24) + 0.02, "they differ by about 0.02 s"),
        (np.arange(12, 24) - 1000, "match when 1000 s is added to"),
        (np.arange(12, 24) + 0.5, "match when 0.5 s is subtracted from"),
        ([1, 3, 77], "times must be in seconds and agree to a millisecond"),
    ],
)
def test_no_time_in_common(seconds: Any, reason: str) -> None:
    message = complaint(claims(seconds=seconds), claims(seconds=range(12, 24)))
    first = f"'aa at {next(iter(seconds)):g} s'"
    assert message.startswith(
        f"found.csv and truth.csv have no keyframe in common: found has {first}, "
    )
    assert "truth has 'aa at 12 s', 'aa at 13 s', 'aa at 14 s'" in message
    assert reason in message


def test_avas_frame_numbers() -> None:
    found = claims(seconds=range(60, 420, 30))
    assert "convert them by 900 + n / 30" in complaint(found, claims(seconds=range(902, 914)))


def test_chance_matches_do_not_count() -> None:
    message = complaint(claims(seconds=range(0, 500, 25)), claims(seconds=range(20)))
    assert message.startswith("found.csv and truth.csv have only 2 keyframes in common: found")
    assert message.endswith(
        "the times of found look like frame numbers; divide them by 25 frames a second"
    )


def test_partial_time_matches_are_noted() -> None:
    message = compare(claims(seconds=range(0, 300, 2)), claims(seconds=range(0, 60, 3)))
    assert message.notes == ()
    message = compare(
        claims(seconds=[0, 1, 5, 10, 15, 20]), claims(seconds=[0, 1, 0.2, 0.4, 0.6, 0.8])
    )
    assert message.lines()[-1] == (
        "warning: only 4 keyframes are in both files; the times of found look like frame numbers; "
        "divide them by 25 frames a second"
    )


def test_frame_numbers_in_truth_are_noted() -> None:
    assert "the times of truth look like" in complaint(
        claims(seconds=range(12, 24)), claims(seconds=range(300, 600, 25))
    )


def test_dense_detections_are_not_noted() -> None:
    message = compare(claims(seconds=np.arange(60) / 5), claims())
    assert message.notes == ()
    assert message.shared_keyframes == 24


def test_no_action_in_common() -> None:
    found, truth = claims(), claims()
    found = replace(found, label=np.full_like(found.label, 2))
    truth = replace(truth, label=truth.label.clip(max=1))
    assert complaint(found, truth) == (
        "found.csv and truth.csv have no action in common: found has 'wave'; truth has 'stand', "
        "'walk'; check that both were made with the same --labels"
    )


def test_no_row_of_a_known_action() -> None:
    nothing = claims().select(np.zeros(0, np.int64))
    unknown = Faults(Path("found.csv"), {"unknown label": (5, (1, 2, 3))}, (0, 81))
    with pytest.raises(NothingMatchedError) as error:
        check(nothing, claims(), unknown, TRUTH, ids=(1, 2, 3))
    assert str(error.value) == (
        "found.csv: its action ids (0, 81) are not in the label list (1, 2, 3); pass the list it "
        "was made with by --labels"
    )
    with pytest.raises(NothingMatchedError, match="no valid detection; it is empty"):
        check(nothing, claims(), FOUND, TRUTH)
    wrong = Faults(Path("found.csv"), {"inverted": (5, (1, 2, 3))})
    with pytest.raises(
        NothingMatchedError, match="valid detection: 5 rows have a box with x2 < x1"
    ):
        check(nothing, claims(), wrong, TRUTH)


def moved(change: Callable[[Any], Any]) -> Instances:
    table = claims()
    return replace(table, box=change(table.box))


def test_no_box_in_common() -> None:
    message = complaint(moved(lambda box: box * [640, 480, 640, 480]), claims())
    assert "have hardly any overlapping boxes: found has '64 96 128 336', " in message
    assert "truth has '0.1 0.2 0.2 0.7', " in message
    assert "the boxes of found reach 384 and look like pixels; divide x by" in message
    message = complaint(claims(), moved(lambda box: box * [640, 480, 640, 480]))
    assert "the boxes of truth reach 384 and look like pixels" in message
    message = complaint(moved(lambda box: box * 100), claims())
    assert "reach 70 and look like 1/100 parts; divide them by 100" in message
    message = complaint(moved(lambda box: box + np.array([0, 0.6, 0, 0.6])), claims())
    assert message.endswith("boxes must be x1, y1, x2, y2 in fractions of the frame")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda box: box[:, [1, 0, 3, 2]], "the boxes of found look like y1, x1, y2, x2"),
        (
            lambda box: np.column_stack(
                [box[:, :2] + (box[:, 2:] - box[:, :2]) / 2, box[:, 2:] - box[:, :2]]
            ),
            "the boxes of found look like centre x, centre y, width, height",
        ),
    ],
)
def test_orders_of_box_coordinates(change: Callable[[Any], Any], reason: str) -> None:
    found = moved(change)
    try:
        message = "\n".join(compare(found, claims()).lines())
    except NothingMatchedError as error:
        message = str(error)
    assert reason in message


def test_x_y_width_height_is_detected_despite_overlap() -> None:
    wide = replace(claims(), box=claims().box + np.array([0, 0, 0.3, 0]))
    sizes = np.column_stack([wide.box[:, :2], wide.box[:, 2:] - wide.box[:, :2]])
    message = complaint(replace(wide, box=sizes), wide)
    assert "have hardly any overlapping boxes" in message
    assert message.endswith(
        "the boxes of found look like x, y, width, height; write x1, y1, x2, y2"
    )
    # Some in the right order, and then there is a score to speak of.
    some = np.where(np.arange(len(wide))[:, None] % 4 == 0, wide.box, sizes)
    (note,) = compare(replace(wide, box=some), wide).notes
    assert note == (
        "few boxes overlap; the boxes of found look like x, y, width, height; write x1, y1, x2, y2"
    )


def test_detections_without_scores_are_noted() -> None:
    (note,) = compare(replace(claims(), score=np.ones(24)), claims()).notes
    assert note == (
        "all detections have score 1, so they are ranked in file order; "
        "check that the file has a score column"
    )


def test_truth_against_itself_gives_no_score_note() -> None:
    truth = replace(claims(), score=np.ones(24))
    assert compare(truth, truth).notes == ()
    one_less = truth.select(np.arange(23))
    assert "all detections have score 1" in compare(one_less, truth).notes[0]


def test_an_unknown_id_0_is_noted() -> None:
    unknown = Faults(Path("found.csv"), {"unknown label": (8, (1, 2, 3))}, (0,))
    (note,) = check(claims(), claims(), unknown, TRUTH, ids=(1, 2, 3)).notes
    assert note == (
        "found.csv has action id 0, but the labels start at 1; check whether it counts from 0"
    )
    (note,) = check(
        claims(), claims(), FOUND, replace(unknown, path=Path("t")), ids=(1, 2, 3)
    ).notes
    assert note.startswith("t has action id 0")
    for ids, number in (((0, 1, 2), 0), ((2, 3, 4), 0), ((1, 2, 3), 9)):
        other = replace(unknown, unknown=(number,))
        assert check(claims(), claims(), other, TRUTH, ids=ids).notes == ()


def test_truth_without_actions_is_rejected() -> None:
    truth = replace(claims(), label=np.full(24, -1, np.int32))
    assert complaint(claims(), truth) == ("truth.csv: no valid truth; its 24 boxes have no action")


def test_boxes_without_a_class_do_not_count() -> None:
    """A label of -1 is not the last class, whose id 1 is here one below the truth's 2."""
    truth = replace(claims(), label=np.zeros(24, np.int32))
    few = np.where(np.arange(24) < 3, 0, -1).astype(np.int32)
    assert compare(replace(truth, label=few), truth, ids=(2, 3, 1)).notes == ()
    assert compare(truth, replace(truth, label=few), ids=(2, 3, 1)).notes == ()


def test_a_single_loose_box_proves_nothing() -> None:
    """A single box that would fit better as x, y, width, height proves nothing."""
    one = claims(("aa",), [0])
    found = replace(one, box=np.array([[0.1, 0.1, 0.3, 0.9]]))
    truth = replace(one, box=np.array([[0.1, 0.1, 0.5, 0.9]]))
    assert compare(found, truth).notes == ()


def test_ids_counted_from_0_are_noted() -> None:
    found, truth = claims(), claims()
    found = replace(found, label=((truth.label - 1) % 3).astype(np.int32))
    (note,) = compare(found, truth, ids=(5, 6, 7)).notes
    assert note.startswith("where boxes overlap, the action is right in 0%, but in 67% with +1")
    assert compare(truth, truth).notes == ()
