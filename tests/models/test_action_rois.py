import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stadkit.models import action_rois
from stadkit.models.fcos import DensePredictions

WAVE, SIT = [1.0, 0.0], [0.0, 1.0]
TRUTH = torch.tensor([[[0.0, 0, 10, 10], [20, 0, 30, 10]]])
BOTH = torch.ones(1, 2).bool()


def sample(box: list[list[float]], action: Tensor, **changes: int) -> action_rois.Rois:
    candidates = torch.tensor(box).reshape(1, -1, 4)
    passed = torch.ones(candidates.shape[:2]).bool()
    most = changes.get("most", 32)
    return action_rois.choose(candidates, passed, BOTH, TRUTH, action[None], 0.5, most)


def test_boxes_take_the_labels_of_their_person() -> None:
    near, half, far = [0.0, 0, 10, 9], [25.0, 0, 35, 10], [40.0, 0, 50, 10]  # IoU .9, 1/3, 0
    rois = sample([near, half, far], torch.tensor([WAVE, SIT]))
    got = {tuple(b): a for b, a in zip(rois.box.tolist(), rois.action.tolist(), strict=True)}
    assert got == {(0, 0, 10, 10): WAVE, (20, 0, 30, 10): SIT, (0, 0, 10, 9): WAVE}
    assert rois.index.tolist() == [0, 0, 0]


@pytest.mark.parametrize("unlabelled", [[torch.nan, torch.nan], [0.0, 0.0]])
def test_people_without_a_positive_action_are_skipped(unlabelled: list[float]) -> None:
    rois = sample([[20.0, 0, 30, 10]], torch.tensor([WAVE, unlabelled]))
    assert rois.action.tolist() == [WAVE]


def test_sampling_is_random_and_limited() -> None:
    torch.manual_seed(0)
    many = [[0.0, 0, 10, 10 - 0.1 * i] for i in range(20)]
    draws = [sample(many, torch.tensor([WAVE, SIT]), most=4).box for _ in range(3)]
    assert [len(x) for x in draws] == [4, 4, 4]
    assert not torch.equal(draws[0], draws[1])


def test_clips_without_people_have_no_rois() -> None:
    none = torch.zeros(2, 0)
    rois = action_rois.choose(
        torch.zeros(2, 3, 4), torch.ones(2, 3).bool(), none.bool(), none[..., None].repeat(1, 1, 4),
        torch.zeros(2, 0, 5), 0.5, 8,
    )  # fmt: skip
    assert (rois.box.shape, rois.index.shape, rois.action.shape) == ((0, 4), (0,), (0, 5))


def with_empty(box: list[list[float]], most: int = 8) -> action_rois.Rois:
    """RoIs for TRUTH and `box`, best first; the first clip has only the first person."""
    own = torch.tensor([box, box])
    rows = torch.tensor([[True, False], [True, True]])
    truth, action = TRUTH.repeat(2, 1, 1), torch.tensor([[WAVE, SIT]] * 2)
    rois = action_rois.choose(truth[:, :0], rows[:, :0], rows, truth, action, 0.5, 32)
    passed = torch.ones(own.shape[:2]).bool()
    return action_rois.with_empty(rois, own, passed, rows, truth, 0.5, most)


def test_empty_boxes_have_all_actions_0() -> None:
    near, second, far = [0.0, 0, 10, 9], [20.0, 0, 30, 10], [40.0, 0, 50, 10]
    rois = with_empty([near, second, far])
    assert sorted(rois.person[:3].tolist()) == [0, 0, 1]
    assert rois.person[3:].tolist() == [-1, -1, -1]
    # In the first clip the second person is absent, and their box is empty.
    assert rois.box[3:].tolist() == [second, far, far]
    assert rois.index[3:].tolist() == [0, 0, 1]
    assert rois.action[3:].tolist() == [[0, 0]] * 3


def test_the_best_empty_boxes_come_first() -> None:
    rois = with_empty([[0.0, 0, 10, 9], [40.0, 0, 50, 10], [60.0, 0, 70, 10]], most=1)
    assert rois.box[rois.person < 0].tolist() == [[40.0, 0, 50, 10]] * 2


def dense(box: list[list[float]], person: list[float], quality: list[float]) -> DensePredictions:
    """Predictions of one clip from probabilities; points are unused."""
    chance = torch.tensor([person, quality]).logit()
    nothing = torch.zeros(len(box))
    return DensePredictions(
        chance[:1], torch.tensor([box], requires_grad=True), chance[1:], nothing, nothing, nothing
    )


def test_predicted_boxes_by_threshold_and_rank() -> None:
    boxes = [[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10], [50, 0, 60, 10]]
    guess = dense(boxes, [0.5, 0.6, 0.29, 0.4], [0.9, 0.5, 0.9, 0.9])
    box, passed = action_rois.predicted(guess, 0.3, 100, None)
    # scores .45, .30, below the threshold, .36
    assert box[0][passed[0]].tolist() == [boxes[0], boxes[3], boxes[1]]
    assert not box.requires_grad
    box, passed = action_rois.predicted(guess, 0.3, 2, None)
    assert box[0][passed[0]].tolist() == [boxes[0], boxes[3]]


def test_predicted_boxes_after_nms() -> None:
    boxes = [[0.0, 0, 10, 10], [0, 0, 10, 9], [50, 0, 60, 10]]
    box, passed = action_rois.predicted(dense(boxes, [0.5] * 3, [0.9, 0.8, 0.7]), 0.3, 100, 0.3)
    assert box[0][passed[0]].tolist() == [boxes[0], boxes[2]]


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_jitter_stays_within_its_bound(seed: int) -> None:
    torch.manual_seed(seed)
    box, passed = action_rois.jittered(TRUTH, torch.tensor([[True, False]]), 0.15, 3)
    assert passed.tolist() == [[True] * 3 + [False] * 3]
    moved = (box - TRUTH.repeat_interleave(3, 1)).abs()
    assert 0 < moved.max() <= 1.5
