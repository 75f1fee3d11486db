"""`stadkit synth`: renders videos of acting people, with exact truth for every frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress


def synth(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the videos and truth.")
    ],
    videos: Annotated[int, typer.Option(min=1, help="Number of videos.")] = 10,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed; the same seed gives the same truth.")
    ] = 0,
    seconds: Annotated[float, typer.Option(help="Length of each video.")] = 12.0,
    size: Annotated[str, typer.Option(metavar="WxH", help="Frame size in pixels.")] = "320x240",
    fps: Annotated[float, typer.Option(help="Frames per second.")] = 25.0,
    pace: Annotated[
        float, typer.Option(help="Walking speed factor; limbs keep their usual tempo.")
    ] = 1.0,
    glitches: Annotated[
        float,
        typer.Option(
            help="Fraction of frames corrupted as in a bad transmission; truth is unaffected."
        ),
    ] = 0.0,
    jobs: Annotated[int, typer.Option(min=1, help="Videos rendered in parallel.")] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing Playground.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Render the Playground: synthetic videos of acting people, with exact truth.

    Writes videos/*.mp4, dense.csv (truth at every frame, AVA format), sparse.csv (one frame per
    second), tubes.json, labels.txt and args.yaml; with --glitches also glitches.csv, which lists
    the corrupted frames.
    """
    from stadkit.synth import Footage, write_playground

    width, height = _size(size)
    footage = Footage(seconds, fps, width, height, pace, glitches)
    with _progress_bar() as progress:
        task = progress.add_task("videos", total=videos)
        people = write_playground(
            output,
            videos,
            seed,
            footage=footage,
            jobs=jobs,
            overwrite=overwrite,
            progress=lambda name: progress.advance(task),
        )
    _report(output, videos, len(footage.times), people, as_json)


def _size(text: str) -> tuple[int, int]:
    """Parse "320x240" into (320, 240); raises UsageError for anything else."""
    from stadkit.errors import UsageError

    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size {text!r}: use WIDTHxHEIGHT in pixels, such as 320x240")
    return int(width), int(height)


def _progress_bar() -> Progress:
    """A progress bar on stderr; disabled unless stderr is a terminal."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from stadkit.console import console

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _report(output: Path, videos: int, frames: int, people: int, as_json: bool) -> None:
    from stadkit.console import console

    if as_json:
        facts = {"output": str(output), "videos": videos, "frames": videos * frames}
        typer.echo(json.dumps({**facts, "people": people}))
        return
    count = "1 video" if videos == 1 else f"{videos} videos"
    console.print(f"{output}: {count} of {frames} frames, {people} person boxes")
