"""`stadkit eval`: scores detections against truth by the common protocols."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stadkit.cli.options import OUTPUT

if TYPE_CHECKING:
    from stadkit.metrics.evaluate import Scores

IOU_STEP = 0.05  # of a range without a step
MAX_IOU_THRESHOLDS = 100
SELECTION, FORMATS = "What to score", "File formats"  # help panels
_NUMBER = r"([0-9]+\.?[0-9]*|\.[0-9]+)"


def path(text: str) -> Path:
    """Parse a path; an empty string, which would mean the current folder, is an error."""
    if not text.strip():
        raise typer.BadParameter("is empty; name a file or folder")
    return Path(text)


def evaluate(
    found: Annotated[
        Path,
        typer.Argument(
            help="Detections: AVA CSV, a folder of them, tubes.json, or pickles of frame "
            "detections, tubes or tubelets.",
            show_default=False,
            parser=path,
            metavar="FOUND",
        ),
    ],
    truth: Annotated[
        Path,
        typer.Argument(
            help="Truth: AVA CSV, tubes.json, GT.pkl or pyannot.pkl.",
            show_default=False,
            parser=path,
            metavar="TRUTH",
        ),
    ],
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Frames: ava, activitynet, activitynet-2019, slowfast, mmaction2; tubes: "
            "multisports, act. Default: ava; for tube truth multisports, for tubelets act."
        ),
    ] = None,
    iou: Annotated[
        str, typer.Option(help="Box IoU threshold: 0.5, a list 0.5,0.75, or a range 0.5:0.95.")
    ] = "0.5",
    sort: Annotated[
        str, typer.Option(help="Order of the table: id, ap (worst first), name or count.")
    ] = "id",
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="Score only the videos in FOUND.", rich_help_panel=SELECTION
        ),
    ] = False,
    only_found: Annotated[
        bool,
        typer.Option(
            "--only-found",
            help="Score only the keyframes in FOUND: those of the .jsonl that `detect` writes "
            "beside its CSV, else those with detections. For truth denser than `detect` --every.",
            rich_help_panel=SELECTION,
        ),
    ] = False,
    exclude: Annotated[
        Path | None,
        typer.Option(help="CSV of video, time: keyframes to ignore.", rich_help_panel=SELECTION),
    ] = None,
    cap: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Keep the best N rows per keyframe; 0: all. Default: the protocol's.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Action list: a file, or 60 or 80 for AVA. Default: labels.txt beside TRUTH or "
            "FOUND, else AVA's 60.",
            rich_help_panel=FORMATS,
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Frames per second of tube truth. Default: from the files, else 25.",
            rich_help_panel=FORMATS,
        ),
    ] = None,
    split: Annotated[
        int | None,
        typer.Option(min=0, help="Split of a GT.pkl, from 0. Default: 0.", rich_help_panel=FORMATS),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(
            help="Folder for plots: AP, curves, confusion, calibration.", rich_help_panel=OUTPUT
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace existing plots.", rich_help_panel=OUTPUT),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print everything as JSON.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Score detections: frame mAP, person AP, an error analysis and, for tubes, video mAP.

    Exit codes: 0 scored; 2 wrong usage, or an unreadable file; 5 FOUND and TRUTH share no video,
    time, action or box, so the score would be 0.
    """
    from stadkit.errors import UsageError
    from stadkit.files.ava_csv import read_keyframes
    from stadkit.metrics.evaluate import evaluate
    from stadkit.metrics.table import SORTS
    from stadkit.readers.evaluation import only_keyframes, only_videos, read_evaluation_inputs

    if sort not in SORTS:
        raise UsageError(f"--sort {sort!r}: use one of {', '.join(SORTS)}")
    if rate is not None and not 1 <= rate <= 1000:
        raise UsageError(f"--rate {rate:g}: use frames per second, 1 to 1000")
    ious = parse_ious(iou)
    _check_plots(plots, overwrite)
    _check_effect(truth, protocol, labels, rate, split)
    arguments = {
        "found": str(found),
        "truth": str(truth),
        "protocol": protocol,
        "cap": cap,
        "iou": iou,
        "exclude": _text(exclude),
        "labels": _text(labels),
        "partial": partial,
        "only_found": only_found,
        "rate": rate,
        "split": split,
    }
    excluded = read_keyframes(exclude) if exclude else None
    sides = read_evaluation_inputs(found, truth, labels, rate, split)
    true = sides.truth
    if partial:
        true = only_videos(sides.found, true)
    if only_found:
        true = only_keyframes(sides.found, true)
    scores = evaluate(
        sides.found,
        true,
        sides.labels,
        sides.facts,
        protocol=protocol,
        ious=ious,
        excluded=excluded,
        cap=cap,
    )
    _print_scores(scores, sides.source, sort, arguments if as_json else None)
    if plots is not None:  # last: a failure here does not lose the scores
        _draw(scores, plots)


