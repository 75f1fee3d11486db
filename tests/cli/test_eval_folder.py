"""`stadkit eval` of CSV files and folders: no double counting, no silent faults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.evaluating import eval_json, evaluate

PERSON, OTHER = "0.1,0.2,0.4,0.8", "0.6,0.2,0.9,0.8"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 4 seconds one person stands and another walks; both are detected."""
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("1: stand\n2: walk\n")
    truth = [f"a,{s},{PERSON},1,0\na,{s},{OTHER},2,1\n" for s in range(902, 906)]
    found = [f"a,{s},{PERSON},1,0.9\na,{s},{OTHER},2,0.8\n" for s in range(902, 906)]
    Path("gt.csv").write_text("".join(truth))
    Path("one.csv").write_text("".join(found[:2]))
    Path("two.csv").write_text("".join(found[2:]))


def test_the_truth_in_a_folder_is_not_a_detection() -> None:
    result = evaluate(".", "gt.csv", "--json")
    facts = json.loads(result.stdout)
    note = ".: 2 CSV files read: one.csv, two.csv; gt.csv is the truth and left out"
    assert facts["notes"] == [note]
    assert note in result.stderr
    assert facts["frame_map"] == 1
    assert facts["classes"]["1"]["found"] == 4
    assert facts["faults"] == {}


def test_a_folder_with_only_the_truth() -> None:
    Path("one.csv").unlink()
    Path("two.csv").unlink()
    result = evaluate(".", "gt.csv")
    assert result.exit_code == 2
    assert ".: its only CSV is gt.csv, the truth; give the detections" in result.stderr


def test_truth_is_one_file() -> None:
    result = evaluate("one.csv", ".")
    assert result.exit_code == 2
    assert (
        ".: is a folder; give one of its files as truth: gt.csv, one.csv, two.csv" in result.stderr
    )


@pytest.mark.parametrize("arguments", [("", "gt.csv"), ("one.csv", ""), ("one.csv", " ")])
def test_an_empty_path_is_refused(arguments: tuple[str, str]) -> None:
    result = evaluate(*arguments)
    assert result.exit_code == 2
    assert "is empty; name a file or folder" in result.stderr


def test_duplicate_rows_are_reported() -> None:
    Path("det").mkdir()
    text = Path("one.csv").read_text()
    Path("det/a.csv").write_text(text)
    Path("det/b.csv").write_text(text.replace("0.9\n", "0.7\n"))  # the score may differ
    result = evaluate("det", "gt.csv", "--json")
    assert json.loads(result.stdout)["faults"]["det"]["repeated"] == {"rows": 4, "lines": []}
    assert (
        "det: 4 rows have the video, time, box and action of an earlier row, such as 'a' at 902 s, "
        "'stand': all count, mostly as wrong"
    ) in result.stderr
    Path("one.csv").write_text(f"{text}a,902,{PERSON},1,0.2\na,902,{PERSON},7,0.2\n")
    faults = eval_json("one.csv", "gt.csv")["faults"]["one.csv"]
    assert {kind: fault["rows"] for kind, fault in faults.items()} == {
        "unknown label": 1,
        "repeated": 1,
    }


def test_actions_only_in_found_are_reported_and_count_as_people() -> None:
    Path("det").mkdir()
    Path("det/labels.txt").write_text("1: Stand\n2: walk\n3: fly\n")
    rows = [f"a,{s},{PERSON},1,0.9\na,{s},{OTHER},2,0.8\n" for s in range(902, 906)]
    Path("det/a.csv").write_text("".join(rows) + f"a,902,{OTHER},3,0.5\n")
    result = evaluate("det", "gt.csv", "--json")
    facts = json.loads(result.stdout)
    assert facts["faults"]["det"]["unknown name"]["rows"] == 5
    assert (
        "5 rows have an action missing from the truth's list, such as 'Stand' (is it 'stand'?), "
        "'fly': counted for people only"
    ) in result.stderr
    assert facts["per_class"] == {"1": 0.0, "2": 1.0}
    assert facts["person_ap"] == 1


def test_found_boxes_of_unknown_actions_count_as_people() -> None:
    rows = [f"a,{s},{PERSON},9,0.9\na,{s},{OTHER},2,0.8\n" for s in range(902, 906)]
    Path("one.csv").write_text("".join(rows))
    facts = eval_json("one.csv", "gt.csv")
    assert facts["per_class"] == {"1": 0.0, "2": 1.0}
    assert facts["person_ap"] == facts["person_recall"] == 1
