"""How many CPU threads the commands give torch."""

from __future__ import annotations

from typing import Annotated

import typer

Threads = Annotated[int, typer.Option(min=0, help="CPU threads of the model; 0: all.")]


def use_threads(threads: int) -> None:
    """So many threads for torch; 0: as they are."""
    if threads:
        import torch

        torch.set_num_threads(threads)
