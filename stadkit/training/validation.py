"""A score after each epoch: frame mAP and person AP at IoU 0.5 on held-out examples.

results.csv: a line an epoch. Figures are numbers; the scores by class are JSON in one cell.
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

from stadkit.detection import Detector, Options
from stadkit.detections import Detections, Keyframes
from stadkit.files.rows import write_text
from stadkit.instances import Instances
from stadkit.metrics.frame_map import frame_map
from stadkit.training.bank_settings import Beside
from stadkit.training.clips import shrink
from stadkit.training.sources import Example, Source
from stadkit.video.clips import Clip, Cut
from stadkit.zoo import Card

MIN_PERSON = 0.01  # AP wants the whole ranking, not what a user would be shown
NAME = "results.csv"


@torch.no_grad()
def validate(model: nn.Module, card: Card, source: Source | None, bf16: bool) -> dict[str, Any]:
    """{"person_ap", "frame_map", "per_class"} of a model on a source; {} without one."""
    if source is None:
        return {}
    was_training = model.training
    # Of tubelets the key frame alone is scored.
    shown = replace(card, tubelet=False)
    detector = Detector(model.eval(), shown, precision="bf16" if bf16 else "fp32")
    # Filled while the clips are looked at: each is read once.
    rows: list[Detections] = []
    beside = Beside()
    queries = beside if card.settings.get("classifier") == "long" else None
    shown_clips = _shown(source, detector.cut, rows, beside)
    options = Options(min_person=MIN_PERSON, queries=queries)
    tables = (table for _, table in detector.look(shown_clips, options))
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


def _shown(source: Source, cut: Cut, rows: list[Detections], beside: Beside) -> Iterator[Clip]:
    """The clips of a source; their truth goes into `rows`, and who is around into `beside`."""
    for index in range(len(source)):
        example = source[index]
        rows.append(_truth(example, index, source.labels.names))
        if example.near is not None:
            beside.near[_name(index)] = example.near
        yield _as_shown(example, index, cut)


def _name(index: int) -> str:
    # Two examples of one video are two frames; numbers keep them apart whatever their times.
    return f"{index:07d}"


def _as_shown(example: Example, index: int, cut: Cut) -> Clip:
    """The whole frame at the size of a cut, as `detect` would cut it."""
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


def _keyframes(source: Source) -> Keyframes:
    names = np.array([_name(index) for index in range(len(source))], np.str_)
    return Keyframes(video=names, time=np.zeros(len(names), np.float64))


def append(path: Path, figures: dict[str, Any]) -> None:
    """One more line, under a header if it is the first; the file is whole or as it was."""
    before = path.read_text("utf-8") if path.exists() else ""
    added = io.StringIO()
    writer = csv.DictWriter(added, list(figures), lineterminator="\n")
    if not before:
        writer.writeheader()
    writer.writerow({name: _cell(value) for name, value in figures.items()})
    write_text(path, [before, added.getvalue()])


def last(path: Path) -> dict[str, Any]:
    """The figures of the last line, None where one is not a number; {} without a file."""
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
