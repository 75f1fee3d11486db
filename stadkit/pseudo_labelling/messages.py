"""What `stadkit pseudo-label` says of what it did: words on stderr, a table or JSON on stdout."""

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
from stadkit.pseudo_labelling.inputs import FoundPeople, Truth
from stadkit.pseudo_labelling.job import PseudoLabelJob, sources_of
from stadkit.tla import Check, Labelled, Notes

# What may be true of a frame, and is to be known.
FRAMES = {
    "without_neighbour": "no labelled keyframe within reach (--max-gap): not labelled",
    "one_neighbour": "a labelled keyframe on one side only",
    "nobody_in_truth": "nobody in the labelled keyframes around: no labels to give",
    "nobody_found": "nobody found in them",
    "cut": "a labelled keyframe beyond a change of shot, which is not used",
}


def tell_label(
    asked: PseudoLabelJob, truth: Truth, found: FoundPeople, labelled: Labelled, as_json: bool
) -> int:
    """How the labelling went; the exit code."""
    told = {**summary(asked, truth, labelled), **about_videos(truth, found)}
    for line in (*read_notes(truth, found), *video_notes(told), *frame_notes(labelled.notes)):
        console.print(line)
    if told["pseudo_people_not_found"]:
        people = _people(told["pseudo_people_not_found"])
        console.print(f"note: {people} of the new ones by truth alone, on lines between two boxes")
    if told["thresholds"]:
        pairs = (f"{name} {value:.2f}" for name, value in told["thresholds"].items())
        console.print(f"thresholds: {', '.join(pairs)}")
    console.print(words(told))
    console.print(f"wrote {told['output']}\nwrote {told['sources']}")
    if as_json:
        write_json(told)
    return int(told["exit_code"])


def tell_check(
    asked: PseudoLabelJob,
    truth: Truth,
    found: FoundPeople,
    checks: Mapping[str, Check],
    as_json: bool,
) -> int:
    """How good the labels of hidden keyframes are; the exit code."""
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
        write_json({"truth": str(asked.truth), "strategies": strategies, **about})
    else:
        _show(checks)
    return int(about["exit_code"])


def summary(asked: PseudoLabelJob, truth: Truth, labelled: Labelled) -> dict[str, Any]:
    """How much came of how much."""
    made = labelled.table
    frames = set(zip(made.video.tolist(), made.time.tolist(), strict=True))
    counts = labelled.notes.to_json()
    return {
        "strategy": asked.options.strategy,
        "output": str(asked.output),
        "sources": None if asked.output is None else str(sources_of(asked.output)),
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
        "frames": {key: counts[key] for key in (*FRAMES, "frames", "labelled_frames")},
    }


def about_videos(truth: Truth, found: FoundPeople) -> dict[str, Any]:
    """Which videos and actions lack what, and the exit code that this comes to."""
    return {
        "videos_without_truth": found.without_truth(truth),
        "videos_missing": found.missing(truth),
        "videos_failed": list(found.failed),
        "actions_without_scores": list(found.unscored),
        "exit_code": int(bool(found.failed)),
    }


def words(told: Mapping[str, Any]) -> str:
    """The summary in one line."""
    return (
        f"{told['strategy']}: {_count(told['videos'], 'video')}, "
        f"{_people(told['true_people'])} in {_count(told['labelled_keyframes'], 'keyframe')} -> "
        f"{_people(told['pseudo_people'])} more in {_count(told['pseudo_frames'], 'frame')}, "
        f"{told['background']:,} found and not labelled"
    )


def read_notes(truth: Truth, found: FoundPeople) -> list[str]:
    """What to know of what was read."""
    lacking = (
        f"note: {len(found.unscored)} of truth's {len(truth.labels)} actions have no scores: "
        f"{some(found.unscored)}"
    )
    return [*truth.notes, *found.notes, *[lacking] * bool(found.unscored)]


def video_notes(about: Mapping[str, Any]) -> list[str]:
    """What to know of videos that lack something."""
    texts = {
        "videos_without_truth": "without labelled keyframes, passed over",
        "videos_missing": "of the truth not here, where nothing is labelled",
        "videos_failed": "not read in full",
    }
    return [
        f"note: {_count(len(about[key]), 'video')} {what}: {some(about[key])}"
        for key, what in texts.items()
        if about[key]
    ]


def frame_notes(notes: Notes) -> list[str]:
    """What to know of frames that got no labels, or few."""
    counts, frames = notes.to_json(), _count(notes.frames, "frame")
    return [
        f"note: {counts[key]:,} of {frames}: {what}" for key, what in FRAMES.items() if counts[key]
    ]


def _show(checks: Mapping[str, Check]) -> None:
    """Print a row a strategy; of one alone also a row a class."""
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


def _thresholds(result: Labelled | Check) -> dict[str, float]:
    """Class -> the threshold that was fitted; none for a class that is never given."""
    if result.thresholds is None:
        return {}
    classes = result.classes if isinstance(result, Check) else result.table.classes
    pairs = zip(classes, result.thresholds.tolist(), strict=True)
    return {name: value for name, value in pairs if not np.isnan(value)}


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + "s" * (number != 1)


def _people(number: int) -> str:
    return _count(number, "person").replace("persons", "people")
