"""Every second labelled keyframe is hidden, labelled and compared."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.made_people import CLASSES, LEFT, RIGHT, SIT, STAND, WAVE, keyframes, table

from stadkit.detections import Detections, Keyframes
from stadkit.errors import NothingMatchedError, UsageError
from stadkit.tla import STRATEGIES, LabellingOptions, check
from stadkit.tla.check import every_second

TRUTH = table([(t, box, STAND if box is LEFT else SIT) for t in range(5) for box in (LEFT, RIGHT)])


def test_every_second_of_each_video() -> None:
    labelled = Keyframes(np.array(["a", "a", "a", "b", "b"]), np.array([0, 1, 2, 5, 7.0]))
    kept, hidden = every_second(labelled)
    assert (kept.video.tolist(), kept.time.tolist()) == (["a", "a", "b"], [0, 2, 5])
    assert (hidden.video.tolist(), hidden.time.tolist()) == (["a", "b"], [1, 7])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_perfect_detector_of_people_who_stay_is_right(strategy: str) -> None:
    result = check(TRUTH, TRUTH, options=LabellingOptions(strategy))
    assert (result.precision, result.recall, result.f1) == (1, 1, 1)
    assert result.keyframes == 2
    assert (result.people, result.people_found) == (4, 4)


def test_counts_by_hand() -> None:
    truth = table([(0, LEFT, WAVE), (1, LEFT, WAVE), (1, RIGHT, SIT), (2, LEFT, STAND)])
    # One box on the left, scored only as standing; none on the right; 0 and 2 are not hidden.
    found = table([(1, LEFT, (0.9, 0.1, 0.1)), (1, (0.4, 0, 0.5, 0.1), (0.1, 0.1, 0.3))])
    result = check(found, truth)
    # The false box takes the other candidate: stand and wave, both wrong.
    assert result.right.tolist() == [1, 0, 0]
    assert result.wrong.tolist() == [1, 0, 1]
    assert result.missed.tolist() == [0, 1, 1]
    assert result.precision == pytest.approx(1 / 3)
    assert result.recall == pytest.approx(1 / 3)
    assert result.f1 == pytest.approx(1 / 3)
    assert (result.people, result.people_found) == (2, 1)
    assert result.by_class()["sit"] == {"precision": 0, "recall": 0, "f1": 0, "labels": 1}
    facts = result.to_json()
    assert (facts["labels"], facts["labels_given"], facts["labels_right"]) == (
        3,
        3,
        1,
    )
    assert facts["thresholds"] is None


def test_boxes_must_overlap_by_half() -> None:
    shifted = replace(
        TRUTH, box=TRUTH.box + np.array([0.08, 0, 0.08, 0], np.float32)
    )  # IoU .12 / .28
    result = check(shifted, TRUTH)
    assert result.people_found == 0
    assert (result.precision, result.recall, result.f1) == (0, 0, 0)


def test_empty_keyframes_count_in_the_split() -> None:
    found = table([(1, LEFT, (0.9, 0.1, 0.1)), (2, LEFT, (0.9, 0.1, 0.1))])
    truth = table([(0, LEFT, STAND), (2, LEFT, STAND)])
    result = check(found, truth, keyframes(0, 1, 2, 3))
    assert result.keyframes == 2  # 1 and 3, both empty
    assert result.people == 0
    assert result.wrong.tolist() == [1, 0, 0]
    assert result.notes.frames == 2


def test_thresholds_by_class() -> None:
    facts = check(TRUTH, TRUTH, options=LabellingOptions("per-class")).to_json()
    assert facts["thresholds"] == {"stand": 1, "sit": 1}


def test_no_keyframe_to_hide() -> None:
    with pytest.raises(UsageError, match="no video has two"):
        check(TRUTH, TRUTH.select(np.array([0, 1])))
    with pytest.raises(UsageError, match="no video has two"):
        check(TRUTH, Detections.empty(CLASSES))


def test_no_detections_at_hidden_keyframes() -> None:
    found = table([(0.5, LEFT, (0.9, 0.1, 0.1))])
    with pytest.raises(NothingMatchedError, match="no detections at the 2 labelled keyframes"):
        check(found, TRUTH)
    assert check(found, TRUTH, options=LabellingOptions("interpolate")).f1 == 1
