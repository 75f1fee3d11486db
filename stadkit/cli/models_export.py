"""`stadkit models export`: a model's weights, or the model itself as a graph, in one file."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from stadkit.console import console
from stadkit.errors import UsageError


class Format(StrEnum):
    """What a file can be."""

    safetensors = "safetensors"
    onnx = "onnx"


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
    from stadkit.detect import load
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
