"""`stadkit link`: inputs are not overwritten, duplicates refused, outputs written all or none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from stadkit.cli.app import app
from stadkit.errors import StadkitError
from stadkit.files import act
from stadkit.files.tube_truth import TubeTruth
from stadkit.labels import Labels
from stadkit.runs.linking import write_together
from stadkit.tubes import Tubes


def lines(video: str = "clip", track: int = -1) -> str:
    """One person standing, at five keyframes."""
    stands = [{"id": 1, "name": "stand", "score": 0.9}]
    person = {"box": [0.1, 0.2, 0.3, 0.8], "score": 0.9, "track": track, "actions": stands}
    keyframes = [{"video": video, "time": t, "people": [person]} for t in range(5)]
    return "".join(f"{json.dumps(keyframe)}\n" for keyframe in keyframes)


def table(video: str = "clip") -> str:
    return "".join(f"{video},{t:04d},0.1,0.2,0.3,0.8,1,0.9\n" for t in range(5))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `run` as `detect` writes it, with other files beside it."""
    monkeypatch.chdir(tmp_path)
    for folder in ("run", "jl"):
        Path(folder).mkdir()
        Path(folder, "clip.jsonl").write_text(lines())
        Path(folder, "labels.txt").write_text("1: stand\n")
    Path("run/clip.csv").write_text(table())
    Path("run/manifest.json").write_text(json.dumps({"videos": {"clip": {"size": [100, 200]}}}))
    Path("jl/clip.csv.gz").write_bytes(gzip.compress(table().encode()))
    Path("mine.txt").write_text("1: stand\n")
    return tmp_path


def link(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["link", *arguments])


def complaint(*arguments: str, code: int = 2) -> str:
    result = link(*arguments)
    assert result.exit_code == code, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.removeprefix("stadkit: error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["run", "-o"], "run/clip.csv"),
        (["run", "-o"], "run/clip.jsonl"),
        (["run", "-o"], "run/labels.txt"),
        (["run", "-o"], "run/manifest.json"),
        (["run", "-o", "t.json", "--csv"], "run/../run/clip.jsonl"),
        (["run", "-o", "t.json", "--csv"], "link.csv"),
        (["run/clip.csv", "-o"], "run/clip.jsonl"),
        (["run/clip.csv", "-o"], "run/labels.txt"),
        (["run/clip.csv", "-o", "t.json", "--pickle"], "run/manifest.json"),
        (["jl", "-o"], "jl/clip.csv.gz"),
        (["run", "--labels", "mine.txt", "-o"], "mine.txt"),
    ],
)
def test_inputs_are_not_overwritten(here: Path, arguments: list[str], place: str) -> None:
    Path("link.csv").symlink_to("run/clip.csv")
    before = Path(place).read_bytes()
    for more in ([], ["--overwrite"]):
        message = complaint(*arguments, place, *more)
        assert message == f"{place}: is an input too; name another file"
    assert Path(place).read_bytes() == before
    assert not Path("t.json").exists()


def test_truth_and_pickles_are_not_overwritten(here: Path) -> None:
    labels = Labels((1,), ("stand",))
    truth = TubeTruth(Tubes.empty(labels.names), {"a": (240, 320)}, {"a": 30}, 25.0, labels)
    Path("moc/a").mkdir(parents=True)
    act.write_gt(truth, "GT.pkl")
    act.write_gt(truth, "moc/a/00001.pkl")
    for place in ("GT.pkl", "moc/a/00001.pkl"):
        message = complaint("moc", "--truth", "GT.pkl", "-o", place, "--overwrite")
        assert message == f"{place}: is an input too; name another file"


def test_earlier_outputs_in_the_folder_may_be_overwritten(here: Path) -> None:
    for _ in range(2):
        result = link("run", "-o", "run/clip.tubes.json", "--pickle", "p.pkl", "--rate", "25",
                      "--overwrite")  # fmt: skip
        assert result.exit_code == 0, result.stderr
    assert (
        link("run/clip.jsonl", "-o", "t.json", "--csv", "run/clip.csv", "--overwrite").exit_code
        == 0
    )


