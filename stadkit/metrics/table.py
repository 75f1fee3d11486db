"""Human-readable scores: a table of classes, then summary lines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from stadkit.metrics.evaluate import Scores

DEFAULT_WIDTH = 200  # columns, when stdout is not a terminal
MIN_NAME_WIDTH = 8  # letters of a class name; on narrower terminals, lines wrap
# Sort keys of --sort, worst or fewest first.
SORTS: dict[str, Callable[[Any], Any]] = {
    "id": lambda row: row["id"],
    "ap": lambda row: row["ap"],
    "name": lambda row: row["name"],
    "count": lambda row: row["truth"],
}


def show(scores: Scores, sort: str) -> None:
    """Print the table and the summary lines on stdout."""
    from rich.console import Console

    out = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    if not out.is_terminal:
        out = Console(
            file=sys.stdout, markup=False, highlight=False, emoji=False, width=DEFAULT_WIDTH
        )
    # Rich must not crop cells, which would turn 100.00 into 1.00.
    out.print(_fit_to_terminal(_table(scores, sort), out), crop=False)
    for line in summary_lines(scores):
        out.print(line, soft_wrap=True)


def _fit_to_terminal(table: Table, out: Console) -> Table:
    """Fit the table to this terminal by shortening names, never numbers."""
    from rich.measure import Measurement

    def columns() -> int:
        return Measurement.get(out, out.options.update(max_width=10**6), table).maximum

    names, full = table.columns[1], columns()
    names.width = MIN_NAME_WIDTH
    names.width = max(MIN_NAME_WIDTH, min(full, out.width) - (columns() - MIN_NAME_WIDTH))
    table.width = columns()
    return table


def _table(scores: Scores, sort: str) -> Table:
    """Make one row per class with truth; other classes are listed under coverage."""
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
    """Return the columns of single thresholds, if there are two or three."""
    ious = scores.frames.ious
    return [f"AP@{iou:g}" for iou in ious] if 1 < len(ious) <= 3 else []


def _rows(scores: Scores) -> list[dict[str, Any]]:
    frames = scores.frames
    return [
        {
            "id": number,
            "name": frames.classes[c],
            # NaN is excluded from the mean, so it sorts last.
            "ap": float(np.nan_to_num(frames.ap[:, c].mean(), nan=np.inf)),
            "at": frames.ap[:, c].tolist() if _thresholds(scores) else [],
            "recall": float(frames.recall[:, c].mean()),
            "truth": int(frames.truths[c]),
            "found": int(frames.detections[c]),
        }
        for c, number in enumerate(scores.labels.ids)
        if frames.truths[c]
    ]


def summary_lines(scores: Scores) -> list[str]:
    """Return the means, one line each."""
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
        means = ", ".join(f"{name} {percent(value).strip()}" for name, value in groups.items())
        lines.append(f"groups      {means}")
    if scores.tubes is not None:
        means = ", ".join(
            f"{name} {percent(v).strip()}" for name, v in scores.tubes.summary().items()
        )
        lines.append(f"video mAP   {means}  ({scores.tubes.protocol})")
    return lines


def coverage_notes(scores: Scores) -> list[str]:
    """Return notes on coverage, faults and mistakes, with advice: for stderr."""
    from stadkit.metrics.mistakes import BOXED

    coverage, wrong = scores.coverage, scores.mistakes
    lines = [*scores.notes, *coverage.lines(), *_advice(scores)]
    lines += [f"{faults.path}: {line}" for faults in scores.faults for line in faults.lines()]
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in wrong.shares.items())
    missed, unboxed = int(wrong.missed.sum()), int(wrong.missed_without_box.sum())
    lines += [
        f"the {int(wrong.kinds.sum()):,} top detections are: {shares}",
        f"{missed:,} of {int(wrong.truths.sum()):,} truth labels are missed, {unboxed:,} of them "
        f"without a box of any action (IoU {BOXED:g})",
    ]
    if pairs := wrong.worst_pairs[:3]:
        confusions = "; ".join(f"{found!r} instead of {true!r}" for true, found, _ in pairs)
        lines.append(f"most frequent confusions: {confusions}")
    if scores.frames.mean == 0:
        lines.append(
            f"warning: no detection is right at IoU {scores.frames.ious[0]:g}; check the shares "
            "above, and a rendered video (stadkit detect --save-video)"
        )
    return lines


def _advice(scores: Scores) -> list[str]:
    """Return advice for found and truth that cover different keyframes."""
    from stadkit.metrics.video_map import TUBE_PROTOCOLS

    coverage, lines = scores.coverage, []
    missed_without_box = coverage.found_keyframes - coverage.shared_keyframes
    dense = scores.tubes is not None or scores.protocol in TUBE_PROTOCOLS  # every frame is labelled
    wrong = scores.frames.protocol.unlabelled == "wrong" and not dense
    if wrong and missed_without_box > 0.02 * coverage.found_keyframes:
        lines.append(
            "detections at keyframes without truth count as wrong; if these keyframes were never "
            "labelled, use --protocol activitynet, which drops them"
        )
    if 2 * coverage.shared_keyframes < coverage.truth_keyframes and not coverage.notes:
        lines.append(
            "warning: most truth keyframes have no detections, so their truth counts as missed; "
            "--partial scores only the videos of found, --only-found only its keyframes"
        )
    return lines


def percent(value: float) -> str:
    """Format a fraction as "34.38"; a dash for NaN."""
    return f"{100 * value:5.2f}" if np.isfinite(value) else "    -"
