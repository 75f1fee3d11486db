"""What `detect` says of a run and of each input, in a line each."""

from __future__ import annotations

from pathlib import Path

from stadkit.cli.inputs import Input
from stadkit.cli.job import Job
from stadkit.cli.queries import said
from stadkit.cli.runs import Entry
from stadkit.detect.person_model import WithPeople
from stadkit.video.check import shown


def heading(job: Job, folder: Path | None = None) -> str:
    """The model, the thresholds in force and where the results go, in one line."""
    detector = job.detector
    kind = str(detector.precision).removeprefix("torch.")
    finder = f"; people by {detector.people.name}" if isinstance(detector, WithPeople) else ""
    where = "" if folder is None else f" -> {folder}"
    pace = "every frame" if isinstance(job.every, str) else f"every {job.every:g} s"
    return (
        f"{detector.name} (weights: {detector.card.licence}) on {detector.device}, {kind}; "
        f"people from {job.min_person:g}, actions from {job.min_action:g}, "
        f"{pace}{finder}{said(job)}{where}"
    )


def line(item: Input, entry: Entry, folder: Path) -> str:
    """How an input went, in one line."""
    where, reason = shown(item.path), entry["reason"]
    if entry["status"] == "failed":
        return f"stadkit: error: {reason if where in reason else f'{where}: {reason}'}"
    kept = "kept from before, " if entry.get("kept") else ""
    partial = f"; PARTIAL: {reason}" if entry["status"] == "partial" else ""
    partial += f"; {entry['note']}" if entry.get("note") else ""
    counts = f"{entry['people']} people in {entry['keyframes']} keyframes"
    if "tubes" in entry:
        counts += f", {entry['tracks']} tracks, {entry['tubes']} tubes"
    outside = f" ({entry['outside']} proposal times outside)" if entry.get("outside") else ""
    seconds = f"{entry['seconds']} s"
    return f"{where}: {kept}{counts}{outside}, {seconds} -> {folder / item.name}.csv{partial}"
