"""Synthetic files of AVA's size: shape, class imbalance and reproducibility."""

from pathlib import Path

import numpy as np
import pytest

from stadkit.files.ava_rows import read_instances
from stadkit.instances import Instances
from stadkit.labels import ava_scored
from stadkit.synth.benchmark_sets import write_ava_like

LABELS = ava_scored()
KEYFRAMES = 1000  # one video and part of another


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Instances, Instances]:
    truth, found = write_ava_like(tmp_path_factory.mktemp("ava"), KEYFRAMES, 3)
    claims = [read_instances(file, LABELS, truth=file == truth) for file in (truth, found)]
    assert [faults.kinds for _, faults in claims] == [{}, {}]
    return claims[0][0], claims[1][0]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        folder.mkdir()
        write_ava_like(folder, 20, seed)
    for name in ("truth.csv", "found.csv"):
        a, b, c = ((folder / name).read_bytes() for folder in folders)
        assert a == b
        assert a != c


def test_rows_per_keyframe_are_as_in_ava(pair: tuple[Instances, Instances]) -> None:
    truth, found = pair
    assert len(truth) / KEYFRAMES == pytest.approx(287_000 / 57_408, rel=0.06)
    assert len(found) / KEYFRAMES == pytest.approx(1_580_000 / 57_408, rel=0.06)


def test_videos_have_897_seconds_from_902(pair: tuple[Instances, Instances]) -> None:
    for claims in pair:
        assert len(claims.videos) == 2
        assert all(len(name) == 11 for name in claims.videos)
        first = claims.time[claims.video == 0]
        assert (first.min(), first.max()) == (902, 1798)
        assert claims.time[claims.video == 1].max() <= 902 + KEYFRAMES - 897 - 1
        assert (np.diff(first) >= 0).all()


def test_few_actions_are_frequent_and_people_perform_several(
    pair: tuple[Instances, Instances],
) -> None:
    truth, _ = pair
    count = np.bincount(truth.label, minlength=60)
    assert LABELS.ids[int(count.argmax())] == 80
    assert np.sort(count)[-5:].sum() > 0.6 * count.sum()
    assert np.sort(count)[:30].sum() < 0.1 * count.sum()
    people = np.unique(np.column_stack([truth.video, truth.time, truth.box]), axis=0)
    assert 1.5 < len(truth) / len(people) < 2.1


def test_most_boxes_are_near_a_person_and_scores_reflect_the_actions(
    pair: tuple[Instances, Instances],
) -> None:
    truth, found = (claims.select(claims.video == 1) for claims in pair)
    same_frame = found.time[:, None] == truth.time
    off = np.abs(found.box[:, None] - truth.box).max(2)  # [n, m]
    near = same_frame & (off < 0.15)
    assert 0.7 < near.any(1).mean() < 0.95
    done = (near & (found.label[:, None] == truth.label)).any(1)
    assert 0.1 < done.mean() < 0.5
    assert found.score[done].mean() > found.score[~done].mean() + 0.1


def test_boxes_are_valid(pair: tuple[Instances, Instances]) -> None:
    for claims in pair:
        assert (claims.box[:, 2:] > claims.box[:, :2]).all()
        assert claims.box.min() >= 0
        assert claims.box.max() <= 1
