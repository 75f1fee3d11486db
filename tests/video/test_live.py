"""Live sources: what is kept, what is dropped, and what happens when they break off."""

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
from stadkit.video.live import Freshest, LiveVideo, Patience
from stadkit.video.live_source import CameraVideo, Source, live_source


def test_the_freshest_stay_and_the_others_are_counted() -> None:
    queue: Freshest[int] = Freshest(3)
    for number in range(7):
        queue.put(number)
    assert queue.dropped == 4
    assert queue.take(2) == [4, 5]
    queue.put(7)
    queue.end()
    assert queue.take(9) == [6, 7]
    assert queue.take() == []


def test_what_went_wrong_comes_after_what_was_given() -> None:
    queue: Freshest[int] = Freshest(3)
    queue.put(1)
    queue.end(VideoError("gone"))
    assert queue.take() == [1]
    with pytest.raises(VideoError, match="gone"):
        queue.take()


def test_a_taker_waits_for_the_giver() -> None:
    queue: Freshest[int] = Freshest(3)
    taken: list[list[int]] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take()))
    taker.start()
    queue.put(5)
    taker.join(10)
    assert taken == [[5]]


class Instant:
    """A clock that waits are added to: no test takes their time."""

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
class Played(Video):
    """A connection of so many frames, a tenth of a second apart; frame i is of brightness i."""

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
    """Connections in turn; a text is the reason why one fails."""
    rest = iter(plan)

    def connect() -> Video:
        each = next(rest)
        if isinstance(each, str):
            raise VideoError(f"cam: {each}.")
        return each

    return connect


def live(
    *plan: Video | str,
    room: int = 1000,
    tries: int = 3,
    told: list[str] | None = None,
    until: float | None = None,
) -> tuple[LiveVideo, Instant]:
    pace, words = Instant(), [] if told is None else told
    patience = Patience(tries=tries, room=room)
    video = LiveVideo("cam", connections(*plan), words.append, patience, pace, until)  # type: ignore[arg-type]
    return video, pace


def test_frames_come_when_they_are_to_be_shown() -> None:
    video, pace = live(Played(5, finished=True))
    with video:
        assert [frame.time for frame in video] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert sum(pace.waits) == pytest.approx(0.4)
    assert (video.lost, video.reconnects, video.dropped) == ("", 0, 0)
    assert video.report == Report(5, None, 0, 0, False, "")


def test_a_source_that_breaks_off_is_opened_again_and_time_goes_on() -> None:
    told: list[str] = []
    first, second = Played(3, "no answer for 10 s"), Played(2, finished=True)
    video, pace = live(first, "Connection refused", second, told=told)
    with video:
        times = [frame.time for frame in video]
    # .2 s of pictures, waits of 1 and 2 s, and on from there.
    assert times == pytest.approx([0.0, 0.1, 0.2, 3.2, 3.3])
    assert (video.reconnects, video.lost) == (1, "")
    assert told == [
        "cam: no answer for 10 s; trying again in 1 s (1 of 2)",
        "cam: Connection refused; trying again in 2 s (2 of 2)",
        "cam: is back after 3 s",
    ]
    assert first.at == second.at == [1]
    assert pace.time == pytest.approx(103.3)


def test_a_source_that_stays_away_is_given_up() -> None:
    video, pace = live(Played(3), *["Connection refused"] * 9, tries=4)
    with video:
        assert len(list(video)) == 3
    assert video.lost == "Connection refused; gave up after 4 tries"
    assert video.report.partial
    assert [wait for wait in pace.waits if wait >= 1] == [1, 2, 4]


def test_a_source_that_never_gives_a_frame_is_an_error() -> None:
    with pytest.raises(VideoError, match=r"^cam: 404 Not Found; gave up after 3 tries$"):
        live(*["404 Not Found"] * 9)


def test_a_connection_that_gives_frames_starts_the_count_anew() -> None:
    parts = [part for _ in range(6) for part in (Played(1), "Connection refused")]
    video, _ = live(*parts, Played(1, finished=True), tries=3)
    with video:
        assert len(list(video)) == 7
    assert video.reconnects == 6


def test_waits_double_up_to_the_longest() -> None:
    patience = Patience(first=1.0, longest=5.0)
    assert [patience.wait(n) for n in (1, 2, 3, 4, 99)] == [1, 2, 4, 5, 5]


def test_what_nobody_takes_in_time_is_dropped() -> None:
    video, _ = live(Played(50, finished=True), room=4)
    with video:
        video._thread.join(10)
        assert [round(frame.time, 1) for frame in video] == [4.6, 4.7, 4.8, 4.9]
    assert video.dropped == 46


def test_closing_ends_the_reading() -> None:
    video, _ = live(Played(10**9), room=2)
    next(iter(video))
    video.close()
    assert not video._thread.is_alive()


def test_clips_of_a_live_source() -> None:
    video, _ = live(Played(30, finished=True))
    with video:
        found = list(clips(video, Cut(3, 0.1, 1, 6), every=1.0))
    assert [clip.time for clip in found] == [0.0, 1.0, 2.0]
    assert found[1].pixels[:, 0, 0, 0].tolist() == [9, 10, 11]


def test_what_is_between_two_connections_is_a_pause() -> None:
    video, _ = live(Played(3), "Connection refused", Played(9, finished=True))
    with video:
        found = list(clips(video, Cut(1, 0.1, 0, 6), every=0.5))
        # Pictures at 0, .1 and .2, and from 3.2 s on: nobody saw what was in between.
        times = [clip.time for clip in found if not video.paused(clip.time)]
    assert [clip.time for clip in found] == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert times == [0, 3.5, 4]


