"""Glitches: corrupted frames show no person, and are a superset for larger shares."""

import numpy as np
import pytest

from stadkit.synth.effects import KINDS, Glitches


def test_a_share_of_the_frames_is_corrupted() -> None:
    few, many = (Glitches.draw((7, 3), 4000, share).lost for share in (0.1, 0.3))
    assert few.mean() == pytest.approx(0.1, abs=0.02)
    assert many.mean() == pytest.approx(0.3, abs=0.03)
    assert many[few].all()
    assert not Glitches.draw((7, 3), 100, 0.0).lost.any()
    assert Glitches.draw((7, 3), 100, 1.0).lost.all()
    assert (Glitches.draw((7, 4), 4000, 0.1).lost != few).any()


def test_only_corrupted_frames_change_and_reproducibly() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
    way, again = (Glitches.draw((1,), 40, 0.5) for _ in range(2))
    for t in range(40):
        arrived = way.transmit(pixels, t)
        assert arrived.shape == pixels.shape
        assert arrived.dtype == np.uint8
        assert np.array_equal(arrived, again.transmit(pixels, t))
        assert np.array_equal(arrived, pixels) == (not way.lost[t])


@pytest.mark.parametrize("kind", range(len(KINDS)))
@pytest.mark.parametrize("seed", range(5))
def test_people_are_unrecognizable(kind: int, seed: int) -> None:
    """A bright figure on a dark ground: bright areas change in shape and position."""
    pixels = np.full((120, 160, 3), 30, np.uint8)
    pixels[30:100, 60:90] = 220
    figure = pixels[..., 0] == 220
    bright = KINDS[kind](pixels, np.random.default_rng(seed)).mean(2) > 125
    assert (bright & figure).sum() < 0.3 * (bright | figure).sum()
