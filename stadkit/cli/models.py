"""`stadkit models`: what there is, what is here, and bringing weights in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from stadkit.cli.models_export import export
from stadkit.console import console

app = typer.Typer(no_args_is_help=True, help="Models and their weights.")
app.command()(export)
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Anyway = Annotated[
    bool,
    typer.Option(
        "--anyway",
        help="Keep it although the config inside the file says another keep rate, or a two-stage "
        "file is another model's by its sha256 or its code base.",
    ),
]
LICENCES = {
    "CC-BY-NC-4.0": "CC-BY-NC-4.0: name the authors, and no commercial use "
    "(https://creativecommons.org/licenses/by-nc/4.0)",
}


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """Every model and backbone: data set, reported mAP and its source, licence, and its weights'
    state.

    here; built in; downloadable: `models pull` gets them; manual: on Google Drive, by `models pull`
    with gdown or in a browser; importable: none were released, train them or import yours.
    """
    from stadkit.cli.models_list import table
    from stadkit.zoo.listing import rows

    found = rows()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for line in table(found):
        typer.echo(line)
    console.print("Figures are their sources', not ours; `stadkit models info NAME` says more.")


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
    """A model's card, parameters and cost; of a backbone, what it is."""
    from stadkit.zoo import BACKBONES

    facts = _backbone_facts(name) if name in BACKBONES else _facts(name, size)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    facts["reported"] = _cell(facts["reported"])
    taught, class_ap = facts.pop("taught", {}), facts.pop("class_ap", {})
    if "labels" in facts:
        facts["labels"] = ", ".join(facts["labels"].values())
    for key, value in facts.items():
        typer.echo(f"{key:<11} {'-' if value is None else value}")
    for label, people in taught.items():
        known = f", AP {class_ap[label]:.2f}" if label in class_ap else ""
        typer.echo(f"{'':<11} {label}: taught by {people}{known}")


def _facts(name: str, size: int | None) -> dict[str, Any]:
    import torch

    from stadkit.models.cost import cost
    from stadkit.zoo import build, card
    from stadkit.zoo.listing import row

    known = card(name)
    pixels = size or known.short_side
    with torch.device("meta"):  # shapes are enough, and large models need no memory
        model = build(name)
    counted = cost(model, pixels, known.frames)
    return row(name) | {
        "parameters": int(counted["parameters"]),
        "gmacs": round(counted["gmacs"], 3),
        "pixels": pixels,
        "min_person": known.min_person,
        "min_action": known.min_action,
        "min_drawn": known.min_drawn,
        "labels": dict(zip(known.classes.ids, known.classes.names, strict=True)),
        "note": known.note,
        "taught": dict(known.taught),
        "class_ap": dict(known.class_ap),
    }


def _backbone_facts(name: str) -> dict[str, Any]:
    from stadkit.zoo import BACKBONES
    from stadkit.zoo.listing import backbone_row

    known = BACKBONES[name]
    return backbone_row(name) | {
        **known.settings,
        "trained": known.trained,
        "note": f"To start a training from: `init: {name}` in its YAML.",
    }


@app.command("import")
def import_weights(
    file: Annotated[Path, typer.Argument(help="safetensors, or a torch file of tensors by name.")],
    name: Annotated[
        str, typer.Option("--as", help="The model or backbone whose weights these are.")
    ],
    anyway: Anyway = False,
) -> None:
    """Check a checkpoint, key by key, and keep it as a model's weights."""
    from stadkit.zoo import import_file
    from stadkit.zoo.pulling import licence

    kept = import_file(file, name, anyway)
    _tell(name, kept)
    console.print(f"licence: as its author says (card: {licence(name)})")
    typer.echo(str(kept))


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name of `stadkit models list`.")],
    again: Annotated[
        bool, typer.Option("--again", help="From the start, whatever is here.")
    ] = False,
    anyway: Anyway = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="No network: what is here, or say how to get it.")
    ] = False,
) -> None:
    """Download weights from where their authors put them, and import them.

    A download that broke goes on where it ended. EVAD's and STMixer's files want gdown:
    `pip install 'gdown>=5'`.
    """
    from stadkit import zoo
    from stadkit.errors import WeightsError
    from stadkit.zoo.offline import go_offline
    from stadkit.zoo.pulling import anew, licence, source
    from stadkit.zoo.weights import verify as check

    if offline:
        go_offline()
    here = zoo.weights_path(name) if zoo.state(name) == "here" and not again else None
    if here is not None:
        try:
            check(here)
        except WeightsError as error:
            raise WeightsError(f"{error}: {anew(name)}") from None
        console.print(f"{name} is here; --again downloads it anew")
    else:
        whence = source(name)
        console.print(f"{name}: {whence}")
        console.print(f"licence: {LICENCES.get(licence(name), licence(name))}")
        here = zoo.pull(name, anyway, again)
        _tell(name, here)
    typer.echo(str(here))


def _tell(name: str, kept: Path) -> None:
    """What was found out about weights as they were imported."""
    from stadkit.zoo import read_sidecar

    notes = read_sidecar(kept)
    console.print(f"{name}: {kept} (sha256 {notes['sha256']})")
    console.print(f"the file it was: sha256 {notes['source_sha256']}")
    for told in notes.get("told", []):
        console.print(f"note: {told}")


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Hash all weights that are here again, and compare with what was noted."""
    from stadkit.errors import WeightsError
    from stadkit.zoo import BACKBONES, CARDS, weights_path
    from stadkit.zoo.weights import expected_sha256
    from stadkit.zoo.weights import verify as check

    found: dict[str, str] = {}
    digests: dict[str, str] = {}
    for name in (*CARDS, *BACKBONES):
        path = weights_path(name)
        if path is None:
            continue
        try:
            digests[name] = check(path, expected_sha256(name, path))
            found[name] = "ok"
        except WeightsError as error:
            found[name] = str(error)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        for name, told in found.items():
            digest = f"  sha256 {digests[name]}" if name in digests else ""
            typer.echo(f"{name}: {told}{digest}")
        console.print(f"{len(found)} of {len(CARDS) + len(BACKBONES)} names have weights here")
    if any(told != "ok" for told in found.values()):
        raise typer.Exit(WeightsError.exit_code)
