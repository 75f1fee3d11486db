"""`stadkit pseudo-label`: labels for the frames between the labelled ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stadkit.cli.options import Address, Engine, Threads, Workers
from stadkit.runs.threads import use_threads


def pseudo_label(
    truth: Annotated[
        Path,
        typer.Argument(
            metavar="TRUTH",
            help="AVA CSV: true people and actions at some keyframes.",
            show_default=False,
        ),
    ],
    detections: Annotated[
        list[Path] | None,
        typer.Option(help="People found between: AVA CSV, .jsonl, or folders of `detect`."),
    ] = None,
    videos: Annotated[
        list[str] | None,
        typer.Option(help="Or the videos, to find people in: folders, files, globs, .txt lists."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="True and pseudo rows, as AVA CSV."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Of --videos: a name, or weights; else mestad-nano."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(help="Of --videos: seconds from a labelled keyframe on; else 0.2."),
    ] = None,
    offset: Annotated[
        float, typer.Option(help="The time that TRUTH gives the first frame of a video; AVA: 900.")
    ] = 0.0,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="The actions: a file, or 60 or 80 of AVA; else labels.txt beside TRUTH or the "
            "detections, else AVA's 80."
        ),
    ] = None,
    keyframes: Annotated[
        Path | None,
        typer.Option(
            help="CSV of video, time: keyframes that were labelled, where at some nobody is."
        ),
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            help="tla, tla+, hard, per-class, nearest, interpolate; with --check also all."
        ),
    ] = "tla",
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Of hard: the lowest score; else 0.2.")
    ] = None,
    free: Annotated[
        bool,
        typer.Option("--free", help="Of hard, per-class: also actions that no neighbour has."),
    ] = False,
    bce: Annotated[
        str | None, typer.Option(help="Of tla: cross entropy's sum or mean over actions; sum.")
    ] = None,
    distance: Annotated[
        str | None, typer.Option(help="Of tla: of boxes, l1 or smooth-l1; l1.")
    ] = None,
    background: Annotated[
        str | None, typer.Option(help="Of tla: people left over cost as in the paper, or free.")
    ] = None,
    max_gap: Annotated[
        float | None,
        typer.Option(help="Seconds to a labelled keyframe; else 1.5 times their usual spacing."),
    ] = None,
    no_cross_cuts: Annotated[
        bool,
        typer.Option("--no-cross-cuts", help="Of --videos: no label from another shot."),
    ] = False,
    min_person: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Lowest person score; else the model's, or all."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Hide every second labelled keyframe, label it, and say how well."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Clips at once; else the card's, on a CPU at most one a thread."),
    ] = None,
    threads: Threads = 0,
    engine: Engine = "local",
    workers: Workers = None,
    address: Address = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over results that are there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A summary as JSON on stdout.")] = False,
) -> None:
    """Label the frames between labelled keyframes, from these and from people found there.

    OUTPUT has the true rows and the new ones, by video and time; `eval` and `train` read it. The
    file beside it, NAME.sources.csv, marks each row true or pseudo, with the keyframe that the
    label is from and what it cost. What a model found in --videos is kept in NAME.found: the same
    command goes on from there.

    With --check nothing is labelled: every second labelled keyframe is hidden, and precision,
    recall and F1 of its labels are printed.

    Exit codes: 0 done; 1 some videos failed or were read in part; 2 wrong use, or a file that
    cannot be read; 3 no weights; 5 truth and detections share no video, time or action.
    """
    from stadkit.pseudo_labelling.job import PseudoLabelJob, check_job, make_options
    from stadkit.pseudo_labelling.labelling import run_check, run_label

    given = {
        "strategy": strategy,
        "threshold": threshold,
        "bce": bce,
        "distance": distance,
        "background": background,
        "max_gap": max_gap,
    }
    asked = PseudoLabelJob(
        truth=truth,
        detections=tuple(detections or ()),
        videos=tuple(videos or ()),
        output=output,
        model=model,
        every=every,
        offset=offset,
        labels=labels,
        keyframes=keyframes,
        options=make_options(given, free, check),
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
    check_job(asked, check)
    use_threads(threads)
    raise typer.Exit((run_check if check else run_label)(asked, as_json))
