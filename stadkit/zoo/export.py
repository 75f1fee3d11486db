"""A model as one file for other programs: safetensors with its card, or ONNX checked against torch.

An ONNX graph has fixed shapes: one clip of the card's frames that fills the size asked for. It
gives what the model gives (`Outputs`): people with their scores as logits, before any threshold.
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
# What onnxruntime may give otherwise than torch: in scores of 0..1 and fractions of the frame.
MOST = 1e-3


class Exported(NamedTuple):
    """What an ONNX file takes and gives, and how far it is from torch."""

    inputs: dict[str, list[int]]  # shapes by name
    outputs: dict[str, list[int]]
    difference: float  # the largest, in scores of 0..1 and fractions of the frame


class Whole(nn.Module):
    """A model as a graph has it: a clip that fills its frame, and boxes if the model wants them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor, *boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """pixels [1, 3, T, H, W], normalised RGB; boxes [N, 4] fractions -> `Outputs`, in order."""
        sizes = torch.tensor([pixels.shape[-2:]], device=pixels.device)
        found = self.model(pixels, sizes, *([given] for given in boxes))
        return found.person, found.box, found.action


def to_safetensors(weights: Path, card: Card | None, out: Path, expected: str = "") -> str:
    """Copy weights, checked, with a `.json` beside that has their card; gives their sha256.

    Where there is a card, `stadkit detect --model OUT` and `stadkit.load` take the copy. expected:
    as `verify` has it. Raises WeightsError where the weights are not what was noted, OSError where
    the copy cannot be written.
    """
    digest = verify(weights, expected)
    notes: dict[str, Any] = {**read_sidecar(weights), "sha256": digest}
    if card is not None:
        notes["card"] = to_json(card)
    half = _half(out)
    with _written(half, out):
        shutil.copyfile(weights, half)
        verify(half, digest)
        os.replace(half, out)
        half.write_text(json.dumps(notes, indent=1) + "\n", "utf-8")
        os.replace(half, sidecar_path(out))
    return digest


def to_onnx(
    model: nn.Module, card: Card, size: tuple[int, int], out: Path, notes: Mapping[str, str]
) -> Exported:
    """Write a model, in eval mode and float32 on the CPU, as ONNX for clips of `size`, and run it.

    size: (height, width) in pixels, multiples of the card's. notes: go into the file beside what
    the card says. Raises UsageError where the packages for it are not installed, StadkitError
    where ONNX cannot hold the model or gives other numbers than torch; then there is no file.
    """
    with quiet():
        _check_packages()
        given = _example(model, card, size)
        whole, half = Whole(model).eval(), _half(out)
        # First as it is: tables that are kept from call to call are made here, not in the graph.
        with torch.no_grad():
            wanted = whole(*given.values())
        with _written(half, out):
            _write(whole, given, half, {**_facts(card), **notes})
            exported = _compare(given, wanted, half)
            os.replace(half, out)
    return exported


def check_size(card: Card, size: tuple[int, int]) -> None:
    """Raise UsageError where (height, width) are not what a card's model can look at."""
    wrong = [side for side in size if side < 1 or side % card.multiple]
    if wrong:
        near = max(round(wrong[0] / card.multiple), 1) * card.multiple
        raise UsageError(
            f"--size: {wrong[0]} is no multiple of {card.multiple} pixels, as this model wants; "
            f"{near} is"
        )


def _example(model: nn.Module, card: Card, size: tuple[int, int]) -> dict[str, Tensor]:
    """Inputs by name: a clip of noise, and boxes where the model cannot find people itself: the
    first the whole frame, which is read at the most places."""
    torch.manual_seed(0)
    inputs = {"pixels": torch.randn(1, 3, card.frames, *size)}
    if boxes := getattr(model, "counted_boxes", 0):
        first, second = torch.rand(2, boxes, 2)
        inputs["boxes"] = torch.cat([first.minimum(second), first.maximum(second)], 1)
        inputs["boxes"][0] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    return inputs


def _write(
    model: nn.Module, given: Mapping[str, Tensor], path: Path, notes: Mapping[str, str]
) -> None:
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                model,
                tuple(given.values()),
                dynamo=True,
                input_names=list(given),
                output_names=list(OUTPUTS),
                verbose=False,
            )
    except Exception as error:  # of torch's exporter: each version has others
        raise StadkitError(
            f"this model cannot be written as ONNX ({_cause(error)}); "
            "`--format safetensors` can hold it"
        ) from error
    assert program is not None
    program.model.metadata_props.update(notes)
    program.save(path)


def _compare(given: Mapping[str, Tensor], wanted: Sequence[Tensor], path: Path) -> Exported:
    """Run the file on what the model was given; raises StadkitError where it gives others."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        # An input that nothing reads is gone.
        names = [known.name for known in session.get_inputs()]
        found = session.run(list(OUTPUTS), {name: given[name].numpy() for name in names})
    except Exception as error:  # its own kinds, one a fault
        raise StadkitError(
            f"onnxruntime cannot run this model ({_cause(error)}); `--format safetensors` can hold "
            "it"
        ) from error
    apart = [
        _apart(name, torch.from_numpy(one), other)
        for name, one, other in zip(OUTPUTS, found, wanted, strict=True)
    ]
    # One by one: `max` passes over a NaN that is not the first.
    if wrong := [difference for difference in apart if not difference <= MOST]:
        raise StadkitError(
            f"the ONNX file gives other numbers than torch (by {max(wrong):.2g}; at most {MOST:g} "
            "is taken); it is deleted: please report this model"
        )
    shapes = {name: list(x.shape) for name, x in zip(OUTPUTS, wanted, strict=True)}
    return Exported({name: list(given[name].shape) for name in names}, shapes, max(apart))


def _apart(name: str, one: Tensor, other: Tensor) -> float:
    """The largest difference; of logits, in the scores that they are."""
    if name != "box":
        one, other = one.sigmoid(), other.sigmoid()
    return float((one - other).abs().max())


def _facts(card: Card) -> dict[str, str]:
    """What a program needs to know to feed the graph, as ONNX keeps it: text by name."""
    known = to_json(card)
    names = ("frames", "stride", "key", "short_side", "mean", "std", "classes", "licence")
    return {f"stadkit.{name}": json.dumps(known[name]) for name in names}


def _check_packages() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(package)
        except ImportError:
            raise UsageError(
                f"--format onnx wants {package}, which is not installed: "
                "`pip install 'stadkit[onnx]'`"
            ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Without what torch's exporter has to say of itself: it prints whole graphs that fail."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    unread = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(unread), redirect_stderr(unread):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def _written(half: Path, out: Path) -> Iterator[None]:
    """Nothing stays of `half`, and an OSError about it is about `out`, the file that users know."""
    try:
        yield
    except OSError as error:
        if error.filename is None or Path(error.filename) == half:
            error.filename, error.filename2 = str(out), None
        raise
    finally:
        with suppress(OSError):  # of a folder that is none, whose error is the one above
            half.unlink(missing_ok=True)


def _half(out: Path) -> Path:
    return out.with_name(f".{os.getpid()}.part{out.suffix}")


def _cause(error: BaseException) -> str:
    """The first line of the error behind an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
