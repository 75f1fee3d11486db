"""Options of `stadkit eval`: effects, JSON output, and published numbers."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.evaluating import eval_json, evaluate

from stadkit.cli.eval import parse_ious
from stadkit.errors import UsageError

PARITY = Path(__file__).parents[1] / "data" / "ava_parity"


def error_line(*arguments: str) -> str:
    result = evaluate(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr.removeprefix("stadkit: error: ").rstrip("\n")


def gt(videos: tuple[str, ...] = ("v",), splits: int = 1) -> dict[str, Any]:
    """Videos of 20 frames, 100 x 200 pixels, each with one tube of class 0 in frames 1 to 20."""
    tube = np.concatenate(
        [np.arange(1, 21)[:, None], np.tile([20, 20, 80, 80], (20, 1))], 1
    ).astype(np.float32)
    return {
        "labels": ["jump", "run"],
        "train_videos": [[]] * splits,
        "test_videos": [list(videos)] if splits == 1 else [[name] for name in videos],
        "nframes": dict.fromkeys(videos, 20),
        "resolution": dict.fromkeys(videos, (100, 200)),
        "gttubes": {name: {0: [tube]} for name in videos},
    }


def tubes(video: str, frames: int) -> dict[int, list[Any]]:
    """The first frames of the tube of `gt`."""
    rows = gt()["gttubes"]["v"][0][0][:frames]
    return {0: [(video, 0.9, np.concatenate([rows, np.full((frames, 1), 0.9)], 1))], 1: []}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three seconds: an exact box in the first, a box of IoU 0.75 in the second."""
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("1: jump\n2: run\n")
    Path("truth.csv").write_text("".join(f"v,{t},0.1,0.2,0.4,0.8,1,0\n" for t in range(3)))
    Path("found.csv").write_text(
        "v,0,0.1,0.2,0.4,0.8,1,0.9\nv,1,0.1,0.2,0.4,0.65,1,0.8\nv,1,0.1,0.2,0.4,0.65,2,0.7\n"
    )
    Path("GT.pkl").write_bytes(pickle.dumps(gt()))
    Path("tubes.pkl").write_bytes(pickle.dumps(tubes("v", 12)))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["tubes.pkl", "GT.pkl", "--labels", "labels.txt"], "GT.pkl contains its own labels"),
        (["found.csv", "truth.csv", "--rate", "25"], "truth.csv has times, not frame"),
        (["found.csv", "truth.csv", "--split", "0"], "truth.csv has no splits"),
        (["found.csv", "truth.csv", "--protocol", ""], "--protocol '': use a name"),
        (["found.csv", "truth.csv", "--overwrite"], "--overwrite needs --plots"),
        (["found.csv", "truth.csv", "--rate", "inf"], "--rate inf: use frames per second, 1 to"),
        (["tubes.pkl", "GT.pkl", "--rate", "1e9"], "--rate 1e+09: use frames per second, 1 to"),
        (["tubes.pkl", "GT.pkl", "--rate", "nan"], "--rate nan: use frames per second, 1 to 1000"),
        (["found.csv", "truth.csv", "--iou", "0.0000001"], "thresholds must be above 0"),
        (
            ["found.csv", "truth.csv", "--iou", "0.5:0.95:0.0000001"],
            "4,500,001 thresholds; at most 100",
        ),
    ],
)
def test_options_without_effect_are_refused(files: Path, arguments: list[str], reason: str) -> None:
    assert reason in error_line(*arguments)


def test_json_tubes_have_a_rate_and_no_splits(files: Path) -> None:
    tube = {"class_id": 1, "class": "jump", "times": [0.0, 0.5, 1.0], "boxes": [[0, 0, 1, 1]] * 3}
    Path("tubes.json").write_text(json.dumps({"videos": {"v": [tube]}}))
    facts = eval_json("tubes.json", "tubes.json", "--rate", "2")
    assert facts["video_map"]["0.75"] == 1
    assert facts["asked"]["rate"] == 2
    assert "tubes.json has no splits" in error_line("tubes.json", "tubes.json", "--split", "0")


def test_at_most_100_thresholds() -> None:
    assert len(parse_ious("0.01:1:0.01")) == 100
    assert parse_ious("0.000001") == (1e-6,)
    for text in ("0.001:1:0.001", ",".join(f"0.{n}" for n in range(100, 201)), "0.0000004:0.5"):
        with pytest.raises(UsageError, match="--iou"):
            parse_ious(text)


def test_json_records_the_arguments(files: Path) -> None:
    assert eval_json("found.csv", "truth.csv")["asked"] == {
        "found": "found.csv",
        "truth": "truth.csv",
        "protocol": None,
        "cap": None,
        "iou": "0.5",
        "exclude": None,
        "labels": None,
        "partial": False,
        "only_found": False,
        "rate": None,
        "split": None,
    }
    Path("out.csv").write_text("v,2\n")
    facts = eval_json(
        *("found.csv", "truth.csv", "--exclude", "out.csv", "--cap", "1", "--iou", ".5,.9"),
        *("--labels", "labels.txt", "--partial", "--only-found", "--protocol", "slowfast"),
    )
    assert facts["asked"] == {
        "found": "found.csv",
        "truth": "truth.csv",
        "protocol": "slowfast",
        "cap": 1,
        "iou": ".5,.9",
        "exclude": "out.csv",
        "labels": "labels.txt",
        "partial": True,
        "only_found": True,
        "rate": None,
        "split": None,
    }
    assert facts["labels"] == {"count": 2, "from": "labels.txt"}
    assert facts["video_protocol"] is None


