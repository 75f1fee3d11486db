"""The examples that learn from kept maps of J-HMDB, on five clips of a square that moves."""

from __future__ import annotations

import csv
import importlib
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from stadkit.detection import DetectOptions, detect_video, load
from stadkit.files.ava_csv import read_truth
from stadkit.labels import read_labels

ROOT = Path(__file__).parents[1]
FRAMES = 5
CLIPS = (
    *(("wave", "a_wave_u_nm_np1_fr_med_0", "train"), ("wave", "b_wave_u_nm_np1_fr_med_0", "train")),
    *(("golf", "c_golf_f_nm_np1_fr_med_0", "train"), ("golf", "d_golf_f_nm_np1_fr_med_0", "test")),
    ("wave", "e_wave_u_nm_np1_fr_med_0", "test"),
)
FEW = ("--every", "2")


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def make_avi(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for i in range(FRAMES):
            pixels = np.full((240, 320, 3), shade, np.uint8)
            pixels[60:200, 100 + 5 * i : 160 + 5 * i] = 255 - shade
            output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        output.mux(stream.encode(None))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the import in `import` and the kept maps in `features`."""
    folder = tmp_path_factory.mktemp("jhmdb")
    rows = [["video", "action", "split1", "frame", "x1", "y1", "x2", "y2"]]
    for number, (action, video, part) in enumerate(CLIPS):
        make_avi(folder / "data" / "videos" / action / f"{video}.avi", 30 * number)
        for i in range(FRAMES):
            box = [100 + 5 * i, 60, 160 + 5 * i, 200]
            rows.append([video, action, part, str(i), *map(str, box)])
    with (folder / "data" / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    run("examples/import_jhmdb.py", folder / "data", "-o", folder / "import")
    run("examples/jhmdb_features.py", folder / "import", "-o", folder / "features", "--views", "2")
    return folder


def place(made: Path, out: str) -> tuple[Path, Path, str, Path]:
    return made / "import", made / "features", "-o", made / out


def test_stmixer_k_and_t_are_compared(made: Path) -> None:
    where = place(made, "stmixer")
    lines = run("examples/stmixer_tubes.py", *where, "--clips", "16").splitlines()
    names = ["K, every frame", "K, T's frames", "T, its frames"]
    shown = [line.split(" | ")[0] for line in lines[-6:]]
    assert shown == [f"| {name}, {way}" for name in names for way in ("viterbi", "track")]


@pytest.mark.parametrize("kind", ["k", "t"])
def test_kept_maps_give_what_detect_gives(
    made: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    features, heads = map(importlib.import_module, ("jhmdb_features", "jhmdb_heads"))
    weights = made / f"{kind}.safetensors"
    train, test = (
        features.read_frames(made / "import", made / "features", part) for part in ("train", "test")
    )
    name, labels = f"stmixer-{kind}-tiny", read_labels(made / "import" / "labels.txt")
    card, model = heads.new_model(name, labels, train)
    heads.save(
        card, heads.learn(card, model, train, heads.labelled(train), heads.Plan(32)), weights
    )
    card, model = heads.load(weights, test)
    looks = heads.in_turn(test, card) if card.tubelet else None
    looks = looks or heads.at_frames(test, card, np.arange(len(test.time)))
    kept, looked = heads.detect(card, model, test, looks, 0.01)
    kept = kept.select(kept.video == "d_golf_f_nm_np1_fr_med_0")
    video = made / "data" / "videos" / "golf" / "d_golf_f_nm_np1_fr_med_0.avi"
    options = DetectOptions(every=None if card.tubelet else "frame", min_person=0.01)
    found = detect_video(load(str(weights), precision="fp32"), video, options)
    table = found.table
    times = looked.time[looked.video == video.stem]
    np.testing.assert_allclose(found.keyframes.time, times)
    assert len(table) == len(kept) > 0
    np.testing.assert_allclose(table.box, kept.box, atol=2e-3)
    np.testing.assert_allclose(table.person, kept.person, atol=2e-3)
    np.testing.assert_allclose(table.action, kept.action, atol=2e-3)


def test_evad_is_trained_at_each_keep_rate(made: Path) -> None:
    few = ("--base", "16", "--clips", "8", "--rates", "1.0", "0.6", "--passes", "1")
    lines = run("examples/evad_keep_rates.py", *place(made, "keep"), *few, *FEW).splitlines()
    assert [line.split(" | ")[0] for line in lines[-2:]] == ["| 1.0", "| 0.6"]


def test_strategies_go_on_from_a_share_of_the_labels(made: Path) -> None:
    few = ("--base", "16", "--clips", "8", "--seeds", "2", "--shares", "0.5")
    few = (*few, "--strategies", "ema", "nearest", "tla", "truth")
    lines = run("examples/jhmdb_semi.py", *place(made, "semi"), *few, *FEW).splitlines()
    names = ["burn-in", "ema", "nearest", "tla", "truth"]
    assert [line.split(" | ")[0].split()[-1] for line in lines[-5:]] == names
    assert "6 labelled frames, 9 others" in lines


def test_each_pyramid_finds_people(made: Path) -> None:
    lines = run(
        "examples/mestad_pyramids.py", *place(made, "pyramids"), "--clips", "16", *FEW
    ).splitlines()
    assert [line.split(" | ")[0] for line in lines[-3:]] == ["| res3-4", "| res3-5", "| res2-4"]


def test_ucf24_is_thinned_to_one_frame_a_second(tmp_path: Path) -> None:
    tubes = ["video,class,tube,frame,x1,y1,x2,y2"]
    tubes += [f"v,Surfing,0,{i},10,20,30,40" for i in range(60)]
    (tmp_path / "tubes.csv").write_text("\n".join(tubes))
    (tmp_path / "videos.csv").write_text("video,width,height,fps\nv,100,50,25")
    out = tmp_path / "out" / "truth.csv"
    files = (tmp_path / "tubes.csv", tmp_path / "videos.csv", "-o", out)
    run("examples/ucf24_truth.py", *files, "--name", "Surfing=7: riding a wave")
    labels = read_labels(out.parent / "labels.txt")
    truth = read_truth(out, labels)
    assert (labels.ids, labels.names) == ((7,), ("riding a wave",))
    assert truth.time.tolist() == [0, 1, 2]
    np.testing.assert_allclose(truth.box[0], [0.1, 0.4, 0.3, 0.8])
