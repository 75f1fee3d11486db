"""`stadkit pseudo-label --videos`: detection between labelled keyframes, with kept results."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from stadkit.cli.app import app
from stadkit.detection import detect_video
from stadkit.detections import Detections
from stadkit.files.ava_csv import read_truth
from stadkit.labels import read_labels
from stadkit.pseudo_labelling.plan import between
from stadkit.video.write import VideoWriter

MakeVideo = Callable[..., Path]
Stadkit = Callable[..., Result]
LEFT = "0,0.1,0.5,0.9"  # where the fake model finds a person


def rows(video: str, times: tuple[float, ...] = (0, 1, 2), action: int = 3) -> list[str]:
    return [f"{video},{time:g},{LEFT},{action},4" for time in times]


def save(name: str, lines: list[str]) -> None:
    Path(name).write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def stadkit(
    fake_detector: Any, make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stadkit:
    """Run `stadkit pseudo-label` in a folder with videos/a.mp4, videos/b.mp4 and their truth."""
    monkeypatch.setattr("stadkit.pseudo_labelling.videos.load", lambda *args: fake_detector)
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        make_video(f"videos/{name}.mp4")
    save("labels.txt", ["3: wave", "7: sit"])
    save("sparse.csv", [*rows("a"), *rows("b")])

    def run(*arguments: str, truth: str = "sparse.csv") -> Result:
        return CliRunner().invoke(app, ["pseudo-label", truth, "--videos", "videos", *arguments])

    return run


def report(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def dense(path: str = "dense.csv") -> Detections:
    return read_truth(path, read_labels("labels.txt"))


def test_people_are_detected_between_labelled_keyframes(stadkit: Stadkit) -> None:
    facts = report(stadkit("-o", "dense.csv", "--json"))
    assert (facts["pseudo_frames"], facts["pseudo_people"], facts["exit_code"]) == (16, 16, 0)
    table = dense()
    times = [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2]
    assert table.time.tolist() == times * 2
    assert (table.action.tolist(), table.track.tolist()) == ([[1, 0]] * 22, [4] * 22)


def test_messages(stadkit: Stadkit) -> None:
    stderr = stadkit("-o", "dense.csv").stderr.splitlines()
    assert stderr[0] == "labels: 2, labels.txt"
    assert "people from 0.5, every 0.2 s between labelled keyframes" in stderr[1]
    assert stderr[2].startswith("[1/2] videos/a.mp4: 8 people in 8 frames, ")
    assert stderr[-1] == "wrote dense.sources.csv"
    again = stadkit("-o", "dense.csv", "--overwrite").stderr.splitlines()
    assert again[2].startswith(
        "[1/2] videos/a.mp4: kept from an earlier run, 8 people in 8 frames, "
    )


def test_detections_are_reused(stadkit: Stadkit, fake_model: Any) -> None:
    report(stadkit("-o", "dense.csv", "--json"))
    held = json.loads(Path("dense.found/between/manifest.json").read_text())
    assert {name: each["status"] for name, each in held["videos"].items()} == {"a": "ok", "b": "ok"}
    calls, first = fake_model.calls, Path("dense.csv").read_bytes()
    report(stadkit("-o", "dense.csv", "--json", "--overwrite"))
    assert (fake_model.calls, Path("dense.csv").read_bytes()) == (calls, first)
    report(stadkit("-o", "dense.csv", "--json", "--overwrite", "--strategy", "nearest"))
    assert fake_model.calls == calls
    report(stadkit("-o", "dense.csv", "--json", "--overwrite", "--every", "0.25"))
    assert fake_model.calls > calls
    assert len(dense()) == 2 * (3 + 6)


def test_an_interrupted_run_resumes(
    stadkit: Stadkit, fake_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = detect_video, []

    def stopped(detector: Any, path: Path, *rest: Any) -> Any:
        seen.append(path.stem)
        if seen == ["a", "b"]:
            raise KeyboardInterrupt
        return real(detector, path, *rest)

    monkeypatch.setattr("stadkit.pseudo_labelling.parts.detect_video", stopped)
    result = stadkit("-o", "dense.csv")
    assert result.exit_code == 130
    assert "interrupted; with --output the same command resumes here" in result.stderr
    assert not Path("dense.csv").exists()
    report(stadkit("-o", "dense.csv", "--json"))
    assert seen == ["a", "b", "b"]
    report(stadkit("-o", "whole.csv", "--json"))
    assert Path("dense.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert Path("dense.sources.csv").read_bytes() == Path("whole.sources.csv").read_bytes()


def test_detections_of_other_settings_are_not_overwritten(stadkit: Stadkit) -> None:
    report(stadkit("-o", "dense.csv", "--json"))
    for path in ("dense.csv", "dense.sources.csv"):
        Path(path).unlink()
    result = stadkit("-o", "dense.csv", "--every", "0.25")
    assert result.exit_code == 2
    assert "dense.found/between: holds results of other settings (every was 0.2" in result.stderr
    save("sparse.csv", [*rows("a"), *rows("b", (0, 1.5))])
    result = stadkit("-o", "dense.csv")
    assert result.exit_code == 2
    assert "dense.found/between/b.npz: exists already; use --overwrite" in result.stderr
    assert report(stadkit("-o", "dense.csv", "--json", "--overwrite"))["pseudo_people"] == 8 + 7


def test_a_broken_video_does_not_stop_the_others(stadkit: Stadkit) -> None:
    Path("videos/b.mp4").write_bytes(b"\0" * 5000)
    result = stadkit("-o", "dense.csv", "--json")
    assert "[2/2] stadkit: error: videos/b.mp4: " in result.stderr
    assert "note: 1 video not read in full: 'b'" in result.stderr
    facts = report(result, code=1)
    assert (facts["videos_failed"], facts["pseudo_people"], facts["exit_code"]) == (["b"], 8, 1)
    assert np.sum(dense().video == "b") == 3


def test_no_readable_video(stadkit: Stadkit) -> None:
    for name in "ab":
        Path(f"videos/{name}.mp4").write_text("nothing")
    result = stadkit("-o", "dense.csv")
    assert result.exit_code == 1
    assert "none of the videos can be read: videos/a.mp4: is a text file" in result.stderr
    assert not Path("dense.csv").exists()


def test_missing_and_unlabelled_videos_are_reported(stadkit: Stadkit) -> None:
    save("sparse.csv", [*rows("a"), *rows("lost")])
    facts = report(stadkit("-o", "dense.csv", "--json"))
    assert (facts["videos_missing"], facts["videos_without_truth"]) == (["lost"], ["b"])
    assert not Path("dense.found/between/b.npz").exists()


def test_labels_past_the_end_are_reported(stadkit: Stadkit) -> None:
    save("sparse.csv", [*rows("a", (0, 1, 2, 3.5, 4.5)), *rows("b")])
    result = stadkit("-o", "dense.csv", "--json")
    assert "note: videos/a.mp4: 2 of 5 labelled keyframes are outside its 3 s" in result.stderr
    # 2.2 to 2.8 are inside, and 3, half a frame past the last; from 3.2 on are not.
    assert report(result)["pseudo_frames"] == 16 + 4
    assert dense().time.max() == 4.5


def test_a_wrong_offset(stadkit: Stadkit) -> None:
    save("sparse.csv", rows("a", (900, 901, 902)))
    result = stadkit("-o", "dense.csv")
    assert result.exit_code == 5
    assert "lasts 3 s, but sparse.csv has its labels at 900 to 902 s" in result.stderr
    report(stadkit("-o", "dense.csv", "--json", "--offset", "900"))
    assert Path("dense.csv").read_text().splitlines()[1].startswith("a,0900.2,")
    assert len(dense()) == 11


def test_dense_truth_is_an_error(stadkit: Stadkit) -> None:
    save("sparse.csv", rows("a", (0, 0.1, 0.2, 0.3)))
    result = stadkit("-o", "dense.csv")
    assert result.exit_code == 2
    assert (
        "more than 0.2 s apart, so no frames lie between; give a smaller --every" in result.stderr
    )
    assert report(stadkit("-o", "dense.csv", "--json", "--every", "0.05"))["pseudo_frames"] == 3


def test_a_check_uses_labelled_keyframes_and_keeps_nothing(stadkit: Stadkit) -> None:
    before = sorted(Path().rglob("*"))
    facts = report(stadkit("--check", "--json"))
    assert facts["strategies"]["tla"]["keyframes"] == 2
    assert facts["strategies"]["tla"]["f1"] == 1.0
    assert sorted(Path().rglob("*")) == before


def test_a_check_with_output_keeps_detections(stadkit: Stadkit, fake_model: Any) -> None:
    report(stadkit("--check", "--json", "-o", "dense.csv"))
    assert not Path("dense.csv").exists()
    calls = fake_model.calls
    report(stadkit("--check", "--json", "-o", "dense.csv", "--strategy", "nearest"))
    assert fake_model.calls == calls


def test_per_class_also_uses_labelled_keyframes(stadkit: Stadkit) -> None:
    facts = report(stadkit("-o", "dense.csv", "--json", "--strategy", "per-class"))
    assert set(facts["thresholds"]) == {"wave"}
    assert Path("dense.found/labelled/a.npz").exists()


def test_interpolation_needs_no_model(stadkit: Stadkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stadkit.pseudo_labelling.videos.load", None)
    facts = report(stadkit("-o", "dense.csv", "--json", "--strategy", "interpolate"))
    assert facts["pseudo_people"] == 16
    assert dense().track.tolist() == [4] * 22


@pytest.mark.parametrize(("strategy", "start"), [("tla", 0), ("tla", 900), ("interpolate", 0)])
def test_no_label_crosses_a_cut(stadkit: Stadkit, strategy: str, start: int) -> None:
    with VideoWriter(Path("videos/a.mp4"), 64, 48, 10) as writer:
        for i in range(20):
            picture = np.full((48, 64, 3), (200, 60, 30) if i < 5 else (20, 90, 220), np.uint8)
            writer.write(picture, i / 10)
    save("sparse.csv", [*rows("a", (start,)), *rows("a", (start + 1,), action=7)])
    arguments = ("-o", "dense.csv", "--json", "--strategy", strategy, "--offset", str(start))
    facts = report(stadkit(*arguments, "--no-cross-cuts"))
    assert facts["frames"]["cut"] == 4
    if strategy == "tla":
        assert dense().action[1:-1].tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
        stderr = stadkit(*arguments, "--overwrite", "--no-cross-cuts").stderr
        assert (
            "[1/1] videos/a.mp4: kept from an earlier run, 4 people in 4 frames, 1 cut, " in stderr
        )
    else:
        assert facts["pseudo_people"] == 0
    assert report(stadkit(*arguments, "--overwrite"))["frames"]["cut"] == 0


def test_a_tubelet_model_is_refused(stadkit: Stadkit, fake_detector: Any) -> None:
    fake_detector.card = replace(fake_detector.card, tubelet=True)
    result = stadkit("-o", "dense.csv")
    assert result.exit_code == 2
    assert "is a tubelet model; use a keyframe model" in result.stderr


def test_a_two_stage_model_is_refused(stadkit: Stadkit, fake_detector: Any) -> None:
    fake_detector.card = replace(fake_detector.card, family="slowfast-roi")
    result = stadkit("-o", "dense.csv")
    assert result.exit_code == 2
    assert "is a two-stage model; use an end-to-end model" in result.stderr


def test_missing_and_duplicate_videos(stadkit: Stadkit, make_video: MakeVideo) -> None:
    result = CliRunner().invoke(
        app, ["pseudo-label", "sparse.csv", "--videos", "no", "-o", "d.csv"]
    )
    assert result.stderr.endswith("no: does not exist; give videos or their folder\n")
    make_video("videos/more/a.mp4")
    result = stadkit("-o", "dense.csv")
    assert result.exit_code == 2
    assert "videos/a.mp4 and videos/more/a.mp4 are both 'a'; give one of them" in result.stderr


def test_actions_unknown_to_the_model(stadkit: Stadkit) -> None:
    save("labels.txt", ["3: wave", "8: hop"])
    save("sparse.csv", [*rows("a"), *rows("a", action=8)])
    result = stadkit("-o", "dense.csv", "--json")
    assert report(result)["actions_without_scores"] == ["hop"]
    assert dense().action.tolist() == [[1, 1]] * 11
    report(stadkit("-o", "hard.csv", "--json", "--strategy", "hard"))
    assert dense("hard.csv").action[:, 1].tolist() == [1, *[0] * 4] * 2 + [1]


@pytest.mark.parametrize(
    ("times", "every", "expected"),
    [
        ([0, 1], 0.25, [0.25, 0.5, 0.75]),
        ([0, 1], 0.3, [0.3, 0.6, 0.9]),
        ([902, 903, 904], 0.5, [902.5, 903.5]),
        ([0, 0.2], 0.2, []),
        ([0, 1 / 3], 0.1, [0.1, 0.2, 0.3]),
        ([0, 10], 1.0, [1, 2, 8, 9]),  # the others are more than 2 s from both ends
        ([5], 0.2, []),
        ([], 0.2, []),
    ],
)
def test_between(times: list[float], every: float, expected: list[float]) -> None:
    assert between(times, every, 2.0) == expected
