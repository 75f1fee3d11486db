"""What the fault tests share: `stadkit detect` as typed, with models that cost nothing."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

Stadkit = Callable[..., Result]


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """What waits for ever fails its test instead of stopping the run."""

    def late(*_: object) -> None:
        raise AssertionError("hangs")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(900)
    yield
    signal.alarm(0)


@pytest.fixture
def stadkit(fake_detector: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stadkit:
    """Run `stadkit detect` with these arguments, in a folder of its own; no fault may show a
    traceback."""
    monkeypatch.setattr("stadkit.detection.load", lambda *args: fake_detector)
    monkeypatch.chdir(tmp_path)
    return _run


@pytest.fixture
def finder(fake_card: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stadkit:
    """The same with a model that finds the bright rectangle of `made_faults.film`."""
    from helpers.made_faults import Finder

    from stadkit.detection import Detector

    card = replace(fake_card, short_side=48, long_side=1000)
    detector = Detector(Finder(), card, "cpu", "fp32", "finder", "0" * 64)
    monkeypatch.setattr("stadkit.detection.load", lambda *args: detector)
    monkeypatch.chdir(tmp_path)
    return _run


def _run(*arguments: str | Path) -> Result:
    from stadkit.cli.app import app

    result = CliRunner().invoke(app, ["detect", *map(str, arguments)])
    assert "Traceback" not in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture
def entries() -> Callable[[str], dict[str, Any]]:
    """entries(folder): what its manifest says of each input."""
    return lambda folder: json.loads(Path(folder, "manifest.json").read_text())["videos"]


@pytest.fixture
def keyframes() -> Callable[[str], list[dict[str, Any]]]:
    """keyframes(path): the lines of a .jsonl."""
    return lambda path: [json.loads(line) for line in Path(path).read_text().splitlines()]
