"""`stadkit link`: links detections into tubes of one person and one action."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stadkit.files.tube_truth import TubeTruth
    from stadkit.linking import Linked
    from stadkit.readers.detections import DetectionSet

OutputPaths = tuple[Path, Path | None, Path | None]  # tubes JSON, CSV, pickle

TRACK, FORMATS = "Method track", "File formats"  # help panels


def link(
    found: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOUND",
            help="Detections: AVA CSV, .jsonl, result folders of `detect`, or pickles of frame "
            "detections or tubelets.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file for the tubes.")],
    method: Annotated[
        str,
        typer.Option(help="track; for comparison act, mmaction2 or viterbi."),
    ] = "track",
    csv: Annotated[
        Path | None, typer.Option(help="Also write FOUND as CSV, with the track as ninth column.")
    ] = None,
    pickle: Annotated[Path | None, typer.Option(help="Also write the tubes as a pickle.")] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--format",
            help="Pickle layout: act (by video), multisports (by label) or gt (GT.pkl).",
        ),
    ] = "act",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
    min_iou: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Lowest IoU of a track and the box that continues it.",
            rich_help_panel=TRACK,
        ),
    ] = None,
    max_gap: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Seconds that a person may stay undetected.", rich_help_panel=TRACK
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Lowest peak score of an action that becomes a tube.",
            rich_help_panel=TRACK,
        ),
    ] = None,
    smooth: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Box smoothing window in seconds; 0: off.", rich_help_panel=TRACK
        ),
    ] = None,
    anew: Annotated[
        bool,
        typer.Option(
            "--anew",
            help="Ignore the tracks in FOUND; by default their rows stay together.",
            rich_help_panel=TRACK,
        ),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Action list: a file, or 60 or 80 for AVA. Default: labels.txt beside FOUND, "
            "else AVA's 60.",
            rich_help_panel=FORMATS,
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="GT.pkl with the videos, sizes and labels of pickled detections.",
            rich_help_panel=FORMATS,
        ),
    ] = None,
    split: Annotated[
        int, typer.Option(min=0, help="Split of the GT.pkl, from 0.", rich_help_panel=FORMATS)
    ] = 0,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Frames per second, where frames are counted. Default: the keyframe rate.",
            rich_help_panel=FORMATS,
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH",
            help="Frame size in pixels of all videos, for --pickle.",
            rich_help_panel=FORMATS,
        ),
    ] = None,
) -> None:
    """Link detections into tubes: one person, one action, from start to end.

    Keyframes may have any rate. Boxes missing within a tube are interpolated and marked.

    Exit codes: 0 linked; 2 wrong usage, or an unreadable file.
    """
    from stadkit.readers.detections import read_detection_set
    from stadkit.readers.sniff import input_files
    from stadkit.runs.checks import check_options, check_outputs, parse_size
    from stadkit.runs.linking import link_detection_set, pickle_facts

    values = {"min_iou": min_iou, "max_gap": max_gap, "min_score": min_score, "smooth": smooth}
    options = {name: value for name, value in values.items() if value is not None}
    check_options(method, kind, rate, options)
    frame_size = parse_size(size)
    paths = output, csv, pickle
    check_outputs([p for p in paths if p], input_files(found, labels, truth), overwrite)
    detections = read_detection_set(found, labels, _read_truth(truth, split, rate))
    detections = detections.without_tracks() if anew else detections
    facts = pickle_facts(detections, rate, frame_size) if pickle else None
    linked = link_detection_set(detections, method, options, rate, frame_size)
    _write(linked, detections, facts, paths, kind)
    _report(linked, detections, method, paths, notes(linked, detections, method, rate), as_json)


def _read_truth(path: Path | None, split: int, rate: float | None) -> TubeTruth | None:
    if path is None:
        return None
    from stadkit.readers.tubes import read_gt

    return read_gt(path, rate, split or None)


def _write(
    linked: Linked,
    detections: DetectionSet,
    facts: TubeTruth | None,
    paths: OutputPaths,
    kind: str,
) -> None:
    """Write all requested files, or none."""
    from stadkit.files.ava_csv import write_found
    from stadkit.files.tubes_json import write_tubes_json
    from stadkit.runs.linking import on_frames, write_pickle, write_together

    output, csv, pickle = paths
    labels = detections.labels
    writers: dict[Path, Callable[[Path], None]] = {
        output: lambda file: write_tubes_json(linked.tubes, labels, file, detections.videos)
    }
    if csv is not None:
        writers[csv] = lambda file: write_found(linked.found, labels, file, tracks=True)
    if pickle is not None and facts is not None:
        framed = on_frames(linked.tubes, facts.rate)
        writers[pickle] = lambda file: write_pickle(framed, facts, file, kind)
    write_together(writers)


def _report(
    linked: Linked,
    detections: DetectionSet,
    method: str,
    paths: OutputPaths,
    notes: list[str],
    as_json: bool,
) -> None:
    """Print the summary and notes on stderr and, if requested, JSON on stdout."""
    from stadkit.console import console

    figures = summary(linked, detections)
    console.print(f"labels: {len(detections.labels)}, {detections.source}")
    console.print(words(figures, method))
    for note in notes:
        console.print(note)
    for path in paths:
        if path is not None:
            console.print(f"wrote {path}")
    if as_json:
        names = dict(zip(("output", "csv", "pickle"), paths, strict=True))
        files = {name: None if path is None else str(path) for name, path in names.items()}
        typer.echo(json.dumps({"method": method, **files, **figures}))


def notes(linked: Linked, detections: DetectionSet, method: str, rate: float | None) -> list[str]:
    """Warnings and remarks about the result."""
    from stadkit.runs.linking import FRAME_METHODS

    if not len(detections.found):
        return ["warning: no detections to link"]
    if method == "track" and detections.raw is None and (detections.found.track >= 0).any():
        return ["tracks in FOUND are kept; use --anew to ignore them"]
    if method in FRAME_METHODS and not len(linked.tubes):
        counted = "one per keyframe; set --rate" if rate is None else f"{rate:g} per second"
        return [
            f"warning: no tubes: {method} ends a tube at a missed frame and drops tubes under 15 "
            f"frames (here {counted})"
        ]
    return []


def summary(linked: Linked, detections: DetectionSet) -> dict[str, Any]:
    """Counts of inputs and results; `interpolated`: share of tube boxes, None without boxes."""
    import numpy as np

    found, tubes = linked.found, linked.tubes
    tracked = found.track >= 0
    people = set(zip(found.video[tracked].tolist(), found.track[tracked].tolist(), strict=True))
    share = float(np.mean(tubes.interpolated)) if len(tubes.time) else None
    return {
        "videos": len(detections.videos),
        "keyframes": len(detections.keyframes),
        "detections": len(found),
        "people": len(people),
        "tubes": len(tubes),
        "tube_boxes": len(tubes.time),
        "interpolated": share if share is None else round(share, 4),
    }


def words(figures: dict[str, Any], method: str) -> str:
    """Format the summary as one line."""
    videos, found = _count(figures["videos"], "video"), _count(figures["detections"], "detection")
    people = _count(figures["people"], "person").replace("persons", "people")
    people = f"{people}, " if figures["people"] else ""
    tubes, share = _count(figures["tubes"], "tube"), figures["interpolated"]
    boxes = "" if share is None else f", {100 * share:.1f} % of their boxes interpolated"
    return f"{method}: {videos}, {found} -> {people}{tubes}{boxes}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + "s" * (number != 1)
