"""`stadkit merge`: the results of shards, or of several runs, put together in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Folders of `detect`, or a folder with the shard-I-of-N in it.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A new folder for all results together.")
    ],
) -> None:
    """Put the results of shards together, as one run would have written them.

    All files are checked against their sha256 on the way. Refused are shards of other weights,
    arguments or inputs, one that is not finished, and a set that lacks one. The same `detect`
    command without --shard goes on in OUTPUT.

    Exit codes: 0 all inputs are whole; 1 some failed or were read in part; 2 runs that do not go
    together, or OUTPUT is there already.
    """
    from stadkit.runs.merge import merge_runs

    raise typer.Exit(merge_runs(runs, output))
