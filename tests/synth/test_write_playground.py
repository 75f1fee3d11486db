import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from stadkit.detections import milliseconds
from stadkit.errors import UsageError
from stadkit.files.ava_csv import read_truth
from stadkit.labels import read_labels
from stadkit.synth import CLASSES, Footage, labels, write_playground
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


def test_videos_have_the_frames_that_the_truth_has(playground: Path) -> None:
    dense = read_truth(playground / "dense.csv", labels())
    with open_video(playground / "videos" / "playground-7-0000.mp4") as video:
        frames = list(video)
    assert len(frames) == 22
    assert frames[0].rgb().shape == (96, 128, 3)
    times = milliseconds(np.array([frame.time for frame in frames]))
    assert set(milliseconds(dense.time)) <= set(times.tolist())
    assert np.array_equal(times, np.arange(22) * 100)


def test_sparse_is_dense_once_a_second(playground: Path) -> None:
    dense = read_truth(playground / "dense.csv", labels())
    sparse = read_truth(playground / "sparse.csv", labels())
    rows = np.isin(milliseconds(dense.time), [0, 1000, 2000])
    assert len(sparse) == rows.sum() > 0
    assert np.array_equal(sparse.box, dense.box[rows])
    assert np.array_equal(sparse.track, dense.track[rows])


def test_tubes_hold_the_dense_truth(playground: Path) -> None:
    dense = read_truth(playground / "dense.csv", labels())
    videos = json.loads((playground / "tubes.json").read_text())["videos"]
    assert sorted(videos) == [f"playground-7-000{i}" for i in range(3)]
    boxes = sum(len(tube["boxes"]) for tubes in videos.values() for tube in tubes)
    assert boxes == int((dense.action == 1).sum())
    names = {tube["class"] for tubes in videos.values() for tube in tubes}
    assert names <= set(CLASSES)


def test_jobs_do_not_change_a_byte_of_truth(playground: Path, tmp_path: Path) -> None:
    write_playground(tmp_path / "again", 3, 7, footage=SHORT, jobs=2)
    for name in TRUTH:
        assert (tmp_path / "again" / name).read_bytes() == (playground / name).read_bytes()


def test_folder_with_files_is_refused_and_overwritten_on_demand(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    mine, old = tmp_path / "videos" / "holiday.mp4", tmp_path / "videos" / "playground-9-0004.mp4"
    mine.write_bytes(b"mine")
    old.write_bytes(b"old")
    tiny = Footage(seconds=0.3, fps=10, width=64, height=64)
    with pytest.raises(UsageError, match="--overwrite"):
        write_playground(tmp_path, 1, 9, footage=tiny)
    told: list[str] = []
    write_playground(tmp_path, 1, 9, footage=tiny, overwrite=True, progress=told.append)
    assert told == ["playground-9-0000"]
    assert mine.read_bytes() == b"mine"
    assert not old.exists()


def test_file_as_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        write_playground(path, 1, 0)


@pytest.mark.parametrize(
    ("field", "value"), [("seconds", 0.0), ("fps", 0.5), ("width", 20), ("height", 9000)]
)
def test_footage_that_cannot_be(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=r"(seconds|fps|size) is"):
        Footage(**{field: value})  # type: ignore[arg-type]


def test_no_videos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        write_playground(tmp_path, 0, 0)
