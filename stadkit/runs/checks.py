"""What is refused before anything is read: useless options, outputs that would overwrite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from stadkit.errors import UsageError
from stadkit.readers.detections import RATES


def check_options(method: str, kind: str, rate: float | None, options: dict[str, float]) -> None:
    """Raise UsageError for a name that there is not, a rate of no video, a useless option."""
    from stadkit.linking import check_method
    from stadkit.runs.linking import FORMATS

    check_method(method)
    if kind not in FORMATS:
        raise UsageError(f"--format {kind!r}: wants one of {', '.join(FORMATS)}")
    if rate is not None and not RATES[0] <= rate <= RATES[1]:  # NaN fails too
        low, high = RATES
        raise UsageError(f"--rate {rate:g}: wants frames a second, {low:g} to {high:g}")
    if options and method != "track":
        name = next(iter(options)).replace("_", "-")
        raise UsageError(f"--{name}: is of --method track; {method} keeps its authors' numbers")


def check_places(outputs: Sequence[Path], inputs: Iterable[Path], overwrite: bool) -> None:
    """Raise UsageError where writing would destroy something; `inputs` may not be there."""
    taken: set[Path] = set()
    # Many inputs are only looked at where a file could be written over.
    there = any(path.exists() for path in outputs)
    sources = {file for path in inputs if (file := _file(path))} if there else set()
    for path in outputs:
        if path.is_dir():
            raise UsageError(f"{path}: is a folder; name a file, such as {path / 'tubes.json'}")
        if _file(path) in sources:
            raise UsageError(f"{path}: is an input too; name another file")
        if path.resolve() in taken:
            raise UsageError(f"{path}: is named for two results; name another file")
        if path.exists() and not overwrite:
            raise UsageError(f"{path}: is there already; --overwrite writes over it")
        taken.add(path.resolve())


def _file(path: Path) -> tuple[int, int] | None:
    """What tells a file from others by whatever path it is named; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def parse_size(text: str | None) -> tuple[int, int] | None:
    """ "320x240" -> height 240, width 320; raises UsageError for anything else."""
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--size {text!r} is not WIDTHxHEIGHT in pixels, such as 320x240")
    return int(height), int(width)
