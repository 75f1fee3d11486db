"""Options that several verbs have."""

from __future__ import annotations

from typing import Annotated

import typer

Engine = Annotated[str, typer.Option(help="local: this process; ray: many, here or on a cluster.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Of ray: processes that hold the model; else 2.")
]
Address = Annotated[
    str | None, typer.Option(help="Of ray: a cluster, HOST:PORT or auto; else this machine.")
]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads of the model; 0: all.")]
DetectThreads = Annotated[
    int,
    typer.Option(min=0, help="CPU threads of the model; 0: all, a light model leaves one core."),
]
