"""Clips: frames, key times, and no more work or memory than needed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from weakref import WeakSet

import av
import cv2
import numpy as np
import pytest
from helpers.made_videos import make, number_of
from hypothesis import given
from hypothesis import strategies as st

from stadkit.errors import UsageError
from stadkit.video.clips import Clip, Cut, clips
from stadkit.video.decode import open_video
from stadkit.video.frame import Frame, Pixels, Report, Video, VideoInfo


class Made(Video):
    """2 x 4 frames at given times, filled with the frame's number; counts conversions."""

    def __init__(self, times: list[float], rate: float = 10.0) -> None:
        self.times, self.given, self.resized = times, 0, [0] * len(times)
        self.held, self.most = WeakSet[Frame](), 0  # frames still referenced
        self.info = VideoInfo(
            Path("made.mp4"), 4, 2, 0, False, rate, 0.0, None, None, "mov", "none", "rgb24"
        )

    def __iter__(self) -> Iterator[Frame]:
        for i, time in enumerate(self.times):
            self.given += 1
            frame = Frame(time, (2, 4), i, partial(self._convert, i))
            self.held.add(frame)
            self.most = max(self.most, len(self.held))
            yield frame

    def _convert(self, i: int, height: int, width: int) -> Pixels:
        self.resized[i] += 1
        return np.full((height, width, 3), i % 256, np.uint8)

    @property
    def report(self) -> Report:
        return Report(self.given, None, 0, 0, False, "")

    def close(self) -> None: ...


def steps(count: int, rate: float = 10.0) -> list[float]:
    return [i / rate for i in range(count)]


def taken(clip: Clip) -> list[int]:
    return clip.pixels[:, 0, 0, 0].tolist()


CUT = Cut(frames=4, stride=0.2, key=2, short_side=2)


def run(video: Video, cut: Cut = CUT, **more: Any) -> list[tuple[float, list[int]]]:
    return [(clip.time, taken(clip)) for clip in clips(video, cut, **more)]


def test_frames_around_each_key_time_and_edges_repeat() -> None:
    assert run(Made(steps(25))) == [
        (0.0, [0, 0, 0, 2]),
        (1.0, [6, 8, 10, 12]),
        (2.0, [16, 18, 20, 22]),
    ]
    assert run(Made(steps(22)))[-1] == (2.0, [16, 18, 20, 21])


def test_clip_fields() -> None:
    clip = next(clips(Made(steps(25)), CUT, start=1.0))
    assert (clip.video, clip.time, clip.size) == ("made", 1.0, (2, 4))
    assert clip.times.tolist() == [0.6, 0.8, 1.0, 1.2]
    assert clip.pixels.shape == (4, 2, 4, 3)


def test_the_nearest_frame_is_taken_and_the_earlier_in_a_tie() -> None:
    cut = Cut(frames=1, stride=1.0, key=0, short_side=2)
    times = [0.0, 0.1, 0.4, 1.0]
    keys = [0.04, 0.05, 0.06, 0.24, 0.26, 0.69, 0.71]
    found = run(Made(times, rate=2.0), cut, times=keys)
    assert [frames for _, frames in found] == [[0], [0], [1], [1], [2], [2], [3]]


def test_key_times_stop_with_the_video_or_the_duration() -> None:
    keys = [time for time, _ in run(Made(steps(20)))]
    assert keys == [0.0, 1.0]  # the last frame ends at 2.0
    keys = [time for time, _ in run(Made(steps(21)))]
    assert keys == [0.0, 1.0, 2.0]
    keys = [time for time, _ in run(Made(steps(50)), every=0.5, start=1.5, duration=1.5)]
    assert keys == [1.5, 2.0, 2.5]
    assert run(Made(steps(20)), start=5.0) == []


def test_many_key_times_do_not_drift() -> None:
    keys = [time for time, _ in run(Made(steps(300)), every=0.1)]
    assert keys == [0.1 * n for n in range(300)]


UNEVEN = [
    0.0,
    0.1,
    0.3,
    0.4,
    0.45,
    0.8,
    0.9,
    1.2,
]  # as from a camera in low light, or repeated AVI frames


