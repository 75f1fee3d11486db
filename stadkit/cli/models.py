"""`stadkit models`: what there is, what is here, and bringing weights in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from stadkit.cli.console import console

app = typer.Typer(no_args_is_help=True, help="Models and their weights.")
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
COLUMNS = ("name", "weights", "size", "frames", "classes", "licence", "reported")


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """Every model, with its licence and whether its weights are here."""
    from stadkit.zoo import CARDS

    rows = [_row(name) for name in CARDS]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = [COLUMNS, *(tuple(_cell(row[column]) for column in COLUMNS) for row in rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
    for line in table:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())
    console.print("Reported figures are their authors', not ours; `stadkit models info NAME`.")


def _row(name: str) -> dict[str, Any]:
    from stadkit.zoo import card, state, weights_path

    known, path = card(name), weights_path(name)
    return {
        "name": name,
        "family": known.family,
        "weights": state(name),
        "size": path.stat().st_size if path else known.size or None,
        "frames": f"{known.frames} x {known.stride:g}/30 s",
        "classes": len(known.classes),
        "licence": known.licence,
        "reported": dict(known.reported),
    }


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {figure}" for name, figure in value.items()) or "-"
    if isinstance(value, int) and value > 1000:
        return f"{value / 1e6:.1f} MB"
    return "-" if value is None else str(value)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="A name of `stadkit models list`.")],
    size: Annotated[
        int | None, typer.Option(min=32, help="Square input in pixels; else the card's short side.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A model's card, parameters and cost."""
    from stadkit.models.cost import cost
    from stadkit.zoo import build, card

    known = card(name)
    pixels = size or known.short_side
    counted = cost(build(name), pixels, known.frames)
    facts = _row(name) | {
        "parameters": int(counted["parameters"]),
        "gmacs": round(counted["gmacs"], 3),
        "pixels": pixels,
        "min_person": known.min_person,
        "min_action": known.min_action,
        "labels": dict(zip(known.classes.ids, known.classes.names, strict=True)),
        "source": known.source,
        "note": known.note,
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    facts |= {"labels": ", ".join(known.classes.names), "reported": _cell(facts["reported"])}
    for key, value in facts.items():
        typer.echo(f"{key:<11} {value}")


@app.command("import")
def import_weights(
    file: Annotated[Path, typer.Argument(help="safetensors, or a torch file of tensors by name.")],
    name: Annotated[str, typer.Option("--as", help="The model whose weights these are.")],
) -> None:
    """Check a checkpoint, key by key, and keep it as a model's weights."""
    from stadkit.zoo import card, import_file, read_sidecar

    kept = import_file(file, name)
    console.print(f"{name}: {kept} (sha256 {read_sidecar(kept)['sha256']})")
    console.print(f"licence: as its author says (card: {card(name).licence})")
    typer.echo(str(kept))


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Hash all weights that are here again, and compare with what was noted."""
    from stadkit.errors import WeightsError
    from stadkit.zoo import CARDS, weights_path
    from stadkit.zoo.weights import expected_sha256
    from stadkit.zoo.weights import verify as check

    found: dict[str, str] = {}
    for name in CARDS:
        path = weights_path(name)
        if path is None:
            continue
        try:
            check(path, expected_sha256(name, path))
            found[name] = "ok"
        except WeightsError as error:
            found[name] = str(error)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        for name, told in found.items():
            typer.echo(f"{name}: {told}")
        console.print(f"{len(found)} of {len(CARDS)} models have weights here")
    if any(told != "ok" for told in found.values()):
        raise typer.Exit(WeightsError.exit_code)
