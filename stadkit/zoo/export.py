"""Export a model to one file: safetensors with its card, or ONNX verified against torch.

An ONNX graph has fixed shapes: one clip of the card's frames that fills the requested size. It
returns the model's `Outputs`: people with their scores as logits, before any threshold.
"""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from stadkit.errors import StadkitError, UsageError
from stadkit.zoo.cards import Card, to_json
from stadkit.zoo.weights import read_sidecar, sidecar_path, verify

OUTPUTS = ("person", "box", "action")
# Between onnxruntime and torch, in scores of 0..1 and fractions of the frame.
MAX_DIFFERENCE = 1e-3


class Exported(NamedTuple):
    """An ONNX file's inputs and outputs, and its difference from torch."""

    inputs: dict[str, list[int]]  # shapes by name
    outputs: dict[str, list[int]]
    difference: float  # the largest, in scores of 0..1 and fractions of the frame


class FixedInputs(nn.Module):
    """A model with a graph's inputs: one clip that fills its frame, and boxes if it needs them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor, *boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """pixels [1, 3, T, H, W], normalised RGB; boxes [N, 4] fractions -> `Outputs`, in order."""
        sizes = torch.tensor([pixels.shape[-2:]], device=pixels.device)
        outputs = self.model(pixels, sizes, *([box] for box in boxes))
        return outputs.person, outputs.box, outputs.action


def to_safetensors(weights: Path, card: Card | None, out: Path, expected: str = "") -> str:
    """Copy verified weights with a `.json` sidecar that holds their card; returns their sha256.

    With a card, `stadkit detect --model OUT` and `stadkit.load` accept the copy. expected: as in
    `verify`. Raises WeightsError where the weights do not match their checksum, OSError where the
    copy cannot be written.
    """
    digest = verify(weights, expected)
    notes: dict[str, Any] = {**read_sidecar(weights), "sha256": digest}
    if card is not None:
        notes["card"] = to_json(card)
    part = _part(out)
    with _cleaned_up(part, out):
        shutil.copyfile(weights, part)
        verify(part, digest)
        os.replace(part, out)
        part.write_text(json.dumps(notes, indent=1) + "\n", "utf-8")
        os.replace(part, sidecar_path(out))
    return digest


def to_onnx(
    model: nn.Module, card: Card, size: tuple[int, int], out: Path, notes: Mapping[str, str]
) -> Exported:
    """Write a model (eval mode, float32, CPU) as ONNX for clips of `size`, and verify it.

    size: (height, width) in pixels, multiples of the card's. notes: metadata to store beside the
    card's. Raises UsageError where packages are missing, StadkitError where the model cannot be
    exported or the file differs from torch; no file is left then.
    """
    with quiet():
        _check_packages()
        inputs = _example(model, card, size)
        graph, part = FixedInputs(model).eval(), _part(out)
        # Run in torch first, so that cached tables are built here and not inside the graph.
        with torch.no_grad():
            expected = graph(*inputs.values())
        with _cleaned_up(part, out):
            _write(graph, inputs, part, {**_metadata(card), **notes})
            exported = _compare(inputs, expected, part)
            os.replace(part, out)
    return exported


def check_size(card: Card, size: tuple[int, int]) -> None:
    """Raise UsageError unless (height, width) are positive multiples of the card's `multiple`."""
    wrong = [side for side in size if side < 1 or side % card.multiple]
    if wrong:
        nearest = max(round(wrong[0] / card.multiple), 1) * card.multiple
        raise UsageError(
            f"--size: {wrong[0]} is not a multiple of {card.multiple} pixels, which this model "
            f"needs; the nearest is {nearest}"
        )


def _example(model: nn.Module, card: Card, size: tuple[int, int]) -> dict[str, Tensor]:
    """Inputs by name: a noise clip, and boxes for models that do not detect people.

    The first box is the whole frame, which covers the most sampling points.
    """
    torch.manual_seed(0)
    inputs = {"pixels": torch.randn(1, 3, card.frames, *size)}
    if boxes := getattr(model, "counted_boxes", 0):
        first, second = torch.rand(2, boxes, 2)
        inputs["boxes"] = torch.cat([first.minimum(second), first.maximum(second)], 1)
        inputs["boxes"][0] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    return inputs


def _write(
    model: nn.Module, inputs: Mapping[str, Tensor], path: Path, notes: Mapping[str, str]
) -> None:
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                model,
                tuple(inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(OUTPUTS),
                verbose=False,
            )
    except Exception as error:  # torch's exporter raises other types in each version
        raise StadkitError(
            f"this model cannot be exported to ONNX ({_cause(error)}); use `--format safetensors`"
        ) from error
    assert program is not None
    program.model.metadata_props.update(notes)
    program.save(path)


def _compare(inputs: Mapping[str, Tensor], expected: Sequence[Tensor], path: Path) -> Exported:
    """Run the file on the model's inputs; raises StadkitError where its outputs differ."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        # Inputs that the graph does not use were removed.
        names = [known.name for known in session.get_inputs()]
        found = session.run(list(OUTPUTS), {name: inputs[name].numpy() for name in names})
    except Exception as error:  # onnxruntime has an exception type per kind of failure
        raise StadkitError(
            f"onnxruntime cannot run this model ({_cause(error)}); use `--format safetensors`"
        ) from error
    differences = [
        _max_difference(name, torch.from_numpy(one), other)
        for name, one, other in zip(OUTPUTS, found, expected, strict=True)
    ]
    # Compared one by one: `max` skips a NaN that is not first.
    if wrong := [difference for difference in differences if not difference <= MAX_DIFFERENCE]:
        raise StadkitError(
            f"the ONNX file's outputs differ from torch's by {max(wrong):.2g} (limit "
            f"{MAX_DIFFERENCE:g}), so it was deleted; please report this model"
        )
    shapes = {name: list(x.shape) for name, x in zip(OUTPUTS, expected, strict=True)}
    return Exported({name: list(inputs[name].shape) for name in names}, shapes, max(differences))


def _max_difference(name: str, one: Tensor, other: Tensor) -> float:
    """The largest absolute difference; logits are compared as scores."""
    if name != "box":
        one, other = one.sigmoid(), other.sigmoid()
    return float((one - other).abs().max())


def _metadata(card: Card) -> dict[str, str]:
    """What a program needs to feed the graph, as ONNX metadata: JSON text by name."""
    fields = to_json(card)
    names = ("frames", "stride", "key", "short_side", "mean", "std", "classes", "licence")
    return {f"stadkit.{name}": json.dumps(fields[name]) for name in names}


def _check_packages() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError:
            raise UsageError(
                f"--format onnx needs {package}, which is not installed: "
                "`pip install 'stadkit[onnx]'`"
            ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence torch's exporter, which prints whole graphs when it fails."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    sink = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(sink), redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def _cleaned_up(part: Path, out: Path) -> Iterator[None]:
    """Remove `part` at the end; an OSError about it names `out`, the file that users know."""
    try:
        yield
    except OSError as error:
        if error.filename is None or Path(error.filename) == part:
            error.filename, error.filename2 = str(out), None
        raise
    finally:
        with suppress(OSError):  # e.g. the parent is not a folder, which is the error above
            part.unlink(missing_ok=True)


def _part(out: Path) -> Path:
    return out.with_name(f".{os.getpid()}.part{out.suffix}")


def _cause(error: BaseException) -> str:
    """The first line of an error's root cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
