"""Labels of whole tables by each strategy, including sparse inputs."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.made_people import CLASSES, LEFT, RIGHT, SIT, STAND, WAVE, deeds, keyframes, table

from stadkit.detections import Detections, Keyframes
from stadkit.errors import UsageError
from stadkit.tla import STRATEGIES, Options, pseudo_label

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
    given = pseudo_label(found, TRUTH)
    assert deeds(given) == [list(SIT), list(WAVE), list(STAND)]
    assert given.row.tolist() == [0, 2, 3]
    assert given.table.box.tolist() == found.box[given.row].tolist()
    assert given.table.person.tolist() == found.person[given.row].tolist()
    assert given.table.track.tolist() == [5, 6, 6]
    assert given.source.tolist() == [1, 2, 1]
    assert given.person.tolist() == [1, 2, 0]
    assert np.isfinite(given.cost).all()
    assert given.background.tolist() == []
    assert given.notes.frames == 2
    assert given.notes.labelled_frames == 1


def test_the_order_of_rows_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    rows = [
        (float(t), LEFT if rng.random() < 0.5 else RIGHT, tuple(rng.random(3)))
        for t in rng.choice([1.2, 1.4, 1.6], 12)
    ]
    found, order = table(rows), rng.permutation(12)
    one, other = pseudo_label(found, TRUTH), pseudo_label(found.select(order), TRUTH)
    assert dict(zip(one.row.tolist(), deeds(one), strict=True)) == dict(
        zip(order[other.row].tolist(), deeds(other), strict=True)
    )
    assert sorted(order[other.background].tolist()) == one.background.tolist()


@pytest.mark.parametrize("strategy", ["tla", "tla+", "hard", "nearest", "interpolate"])
def test_many_blocks_equal_one_block(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = table([(t, box, SURE_SIT) for t in (1.1, 1.3, 1.5, 1.7) for box in (LEFT, RIGHT)])
    whole = pseudo_label(found, TRUTH, options=Options(strategy))
    monkeypatch.setattr("stadkit.tla.block.MAX_PAIRS", 3)
    parts = pseudo_label(found, TRUTH, options=Options(strategy))
    assert len(whole) > 0
    assert deeds(parts) == deeds(whole)
    assert parts.row.tolist() == whole.row.tolist()
    assert parts.person.tolist() == whole.person.tolist()
    assert parts.table.time.tolist() == whole.table.time.tolist()


def test_surplus_detections_become_background() -> None:
    found = table([(1.5, LEFT, (0.1, 0.1, 0.1)), (1.5, LEFT, SURE_STAND), (1.5, RIGHT, SURE_SIT)])
    truth = TRUTH.select(np.array([0, 1]))
    given = pseudo_label(found, truth)
    assert given.row.tolist() == [1, 2]
    assert given.background.tolist() == [0]


def test_a_person_without_actions_is_also_a_label() -> None:
    idle = table([(1, LEFT, (0, 0, 0))])
    for strategy in ("tla", "tla+", "nearest"):
        given = pseudo_label(table([(1.5, LEFT, SURE_SIT)]), idle, options=Options(strategy))
        assert deeds(given) == [[0, 0, 0]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_sparse_inputs(strategy: str) -> None:
    options, none = Options(strategy), table([])
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
        given = pseudo_label(found, truth, options=options)
        assert not np.isnan(given.table.action).any()
        assert np.isin(given.table.action, (0, 1)).all()
        assert not np.isnan(given.table.box).any()
        assert 2 not in given.row.tolist()  # 30 s is far from any label
    if strategy != "per-class":
        for found, truth in [(none, none), (none, TRUTH), (alone, none)]:
            assert len(pseudo_label(found, truth, options=options)) == 0


def test_unlabelled_frames_are_counted_by_reason() -> None:
    found = table([(1.5, LEFT, SURE_STAND), (2.5, LEFT, SURE_STAND), (30, LEFT, SURE_STAND)])
    stranger = table([(1.5, LEFT, SURE_STAND)], video="b")
    looked = keyframes(1.7, 2.0, 5.5)
    labelled = keyframes(5.0, 6.0)  # and nobody there
    unseen = Keyframes(np.array(["c"]), np.array([1.0]))
    labelled = Keyframes(
        np.concatenate([labelled.video, unseen.video]), np.append(labelled.time, unseen.time)
    )
    both = Detections.join([found, stranger], CLASSES)
    given = pseudo_label(both, TRUTH, labelled, frames=looked)
    assert given.notes.to_json() == {
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
    assert given.row.tolist() == [0, 1]
    assert given.background.tolist() == [2, 3]


def test_cuts_remove_neighbours() -> None:
    found = table([(1.5, LEFT, SURE_STAND)])
    given = pseudo_label(found, TRUTH, cuts={"a": np.array([1.5])})
    assert given.source.tolist() == [2]
    assert given.notes.cut == 1
    gone = pseudo_label(found, TRUTH, cuts={"a": np.array([1.2, 1.7])})
    assert len(gone) == 0
    assert gone.background.tolist() == [0]


def test_hard_takes_all_over_the_threshold_or_the_best() -> None:
    found = table([(1.5, LEFT, (0.3, 0.25, 0.1)), (1.5, RIGHT, (0.05, 0.1, 0.15))])
    loose = Options("hard", restricted=False)
    given = pseudo_label(found, TRUTH, options=loose)
    assert deeds(given) == [[1, 1, 0], [0, 0, 1]]
    assert np.isnan(given.source).all()
    assert given.person.tolist() == [-1, -1]
    strict = pseudo_label(found, TRUTH, options=replace(loose, threshold=0.28))
    assert deeds(strict) == [[1, 0, 0], [0, 0, 1]]


def test_unscored_detections_do_not_get_every_class() -> None:
    found = table([(1.5, LEFT, (0, 0, 0)), (1.5, RIGHT, (np.nan, np.nan, np.nan))])
    given = pseudo_label(found, TRUTH, options=Options("hard", restricted=False))
    assert given.background.tolist() == [0, 1]


def test_restricted_drops_classes_of_neither_neighbour() -> None:
    found = table([(1.5, LEFT, (0.3, 0.25, 0.1)), (1.5, RIGHT, (0.05, 0.1, 0.15))])
    sitting = TRUTH.select(np.array([1]))
    given = pseudo_label(found, sitting, options=Options("hard"))
    assert deeds(given) == [[0, 1, 0]]
    assert given.background.tolist() == [1]


def test_thresholds_are_those_of_best_f1() -> None:
    labelled = [
        (1, LEFT, (0.30, 0.2, 0.9)),  # stands
        (1, RIGHT, (0.25, 0.6, 0.8)),  # sits
        (2, LEFT, (0.20, 0.1, 0.7)),  # stands, waves
        (2, RIGHT, (0.10, 0.5, 0.1)),  # sits
        (2, (0.4, 0.0, 0.5, 0.1), (0.95, 0.1, 0.1)),  # nobody
    ]
    found = table([*labelled, (1.5, LEFT, (0.2, 0.55, 0.65))])
    given = pseudo_label(found, TRUTH, options=Options("per-class"))
    # stand: 2 right of 4 at .2, F1 2 * 2 / (4 + 2). wave: 1 right of 3 at .7. sit: all at .5.
    assert given.thresholds is not None
    assert given.thresholds.tolist() == pytest.approx([0.2, 0.5, 0.7])
    assert deeds(given) == [[1, 1, 0]]


def test_equal_scores_pass_a_threshold_together() -> None:
    stands, nobody = (0.5, 0.1, 0.1), [(0.9, 0.1 * i, 0.99, 0.1 * i + 0.1) for i in range(3)]
    truth = table([(1, LEFT, STAND), (2, LEFT, STAND)])
    found = table([(1, box, stands) for box in (LEFT, *nobody)] + [(2, LEFT, (0.4, 0.1, 0.1))])
    given = pseudo_label(found, truth, options=Options("per-class"))
    # At .5 one of four is right, F1 2 / (4 + 2); at .4 two of five, 4 / (5 + 2).
    assert given.thresholds is not None
    assert given.thresholds[0] == pytest.approx(0.4)


def test_a_class_without_positives_has_no_threshold() -> None:
    truth = TRUTH.select(np.array([0, 1]))
    found = table([(1, LEFT, (0.9, 0.9, 0.9)), (1.5, LEFT, (1, 1, 1))])
    given = pseudo_label(found, truth, options=Options("per-class"))
    assert given.thresholds is not None
    assert np.isnan(given.thresholds).tolist() == [False, True, True]
    assert deeds(given) == [[1, 0, 0]]


def test_per_class_needs_detections_at_labelled_keyframes() -> None:
    with pytest.raises(UsageError, match="run detection there too"):
        pseudo_label(table([(1.5, LEFT, SURE_SIT)]), TRUTH, options=Options("per-class"))


def test_nearest_copies_the_best_overlap_and_then_the_nearer_time() -> None:
    near_left = (0.12, 0.2, 0.32, 0.9)
    far = (0.9, 0.0, 0.99, 0.1)
    found = table([(1.6, near_left, SURE_SIT), (1.4, LEFT, SURE_SIT), (1.4, far, SURE_SIT)])
    given = pseudo_label(found, TRUTH, options=Options("nearest"))
    assert given.row.tolist() == [1, 0]
    assert deeds(given) == [list(STAND), list(WAVE)]
    assert given.background.tolist() == [2]
    assert np.isnan(given.cost).all()


def test_overlap_counts_more_than_time() -> None:
    truth = table([(1, (0.15, 0.2, 0.35, 0.9), STAND), (2, LEFT, WAVE)])
    given = pseudo_label(table([(1.2, LEFT, SURE_SIT)]), truth, options=Options("nearest"))
    assert deeds(given) == [list(WAVE)]


def test_two_boxes_may_copy_one_person() -> None:
    found = table([(1.4, LEFT, SURE_SIT), (1.4, LEFT, SURE_SIT)])
    assert deeds(pseudo_label(found, TRUTH, options=Options("nearest"))) == [list(STAND)] * 2


def test_tables_must_have_the_same_classes() -> None:
    other = replace(TRUTH, classes=("x", "y", "z"))
    with pytest.raises(ValueError, match="classes of found"):
        pseudo_label(other, TRUTH)
    with pytest.raises(ValueError, match="0 or 1"):
        pseudo_label(TRUTH, replace(TRUTH, action=TRUTH.action / np.float32(2)))


@pytest.mark.parametrize(
    ("wrong", "told"),
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
def test_invalid_options_are_rejected(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Options(**wrong)  # type: ignore[arg-type]
