"""`stadkit`: the verbs, put together; errors as one line, exit codes as documented.

0 done, 1 some inputs failed, 2 usage, bad annotation, or the only input is no video, 3 weights
missing or unverified, 5 nothing matched, 130 interrupted.
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


class Verbs(TyperGroup):
    """The command group: takes `--debug` anywhere and prints errors for users as one line."""

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
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
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
        bool, typer.Option("--debug", help="Show tracebacks; also STADKIT_DEBUG=1.")
    ] = False,
) -> None:
    """Who does what, where and when in a video: spatio-temporal action detection."""


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
    """The `stadkit` command."""
    # A polite kill ends as Ctrl-C does: files begun are taken away, threads end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    app(prog_name="stadkit")
