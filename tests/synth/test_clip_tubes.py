"""Truth of all frames of a clip, and clips with fast people and glitches."""

from typing import Any

import numpy as np
import pytest

from stadkit.synth import CLASSES, RenderedClip, render_clip
from stadkit.synth.classes import POSES

FIELDS = ("pixels", "box", "action", "person", "joints")
TUBES = ("tube_person", "tube_box", "tube_action")
SEEDS = range(12)


def small(seed: int, **settings: Any) -> RenderedClip:
    return render_clip(seed, height=96, width=128, **settings)


@pytest.fixture(scope="module")
def clips() -> list[RenderedClip]:
    return [small(seed, tubes=True) for seed in SEEDS]


def same(a: RenderedClip, b: RenderedClip, *names: str) -> bool:
    return all(np.array_equal(vars(a)[name], vars(b)[name]) for name in names)


@pytest.mark.parametrize("variety", ["standard", "wide"])
def test_tubes_do_not_change_the_clip(variety: str) -> None:
    plain = small(3, variety=variety)
    assert [vars(plain)[name] for name in TUBES] == [None, None, None]
    asked = small(3, variety=variety, tubes=True)
    assert same(plain, asked, *FIELDS)


def test_tubes_agree_with_the_key_frame(clips: list[RenderedClip]) -> None:
    for clip in clips:
        assert clip.tube_box is not None
        assert clip.tube_action is not None
        visible = ~np.isnan(clip.tube_box[:, 4, 0])
        assert np.array_equal(clip.tube_person[visible], clip.person)  # type: ignore[index]
        assert np.array_equal(clip.tube_box[visible, 4], clip.box)
        assert np.array_equal(clip.tube_action[visible, 4], clip.action)


def test_all_people_in_tubes_are_visible_in_a_frame(clips: list[RenderedClip]) -> None:
    for clip in clips:
        person, box, action = clip.tube_person, clip.tube_box, clip.tube_action
        assert person is not None
        assert box is not None
        assert action is not None
        m = len(person)
        assert (box.shape, action.shape) == ((m, 8, 4), (m, 8, len(CLASSES)))
        assert [part.dtype.name for part in (person, box, action)] == ["int32"] + 2 * ["float32"]
        assert sorted(set(person.tolist())) == person.tolist()
        seen = ~np.isnan(box).any(2)
        assert (seen.sum(1) > 0).all()
        assert np.array_equal(np.isnan(action).any(2), ~seen)
        assert np.array_equal(np.isnan(action).all(2), ~seen)
        assert (action[seen][:, : len(POSES)].sum(1) == 1).all()
        assert (box[seen][:, 2:] > box[seen][:, :2]).all()


def test_boxes_follow_the_joints() -> None:
    """For fast people of the key frame, joints and boxes have the same centre in every frame."""
    off = []
    for seed in (1, 6, 9, 11):
        clip = small(seed, tubes=True, pace=3.0)
        assert clip.tube_box is not None
        box = clip.tube_box[np.isin(clip.tube_person, clip.person)]  # type: ignore[arg-type]
        middle = clip.joints[..., 0].clip(0, 1).mean(2)  # [n, T]
        seen = ~np.isnan(box[..., 0])
        off.append(((box[..., 0] + box[..., 2]) / 2 - middle)[seen])
    assert np.abs(np.concatenate(off)).mean() < 0.03


@pytest.mark.parametrize(("variety", "seed"), [("standard", 11), ("wide", 2)])
def test_pace_only_affects_the_paths(variety: str, seed: int) -> None:
    """Pace only affects the paths: the key frame is unchanged, the others are not."""
    usual, fast = (small(seed, variety=variety, tubes=True, pace=pace) for pace in (1.0, 3.0))
    assert np.array_equal(usual.pixels[4], fast.pixels[4])
    assert same(usual, fast, "box", "action", "person")
    assert (usual.pixels[0] != fast.pixels[0]).any()


def test_glitches_keep_the_truth() -> None:
    usual, broken = (small(2, tubes=True, glitches=g) for g in (0.0, 0.5))
    assert same(usual, broken, *FIELDS[1:])
    for name in TUBES:
        assert np.array_equal(vars(usual)[name], vars(broken)[name], equal_nan=True)
    other = (usual.pixels != broken.pixels).any((1, 2, 3))
    assert 0 < other.sum() < 8
