"""examples/import_jhmdb.py: J-HMDB's own files become truth at the times of the videos' frames.

The real data set, where STADKIT_JHMDB names a folder of it (masks and splits, or boxes.csv).
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from stadkit.files.ava_csv import read_truth
from stadkit.files.tubes_json import read_tubes_json
from stadkit.labels import read_labels
from stadkit.video.decode import open_video

FOLDER = os.environ.get("STADKIT_JHMDB", "")
REAL = Path(FOLDER)
no_data = pytest.mark.skipif(not FOLDER, reason="STADKIT_JHMDB names no folder of J-HMDB")
HEIGHT, WIDTH = 48, 64
STAMPS = (0, 1, 3, 4)  # of 30 a second: the third is skipped, as J-HMDB's videos do
Run = Callable[..., int]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = Path(__file__).parents[1] / "examples" / "import_jhmdb.py"
    spec = importlib.util.spec_from_file_location("import_jhmdb", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["import_jhmdb"] = module  # where dataclasses look for their fields' types
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The exit code of the script with these arguments."""

    def call(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["import_jhmdb.py", *map(str, arguments)])
        code: int = example.main()
        return code

    return call


def make_avi(path: Path, stamps: tuple[int, ...] = STAMPS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for stamp in stamps:
            pixels = np.full((HEIGHT, WIDTH, 3), 20 * stamp, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = stamp
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def a_mask(frames: int) -> NDArray[np.uint8]:
    """Rows 6 to 17 and columns 16 to 31 in the first frame, one further right in each later one."""
    mask = np.zeros((HEIGHT, WIDTH, frames), np.uint8)
    for i in range(frames):
        mask[6:18, 16 + i : 32 + i, i] = 1
    return mask


def keep_mask(folder: Path, action: str, video: str, mask: NDArray[np.uint8]) -> None:
    place = folder / "puppet_mask" / action / video
    place.mkdir(parents=True)
    savemat(place / "puppet_mask.mat", {"part_mask": mask})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three clips in the official layout: `a` to learn from, `b` and `c` to be scored on."""
    folder = tmp_path / "JHMDB"
    (folder / "splits").mkdir(parents=True)
    (folder / "splits" / "pick_test_split1.txt").write_text("a.avi 1\nb (x).avi 2\n")
    (folder / "splits" / "wave_test_split1.txt").write_text("c.avi 2 \n\n")
    keep_mask(folder, "pick", "a", a_mask(4))
    keep_mask(folder, "pick", "b (x)", a_mask(4))
    last = a_mask(4)
    last[..., 1] = 0  # nobody
    last[..., 2] = 0
    last[-1, -1, 2] = 1  # one pixel, in the corner
    keep_mask(folder, "wave", "c", last)
    for action, video in (("pick", "a"), ("pick", "b (x)"), ("wave", "c")):
        make_avi(folder / "ReCompress_Videos" / action / f"{video}.avi")
    return folder


def test_boxes_and_times_by_hand(run: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(data, "-o", out) == 0
    labels = read_labels(out / "labels.txt")
    assert (labels.ids[7], labels.names[7], labels.names[20]) == (8, "pick up", "wave")
    truth = read_truth(out / "test.csv", labels)
    assert truth.video.tolist() == ["b (x)"] * 4 + ["c"] * 3
    assert truth.time.tolist() == [0.0, 0.033, 0.1, 0.133, 0.0, 0.1, 0.133]
    # 16 / 64, 6 / 48, 32 / 64, 18 / 48: the last pixel, 31 and 17, is inside.
    assert truth.box[0].tolist() == [0.25, 0.125, 0.5, 0.375]
    assert truth.box[1].tolist() == [0.265625, 0.125, 0.515625, 0.375]
    np.testing.assert_allclose(truth.box[5], [63 / 64, 47 / 48, 1, 1], rtol=1e-6)
    assert truth.action.argmax(1).tolist() == [7] * 4 + [20] * 3
    assert truth.track.tolist() == [0] * 7
    assert set(read_truth(out / "train.csv", labels).video) == {"a"}


def test_truth_is_at_the_times_that_detect_gives(run: Run, data: Path, tmp_path: Path) -> None:
    run(data, "-o", tmp_path)
    (path,) = map(Path, (tmp_path / "train.txt").read_text().splitlines())
    with open_video(path) as video:
        times = [round(frame.time, 3) for frame in video]
    truth = read_truth(tmp_path / "train.csv", read_labels(tmp_path / "labels.txt"))
    assert times == truth.time.tolist() == [0.0, 0.033, 0.1, 0.133]


def test_a_tube_a_clip(run: Run, data: Path, tmp_path: Path) -> None:
    run(data, "-o", tmp_path)
    tubes = read_tubes_json(tmp_path / "test.tubes.json", read_labels(tmp_path / "labels.txt"))
    assert tubes.video.tolist() == ["b (x)", "c"]
    assert tubes.label.tolist() == [7, 20]
    assert tubes.start.tolist() == [0, 4, 7]
    assert tubes.time.tolist() == [0.0, 0.033, 0.1, 0.133, 0.0, 0.1, 0.133]


def test_what_does_not_match_is_told(
    run: Run, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "splits" / "run_test_split1.txt").write_text("d.avi 1\n")
    make_avi(data / "ReCompress_Videos" / "pick" / "a.avi", (0, 1, 2))
    (data / "ReCompress_Videos" / "wave" / "c.avi").write_text("no video")
    assert run(data, "-o", tmp_path) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[:2] == [
        "train: 1 clips, 3 boxes; split 1 has 660",
        "test: 1 clips, 4 boxes; split 1 has 268",
    ]
    assert "clips without a puppet_mask.mat, left out: 1" in told.out
    assert "clips with another number of frames than their truth: 1" in told.out
    assert "clips whose video cannot be read, left out: 1" in told.out
    assert "c.avi: is a text file, not a video" in told.err
    assert "actions without a clip: brush_hair, catch" in told.out


def test_boxes_csv_stands_for_the_masks(run: Run, data: Path, tmp_path: Path) -> None:
    run(data, "-o", tmp_path / "masks")
    (data / "puppet_mask").rename(tmp_path / "away")
    rows = ["video,action,split1,split2,split3,frame,x1,y1,x2,y2"]
    for video, part in (("a", "train"), ("b (x)", "test")):
        boxes = [f"{i},{16 + i},6,{32 + i},18" for i in range(4)]
        rows += [f"{video},pick,{part},train,test,{box}" for box in boxes]
    rows += [f"c,wave,test,test,train,{box}" for box in ("0,16,6,32,18", "2,63,47,64,48")]
    rows += ["c,wave,test,test,train,3,19,6,35,18"]
    (data / "boxes.csv").write_text("\n".join(rows) + "\n")
    run(data, "-o", tmp_path / "table", "--videos", data / "ReCompress_Videos")
    names = ("train.csv", "test.csv", "train.tubes.json", "test.tubes.json", "train.txt")
    for name in names:
        masks, table = tmp_path / "masks" / name, tmp_path / "table" / name
        assert masks.read_text() == table.read_text()


def without_masks(data: Path) -> None:
    (data / "puppet_mask").rename(data / "away")


def without_splits(data: Path) -> None:
    for path in (data / "splits").iterdir():
        path.unlink()


def with_a_torn_line(data: Path) -> None:
    (data / "splits" / "wave_test_split1.txt").write_text("c.avi 2\nc.avi\n")


def with_a_torn_mask(data: Path) -> None:
    (data / "puppet_mask" / "pick" / "a" / "puppet_mask.mat").write_bytes(b"MATLAB 5.0, torn")


def without_videos(data: Path) -> None:
    (data / "ReCompress_Videos").rename(data / "away")


def with_words_for_numbers(data: Path) -> None:
    without_masks(data)
    head = "video,action,split1,frame,x1,y1,x2,y2"
    (data / "boxes.csv").write_text(f"{head}\na,pick,train,0,1,2,3,x\n")


def without_a_column(data: Path) -> None:
    without_masks(data)
    (data / "boxes.csv").write_text("video,action,frame,x1,y1,x2,y2\n")


def with_another_action(data: Path) -> None:
    (data / "splits" / "swim_test_split1.txt").write_text("a.avi 1\n")
    keep_mask(data, "swim", "a", a_mask(4))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_masks, "holds neither puppet_mask nor boxes.csv"),
        (without_splits, "splits: has no ACTION_test_split1.txt"),
        (with_a_torn_line, "wave_test_split1.txt:2: 'c.avi'"),
        (with_a_torn_mask, "puppet_mask.mat: is no MATLAB file"),
        (without_videos, "none of 3 clips has its video"),
        (with_words_for_numbers, "boxes.csv:2: a: frame and box are to be numbers"),
        (without_a_column, "boxes.csv:1: has no column 'split1'"),
        (with_another_action, "a is 'swim' in 'train'"),
    ],
)
def test_a_users_mistake_is_one_line(
    run: Run,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    words: str,
) -> None:
    spoil(data)
    assert run(data, "-o", tmp_path / "out") == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@no_data
@pytest.mark.real
def test_the_whole_of_it(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, counts in ((1, (660, 268)), (2, (658, 270)), (3, (663, 265))):
        assert run(REAL, "-o", tmp_path, "--split", str(split)) == 0
        train, test, *more = capsys.readouterr().out.splitlines()
        assert (train.split()[1], test.split()[1], more) == (str(counts[0]), str(counts[1]), [])
    held = json.loads((tmp_path / "test.tubes.json").read_text())["videos"]
    assert all(len(tubes) == 1 for tubes in held.values())


@no_data
@pytest.mark.real
def test_official_masks_are_the_boxes(example: ModuleType) -> None:
    masks = sorted(REAL.rglob("puppet_mask.mat"))
    table = REAL / "boxes.csv"
    if not masks or not table.is_file():
        pytest.skip("there are no masks beside boxes.csv")
    known = {actor.video: actor for actor in example.from_table(table, 1)}
    for path in masks:
        frame, box = example.mask_box(example.read_mask(path))
        assert frame.tolist() == known[path.parent.name].frame.tolist()
        assert box.tolist() == known[path.parent.name].box.tolist()
