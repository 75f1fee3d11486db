"""CSV files, or folders of them, as sides of an evaluation; classes match by id or by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stadkit.errors import NothingMatchedError, UsageError
from stadkit.labels import Labels, read_labels
from stadkit.readers.sniff import keyframes_beside, labels_beside

if TYPE_CHECKING:
    from stadkit.files.faults import Faults
    from stadkit.instances import Instances
    from stadkit.metrics.evaluate import EvaluationSide


def true_rows(path: Path, labels: Labels) -> EvaluationSide:
    """Read the truth of a CSV."""
    from stadkit.metrics.evaluate import EvaluationSide

    claims, whole, files = _read([path], path, labels, truth=True)
    return EvaluationSide(claims, whole, files)


def found_rows(path: Path, labels: Labels, label_file: Path | None, truth: Path) -> EvaluationSide:
    """Read detections of CSV; a different labels.txt beside them is matched by name.

    In a folder all files but the truth are read. Raises UsageError if there is no other.
    """
    from stadkit.metrics.evaluate import EvaluationSide

    beside = None if label_file else labels_beside(path)
    own = read_labels(beside) if beside else labels
    files, notes = _files(path, truth)
    claims, whole, parts = _read(files, path, own, truth=False)
    if own.names != labels.names:
        counts = np.bincount(claims.label[claims.label >= 0], minlength=len(own))
        claims = _by_name(claims, own, labels)
        unknown = [c for c, name in enumerate(own.names) if name not in labels.names and counts[c]]
        words = [_suggest(own.names[c], labels.names) for c in unknown[:3]]
        rows = int(counts[unknown].sum())
        whole = whole.with_kind("unknown name", rows, words)
        parts = _with_kind(parts, path, "unknown name", rows, words)
    return EvaluationSide(claims, whole, parts, processed=keyframes_beside(path), notes=notes)


def one_file(truth: Path) -> None:
    """Raise UsageError if the truth is a folder, naming the files in it."""
    from stadkit.files.ava_rows import csv_files

    if truth.is_dir():
        names = [file.name for file in csv_files(truth)]
        more = ", ..." if len(names) > 3 else ""
        raise UsageError(
            f"{truth}: is a folder; give one of its files as truth: {', '.join(names[:3])}{more}"
        )


def _files(path: Path, truth: Path) -> tuple[list[Path], tuple[str, ...]]:
    """The CSV files of detections, and notes on them."""
    from stadkit.files.ava_rows import csv_files

    files = csv_files(path)
    if not path.is_dir():
        return files, ()
    kept = [file for file in files if not file.samefile(truth)]
    if not kept:
        raise UsageError(f"{path}: its only CSV is {truth}, the truth; give the detections")
    skipped = f"; {truth.name} is the truth and left out" if len(kept) < len(files) else ""
    names = ", ".join(file.name for file in kept[:3]) + (", ..." if len(kept) > 3 else "")
    count = f"{len(kept)} CSV file{'s' if len(kept) > 1 else ''}"
    return kept, (f"{path}: {count} read: {names}{skipped}",)


def _read(
    files: list[Path], path: Path, labels: Labels, truth: bool
) -> tuple[Instances, Faults, tuple[Faults, ...]]:
    """Rows, the faults of all files together, and those of each file."""
    from stadkit.files.ava_rows import read_instances_of
    from stadkit.files.faults import MAX_EXAMPLES, Faults, Place, repeated

    claims, faults = read_instances_of(files, labels, truth=truth)
    kinds: dict[str, tuple[int, tuple[Place, ...]]] = {}
    for one in faults:
        for kind, (rows, lines) in one.kinds.items():
            before = kinds.get(kind, (0, lines))
            kinds[kind] = before[0] + rows, before[1]
    unknown = tuple(dict.fromkeys(number for one in faults for number in one.unknown))
    duplicates = repeated(claims)
    words = [
        f"{claims.videos[claims.video[row]]!r} at {claims.time[row]:g} s, "
        f"{claims.classes[claims.label[row]]!r}"
        for row in duplicates[:1].tolist()
    ]
    whole = Faults(path, kinds, unknown[:MAX_EXAMPLES]).with_kind(
        "repeated", len(duplicates), words
    )
    return claims, whole, _with_kind(tuple(faults), path, "repeated", len(duplicates), words)


def _with_kind(
    parts: tuple[Faults, ...], path: Path, kind: str, count: int, words: Sequence[str]
) -> tuple[Faults, ...]:
    """The faults by file with one more kind, counted under `path` as a whole."""
    from stadkit.files.faults import Faults

    own = next((part for part in parts if part.path == path), Faults(path, {}))
    rest = tuple(part for part in parts if part is not own)
    return (own.with_kind(kind, count, words), *rest) if count else parts


def _by_name(claims: Instances, own: Labels, labels: Labels) -> Instances:
    """The rows in the classes of `labels`; -1 for an action that is not among them."""
    from stadkit.metrics.mismatch import some

    place = {name: c for c, name in enumerate(labels.names)}
    # The last entry keeps rows without a class at -1.
    to = np.array([*(place.get(name, -1) for name in own.names), -1], np.int32)
    if (to < 0).all():
        raise NothingMatchedError(
            f"found and truth have no action in common: found's labels.txt has {some(own.names)}; "
            f"truth has {some(labels.names)}; give one list for both by --labels"
        )
    return replace(claims, label=to[claims.label], classes=labels.names)


def _suggest(name: str, names: Sequence[str]) -> str:
    """A name that truth lacks, with the most similar name of truth."""
    folded = {other.casefold(): other for other in names}
    like = get_close_matches(name.casefold(), list(folded), 1)
    return f"{name!r} (is it {folded[like[0]]!r}?)" if like else repr(name)
