"""The names that `import stadkit` offers: all there, documented, and their examples run."""

from __future__ import annotations

import doctest
import inspect
import json
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import stadkit

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
FUNCTIONS = [name for name in stadkit.__all__ if inspect.isfunction(getattr(stadkit, name))]


def test_every_name_is_there_and_documented() -> None:
    assert set(stadkit.__all__) <= set(dir(stadkit))
    for name in stadkit.__all__:
        value = getattr(stadkit, name)
        assert isinstance(value, str) or len(value.__doc__) > 40, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        stadkit.nothing  # noqa: B018


def test_the_functions_say_their_types() -> None:
    assert len(FUNCTIONS) == 10
    for name in FUNCTIONS:
        function: Callable[..., Any] = getattr(stadkit, name)
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(p.annotation is not p.empty for p in signature.parameters.values())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_give_what_they_show(
    name: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    known = {"stadkit": stadkit, "pathlib": pathlib, "json": json}
    (test,) = doctest.DocTestFinder(recurse=False).find(getattr(stadkit, name), name, globs=known)
    assert test.examples
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    said: list[str] = []
    assert runner.run(test, out=said.append).failed == 0, "".join(said)


def test_importing_takes_no_heavy_library() -> None:
    code = "import sys, stadkit; print(len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(len(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) - int(bare.stdout) < 60
