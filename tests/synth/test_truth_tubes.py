import numpy as np

from stadkit.detections import Detections
from stadkit.synth.truth import true_tubes


def table(frames: list[int], action: list[list[int]], track: list[int]) -> Detections:
    n = len(frames)
    return Detections(
        video=np.full(n, "v"),
        time=np.array(frames, np.float64) * 0.04,
        box=np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (n, 1)),
        person=np.ones(n, np.float32),
        action=np.array(action, np.float32),
        track=np.array(track, np.int32),
        classes=("stand", "wave"),
    )


def test_one_tube_per_person_and_action() -> None:
    truth = table([0, 0, 1, 1], [[1, 0], [1, 1], [1, 0], [1, 0]], [0, 1, 0, 1])
    tubes = true_tubes(truth, 0.04)
    assert tubes.track.tolist() == [0, 1, 1]
    assert tubes.label.tolist() == [0, 0, 1]
    assert tubes.start.tolist() == [0, 2, 4, 5]
    assert tubes.time.tolist() == [0.0, 0.04, 0.0, 0.04, 0.0]
    assert tubes.box.round(6).tolist() == [[0.1, 0.2, 0.3, 0.4]] * 5
    assert tubes.classes == ("stand", "wave")
    assert tubes.video.tolist() == ["v", "v", "v"]


def test_a_gap_ends_a_tube() -> None:
    truth = table([0, 1, 3, 4], [[1, 0]] * 4, [0] * 4)
    tubes = true_tubes(truth, 0.04)
    assert tubes.start.tolist() == [0, 2, 4]
    assert tubes.time.tolist() == [0.0, 0.04, 0.12, 0.16]


def test_no_people_no_tubes() -> None:
    assert len(true_tubes(Detections.empty(("stand",)), 0.04)) == 0
