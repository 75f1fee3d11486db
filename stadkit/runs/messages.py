"""Reports of a run: a line per video, summary.json, and a table at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stadkit.console import console
from stadkit.files.rows import write_text
from stadkit.runs.inputs import Input
from stadkit.runs.job import Job
from stadkit.runs.outputs import describe_bank
from stadkit.runs.record import STATUSES, VideoRecord
from stadkit.video.check import shown

SUMMARY = "summary.json"
MAX_ROWS = 40  # of the table
Row = dict[str, Any]


def counted(number: int, noun: str) -> str:
    """The number with its noun in singular or plural."""
    plural = "people" if noun == "person" else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def run_heading(job: Job, folder: Path | None = None) -> str:
    """One line: the model, its thresholds and the output folder."""
    detector = job.detector
    kind = str(detector.precision).removeprefix("torch.")
    people = detector.person_detector
    finder = "" if people is None else f"; people by {people.name}"
    where = "" if folder is None else f" -> {folder}"
    pace = "every frame" if isinstance(job.every, str) else f"every {job.every:g} s"
    return (
        f"{detector.name} (weights: {detector.card.licence}) on {detector.device}, {kind}; "
        f"people from {job.min_person:g}, actions from {job.min_action:g}, "
        f"{pace}{finder}{describe_bank(job)}{where}"
    )


def video_line(item: Input, record: VideoRecord, folder: Path) -> str:
    """One line on how an input ended."""
    where, reason = shown(item.path), record.reason or ""
    if record.status == "failed":
        return f"stadkit: error: {reason if where in reason else f'{where}: {reason}'}"
    kept = "kept from an earlier run, " if record.kept else ""
    partial = f"; PARTIAL: {reason}" if record.status == "partial" else ""
    partial += f"; {record.note}" if record.note else ""
    people, keyframes = record.people or 0, record.keyframes or 0
    counts = f"{counted(people, 'person')} in {counted(keyframes, 'keyframe')}"
    if record.tubes is not None:
        counts += f", {counted(record.tracks or 0, 'track')}, {counted(record.tubes, 'tube')}"
    outside = ""
    if record.outside:
        outside = f" ({counted(record.outside, 'proposal time')} outside)"
    seconds = f"{record.seconds} s"
    return f"{where}: {kept}{counts}{outside}, {seconds} -> {folder / item.name}.csv{partial}"


def summary_row(name: str, record: VideoRecord) -> Row:
    """The summary's row of an input; people and keyframes are null if it failed."""
    keys = ("input", "status", "reason", "people", "keyframes", "seconds")
    return {"name": name, **{key: getattr(record, key) for key in keys}}


def make_summary(rows: Sequence[Row], exit_code: int) -> dict[str, Any]:
    """The contents of summary.json: rows by name, totals and the exit code.

    Totals are counts by status, and sums of people, keyframes and seconds.
    """
    counts = {status: sum(each["status"] == status for each in rows) for status in STATUSES}
    sums = {
        key: round(sum(each[key] or 0 for each in rows), 2)
        for key in ("people", "keyframes", "seconds")
    }
    totals = {"videos": len(rows), **counts, **sums}
    ordered = sorted(rows, key=lambda each: each["name"])
    return {"videos": ordered, "totals": totals, "exit_code": exit_code}


def write_summary(summary: dict[str, Any], folder: Path) -> None:
    """Write summary.json; raises StadkitError if it cannot be written."""
    write_text(folder / SUMMARY, [json.dumps(summary, indent=1) + "\n"])


def remove_summary(folder: Path) -> None:
    """Remove the summary of an earlier run, which would be out of date."""
    if (folder / "manifest.json").exists():  # otherwise the file is not ours
        with suppress(OSError):
            (folder / SUMMARY).unlink(missing_ok=True)


def print_summary(summary: dict[str, Any]) -> None:
    """Print the totals and, in a terminal, a table; nothing for a single input."""
    rows, totals = summary["videos"], summary["totals"]
    if len(rows) < 2:
        return
    if console.is_terminal:
        _print_table(rows)
    console.print(
        f"{totals['ok']} of {totals['videos']} complete: {counted(totals['people'], 'person')} in "
        f"{counted(totals['keyframes'], 'keyframe')}, {totals['seconds']:g} s"
    )


def _print_table(rows: Sequence[Row]) -> None:
    """Print the first MAX_ROWS inputs, incomplete ones first."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("video", overflow="fold")
    table.add_column("status")
    for name in ("people", "keyframes", "seconds"):
        table.add_column(name, justify="right")
    for each in sorted(rows, key=lambda row: row["status"] == "ok")[:MAX_ROWS]:
        numbers = (each["people"], each["keyframes"], each["seconds"])
        table.add_row(
            shown(Path(each["input"])),
            each["status"],
            *("" if number is None else f"{number:g}" for number in numbers),
        )
    console.print(table, soft_wrap=False)
    if len(rows) > MAX_ROWS:
        console.print(f"and {len(rows) - MAX_ROWS} more; see {SUMMARY}")
