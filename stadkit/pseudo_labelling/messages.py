"""Reports of `stadkit pseudo-label`: notes on stderr, a table or JSON on stdout."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stadkit.console import console, write_json
from stadkit.metrics.mismatch import some
from stadkit.metrics.table import DEFAULT_WIDTH, percent
from stadkit.pseudo_labelling.inputs import FoundPeople, LabelledTruth
from stadkit.pseudo_labelling.job import PseudoLabelJob, sources_of
from stadkit.tla import CheckReport, Labelled, Notes

# Notes on frames, by key of the JSON report.
FRAME_NOTES = {
    "without_neighbour": "no labelled keyframe within reach (--max-gap): not labelled",
    "one_neighbour": "a labelled keyframe on one side only",
    "nobody_in_truth": "no people in the neighbouring labelled keyframes: not labelled",
    "nobody_found": "no people found",
    "cut": "a labelled keyframe across a shot change, which is not used",
}


def report_labelling(
    job: PseudoLabelJob, truth: LabelledTruth, found: FoundPeople, labelled: Labelled, as_json: bool
) -> int:
    """Report on the labelling; returns the exit code."""
    report = {**summary(job, truth, labelled), **about_videos(truth, found)}
    for line in (*read_notes(truth, found), *video_notes(report), *frame_notes(labelled.notes)):
        console.print(line)
    if report["pseudo_people_not_found"]:
        people = _people(report["pseudo_people_not_found"])
        console.print(f"note: {people} of the new ones from truth alone, by interpolated boxes")
    if report["thresholds"]:
        pairs = (f"{name} {value:.2f}" for name, value in report["thresholds"].items())
        console.print(f"thresholds: {', '.join(pairs)}")
    console.print(summary_line(report))
    console.print(f"wrote {report['output']}\nwrote {report['sources']}")
    if as_json:
        write_json(report)
    return int(report["exit_code"])


def report_check(
    job: PseudoLabelJob,
    truth: LabelledTruth,
    found: FoundPeople,
    checks: Mapping[str, CheckReport],
    as_json: bool,
) -> int:
    """Report the quality of the labels of hidden keyframes; returns the exit code."""
    about = about_videos(truth, found)
    for line in (*read_notes(truth, found), *video_notes(about)):
        console.print(line)
    for name, result in checks.items():
        if result.thresholds is not None:
            pairs = [f"{c} {t:.2f}" for c, t in _thresholds(result).items()]
            console.print(f"{name}: thresholds: {', '.join(pairs)}")
    first = next(iter(checks.values()))
    console.print(
        f"hidden: {first.keyframes:,} of {len(truth.keyframes):,} labelled keyframes, with "
        f"{first.people:,} people"
    )
    if as_json:
        strategies = {name: result.to_json() for name, result in checks.items()}
        write_json({"truth": str(job.truth), "strategies": strategies, **about})
    else:
        _print_tables(checks)
    return int(about["exit_code"])


def summary(job: PseudoLabelJob, truth: LabelledTruth, labelled: Labelled) -> dict[str, Any]:
    """The counts of the labelling, for JSON."""
    made = labelled.table
    frames = set(zip(made.video.tolist(), made.time.tolist(), strict=True))
    counts = labelled.notes.to_json()
    return {
        "strategy": job.options.strategy,
        "output": str(job.output),
        "sources": None if job.output is None else str(sources_of(job.output)),
        "videos": len(truth.videos),
        "labelled_keyframes": len(truth.keyframes),
        "true_people": len(truth.table),
        "true_labels": int(truth.table.action.sum()),
        "pseudo_frames": len(frames),
        "pseudo_people": len(made),
        "pseudo_labels": int(made.action.sum()),
        "pseudo_people_not_found": int((labelled.row < 0).sum()),
        "background": len(labelled.background),
        "thresholds": _thresholds(labelled),
        "frames": {key: counts[key] for key in (*FRAME_NOTES, "frames", "labelled_frames")},
    }


def about_videos(truth: LabelledTruth, found: FoundPeople) -> dict[str, Any]:
    """Videos and actions with something missing, and the resulting exit code."""
    return {
        "videos_without_truth": found.without_truth(truth),
        "videos_missing": found.missing(truth),
        "videos_failed": list(found.failed),
        "actions_without_scores": list(found.unscored),
        "exit_code": int(bool(found.failed)),
    }


def summary_line(report: Mapping[str, Any]) -> str:
    """The summary in one line."""
    keyframes = _count(report["labelled_keyframes"], "keyframe")
    frames = _count(report["pseudo_frames"], "frame")
    return (
        f"{report['strategy']}: {_count(report['videos'], 'video')}, "
        f"{_people(report['true_people'])} in {keyframes} -> "
        f"{_people(report['pseudo_people'])} more in {frames}, "
        f"{report['background']:,} found but not labelled"
    )


def read_notes(truth: LabelledTruth, found: FoundPeople) -> list[str]:
    """Notes on the inputs."""
    unscored = (
        f"note: {len(found.unscored)} of truth's {len(truth.labels)} actions have no scores: "
        f"{some(found.unscored)}"
    )
    return [*truth.notes, *found.notes, *[unscored] * bool(found.unscored)]


def video_notes(about: Mapping[str, Any]) -> list[str]:
    """Notes on videos with something missing."""
    texts = {
        "videos_without_truth": "without labelled keyframes, skipped",
        "videos_missing": "of the truth missing, not labelled",
        "videos_failed": "not read in full",
    }
    return [
        f"note: {_count(len(about[key]), 'video')} {what}: {some(about[key])}"
        for key, what in texts.items()
        if about[key]
    ]


def frame_notes(notes: Notes) -> list[str]:
    """Notes on frames that got no labels, or few."""
    counts, frames = notes.to_json(), _count(notes.frames, "frame")
    return [
        f"note: {counts[key]:,} of {frames}: {what}"
        for key, what in FRAME_NOTES.items()
        if counts[key]
    ]


def _print_tables(checks: Mapping[str, CheckReport]) -> None:
    """Print a row per strategy and, for a single strategy, a row per class."""
    out = Console(file=sys.stdout, markup=False, highlight=False, emoji=False)
    if not out.is_terminal:
        out = Console(
            file=sys.stdout, markup=False, highlight=False, emoji=False, width=DEFAULT_WIDTH
        )
    if len(checks) == 1:
        (result,) = checks.values()
        by_class = result.by_class()
        rows = {name: (*_scores(row), f"{row['labels']:,.0f}") for name, row in by_class.items()}
        out.print(_table("action", ("labels",), rows))
    rows = {}
    for name, result in checks.items():
        scores = {"precision": result.precision, "recall": result.recall, "f1": result.f1}
        share = result.people_found / result.people if result.people else np.nan
        rows[name] = (*_scores(scores), percent(share))
    out.print(_table("strategy", ("people found",), rows))


def _table(first: str, last: tuple[str, ...], rows: Mapping[str, tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (first, "precision", "recall", "F1", *last):
        justify: Any = "left" if name == first else "right"
        table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis")
    for name, cells in rows.items():
        table.add_row(Text(name), *cells)
    return table


def _scores(scores: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(percent(scores[key]) for key in ("precision", "recall", "f1"))


def _thresholds(result: Labelled | CheckReport) -> dict[str, float]:
    """Class -> its fitted threshold; classes that are never assigned are left out."""
    if result.thresholds is None:
        return {}
    classes = result.classes if isinstance(result, CheckReport) else result.table.classes
    pairs = zip(classes, result.thresholds.tolist(), strict=True)
    return {name: value for name, value in pairs if not np.isnan(value)}


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + "s" * (number != 1)


def _people(number: int) -> str:
    return _count(number, "person").replace("persons", "people")
