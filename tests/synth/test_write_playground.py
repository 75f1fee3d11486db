import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from stadkit.detections import milliseconds
from stadkit.errors import UsageError
from stadkit.files.ava_csv import read_keyframes, read_truth
from stadkit.labels import read_labels
from stadkit.synth import CLASSES, Footage, labels, write_playground
from stadkit.synth.draws import Pixels
from stadkit.synth.scene import draw_long_scene
from stadkit.synth.skeleton import PELVIS
from stadkit.video.decode import open_video

SHORT = Footage(seconds=2.2, fps=10, width=128, height=96)
TRUTH = ("dense.csv", "sparse.csv", "tubes.json", "labels.txt", "args.yaml")


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("playground") / "deep" / "out"
    write_playground(out, 3, 7, footage=SHORT)
    return out


def test_files_and_labels(playground: Path) -> None:
    assert sorted(p.name for p in playground.iterdir()) == sorted((*TRUTH, "videos"))
    assert sorted(p.name for p in (playground / "videos").iterdir()) == [
        f"playground-7-000{i}.mp4" for i in range(3)
    ]
    assert read_labels(playground / "labels.txt") == labels()
    facts = yaml.safe_load((playground / "args.yaml").read_text())
    assert facts == {
        "videos": 3, "seed": 7, "seconds": 2.2, "fps": 10, "width": 128, "height": 96,
    }  # fmt: skip


def test_videos_and_truth_have_the_same_frames(playground: Path) -> None:
    dense = read_truth(playground / "dense.csv", labels())
    with open_video(playground / "videos" / "playground-7-0000.mp4") as video:
        frames = list(video)
    assert len(frames) == 22
    assert frames[0].rgb().shape == (96, 128, 3)
    times = milliseconds(np.array([frame.time for frame in frames]))
    assert set(milliseconds(dense.time)) <= set(times.tolist())
    assert np.array_equal(times, np.arange(22) * 100)


def test_sparse_truth_is_the_dense_once_per_second(playground: Path) -> None:
    dense = read_truth(playground / "dense.csv", labels())
    sparse = read_truth(playground / "sparse.csv", labels())
    rows = np.isin(milliseconds(dense.time), [0, 1000, 2000])
    assert len(sparse) == rows.sum() > 0
    assert np.array_equal(sparse.box, dense.box[rows])
    assert np.array_equal(sparse.track, dense.track[rows])


def test_tubes_agree_with_the_dense_truth(playground: Path) -> None:
    dense = read_truth(playground / "dense.csv", labels())
    videos = json.loads((playground / "tubes.json").read_text())["videos"]
    assert sorted(videos) == [f"playground-7-000{i}" for i in range(3)]
    boxes = sum(len(tube["boxes"]) for tubes in videos.values() for tube in tubes)
    assert boxes == int((dense.action == 1).sum())
    names = {tube["class"] for tubes in videos.values() for tube in tubes}
    assert names <= set(CLASSES)


def test_jobs_do_not_change_the_truth(playground: Path, tmp_path: Path) -> None:
    write_playground(tmp_path / "again", 3, 7, footage=SHORT, jobs=2)
    for name in TRUTH:
        assert (tmp_path / "again" / name).read_bytes() == (playground / name).read_bytes()


def test_corrupted_frames_are_listed_and_keep_their_truth(playground: Path, tmp_path: Path) -> None:
    broken = replace(SHORT, glitches=0.3)
    write_playground(tmp_path, 3, 7, footage=broken)
    facts = yaml.safe_load((tmp_path / "args.yaml").read_text())
    assert facts["glitches"] == 0.3
    assert "pace" not in facts
    for name in TRUTH[:-1]:
        assert (tmp_path / name).read_bytes() == (playground / name).read_bytes()
    lost = read_keyframes(tmp_path / "glitches.csv")
    # 30 % of 66 frames.
    assert 10 < len(lost) < 30
    for i in range(3):
        video = f"videos/playground-7-000{i}.mp4"
        difference = [
            np.abs(a.astype(int) - b.astype(int)).mean()
            for a, b in zip(frames_of(playground / video), frames_of(tmp_path / video), strict=True)
        ]
        worst = np.argsort(difference)[-(lost.video == Path(video).stem).sum() :]
        assert sorted(worst / 10) == sorted(lost.time[lost.video == Path(video).stem])
    write_playground(tmp_path, 1, 7, footage=Footage(0.3, 10, 64, 64), overwrite=True)
    assert not (tmp_path / "glitches.csv").exists()


def frames_of(path: Path) -> list[Pixels]:
    with open_video(path) as video:
        return [frame.rgb() for frame in video]


def test_pace_only_affects_the_paths() -> None:
    """At pace 2 people cover twice the distance on average, with unchanged limb motion."""
    times, scenes = np.arange(0, 4, 0.02), []
    for pace in (1.0, 2.0):
        rngs = [np.random.default_rng(seed) for seed in range(6)]
        scenes.append([draw_long_scene(rng, times, 96, 128, pace) for rng in rngs])
    ground = [0.0, 0.0]
    for usual, fast in zip(*scenes, strict=True):
        assert np.array_equal(usual.camera.sway, fast.camera.sway)
        for actors in zip(usual.actors, fast.actors, strict=True):
            usual, fast = (actor.figure.world for actor in actors)
            assert np.array_equal(usual[..., 1], fast[..., 1])  # heights of all joints
            assert np.array_equal(actors[0].timeline.action, actors[1].timeline.action)
            for i, world in enumerate((usual, fast)):
                step = np.diff(world[:, PELVIS, ::2], axis=0)
                ground[i] += float(np.hypot(*step.T).sum())
    assert ground[0] > 10
    assert ground[1] / ground[0] == pytest.approx(2, abs=0.1)


def test_folder_with_files_is_refused_and_overwritten_on_demand(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    mine, old = tmp_path / "videos" / "holiday.mp4", tmp_path / "videos" / "playground-9-0004.mp4"
    mine.write_bytes(b"mine")
    old.write_bytes(b"old")
    tiny = Footage(seconds=0.3, fps=10, width=64, height=64)
    with pytest.raises(UsageError, match="--overwrite"):
        write_playground(tmp_path, 1, 9, footage=tiny)
    reported: list[str] = []
    write_playground(tmp_path, 1, 9, footage=tiny, overwrite=True, progress=reported.append)
    assert reported == ["playground-9-0000"]
    assert mine.read_bytes() == b"mine"
    assert not old.exists()


def test_file_as_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        write_playground(path, 1, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("seconds", 0.0), ("fps", 0.5), ("width", 20), ("height", 9000)],
        *[("pace", 0.0), ("pace", 11.0), ("glitches", -0.1), ("glitches", 10.0)],
    ],
)
def test_invalid_footage_is_refused(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=r"(seconds|fps|size|pace|glitches) is"):
        Footage(**{field: value})  # type: ignore[arg-type]


def test_no_videos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        write_playground(tmp_path, 0, 0)
