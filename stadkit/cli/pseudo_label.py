"""`stadkit pseudo-label`: labels the frames between labelled keyframes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stadkit.cli.options import (
    SELECTION,
    Address,
    Batch,
    Device,
    Engine,
    JsonSummary,
    Overwrite,
    Precision,
    Threads,
    Workers,
)
from stadkit.runs.threads import use_threads

DETECTOR = "People in --videos"
LABELLING = "Labelling"


def pseudo_label(
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH",
            help="AVA CSV: true people and actions at some keyframes.",
            show_default=False,
        ),
    ],
    videos: Annotated[
        list[str] | None,
        typer.Option(help="Detect people in these videos: folders, files, globs, .txt lists."),
    ] = None,
    detections: Annotated[
        list[Path] | None,
        typer.Option(
            help="Or use these detections: AVA CSV, .jsonl, or result folders of `detect`."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="AVA CSV to write, with true and pseudo rows."),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="tla, tla+, hard, per-class, nearest or interpolate; with --check also all."
        ),
    ] = "tla",
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Hide every second labelled keyframe, label it, and report how many labels are "
            "right.",
        ),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Action list: a file, or 60 or 80 for AVA. Default: labels.txt beside TRUTH or "
            "the detections, else AVA's 80.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    keyframes: Annotated[
        Path | None,
        typer.Option(
            help="CSV of video, time: all labelled keyframes, including those without people.",
            rich_help_panel=SELECTION,
        ),
    ] = None,
    offset: Annotated[
        float,
        typer.Option(
            help="TRUTH's time of a video's first frame, in seconds; AVA: 900.",
            rich_help_panel=SELECTION,
        ),
    ] = 0.0,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A model name or weights file. Default: mestad-nano.",
            rich_help_panel=DETECTOR,
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            help="Seconds between frames, counted from a labelled keyframe. Default: 0.2.",
            rich_help_panel=DETECTOR,
        ),
    ] = None,
    no_cross_cuts: Annotated[
        bool,
        typer.Option(
            "--no-cross-cuts",
            help="Take no label from another shot.",
            rich_help_panel=DETECTOR,
        ),
    ] = False,
    min_person: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Lowest person score. Default: the model's; with --detections, all.",
            rich_help_panel=LABELLING,
        ),
    ] = None,
    max_gap: Annotated[
        float | None,
        typer.Option(
            help="Maximum seconds to a labelled keyframe. Default: 1.5 times their usual spacing.",
            rich_help_panel=LABELLING,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="hard: lowest action score. Default: 0.2.",
            rich_help_panel=LABELLING,
        ),
    ] = None,
    free: Annotated[
        bool,
        typer.Option(
            "--free",
            help="hard, per-class: also assign actions that no neighbour has.",
            rich_help_panel=LABELLING,
        ),
    ] = False,
    bce: Annotated[
        str | None,
        typer.Option(
            help="tla: sum or mean of the cross-entropy over actions. Default: sum.",
            rich_help_panel=LABELLING,
        ),
    ] = None,
    distance: Annotated[
        str | None,
        typer.Option(
            help="tla: box distance, l1 or smooth-l1. Default: l1.", rich_help_panel=LABELLING
        ),
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(
            help="tla: cost of unmatched people, paper or free. Default: paper.",
            rich_help_panel=LABELLING,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: JsonSummary = False,
    device: Device = "auto",
    precision: Precision = "auto",
    batch: Batch = None,
    threads: Threads = 0,
    engine: Engine = "local",
    workers: Workers = None,
    address: Address = None,
) -> None:
    """Label the people between labelled keyframes.

    Each detected person gets its labels from the labelled keyframes before and after. OUTPUT holds
    the true and the new rows, sorted by video and time; `eval` and `train` read it. The file
    beside it, NAME.sources.csv, marks each row true or pseudo, with the label's source keyframe
    and cost. Detections from --videos are kept in NAME.found, so the same command resumes there.

    --check writes no labels: it hides every second labelled keyframe, labels it, and prints
    precision, recall and F1.

    Exit codes: 0 done; 1 some videos failed or were read in part; 2 wrong usage, or an unreadable
    file; 3 missing weights; 5 truth and detections share no video, time or action.
    """
    from stadkit.pseudo_labelling.job import PseudoLabelJob, check_job, make_options
    from stadkit.pseudo_labelling.labelling import run_check, run_label

    options = {
        "strategy": strategy,
        "threshold": threshold,
        "bce": bce,
        "distance": distance,
        "background": background,
        "max_gap": max_gap,
    }
    job = PseudoLabelJob(
        truth=truth,
        detections=tuple(detections or ()),
        videos=tuple(videos or ()),
        output=output,
        model=model,
        every=every,
        offset=offset,
        labels=labels,
        keyframes=keyframes,
        options=make_options(options, free, check),
        every_strategy=strategy == "all",
        no_cross_cuts=no_cross_cuts,
        min_person=min_person,
        device=device,
        precision=precision,
        batch=batch,
        overwrite=overwrite,
        engine=engine,
        workers=workers,
        address=address,
        threads=threads,
    )
    check_job(job, check)
    use_threads(threads)
    raise typer.Exit((run_check if check else run_label)(job, as_json))
