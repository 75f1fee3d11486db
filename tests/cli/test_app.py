"""The `stadkit` command: help, version, one-line errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import stadkit
from stadkit.cli import app as module
from stadkit.cli.app import app
from stadkit.errors import WeightsError


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stadkit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_public_names() -> None:
    assert stadkit.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        stadkit.lode  # noqa: B018


def test_version_and_help() -> None:
    assert run("--version").stdout == f"stadkit {stadkit.__version__}\n"
    done = run("--help")
    assert done.returncode == 0
    for verb in ("detect", "train", "models", "synth", "bench", "doctor"):
        assert verb in done.stdout


def test_bare_command_shows_help() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 2
    assert "Usage" in result.output


def test_an_error_is_one_line_and_a_traceback_with_debug(tmp_path: Path) -> None:
    result = run("models", "import", str(tmp_path / "gone.pth"), "--as", "mestad-slowfast-r50")
    assert result.returncode == 3
    assert result.stderr == f"stadkit: error: {tmp_path / 'gone.pth'}: no such file or directory\n"
    result = run(
        "models", "import", str(tmp_path / "gone.pth"), "--as", "mestad-slowfast-r50", "--debug"
    )
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "WeightsError" in result.stderr


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (WeightsError("no weights\n  here"), "no weights here"),
        (PermissionError(13, "Permission denied", "out"), "out: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_errors_in_one_line(error: Exception, line: str) -> None:
    assert module.one_line(error) == line


def test_closed_pipe_is_silent() -> None:
    command = f"{sys.executable} -m stadkit models list --json | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
