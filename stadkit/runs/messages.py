"""What a run of many videos reports: a line a video, summary.json, and a table at the end."""

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
from stadkit.runs.outputs import said
from stadkit.runs.record import STATUSES, VideoRecord
from stadkit.video.check import shown

SUMMARY = "summary.json"
MOST_ROWS = 40  # of the table: what is more is told of in all only
Row = dict[str, Any]


def run_heading(job: Job, folder: Path | None = None) -> str:
    """The model, the thresholds in force and where the results go, in one line."""
    detector = job.detector
    kind = str(detector.precision).removeprefix("torch.")
    people = detector.person_detector
    finder = "" if people is None else f"; people by {people.name}"
    where = "" if folder is None else f" -> {folder}"
    pace = "every frame" if isinstance(job.every, str) else f"every {job.every:g} s"
    return (
        f"{detector.name} (weights: {detector.card.licence}) on {detector.device}, {kind}; "
        f"people from {job.min_person:g}, actions from {job.min_action:g}, "
        f"{pace}{finder}{said(job)}{where}"
    )


def video_line(item: Input, record: VideoRecord, folder: Path) -> str:
    """How an input went, in one line."""
    where, reason = shown(item.path), record.reason or ""
    if record.status == "failed":
        return f"stadkit: error: {reason if where in reason else f'{where}: {reason}'}"
    kept = "kept from before, " if record.kept else ""
    partial = f"; PARTIAL: {reason}" if record.status == "partial" else ""
    partial += f"; {record.note}" if record.note else ""
    counts = f"{record.people} people in {record.keyframes} keyframes"
    if record.tubes is not None:
        counts += f", {record.tracks} tracks, {record.tubes} tubes"
    outside = f" ({record.outside} proposal times outside)" if record.outside else ""
    seconds = f"{record.seconds} s"
    return f"{where}: {kept}{counts}{outside}, {seconds} -> {folder / item.name}.csv{partial}"


def summary_row(name: str, record: VideoRecord) -> Row:
    """The summary's row of an input; people and keyframes are null where it failed."""
    keys = ("input", "status", "reason", "people", "keyframes", "seconds")
    return {"name": name, **{key: getattr(record, key) for key in keys}}


def make_summary(rows: Sequence[Row], exit_code: int) -> dict[str, Any]:
    """{"videos": rows by name, "totals": counts by status, people, keyframes and seconds,
    "exit_code"}."""
    counts = {status: sum(each["status"] == status for each in rows) for status in STATUSES}
    sums = {
        key: round(sum(each[key] or 0 for each in rows), 2)
        for key in ("people", "keyframes", "seconds")
    }
    totals = {"videos": len(rows), **counts, **sums}
    ordered = sorted(rows, key=lambda each: each["name"])
    return {"videos": ordered, "totals": totals, "exit_code": exit_code}


def write_summary(summary: dict[str, Any], folder: Path) -> None:
    """Write summary.json; raises StadkitError where the place cannot be written to."""
    write_text(folder / SUMMARY, [json.dumps(summary, indent=1) + "\n"])


def remove_summary(folder: Path) -> None:
    """Take away that of an earlier command: it is not of the one that begins."""
    if (folder / "manifest.json").exists():  # else it is someone else's
        with suppress(OSError):
            (folder / SUMMARY).unlink(missing_ok=True)


def tell_summary(summary: dict[str, Any]) -> None:
    """A table in a terminal, else the sums in one line; nothing of a single input."""
    rows, totals = summary["videos"], summary["totals"]
    if len(rows) < 2:
        return
    if console.is_terminal:
        _show_table(rows)
    console.print(
        f"{totals['ok']} of {totals['videos']} done in full: {totals['people']} people in "
        f"{totals['keyframes']} keyframes, {totals['seconds']:g} s"
    )


def _show_table(rows: Sequence[Row]) -> None:
    """The first inputs, those that are not whole before the others."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("video", overflow="fold")
    table.add_column("status")
    for name in ("people", "keyframes", "seconds"):
        table.add_column(name, justify="right")
    for each in sorted(rows, key=lambda row: row["status"] == "ok")[:MOST_ROWS]:
        numbers = (each["people"], each["keyframes"], each["seconds"])
        table.add_row(
            shown(Path(each["input"])),
            each["status"],
            *("" if number is None else f"{number:g}" for number in numbers),
        )
    console.print(table, soft_wrap=False)
    if len(rows) > MOST_ROWS:
        console.print(f"and {len(rows) - MOST_ROWS} more; {SUMMARY} has them all")
