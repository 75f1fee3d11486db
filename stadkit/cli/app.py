"""The `stadkit` command: registers the subcommands and prints errors as one line.

Exit codes: 0 done; 1 some inputs failed; 2 wrong usage, bad annotation, or the only input is not a
video; 3 weights missing or unverified; 5 nothing matched; 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stadkit.cli import bench, models
from stadkit.cli.detect import detect
from stadkit.cli.doctor import doctor
from stadkit.cli.eval import evaluate
from stadkit.cli.link import link
from stadkit.cli.merge import merge
from stadkit.cli.pseudo_label import pseudo_label
from stadkit.cli.synth import synth
from stadkit.cli.train import train
from stadkit.console import console, one_line
from stadkit.errors import StadkitError


class Commands(TyperGroup):
    """Command group that accepts `--debug` anywhere and prints user errors as one line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        if "--debug" in args[:end]:
            os.environ["STADKIT_DEBUG"] = "1"
            args = [arg for arg in args[:end] if arg != "--debug"] + args[end:]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (StadkitError, OSError) as error:
            if os.environ.get("STADKIT_DEBUG", "0") not in ("", "0"):
                raise
            console.print(f"stadkit: error: {one_line(error)}")
            raise typer.Exit(getattr(error, "exit_code", 1)) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # rewraps paragraphs; "rich" keeps the source's line breaks
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        from stadkit import __version__

        typer.echo(f"stadkit {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; same as STADKIT_DEBUG=1.")
    ] = False,
) -> None:
    """Spatio-temporal action detection: who does what, where and when in a video."""


app.command()(detect)
app.command("pseudo-label")(pseudo_label)
app.command()(merge)
app.command()(link)
app.command("eval")(evaluate)
app.command()(train)
app.command()(synth)
app.add_typer(models.app, name="models")
app.add_typer(bench.app, name="bench")
app.command()(doctor)


def main() -> None:
    """Run the `stadkit` command."""
    # SIGTERM ends the run as Ctrl-C does: unfinished files are removed and threads joined.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    app(prog_name="stadkit")
