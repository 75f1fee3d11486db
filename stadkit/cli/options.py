"""Options shared by several commands, and the help panels they appear in."""

from __future__ import annotations

from typing import Annotated

import typer

SELECTION = "What to process"
SCORES = "Model and scores"
OUTPUT = "Output"
SPEED = "Speed"
MANY = "Many videos"

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=SPEED)]
Precision = Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.", rich_help_panel=SPEED)]
Batch = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Clips per batch. Default: the model card's; on a CPU at most one per thread.",
        rich_help_panel=SPEED,
    ),
]
Threads = Annotated[
    int, typer.Option(min=0, help="CPU threads for the model; 0: all.", rich_help_panel=SPEED)
]
DetectThreads = Annotated[
    int,
    typer.Option(
        min=0,
        help="CPU threads for the model; 0: all, but a light model leaves one core for decoding.",
        rich_help_panel=SPEED,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="local: this process; ray: several processes, here or on a cluster.",
        rich_help_panel=MANY,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, help="With ray: processes that hold the model. Default: 2.", rich_help_panel=MANY
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="With ray: the cluster, HOST:PORT or auto. Default: this machine.",
        rich_help_panel=MANY,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace existing results.", rich_help_panel=OUTPUT),
]
JsonSummary = Annotated[
    bool, typer.Option("--json", help="Print a summary as JSON.", rich_help_panel=OUTPUT)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
