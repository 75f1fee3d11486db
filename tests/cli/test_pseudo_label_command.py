"""`stadkit pseudo-label --detections`: inputs, outputs, messages and errors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from stadkit.cli.app import app
from stadkit.detections import Detections
from stadkit.files.ava_csv import read_truth
from stadkit.labels import Labels, read_labels

LABELS = Labels((1, 5), ("stand", "wave"))
LEFT, RIGHT = "0.1,0.2,0.3,0.8", "0.6,0.2,0.8,0.8"


def truth_rows(video: str = "a", start: int = 0) -> list[str]:
    """At 0, 1 and 2 s person 7 stands on the left; person 9, on the right, stands and waves."""
    return [
        f"{video},{start + second:04d},{rest}"
        for second in range(3)
        for rest in (f"{LEFT},1,7", f"{RIGHT},1,9", f"{RIGHT},5,9")
    ]


def found_rows(video: str = "a", step: float = 0.25) -> list[str]:
    """From 0 to 2 s both are detected, standing with .6 and, on the right, waving with .5."""
    return [
        f"{video},{step * i:g},{rest}"
        for i in range(round(2 / step) + 1)
        for rest in (f"{LEFT},1,0.6", f"{RIGHT},1,0.6", f"{RIGHT},5,0.5")
    ]


def save(name: str, rows: list[str]) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("".join(f"{row}\n" for row in rows))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("1: stand\n5: wave\n")
    save("sparse.csv", truth_rows())
    save("found.csv", found_rows())
    return tmp_path


def label(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["pseudo-label", *arguments])


def run_json(*arguments: str) -> dict[str, Any]:
    result = label(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def error_line(*arguments: str, code: int = 2) -> str:
    result = label(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()[-1].removeprefix("stadkit: error: ")


def dense(path: str = "dense.csv") -> Detections:
    return read_truth(path, read_labels(Path(path).with_name("labels.txt")))


def sources(path: str = "dense.sources.csv") -> list[list[str]]:
    return [line.split(",") for line in Path(path).read_text().splitlines()]


def usual(*more: str) -> tuple[str, ...]:
    return ("sparse.csv", "--detections", "found.csv", "-o", "dense.csv", *more)


def test_people_between_keyframes_get_labels_and_ids(here: Path) -> None:
    facts = run_json(*usual())
    assert (facts["videos"], facts["labelled_keyframes"], facts["true_people"]) == (1, 3, 6)
    assert (facts["pseudo_frames"], facts["pseudo_people"], facts["pseudo_labels"]) == (6, 12, 18)
    assert (facts["true_labels"], facts["background"], facts["exit_code"]) == (9, 0, 0)
    table = dense()
    assert np.unique(table.time).tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert table.time.tolist() == sorted(table.time.tolist())
    assert table.track.tolist() == [7, 9] * 9
    assert table.action.tolist() == [[1, 0], [1, 1]] * 9


def test_true_rows_are_unchanged(here: Path) -> None:
    run_json(*usual())
    lines = Path("dense.csv").read_text().splitlines()
    assert [line for line in lines if line.split(",")[1] in ("0000", "0001", "0002")] == (
        truth_rows()
    )


def test_the_sources_file_has_the_same_rows(here: Path) -> None:
    run_json(*usual())
    rows = sources()
    assert [",".join(row[:8]) for row in rows] == Path("dense.csv").read_text().splitlines()
    whole = {"0000", "0001", "0002"}
    assert [row[8] for row in rows] == ["true" if row[1] in whole else "pseudo" for row in rows]
    assert {tuple(row[9:]) for row in rows if row[8] == "true"} == {("", "")}
    (first,) = (row for row in rows if row[1] == "0000.25" and row[7] == "7")
    assert first[9] in ("0000", "0001")
    # Same box: -ln(.6) for stand; wave has no row and costs nothing.
    assert float(first[10]) == pytest.approx(-np.log(0.6), abs=1e-3)


def test_summary_lines(here: Path) -> None:
    result = label(*usual())
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "labels: 2, labels.txt",
        "tla: 1 video, 6 people in 3 keyframes -> 12 people more in 6 frames, 0 found but not "
        "labelled",
        "wrote dense.csv",
        "wrote dense.sources.csv",
    ]


def test_output_is_reproducible_and_can_be_gzipped(here: Path) -> None:
    run_json(*usual())
    first = Path("dense.csv").read_bytes(), Path("dense.sources.csv").read_bytes()
    run_json(*usual("--overwrite"))
    assert (Path("dense.csv").read_bytes(), Path("dense.sources.csv").read_bytes()) == first
    run_json("sparse.csv", "--detections", "found.csv", "-o", "zip/dense.csv.gz")
    assert gzip.decompress(Path("zip/dense.csv.gz").read_bytes()) == first[0]
    assert gzip.decompress(Path("zip/dense.sources.csv.gz").read_bytes()) == first[1]
    assert read_labels("zip/labels.txt") == LABELS


def test_eval_and_pseudo_label_read_it_as_truth(here: Path) -> None:
    run_json(*usual())
    result = CliRunner().invoke(app, ["eval", "found.csv", "dense.csv", "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["frame_map"] == pytest.approx(1.0)
    assert (
        run_json("dense.csv", "--detections", "found.csv", "-o", "again.csv")["pseudo_people"] == 0
    )


@pytest.mark.parametrize("strategy", ["tla", "tla+", "hard", "per-class", "nearest", "interpolate"])
def test_each_strategy_labels_these_people_correctly(here: Path, strategy: str) -> None:
    facts = run_json(*usual("--strategy", strategy))
    assert (facts["strategy"], facts["pseudo_people"]) == (strategy, 12)
    assert facts["pseudo_people_not_found"] == (12 if strategy == "interpolate" else 0)
    table = dense()
    right = table.box[:, 0] > 0.5
    assert table.action[right].tolist() == [[1, 1]] * 9
    assert table.action[~right].tolist() == [[1, 0]] * 9
    if strategy in ("hard", "per-class"):  # from scores alone, without identities
        assert set(table.track[~np.isin(table.time, (0, 1, 2))].tolist()) == {-1}
    if strategy == "per-class":
        assert facts["thresholds"] == pytest.approx({"stand": 0.6, "wave": 0.5}, abs=0.3)


def test_a_person_appears_once_per_frame(here: Path) -> None:
    # Three boxes, and one person in the neighbouring keyframes with two candidates.
    save("sparse.csv", [row for row in truth_rows() if row.endswith(",7")])
    extra = "0.15,0.2,0.35,0.8,1,0.6"
    save("found.csv", [f"a,0.5,{LEFT},1,0.6", f"a,0.5,{extra}"])
    run_json(*usual())
    table = dense()
    now = table.time == 0.5
    assert (table.action[now].tolist(), table.track[now].tolist()) == ([[1, 0]] * 2, [7, -1])


def test_truth_without_ids(here: Path) -> None:
    save("sparse.csv", [row.rsplit(",", 1)[0] for row in truth_rows()])
    run_json(*usual())
    assert set(dense().track.tolist()) == {-1}


@pytest.mark.parametrize("video", ["-5KQ66BBWC4", "a, b", "naïve 北京"])
def test_ids_are_kept_byte_for_byte(here: Path, video: str) -> None:
    quoted = f'"{video}"' if "," in video else video
    save("sparse.csv", truth_rows(quoted))
    save("found.csv", found_rows(quoted))
    run_json(*usual())
    assert set(dense().video.tolist()) == {video}
    assert Path("dense.csv").read_text().startswith(f"{quoted},0000,")


def test_the_offset_applies_to_the_truth(here: Path) -> None:
    save("sparse.csv", truth_rows(start=902))
    why = error_line(*usual(), code=5)
    assert "truth has 902 to 904 s, they are at 0 to 2 s; is --offset (now 0) right?" in why
    assert not Path("dense.csv").exists()
    facts = run_json(*usual("--offset", "902"))
    assert facts["pseudo_people"] == 12
    assert (facts["frames"]["frames"], facts["frames"]["labelled_frames"]) == (6, 3)
    assert {row[9] for row in sources() if row[8] == "pseudo"} <= {"0902", "0903", "0904"}
    assert Path("dense.csv").read_text().splitlines()[3].startswith("a,0902.25,")


def test_truth_at_ten_per_second(here: Path) -> None:
    boxes = [f"a,{i / 10:g},{LEFT},1,7" for i in range(5)]
    save("sparse.csv", boxes)
    save("found.csv", [f"a,{i / 20:g},{LEFT},1,0.6" for i in range(9)])
    facts = run_json(*usual())
    assert (facts["pseudo_frames"], facts["frames"]["labelled_frames"]) == (4, 5)


def test_an_empty_keyframe(here: Path) -> None:
    # Person 7 is absent at 1 s, but detected around that time.
    save("sparse.csv", [f"a,{s:04d},{LEFT},1,7" for s in (0, 2, 3)])
    save("found.csv", [f"a,{s:g},{LEFT},1,0.6" for s in (0.75, 1.25)])
    # Not listed as labelled, the keyframe is missing; both frames have 0 or 2 s nearby.
    assert run_json(*usual())["pseudo_people"] == 2
    save("looked.csv", [f"a,{s:04d}" for s in range(4)])
    facts = run_json(*usual("--overwrite", "--keyframes", "looked.csv", "--max-gap", "0.9"))
    assert (facts["labelled_keyframes"], facts["pseudo_people"]) == (4, 2)
    facts = run_json(*usual("--overwrite", "--keyframes", "looked.csv", "--max-gap", "0.5"))
    assert (facts["pseudo_people"], facts["frames"]["nobody_in_truth"]) == (0, 2)
    assert facts["background"] == 2
    run_json(*usual("--overwrite"))


def test_a_person_without_actions_is_kept(here: Path) -> None:
    save("sparse.csv", [*truth_rows(), "a,0001,0.4,0.4,0.5,0.5,,11"])
    run_json(*usual())
    assert "a,0001,0.4,0.4,0.5,0.5,,11" in Path("dense.csv").read_text().splitlines()


def test_incomplete_videos_are_reported(here: Path) -> None:
    save("sparse.csv", [*truth_rows("a"), *truth_rows("lost")])
    save("found.csv", [*found_rows("a"), *found_rows("extra")])
    facts = run_json(*usual())
    assert (facts["videos_missing"], facts["videos_without_truth"]) == (["lost"], ["extra"])
    assert (facts["pseudo_people"], facts["frames"]["frames"]) == (12, 6)
    assert set(dense().video.tolist()) == {"a", "lost"}
    notes = label(*usual("--overwrite")).stderr
    assert "note: 1 video of the truth missing, not labelled: 'lost'" in notes
    assert "note: 1 video without labelled keyframes, skipped: 'extra'" in notes


def test_incomplete_frames_are_reported(here: Path) -> None:
    save("found.csv", [*found_rows(), f"a,2.5,{LEFT},1,0.6", f"a,20,{LEFT},1,0.6"])
    facts = run_json(*usual())["frames"]
    assert (facts["without_neighbour"], facts["one_neighbour"], facts["frames"]) == (1, 1, 8)
    notes = label(*usual("--overwrite")).stderr
    assert "note: 1 of 8 frames: no labelled keyframe within reach (--max-gap)" in notes


def test_labels_are_matched_by_name(here: Path) -> None:
    save("other/found.csv", [row.replace(".8,1,0.6", ".8,3,0.6") for row in found_rows()])
    Path("other/labels.txt").write_text("3: stand\n4: sit\n")
    result = label("sparse.csv", "--detections", "other", "-o", "dense.csv")
    assert result.exit_code == 0
    assert "note: 1 of truth's 2 actions have no scores: 'wave'" in result.stderr
    # Unknown scores are not low scores: the boxes decide identities.
    assert dense().action.tolist() == [[1, 0], [1, 1]] * 9
    Path("other/labels.txt").write_text("3: hop\n4: sit\n")
    why = error_line(*usual("--overwrite")[:2], "other", *usual("--overwrite")[3:], code=5)
    assert "have no action in common: found has 'hop', 'sit'; truth has 'stand', 'wave'" in why


def test_people_with_known_low_scores_are_left_out(here: Path) -> None:
    assert "have no person scores, which CSV cannot hold" in error_line(
        *usual("--min-person", ".5")
    )
    people = [
        {"box": [0.1, 0.2, 0.3, 0.8], "score": score, "track": -1, "actions": []}
        for score in (0.9, 0.2)
    ]
    line = {"video": "a", "time": 0.5, "people": people}
    Path("found.jsonl").write_text(json.dumps(line) + "\n")
    arguments = ("sparse.csv", "--detections", "found.jsonl", "-o", "dense.csv")
    assert run_json(*arguments, "--min-person", "0.5")["pseudo_people"] == 1


def test_invalid_boxes_are_left_out(here: Path) -> None:
    save("found.csv", [*found_rows(), "a,0.25,0.5,0.5,0.4,0.6,1,0.6"])
    result = label(*usual())
    assert "note: 1 found box is empty or inverted: dropped" in result.stderr
    assert len(dense()) == 18


def test_check_reports_quality_and_writes_nothing(here: Path) -> None:
    before = sorted(here.rglob("*"))
    result = label("sparse.csv", "--detections", "found.csv", "--check")
    assert result.exit_code == 0, result.stderr
    assert "hidden: 1 of 3 labelled keyframes, with 2 people" in result.stderr
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["action", "precision", "recall", "F1", "labels"]
    assert rows[1] == ["stand", "100.00", "100.00", "100.00", "2"]
    assert rows[-1] == ["tla", "100.00", "100.00", "100.00", "100.00"]
    assert sorted(here.rglob("*")) == before


def test_check_compares_all_strategies(here: Path) -> None:
    facts = run_json("sparse.csv", "--detections", "found.csv", "--check", "--strategy", "all")
    assert list(facts["strategies"]) == [
        *("tla", "tla+", "hard", "per-class", "nearest", "interpolate")
    ]
    assert facts["strategies"]["nearest"]["f1"] == 1.0
    table = label("sparse.csv", "--detections", "found.csv", "--check", "--strategy", "all").stdout
    assert [line.split()[0] for line in table.splitlines()] == ["strategy", *facts["strategies"]]


def test_check_uses_the_available_videos(here: Path) -> None:
    save("sparse.csv", [*truth_rows("a"), *truth_rows("lost")])
    facts = run_json("sparse.csv", "--detections", "found.csv", "--check")
    assert (facts["strategies"]["tla"]["recall"], facts["videos_missing"]) == (1.0, ["lost"])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-o", "d.csv"), "give either --detections, existing ones, or --videos"),
        (("--detections", "found.csv"), "name the CSV to write by --output"),
        (("--detections", "found.csv", "-o", "d.json"), "d.json: name a .csv or .csv.gz file"),
        (("--detections", "found.csv", "-o", "found.csv"), "is an input too"),
        (("--detections", "found.csv", "-o", "sparse.csv"), "is an input too"),
        (("--detections", ".", "-o", "d.csv"), "would be read as detections in ."),
        (("--detections", "no.csv", "-o", "d.csv"), "no.csv: does not exist"),
        (
            ("--detections", "found.csv", "-o", "d.csv", "--every", "1"),
            "--every: only with --videos",
        ),
        (
            ("--detections", "found.csv", "-o", "d.csv", "--model", "x"),
            "--model: only with --videos",
        ),
        (
            ("--detections", "found.csv", "-o", "d.csv", "--no-cross-cuts"),
            "--no-cross-cuts: only with --videos",
        ),
        (("--detections", "found.csv", "-o", "d.csv", "--strategy", "x"), "unknown strategy 'x'"),
        (("--detections", "found.csv", "-o", "d.csv", "--strategy", "all"), "with --check"),
        (
            ("--detections", "found.csv", "-o", "d.csv", "--threshold", ".3"),
            "--threshold: only with --strategy hard, not tla",
        ),
        (
            ("--detections", "found.csv", "-o", "d.csv", "--free"),
            "--free: only with --strategy hard",
        ),
        (("--detections", "found.csv", "-o", "d.csv", "--bce", "max"), "unknown bce 'max'"),
        (("--detections", "found.csv", "-o", "d.csv", "--max-gap", "0"), "--max-gap 0: give"),
        (("--detections", "found.csv", "-o", "d.csv", "--offset", "nan"), "--offset nan: give"),
        (("--videos", ".", "-o", "d.csv", "--every", "0"), "--every 0: give seconds"),
        (("--detections", "found.csv", "-o", "d.csv", "--labels", "no"), "no: does not exist"),
    ],
)
def test_wrong_usage(here: Path, arguments: tuple[str, ...], why: str) -> None:
    assert why in error_line("sparse.csv", *arguments)
    assert not Path("d.csv").exists()


def test_wrong_files(here: Path) -> None:
    Path("empty.csv").write_text("")
    Path("half.csv").write_text("\n".join(truth_rows())[:-11])
    Path("tubes.json").write_text("{}")
    save("swapped.csv", ["a,0000,0.3,0.2,0.1,0.8,1,7"])
    save("named.csv", truth_rows("a.mp4"))
    rest = ("--detections", "found.csv", "-o", "d.csv")
    assert "empty.csv: has no rows" in error_line("empty.csv", *rest)
    nobody = ("--detections", "empty.csv", "-o", "d.csv")
    assert "empty.csv: has no detections" in error_line("sparse.csv", *nobody, code=5)
    assert "half.csv:9: has 5 columns, but the first line has 8" in error_line("half.csv", *rest)
    assert "tubes.json: is not a CSV" in error_line("tubes.json", *rest)
    assert "swapped.csv:1: x2 < x1" in error_line("swapped.csv", *rest)
    assert "the file may hold detections" in error_line("found.csv", *rest)
    assert "match without file extensions" in error_line("named.csv", *rest, code=5)
    Path("wrong.txt").write_text("8: hop\n")
    why = error_line("sparse.csv", *rest, "--labels", "wrong.txt")
    assert "its action ids (1, 5) are not in the label list (8)" in why


def test_no_file_is_overwritten_or_misread(here: Path) -> None:
    Path("labels.txt").write_text("1: stand\n\n5:  wave\n")  # not in our own format
    run_json(*usual())
    assert Path("labels.txt").read_text() == "1: stand\n\n5:  wave\n"
    assert "dense.csv: exists already; use --overwrite" in error_line(*usual())
    run_json(*usual("--check"))
    Path("other").mkdir()
    Path("other/labels.txt").write_text("1: hop\n")
    why = error_line("sparse.csv", "--detections", "found.csv", "-o", "other/dense.csv")
    assert "other/labels.txt: lists other actions than the truth" in why


def test_rows_of_unknown_actions_are_reported(here: Path) -> None:
    save("sparse.csv", [*truth_rows(), f"a,0002,{LEFT},77,7"])
    assert "1 row has an action id missing from the labels, such as 77" in label(*usual()).stderr
