"""Checks before anything is read: options without effect, outputs that would overwrite files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from stadkit.errors import UsageError
from stadkit.readers.detections import RATES


def check_options(method: str, kind: str, rate: float | None, options: dict[str, float]) -> None:
    """Raise UsageError for an unknown name, a rate out of range, an option without effect."""
    from stadkit.linking import check_method
    from stadkit.runs.linking import FORMATS

    check_method(method)
    if kind not in FORMATS:
        raise UsageError(f"--format {kind!r}: use one of {', '.join(FORMATS)}")
    if rate is not None and not RATES[0] <= rate <= RATES[1]:  # NaN fails too
        low, high = RATES
        raise UsageError(f"--rate {rate:g}: give frames per second, {low:g} to {high:g}")
    if options and method != "track":
        name = next(iter(options)).replace("_", "-")
        raise UsageError(f"--{name}: only with --method track; {method} has fixed settings")


def check_outputs(outputs: Sequence[Path], inputs: Iterable[Path], overwrite: bool) -> None:
    """Raise UsageError if writing would overwrite something; `inputs` need not exist."""
    taken: set[Path] = set()
    # The inputs, perhaps many, only matter if an output exists.
    exists = any(path.exists() for path in outputs)
    sources = {file for path in inputs if (file := _file_id(path))} if exists else set()
    for path in outputs:
        if path.is_dir():
            raise UsageError(f"{path}: is a folder; name a file, such as {path / 'tubes.json'}")
        if _file_id(path) in sources:
            raise UsageError(f"{path}: is an input too; name another file")
        if path.resolve() in taken:
            raise UsageError(f"{path}: is named for two outputs; name another file")
        if path.exists() and not overwrite:
            raise UsageError(f"{path}: exists already; use --overwrite to replace it")
        taken.add(path.resolve())


def _file_id(path: Path) -> tuple[int, int] | None:
    """Device and inode, the same for all paths of a file; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Parse "320x240" to height 240, width 320; raises UsageError for anything else."""
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--size {text!r}: give WIDTHxHEIGHT in pixels, such as 320x240")
    return int(height), int(width)
