"""Interpolated boxes, and the pool with each person once."""

import numpy as np
import pytest
from helpers.made_people import LEFT, RIGHT, SIT, STAND, WAVE, actions_of, keyframes, table

from stadkit.tla import LabellingOptions, pseudo_label

NEAR_LEFT = (0.2, 0.2, 0.4, 0.9)  # a tenth to the right of LEFT
NO_DETECTIONS = table([])
FAR = (0.9, 0.0, 0.99, 0.1)
INTERPOLATE = LabellingOptions("interpolate")


def test_boxes_are_interpolated_linearly() -> None:
    truth = table([(1, LEFT, STAND), (2, NEAR_LEFT, WAVE)])
    labels = pseudo_label(NO_DETECTIONS, truth, options=INTERPOLATE, frames=keyframes(1.25, 1.75))
    assert labels.table.box[:, 0].tolist() == pytest.approx([0.125, 0.175])
    assert actions_of(labels) == [list(STAND), list(WAVE)]
    assert labels.source.tolist() == [1, 2]
    assert labels.person.tolist() == [0, 1]
    assert labels.row.tolist() == [-1, -1]
    assert labels.table.person.tolist() == [1, 1]


def test_halfway_only_common_labels() -> None:
    half = keyframes(1.5)
    truth = table([(1, LEFT, WAVE), (2, LEFT, STAND), (1, RIGHT, STAND), (2, RIGHT, SIT)])
    labels = pseudo_label(NO_DETECTIONS, truth, options=INTERPOLATE, frames=half)
    # The person on the right stood, then sat: the label in between is unknown.
    assert actions_of(labels) == [list(STAND)]
    idle = table([(1, LEFT, (0, 0, 0)), (2, LEFT, (0, 0, 0))])
    assert actions_of(pseudo_label(NO_DETECTIONS, idle, options=INTERPOLATE, frames=half)) == [
        [0, 0, 0]
    ]


def test_ids_match_people() -> None:
    rows = [(1, LEFT, STAND), (1, RIGHT, SIT), (2, LEFT, SIT), (2, RIGHT, STAND)]
    swapped = pseudo_label(
        NO_DETECTIONS, table(rows, [7, 8, 8, 7]), options=INTERPOLATE, frames=keyframes(1.2)
    )
    assert swapped.table.box[:, 0].tolist() == pytest.approx([0.2, 0.5])
    stayed = pseudo_label(NO_DETECTIONS, table(rows), options=INTERPOLATE, frames=keyframes(1.2))
    assert stayed.table.box[:, 0].tolist() == pytest.approx([0.1, 0.6])
    strangers = table(rows, [1, 2, 3, 4])
    assert (
        len(pseudo_label(NO_DETECTIONS, strangers, options=INTERPOLATE, frames=keyframes(1.2))) == 0
    )


def test_only_between_two_neighbours() -> None:
    truth = table([(1, LEFT, STAND), (2, LEFT, STAND)])
    labels = pseudo_label(
        NO_DETECTIONS, truth, options=INTERPOLATE, frames=keyframes(0.5, 1.2, 2.5)
    )
    assert labels.table.time.tolist() == [1.2]


def test_a_second_copy_is_not_assigned_to_another_person() -> None:
    truth = table([(1, LEFT, STAND), (2, LEFT, STAND)])
    found = table([(1.5, LEFT, (0.9, 0.1, 0.1)), (1.5, FAR, (0.3, 0.4, 0.1))])
    assert pseudo_label(found, truth).row.tolist() == [0, 1]
    plus = pseudo_label(found, truth, options=LabellingOptions("tla+"))
    assert plus.row.tolist() == [0]
    assert plus.background.tolist() == [1]


def test_labels_may_come_from_either_side() -> None:
    truth = table([(1, LEFT, STAND), (2, LEFT, SIT)])
    for score, does, source in (((0.9, 0.1, 0.1), STAND, 1), ((0.1, 0.9, 0.1), SIT, 2)):
        labels = pseudo_label(table([(1.5, LEFT, score)]), truth, options=LabellingOptions("tla+"))
        assert actions_of(labels) == [list(does)]
        assert labels.source.tolist() == [source]


def test_missed_people_are_interpolated() -> None:
    truth = table([(1, LEFT, STAND), (1, RIGHT, SIT), (2, LEFT, STAND), (2, RIGHT, SIT)])
    found = table([(1.4, LEFT, (0.9, 0.1, 0.1)), (1.6, RIGHT, (0.1, 0.9, 0.1))])
    labels = pseudo_label(found, truth, options=LabellingOptions("tla+"))
    assert labels.table.time.tolist() == [1.4, 1.4, 1.6, 1.6]
    assert labels.row.tolist() == [0, -1, 1, -1]
    assert actions_of(labels) == [list(STAND), list(SIT), list(SIT), list(STAND)]
    assert np.isnan(labels.cost).tolist() == [False, True, False, True]
    assert labels.person.tolist() == [0, 1, 1, 2]
