"""`stadkit doctor`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from stadkit import zoo
from stadkit.cli.app import app
from stadkit.doctor import checks
from stadkit.doctor import facts as doctor_facts
from stadkit.doctor import self_test as doctor_self_test
from stadkit.doctor.self_test import EXPECTED, WEIGHTS, self_test

Break = Callable[..., None]


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, ["doctor", *arguments])
    assert isinstance(result.exception, SystemExit | None)
    return result


def broken(*arguments: str) -> list[dict[str, Any]]:
    """The checks and steps that fail; the exit code must be 1."""
    result = run("--json", *arguments)
    facts = json.loads(result.stdout)
    found = [each for each in [*facts["checks"], *facts["self_test"]] if not each["ok"]]
    assert (result.exit_code, facts["ok"]) == ((1, False) if found else (0, True))
    return found


def test_facts_as_text_and_json() -> None:
    facts = json.loads(run("--json", "--no-self-test").stdout)
    assert facts["versions"]["torch"]
    assert facts["video"]["h264 writing"] is True
    assert facts["weights"].keys() == zoo.CARDS.keys()
    assert facts["precisions"]["cpu"].startswith("fp32; bf16")
    assert facts["self_test"] == []
    text = run("--no-self-test").stdout
    for words in ("auto precision", "mestad-nano      built in", "GB free", "checks"):
        assert words in text


def test_a_working_machine_exits_0_with_the_known_result() -> None:
    result = run("--json")
    facts = json.loads(result.stdout)
    assert result.exit_code == 0, facts["checks"] + facts["self_test"]
    steps = {step["name"]: step["told"] for step in facts["self_test"]}
    assert steps["read it"] == "all 16 frames"
    assert steps["find people"] == "3 people in 3 keyframes"
    assert "largest difference" in steps["compare"]


def test_the_known_result_matches_the_built_in_weights() -> None:
    assert zoo.card("mestad-nano").sha256 == WEIGHTS, "run python -m stadkit.doctor.self_test"


def test_other_results_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *rest = EXPECTED
    off = (first[0] + 0.1, *first[1:])
    monkeypatch.setattr(doctor_self_test, "EXPECTED", (off, *rest))
    step = self_test()[-1]
    assert (step.name, step.ok) == ("compare", False)
    assert "differ by 0." in step.told
    result = run()
    assert result.exit_code == 1
    assert "BROKEN: results differ by 0." in result.stdout
    assert "-> fix the faults above" in result.stdout


def test_an_incomplete_video_ends_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_self_test, "FRAMES", 3)
    whole = doctor_self_test._write_video

    def short(path: Path) -> tuple[str, Path]:
        text = whole(path)
        monkeypatch.setattr(doctor_self_test, "FRAMES", 16)
        return text

    monkeypatch.setattr(doctor_self_test, "_write_video", short)
    steps = self_test()
    assert [(step.name, step.ok) for step in steps] == [
        *(("make a folder", True), ("write a video", True), ("read it", False))
    ]
    assert "only 3 of 16 frames could be read" in steps[-1].told


def test_each_fault_has_a_message_and_a_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    facts = doctor_facts.examine()
    assert all(each.ok for each in checks.check(facts))
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    monkeypatch.setattr("stadkit.zoo.weights.BUILT_IN", tmp_path)
    wrong = {
        **facts,
        "versions": {**facts["versions"], "scipy": None},
        "video": {**facts["video"], "h264 writing": False, "reads": "h264"},
        "machine": {**facts["machine"], "cuda error": "The driver is too old"},
    }
    found = {each.name: each for each in checks.check(wrong) if not each.ok}
    assert found.keys() == {"packages", "video", "gpu", "weights", "cache"}
    assert found["packages"].told == "not installed: scipy"
    assert found["video"].told == "this PyAV lacks reading vp9, writing h264"
    assert "driver" in found["gpu"].do
    assert "no weights for mestad-nano" in found["weights"].told
    assert "is a file" in found["cache"].told
    assert all(each.do for each in found.values())


def test_a_full_disk_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    full = type(usage)(usage.total, usage.used, 10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    found = broken("--no-self-test")
    assert {each["name"] for each in found} == {"cache", "temporary files"}
    assert "10 MB free" in found[0]["told"]


def test_damaged_weights_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cards = dict(zoo.CARDS)
    cards["mestad-nano"] = replace(cards["mestad-nano"], sha256="0" * 64)
    monkeypatch.setattr("stadkit.zoo.cards.CARDS", cards)
    (found,) = broken("--no-self-test")
    assert found["name"] == "weights"
    assert "damaged or changed" in found["told"]


def test_a_broken_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    found = {each["name"]: each for each in broken("--no-self-test")}
    assert found["packages"]["told"].startswith("av cannot be loaded (")
    assert found["packages"]["do"] == "reinstall: `pip install --force-reinstall av`"
    assert found["video"]["do"] == "fix the packages first, as described above"
    assert "BROKEN: av cannot be loaded" in run("--no-self-test").stdout


def test_missing_packages_give_no_traceback(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules.update({'av': None, 'torch': None})\n"
        "from stadkit.cli.app import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", program, "doctor"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "av cannot be loaded" in done.stdout
    assert "`pip install --force-reinstall torch av`" in done.stdout
    for name in ("packages", "video", "gpu", "write a video"):
        assert any("BROKEN" in line for line in done.stdout.splitlines() if name in line), name


def test_a_missing_temporary_folder_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    steps = self_test()
    assert [(step.name, step.ok) for step in steps] == [("make a folder", False)]