def test_a_connection_that_gives_its_first_frame_late_begins_after_a_pause() -> None:
    video, _ = live(Played(0), Played(9, finished=True))
    with video:
        assert next(iter(video)).time == 1.0
        assert [video.paused(second) for second in (0.0, 0.5, 1.0, 1.1)] == [
            True,
            True,
            False,
            False,
        ]


def test_frames_far_apart_have_a_pause_between_them() -> None:
    apart = Played(3, finished=True, stamp=lambda i: i * 1.9 if i < 2 else 6.0)
    video, _ = live(apart)
    with video:
        assert [frame.time for frame in video] == [0.0, 1.9, 6.0]
    assert [video.paused(second) for second in (1.0, 1.93, 2.0, 5.9, 5.96)] == [
        *(False, False, True, True, False)
    ]


def test_stamps_that_jump_ahead_are_not_waited_for() -> None:
    told: list[str] = []
    jumping = Played(9, finished=True, stamp=lambda i: i / 10 + 3600 * (i > 2) + 900 * (i > 5))
    video, pace = live(jumping, told=told)
    with video:
        assert [frame.time for frame in video] == pytest.approx([i / 10 for i in range(9)])
    assert (video.jumps, max(pace.waits)) == (2, pytest.approx(0.1))
    assert told == [
        "cam: its time stamps are off by +3600.0 s; it goes on by the clock "
        "(more of these are only counted)"
    ]


def test_stamps_that_jump_back_go_on_by_the_clock() -> None:
    video, _ = live(Played(6, finished=True, stamp=lambda i: i / 10 - 100 * (i > 2)))
    with video:
        assert [frame.time for frame in video] == pytest.approx([i / 10 for i in range(6)])
    assert video.jumps == 1


class Stalling(Played):
    """Before frame i there are stalls(i) seconds without a picture, by the clock."""

    pace: Instant
    stalls: Callable[[int], float]

    def __iter__(self) -> Iterator[Frame]:
        for i, frame in enumerate(super().__iter__()):
            self.pace.time += self.stalls(i)
            yield frame


def stalling(stalls: Callable[[int], float]) -> LiveVideo:
    pace, played = Instant(), Stalling(40, finished=True)
    played.pace, played.stalls = pace, stalls
    return LiveVideo("cam", lambda: played, patience=Patience(room=1000), pace=pace)  # type: ignore[arg-type]


def test_a_burst_after_a_stall_keeps_its_stamps() -> None:
    with stalling(lambda i: 3.0 * (i == 3)) as video:
        assert [frame.time for frame in video] == pytest.approx([i / 10 for i in range(40)])
    assert video.jumps == 0


def test_stamps_that_stay_behind_go_on_by_the_clock() -> None:
    with stalling(lambda i: 1.0 * (i < 9)) as video:
        frames = list(video)
        assert video.jumps == 1
    # They come at 1, 2, 3, ... s: 2.8 s behind at 3 s, and for more than 2 s so at 6 s.
    assert [frame.time for frame in frames[:7]] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 6.0, 6.1])
    assert frames[-1].time == pytest.approx(9.4)
    assert [video.paused(second) for second in (0.4, 0.5, 5.9)] == [False, True, True]


def test_no_frame_for_so_long_ends_it_by_the_clock() -> None:
    waiting, go_on = threading.Event(), threading.Event()

    class Silent(Played):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            waiting.set()
            go_on.wait(60)

    video, pace = live(Silent(3), until=20.0)
    with video:
        frames = iter(video)
        assert len([next(frames) for _ in range(3)]) == 3
        waiting.wait(60)
        pace.time += 20
        assert next(frames, None) is None
        go_on.set()
    assert video.lost == "no picture after second 0.2; ended by the clock"
    assert video.report.partial


def test_a_bug_comes_out_where_frames_are_taken() -> None:
    class Broken(Played):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            raise ZeroDivisionError

    video, _ = live(Broken(2))
    with video, pytest.raises(ZeroDivisionError):
        list(video)


@pytest.mark.slow
def test_fault_9_an_hour_needs_no_more_memory_than_a_minute() -> None:
    class Large(Played):
        def __iter__(self) -> Iterator[Frame]:
            for i in range(self.frames):
                picture = np.full((480, 640, 3), i % 256, np.uint8)
                yield Frame(i / 10, (480, 640), None, lambda *_, p=picture: p)

    def look(frames: int) -> int:
        video, _ = live(Large(frames, finished=True), room=16)
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
def test_what_is_a_live_source(text: str, shown: str, name: str | None) -> None:
    source = live_source(text)
    assert source is not None
    assert str(source) == shown
    assert source.name == (name or "cam.local-live-one")


def test_what_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("a.mp4", "ftp://host/a.mp4", "file:///a.mp4", "-1", "1.5", "²", "concat:a|b"):
        assert live_source(text) is None
    Path("0").touch()
    assert live_source("0") is None
    with pytest.raises(UsageError, match="names no host"):
        live_source("rtsp:///a")


class Capture:
    """An OpenCV camera of three pictures; blue, as OpenCV has it, is first."""

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
    with Source(0, "").connect() as video:
        frames = list(video)
        assert (video.info.width, video.info.height, video.info.rate) == (8, 6, 30.0)
        assert getattr(video, "why", "") == "gives no more pictures"
    assert len(frames) == 3
    assert frames[0].rgb()[0, 0].tolist() == [200, 0, 0]
    assert all(a.time < b.time for a, b in pairwise(frames))
    with pytest.raises(VideoError, match="camera 3: is not there"):
        CameraVideo(3)
