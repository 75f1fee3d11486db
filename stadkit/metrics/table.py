"""Scores as people read them: a table of classes, then the sums."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from stadkit.metrics.evaluate import Scores

WIDE = 200  # columns, where stdout is no terminal
LEAST = 8  # letters of a name that are shown; a terminal that lacks them breaks lines
# What --sort takes: the place of a class, worst or fewest first.
SORTS: dict[str, Callable[[Any], Any]] = {
    "id": lambda row: row["id"],
    "ap": lambda row: row["ap"],
    "name": lambda row: row["name"],
    "count": lambda row: row["truth"],
}


def show(scores: Scores, sort: str) -> None:
    """Print the table and the sums on stdout."""
    from rich.console import Console

    out = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    if not out.is_terminal:
        out = Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=WIDE)
    # No cell is ever cut by rich, which would make 1.00 of 100.00.
    out.print(_fitted(_table(scores, sort), out), crop=False)
    for line in sums(scores):
        out.print(line, soft_wrap=True)


def _fitted(table: Table, out: Console) -> Table:
    """The table, with names as short as this terminal needs, and numbers whole."""
    from rich.measure import Measurement

    def columns() -> int:
        return Measurement.get(out, out.options.update(max_width=10**6), table).maximum

    names, full = table.columns[1], columns()
    names.width = LEAST
    names.width = max(LEAST, min(full, out.width) - (columns() - LEAST))
    table.width = columns()
    return table


def _table(scores: Scores, sort: str) -> Table:
    """A row a class that has truth; the others are in the words on coverage."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "action", "AP", *_thresholds(scores), "recall", "truth", "found"):
        justify: Any = "left" if name == "action" else "right"
        table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis")
    for row in sorted(_rows(scores), key=SORTS[sort]):
        cells = (row["ap"], *row["at"], row["recall"])
        counts = (f"{row['truth']:,}", f"{row['found']:,}")
        table.add_row(str(row["id"]), Text(row["name"]), *map(percent, cells), *counts)
    return table


def _thresholds(scores: Scores) -> list[str]:
    """Columns of single thresholds, where there are two or three."""
    ious = scores.frames.ious
    return [f"AP@{iou:g}" for iou in ious] if 1 < len(ious) <= 3 else []


def _rows(scores: Scores) -> list[dict[str, Any]]:
    frames = scores.frames
    return [
        {
            "id": number,
            "name": frames.classes[c],
            # Not in the mean, and so after all that are.
            "ap": float(np.nan_to_num(frames.ap[:, c].mean(), nan=np.inf)),
            "at": frames.ap[:, c].tolist() if _thresholds(scores) else [],
            "recall": float(frames.recall[:, c].mean()),
            "truth": int(frames.truths[c]),
            "found": int(frames.detections[c]),
        }
        for c, number in enumerate(scores.labels.ids)
        if frames.truths[c]
    ]


def sums(scores: Scores) -> list[str]:
    """The means, a line each."""
    frames, people = scores.frames, scores.people
    at = "IoU " + ", ".join(f"{iou:g}" for iou in frames.ious)
    if len(frames.ious) > 3:
        low, high = min(frames.ious), max(frames.ious)
        at = f"{len(frames.ious)} IoUs from {low:g} to {high:g}"
    counted = int((~np.isnan(frames.ap).all(0)).sum())
    lines = [
        "",
        f"frame mAP   {percent(frames.mean)}  ({scores.protocol}, {at}, {counted} of "
        f"{len(frames.classes)} classes)",
        f"person AP   {percent(people.mean)}  (recall {percent(float(people.recall.mean()))})",
    ]
    groups = {name: value for name, value in scores.groups.items() if not np.isnan(value)}
    if groups:
        told = ", ".join(f"{name} {percent(value).strip()}" for name, value in groups.items())
        lines.append(f"groups      {told}")
    if scores.tubes is not None:
        told = ", ".join(
            f"{name} {percent(v).strip()}" for name, v in scores.tubes.summary().items()
        )
        lines.append(f"video mAP   {told}  ({scores.tubes.protocol})")
    return lines


def coverage_notes(scores: Scores) -> list[str]:
    """What to know beside the numbers, and what to do about them: for stderr."""
    from stadkit.metrics.mistakes import BOXED

    coverage, wrong = scores.coverage, scores.mistakes
    lines = [*scores.notes, *coverage.lines(), *_advice(scores)]
    lines += [f"{faults.path}: {line}" for faults in scores.faults for line in faults.lines()]
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in wrong.shares.items())
    missed, unboxed = int(wrong.missed.sum()), int(wrong.unseen.sum())
    lines += [
        f"of the {int(wrong.kinds.sum()):,} best detections: {shares}",
        f"of {int(wrong.truths.sum()):,} in truth {missed:,} are missed, {unboxed:,} of them "
        f"without a box of any action (IoU {BOXED:g})",
    ]
    if pairs := wrong.worst_pairs[:3]:
        told = "; ".join(f"{said!r} where truth has {was!r}" for was, said, _ in pairs)
        lines.append(f"most often said wrongly: {told}")
    if scores.frames.mean == 0:
        lines.append(
            f"warning: no detection is right at IoU {scores.frames.ious[0]:g}: look at the shares "
            "above, and at a drawn video (stadkit detect --save-video)"
        )
    return lines


def _advice(scores: Scores) -> list[str]:
    """What to do where the two were not made for the same keyframes."""
    from stadkit.metrics.video_map import TUBE_PROTOCOLS

    coverage, lines = scores.coverage, []
    unseen = coverage.found_keyframes - coverage.shared_keyframes
    dense = scores.tubes is not None or scores.protocol in TUBE_PROTOCOLS  # all is labelled
    wrong = scores.frames.protocol.unseen == "wrong" and not dense
    if wrong and unseen > 0.02 * coverage.found_keyframes:
        lines.append(
            "keyframes without truth: their detections count as wrong; if nobody labelled them, "
            "use --protocol activitynet, which drops them"
        )
    if 2 * coverage.shared_keyframes < coverage.truth_keyframes and not coverage.notes:
        lines.append(
            "warning: most keyframes of truth have no detection, and so their truth counts as "
            "missed; --partial scores only the videos, --only-found only the keyframes of found"
        )
    return lines


def percent(value: float) -> str:
    """ "34.38"; a dash for what has no value."""
    return f"{100 * value:5.2f}" if np.isfinite(value) else "    -"
