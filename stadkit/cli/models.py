"""`stadkit models`: lists models, installs and verifies their weights, and exports them."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from stadkit.cli.options import AsJson
from stadkit.console import console
from stadkit.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="List, download, import, verify and export models.")
Anyway = Annotated[
    bool,
    typer.Option(
        "--anyway",
        help="Accept an EVAD file whose config has another keep rate, or a two-stage file whose "
        "sha256 or code base is another model's.",
    ),
]
LICENCES = {
    "CC-BY-NC-4.0": "CC-BY-NC-4.0: credit the authors; no commercial use "
    "(https://creativecommons.org/licenses/by-nc/4.0)",
}


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List all models and backbones: data set, reported mAP, licence, state of the weights.

    States: here (installed); built in; downloadable (by `models pull`); manual (on Google Drive:
    `models pull` with gdown, or a browser); importable (none released: train or import them).
    """
    from stadkit.zoo.listing import rows, table

    found = rows()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for line in table(found):
        typer.echo(line)
    console.print("Figures are as reported by the sources; see `stadkit models info NAME`.")


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {figure}" for name, figure in value.items()) or "-"
    if isinstance(value, int) and value > 1000:
        return f"{value / 1e6:.1f} MB"
    return "-" if value is None else str(value)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="A name from `stadkit models list`.")],
    size: Annotated[
        int | None,
        typer.Option(min=32, help="Square input in pixels. Default: the card's short side."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a model's card, parameter count and cost, or a backbone's facts."""
    from stadkit.zoo import BACKBONES

    facts = _backbone_facts(name) if name in BACKBONES else _facts(name, size)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    facts["reported"] = _cell(facts["reported"])
    sources, class_ap = facts.pop("taught", {}), facts.pop("class_ap", {})
    if "labels" in facts:
        facts["labels"] = ", ".join(facts["labels"].values())
    for key, value in facts.items():
        typer.echo(f"{key:<11} {'-' if value is None else value}")
    for label, people in sources.items():
        ap = f", AP {class_ap[label]:.2f}" if label in class_ap else ""
        typer.echo(f"{'':<11} {label}: trained on {people}{ap}")


def _facts(name: str, size: int | None) -> dict[str, Any]:
    import torch

    from stadkit.models.cost import cost
    from stadkit.zoo import build, card
    from stadkit.zoo.listing import row

    model_card = card(name)
    pixels = size or model_card.short_side
    with torch.device("meta"):  # only shapes are needed: large models take no memory
        model = build(name)
    counted = cost(model, pixels, model_card.frames)
    return row(name) | {
        "parameters": int(counted["parameters"]),
        "gmacs": round(counted["gmacs"], 3),
        "pixels": pixels,
        "min_person": model_card.min_person,
        "min_action": model_card.min_action,
        "min_drawn": model_card.min_drawn,
        "labels": dict(zip(model_card.classes.ids, model_card.classes.names, strict=True)),
        "note": model_card.note,
        "taught": dict(model_card.taught),
        "class_ap": dict(model_card.class_ap),
    }


def _backbone_facts(name: str) -> dict[str, Any]:
    from stadkit.zoo import BACKBONES
    from stadkit.zoo.listing import backbone_row

    backbone = BACKBONES[name]
    return backbone_row(name) | {
        **backbone.settings,
        "trained": backbone.trained,
        "note": f"For fine-tuning: set `init: {name}` in the training YAML.",
    }


@app.command("import")
def import_weights(
    file: Annotated[Path, typer.Argument(help="safetensors, or a torch checkpoint.")],
    name: Annotated[str, typer.Option("--as", help="Name of the model or backbone.")],
    anyway: Anyway = False,
) -> None:
    """Check a checkpoint key by key and install it as a model's weights."""
    from stadkit.zoo import import_file
    from stadkit.zoo.pulling import licence

    kept = import_file(file, name, anyway)
    _print_sidecar(name, kept)
    console.print(f"licence: set by the author of the file (card: {licence(name)})")
    typer.echo(str(kept))


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name from `stadkit models list`.")],
    again: Annotated[
        bool, typer.Option("--again", help="Download from the start, even if installed.")
    ] = False,
    anyway: Anyway = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Stay off the network; explain how to get missing weights."),
    ] = False,
) -> None:
    """Download weights from their authors' servers and import them.

    An interrupted download is resumed. EVAD and STMixer need gdown: `pip install 'gdown>=5'`.
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
        console.print(f"{name} is already installed; use --again to download it again")
    else:
        console.print(f"{name}: {source(name)}")
        console.print(f"licence: {LICENCES.get(licence(name), licence(name))}")
        here = zoo.pull(name, anyway, again)
        _print_sidecar(name, here)
    typer.echo(str(here))


def _print_sidecar(name: str, kept: Path) -> None:
    """Print the checksums and notes recorded at import."""
    from stadkit.zoo import read_sidecar

    notes = read_sidecar(kept)
    console.print(f"{name}: {kept} (sha256 {notes['sha256']})")
    console.print(f"imported from a file with sha256 {notes['source_sha256']}")
    for note in notes.get("told", []):
        console.print(f"note: {note}")


@app.command()
def verify(as_json: AsJson = False) -> None:
    """Hash all installed weights and compare with the recorded sha256."""
    from stadkit.errors import WeightsError
    from stadkit.zoo import BACKBONES, CARDS, weights_path
    from stadkit.zoo.weights import expected_sha256
    from stadkit.zoo.weights import verify as check

    results: dict[str, str] = {}
    digests: dict[str, str] = {}
    for name in (*CARDS, *BACKBONES):
        path = weights_path(name)
        if path is None:
            continue
        try:
            digests[name] = check(path, expected_sha256(name, path))
            results[name] = "ok"
        except WeightsError as error:
            results[name] = str(error)
    if as_json:
        typer.echo(json.dumps(results))
    else:
        for name, result in results.items():
            digest = f"  sha256 {digests[name]}" if name in digests else ""
            typer.echo(f"{name}: {result}{digest}")
        total = len(CARDS) + len(BACKBONES)
        console.print(f"weights installed for {len(results)} of {total} models and backbones")
    if any(result != "ok" for result in results.values()):
        raise typer.Exit(WeightsError.exit_code)


class Format(StrEnum):
    """Export formats."""

    safetensors = "safetensors"
    onnx = "onnx"


@app.command()
def export(
    name: Annotated[
        str,
        typer.Argument(help="A name from `stadkit models list`, or a weights file with its card."),
    ],
    kind: Annotated[
        Format, typer.Option("--format", help="Weights with their card, or an ONNX graph.")
    ] = Format.safetensors,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Output file. Default: NAME.FORMAT.")
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="HEIGHTxWIDTH",
            help="onnx: clip size in pixels. Default: a square of the card's short side.",
        ),
    ] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Export a model's weights, or the model as an ONNX graph, to a file.

    safetensors: the weights, and a .json with the card beside them; load with `--model FILE`.

    onnx: the model for one clip of a fixed size, run once and compared with torch. Inputs and
    outputs: docs/weights.md. Needs `pip install 'stadkit[onnx]'`.
    """
    if size and kind is not Format.onnx:
        raise UsageError("--size needs --format onnx; weights have no input size")
    stem = Path(name).stem if name.endswith(".safetensors") else name
    out = output or Path(f"{stem}.{kind}")
    if output is not None and output.suffix != f".{kind}":
        raise UsageError(f"--output {output}: does not end in .{kind}")
    _check_output(out, overwrite)
    facts = _onnx(name, size, out) if kind is Format.onnx else _safetensors(name, out)
    if as_json:
        typer.echo(json.dumps({"file": str(out), "format": str(kind), **facts}))
        return
    for key, value in facts.items():
        console.print(f"{key}: {_text(value)}")
    typer.echo(str(out))


