"""Each equation of the papers is computed in one place, which names it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import stadkit

PACKAGE = Path(stadkit.__file__).parent
PLACES = {
    "ME-STAD Eq. 1": "models/mestad_loss.py",
    "ME-STAD Eq. 2": "models/mestad_loss.py",
    "ME-STAD Eq. 3": "models/mestad_loss.py",
    "ME-STAD Eq. 4": "training/steps.py",
    "ME-STAD Eq. 5": "training/semi.py",
    "ME-STAD Eq. 6": "tla/assignment.py",
    "ME-STAD Eq. 7": "tla/assignment.py",
    "ME-STAD Algorithm 1": "tla/assignment.py",
    "EVAD Eq. 3": "layers/attention.py",
}


@pytest.mark.parametrize("equation", PLACES)
def test_an_equation_is_named_in_one_file(equation: str) -> None:
    name = re.compile(re.escape(equation) + r"\b")
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if name.search(path.read_text())]
    assert [path.relative_to(PACKAGE).as_posix() for path in files] == [PLACES[equation]]
