"""`stadkit eval`: found against truth, in everybody's protocol."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stadkit.metrics.evaluate import Scores

STEP = 0.05  # of an IoU range that names none
MOST = 100  # thresholds
_NUMBER = r"([0-9]+\.?[0-9]*|\.[0-9]+)"


def path(text: str) -> Path:
    """A path that was named: an empty one would be the folder that one is in."""
    if not text.strip():
        raise typer.BadParameter("is empty; name a file or folder")
    return Path(text)


def evaluate(
    found: Annotated[
        Path,
        typer.Argument(
            help="Detections: AVA CSV, a folder of them, tubes.json, or pickles of frames, "
            "tubes or tubelets.",
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
            help="Whose count: ava, activitynet, activitynet-2019, slowfast, mmaction2; for tubes "
            "multisports, act. Default: ava, for true tubes multisports, for tubelets act."
        ),
    ] = None,
    cap: Annotated[
        int | None,
        typer.Option(min=0, help="Best rows a keyframe that count, 0: all; else the protocol's."),
    ] = None,
    iou: Annotated[
        str, typer.Option(help="Threshold of boxes: 0.5, or 0.5,0.75, or 0.5:0.95.")
    ] = "0.5",
    exclude: Annotated[
        Path | None, typer.Option(help="CSV of video, time: keyframes that do not count.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="The actions: a file, or 60 or 80 of AVA; else labels.txt beside TRUTH or FOUND, "
            "else AVA's 60."
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Only the videos that FOUND has.")
    ] = False,
    only_found: Annotated[
        bool,
        typer.Option(
            "--only-found",
            help="Only the keyframes that FOUND has: those of the .jsonl that `detect` writes "
            "beside its CSV, else those with detections; for truth denser than --every.",
        ),
    ] = False,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for pictures: AP, curves, confusion, calibration.")
    ] = None,
    sort: Annotated[
        str, typer.Option(help="Order of the table: id, ap (worst first), name or count.")
    ] = "id",
    rate: Annotated[
        float | None, typer.Option(help="Frames a second of true tubes; 25 where nothing says.")
    ] = None,
    split: Annotated[
        int | None, typer.Option(min=0, help="Which split of a GT.pkl, from 0, the default.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over pictures that are there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON on stdout.")] = False,
) -> None:
    """Score detections: frame mAP, person AP and, of tubes, video mAP; and what went wrong.

    Exit codes: 0 scored; 2 wrong use, or a file that cannot be read; 5 found and truth share no
    video, time, action or box, which would be a score of 0.
    """
    from stadkit.errors import UsageError
    from stadkit.files.ava_csv import read_keyframes
    from stadkit.metrics.evaluate import evaluate
    from stadkit.metrics.table import SORTS
    from stadkit.readers.evaluation import only_keyframes, only_videos, read_evaluation_inputs

    if sort not in SORTS:
        raise UsageError(f"--sort {sort!r}: wants one of {', '.join(SORTS)}")
    if rate is not None and not 1 <= rate <= 1000:
        raise UsageError(f"--rate {rate:g}: wants frames a second, 1 to 1000")
    ious = parse_ious(iou)
    _check_plots(plots, overwrite)
    _check_effect(truth, protocol, labels, rate, split)
    asked = {
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
    mine, true = sides.found, sides.truth
    if partial:
        true = only_videos(mine, true)
    if only_found:
        true = only_keyframes(mine, true)
    scores = evaluate(
        mine,
        true,
        sides.labels,
        sides.facts,
        protocol=protocol,
        ious=ious,
        excluded=excluded,
        cap=cap,
    )
    _tell(scores, sides.source, sort, asked if as_json else None)
    if plots is not None:  # last, so that what goes wrong there leaves the score
        _draw(scores, plots)


def _tell(scores: Scores, source: str, sort: str, asked: dict[str, Any] | None) -> None:
    """Words on stderr; on stdout the table or, with what was asked, JSON."""
    from stadkit.console import console
    from stadkit.metrics.table import coverage_notes, show

    console.print(f"labels: {len(scores.labels)}, {source}")
    for line in coverage_notes(scores):
        console.print(line)
    if asked is None:
        show(scores, sort)
        return
    labels = {"count": len(scores.labels), "from": source}
    told = {"asked": asked, "labels": labels, **scores.to_json()}
    typer.echo(json.dumps(told, allow_nan=False))


def _draw(scores: Scores, folder: Path) -> None:
    from stadkit.console import console
    from stadkit.metrics.plots import write_plots

    for path in write_plots(folder, scores.found, scores.frames, scores.mistakes):
        console.print(f"wrote {path}")


def parse_ious(text: str) -> tuple[float, ...]:
    """ "0.5", "0.5,0.75", "0.5:0.95" (in steps of 0.05) or "0.1:0.9:0.1" -> the thresholds.

    Raises UsageError for others, and for what is not above 0 and at most 1.
    """
    from stadkit.errors import UsageError

    values: list[float] = []
    for part in text.split(","):
        if not re.fullmatch(rf"\s*{_NUMBER}(:{_NUMBER}){{0,2}}\s*", part):
            raise UsageError(f"--iou {text!r}: wants 0.5, or 0.5,0.75, or 0.5:0.95")
        low, high, step, *_ = *map(float, part.split(":")), None, None
        high, step = low if high is None else high, STEP if step is None else step
        if not (0 < round(low, 6) <= round(high, 6) <= 1 and step > 0):
            raise UsageError(f"--iou {text!r}: thresholds are above 0 and at most 1, low to high")
        steps = int((high - low) / step + 1e-6) + 1
        if len(values) + steps > MOST:
            count = len(values) + steps
            raise UsageError(f"--iou {text[:40]!r}: wants at most {MOST} thresholds, not {count:,}")
        values += [round(low + i * step, 6) for i in range(steps)]
    return tuple(dict.fromkeys(values))


def _check_effect(
    truth: Path, protocol: str | None, labels: Path | None, rate: float | None, split: int | None
) -> None:
    """Raise UsageError for an option that would change nothing with this truth."""
    from stadkit.errors import UsageError
    from stadkit.readers.sniff import detect_format

    if protocol == "":
        raise UsageError("--protocol '': wants a name, such as ava; without it there is a default")
    kind = detect_format(truth)
    if labels is not None and kind == "pickle":
        raise UsageError(f"--labels {labels}: {truth} names its own actions; leave --labels out")
    if rate is not None and kind == "csv":
        raise UsageError(f"--rate {rate:g}: {truth} has times, not frames; leave --rate out")
    if split is not None and kind != "pickle":
        raise UsageError(f"--split {split}: {truth} has no splits; leave --split out")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _check_plots(folder: Path | None, overwrite: bool) -> None:
    """Before the work: pictures that are there stay, and the place is a folder."""
    from stadkit.errors import UsageError
    from stadkit.metrics.plots import NAMES

    if folder is None:
        if overwrite:
            raise UsageError("--overwrite is for --plots: name a folder for them, or leave it out")
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--plots {folder}: is a file, not a folder; name another")
    there = [name for name in NAMES if (folder / name).exists()]
    if there and not overwrite:
        raise UsageError(f"{folder / there[0]}: is there already; --overwrite writes over it")
