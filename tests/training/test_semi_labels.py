"""Labels of the teacher's people, by hand."""

import numpy as np
import torch

from stadkit.detections import Detections
from stadkit.models.targets import Targets
from stadkit.training.batches import Batch
from stadkit.training.config import SemiConfig
from stadkit.training.semi_labels import class_thresholds, pseudo_targets


def found(*rows: tuple[float, tuple[float, float]]) -> Detections:
    """People .4 wide and .8 high from x1 on, with scores of stand and walk."""
    box = [[x1, 0.1, x1 + 0.4, 0.9] for x1, _ in rows]
    n = len(rows)
    return Detections(
        video=np.full(n, "0"),
        time=np.zeros(n),
        box=np.array(box, np.float32).reshape(-1, 4),
        person=np.ones(n, np.float32),
        action=np.array([scores for _, scores in rows], np.float32).reshape(-1, 2),
        track=np.full(n, -1, np.int32),
        classes=("stand", "walk"),
    )


def batch(*pools: list[tuple[float, tuple[float, float]]]) -> Batch:
    """Views of 50 x 100 pixels with these candidates."""
    targets = []
    for pool in pools:
        table = found(*pool)
        size = torch.tensor([100.0, 50.0, 100.0, 50.0])
        targets.append(Targets(torch.from_numpy(table.box) * size, torch.from_numpy(table.action)))
    size = torch.tensor([[50, 100]] * len(pools))
    return Batch(torch.zeros(len(pools), 3, 1, 64, 128, dtype=torch.uint8), size, list(targets))


STAND, WALK = (1.0, 0.0), (0.0, 1.0)


def test_labels_by_hand() -> None:
    """Two boxes get a candidate, the third is background; boxes are the teacher's."""
    people = found((0.0, (0.9, 0.1)), (0.52, (0.1, 0.9)), (0.3, (0.4, 0.4)))
    given = batch([(0.02, STAND), (0.5, WALK)])
    (target,) = pseudo_targets([people], given, SemiConfig())
    nan = float("nan")
    wanted = torch.tensor([[1, 0], [0, 1], [nan, nan]])
    torch.testing.assert_close(target.action, wanted, equal_nan=True)
    torch.testing.assert_close(target.box[1], torch.tensor([52.0, 5, 92, 45]))


def test_each_candidate_once_and_each_clip_its_own() -> None:
    """The left neighbour's person and the right one's are two candidates."""
    twice = [(0.0, STAND), (0.05, STAND)]
    people = found((0.0, (0.9, 0.1)), (0.02, (0.8, 0.1)), (0.04, (0.7, 0.1)))
    alone = found((0.5, (0.5, 0.5)))
    given = batch(twice, [], [(0.5, WALK)])
    first, second, third = pseudo_targets([people, alone, alone], given, SemiConfig())
    assert int((first.action == 1).sum()) == 2
    assert second.action.isnan().all()  # no neighbour
    assert len(second.box) == 1
    assert third.action.tolist() == [[0, 1]]


def test_no_people_and_no_neighbour() -> None:
    (target,) = pseudo_targets([found()], batch([]), SemiConfig())
    assert target.box.shape == (0, 4)
    assert target.action.shape == (0, 2)


def test_hard_and_nearest_by_hand() -> None:
    people = found((0.0, (0.3, 0.9)), (0.5, (0.05, 0.1)))
    given = batch([(0.02, STAND), (0.04, STAND)])
    (hard,) = pseudo_targets([people], given, SemiConfig(strategy="hard"))
    assert hard.action[0].tolist() == [1, 0]  # no one in the neighbours walks
    assert hard.action[1].isnan().all()
    (free,) = pseudo_targets([people], given, SemiConfig(strategy="hard", restricted=False))
    assert free.action.tolist() == [[1, 1], [0, 1]]
    (near,) = pseudo_targets([people], given, SemiConfig(strategy="nearest"))
    assert near.action[0].tolist() == [1, 0]
    assert near.action[1].isnan().all()  # overlaps no one


def test_class_thresholds_by_hand() -> None:
    """Standing people score .6 and .3, a walking one .2: the best threshold just keeps both."""
    people = [
        found((0.0, (0.6, 0.1)), (0.5, (0.1, 0.2))),
        found((0.5, (0.3, 0.1))),
        found(),
    ]
    first = batch([(0.02, STAND), (0.5, WALK)])
    second = batch([(0.5, STAND)], [])
    fitted = class_thresholds(people, [first, second])
    np.testing.assert_allclose(fitted, [0.3, 0.2], rtol=1e-6)


def test_thresholds_by_class_give_labels() -> None:
    people = found((0.0, (0.35, 0.1)), (0.5, (0.25, 0.15)))
    given = batch([(0.02, STAND), (0.5, STAND)])
    semi = SemiConfig(strategy="per-class")
    (target,) = pseudo_targets([people], given, semi, np.array([0.3, 0.05]))
    assert target.action[0].tolist() == [1, 0]  # no one in the neighbours walks
    assert target.action[1].isnan().all()
    (none,) = pseudo_targets([people], given, semi, np.array([np.nan, np.nan]))
    assert none.action.isnan().all()


def test_without_people_no_threshold_is_fitted() -> None:
    fitted = class_thresholds([found()], [batch([(0.0, STAND)])])
    assert np.isnan(fitted).tolist() == [True, True]
