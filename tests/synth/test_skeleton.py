import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stadkit.synth.classes import POSES
from stadkit.synth.draws import Floats
from stadkit.synth.poses import pose_motion
from stadkit.synth.skeleton import (
    ANKLE,
    ELBOW,
    FLESH,
    HEAD,
    HIP_JOINT,
    JOINTS,
    KNEE_JOINT,
    MIRRORED,
    NECK,
    PELVIS,
    SHOULDER,
    WRIST,
    Build,
    Manner,
    Motion,
    joints,
    to_world,
)

T = np.linspace(0, 2, 9)
BONES = ((SHOULDER, ELBOW, "upper_arm"), (ELBOW, WRIST, "forearm"),
         (HIP_JOINT, KNEE_JOINT, "thigh"), (KNEE_JOINT, ANKLE, "shin"))  # fmt: skip


def body(pose: str, seed: int) -> tuple[Floats, Build]:
    rng = np.random.default_rng(seed)
    build, manner = Build.draw(rng), Manner.draw(rng)
    return joints(pose_motion(POSES.index(pose), T, manner), build), build


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(POSES), st.integers(0, 10_000))
def test_bones_keep_their_length(pose: str, seed: int) -> None:
    p, build = body(pose, seed)
    for starts, ends, name in BONES:
        for a, b in zip(starts, ends, strict=True):
            length = np.linalg.norm(p[:, a] - p[:, b], axis=-1)
            assert length == pytest.approx(getattr(build, name) * build.scale)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(POSES), st.integers(0, 10_000))
def test_bodies_do_not_sink_into_the_ground(pose: str, seed: int) -> None:
    p, build = body(pose, seed)
    assert ((p[..., 1] / build.scale - FLESH).min(1) > -1e-9).all()


def test_still_body_by_hand() -> None:
    """Straight legs hang from the hips: knees are a thigh below, the head above the neck."""
    build = Build(1, 0.3, 0.1, 0.1, 0.2, 0.15, 0.05, 0.05, 0.25, 0.25, 0.1, 0.06, 1.0)
    p = joints(Motion.still(1), build)[0]
    assert p[HIP_JOINT[0]] - p[KNEE_JOINT[0]] == pytest.approx([0, 0.25, 0])
    assert p[NECK] - p[PELVIS] == pytest.approx([0, 0.3, 0])
    assert p[HEAD] - p[NECK] == pytest.approx([0, 0.1, 0.012])
    assert p[SHOULDER[1]] - p[NECK] == pytest.approx([0.1, -0.03, 0])


@pytest.mark.parametrize(("pose", "low", "high"), [("stand", 0.7, 1.2), ("lie", 0.0, 0.45)])
def test_head_height_matches_the_pose(pose: str, low: float, high: float) -> None:
    for seed in range(40):
        p, build = body(pose, seed)
        height = p[:, HEAD, 1] / build.scale
        assert (height > low).all()
        assert (height < high + 0.4 * (pose == "lie")).all()


def test_to_world_rotates_by_yaw() -> None:
    """A point in front of a body facing the camera (yaw pi) is nearer to the camera."""
    ahead = np.array([[[0.0, 1.0, 0.5]]])
    one = np.ones(1)
    assert to_world(ahead, 2 * one, 3 * one, 0 * one)[0, 0] == pytest.approx([2, 1, 3.5])
    assert to_world(ahead, 2 * one, 3 * one, np.pi * one)[0, 0] == pytest.approx([2, 1, 2.5])


def test_a_mirror_swaps_left_and_right() -> None:
    swap = {"left": "right", "right": "left"}
    want = [" ".join(swap.get(word, word) for word in name.split()) for name in JOINTS]
    assert [JOINTS[i] for i in MIRRORED] == want