def _print_scores(scores: Scores, source: str, sort: str, arguments: dict[str, Any] | None) -> None:
    """Print notes on stderr, and the table, or JSON if `arguments` are passed, on stdout."""
    from stadkit.console import console
    from stadkit.metrics.table import coverage_notes, show

    console.print(f"labels: {len(scores.labels)}, {source}")
    for line in coverage_notes(scores):
        console.print(line)
    if arguments is None:
        show(scores, sort)
        return
    labels = {"count": len(scores.labels), "from": source}
    report = {"asked": arguments, "labels": labels, **scores.to_json()}
    typer.echo(json.dumps(report, allow_nan=False))


def _draw(scores: Scores, folder: Path) -> None:
    from stadkit.console import console
    from stadkit.metrics.plots import write_plots

    for path in write_plots(folder, scores.found, scores.frames, scores.mistakes):
        console.print(f"wrote {path}")


def parse_ious(text: str) -> tuple[float, ...]:
    """Parse "0.5", "0.5,0.75", "0.5:0.95" (steps of 0.05) or "0.1:0.9:0.1" into thresholds.

    Raises UsageError for other text and for thresholds outside (0, 1].
    """
    from stadkit.errors import UsageError

    values: list[float] = []
    for part in text.split(","):
        if not re.fullmatch(rf"\s*{_NUMBER}(:{_NUMBER}){{0,2}}\s*", part):
            raise UsageError(
                f"--iou {text!r}: use a threshold 0.5, a list 0.5,0.75, or a range 0.5:0.95"
            )
        low, high, step, *_ = *map(float, part.split(":")), None, None
        high, step = low if high is None else high, IOU_STEP if step is None else step
        if not (0 < round(low, 6) <= round(high, 6) <= 1 and step > 0):
            raise UsageError(f"--iou {text!r}: thresholds must be above 0, at most 1 and ascending")
        steps = int((high - low) / step + 1e-6) + 1
        if len(values) + steps > MAX_IOU_THRESHOLDS:
            count, limit = len(values) + steps, MAX_IOU_THRESHOLDS
            raise UsageError(
                f"--iou {text[:40]!r}: {count:,} thresholds; at most {limit} are allowed"
            )
        values += [round(low + i * step, 6) for i in range(steps)]
    return tuple(dict.fromkeys(values))


def _check_effect(
    truth: Path, protocol: str | None, labels: Path | None, rate: float | None, split: int | None
) -> None:
    """Raise UsageError for an option that has no effect on this kind of truth."""
    from stadkit.errors import UsageError
    from stadkit.readers.sniff import detect_format

    if protocol == "":
        raise UsageError("--protocol '': use a name, such as ava, or omit it for the default")
    kind = detect_format(truth)
    if labels is not None and kind == "pickle":
        raise UsageError(f"--labels {labels}: {truth} contains its own labels; omit --labels")
    if rate is not None and kind == "csv":
        raise UsageError(f"--rate {rate:g}: {truth} has times, not frame numbers; omit --rate")
    if split is not None and kind != "pickle":
        raise UsageError(f"--split {split}: {truth} has no splits; omit --split")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _check_plots(folder: Path | None, overwrite: bool) -> None:
    """Raise UsageError for a --plots folder that is a file or holds plots, before any work."""
    from stadkit.errors import UsageError
    from stadkit.metrics.plots import NAMES

    if folder is None:
        if overwrite:
            raise UsageError(
                "--overwrite needs --plots: add a folder for the plots, or omit --overwrite"
            )
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--plots {folder}: is a file; choose a folder")
    existing = [name for name in NAMES if (folder / name).exists()]
    if existing and not overwrite:
        raise UsageError(f"{folder / existing[0]}: already exists; use --overwrite to replace it")