def test_json_has_each_threshold_of_each_class(files: Path) -> None:
    facts = eval_json("found.csv", "truth.csv", "--iou", "0.5,0.75,0.9")
    # 1 and 2 of 3 correct; the class without truth has no AP.
    assert facts["classes"]["1"]["ap_at"] == {
        "0.5": pytest.approx(2 / 3),
        "0.75": pytest.approx(2 / 3),
        "0.9": pytest.approx(1 / 3),
    }
    assert facts["classes"]["2"]["ap_at"] == {"0.5": None, "0.75": None, "0.9": None}
    assert facts["classes"]["1"]["ap"] == pytest.approx(5 / 9)
    assert facts["classes"]["1"]["video_ap"] is None


def test_json_has_each_class_of_tubes(files: Path) -> None:
    facts = eval_json("tubes.pkl", "GT.pkl", "--protocol", "ava")
    assert (facts["protocol"], facts["video_protocol"]) == ("ava", "multisports")
    # 11 of 19 frames: correct up to IoU 0.55.
    assert facts["classes"]["1"]["video_ap"] == {
        "0.2": 1,
        "0.5": 1,
        "0.75": 0,
        "0.5:0.95": pytest.approx(0.2),
        "0.1:0.9": pytest.approx(5 / 9),
        "0.05:0.45": 1,
    }
    assert facts["classes"]["1"]["video_ap"] == pytest.approx(facts["video_map"])
    assert set(facts["classes"]["2"]["video_ap"].values()) == {None}
    assert eval_json("tubes.pkl", "GT.pkl", "--protocol", "act")["video_protocol"] == "act"


def test_failed_plots_keep_the_score(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stadkit.metrics.plots.write_plots", full)
    result = evaluate("found.csv", "truth.csv", "--plots", "pictures", "--json")
    assert result.exit_code == 1
    assert "No space left" in result.stderr
    assert json.loads(result.stdout)["frame_map"] == pytest.approx(2 / 3)
    assert "frame mAP   66.67" in evaluate("found.csv", "truth.csv", "--plots", "new").stdout


def test_plots_of_tubes_by_act(files: Path) -> None:
    result = evaluate("tubes.pkl", "GT.pkl", "--protocol", "act", "--plots", "pictures")
    assert result.exit_code == 0, result.output
    assert len(list(Path("pictures").glob("*.png"))) > 0


def test_splits_and_rates(files: Path) -> None:
    Path("GT.pkl").write_bytes(pickle.dumps(gt(("u", "v"), splits=2)))
    Path("tubes.pkl").write_bytes(pickle.dumps(tubes("v", 20)))
    facts = eval_json("tubes.pkl", "GT.pkl", "--split", "1")
    assert (facts["frame_map"], facts["asked"]["split"]) == (1, 1)
    assert evaluate("tubes.pkl", "GT.pkl", "--split", "0").exit_code != 0
    Path("rows.csv").write_text("".join(f"v,{n / 30:.3f},.1,.2,.4,.8,1,0.9\n" for n in range(20)))
    facts = eval_json("rows.csv", "GT.pkl", "--split", "1", "--rate", "30")
    assert facts["coverage"]["shared_keyframes"] == 20
    assert facts["frame_map"] == 1


def test_partial_with_tubes(files: Path) -> None:
    Path("GT.pkl").write_bytes(pickle.dumps(gt(("u", "v"))))
    whole, part = eval_json("tubes.pkl", "GT.pkl"), eval_json("tubes.pkl", "GT.pkl", "--partial")
    assert (whole["video_map"]["0.5"], part["video_map"]["0.5"]) == (0.5, 1)
    assert (whole["frame_map"], part["frame_map"]) == pytest.approx((12 / 40, 12 / 20))
    assert part["coverage"]["truth_videos"] == 1


CASES = ("class_without_det", "dup_asc", "excluded", "gtless_frame", "no_score_col", "perfect")


@pytest.mark.parametrize("case", [*CASES, "capacity60", "argmax_taken", "ts_unpadded"])
def test_published_numbers_from_files(case: str, files: Path) -> None:
    """The command reproduces the evaluators' numbers on these files, digit by digit."""
    Path("labels.txt").unlink()
    folder, out = PARITY / case, []
    published = json.loads((folder / "expected.json").read_text())["evaluators"]
    for one in published:
        options = ["--protocol", one["protocol"]]
        options += [] if one["cap"] is None else ["--cap", str(one["cap"])]
        if one["protocol"] != "activitynet" and (folder / "excl.csv").stat().st_size:
            options += ["--exclude", str(folder / "excl.csv")]
        facts = eval_json(str(folder / "pred.csv"), str(folder / "gt.csv"), *options)
        out.append(facts["frame_map"])
        got = {n: ap for n, ap in facts["per_class"].items() if ap is not None}
        want = {n: ap for n, ap in one["per_class"].items() if isinstance(ap, float | int)}
        assert got == pytest.approx({n: ap for n, ap in want.items() if ap == ap}, abs=1e-9)
    assert len(out) > 3
