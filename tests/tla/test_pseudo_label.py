"""Labels of whole tables by each strategy, including sparse inputs."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.made_people import CLASSES, LEFT, RIGHT, SIT, STAND, WAVE, actions_of, keyframes, table

from stadkit.detections import Detections, Keyframes
from stadkit.errors import UsageError
from stadkit.tla import STRATEGIES, LabellingOptions, pseudo_label

TRUTH = table([(1, LEFT, STAND), (1, RIGHT, SIT), (2, LEFT, WAVE), (2, RIGHT, SIT)], [7, 8, 7, 8])
SURE_STAND, SURE_SIT, SURE_WAVE = (0.9, 0.1, 0.1), (0.1, 0.9, 0.1), (0.9, 0.1, 0.9)


def test_rows_keep_their_boxes_and_name_their_sources() -> None:
    found = table(
        [
            (1.4, RIGHT, SURE_SIT),
            (1, LEFT, SURE_SIT),
            (1.4, LEFT, SURE_WAVE),
            (1.6, LEFT, SURE_STAND),
        ],
        [5, 5, 6, 6],
    )
    labels = pseudo_label(found, TRUTH)
    assert actions_of(labels) == [list(SIT), list(WAVE), list(STAND)]
    assert labels.row.tolist() == [0, 2, 3]
    assert labels.table.box.tolist() == found.box[labels.row].tolist()
    assert labels.table.person.tolist() == found.person[labels.row].tolist()
    assert labels.table.track.tolist() == [5, 6, 6]
    assert labels.source.tolist() == [1, 2, 1]
    assert labels.person.tolist() == [1, 2, 0]
    assert np.isfinite(labels.cost).all()
    assert labels.background.tolist() == []
    assert labels.notes.frames == 2
    assert labels.notes.labelled_frames == 1


def test_the_order_of_rows_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    rows = [
        (float(t), LEFT if rng.random() < 0.5 else RIGHT, tuple(rng.random(3)))
        for t in rng.choice([1.2, 1.4, 1.6], 12)
    ]
    found, order = table(rows), rng.permutation(12)
    one, other = pseudo_label(found, TRUTH), pseudo_label(found.select(order), TRUTH)
    assert dict(zip(one.row.tolist(), actions_of(one), strict=True)) == dict(
        zip(order[other.row].tolist(), actions_of(other), strict=True)
    )
    assert sorted(order[other.background].tolist()) == one.background.tolist()


@pytest.mark.parametrize("strategy", ["tla", "tla+", "hard", "nearest", "interpolate"])
def test_many_blocks_equal_one_block(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = table([(t, box, SURE_SIT) for t in (1.1, 1.3, 1.5, 1.7) for box in (LEFT, RIGHT)])
    whole = pseudo_label(found, TRUTH, options=LabellingOptions(strategy))
    monkeypatch.setattr("stadkit.tla.block.MAX_PAIRS", 3)
    parts = pseudo_label(found, TRUTH, options=LabellingOptions(strategy))
    assert len(whole) > 0
    assert actions_of(parts) == actions_of(whole)
    assert parts.row.tolist() == whole.row.tolist()
    assert parts.person.tolist() == whole.person.tolist()
    assert parts.table.time.tolist() == whole.table.time.tolist()


def test_surplus_detections_become_background() -> None:
    found = table([(1.5, LEFT, (0.1, 0.1, 0.1)), (1.5, LEFT, SURE_STAND), (1.5, RIGHT, SURE_SIT)])
    truth = TRUTH.select(np.array([0, 1]))
    labels = pseudo_label(found, truth)
    assert labels.row.tolist() == [1, 2]
    assert labels.background.tolist() == [0]


def test_a_person_without_actions_is_also_a_label() -> None:
    idle = table([(1, LEFT, (0, 0, 0))])
    for strategy in ("tla", "tla+", "nearest"):
        labels = pseudo_label(
            table([(1.5, LEFT, SURE_SIT)]), idle, options=LabellingOptions(strategy)
        )
        assert actions_of(labels) == [[0, 0, 0]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sparse_inputs(strategy: str) -> None:
    options, none = LabellingOptions(strategy), table([])
    at_labelled = (1.0, LEFT, SURE_STAND)  # "per-class" wants one
    alone = table([at_labelled, (1.5, LEFT, SURE_SIT), (30, LEFT, SURE_SIT)])
    cases = [
        (table([at_labelled]), TRUTH),
        (alone, TRUTH.select(np.array([0]))),
        (replace(alone, action=np.full_like(alone.action, np.nan)), TRUTH),
        (replace(alone, action=np.zeros_like(alone.action)), TRUTH),
        (alone, table([(1, LEFT, (0, 0, 0)), (2, LEFT, (0, 0, 0))])),
    ]
    for found, truth in cases:
        labels = pseudo_label(found, truth, options=options)
        assert not np.isnan(labels.table.action).any()
        assert np.isin(labels.table.action, (0, 1)).all()
        assert not np.isnan(labels.table.box).any()
        assert 2 not in labels.row.tolist()  # 30 s is far from any label
    if strategy != "per-class":
        for found, truth in [(none, none), (none, TRUTH), (alone, none)]:
            assert len(pseudo_label(found, truth, options=options)) == 0


def test_unlabelled_frames_are_counted_by_reason() -> None:
    found = table([(1.5, LEFT, SURE_STAND), (2.5, LEFT, SURE_STAND), (30, LEFT, SURE_STAND)])
    stranger = table([(1.5, LEFT, SURE_STAND)], video="b")
    processed = keyframes(1.7, 2.0, 5.5)
    labelled = keyframes(5.0, 6.0)  # both empty
    unseen = Keyframes(np.array(["c"]), np.array([1.0]))
    labelled = Keyframes(
        np.concatenate([labelled.video, unseen.video]), np.append(labelled.time, unseen.time)
    )
    both = Detections.join([found, stranger], CLASSES)
    labels = pseudo_label(both, TRUTH, labelled, frames=processed)
    assert labels.notes.to_json() == {
        "frames": 6,
        "labelled_frames": 0,
        "without_neighbour": 2,
        "one_neighbour": 1,
        "nobody_in_truth": 1,
        "nobody_found": 2,
        "cut": 0,
        "videos_without_truth": ("b",),
        "videos_without_frames": ("c",),
    }
    assert labels.row.tolist() == [0, 1]
    assert labels.background.tolist() == [2, 3]


def test_cuts_remove_neighbours() -> None:
    found = table([(1.5, LEFT, SURE_STAND)])
    labels = pseudo_label(found, TRUTH, cuts={"a": np.array([1.5])})
    assert labels.source.tolist() == [2]
    assert labels.notes.cut == 1
    gone = pseudo_label(found, TRUTH, cuts={"a": np.array([1.2, 1.7])})
    assert len(gone) == 0
    assert gone.background.tolist() == [0]


def test_hard_takes_all_over_the_threshold_or_the_best() -> None:
    found = table([(1.5, LEFT, (0.3, 0.25, 0.1)), (1.5, RIGHT, (0.05, 0.1, 0.15))])
    loose = LabellingOptions("hard", restricted=False)
    labels = pseudo_label(found, TRUTH, options=loose)
    assert actions_of(labels) == [[1, 1, 0], [0, 0, 1]]
    assert np.isnan(labels.source).all()
    assert labels.person.tolist() == [-1, -1]
    strict = pseudo_label(found, TRUTH, options=replace(loose, threshold=0.28))
    assert actions_of(strict) == [[1, 0, 0], [0, 0, 1]]


def test_unscored_detections_do_not_get_every_class() -> None:
    found = table([(1.5, LEFT, (0, 0, 0)), (1.5, RIGHT, (np.nan, np.nan, np.nan))])
    labels = pseudo_label(found, TRUTH, options=LabellingOptions("hard", restricted=False))
    assert labels.background.tolist() == [0, 1]


def test_restricted_drops_classes_of_neither_neighbour() -> None:
    found = table([(1.5, LEFT, (0.3, 0.25, 0.1)), (1.5, RIGHT, (0.05, 0.1, 0.15))])
    sitting = TRUTH.select(np.array([1]))
    labels = pseudo_label(found, sitting, options=LabellingOptions("hard"))
    assert actions_of(labels) == [[0, 1, 0]]
    assert labels.background.tolist() == [1]


def test_thresholds_are_those_of_best_f1() -> None:
    labelled = [
        (1, LEFT, (0.30, 0.2, 0.9)),  # stands
        (1, RIGHT, (0.25, 0.6, 0.8)),  # sits
        (2, LEFT, (0.20, 0.1, 0.7)),  # stands, waves
        (2, RIGHT, (0.10, 0.5, 0.1)),  # sits
        (2, (0.4, 0.0, 0.5, 0.1), (0.95, 0.1, 0.1)),  # a false detection
    ]
    found = table([*labelled, (1.5, LEFT, (0.2, 0.55, 0.65))])
    labels = pseudo_label(found, TRUTH, options=LabellingOptions("per-class"))
    # stand: 2 right of 4 at .2, F1 2 * 2 / (4 + 2). wave: 1 right of 3 at .7. sit: all at .5.
    assert labels.thresholds is not None
    assert labels.thresholds.tolist() == pytest.approx([0.2, 0.5, 0.7])
    assert actions_of(labels) == [[1, 1, 0]]


def test_equal_scores_pass_a_threshold_together() -> None:
    stands, unmatched = (0.5, 0.1, 0.1), [(0.9, 0.1 * i, 0.99, 0.1 * i + 0.1) for i in range(3)]
    truth = table([(1, LEFT, STAND), (2, LEFT, STAND)])
    found = table([(1, box, stands) for box in (LEFT, *unmatched)] + [(2, LEFT, (0.4, 0.1, 0.1))])
    labels = pseudo_label(found, truth, options=LabellingOptions("per-class"))
    # At .5 one of four is right, F1 2 / (4 + 2); at .4 two of five, 4 / (5 + 2).
    assert labels.thresholds is not None
    assert labels.thresholds[0] == pytest.approx(0.4)


def test_a_class_without_positives_has_no_threshold() -> None:
    truth = TRUTH.select(np.array([0, 1]))
    found = table([(1, LEFT, (0.9, 0.9, 0.9)), (1.5, LEFT, (1, 1, 1))])
    labels = pseudo_label(found, truth, options=LabellingOptions("per-class"))
    assert labels.thresholds is not None
    assert np.isnan(labels.thresholds).tolist() == [False, True, True]
    assert actions_of(labels) == [[1, 0, 0]]


def test_per_class_needs_detections_at_labelled_keyframes() -> None:
    with pytest.raises(UsageError, match="run detection there too"):
        pseudo_label(table([(1.5, LEFT, SURE_SIT)]), TRUTH, options=LabellingOptions("per-class"))


def test_nearest_copies_the_best_overlap_and_then_the_nearer_time() -> None:
    near_left = (0.12, 0.2, 0.32, 0.9)
    far = (0.9, 0.0, 0.99, 0.1)
    found = table([(1.6, near_left, SURE_SIT), (1.4, LEFT, SURE_SIT), (1.4, far, SURE_SIT)])
    labels = pseudo_label(found, TRUTH, options=LabellingOptions("nearest"))
    assert labels.row.tolist() == [1, 0]
    assert actions_of(labels) == [list(STAND), list(WAVE)]
    assert labels.background.tolist() == [2]
    assert np.isnan(labels.cost).all()


def test_overlap_counts_more_than_time() -> None:
    truth = table([(1, (0.15, 0.2, 0.35, 0.9), STAND), (2, LEFT, WAVE)])
    labels = pseudo_label(
        table([(1.2, LEFT, SURE_SIT)]), truth, options=LabellingOptions("nearest")
    )
    assert actions_of(labels) == [list(WAVE)]


def test_two_boxes_may_copy_one_person() -> None:
    found = table([(1.4, LEFT, SURE_SIT), (1.4, LEFT, SURE_SIT)])
    assert (
        actions_of(pseudo_label(found, TRUTH, options=LabellingOptions("nearest")))
        == [list(STAND)] * 2
    )


def test_tables_must_have_the_same_classes() -> None:
    other = replace(TRUTH, classes=("x", "y", "z"))
    with pytest.raises(ValueError, match="classes of found"):
        pseudo_label(other, TRUTH)
    with pytest.raises(ValueError, match="0 or 1"):
        pseudo_label(TRUTH, replace(TRUTH, action=TRUTH.action / np.float32(2)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strategy": "best"}, "unknown strategy 'best'; choose one of tla, "),
        ({"bce": "max"}, "unknown bce"),
        ({"distance": "l2"}, "unknown distance"),
        ({"background": "none"}, "unknown background"),
        ({"weights": (1, -1, 1)}, "weights is"),
        ({"weights": (1, 1)}, "wants three numbers"),
        ({"threshold": 1.5}, "threshold is 1.5; wants 0 to 1"),
        ({"max_gap": 0.0}, "max_gap is 0; wants seconds above 0"),
        ({"max_gap": float("nan")}, "max_gap is nan"),
    ],
)
def test_invalid_options_are_rejected(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LabellingOptions(**wrong)  # type: ignore[arg-type]