def test_each_frame_is_a_key_at_any_spacing() -> None:
    found = run(Made(UNEVEN), every="frame")
    assert [time for time, _ in found] == UNEVEN
    # Sampled around 0.45: 0.05 (a tie: the earlier), 0.25, 0.45 and 0.65.
    assert found[4] == (0.45, [0, 2, 4, 5])
    assert found == run(Made(UNEVEN), times=UNEVEN)


def test_frames_as_keys_within_start_and_duration() -> None:
    found = run(Made(UNEVEN), every="frame", start=0.4, duration=0.5)
    assert [time for time, _ in found] == [0.4, 0.45, 0.8]  # 0.9 is the end
    assert found == run(Made(UNEVEN), times=[0.4, 0.45, 0.8])
    assert run(Made(UNEVEN), every="frame", start=1.3) == []
    assert run(Made([]), every="frame") == []


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=30),
    st.integers(0, 5),
    st.sampled_from([0.0, 0.5, 1.7]),
)
def test_frames_as_keys_equal_listing_their_times(gaps: list[int], key: int, start: float) -> None:
    times = (np.cumsum([0, *gaps]) / 100).tolist()
    cut = Cut(frames=6, stride=0.13, key=key, short_side=2)
    keys = [time for time in times if time >= start]
    assert run(Made(times), cut, every="frame", start=start) == run(Made(times), cut, times=keys)


def test_frames_as_keys_are_read_ahead_by_the_reach_of_a_clip() -> None:
    video = Made(steps(1000))
    asked = clips(video, CUT, every="frame", start=50.0)
    first = next(asked)  # needs frames up to 50.2; keys are read 0.4 s ahead
    assert (first.time, taken(first)) == (50.0, [496 % 256, 498 % 256, 500 % 256, 502 % 256])
    assert video.given <= 508
    for _ in islice(asked, 100):
        pass
    assert video.given <= 608
    assert video.most <= 15
    assert sum(video.resized[:496]) == 0


def test_explicit_key_times_outside_the_video_give_no_clip() -> None:
    found = run(Made(steps(20)), times=[-1.0, -0.04, 0.3, 0.3, 1.94, 1.96, 7.0])
    assert [time for time, _ in found] == [-0.04, 0.3, 0.3, 1.94]


def test_videos_shorter_than_the_clip() -> None:
    assert run(Made([0.0])) == [(0.0, [0, 0, 0, 0])]
    assert run(Made(steps(2))) == [(0.0, [0, 0, 0, 1])]
    assert run(Made([])) == []


def test_a_key_at_either_end_of_the_clip() -> None:
    last = Cut(frames=3, stride=0.1, key=2, short_side=2)
    first = Cut(frames=3, stride=0.1, key=0, short_side=2)
    assert run(Made(steps(12)), last) == [(0.0, [0, 0, 0]), (1.0, [8, 9, 10])]
    assert run(Made(steps(12)), first) == [(0.0, [0, 1, 2]), (1.0, [10, 11, 11])]


def test_each_frame_is_resized_once_and_only_if_needed() -> None:
    video = Made(steps(60))
    run(video, every=0.1)
    assert max(video.resized) == 1
    sparse = Made(steps(590))
    run(sparse, every=10.0)
    assert sum(sparse.resized) == 2 + 4 * 5  # the first clip repeats its first frame


def test_a_clip_is_yielded_with_its_last_frame_and_reading_stops_after_the_last_clip() -> None:
    video = Made(steps(100))
    found = clips(video, CUT, duration=2.0)
    next(found)
    assert video.given == 3
    next(found)
    assert video.given == 13
    assert list(found) == []
    assert video.given == 13


def test_a_long_pause_opens_one_clip_at_a_time() -> None:
    found = run(Made([0.0, 0.1, 3000.0]), every=1.0)
    assert len(found) == 3001
    assert found[1000] == (1000.0, [1, 1, 1, 1])
    assert found[2000] == (2000.0, [2, 2, 2, 2])
    tracemalloc.start()
    for _ in islice(clips(Made([0.0, 0.1, 300.0]), CUT, every=0.01), 100):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6  # 30,000 pending clips would be tens of megabytes


def test_memory_does_not_grow_with_the_length_of_the_video() -> None:
    cut = Cut(frames=8, stride=0.2, key=4, short_side=64)  # 128 x 64 pixels: 25 kB per frame
    peaks = []
    for count in (200, 4000):
        tracemalloc.start()
        for _ in clips(Made(steps(count)), cut):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.3


