"""`stadkit models`: what there is, what is here, and bringing weights in.

`stadkit models export`: a model's weights, or the model itself as a graph, in one file.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from stadkit.console import console
from stadkit.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Models and their weights.")
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
    from stadkit.zoo.listing import rows, table

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
    from stadkit.zoo.pulling import licence, restore_command, source
    from stadkit.zoo.storage import go_offline
    from stadkit.zoo.weights import verify as check

    if offline:
        go_offline()
    here = zoo.weights_path(name) if zoo.state(name) == "here" and not again else None
    if here is not None:
        try:
            check(here)
        except WeightsError as error:
            raise WeightsError(f"{error}: {restore_command(name)}") from None
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


class Format(StrEnum):
    """What a file can be."""

    safetensors = "safetensors"
    onnx = "onnx"


@app.command()
def export(
    name: Annotated[
        str, typer.Argument(help="A name of `stadkit models list`, or weights with their card.")
    ],
    kind: Annotated[
        Format, typer.Option("--format", help="Weights with their card, or a graph.")
    ] = Format.safetensors,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; else NAME and the format.")
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="HEIGHTxWIDTH", help="onnx: of the clips in pixels; else the short side's."
        ),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over a file that is there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Write a model to a file for other programs.

    safetensors: the weights, with a .json beside that has the card; `--model FILE` takes them.
    onnx: the model for one clip of a fixed size, run once and compared with torch (docs/weights.md
    says what goes in and comes out). Needs `pip install 'stadkit[onnx]'`.
    """
    if size and kind is not Format.onnx:
        raise UsageError("--size is for --format onnx; weights are of any size")
    stem = Path(name).stem if name.endswith(".safetensors") else name
    out = output or Path(f"{stem}.{kind}")
    if output is not None and output.suffix != f".{kind}":
        raise UsageError(f"--output: {output} does not end in .{kind}")
    _check_place(out, overwrite)
    facts = _onnx(name, size, out) if kind is Format.onnx else _safetensors(name, out)
    if as_json:
        typer.echo(json.dumps({"file": str(out), "format": str(kind), **facts}))
        return
    for key, value in facts.items():
        console.print(f"{key}: {_told(value)}")
    typer.echo(str(out))


def _check_place(out: Path, overwrite: bool) -> None:
    there = [path for path in (out, out.with_suffix(".json")) if path.exists()]
    if out.suffix == ".onnx":
        there = [path for path in there if path == out]
    if there and not overwrite:
        raise UsageError(f"{there[0]}: is there already; --overwrite writes over it")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent}: no such folder; make it first")


def _safetensors(name: str, out: Path) -> dict[str, Any]:
    from stadkit.zoo import BACKBONES, card, find_weights
    from stadkit.zoo.export import to_safetensors
    from stadkit.zoo.weights import expected_sha256

    path, known, wanted = Path(name), None, ""
    if not name.endswith(".safetensors"):
        known = None if name in BACKBONES else card(name)
        path = find_weights(name)
        wanted = "" if known is None else expected_sha256(name, path)
    elif not path.is_file():
        raise UsageError(f"{path}: no such weights; `stadkit models list` shows what is here")
    if path.resolve() == out.resolve():
        raise UsageError(f"{out}: these are the weights themselves; name another file")
    return {"sha256": to_safetensors(path, known, out, wanted)}


def _onnx(name: str, size: str, out: Path) -> dict[str, Any]:
    from stadkit.detection import load
    from stadkit.zoo import BACKBONES
    from stadkit.zoo.export import check_size, to_onnx

    if name in BACKBONES:
        raise UsageError(f"{name} is a backbone, not a model: --format safetensors exports it")
    height, width = _sides(size) if size else (0, 0)
    detector = load(name, "cpu", "fp32")
    if not size:
        multiple = detector.card.multiple
        height = width = -(-detector.card.short_side // multiple) * multiple
    check_size(detector.card, (height, width))
    notes = {"stadkit.model": detector.name, "stadkit.sha256": detector.sha256}
    made = to_onnx(detector.model, detector.card, (height, width), out, notes)
    return {
        "inputs": made.inputs,
        "outputs": made.outputs,
        "difference": made.difference,
        "sha256": detector.sha256,
    }


def _sides(size: str) -> tuple[int, int]:
    """`192` or `192x320` -> (height, width) in pixels."""
    found = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", size.strip())
    if found is None:
        raise UsageError(f"--size: {size!r} is not pixels, as 192 or 192x320 (height x width)")
    return int(found[1]), int(found[2] or found[1])


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2g} at most from torch, in scores of 0 to 1 and fractions of the frame"
    if isinstance(value, dict):
        return ", ".join(f"{key} {shape}" for key, shape in value.items())
    return str(value)
