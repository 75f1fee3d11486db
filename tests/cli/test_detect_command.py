"""`stadkit detect` from the command line, with a fake detector."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from stadkit.cli.app import app
from stadkit.detection import Detector
from stadkit.files.ava_csv import read_found
from stadkit.labels import read_labels

MakeVideo = Callable[..., Path]
Stadkit = Callable[..., Result]


@pytest.fixture
def stadkit(fake_detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stadkit:
    """Run `stadkit detect` with these arguments, in a temporary folder."""
    monkeypatch.setattr("stadkit.detection.load", lambda *args: fake_detector)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["detect", *map(str, arguments)])

    return run


def manifest(folder: Path) -> dict[str, Any]:
    held: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return held


def test_csv_jsonl_labels_and_manifest(stadkit: Stadkit, make_video: MakeVideo) -> None:
    result = stadkit(make_video("a.mp4", seconds=3), "-o", "out")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "people from 0.5, actions from 0.1, every 1 s" in result.stderr
    out = Path("out")
    names = ["a.csv", "a.jsonl", "labels.txt", "manifest.json", "summary.json"]
    assert sorted(os.listdir(out)) == names
    table = read_found(out / "a.csv", read_labels(out / "labels.txt"))
    # Red is 0 at the first keyframe: no action reaches the threshold, so the CSV has no row for it.
    assert table.time.tolist() == [1.0, 2.0]
    lines = [json.loads(line) for line in (out / "a.jsonl").read_text().splitlines()]
    assert [line["time"] for line in lines] == [0.0, 1.0, 2.0]
    assert lines[0]["people"][0]["actions"] == []
    second = lines[2]["people"][0]
    assert [(action["id"], action["name"]) for action in second["actions"]] == [
        (3, "wave"),
        (7, "sit"),
    ]
    assert second["box"] == [0.0, 0.1, 0.5, 0.9]
    held = manifest(out)
    assert held["model"]["sha256"] == "0" * 64
    assert held["thresholds"] == {"min_person": 0.5, "min_action": 0.1, "min_drawn": None}
    entry = held["videos"]["a"]
    assert (entry["status"], entry["frames"], entry["keyframes"], entry["people"]) == (
        "ok",
        30,
        3,
        3,
    )
    assert len(entry["sha256"]) == 64


def test_empty_keyframes_have_json_lines(stadkit: Stadkit, make_video: MakeVideo) -> None:
    stadkit(make_video("a.mp4", seconds=2), "-o", "out", "--min-person", "0.95")
    lines = [json.loads(line) for line in Path("out/a.jsonl").read_text().splitlines()]
    assert [line["people"] for line in lines] == [[], []]
    assert Path("out/a.csv").read_text() == ""


def test_thresholds_classes_and_times(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=4)
    stadkit(
        path, "-o", "out", "--every", "0.5", "--start", "1", "--duration", "1.2",
        "--min-person", "0.2", "--classes", "sit", "--min-action", "0",
    )  # fmt: skip
    lines = [json.loads(line) for line in Path("out/a.jsonl").read_text().splitlines()]
    assert [line["time"] for line in lines] == [1.0, 1.5, 2.0]
    assert all(len(line["people"]) == 2 for line in lines)
    assert {a["name"] for line in lines for p in line["people"] for a in p["actions"]} == {"sit"}
    assert Path("out/labels.txt").read_text() == "7: sit\n"


def test_every_frame_is_a_keyframe(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=2, rate=30)
    result = stadkit(path, "-o", "out", "--every", "frame", "--start", "1", "--link")
    assert result.exit_code == 0, result.stderr
    assert "actions from 0.1, every frame" in result.stderr
    lines = [json.loads(line) for line in Path("out/a.jsonl").read_text().splitlines()]
    assert [line["time"] for line in lines] == [round(i / 30, 3) for i in range(30, 60)]
    assert manifest(Path("out"))["arguments"]["every"] == "frame"
    again = stadkit(path, "-o", "out", "--every", "frame", "--start", "1", "--link")
    assert "kept from an earlier run" in again.stderr


def test_one_bad_input_does_not_stop_the_others(stadkit: Stadkit, make_video: MakeVideo) -> None:
    good = [make_video(f"{name}.mp4", seconds=1) for name in "ab"]
    Path("text.mp4").write_text("hello")
    os.mkfifo("pipe.mp4")
    result = stadkit(good[0], "text.mp4", "gone.mp4", "pipe.mp4", good[1], "-o", "out", "--json")
    assert result.exit_code == 1
    summary = json.loads(result.stdout)
    assert [row["status"] for row in summary["videos"]] == ["ok", *["failed"] * 3, "ok"]
    assert "2 of 5 complete" in result.stderr
    assert "text.mp4: is a text file" in result.stderr
    assert "gone.mp4: no such file" in result.stderr
    assert "pipe.mp4: is a named pipe" in result.stderr
    assert "Traceback" not in result.stderr
    assert {p.stem for p in Path("out").glob("*.csv")} == {"a", "b"}


@pytest.mark.parametrize("kind", ["gone", "empty", "text", "pipe", "folder"])
def test_an_unusable_only_input_exits_2(stadkit: Stadkit, kind: str) -> None:
    path = Path("x.mp4")
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("hello")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    result = stadkit(path, "-o", "out")
    assert result.exit_code == 2
    assert result.stderr.count("stadkit: error:") == 1
    assert not Path("out").exists()


def test_a_partial_video_is_reported(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=20)
    content = path.read_bytes()
    path.write_bytes(content[: int(0.7 * len(content))])
    result = stadkit(path, "-o", "out")
    assert result.exit_code == 1
    assert "PARTIAL" in result.stderr
    entry = manifest(Path("out"))["videos"]["a"]
    assert entry["status"] == "partial"
    assert entry["reason"]
    assert 0 < entry["keyframes"] < 20


def test_equal_stems_get_different_names(stadkit: Stadkit, make_video: MakeVideo) -> None:
    make_video("one/x.mp4", seconds=1)
    make_video("two/x.mp4", seconds=2)
    result = stadkit("one", "two", "one/x.mp4", "-o", "out")
    assert result.exit_code == 0
    assert sorted(p.name for p in Path("out").glob("*.csv")) == ["x-2.csv", "x.csv"]
    assert Path("out/x-2.csv").read_text().startswith("x-2,")
    assert '"video": "x-2"' in Path("out/x-2.jsonl").read_text()


def test_default_folder_is_always_new(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=1)
    for folder in ("runs/detect/a", "runs/detect/a-2"):
        result = stadkit(path)
        assert result.exit_code == 0
        # Printed first, however the run ends.
        assert result.stderr.splitlines()[0].endswith(f" -> {folder}")
    assert sorted(os.listdir("runs/detect")) == ["a", "a-2"]


def test_a_repeated_run_keeps_results(
    stadkit: Stadkit, make_video: MakeVideo, fake_detector: Detector
) -> None:
    path = make_video("a.mp4", seconds=1)
    stadkit(path, "-o", "out")
    calls = fake_detector.model.calls
    result = stadkit(path, "-o", "out")
    assert result.exit_code == 0
    assert "kept from an earlier run" in result.stderr
    assert fake_detector.model.calls == calls
    Path("out/a.csv").write_text("spoiled")
    assert stadkit(path, "-o", "out").exit_code == 0
    assert Path("out/a.csv").read_text() != "spoiled"
    assert fake_detector.model.calls > calls


def test_a_temporarily_missing_input_keeps_its_results(
    stadkit: Stadkit, make_video: MakeVideo, fake_detector: Detector
) -> None:
    for name in "ab":
        make_video(f"disk/{name}.mp4", seconds=1)
    command = ("disk/a.mp4", "disk/b.mp4", "-o", "out")
    assert stadkit(*command).exit_code == 0
    calls, before = fake_detector.model.calls, manifest(Path("out"))
    Path("disk").rename("off")
    result = stadkit(*command)
    assert result.exit_code == 1
    assert "disk/a.mp4: no such file" in result.stderr
    summary = json.loads(Path("out/summary.json").read_text())
    assert [row["status"] for row in summary["videos"]] == ["failed", "failed"]
    assert manifest(Path("out")) == before
    assert {path.name for path in Path("out").glob("?.*")} == {
        *("a.csv", "a.jsonl", "b.csv", "b.jsonl"),
    }
    Path("off").rename("disk")
    assert stadkit(*command).exit_code == 0
    assert fake_detector.model.calls == calls


def test_resume_after_a_kill_gives_the_same_bytes(
    stadkit: Stadkit, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [make_video(f"{name}.mp4", seconds=2) for name in "abc"]
    stadkit(*paths, "-o", "whole")
    import stadkit.runs.outputs as results

    whole = results.write_jsonl

    def killed(table: Any, keyframes: Any, labels: Any, path: Path, low: float) -> None:
        if path.name == "b.jsonl":
            raise KeyboardInterrupt
        whole(table, keyframes, labels, path, low)

    monkeypatch.setattr(results, "write_jsonl", killed)
    result = stadkit(*paths, "-o", "out")
    assert result.exit_code == 130
    assert "resumes here" in result.stderr
    assert Path("out/b.csv").exists()
    assert not Path("out/b.jsonl").exists()
    monkeypatch.setattr(results, "write_jsonl", whole)
    result = stadkit(*paths, "-o", "out")
    assert result.exit_code == 0
    assert result.stderr.count("kept from an earlier run") == 1
    for name in ("a.csv", "b.csv", "c.csv", "a.jsonl", "b.jsonl", "c.jsonl", "labels.txt"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()


def test_other_arguments_do_not_mix_in_one_folder(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=1)
    stadkit(path, "-o", "out")
    before = Path("out/a.jsonl").read_bytes()
    result = stadkit(path, "-o", "out", "--every", "0.5")
    assert result.exit_code == 2
    assert "every was 1.0, is 0.5" in result.stderr
    assert Path("out/a.jsonl").read_bytes() == before
    assert stadkit(path, "-o", "out", "--every", "0.5", "--overwrite").exit_code == 0
    assert Path("out/a.jsonl").read_bytes() != before


def test_another_video_of_the_same_name_is_processed(
    stadkit: Stadkit, make_video: MakeVideo
) -> None:
    stadkit(make_video("a.mp4", seconds=1), "-o", "out")
    before = Path("out/a.jsonl").read_bytes()
    result = stadkit(make_video("a.mp4", seconds=2), "-o", "out")
    assert result.exit_code == 2
    assert Path("out/a.jsonl").read_bytes() == before
    assert stadkit("a.mp4", "-o", "out", "--overwrite").exit_code == 0
    assert len(Path("out/a.jsonl").read_text().splitlines()) == 2


def test_a_foreign_file_is_kept(stadkit: Stadkit, make_video: MakeVideo) -> None:
    Path("out").mkdir()
    Path("out/a.csv").write_text("mine")
    result = stadkit(make_video("a.mp4", seconds=1), "-o", "out")
    assert result.exit_code == 2
    assert "--overwrite" in result.stderr
    assert Path("out/a.csv").read_text() == "mine"


def test_the_input_is_never_an_output(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("out/a.mp4", seconds=1)
    before = path.read_bytes()
    result = stadkit(path, "-o", "out", "--save-video", "--overwrite")
    assert result.exit_code == 2
    assert "is an input too" in result.stderr
    assert path.read_bytes() == before


def test_save_video(stadkit: Stadkit, make_video: MakeVideo) -> None:
    result = stadkit(make_video("a.mp4", seconds=2), "-o", "out", "--save-video")
    assert result.exit_code == 0, result.stderr
    with av.open("out/a.mp4") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 64, 48)
        assert sum(1 for _ in container.decode(stream)) == 20


def test_save_video_with_start_and_duration(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=3)
    stadkit(path, "-o", "out", "--save-video", "--start", "1", "--duration", "0.5")
    with av.open("out/a.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 5


def test_the_drawing_threshold_affects_resume(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=1)
    stadkit(path, "-o", "out", "--save-video")
    result = stadkit(path, "-o", "out", "--save-video", "--min-action", "0.1")  # the card's own
    assert result.exit_code == 2
    assert "min_drawn was 0.3, is 0.1" in result.stderr


@pytest.mark.parametrize(
    "wrong", [["--every", "0"], ["--duration", "-1"], ["--reader", "vlc"]], ids=str
)
def test_a_typing_error_leaves_no_files(
    stadkit: Stadkit, make_video: MakeVideo, wrong: list[str]
) -> None:
    path = make_video("a.mp4", seconds=1)
    assert stadkit(path, "-o", "out", *wrong).exit_code == 2
    assert not Path("out").exists()
    assert stadkit(path, "-o", "out").exit_code == 0


def test_all_outputs_are_checked_before_the_first_result(
    stadkit: Stadkit, make_video: MakeVideo
) -> None:
    Path("out").mkdir()
    Path("out/b.csv").write_text("mine")
    result = stadkit(make_video("a.mp4"), make_video("b.mp4"), "-o", "out")
    assert result.exit_code == 2
    assert os.listdir("out") == ["b.csv"]


def test_a_foreign_label_file_is_kept(stadkit: Stadkit, make_video: MakeVideo) -> None:
    Path("out").mkdir()
    Path("out/labels.txt").write_text("mine")
    assert stadkit(make_video("a.mp4"), "-o", "out").exit_code == 2
    assert Path("out/labels.txt").read_text() == "mine"


def test_a_disk_error_fails_one_input_and_removes_its_results(
    stadkit: Stadkit, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    import stadkit.video.write as write

    paths = [make_video(f"{name}.mp4", seconds=1) for name in "ab"]
    arguments = [*paths, "-o", "out", "--save-video", "--overwrite"]
    assert stadkit(*arguments).exit_code == 0
    whole = write.save_video

    def full(source: Path, *args: Any, **options: Any) -> Any:
        if source.name == "a.mp4":
            raise OSError(28, "No space left on device")
        return whole(source, *args, **options)

    monkeypatch.setattr(write, "save_video", full)
    result = stadkit(*arguments)
    assert result.exit_code == 1
    assert "a.mp4: No space left on device" in result.stderr
    assert {path.name for path in Path("out").glob("?.*")} == {"b.csv", "b.jsonl", "b.mp4"}
    videos = manifest(Path("out"))["videos"]
    assert (videos["a"]["status"], videos["a"]["outputs"]) == ("failed", {})
    assert videos["b"]["status"] == "ok"


def test_by_default_a_light_model_leaves_one_core(
    stadkit: Stadkit, make_video: MakeVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stadkit.runs.threads.cores", lambda: 2)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert stadkit(make_video("a.mp4", seconds=2), "-o", "out").exit_code == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    held = manifest(Path("out"))
    assert (held["videos"]["a"]["batch"], held["videos"]["a"]["threads"]) == (1, 1)
    assert held["arguments"]["batch"] is None  # the argument


def test_device_precision_and_batch_are_passed_on(
    stadkit: Stadkit, make_video: MakeVideo, fake_detector: Detector
) -> None:
    path = make_video("a.mp4", seconds=2)
    how = ["--device", "cpu", "--precision", "fp32", "--batch", "3", "--threads", "1"]
    assert stadkit(path, "-o", "out", "--every", "0.5", *how).exit_code == 0
    assert fake_detector.model.calls == 2  # 4 keyframes in batches of 3
    held = manifest(Path("out"))
    assert held["model"]["precision"] == "float32"
    assert (held["videos"]["a"]["batch"], held["videos"]["a"]["threads"]) == (3, 1)
    assert stadkit(path, "-o", "out", "--every", "0.5", *how, "--no-resume").exit_code == 0
    assert fake_detector.model.calls == 4


def test_both_readers_give_the_same_results(stadkit: Stadkit, make_video: MakeVideo) -> None:
    pytest.importorskip("decord")
    path = make_video("a.mp4")
    for reader in ("pyav", "decord"):
        result = stadkit(path, "-o", reader, "--reader", reader, "--top-k", "1")
        assert result.exit_code == 0, result.stderr
        assert manifest(Path(reader))["videos"]["a"]["reader"] == reader
    pyav, decord = (
        [json.loads(line) for line in Path(reader, "a.jsonl").read_text().splitlines()]
        for reader in ("pyav", "decord")
    )
    assert [line["time"] for line in pyav] == [line["time"] for line in decord]
    assert [len(line["people"]) for line in pyav] == [1, 1, 1]
    assert pyav[2]["people"][0]["box"] == decord[2]["people"][0]["box"]


def test_proposals(stadkit: Stadkit, make_video: MakeVideo) -> None:
    Path("boxes.csv").write_text("a,0001,0.1,0.2,0.3,0.4,0.95\na,0002,0.5,0.5,0.9,0.9,0.1\n")
    result = stadkit(make_video("a.mp4"), "-o", "out", "--proposals", "boxes.csv")
    assert result.exit_code == 0, result.stderr
    lines = [json.loads(line) for line in Path("out/a.jsonl").read_text().splitlines()]
    assert [(line["time"], len(line["people"])) for line in lines] == [(1.0, 1), (2.0, 0)]
    assert lines[0]["people"][0]["box"] == [0.1, 0.2, 0.3, 0.4]


def test_proposals_of_other_videos_exit_5(stadkit: Stadkit, make_video: MakeVideo) -> None:
    Path("boxes.csv").write_text("b,0001,0.1,0.2,0.3,0.4,0.95\n")
    result = stadkit(make_video("a.mp4"), "-o", "out", "--proposals", "boxes.csv")
    assert result.exit_code == 5
    assert "it names 'b', the inputs are 'a'" in result.stderr
    assert not Path("out").exists()


def test_proposal_times_outside_the_video_are_counted(
    stadkit: Stadkit, make_video: MakeVideo
) -> None:
    box = "0.1,0.2,0.3,0.4,0.95"
    Path("boxes.csv").write_text("".join(f"a,{time:04},{box}\n" for time in (1, 7, 9)))
    result = stadkit(make_video("a.mp4", seconds=3), "-o", "out", "--proposals", "boxes.csv")
    assert result.exit_code == 0
    assert "1 keyframe (2 proposal times outside)" in result.stderr
    assert manifest(Path("out"))["videos"]["a"]["outside"] == 2


@pytest.mark.parametrize("offline", [[], ["--offline"]])
def test_no_socket_is_opened(
    fake_card: Any,
    make_video: MakeVideo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offline: list[str],
) -> None:
    from stadkit import zoo
    from stadkit.zoo.cards import to_json

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket")

    card = replace(fake_card, settings={**fake_card.settings, "classes": 2})
    weights = tmp_path / "mine.safetensors"
    zoo.save_weights(zoo.build_card(card).state_dict(), weights, {"card": to_json(card)})
    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "create_connection", refused)
    command = ["detect", make_video("a.mp4", seconds=0.5), "-o", tmp_path / "out", "-m", weights]
    result = CliRunner().invoke(app, [*map(str, command), "--device", "cpu", *offline])
    assert result.exit_code == 0, result.output


def test_scores_survive_a_round_trip(stadkit: Stadkit, make_video: MakeVideo) -> None:
    stadkit(make_video("a.mp4"), "-o", "out", "--min-action", "0")
    table = read_found(Path("out/a.csv"), read_labels(Path("out/labels.txt")))
    lines = [json.loads(line) for line in Path("out/a.jsonl").read_text().splitlines()]
    for row, line in zip(table.action, lines, strict=True):
        scores = {action["id"]: action["score"] for action in line["people"][0]["actions"]}
        np.testing.assert_allclose(row, [scores[3], scores[7]], atol=1e-5)


def test_an_output_path_that_is_a_file(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=1)
    Path("out").write_text("mine")
    result = stadkit(path, "-o", "out")
    assert result.exit_code == 2
    assert "is a file, not a folder" in result.stderr
    result = stadkit(path, "-o", "out/deeper")
    assert result.exit_code == 2
    assert result.stderr.startswith("stadkit: error: out: is a file, not a folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-person", "2"], "less than or equal to 1"),
        (["--every", "0"], "every is 0; give a number of seconds above 0"),
        (["--every", "frames"], "--every 'frames': give seconds, such as 0.5, or frame"),
        (["--classes", "wav"], "did you mean 'wave'"),
        (["--reader", "vlc"], "unknown video reader 'vlc'"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage_exits_2(
    stadkit: Stadkit, make_video: MakeVideo, arguments: list[str], message: str
) -> None:
    inputs = [make_video("a.mp4", seconds=1)] if arguments else []
    result = stadkit(*inputs, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_detect_with_link(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=3)
    result = stadkit(path, "-o", "out", "--link", "--save-video", "--every", "0.5")
    assert result.exit_code == 0, result.stderr
    assert "6 people in 6 keyframes, 1 track, 2 tubes" in result.stderr
    ours = {"a.csv", "a.jsonl", "a.tubes.json", "a.mp4"}
    assert set(os.listdir("out")) == ours | {"labels.txt", "manifest.json", "summary.json"}
    lines = [json.loads(line) for line in Path("out/a.jsonl").read_text().splitlines()]
    assert [[person["track"] for person in line["people"]] for line in lines] == [[0]] * 6
    table = read_found("out/a.csv", read_labels("out/labels.txt"))
    # Red is 0 at the first keyframe: no action reaches the threshold, so the CSV has no row for it.
    assert table.track.tolist() == [0] * 5
    tubes = json.loads(Path("out/a.tubes.json").read_text())["videos"]["a"]
    assert {(tube["track"], tube["class"]) for tube in tubes} == {(0, "wave"), (0, "sit")}
    entry = manifest(Path("out"))["videos"]["a"]
    assert (entry["tracks"], entry["tubes"]) == (1, 2)
    assert (entry["size"], entry["rate"]) == ([48, 64], 10.0)
    assert "a.tubes.json" in entry["outputs"]
    # A repeated run is kept; without --link it would differ.
    assert "kept from an earlier run" in stadkit(
        path, "-o", "out", "--link", "--save-video", "--every", "0.5"
    ).stderr  # fmt: skip
    refused = stadkit(path, "-o", "out", "--save-video", "--every", "0.5")
    assert "link was True, is False" in refused.stderr


def test_link_afterwards_gives_the_same_tubes(stadkit: Stadkit, make_video: MakeVideo) -> None:
    path = make_video("a.mp4", seconds=3)
    assert stadkit(path, "-o", "linked", "--link", "--every", "0.5").exit_code == 0
    assert stadkit(path, "-o", "plain", "--every", "0.5").exit_code == 0
    result = CliRunner().invoke(app, ["link", "plain", "-o", "tubes.json"])
    assert result.exit_code == 0, result.stderr
    one, other = (
        json.loads(Path(name).read_text())["videos"]["a"]
        for name in ("linked/a.tubes.json", "tubes.json")
    )
    assert len(one) == len(other) == 2
    for mine, theirs in zip(one, other, strict=True):
        assert mine["times"] == theirs["times"]
        np.testing.assert_allclose(mine["scores"], theirs["scores"], atol=2e-5)


def test_a_start_past_the_end_is_an_error(stadkit: Stadkit, make_video: MakeVideo) -> None:
    result = stadkit(make_video("a.mp4"), "-o", "out", "--start", "100")
    assert result.exit_code == 1
    assert "a.mp4: the video, of 3.0 s, has no frame from 100 s on; give a smaller --start" in (
        result.stderr
    )
    assert not Path("out/a.csv").exists()