@pytest.mark.parametrize(
    "entry", [{"size": ["a", "b"]}, {"size": [1.5, 2]}, {"rate": float("inf"), "frames": 5}]
)
def test_invalid_manifest_entries_are_ignored(here: Path, entry: dict[str, Any]) -> None:
    Path("run/manifest.json").write_text(json.dumps({"videos": {"clip": entry}}))
    message = complaint("run", "-o", "t.json", "--pickle", "p.pkl", "--size", "8x8")
    assert message.startswith("--pickle: counts frames")
    assert complaint("run", "-o", "t.json", "--pickle", "p.pkl").startswith("--pickle: needs pixel")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (["run", "jl"], "run/clip.jsonl and jl/clip.jsonl both have the video 'clip'"),
        (["run/clip.csv", "jl/clip.jsonl"], "run/clip.csv and jl/clip.jsonl both have the video"),
        (["run/clip.csv", "run/clip.jsonl"], "run/clip.csv and run/clip.jsonl both have the video"),
        (["run", "run"], "run/clip.jsonl: is named twice"),
        (["run", "run/../run/clip.jsonl"], "run/../run/clip.jsonl: is named twice"),
    ],
)
def test_a_video_of_two_files_is_refused(here: Path, found: list[str], message: str) -> None:
    assert complaint(*found, "-o", "t.json").startswith(message)
    assert not Path("t.json").exists()


def test_a_video_of_two_files_of_one_folder_is_refused(here: Path) -> None:
    Path("run/again.csv").write_text(table())
    assert complaint("run", "-o", "t.json") == (
        "run/again.csv and run/clip.jsonl both have the video 'clip'; give one of them, or rename "
        "the videos"
    )
    Path("run/again.csv").write_text(table("other"))
    assert link("run", "-o", "t.json").exit_code == 0
    assert list(json.loads(Path("t.json").read_text())["videos"]) == ["other", "clip"]


def test_copies_with_other_suffixes_are_not_read(here: Path) -> None:
    Path("run/clip.jsonl.bak").write_text(lines() + lines("old"))
    Path("jl/clip.csv.gz").unlink()
    Path("jl/old.jsonl.bak").write_text(lines("old"))
    for folder in ("run", "jl"):
        assert link(folder, "-o", f"{folder}.json").exit_code == 0
        assert list(json.loads(Path(f"{folder}.json").read_text())["videos"]) == ["clip"]


def test_kept_tracks_are_reported(here: Path) -> None:
    note = "tracks in FOUND are kept; use --anew to ignore them\n"
    assert note not in link("run", "-o", "a.json").stderr
    Path("run/clip.jsonl").write_text(lines(track=3))
    assert note in link("run", "-o", "b.json").stderr
    assert note not in link("run", "-o", "c.json", "--anew").stderr
    assert note not in link("run", "-o", "d.json", "--method", "viterbi").stderr


@pytest.mark.parametrize("before", [None, "mine"])
def test_all_results_are_written_or_none(here: Path, before: str | None) -> None:
    # No CSV row can hold this name.
    Path("odd.jsonl").write_text(lines("a\nb"))
    Path("labels.txt").write_text("1: stand\n")
    if before:
        Path("t.json").write_text(before)
    before_files = sorted(here.iterdir())
    message = complaint("odd.jsonl", "-o", "t.json", "--csv", "c.csv", "--overwrite", code=1)
    assert message.startswith("c.csv: a video name 'a\\nb' contains a control character")
    assert sorted(here.iterdir()) == before_files
    assert before is None or Path("t.json").read_text() == before


def test_writers_that_fail_leave_nothing(tmp_path: Path) -> None:
    def fails(error: Exception) -> Any:
        def write(file: Path) -> None:
            file.write_text("half")
            raise error

        return write

    places = [tmp_path / "made" / "a.json", tmp_path / "b.csv.gz"]
    for error in (StadkitError("full"), ValueError("odd"), KeyboardInterrupt()):
        with pytest.raises(type(error)):  # type: ignore[call-overload]
            write_together({places[0]: lambda file: None, places[1]: fails(error)})
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    endings: list[str] = []
    write_together({path: lambda file: _note(file, endings) for path in places})
    assert endings == [".json", ".gz"]  # which select the format
    assert [path.read_text() for path in places] == ["whole", "whole"]


def _note(file: Path, endings: list[str]) -> None:
    file.write_text("whole")
    endings.append(file.suffix)
