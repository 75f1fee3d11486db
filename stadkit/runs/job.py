"""What `detect` is asked to do: the same for every input, and what it comes to for one.

What is said in words: some of a model's classes, by name or id; how often to look.
"""

from __future__ import annotations

import difflib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stadkit.detection import Detector, Options
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
    """What is done with every input."""

    detector: Detector
    options: Options
    labels: Labels  # the classes to write
    min_action: float  # scores below are not written
    min_drawn: float = 0.3  # nor drawn
    proposals: Path | None = None  # the file that options.proposals came from
    save_video: bool = False
    save_tokens: bool = False
    save_queries: bool = False
    queries: Path | None = None  # the folder of results with the inputs' banks
    window: float = 60.0  # seconds of a bank around a keyframe
    link: bool = False
    resume: bool = True
    spread: RayExecutor | None = None  # who looks; None: this process

    @property
    def min_person(self) -> float:
        """People below this score are not reported: as asked, else as the card says."""
        given = self.options.min_person
        return self.detector.card.min_person if given is None else given

    @property
    def every(self) -> Every:
        """Seconds between keyframes, or "frame": as asked, else as the detector has it."""
        given = self.options.every
        return self.detector.every if given is None else given

    @property
    def batch(self) -> int:
        """Clips at once; fewer than asked where the device's memory was too small."""
        return self.detector.most_clips or self.detector.batch(self.options)


def facts(job: Job) -> dict[str, Any]:
    """What made the results, for the head of the manifest."""
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
        **_people(detector),
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


def _people(detector: Detector) -> dict[str, Any]:
    """Who finds the people, where that is another model."""
    finder = detector.person_detector
    if finder is None:
        return {}
    about = {"name": finder.name, "sha256": finder.sha256, "licence": finder.card.licence}
    return {"person_model": about}


class Task:
    """One input of a job, with what is known of its file once it was asked for."""

    def __init__(self, item: Input, job: Job, folder: Path) -> None:
        """What it gives, by kind, lies in `folder`; "tokens" and "queries" are folders."""
        asked = {
            "tubes.json": job.link,
            "mp4": job.save_video,
            "tokens": job.save_tokens,
            "queries": job.save_queries,
        }
        kinds = ["csv", "jsonl", *(kind for kind, wanted in asked.items() if wanted)]
        self.item, self.job = item, job
        self.files = {kind: folder / f"{item.name}.{kind}" for kind in kinds}

    @property
    def record(self) -> VideoRecord:
        """What is known before the input is read: its path."""
        return VideoRecord("begun", input=str(self.item.path), outputs={})

    @cached_property
    def identity(self) -> VideoRecord:
        """`record` with sha256 and size of the input, and sha256 of the header of its query bank.

        Each file is read once. Raises VideoError where the input is no file.
        """
        check_file(self.item.path)
        own = replace(
            self.record, sha256=sha256(self.item.path), bytes=self.item.path.stat().st_size
        )
        if self.bank is None:
            return own
        header = self.bank / HEADER  # which has the sha256 of all the rest
        return replace(own, queries=sha256(header) if header.is_file() else "")

    @property
    def bank(self) -> Path | None:
        """Where the bank that it reads is to lie; None where it reads none."""
        queries = self.job.queries
        return None if queries is None else bank_folder(queries, self.item.name)

    def mark(self, facts: Mapping[str, Any]) -> str:
        """The fingerprint of its results under these facts."""
        identity = self.identity
        made_from = {**facts, "name": self.item.name, "input": identity.sha256}
        bank = {} if self.bank is None else {"queries": identity.queries}
        return fingerprint(made_from | bank)


def pick_classes(text: str, labels: Labels) -> Labels:
    """ "walk, 3" -> those labels, in the model's order; all of them for an empty text.

    Names that hold commas are found too. Raises UsageError for one that the model lacks.
    """
    if not text.strip():
        return labels
    wanted = set(_split(text, labels))
    rows = [i for i, name in enumerate(labels.names) if name in wanted]
    return Labels(tuple(labels.ids[i] for i in rows), tuple(labels.names[i] for i in rows))


def pick_every(text: str | None) -> Every | None:
    """ "0.5" -> seconds between keyframes; "frame" as it is; raises UsageError for other words."""
    if text is None or text == FRAME:
        return text
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--every {text!r}: wants seconds, such as 0.5, or {FRAME}") from None


def _split(text: str, labels: Labels) -> list[str]:
    by_id = {str(number): name for number, name in zip(labels.ids, labels.names, strict=True)}
    names: list[str] = []
    rest = [part.strip() for part in text.split(",")]
    while rest:
        # The longest run of parts that is a name: AVA has "listen (e.g., to music)".
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
    """The same people with only these classes."""
    if labels.names == table.classes:
        return table
    columns = [table.classes.index(name) for name in labels.names]
    return replace(table, action=table.action[:, columns], classes=labels.names)
