"""Helpers that run `stadkit eval`."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from stadkit.cli.app import app


def evaluate(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", *arguments])


def eval_json(*arguments: str) -> dict[str, Any]:
    result = evaluate(*arguments, "--json")
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts
