"""`stadkit link`: inputs, outputs, messages and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from stadkit.cli.app import app
from stadkit.files import act, pickles
from stadkit.files.ava_csv import read_found
from stadkit.files.multisports import read_tubes
from stadkit.files.tube_truth import TubeTruth
from stadkit.files.tubelets import as_table, write_tubelets
from stadkit.labels import Labels, read_labels
from stadkit.tubes import Tubelets, Tubes

LABELS = Labels((1, 5), ("stand", "wave"))


def rows(video: str = "a", missed: tuple[int, ...] = ()) -> list[str]:
    """Ten keyframes: one person stands on the left; one on the right stands, and waves from 4."""
    lines = []
    for second in range(10):
        if second in missed:
            continue
        left, right = 0.1 + 0.005 * second, 0.6 - 0.005 * second
        lines.append(f"{video},{second:04d},{left:.3f},0.2,{left + 0.2:.3f},0.8,1,0.9")
        box = f"{right:.3f},0.2,{right + 0.2:.3f},0.8"
        lines.append(f"{video},{second:04d},{box},1,0.8")
        lines.append(f"{video},{second:04d},{box},5,{0.7 if second >= 4 else 0.01}")
    return lines


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("1: stand\n5: wave\n")
    Path("found.csv").write_text("\n".join(rows()) + "\n")
    return tmp_path


def link(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["link", *arguments])


def run_json(*arguments: str) -> dict[str, Any]:
    result = link(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def error_line(*arguments: str, code: int = 2) -> str:
    result = link(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.removeprefix("stadkit: error: ").rstrip("\n")


def tubes_of(video: str = "a", path: str = "t.json") -> list[dict[str, Any]]:
    held: list[dict[str, Any]] = json.loads(Path(path).read_text())["videos"][video]
    return held


def test_two_people_give_three_tubes_on_two_tracks(here: Path) -> None:
    facts = run_json("found.csv", "-o", "t.json")
    assert (facts["videos"], facts["keyframes"], facts["detections"]) == (1, 10, 20)
    assert (facts["people"], facts["tubes"], facts["interpolated"]) == (2, 3, 0.0)
    tubes = {(tube["track"], tube["class"]): tube for tube in tubes_of()}
    assert {name: [t for t, n in tubes if n == name] for name in ("stand", "wave")} == {
        "stand": [0, 1],
        "wave": [next(t for t, n in tubes if n == "wave")],
    }
    (wave,) = (tube for tube in tubes.values() if tube["class"] == "wave")
    assert (wave["start"], wave["end"], wave["class_id"]) == (4.0, 9.0, 5)
    assert wave["boxes"][0][0] == pytest.approx(0.58, abs=0.01)


def test_summary_line(here: Path) -> None:
    result = link("found.csv", "-o", "out/t.json")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "labels: 2, labels.txt",
        "track: 1 video, 20 detections -> 2 people, 3 tubes, 0.0 % of their boxes interpolated",
        "wrote out/t.json",
    ]


def test_the_csv_keeps_tracks_for_link_and_eval(here: Path) -> None:
    run_json("found.csv", "-o", "t.json", "--csv", "linked.csv")
    table = read_found("linked.csv", read_labels("labels.txt"))
    assert np.unique(table.track).tolist() == [0, 1]
    assert len(np.unique(table.track[table.box[:, 0] < 0.3])) == 1
    assert all(line.count(",") == 8 for line in Path("linked.csv").read_text().splitlines())
    run_json("linked.csv", "-o", "again.json")
    assert tubes_of(path="again.json") == tubes_of()
    result = CliRunner().invoke(app, ["eval", "linked.csv", "found.csv", "--labels", "labels.txt"])
    assert "is not a person id" in result.stderr  # found.csv is not truth; linked.csv was read


def test_existing_tracks_are_kept_unless_anew(here: Path) -> None:
    # The two people swap track ids every second.
    lines = [
        f"a,{s:04d},{box},1,0.9,{(s + i) % 2}"
        for s in range(6)
        for i, box in enumerate(("0.1,0.2,0.3,0.8", "0.6,0.2,0.8,0.8"))
    ]
    Path("odd.csv").write_text("\n".join(lines) + "\n")
    run_json("odd.csv", "-o", "t.json", "--anew")
    assert [len({box[0] for box in tube["boxes"]}) for tube in tubes_of()] == [1, 1]
    run_json("odd.csv", "-o", "kept.json", "--csv", "kept.csv")
    labels = read_labels("labels.txt")
    before, after = read_found("odd.csv", labels).track, read_found("kept.csv", labels).track
    assert len(set(zip(before.tolist(), after.tolist(), strict=True))) == 2


def test_a_detect_folder_lists_empty_keyframes(here: Path) -> None:
    Path("found").mkdir()
    Path("found/labels.txt").write_text("1: stand\n5: wave\n")
    person = {"box": [0.1, 0.2, 0.3, 0.8], "score": 0.9, "track": -1}
    stands = {**person, "actions": [{"id": 1, "name": "stand", "score": 0.8}]}
    lines = [{"video": "a", "time": t, "people": [] if t in (2, 3) else [stands]} for t in range(7)]
    Path("found/a.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    Path("found/a.csv").write_text("a,0000,0,0,1,1,5,1\n")  # not read: the JSON lines have more
    Path("found/empty.csv").write_text("")
    Path("found/empty.jsonl").write_text('{"video": "empty", "time": 0, "people": []}\n')
    Path("found/a.tubes.json").write_text("{}")
    Path("found/manifest.json").write_text("{}")
    facts = run_json("found", "-o", "t.json")
    assert (facts["videos"], facts["keyframes"], facts["people"], facts["tubes"]) == (2, 8, 1, 1)
    (tube,) = tubes_of()
    assert tube["times"] == [0, 1, 2, 3, 4, 5, 6]
    assert tube["interpolated"] == [t in (2, 3) for t in range(7)]
    assert tubes_of("empty") == []
    assert facts["interpolated"] == pytest.approx(2 / 7, abs=1e-4)


def test_jsonl_beside_a_csv_lists_the_processed_keyframes(here: Path) -> None:
    Path("gap.csv").write_text("\n".join(rows(missed=(4, 5))) + "\n")
    run_json("gap.csv", "-o", "t.json")
    assert len(tubes_of()[0]["times"]) == 8
    Path("gap.jsonl").write_text(
        "".join(f'{{"video": "a", "time": {t}, "people": []}}\n' for t in range(10))
    )
    run_json("gap.csv", "-o", "t.json", "--overwrite")
    assert sum(tubes_of()[0]["interpolated"]) == 2


def test_several_files_are_linked_together(here: Path) -> None:
    Path("b.csv").write_text("\n".join(rows("b")) + "\n")
    facts = run_json("found.csv", "b.csv", "-o", "t.json")
    assert (facts["videos"], facts["people"], facts["tubes"]) == (2, 4, 6)


def test_options_are_passed_to_the_linker(here: Path) -> None:
    assert run_json("found.csv", "-o", "t.json", "--min-score", "0.75")["tubes"] == 2
    apart = ["a,0000,0.1,0.2,0.3,0.8,1,0.9", "a,0001,0.1,0.2,0.3,0.8,1,0.9"]
    apart += ["a,0006,0.1,0.2,0.3,0.8,1,0.9", "a,0007,0.1,0.2,0.3,0.8,1,0.9"]
    Path("apart.csv").write_text("\n".join(apart) + "\n")
    assert run_json("apart.csv", "-o", "u.json")["people"] == 2
    assert run_json("apart.csv", "-o", "v.json", "--max-gap", "6")["people"] == 1


@pytest.mark.parametrize(
    ("method", "more"), [("mmaction2", []), ("viterbi", []), ("act", ["--size", "320x240"])]
)
def test_other_methods(here: Path, method: str, more: list[str]) -> None:
    # The ten keyframes forwards and backwards: 20 at 25 per second.
    there = [line.split(",") for line in rows()]
    dense = [
        ",".join(["a", f"{frame / 25:.2f}", *line[2:]])
        for line in there
        for frame in (int(line[1]), 19 - int(line[1]))
    ]
    Path("dense.csv").write_text("\n".join(dense) + "\n")
    facts = run_json("dense.csv", "-o", "t.json", "--method", method, *more)
    assert facts["method"] == method
    assert facts["people"] == 0
    longest = [tube for tube in tubes_of() if len(tube["times"]) == 20]
    assert {tube["class"] for tube in longest} == {"stand", "wave"}
    assert {tube["track"] for tube in tubes_of()} == {-1}


def truth(labels: Labels = LABELS) -> TubeTruth:
    return TubeTruth(Tubes.empty(labels.names), {"a": (240, 320)}, {"a": 300}, 25.0, labels)


@pytest.mark.parametrize("kind", ["act", "multisports"])
def test_pickles_use_pixels_and_frames(here: Path, kind: str) -> None:
    run_json("found.csv", "-o", "t.json", "--pickle", "t.pkl", "--format", kind,
             "--size", "320x240", "--rate", "25")  # fmt: skip
    tubes = read_tubes("t.pkl", truth())
    assert len(tubes) == 3
    assert np.unique(tubes.time).tolist() == list(range(10))
    data = pickles.load("t.pkl")
    if kind == "act":
        rows, score = data["a"][1][0]
    else:
        _, score, rows = data[1][0]
    wave = next(tube for tube in tubes_of() if tube["class"] == "wave")
    assert score == pytest.approx(wave["score"], rel=1e-5)
    assert rows[:, 0].tolist() == [1 + 25 * t for t in range(4, 10)]
    np.testing.assert_allclose(rows[:, 2], 0.2 * 240, atol=0.5)


def test_a_pickle_of_truth(here: Path) -> None:
    run_json("found.csv", "-o", "t.json", "--pickle", "GT.pkl", "--format", "gt",
             "--size", "320x240", "--rate", "25")  # fmt: skip
    gt = act.read_gt("GT.pkl")
    assert gt.labels == Labels((1, 2), ("stand", "wave"))
    assert gt.sizes == {"a": (240, 320)}
    assert gt.frames == {"a": 226}
    assert len(gt.tubes) == 3


def test_sizes_and_rates_come_from_the_manifest(here: Path) -> None:
    video = {"size": [100, 200], "rate": 10.0, "frames": 95}
    Path("manifest.json").write_text(json.dumps({"videos": {"a": video}}))
    run_json("found.csv", "-o", "t.json", "--pickle", "t.pkl")
    rows, _ = pickles.load("t.pkl")["a"][1][0]
    assert rows[0, 0] == 41
    np.testing.assert_allclose(rows[:, 4], 80, atol=0.3)


def tubelets() -> Tubelets:
    """Tubelets of 7 frames, starting at frames 1 to 24: stand, and wave with a lower score."""
    frame = np.repeat(np.arange(1, 25), 2)
    box = np.array([32.0, 48.0, 96.0, 192.0]) + np.zeros((48, 7, 1))
    return Tubelets(
        videos=("a",),
        video=np.zeros(48, np.int32),
        frame=frame,
        label=np.tile([0, 1], 24).astype(np.int32),
        score=np.tile([0.9, 0.4], 24),
        box=box,
        classes=LABELS.names,
    )


def test_equal_boxes_of_tubelets_are_one_row_with_two_scores() -> None:
    table = as_table(tubelets(), {"a": (240, 320)}, 25.0)
    assert len(table) == 24 * 7
    assert table.track.tolist() == np.repeat(np.arange(24), 7).tolist()
    np.testing.assert_allclose(table.time[7:14], np.arange(1, 8) / 25)
    np.testing.assert_allclose(table.action, np.tile(np.float32([0.9, 0.4]), (24 * 7, 1)))
    np.testing.assert_allclose(table.box[0], [0.1, 0.2, 0.3, 0.8], atol=1e-6)


@pytest.mark.parametrize(("method", "people"), [("track", 1), ("act", 0)])
def test_tubelets_of_moc(here: Path, method: str, people: int) -> None:
    whole = TubeTruth(
        Tubes.empty(LABELS.names), {"a": (240, 320)}, {"a": 30}, 25.0, Labels((1, 2), LABELS.names)
    )
    act.write_gt(whole, "GT.pkl")
    write_tubelets(tubelets(), whole, "moc")
    facts = run_json("moc", "-o", "t.json", "--truth", "GT.pkl", "--method", method)
    assert (facts["people"], facts["tubes"]) == (people, 2)
    assert {tube["class"] for tube in tubes_of()} == {"stand", "wave"}
    for tube in tubes_of():
        assert (tube["start"], tube["end"]) == (0.0, 1.16)
        np.testing.assert_allclose(tube["boxes"], [[0.1, 0.2, 0.3, 0.8]] * 30, atol=1e-5)
    assert "which need the data set's GT.pkl" in error_line("moc", "-o", "u.json")
    assert "use --method act or track" in error_line(
        "moc", "-o", "u.json", "--truth", "GT.pkl", "--method", "mmaction2"
    )


@pytest.mark.parametrize(("method", "people"), [("track", 1), ("mmaction2", 0)])
def test_frame_detections_of_multisports(here: Path, method: str, people: int) -> None:
    labels = Labels((1, 2), LABELS.names)
    whole = TubeTruth(Tubes.empty(labels.names), {"a": (240, 320)}, {"a": 30}, 25.0, labels)
    act.write_gt(whole, "GT.pkl")
    # The same box stands and waves at 30 frames; frame 15 is missing.
    found = [
        (0, frame, label, score, 32, 48, 96, 192)
        for frame in range(1, 31)
        for label, score in ((0, 0.9), (1, 0.4))
        if frame != 15
    ]
    pickles.dump(np.array(found, np.float32), "found.pkl")
    facts = run_json("found.pkl", "-o", "t.json", "--truth", "GT.pkl", "--method", method)
    assert (facts["keyframes"], facts["people"]) == (30, people)
    if method == "track":
        assert facts["detections"] == 29
        assert [len(tube["times"]) for tube in tubes_of()] == [30, 30]
        assert [sum(tube["interpolated"]) for tube in tubes_of()] == [1, 1]
    else:
        # A missed frame ends a tube: 14 frames are too short, 15 are not.
        assert [(tube["start"], len(tube["times"])) for tube in tubes_of()] == [(0.6, 15)] * 2
    assert "use --method mmaction2 or track" in error_line(
        "found.pkl", "-o", "u.json", "--truth", "GT.pkl", "--method", "act"
    )


def test_no_file_is_overwritten(here: Path) -> None:
    Path("t.json").write_text("mine")
    assert error_line("found.csv", "-o", "t.json") == (
        "t.json: exists already; use --overwrite to replace it"
    )
    assert Path("t.json").read_text() == "mine"
    run_json("found.csv", "-o", "t.json", "--overwrite")
    before = Path("found.csv").read_text()
    assert "is an input too" in error_line(
        "found.csv", "-o", "u.json", "--csv", "found.csv", "--overwrite"
    )
    assert Path("found.csv").read_text() == before
    assert "named for two outputs" in error_line("found.csv", "-o", "u.json", "--csv", "u.json")
    assert not Path("u.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.csv", "-o", "t.json"], "gone.csv: does not exist"),
        (["found.csv", "-o", "t.json", "--method", "sort"], "--method 'sort': wants one of track"),
        (["found.csv", "-o", "t.json", "--format", "x"], "--format 'x': use one of act"),
        *(
            (
                ["found.csv", "-o", "t.json", "--rate", rate],
                f"--rate {rate}: give frames per second",
            )
            for rate in ("0", "inf", "nan", "1e+300", "1001", "0.5")
        ),
        (
            ["found.csv", "-o", "t.json", "--method", "act", "--min-iou", "0.3"],
            "--min-iou: only with --method track",
        ),
        (["found.csv", "-o", "t.json", "--method", "act"], "no width and height for video 'a'"),
        (
            ["found.csv", "-o", "t.json", "--pickle", "t.pkl"],
            "--pickle: needs pixels, but the size of 'a' is unknown",
        ),
        (
            ["found.csv", "-o", "t.json", "--pickle", "t.pkl", "--size", "320x240"],
            "--pickle: counts frames",
        ),
        (["found.csv", "-o", "t.json", "--size", "big"], "--size 'big': give WIDTHxHEIGHT"),
        (["found.csv", "-o", "."], ".: is a folder"),
    ],
)
def test_wrong_usage_is_one_line(here: Path, arguments: list[str], message: str) -> None:
    assert error_line(*arguments).startswith(message)
    assert not Path("t.json").exists()
    assert not Path("t.pkl").exists()


def test_two_keyframes_in_one_pickle_frame_are_refused(here: Path) -> None:
    box = "0.1,0.2,0.3,0.8,1,0.9"
    Path("close.csv").write_text("".join(f"a,{t},{box}\n" for t in (0, 0.9, 1.1, 2)))
    message = error_line(
        "close.csv", "-o", "t.json", "--pickle", "t.pkl", "--size", "32x24", "--rate", "1"
    )
    assert message == "--rate 1: 0.9 s and 1.1 s fall on one frame; give the videos' own rate"
    assert not Path("t.json").exists()


def test_a_broken_file_is_reported_with_the_line(here: Path) -> None:
    Path("found.csv").write_text("a,0000,0.1,0.2,0.3,0.8,1,0.9\na,0001,0.1\n")
    assert error_line("found.csv", "-o", "t.json").startswith("found.csv:2: ")
    Path("a.jsonl").write_text("{\n")
    assert error_line("a.jsonl", "-o", "t.json").startswith("a.jsonl:1: ")


def test_no_detections_give_no_tubes(here: Path) -> None:
    Path("found.csv").write_text("")
    result = link("found.csv", "-o", "t.json")
    assert result.exit_code == 0, result.stderr
    assert "warning: no detections to link" in result.stderr
    assert json.loads(Path("t.json").read_text()) == {"videos": {}}
