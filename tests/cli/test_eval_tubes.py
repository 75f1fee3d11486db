"""`stadkit eval` of tube data sets: all options and figures follow the protocol."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.evaluating import eval_json, evaluate
from numpy.typing import NDArray

HERE, LOW, FAR = [0, 0, 9, 9], [0, 0, 9, 4], [50, 50, 59, 59]


def error_line(*arguments: str) -> str:
    result = evaluate(*arguments)
    assert result.exit_code == 2, result.output
    return result.stderr.removeprefix("stadkit: error: ").rstrip("\n")


def write(name: str, data: Any) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(pickle.dumps(data))


def tube(box: list[int], frames: int, score: float | None = None) -> NDArray[np.float32]:
    """Rows of frame, x1 y1 x2 y2 and optionally the score, from frame 1."""
    columns = [np.arange(1, frames + 1)[:, None], np.tile(box, (frames, 1))]
    columns += [] if score is None else [np.full((frames, 1), score)]
    return np.concatenate(columns, 1).astype(np.float32)


def gt(*boxes: list[int], video: str = "v", labels: int = 2) -> dict[str, Any]:
    """A video of 20 frames, 100 x 200 pixels, with tubes of class 0 in all of them."""
    return {
        "labels": [f"action {i}" for i in range(labels)],
        "train_videos": [[]],
        "test_videos": [[video]],
        "nframes": {video: 20},
        "resolution": {video: (100, 200)},
        "gttubes": {video: {0: [tube(box, 20) for box in boxes]}},
    }


def rows(box: list[int], frames: int, score: float) -> NDArray[np.float32]:
    """Detections of class 0 in the first frames of video 0, as an array [n, 8]."""
    frame, sides = np.arange(1, frames + 1)[:, None], np.tile(box, (frames, 1))
    zeros = np.zeros((frames, 1))
    columns = [zeros, frame, zeros, np.full((frames, 1), score), sides]
    return np.concatenate(columns, 1).astype(np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("GT.pkl", gt(HERE))
    write("frames.pkl", rows(HERE, 12, 0.9))
    write("tubes.pkl", {0: [("v", 0.9, tube(HERE, 12, 0.9))], 1: []})


@pytest.mark.parametrize("file", ["frames.pkl", "tubes.pkl"])
def test_act_scores_only_the_selected_frames(file: str) -> None:
    act = ("--protocol", "act")
    assert eval_json(file, "GT.pkl", *act)["frame_map"] == pytest.approx(12 / 20)
    Path("out.csv").write_text("".join(f"v,{n / 25:.2f}\n" for n in range(12, 20)))
    for option in (["--exclude", "out.csv"], ["--only-found"]):
        facts = eval_json(file, "GT.pkl", *act, *option)
        assert facts["frame_map"] == pytest.approx(1)
        assert facts["classes"]["1"]["truth"] == 12
    Path("out.csv").write_text("".join(f"v,{n / 25:.2f}\n" for n in range(6)))
    facts = eval_json(file, "GT.pkl", *act, "--exclude", "out.csv")
    assert facts["frame_map"] == pytest.approx(6 / 14)
    assert facts["classes"]["1"]["found"] == 6


def test_act_applies_the_cap() -> None:
    write("frames.pkl", np.concatenate([rows(HERE, 12, 0.5), rows(FAR, 12, 0.9)]))
    act = ("--protocol", "act")
    capped = eval_json("frames.pkl", "GT.pkl", *act, "--cap", "1")["classes"]["1"]
    assert (capped["ap"], capped["recall"], capped["found"]) == (0, 0, 12)
    whole = eval_json("frames.pkl", "GT.pkl", *act)["classes"]["1"]
    assert (whole["recall"], whole["found"]) == (0.6, 24)


def test_all_figures_follow_act() -> None:
    # 10 x 5 of 10 x 10 pixels including the last one; 9 x 4 of 9 x 9 excluding it.
    write("frames.pkl", rows(LOW, 20, 0.9))
    facts = eval_json("frames.pkl", "GT.pkl", "--protocol", "act")
    assert facts["frame_map"] == pytest.approx(1)
    assert facts["classes"]["1"]["recall"] == 1
    assert facts["person_ap"] == pytest.approx(1)
    assert facts["person_recall"] == 1
    assert facts["mistakes"]["right"] == 1
    assert facts["mistakes"]["missed"] == 0
    facts = eval_json("frames.pkl", "GT.pkl", "--protocol", "multisports")
    assert facts["frame_map"] == facts["person_ap"] == facts["classes"]["1"]["recall"] == 0


def test_act_ranks_rows_by_their_score_after_soft_nms() -> None:
    # IoU .8 with a better box: .85 becomes .17, below the .5 of another truth.
    write("GT.pkl", gt(HERE, FAR))
    near = rows([0, 0, 9, 7], 20, 0.85)
    write("frames.pkl", np.concatenate([rows(HERE, 20, 0.9), near, rows(FAR, 20, 0.5)]))
    facts = eval_json("frames.pkl", "GT.pkl", "--protocol", "act")
    assert facts["frame_map"] == pytest.approx(1)
    assert facts["mistakes"]["right"] == 1  # the 40 best match 40 truths
    assert eval_json("frames.pkl", "GT.pkl")["mistakes"]["right"] == 0.5


def test_video_map_reports_ignored_options() -> None:
    Path("out.csv").write_text("v,0.0\n")
    plain = eval_json("tubes.pkl", "GT.pkl")
    assert not any("whole tubes" in note for note in plain["notes"])
    options = ["--exclude", "out.csv", "--only-found", "--cap", "3", "--iou", "0.5,0.75"]
    facts = eval_json("tubes.pkl", "GT.pkl", *options)
    assert facts["video_map"] == plain["video_map"]
    note = "video mAP compares whole tubes and ignores --exclude, --only-found, --cap, --iou"
    assert note in facts["notes"]
    assert note in evaluate("tubes.pkl", "GT.pkl", *options).stderr
    assert "and ignores --cap" in evaluate("tubes.pkl", "GT.pkl", "--cap", "3").stderr
    assert "whole tubes" not in evaluate("frames.pkl", "GT.pkl", "--cap", "3").stderr


def pyannot() -> dict[str, Any]:
    box = np.tile(np.array([0, 0, 9, 9], np.uint8), (20, 1))
    annotation = {"label": 0, "sf": 0, "ef": 20, "boxes": box}
    return {"v": {"numf": 20, "label": 0, "annotations": [annotation]}}


def test_numbered_videos_need_a_gt_pkl() -> None:
    write("pyannot.pkl", pyannot())
    assert error_line("frames.pkl", "pyannot.pkl") == (
        "frames.pkl: numbers videos by a test list, which pyannot.pkl does not have; pass GT.pkl "
        "as truth"
    )
    assert error_line("tubes.pkl", "pyannot.pkl", "--split", "0") == (
        "--split 0: pyannot.pkl has no splits; give GT.pkl, or omit it"
    )
    assert eval_json("tubes.pkl", "pyannot.pkl")["video_map"]["0.5"] == 1


@pytest.mark.parametrize(("labels", "rate"), [(2, 25), (21, 30), (24, 25), (66, 25)])
def test_the_frame_rate_follows_from_the_data_set(labels: int, rate: int) -> None:
    write("GT.pkl", gt(HERE, labels=labels))
    lines = [f"v,{n / rate:.6f},0,0,.045,.09,1,0.9\n" for n in range(20)]
    Path("found.csv").write_text("".join(lines))
    result = evaluate("found.csv", "GT.pkl", "--json")
    assert json.loads(result.stdout)["per_class"]["1"] == 1
    assert f"read at {rate} frames per second; --rate changes that" in result.stderr
    assert ("JHMDB's 21 classes" in result.stderr) == (labels == 21)
    told_rate = evaluate("found.csv", "GT.pkl", "--rate", str(rate))
    assert "changes that" not in told_rate.stderr


def test_times_between_frames_require_the_rate() -> None:
    lines = [f"v,{n / 30 + 0.013:.6f},0,0,.045,.09,1,0.9\n" for n in range(20)]
    Path("found.csv").write_text("".join(lines))
    result = evaluate("found.csv", "GT.pkl")
    assert "if truth has frame numbers, pass its frame rate by --rate" in result.stderr


def tubelets() -> dict[int, dict[int, NDArray[np.float32]]]:
    """Tubelets of two frames, by start frame and label from 1."""
    made = np.array([[*HERE, *HERE, 0.9]], np.float32)
    return {frame: {1: made, 2: np.zeros((0, 9), np.float32)} for frame in range(1, 20)}


def test_tubelets_in_one_pickle_or_a_folder_follow_act() -> None:
    write("nested.pkl", {"v": tubelets()})
    for frame, by_label in tubelets().items():
        write(f"folder/v/{frame:05d}.pkl", by_label)
    for place in ("nested.pkl", "folder"):
        facts = eval_json(place, "GT.pkl")
        assert facts["protocol"] == "act"
        assert facts["frame_map"] == pytest.approx(1)
        assert facts["video_map"]["0.5:0.95"] == 1
        assert eval_json(place, "GT.pkl", "--protocol", "multisports")["protocol"] == "multisports"


def test_video_ids_with_a_folder() -> None:
    write("GT.pkl", gt(HERE, video="jump/v"))
    write("moc/jump/v_tubes.pkl", {0: [(tube(HERE, 20, 0.9), 0.9)]})
    facts = eval_json("moc", "GT.pkl")
    assert facts["protocol"] == "multisports"
    assert facts["video_map"]["0.5:0.95"] == 1


def test_faults_of_pickles_are_counted() -> None:
    wrong = rows(HERE, 3, 90.0)
    wrong[2, 4:] = [59, 50, 50, 59]
    write("frames.pkl", np.concatenate([wrong, wrong[:1], rows(HERE, 12, 0.9)]))
    faults = eval_json("frames.pkl", "GT.pkl")["faults"]["frames.pkl"]
    assert faults["inverted"] == {"rows": 1, "lines": [2]}
    assert faults["score outside 0..1"] == {"rows": 4, "lines": [0, 1, 2]}
    assert faults["repeated"]["rows"] == 3  # row 3, and the rows of frames 1 and 2
    assert "rows 0, 1, 2, ..." in evaluate("frames.pkl", "GT.pkl").stderr
    write("tubes.pkl", {0: [("v", 0.9, tube(HERE, 12, 0.9)), ("v", 1.5, tube(FAR, 3, 0.9))]})
    assert eval_json("tubes.pkl", "GT.pkl")["faults"]["tubes.pkl"] == {
        "score outside 0..1": {"rows": 1, "lines": ["v, tube 1"]}
    }
    made = tubelets()
    made[3][1] = made[3][1] * 10
    write("nested.pkl", {"v": made})
    assert eval_json("nested.pkl", "GT.pkl")["faults"]["nested.pkl"] == {
        "score outside 0..1": {"rows": 1, "lines": ["v, frame 3"]}
    }


def test_inverted_truth_is_an_error_in_every_format() -> None:
    write("GT.pkl", gt(HERE, [9, 0, 0, 9]))
    assert error_line("tubes.pkl", "GT.pkl") == (
        "GT.pkl: v, tube 1: x2 < x1 or y2 < y1, so these look like x, y, width, height; "
        "write x1, y1, x2, y2"
    )


def record(box: list[float], score: float = 0.5, number: Any = 3) -> dict[str, Any]:
    name = {"class_id": number, "class": "wave", "score": score}
    return {**name, "times": [0.0, 0.04, 0.08], "boxes": [[0.1, 0.1, 0.9, 0.9]] * 2 + [box]}


def test_faults_of_json() -> None:
    good, bad = [0.1, 0.1, 0.9, 0.9], [0.95, 0.1, 0.9, 0.9]
    Path("truth.json").write_text(json.dumps({"videos": {"v": [record(good)]}}))
    found = {"videos": {"u": [record(good)], "v": [record(good, 3.0), record(bad)]}}
    Path("found.json").write_text(json.dumps(found))
    assert eval_json("found.json", "truth.json")["faults"]["found.json"] == {
        "inverted": {"rows": 1, "lines": ["v, tube 1"]},
        "score outside 0..1": {"rows": 1, "lines": ["v, tube 0"]},
    }
    words = evaluate("found.json", "truth.json").stderr
    assert "1 tube has a box with x2 < x1 or y2 < y1 (v, tube 1): skipped" in words
    assert error_line("truth.json", "found.json").startswith("found.json: v, tube 1: x2 < x1")


def test_a_boolean_is_not_a_class() -> None:
    box = [0.1, 0.1, 0.9, 0.9]
    Path("truth.json").write_text(json.dumps({"videos": {"v": [record(box, number=1)]}}))
    Path("found.json").write_text(json.dumps({"videos": {"v": [record(box, number=True)]}}))
    assert "class True is not in the labels" in error_line("found.json", "truth.json")
    assert 'wants "class_id" and "class"' in error_line("truth.json", "found.json")
