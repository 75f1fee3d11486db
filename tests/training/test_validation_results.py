"""Figures are written to a CSV and read back, NaN as None."""

import json
import math
from pathlib import Path

from stadkit.training import validation


def test_last_line_as_json(tmp_path: Path) -> None:
    path = tmp_path / validation.NAME
    assert validation.last(path) == {}
    validation.append(path, {"epoch": 1, "box": 0.5, "per_class": {"walk, run": 0.25}})
    figures = {"epoch": 2, "box": math.nan, "per_class": {"walk, run": math.nan}}
    validation.append(path, figures)
    last = validation.last(path)
    assert last == {"epoch": 2, "box": None, "per_class": {"walk, run": None}}
    assert json.loads(json.dumps(last, allow_nan=False)) == last
    assert len(path.read_text().splitlines()) == 3
