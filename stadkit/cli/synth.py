"""`stadkit synth`: rendered videos of acting people, with exact truth at every frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress


def synth(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the videos and their truth.")
    ],
    videos: Annotated[int, typer.Option(min=1, help="How many videos.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same truth.")] = 0,
    seconds: Annotated[float, typer.Option(help="Length of a video.")] = 12.0,
    size: Annotated[str, typer.Option(metavar="WxH", help="Pixels of a frame.")] = "320x240",
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 25.0,
    pace: Annotated[
        float, typer.Option(help="People go so many times as fast; their limbs move as ever.")
    ] = 1.0,
    glitches: Annotated[
        float, typer.Option(help="Share of frames broken in transmission; the truth goes on.")
    ] = 0.0,
    jobs: Annotated[int, typer.Option(min=1, help="Videos rendered at once.")] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over a Playground that is there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A summary as JSON on stdout.")] = False,
) -> None:
    """Render the Playground: people who act in videos, and the truth about them.

    Writes videos/*.mp4, dense.csv (truth at every frame, AVA format), sparse.csv (one frame a
    second), tubes.json, labels.txt and args.yaml; with --glitches also glitches.csv, the broken
    frames.
    """
    from stadkit.synth import Footage, write_playground

    width, height = _size(size)
    footage = Footage(seconds, fps, width, height, pace, glitches)
    with _bar() as progress:
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
    _tell(output, videos, len(footage.times), people, as_json)


def _size(text: str) -> tuple[int, int]:
    """ "320x240" -> (320, 240); raises UsageError for anything else."""
    from stadkit.errors import UsageError

    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size {text!r} is not WIDTHxHEIGHT in pixels, such as 320x240")
    return int(width), int(height)


def _bar() -> Progress:
    """A bar on stderr; nothing where stderr is no terminal."""
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


def _tell(output: Path, videos: int, frames: int, people: int, as_json: bool) -> None:
    from stadkit.console import console

    if as_json:
        facts = {"output": str(output), "videos": videos, "frames": videos * frames}
        typer.echo(json.dumps({**facts, "people": people}))
        return
    what = "1 video" if videos == 1 else f"{videos} videos"
    console.print(f"{output}: {what} of {frames} frames, {people} boxes of people")