def _check_output(out: Path, overwrite: bool) -> None:
    existing = [path for path in (out, out.with_suffix(".json")) if path.exists()]
    if out.suffix == ".onnx":
        existing = [path for path in existing if path == out]
    if existing and not overwrite:
        raise UsageError(f"{existing[0]}: already exists; use --overwrite to replace it")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent}: no such folder; create it first")


def _safetensors(name: str, out: Path) -> dict[str, Any]:
    from stadkit.zoo import BACKBONES, card, find_weights
    from stadkit.zoo.export import to_safetensors
    from stadkit.zoo.weights import expected_sha256

    path, model_card, expected = Path(name), None, ""
    if not name.endswith(".safetensors"):
        model_card = None if name in BACKBONES else card(name)
        path = find_weights(name)
        expected = "" if model_card is None else expected_sha256(name, path)
    elif not path.is_file():
        raise UsageError(f"{path}: no such file; see `stadkit models list` for installed weights")
    if path.resolve() == out.resolve():
        raise UsageError(f"{out}: is the file being exported; choose another --output")
    return {"sha256": to_safetensors(path, model_card, out, expected)}


def _onnx(name: str, size: str, out: Path) -> dict[str, Any]:
    from stadkit.detection import load
    from stadkit.zoo import BACKBONES
    from stadkit.zoo.export import check_size, to_onnx

    if name in BACKBONES:
        raise UsageError(f"{name} is a backbone, not a model; use --format safetensors")
    height, width = _sides(size) if size else (0, 0)
    detector = load(name, "cpu", "fp32")
    if not size:
        multiple = detector.card.multiple
        height = width = -(-detector.card.short_side // multiple) * multiple
    check_size(detector.card, (height, width))
    notes = {"stadkit.model": detector.name, "stadkit.sha256": detector.sha256}
    exported = to_onnx(detector.model, detector.card, (height, width), out, notes)
    return {
        "inputs": exported.inputs,
        "outputs": exported.outputs,
        "difference": exported.difference,
        "sha256": detector.sha256,
    }


def _sides(size: str) -> tuple[int, int]:
    """Parse `192` or `192x320` into (height, width) in pixels."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", size.strip())
    if match is None:
        raise UsageError(f"--size {size!r}: use pixels, such as 192 or 192x320 (height x width)")
    return int(match[1]), int(match[2] or match[1])


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"at most {value:.2g} from torch, in scores (0 to 1) and fractions of the frame"
    if isinstance(value, dict):
        return ", ".join(f"{key} {shape}" for key, shape in value.items())
    return str(value)
