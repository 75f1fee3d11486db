"""Synthetic tubes in the shape of UCF101-24's."""

import numpy as np

from stadkit.metrics.video_map import video_map
from stadkit.synth.benchmark_sets import RATE, ucf_like


def test_the_same_seed_gives_the_same_tubes() -> None:
    found, truth, sizes = ucf_like(30, 8, seed=1)
    again, true_again, _ = ucf_like(30, 8, seed=1)
    other, _, _ = ucf_like(30, 8, seed=2)
    assert np.array_equal(found.box, again.box)
    assert np.array_equal(truth.time, true_again.time)
    assert not np.array_equal(found.score, other.score)
    assert sizes == dict.fromkeys(sizes, (240, 320))
    assert set(found.video) == set(truth.video) == set(sizes)


def test_the_number_of_tubes_and_some_are_correct() -> None:
    found, truth, sizes = ucf_like(48, 10, seed=0)
    videos, counts = np.unique(found.video, return_counts=True)
    assert len(videos) == 48
    assert set(counts.tolist()) == {10}
    assert 48 <= len(truth) <= 96
    assert (found.box[:, 2:] > found.box[:, :2]).all()
    for protocol in ("multisports", "act"):
        result = video_map(found, truth, sizes=sizes, rate=RATE, protocol=protocol)
        assert 0.5 < result.mean(0.5) < 1
        assert result.mean(0.5) > result.mean(0.75)
