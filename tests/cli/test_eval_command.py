"""`stadkit eval`: scores, messages and errors on small files written here."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.evaluating import eval_json, evaluate
from typer.testing import CliRunner

from stadkit.cli.app import app
from stadkit.cli.eval import parse_ious
from stadkit.errors import UsageError

LABELS = "1: stand\n2: walk\n5: wave\n"
# In each of 12 seconds one person stands and another walks; the first also waves in even ones.
PERSON, OTHER = "0.1,0.2,0.4,0.8", "0.6,0.2,0.9,0.8"


def truth_lines() -> list[str]:
    lines = []
    for second in range(902, 914):
        lines += [f"a,{second:04d},{PERSON},1,0", f"a,{second:04d},{OTHER},2,1"]
        lines += [f"a,{second:04d},{PERSON},5,0"] if second % 2 == 0 else []
    return lines


def found_lines() -> list[str]:
    """All standing people, half of the walking ones; waving is reported as a weaker walk."""
    lines = []
    for second in range(902, 914):
        lines.append(f"a,{second:04d},{PERSON},1,0.9")
        if second < 908:
            lines.append(f"a,{second:04d},{OTHER},2,0.8")
        else:
            lines.append(f"a,{second:04d},{PERSON},2,0.3")
    return lines


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text(LABELS)
    Path("truth.csv").write_text("\n".join(truth_lines()) + "\n")
    Path("found.csv").write_text("\n".join(found_lines()) + "\n")
    return tmp_path


def error_line(*arguments: str, code: int) -> str:
    result = evaluate(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("stadkit: error: ").rstrip("\n")


def change(edit: Callable[[list[str]], list[str]], name: str = "changed.csv") -> str:
    lines = [",".join(edit(line.split(","))) for line in found_lines()]
    Path(name).write_text("\n".join(lines) + "\n")
    return name


def test_json(files: Path) -> None:
    facts = eval_json("found.csv", "truth.csv")
    assert facts["protocol"] == "ava"
    assert facts["iou"] == [0.5]
    # Standing: 12 of 12 right; walking: the first 6 of 12; waving: never reported.
    assert facts["per_class"] == {"1": 1.0, "2": 0.5, "5": 0.0}
    assert facts["frame_map"] == pytest.approx(0.5)
    assert facts["classes"]["2"] == {
        "name": "walk",
        "ap": 0.5,
        "ap_at": {"0.5": 0.5},
        "video_ap": None,
        "recall": 0.5,
        "truth": 12,
        "found": 12,
    }
    # 24 people, 18 of them detected, one box each.
    assert facts["person_ap"] == facts["person_recall"] == pytest.approx(0.75)
    assert facts["video_map"] is None
    assert facts["groups"] == {}
    assert facts["coverage"]["shared_keyframes"] == 12
    assert facts["coverage"]["never_detected"] == ["wave"]
    assert facts["faults"] == {}
    # 18 of 24 right; the other six are on a person who stands, or stands and waves.
    assert facts["mistakes"]["right"] == pytest.approx(0.75)
    assert facts["mistakes"]["classification"] == pytest.approx(0.25)
    assert facts["mistakes"]["missed"] == 12


def test_table_and_notes(files: Path) -> None:
    result = evaluate("found.csv", "truth.csv", "--sort", "ap")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["id", "action", "AP", "recall", "truth", "found"]
    assert lines[1] == ["5", "wave", "0.00", "0.00", "6", "0"]
    assert lines[3] == ["1", "stand", "100.00", "100.00", "12", "12"]
    assert "frame mAP   50.00  (ava, IoU 0.5, 3 of 3 classes)" in result.stdout
    assert "person AP   75.00  (recall 75.00)" in result.stdout
    assert result.stderr.splitlines() == [
        "labels: 3, labels.txt",
        "coverage: 1 of 1 video and 12 of 12 keyframes of truth have detections",
        "truth classes never detected: 1 ('wave')",
        "the 24 top detections are: right 75%, duplicate 0%, localization 0%, classification 25%, "
        "background 0%",
        "12 of 30 truth labels are missed, 6 of them without a box of any action (IoU 0.5)",
        "most frequent confusions: 'walk' instead of 'stand'; 'walk' instead of 'wave'",
    ]


@pytest.mark.parametrize(
    ("sort", "order"),
    [("id", "stand walk wave"), ("count", "wave stand walk"), ("ap", "wave walk stand")],
)
def test_order_of_the_table(files: Path, sort: str, order: str) -> None:
    lines = evaluate("found.csv", "truth.csv", "--sort", sort).stdout.splitlines()
    assert [line.split()[1] for line in lines[1:4]] == order.split()


def test_options_change_the_score(files: Path) -> None:
    Path("out.csv").write_text("".join(f"a,{second}\n" for second in range(908, 914)))
    facts = eval_json("found.csv", "truth.csv", "--exclude", "out.csv")
    assert facts["per_class"] == {"1": 1.0, "2": 1.0, "5": 0.0}
    assert facts["coverage"]["truth_keyframes"] == 6
    assert eval_json("found.csv", "truth.csv", "--protocol", "mmaction2")["frame_map"] == 0.75
    capped = eval_json("found.csv", "truth.csv", "--cap", "1")
    assert capped["per_class"] == {"1": 1.0, "2": 0.0, "5": 0.0}
    facts = eval_json("found.csv", "truth.csv", "--iou", "0.5,0.75")
    assert facts["frame_map_at"] == {"0.5": 0.5, "0.75": 0.5}


def test_partial_and_only_found(files: Path) -> None:
    more = [line.replace("a,", "b,", 1) for line in truth_lines()]
    Path("truth.csv").write_text("\n".join(truth_lines() + more) + "\n")
    assert eval_json("found.csv", "truth.csv")["per_class"]["1"] == 0.5
    facts = eval_json("found.csv", "truth.csv", "--partial")
    assert facts["per_class"] == {"1": 1.0, "2": 0.5, "5": 0.0}
    assert facts["coverage"]["truth_videos"] == 1
    Path("few.csv").write_text("\n".join(found_lines()[:8]) + "\n")
    result = evaluate("few.csv", "truth.csv")
    assert "warning: most truth keyframes have no detections" in result.stderr
    assert eval_json("few.csv", "truth.csv", "--only-found")["per_class"] == {
        "1": 1.0,
        "2": 1.0,
        "5": 0.0,
    }


@pytest.mark.parametrize("folder", [False, True])
def test_empty_keyframes_of_detect_count_as_processed(files: Path, folder: bool) -> None:
    Path("out").mkdir()
    # Detections in the first 5 of 12 keyframes; the first 10 were processed.
    found = [line for line in found_lines() if int(line.split(",")[1]) < 907]
    Path("out/few.csv").write_text("\n".join(found) + "\n")
    looked = [json.dumps({"video": "a", "time": t, "people": []}) for t in range(902, 912)]
    Path("out/few.jsonl").write_text("\n".join(looked) + "\n")
    place = "out" if folder else "out/few.csv"
    facts = eval_json(place, "truth.csv", "--only-found")
    assert facts["per_class"] == {"1": 0.5, "2": 0.5, "5": 0.0}
    assert facts["coverage"]["truth_keyframes"] == 10
    coverage = eval_json(place, "truth.csv")["coverage"]
    assert coverage["looked"] is True
    assert (coverage["found_keyframes"], coverage["shared_keyframes"]) == (10, 10)
    words = evaluate(place, "truth.csv").stderr
    assert "10 of 12 keyframes of truth were processed" in words
    Path("out/few.jsonl").unlink()
    assert eval_json(place, "truth.csv", "--only-found")["per_class"]["1"] == 1.0
    assert eval_json(place, "truth.csv")["coverage"]["found_keyframes"] == 5


def test_excluded_keyframes_do_not_count_as_processed(files: Path) -> None:
    looked = [json.dumps({"video": "a", "time": t, "people": []}) for t in range(902, 914)]
    Path("found.jsonl").write_text("\n".join(looked) + "\n")
    Path("out.csv").write_text("a,0902\na,0903\n")
    coverage = eval_json("found.csv", "truth.csv", "--exclude", "out.csv")["coverage"]
    assert (coverage["found_keyframes"], coverage["truth_keyframes"]) == (10, 10)


def test_tracks_do_not_affect_the_score(files: Path) -> None:
    Path("linked.csv").write_text("".join(f"{line},3\n" for line in found_lines()))
    plain, linked = eval_json("found.csv", "truth.csv"), eval_json("linked.csv", "truth.csv")
    assert linked["per_class"] == plain["per_class"]
    assert linked["person_ap"] == plain["person_ap"]


def test_a_folder_of_detections_matches_truth_by_action_names(files: Path) -> None:
    folder = Path("det")
    folder.mkdir()
    Path("det/labels.txt").write_text("1: walk\n2: fly\n3: stand\n")
    number = {"1": "3", "2": "1"}
    lines = [line.split(",") for line in found_lines()]
    for row in lines:
        row[6] = number[row[6]]
    Path("det/one.csv").write_text("\n".join(",".join(row) for row in lines[:10]))
    Path("det/two.csv").write_text("\n".join(",".join(row) for row in lines[10:]))
    assert eval_json("det", "truth.csv")["per_class"] == {"1": 1.0, "2": 0.5, "5": 0.0}
    Path("det/labels.txt").write_text("1: swim\n3: fly\n")
    assert error_line("det", "truth.csv", code=5) == (
        "found and truth have no action in common: found's labels.txt has 'swim', 'fly'; "
        "truth has 'stand', 'walk', 'wave'; give one list for both by --labels"
    )


@pytest.mark.parametrize(("list_", "count"), [("60", 60), ("80", 80)])
def test_ava_label_lists_by_size(files: Path, list_: str, count: int) -> None:
    Path("labels.txt").unlink()
    facts = eval_json("found.csv", "truth.csv", "--labels", list_)
    assert len(facts["per_class"]) == count
    # Class 2, crawl, is not in the list of 60; class 1, bend, is in both.
    assert facts["per_class"]["1"] == 1
    assert ("2" in facts["per_class"]) == (count == 80)


def test_avas_labels_and_groups_without_a_list(files: Path) -> None:
    Path("labels.txt").unlink()
    result = evaluate("found.csv", "truth.csv", "--json")
    assert result.stderr.startswith("labels: 60, the 60 scored ones of AVA v2.2\n")
    facts = json.loads(result.stdout)
    assert facts["groups"] == {"pose": 0.5, "object": None, "interaction": None}
    assert facts["faults"]["truth.csv"] == {"unknown label": {"rows": 12, "lines": [2, 5, 7]}}


def test_nothing_in_common_is_an_error(files: Path) -> None:
    name = change(lambda row: [f"{row[0]}.mp4", *row[1:]])
    assert error_line(name, "truth.csv", code=5) == (
        "changed.csv and truth.csv have no video in common: found has 'a.mp4'; truth has 'a'; "
        "they match without file extensions; rename them in one of the two"
    )
    name = change(lambda row: [row[0], str((int(row[1]) - 900) * 25), *row[2:]])
    assert "look like frame numbers from second 900; convert them by 900 + n / 25" in error_line(
        name, "truth.csv", code=5
    )
    name = change(lambda row: [*row[:2], *(str(640 * float(x)) for x in row[2:6]), *row[6:]])
    assert (
        "the boxes of found reach 576 and look like pixels; divide x by the frame width"
        in error_line(name, "truth.csv", code=5)
    )
    name = change(lambda row: [*row[:6], str(int(row[6]) + 100), row[7]])
    assert error_line(name, "truth.csv", code=5) == (
        "changed.csv: its action ids (101, 102) are not in the label list (1, 2, 5); pass the list "
        "it was made with by --labels"
    )
    Path("empty.csv").write_text("")
    assert error_line("empty.csv", "truth.csv", code=5) == (
        "empty.csv: no valid detection; it is empty"
    )
    assert error_line("found.csv", "empty.csv", code=5) == (
        "empty.csv: no valid truth; it is empty"
    )


def test_faults_are_counted(files: Path) -> None:
    wrong = ["nan", "0.2", "0.4", "0.8"], ["0.4", "0.2", "0.1", "0.8"]
    lines = [f"a,0902,{','.join(box)},1,0.5" for box in wrong]
    lines += [f"a,0902,{PERSON},9,0.5", "a,0902,0.1,0.2,0.4,0.7,1,1.5"]
    Path("dirty.csv").write_text("\n".join(lines + found_lines()))
    result = evaluate("dirty.csv", "truth.csv", "--json")
    faults = json.loads(result.stdout)["faults"]["dirty.csv"]
    assert {kind: fault["lines"] for kind, fault in faults.items()} == {
        "unknown label": [3],
        "inverted": [2],
        "not finite": [1],
        "score outside 0..1": [4],
    }
    assert "dirty.csv: 1 row has an action id missing from the labels, such as 9" in result.stderr


def test_a_score_of_zero_is_explained(files: Path) -> None:
    name = change(lambda row: [*row[:2], *OTHER.split(","), "5", row[7]])
    result = evaluate(name, "truth.csv")
    assert result.exit_code == 0
    assert "frame mAP    0.00" in result.stdout
    assert "warning: no detection is right at IoU 0.5" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--protocol", "avva"], "unknown protocol 'avva'; did you mean 'ava'?"),
        (["--protocol", "act"], "protocol act needs truth tubes; for keyframes choose ava,"),
        (["--sort", "worst"], "--sort 'worst': use one of id, ap, name, count"),
        (["--rate", "0"], "--rate 0: use frames per second, 1 to 1000"),
        (["--iou", "50"], "--iou '50': thresholds must be above 0, at most 1 and ascending"),
        (["--iou", "half"], "--iou 'half': use a threshold 0.5, a list 0.5,0.75, or a range 0.5:"),
        (["--exclude", "gone.csv"], "gone.csv: does not exist"),
        (["--labels", "gone.txt"], "gone.txt: does not exist; name a label file"),
        (["--plots", "truth.csv"], "--plots truth.csv: is a file; choose a folder"),
    ],
)
def test_wrong_usage_exits_2(files: Path, arguments: list[str], reason: str) -> None:
    assert reason in error_line("found.csv", "truth.csv", *arguments, code=2)


def test_incompatible_files_exit_2(files: Path) -> None:
    Path("rows.pkl").write_bytes(pickle.dumps(np.zeros((1, 8))))
    Path("a.jsonl").write_text("{}\n")
    assert error_line("rows.pkl", "truth.csv", code=2) == (
        "rows.pkl: uses pixels and video numbers, which need the data set's GT.pkl; give it as "
        "TRUTH"
    )
    assert error_line("a.jsonl", "truth.csv", code=2) == (
        "a.jsonl: holds keyframes as JSON lines; give the CSV beside it"
    )
    assert error_line("gone.csv", "truth.csv", code=2).startswith("gone.csv: does not exist")


def test_plots_are_written_and_not_overwritten(files: Path) -> None:
    result = evaluate("found.csv", "truth.csv", "--plots", "pictures")
    assert result.exit_code == 0, result.stderr
    written = sorted(path.name for path in Path("pictures").iterdir())
    assert written == ["ap.png", "calibration.png", "confusion.png", "precision_recall.png"]
    assert f"wrote {Path('pictures/ap.png')}" in result.stderr
    again = error_line("found.csv", "truth.csv", "--plots", "pictures", code=2)
    assert again == f"{Path('pictures/ap.png')}: already exists; use --overwrite to replace it"
    more = ["--plots", "pictures", "--overwrite"]
    assert evaluate("found.csv", "truth.csv", *more).exit_code == 0


def gt() -> dict[str, Any]:
    """One video of 20 frames, 100 x 200 pixels; one tube of class 0 in frames 1 to 20."""
    frames = np.arange(1, 21)[:, None]
    tube = np.concatenate([frames, np.tile([20, 20, 80, 80], (20, 1))], 1).astype(np.float32)
    return {
        "labels": ["jump", "run"],
        "train_videos": [[]],
        "test_videos": [["v"]],
        "nframes": {"v": 20},
        "resolution": {"v": (100, 200)},
        "gttubes": {"v": {0: [tube]}},
    }


@pytest.fixture
def pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """GT.pkl, and tubes of class 0 with the first 12 of 20 frames."""
    monkeypatch.chdir(tmp_path)
    Path("GT.pkl").write_bytes(pickle.dumps(gt()))
    tube = gt()["gttubes"]["v"][0][0][:12]
    with_score = np.concatenate([tube, np.full((12, 1), 0.9)], 1)
    Path("tubes.pkl").write_bytes(pickle.dumps({0: [("v", 0.9, with_score)], 1: []}))
    rows = np.concatenate([np.zeros((12, 1)), tube[:, :1], np.zeros((12, 1))], 1)
    rows = np.concatenate([rows, np.full((12, 1), 0.9), tube[:, 1:]], 1)
    Path("frames.pkl").write_bytes(pickle.dumps(rows))
    return tmp_path


def test_pickled_tubes(pickles: Path) -> None:
    facts = eval_json("tubes.pkl", "GT.pkl")
    assert facts["protocol"] == "multisports"
    assert facts["frame_map"] == pytest.approx(12 / 20)
    # MultiSports' lengths: 11 of 19.
    assert facts["video_map"]["0.5"] == 1
    assert facts["video_map"]["0.75"] == 0
    assert facts["per_class"] == {"1": pytest.approx(0.6), "2": None}
    facts = eval_json("tubes.pkl", "GT.pkl", "--protocol", "act")
    assert facts["video_map"]["0.5:0.95"] == pytest.approx(0.3)  # 12 of 20: up to 0.6
    assert facts["frame_map"] == pytest.approx(0.6, abs=1e-6)
    result = evaluate("tubes.pkl", "GT.pkl")
    assert "video mAP   0.2 100.00, 0.5 100.00, 0.75 0.00" in result.stdout


def test_pickled_frames(pickles: Path) -> None:
    facts = eval_json("frames.pkl", "GT.pkl")
    assert facts["video_map"] is None
    assert facts["frame_map"] == pytest.approx(0.6)
    assert eval_json("frames.pkl", "GT.pkl", "--protocol", "act")["frame_map"] == pytest.approx(0.6)


def test_csv_rows_against_true_tubes(pickles: Path) -> None:
    lines = [f"v,{n / 25:.2f},0.1,0.2,0.4,0.8,1,0.9\n" for n in range(20)]
    Path("found.csv").write_text("".join(lines))
    assert eval_json("found.csv", "GT.pkl")["frame_map"] == 1
    Path("found.csv").write_text("".join(line.replace("v,", "v.avi,") for line in lines))
    assert "they match without file extensions" in error_line("found.csv", "GT.pkl", code=5)


def test_pyannot(pickles: Path) -> None:
    box = np.tile(np.array([200, 60, 100, 120], np.uint8), (20, 1))  # x + width is above 255
    annotation = {"label": 1, "sf": 0, "ef": 20, "boxes": box}
    video = {"numf": 20, "label": 1, "annotations": [annotation]}
    Path("pyannot.pkl").write_bytes(pickle.dumps({"v": video}))
    sides = ",".join(str(n) for n in (200 / 320, 60 / 240, 300 / 320, 180 / 240))
    lines = [f"v,{n / 25:.2f},{sides},2,0.{n + 10}\n" for n in range(20)]
    Path("found.csv").write_text("".join(lines))
    facts = eval_json("found.csv", "pyannot.pkl")
    assert facts["frame_map"] == 1
    assert facts["classes"]["2"]["truth"] == 20


def test_tubelets_are_linked_as_in_moc(pickles: Path) -> None:
    folder = Path("tubelets/v")
    folder.mkdir(parents=True)
    for frame in range(1, 20):
        rows = np.array([[20, 20, 80, 80, 20, 20, 80, 80, 0.9]], np.float32)
        tubelets = {1: rows, 2: np.zeros((0, 9), np.float32)}
        (folder / f"{frame:05d}.pkl").write_bytes(pickle.dumps(tubelets))
    facts = eval_json("tubelets", "GT.pkl", "--protocol", "act")
    assert facts["video_map"]["0.5:0.95"] == 1
    assert facts["frame_map"] == pytest.approx(1)
    assert "holds pickles, not truth" in error_line("tubes.pkl", "tubelets", code=2)


def test_a_malicious_pickle_is_refused(pickles: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (Path("canary"),)

    Path("evil.pkl").write_bytes(pickle.dumps(Evil()))
    error_line("evil.pkl", "GT.pkl", code=2)
    error_line("frames.pkl", "evil.pkl", code=2)
    assert not Path("canary").exists()


def test_json_tubes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tube = {
        "class_id": 3,
        "class": "wave",
        "score": 0.5,
        "times": [0.0, 0.04, 0.08],
        "boxes": [[0.1, 0.1, 0.5, 0.5]] * 3,
    }
    Path("tubes.json").write_text(json.dumps({"videos": {"v": [tube]}}))
    facts = eval_json("tubes.json", "tubes.json")
    assert facts["per_class"] == {"3": 1.0}
    assert facts["video_map"]["0.5:0.95"] == 1
    assert "protocol act works in pixels" in error_line(
        "tubes.json", "tubes.json", "--protocol", "act", code=2
    )


def test_thresholds() -> None:
    assert parse_ious("0.5") == (0.5,)
    assert parse_ious("0.5, .75") == (0.5, 0.75)
    assert parse_ious("0.5:0.95") == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    assert parse_ious("0.2,0.1:0.9:0.4") == (0.2, 0.1, 0.5, 0.9)
    for text in ("", "0", "1.2", "0.9:0.5", "0.5:0.9:0", "1:2:3:4", "-0.5", "nan"):
        with pytest.raises(UsageError, match="--iou"):
            parse_ious(text)


def test_bench(files: Path) -> None:
    arguments = ["bench", "eval", "--keyframes", "900", "--runs", "1", "--json"]
    result = CliRunner().invoke(app, arguments)
    facts = json.loads(result.stdout)
    assert facts["found_rows"] > 4 * facts["truth_rows"] > 0
    # A new process, so that Python's start and all imports count.
    assert facts["whole_s"] > facts["read_s"] + facts["score_s"]
    assert facts["goals"] == {"whole_s": 3.0, "peak_gb": 1.5}
    assert 0 < facts["frame_map"] < 1
    assert facts["peak_gb"] > 0
    arguments = ["bench", "video-map", "--videos", "20", "--tubes", "6", "--runs", "1"]
    result = CliRunner().invoke(app, arguments)
    assert "tubes                         120" in result.stdout
    assert "act_s" in result.stdout
