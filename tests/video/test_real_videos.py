"""Original files from cameras and phones, in the folder named by STADKIT_REAL_VIDEOS."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from stadkit.video.clips import Cut, clips
from stadkit.video.decode import open_video

FOLDER = os.environ.get("STADKIT_REAL_VIDEOS", "")
FILES = sorted(Path(FOLDER).iterdir()) if FOLDER else []
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FILES, reason="STADKIT_REAL_VIDEOS names no folder of videos"),
]

# name -> frames, displayed (width, height), seconds of the last frame, according to ffprobe
KNOWN = {
    "arm_wrestling.mp4": (280, (427, 256), 279 / 28),
    "asl_walk.mkv": (89, (640, 480), 2.933),
    "basketball_practice.mp4": (300, (426, 240), 299 * 1001 / 30000),
    "decord_corrupted.mp4": (49, (1280, 720), 4.9),
    "one-by-one-person-detection.mp4": (1394, (768, 432), 139.3),
    "rot90.mov": (3, (320, 568), 2 / 30),
}


MEASURED = [path for path in FILES if path.name in KNOWN]
# In a damaged file decord stops where PyAV continues.
WHOLE = [path for path in MEASURED if path.name != "decord_corrupted.mp4"]


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.name)
def test_frames_sizes_and_times(path: Path) -> None:
    count, size, last = KNOWN[path.name]
    with open_video(path) as video:
        times = [frame.time for frame in video]
        assert (video.info.width, video.info.height) == size
        assert video.report.partial == (path.name == "decord_corrupted.mp4")
    assert len(times) == count
    assert (times[0], times[-1]) == pytest.approx((0.0, last), abs=1e-6)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_both_readers_agree_on_clips(path: Path) -> None:
    pytest.importorskip("decord")
    cut, found = Cut(8, 0.16, 4, 64), []
    for reader in ("pyav", "decord"):
        with open_video(path, reader) as video:
            some = [(c.times, c.pixels.astype(int)) for c in clips(video, cut, duration=5.0)]
        found.append(some)
    for (a, first), (b, second) in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
        assert np.abs(first - second).mean() < 4
