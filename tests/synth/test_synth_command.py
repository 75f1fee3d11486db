import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from stadkit.cli.synth import synth
from stadkit.errors import UsageError

app = typer.Typer()
app.command()(synth)
SMALL = ["--videos", "1", "--seed", "4", "--seconds", "0.5", "--size", "96x64", "--fps", "10"]


def test_summary_as_json_and_as_text(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["-o", str(tmp_path / "a"), *SMALL, "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["videos"], facts["frames"]) == (1, 5)
    again = CliRunner().invoke(app, ["-o", str(tmp_path / "a"), *SMALL, "--overwrite"])
    assert again.exit_code == 0
    assert again.stdout == ""
    assert "1 video of 5 frames" in again.stderr


@pytest.mark.parametrize("size", ["320", "x240", "320x", "-1x240", "320x240x3", "wide"])
def test_a_size_is_two_numbers(size: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["-o", str(tmp_path / "a"), "--size", size])
    assert isinstance(done.exception, UsageError)
    assert "320x240" in str(done.exception)


def test_pace_and_glitches_are_recorded(tmp_path: Path) -> None:
    asked = ["-o", str(tmp_path / "a"), *SMALL, "--pace", "2.5", "--glitches", "0.5"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a" / "args.yaml").read_text().endswith("pace: 2.5\nglitches: 0.5\n")
    assert (tmp_path / "a" / "glitches.csv").read_text().startswith("playground-4-0000,0.")


@pytest.mark.parametrize(("option", "value"), [("--pace", "0"), ("--glitches", "10")])
def test_invalid_pace_and_glitches(option: str, value: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["-o", str(tmp_path / "a"), *SMALL, option, value])
    assert isinstance(done.exception, UsageError)
    assert f"{option[2:]} is {value}" in str(done.exception)
    assert not (tmp_path / "a").exists()
