"""`stadkit merge`: combines the results of shards, or of several runs, in one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def merge(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Result folders of `detect`, or the folder that holds shard-I-of-N.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New folder for the combined results.")
    ],
) -> None:
    """Combine the results of shards into what a single run would have written.

    Every file is checked against its sha256. Shards with other weights, arguments or inputs,
    unfinished shards and incomplete sets are refused. The same `detect` command without --shard
    can be resumed in OUTPUT.

    Exit codes: 0 all inputs are complete; 1 some failed or were read in part; 2 the runs do not
    belong together, or OUTPUT already exists.
    """
    from stadkit.runs.merge import merge_runs

    raise typer.Exit(merge_runs(runs, output))
