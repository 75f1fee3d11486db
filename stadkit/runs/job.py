"""A job of `detect`, its task for each input, and parsers of --classes and --every."""

from __future__ import annotations

import difflib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stadkit.detection import DetectOptions, Detector
from stadkit.detection.bank import HEADER, bank_folder
from stadkit.detections import Detections
from stadkit.engine import RayExecutor
from stadkit.errors import UsageError
from stadkit.labels import Labels
from stadkit.runs.folder import fingerprint
from stadkit.runs.inputs import Input
from stadkit.runs.record import VideoRecord
from stadkit.video.check import check_file
from stadkit.video.keys import FRAME, Every
from stadkit.zoo import sha256

LABELS = "labels.txt"


@dataclass(frozen=True)
class Job:
    """The detector and settings, the same for every input."""

    detector: Detector
    options: DetectOptions
    labels: Labels  # the classes to write
    min_action: float  # lower scores are not written
    min_drawn: float = 0.3  # lower scores are not drawn
    proposals: Path | None = None  # the file that options.proposals came from
    save_video: bool = False
    save_tokens: bool = False
    save_queries: bool = False
    queries: Path | None = None  # folder with the inputs' query banks
    window: float = 60.0  # seconds of a bank around a keyframe
    link: bool = False
    resume: bool = True
    executor: RayExecutor | None = None  # None: this process

    @property
    def min_person(self) -> float:
        """Lowest reported person score: the option, else the card's."""
        option = self.options.min_person
        return self.detector.card.min_person if option is None else option

    @property
    def every(self) -> Every:
        """Seconds between keyframes, or "frame": the option, else the detector's default."""
        option = self.options.every
        return self.detector.every if option is None else option

    @property
    def batch(self) -> int:
        """Clips per pass; fewer than configured after running out of memory."""
        return self.detector.max_clips or self.detector.batch(self.options)


def facts(job: Job) -> dict[str, Any]:
    """Versions, model and arguments that the results depend on, for the head of the manifest."""
    detector, options = job.detector, job.options
    packages = {name: version(name) for name in ("stadkit", "torch", "av", "numpy")}
    return {
        "command": "detect",
        "versions": {**packages, "python": platform.python_version()},
        "model": {
            "name": detector.name,
            "sha256": detector.sha256,
            "licence": detector.card.licence,
            "device": str(detector.device),
            "precision": str(detector.precision).removeprefix("torch."),
        },
        **_person_model(detector),
        "arguments": {
            "every": job.every,
            "start": options.start,
            "duration": options.duration,
            "top_k": options.top_k,
            "batch": options.batch,
            "reader": options.reader,
            "strict": options.strict,
            "classes": list(job.labels.names),
            "proposals": sha256(job.proposals) if job.proposals else None,
            "save_video": job.save_video,
            "save_tokens": job.save_tokens,
            "save_queries": job.save_queries,
            "window": None if job.queries is None else job.window,
            "link": job.link,
        },
        "thresholds": {
            "min_person": job.min_person,
            "min_action": job.min_action,
            "min_drawn": job.min_drawn if job.save_video else None,
        },
    }


def _person_model(detector: Detector) -> dict[str, Any]:
    """The person detector of a two-stage model; empty for other models."""
    finder = detector.person_detector
    if finder is None:
        return {}
    about = {"name": finder.name, "sha256": finder.sha256, "licence": finder.card.licence}
    return {"person_model": about}


class DetectTask:
    """One input of a job; the facts of its file are read on demand."""

    def __init__(self, item: Input, job: Job, folder: Path) -> None:
        """`files`: the outputs in `folder` by kind; "tokens" and "queries" are folders."""
        optional = {
            "tubes.json": job.link,
            "mp4": job.save_video,
            "tokens": job.save_tokens,
            "queries": job.save_queries,
        }
        kinds = ["csv", "jsonl", *(kind for kind, wanted in optional.items() if wanted)]
        self.item, self.job = item, job
        self.files = {kind: folder / f"{item.name}.{kind}" for kind in kinds}

    @property
    def record(self) -> VideoRecord:
        """The record before the input is read: its path."""
        return VideoRecord("begun", input=str(self.item.path), outputs={})

    @cached_property
    def identity(self) -> VideoRecord:
        """`record` with sha256 and size of the input, and sha256 of its query bank's header.

        Each file is read once. Raises VideoError if the input is not a file.
        """
        check_file(self.item.path)
        record = replace(
            self.record, sha256=sha256(self.item.path), bytes=self.item.path.stat().st_size
        )
        if self.bank is None:
            return record
        header = self.bank / HEADER  # which has the sha256 of the bank's other files
        return replace(record, queries=sha256(header) if header.is_file() else "")

    @property
    def bank(self) -> Path | None:
        """The path of the query bank to read; None if the job reads none."""
        queries = self.job.queries
        return None if queries is None else bank_folder(queries, self.item.name)

    def mark(self, facts: Mapping[str, Any]) -> str:
        """The fingerprint of the results under these facts."""
        identity = self.identity
        made_from = {**facts, "name": self.item.name, "input": identity.sha256}
        bank = {} if self.bank is None else {"queries": identity.queries}
        return fingerprint(made_from | bank)


def pick_classes(text: str, labels: Labels) -> Labels:
    """Parse "walk, 3" to those labels, in the model's order; all of them for an empty text.

    Names may contain commas. Raises UsageError for an unknown class.
    """
    if not text.strip():
        return labels
    wanted = set(_split(text, labels))
    rows = [i for i, name in enumerate(labels.names) if name in wanted]
    return Labels(tuple(labels.ids[i] for i in rows), tuple(labels.names[i] for i in rows))


def pick_every(text: str | None) -> Every | None:
    """Parse seconds between keyframes, or "frame"; raises UsageError for anything else."""
    if text is None or text == FRAME:
        return text
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--every {text!r}: give seconds, such as 0.5, or {FRAME}") from None


def _split(text: str, labels: Labels) -> list[str]:
    by_id = {str(number): name for number, name in zip(labels.ids, labels.names, strict=True)}
    names: list[str] = []
    rest = [part.strip() for part in text.split(",")]
    while rest:
        # Match the longest run of parts: AVA has "listen (e.g., to music)".
        for length in range(len(rest), 0, -1):
            name = ", ".join(rest[:length])
            if name in labels.names or name in by_id:
                names.append(name if name in labels.names else by_id[name])
                rest = rest[length:]
                break
        else:
            raise UsageError(_unknown(rest[0], labels))
    return names


def _unknown(name: str, labels: Labels) -> str:
    near = difflib.get_close_matches(name, labels.names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(labels.names[:5])}, ..."
    return f"--classes: the model has no class {name!r}; {hint}"


def with_classes(table: Detections, labels: Labels) -> Detections:
    """The table restricted to these classes."""
    if labels.names == table.classes:
        return table
    columns = [table.classes.index(name) for name in labels.names]
    return replace(table, action=table.action[:, columns], classes=labels.names)