@pytest.mark.parametrize("wrong", [{"every": 0}, {"start": -1}, {"duration": 0}])
def test_wrong_times_are_refused(wrong: dict[str, float]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(UsageError, match=f"^{name} is {value}; give"):
        clips(Made([0.0]), CUT, **wrong)


def test_key_times_must_ascend() -> None:
    with pytest.raises(UsageError, match="ascending"):
        clips(Made([0.0]), CUT, times=[1.0, 0.5])
    with pytest.raises(UsageError, match="ascending"):
        clips(Made([0.0]), CUT, times=[float("nan")])


@pytest.mark.parametrize(
    ("size", "shape"), [((96, 128), (72, 96)), ((40, 800), (17, 333)), ((72, 100), (72, 100))]
)
def test_frames_are_resized_as_for_released_weights(
    tmp_path: Path, size: tuple[int, int], shape: tuple[int, int]
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, *size, 3), np.uint8)
    path = lossless(tmp_path / "a.mov", frames)
    cut = Cut(frames=3, stride=0.1, key=0, short_side=72, resize="linear", long_side=333)
    with open_video(path) as video:
        clip = next(clips(video, cut))
    by_hand = [cv2.resize(f, shape[::-1], interpolation=cv2.INTER_LINEAR) for f in frames]
    np.testing.assert_array_equal(clip.pixels, by_hand)
    assert clip.size == size


def test_the_reader_averages_frames_by_default(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", frames=3)
    with open_video(path) as video:
        clip = next(clips(video, Cut(frames=3, stride=0.1, key=0, short_side=24)))
    with open_video(path) as video:
        by_hand = [frame.rgb(*clip.pixels.shape[1:3]) for frame in video]
    np.testing.assert_array_equal(clip.pixels, by_hand)


def lossless(path: Path, frames: Pixels) -> Path:
    """Frames [T, H, W, 3] as PNGs in a video of 10 frames per second."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("png", rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "rgb24"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        output.mux(stream.encode(None))
    return path


def test_an_invalid_cut_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Cut\.key"):
        Cut(8, 0.1, 8, 128)
    with pytest.raises(ValueError, match="stride"):
        Cut(8, 0.0, 4, 128)
    with pytest.raises(ValueError, match="resize 'cubic'"):
        Cut(8, 0.1, 4, 128, resize="cubic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="long_side -1"):
        Cut(8, 0.1, 4, 128, long_side=-1)


@given(
    gaps=st.lists(st.floats(0.01, 3.0), max_size=30),
    frames=st.integers(1, 6),
    key=st.integers(0, 5),
    stride=st.floats(0.01, 2.0),
    every=st.floats(0.05, 4.0),
)
def test_clips_agree_with_a_search_over_all_frames(
    gaps: list[float], frames: int, key: int, stride: float, every: float
) -> None:
    times = np.cumsum([0.0, *gaps])
    cut = Cut(frames, stride, min(key, frames - 1), 2)
    found = list(clips(Made(times.tolist()), cut, every=every))
    inside = [n for n in range(2000) if every * n <= times[-1] + 0.05]
    assert len(found) == len(inside)
    for n, clip in enumerate(found):
        assert clip.time == every * n
        wanted = clip.time + (np.arange(frames) - cut.key) * stride
        best = np.abs(times[None] - wanted[:, None]).min(1)
        np.testing.assert_allclose(np.abs(clip.times - wanted), best, atol=3e-6)
        np.testing.assert_array_equal(times[taken(clip)], clip.times)


@pytest.mark.parametrize("rate", [8, 10, 24, 30])
def test_clips_of_a_file_at_any_rate(tmp_path: Path, rate: int) -> None:
    path = make(tmp_path / "a.mp4", frames=2 * rate, rate=rate)
    cut = Cut(frames=3, stride=0.25, key=1, short_side=64)
    with open_video(path) as video:
        clip = list(clips(video, cut))[1]
    assert np.abs(clip.times - [0.75, 1.0, 1.25]).max() <= 0.5 / rate + 1e-6
    assert [number_of(p) for p in clip.pixels] == np.rint(clip.times * rate).tolist()
