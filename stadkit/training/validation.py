"""Validation after each epoch: frame mAP and person AP at IoU 0.5 on held-out examples.

results.csv has one line per epoch; figures are numbers, the AP per class is JSON in one cell.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from stadkit.detection import DetectOptions, Detector
from stadkit.detections import Detections, Keyframes
from stadkit.files.rows import write_text
from stadkit.instances import Instances
from stadkit.metrics.frame_map import frame_map
from stadkit.training.bank_settings import ClipBanks
from stadkit.training.clips import shrink
from stadkit.training.sources import Example, ExampleSource
from stadkit.video.clips import Clip, Cut
from stadkit.zoo import Card

MIN_PERSON = 0.01  # AP needs the whole ranking, not only confident detections
NAME = "results.csv"


@torch.no_grad()
def validate(
    model: nn.Module, card: Card, source: ExampleSource | None, bf16: bool
) -> dict[str, Any]:
    """Score a model on a source: {"person_ap", "frame_map", "per_class"}; {} without a source."""
    if source is None:
        return {}
    was_training = model.training
    # For tubelet models, only the key frame is scored.
    key_frame_card = replace(card, tubelet=False)
    detector = Detector(model.eval(), key_frame_card, precision="bf16" if bf16 else "fp32")
    # Both are filled while the detector consumes the clips, so that each is read only once.
    rows: list[Detections] = []
    banks = ClipBanks()
    queries = banks if card.settings.get("classifier") == "long" else None
    clips = _validation_clips(source, detector.cut, rows, banks)
    options = DetectOptions(min_person=MIN_PERSON, queries=queries)
    tables = (table for _, table in detector.look(clips, options))
    found = Detections.join(tables, card.classes.names)
    model.train(was_training)
    truth = Detections.join(rows, source.labels.names)
    keyframes = _keyframes(source)
    actions = frame_map(Instances.of(found), Instances.of_truth(truth), only=keyframes)
    people = frame_map(Instances.of_people(found), Instances.of_people(truth), only=keyframes)
    return {
        "person_ap": people.mean,
        "frame_map": actions.mean,
        "per_class": {name: round(ap, 4) for name, ap in actions.per_class.items()},
    }


def _validation_clips(
    source: ExampleSource, cut: Cut, rows: list[Detections], banks: ClipBanks
) -> Iterator[Clip]:
    """Yield a source's clips; adds their truth to `rows` and their bank entries to `banks`."""
    for index in range(len(source)):
        example = source[index]
        rows.append(_truth(example, index, source.labels.names))
        if example.near is not None:
            banks.near[_name(index)] = example.near
        yield _validation_clip(example, index, cut)


def _name(index: int) -> str:
    # Examples are named by number, as two of one video may have the same time.
    return f"{index:07d}"


def _validation_clip(example: Example, index: int, cut: Cut) -> Clip:
    """An example's clip at the size of a cut, as in `detect`."""
    small = np.stack([shrink(frame, cut) for frame in example.clip.pixels])
    return replace(example.clip, video=_name(index), pixels=small, time=0.0)


def _truth(example: Example, index: int, classes: tuple[str, ...]) -> Detections:
    n = len(example.box)
    return Detections(
        video=np.full(n, _name(index)),
        time=np.zeros(n, np.float64),
        box=example.box,
        person=np.ones(n, np.float32),
        action=example.action,
        track=np.full(n, -1, np.int32),
        classes=classes,
    )


def _keyframes(source: ExampleSource) -> Keyframes:
    names = np.array([_name(index) for index in range(len(source))], np.str_)
    return Keyframes(video=names, time=np.zeros(len(names), np.float64))


def append(path: Path, figures: dict[str, Any]) -> None:
    """Append a line, with a header if it is the first; atomic."""
    before = path.read_text("utf-8") if path.exists() else ""
    added = io.StringIO()
    writer = csv.DictWriter(added, list(figures), lineterminator="\n")
    if not before:
        writer.writeheader()
    writer.writerow({name: _cell(value) for name, value in figures.items()})
    write_text(path, [before, added.getvalue()])


def last(path: Path) -> dict[str, Any]:
    """The figures of the last line, with NaN as None; {} without a file."""
    if not path.exists():
        return {}
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
    return {name: _figure(cell) for name, cell in rows[-1].items()} if rows else {}


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:.5g}"
    return json.dumps(value)


def _figure(cell: str) -> Any:
    return json.loads(cell, parse_constant=lambda _: None)
