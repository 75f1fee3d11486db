"""Examples from extracted frames."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from stadkit import zoo
from stadkit.errors import UsageError, VideoError
from stadkit.training.clips import shrink
from stadkit.training.config import AnnotatedSource
from stadkit.training.sources import Annotated, _made_from
from stadkit.video.clips import Cut

CARD = zoo.card("mestad-tiny")
MakeVideo = Callable[..., Path]


def frames_and_truth(folder: Path, seconds: int = 3) -> AnnotatedSource:
    """Ten frames a second whose grey level is their index; one person in seconds 1 and 2."""
    place = folder / "frames" / "a"
    place.mkdir(parents=True)
    for number in range(seconds * 10):
        frame = np.full((60, 80, 3), 8 * number, np.uint8)
        cv2.imwrite(str(place / f"a_{number:06d}.png"), frame)
    (folder / "labels.txt").write_text("1: stand\n2: walk\n")
    rows = "a,901,0.1,0.2,0.5,0.9,2,7\na,902,0.25,0.25,0.75,0.75,1,7\n"
    (folder / "truth.csv").write_text(rows)
    return AnnotatedSource(
        truth=folder / "truth.csv",
        labels=folder / "labels.txt",
        frames=folder / "frames",
        rate=10,
        offset=900,
        short_side=32,
    )


def test_frames_are_taken_around_the_key_time(tmp_path: Path) -> None:
    source = Annotated(frames_and_truth(tmp_path), CARD, tmp_path / "store")
    assert len(source) == 2
    example = source[0]
    assert example.clip.pixels.shape == (8, 32, 43, 3)
    # Key frame 4 is second 1, frame 10; .16 s a step, ten frames a second.
    wanted = [round((1 + 0.16 * step) * 10) * 8 for step in range(-4, 4)]
    assert np.allclose(example.clip.pixels.mean((1, 2, 3)), wanted, atol=2)
    assert np.allclose(example.box, [[0.1, 0.2, 0.5, 0.9]])
    assert example.action.tolist() == [[0, 1]]


def test_frames_are_resized_as_the_card_says(tmp_path: Path) -> None:
    config = frames_and_truth(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (60, 300, 3), np.uint8)
    for path in (tmp_path / "frames" / "a").iterdir():
        cv2.imwrite(str(path), noise[..., ::-1])
    card = replace(CARD, resize="linear", long_side=100)
    by_hand = cv2.resize(noise, (100, 20), interpolation=cv2.INTER_LINEAR)
    kept = Annotated(config, card, tmp_path / "store")[0].clip.pixels[0]
    assert kept.shape == (20, 100, 3)
    cut = Cut(1, 1.0, 0, 32, "linear", 100)
    np.testing.assert_array_equal(shrink(noise, cut), by_hand)
    by_area = cv2.resize(noise, (160, 32), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(shrink(noise, Cut(1, 1.0, 0, 32)), by_area)


def test_stores_are_reused(tmp_path: Path) -> None:
    config = frames_and_truth(tmp_path)
    plain = {"frames": 8, "stride": 0.16, "key": 4, "short_side": 32}
    assert _made_from(config, Cut(8, 0.16, 4, 32))["cut"] == plain
    other = _made_from(config, Cut(8, 0.16, 4, 32, "linear", 1333))["cut"]
    assert other == {**plain, "resize": "linear", "long_side": 1333}


def test_missing_video_and_short_video(tmp_path: Path) -> None:
    config = frames_and_truth(tmp_path)
    truth = tmp_path / "truth.csv"
    truth.write_text("b,901,0.1,0.2,0.5,0.9,2,7\n")
    with pytest.raises(UsageError, match=r"no video 'b' \(missing: 1 of 1 videos"):
        Annotated(config, CARD, tmp_path / "store")
    truth.write_text("a,950,0.1,0.2,0.5,0.9,2,7\n")
    with pytest.raises(VideoError, match=r"has no frame at 950 s"):
        Annotated(config, CARD, tmp_path / "store")[0]


def test_videos_are_cut_around_labels(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video("videos/a.mp4", seconds=3.0, rate=10)
    (tmp_path / "labels.txt").write_text("1: stand\n")
    rows = ["a,902,0,0,.5,.5,1,0", "a,901,.5,.5,1,1,1,0"]
    (tmp_path / "truth.csv").write_text("\n".join(rows) + "\n")
    config = AnnotatedSource(
        truth=tmp_path / "truth.csv",
        labels=tmp_path / "labels.txt",
        videos=tmp_path / "videos",
        offset=900,
        short_side=32,
    )
    source = Annotated(config, CARD, tmp_path / "store")
    assert [source[i].clip.time for i in range(2)] == [901, 902]
    reds = [source[i].clip.pixels[CARD.key, ..., 0].mean() for i in range(2)]
    # Red rises from 0 to 255 over 29 frames: frames 10 and 20 are the keys.
    assert np.allclose(reds, [255 * 10 / 29, 255 * 20 / 29], atol=6)
    assert np.allclose(source[0].box, [[0.5, 0.5, 1, 1]])


def test_a_label_outside_the_video_is_reported(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video("videos/a.mp4", seconds=2.0, rate=10)
    (tmp_path / "labels.txt").write_text("1: stand\n")
    (tmp_path / "truth.csv").write_text("a,1,0,0,.5,.5,1,0\na,7,0,0,.5,.5,1,0\n")
    config = AnnotatedSource(
        truth=tmp_path / "truth.csv",
        labels=tmp_path / "labels.txt",
        videos=tmp_path / "videos",
        short_side=32,
    )
    with pytest.raises(VideoError, match=r"a\.mp4: has no frame at 7 s"):
        Annotated(config, CARD, tmp_path / "store")[1]


def test_a_wrong_offset_is_reported(tmp_path: Path) -> None:
    config = frames_and_truth(tmp_path)
    late = config.model_copy(update={"offset": 901.5})
    with pytest.raises(VideoError, match=r"has no frame at 901 s.*check `offset` \(now 901\.5\)"):
        Annotated(late, CARD, tmp_path / "store")[0]


def test_another_rate_is_another_clip(tmp_path: Path) -> None:
    config = frames_and_truth(tmp_path)
    key = Annotated(config, CARD, tmp_path / "store")[0].clip.pixels[CARD.key].mean()
    half = config.model_copy(update={"rate": 5})
    other = Annotated(half, CARD, tmp_path / "store")[0].clip.pixels[CARD.key].mean()
    # Second 1 is frame 10 at ten a second, frame 5 at five.
    assert np.allclose([key, other], [80, 40], atol=2)


def test_people_of_one_keyframe_and_capital_endings(tmp_path: Path, make_video: MakeVideo) -> None:
    make_video("videos/b.mp4", seconds=2.0, rate=10).rename(tmp_path / "videos" / "b.MP4")
    (tmp_path / "labels.txt").write_text("1: stand\n")
    rows = ["b,1,0,0,.5,.5,1,0", "b,0,.1,.1,.5,.5,1,0", "b,1,.5,.5,1,1,1,1"]
    (tmp_path / "truth.csv").write_text("\n".join(rows) + "\n")
    config = AnnotatedSource(
        truth=tmp_path / "truth.csv",
        labels=tmp_path / "labels.txt",
        videos=tmp_path / "videos",
        short_side=32,
    )
    source = Annotated(config, CARD, tmp_path / "store")
    assert [len(source[i].box) for i in range(2)] == [1, 2]
    assert np.allclose(source[1].box, [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]])
