"""Live sources: kept and dropped frames, and reconnection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stadkit.errors import UsageError, VideoError
from stadkit.memory import peak
from stadkit.video.clips import Cut, clips
from stadkit.video.frame import Frame, Report, Video, VideoInfo
from stadkit.video.live import Freshest, LiveVideo, RetryPolicy
from stadkit.video.live_source import CameraVideo, LiveSource, live_source


def test_the_newest_items_stay_and_dropped_ones_are_counted() -> None:
    queue: Freshest[int] = Freshest(3)
    for number in range(7):
        queue.put(number)
    assert queue.dropped == 4
    assert queue.take(2) == [4, 5]
    queue.put(7)
    queue.end()
    assert queue.take(9) == [6, 7]
    assert queue.take() == []


def test_an_error_is_raised_after_the_remaining_items() -> None:
    queue: Freshest[int] = Freshest(3)
    queue.put(1)
    queue.end(VideoError("gone"))
    assert queue.take() == [1]
    with pytest.raises(VideoError, match="gone"):
        queue.take()


def test_the_consumer_waits_for_the_producer() -> None:
    queue: Freshest[int] = Freshest(3)
    taken: list[list[int]] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take()))
    taker.start()
    queue.put(5)
    taker.join(10)
    assert taken == [[5]]


class FakeClock:
    """A clock that waits advance, so that tests do not sleep."""

    def __init__(self) -> None:
        self.time = 100.0
        self.waits: list[float] = []

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float, stop: threading.Event) -> bool:
        if seconds > 0:
            self.waits.append(seconds)
            self.time += seconds
        return not stop.is_set()


@dataclass
class FakeConnection(Video):
    """A connection with `frames` frames 0.1 s apart; frame i has brightness i."""

    frames: int
    why: str = ""
    finished: bool = False
    at: list[int] = field(default_factory=list)
    stamp: Callable[[int], float] = lambda i: i / 10  # seconds of frame i
    info: VideoInfo = field(
        default_factory=lambda: VideoInfo(
            *(Path("cam"), 8, 6, 0, False, 10.0, 0.0, None, None, "test", "raw", "rgb24")
        )
    )

    def __iter__(self) -> Iterator[Frame]:
        for i in range(self.frames):
            yield Frame(self.stamp(i), (6, 8), None, partial(_picture, i))

    @property
    def report(self) -> Report:
        return Report(self.frames, None, 0, 0, False, "")

    def close(self) -> None:
        self.at.append(1)


def _picture(value: int, height: int, width: int) -> Any:
    return np.full((height, width, 3), value % 256, np.uint8)


def connections(*plan: Video | str) -> Callable[[], Video]:
    """Return a `connect` that gives these in turn; a string is the reason of a failure."""
    rest = iter(plan)

    def connect() -> Video:
        each = next(rest)
        if isinstance(each, str):
            raise VideoError(f"cam: {each}.")
        return each

    return connect


def live(
    *plan: Video | str,
    capacity: int = 1000,
    tries: int = 3,
    messages: list[str] | None = None,
    until: float | None = None,
) -> tuple[LiveVideo, FakeClock]:
    clock, words = FakeClock(), [] if messages is None else messages
    policy = RetryPolicy(tries=tries, capacity=capacity)
    video = LiveVideo("cam", connections(*plan), words.append, policy, clock, until)  # type: ignore[arg-type]
    return video, clock


def test_frames_arrive_at_their_display_times() -> None:
    video, clock = live(FakeConnection(5, finished=True))
    with video:
        assert [frame.time for frame in video] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert sum(clock.waits) == pytest.approx(0.4)
    assert (video.lost, video.reconnects, video.dropped) == ("", 0, 0)
    assert video.report == Report(5, None, 0, 0, False, "")


def test_an_interrupted_source_is_reconnected_and_time_continues() -> None:
    messages: list[str] = []
    first, second = FakeConnection(3, "no answer for 10 s"), FakeConnection(2, finished=True)
    video, clock = live(first, "Connection refused", second, messages=messages)
    with video:
        times = [frame.time for frame in video]
    # 0.2 s of frames, waits of 1 and 2 s, then continued.
    assert times == pytest.approx([0.0, 0.1, 0.2, 3.2, 3.3])
    assert (video.reconnects, video.lost) == (1, "")
    assert messages == [
        "cam: no answer for 10 s; trying again in 1 s (1 of 2)",
        "cam: Connection refused; trying again in 2 s (2 of 2)",
        "cam: is back after 3 s",
    ]
    assert first.at == second.at == [1]
    assert clock.time == pytest.approx(103.3)


def test_a_lost_source_is_given_up() -> None:
    video, clock = live(FakeConnection(3), *["Connection refused"] * 9, tries=4)
    with video:
        assert len(list(video)) == 3
    assert video.lost == "Connection refused; gave up after 4 tries"
    assert video.report.partial
    assert [wait for wait in clock.waits if wait >= 1] == [1, 2, 4]


def test_a_source_without_a_frame_is_an_error() -> None:
    with pytest.raises(VideoError, match=r"^cam: 404 Not Found; gave up after 3 tries$"):
        live(*["404 Not Found"] * 9)


def test_a_connection_with_frames_resets_the_number_of_tries() -> None:
    parts = [part for _ in range(6) for part in (FakeConnection(1), "Connection refused")]
    video, _ = live(*parts, FakeConnection(1, finished=True), tries=3)
    with video:
        assert len(list(video)) == 7
    assert video.reconnects == 6


def test_waits_double_up_to_the_maximum() -> None:
    policy = RetryPolicy(first=1.0, max_wait=5.0)
    assert [policy.wait(n) for n in (1, 2, 3, 4, 99)] == [1, 2, 4, 5, 5]


def test_frames_not_taken_in_time_are_dropped() -> None:
    video, _ = live(FakeConnection(50, finished=True), capacity=4)
    with video:
        video._thread.join(10)
        assert [round(frame.time, 1) for frame in video] == [4.6, 4.7, 4.8, 4.9]
    assert video.dropped == 46


def test_closing_stops_reading() -> None:
    video, _ = live(FakeConnection(10**9), capacity=2)
    next(iter(video))
    video.close()
    assert not video._thread.is_alive()


def test_clips_of_a_live_source() -> None:
    video, _ = live(FakeConnection(30, finished=True))
    with video:
        found = list(clips(video, Cut(3, 0.1, 1, 6), every=1.0))
    assert [clip.time for clip in found] == [0.0, 1.0, 2.0]
    assert found[1].pixels[:, 0, 0, 0].tolist() == [9, 10, 11]


def test_the_time_between_two_connections_is_a_pause() -> None:
    video, _ = live(FakeConnection(3), "Connection refused", FakeConnection(9, finished=True))
    with video:
        found = list(clips(video, Cut(1, 0.1, 0, 6), every=0.5))
        # Frames at 0, 0.1 and 0.2 s, and from 3.2 s on: nothing in between.
        times = [clip.time for clip in found if not video.paused(clip.time)]
    assert [clip.time for clip in found] == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert times == [0, 3.5, 4]


def test_a_late_first_frame_follows_a_pause() -> None:
    video, _ = live(FakeConnection(0), FakeConnection(9, finished=True))
    with video:
        assert next(iter(video)).time == 1.0
        assert [video.paused(second) for second in (0.0, 0.5, 1.0, 1.1)] == [
            True,
            True,
            False,
            False,
        ]


def test_frames_far_apart_have_a_pause_between_them() -> None:
    apart = FakeConnection(3, finished=True, stamp=lambda i: i * 1.9 if i < 2 else 6.0)
    video, _ = live(apart)
    with video:
        assert [frame.time for frame in video] == [0.0, 1.9, 6.0]
    assert [video.paused(second) for second in (1.0, 1.93, 2.0, 5.9, 5.96)] == [
        *(False, False, True, True, False)
    ]


def test_timestamps_that_jump_ahead_are_corrected() -> None:
    messages: list[str] = []
    jumping = FakeConnection(
        9, finished=True, stamp=lambda i: i / 10 + 3600 * (i > 2) + 900 * (i > 5)
    )
    video, clock = live(jumping, messages=messages)
    with video:
        assert [frame.time for frame in video] == pytest.approx([i / 10 for i in range(9)])
    assert (video.jumps, max(clock.waits)) == (2, pytest.approx(0.1))
    assert messages == [
        "cam: its timestamps are off by +3600.0 s; corrected to the clock "
        "(further corrections are only counted)"
    ]


def test_timestamps_that_jump_back_are_corrected() -> None:
    video, _ = live(FakeConnection(6, finished=True, stamp=lambda i: i / 10 - 100 * (i > 2)))
    with video:
        assert [frame.time for frame in video] == pytest.approx([i / 10 for i in range(6)])
    assert video.jumps == 1


class StallingConnection(FakeConnection):
    """Frame i is preceded by a stall of stalls(i) seconds on the clock."""

    clock: FakeClock
    stalls: Callable[[int], float]

    def __iter__(self) -> Iterator[Frame]:
        for i, frame in enumerate(super().__iter__()):
            self.clock.time += self.stalls(i)
            yield frame


def stalling(stalls: Callable[[int], float]) -> LiveVideo:
    clock, played = FakeClock(), StallingConnection(40, finished=True)
    played.clock, played.stalls = clock, stalls
    return LiveVideo("cam", lambda: played, policy=RetryPolicy(capacity=1000), clock=clock)  # type: ignore[arg-type]


def test_a_burst_after_a_stall_keeps_its_timestamps() -> None:
    with stalling(lambda i: 3.0 * (i == 3)) as video:
        assert [frame.time for frame in video] == pytest.approx([i / 10 for i in range(40)])
    assert video.jumps == 0


def test_timestamps_that_stay_behind_are_corrected() -> None:
    with stalling(lambda i: 1.0 * (i < 9)) as video:
        frames = list(video)
        assert video.jumps == 1
    # They arrive at 1, 2, 3, ... s: 2.8 s behind at 3 s, for more than 2 s by 6 s.
    assert [frame.time for frame in frames[:7]] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 6.0, 6.1])
    assert frames[-1].time == pytest.approx(9.4)
    assert [video.paused(second) for second in (0.4, 0.5, 5.9)] == [False, True, True]


def test_the_time_limit_applies_without_frames() -> None:
    waiting, go_on = threading.Event(), threading.Event()

    class Silent(FakeConnection):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            waiting.set()
            go_on.wait(60)

    video, clock = live(Silent(3), until=20.0)
    with video:
        frames = iter(video)
        assert len([next(frames) for _ in range(3)]) == 3
        waiting.wait(60)
        clock.time += 20
        assert next(frames, None) is None
        go_on.set()
    assert video.lost == "no frames after 0.2 s; stopped at the time limit"
    assert video.report.partial


def test_a_bug_is_raised_where_frames_are_taken() -> None:
    class Broken(FakeConnection):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            raise ZeroDivisionError

    video, _ = live(Broken(2))
    with video, pytest.raises(ZeroDivisionError):
        list(video)


@pytest.mark.slow
def test_fault_9_an_hour_needs_no_more_memory_than_a_minute() -> None:
    class Large(FakeConnection):
        def __iter__(self) -> Iterator[Frame]:
            for i in range(self.frames):
                picture = np.full((480, 640, 3), i % 256, np.uint8)
                yield Frame(i / 10, (480, 640), None, lambda *_, p=picture: p)

    def look(frames: int) -> int:
        video, _ = live(Large(frames, finished=True), capacity=16)
        with video:
            return sum(1 for _ in video) + video.dropped

    assert look(600) == 600
    before = peak()
    assert look(36_000) == 36_000
    assert peak() - before < 30e6


@pytest.mark.parametrize(
    ("text", "shown", "name"),
    [
        ("0", "camera 0", "camera-0"),
        ("rtsp://cam.local:554/live/one.sdp", "rtsp://cam.local:554/live/one.sdp", None),
        ("RTSP://cam/a", "rtsp://cam/a", "cam-a"),
        ("http://me:secret@cam/a.ts?token=1", "http://me:***@cam/a.ts?***", "cam-a"),
        ("https://[::1]:80/", "https://[::1]:80/", "1"),
        ("http://cam/../é ü/a.b.m3u8", "http://cam/../é ü/a.b.m3u8", "cam-é_ü-a.b"),
    ],
)
def test_live_sources(text: str, shown: str, name: str | None) -> None:
    source = live_source(text)
    assert source is not None
    assert str(source) == shown
    assert source.name == (name or "cam.local-live-one")


def test_other_inputs_are_not_live_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("a.mp4", "ftp://host/a.mp4", "file:///a.mp4", "-1", "1.5", "²", "concat:a|b"):
        assert live_source(text) is None
    Path("0").touch()
    assert live_source("0") is None
    with pytest.raises(UsageError, match="has no host"):
        live_source("rtsp:///a")


class Capture:
    """A fake OpenCV camera with three frames, blue channel first as in OpenCV."""

    def __init__(self, number: int) -> None:
        self.left = 3 if number == 0 else 0

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        picture = np.zeros((6, 8, 3), np.uint8)
        picture[..., 2] = 200
        return (True, picture) if self.left >= 0 else (False, None)

    def get(self, what: int) -> float:
        return 0.0

    def release(self) -> None:
        self.left = -1


def test_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.VideoCapture", Capture)
    with LiveSource(0, "").connect() as video:
        frames = list(video)
        assert (video.info.width, video.info.height, video.info.rate) == (8, 6, 30.0)
        assert getattr(video, "why", "") == "gives no more frames"
    assert len(frames) == 3
    assert frames[0].rgb()[0, 0].tolist() == [200, 0, 0]
    assert all(a.time < b.time for a, b in pairwise(frames))
    with pytest.raises(VideoError, match="camera 3: is not connected"):
        CameraVideo(3)
