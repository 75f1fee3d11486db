"""What `detect` is asked to do: the same for every input, and what it comes to for one."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stadkit.cli.inputs import Input
from stadkit.cli.runs import Entry, fingerprint
from stadkit.detect import Detector, Options
from stadkit.labels import Labels
from stadkit.video.check import check_file
from stadkit.zoo import sha256


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
    link: bool = False
    resume: bool = True

    @property
    def min_person(self) -> float:
        """People below this score are not reported: as asked, else as the card says."""
        given = self.options.min_person
        return self.detector.card.min_person if given is None else given

    @property
    def batch(self) -> int:
        """Clips at once; fewer than asked where the device's memory was too small."""
        detector = self.detector
        return detector.most_clips or self.options.batch or detector.card.batch


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
        "arguments": {
            "every": options.every,
            "start": options.start,
            "duration": options.duration,
            "top_k": options.top_k,
            "batch": job.batch,
            "reader": options.reader,
            "classes": list(job.labels.names),
            "proposals": sha256(job.proposals) if job.proposals else None,
            "save_video": job.save_video,
            "save_tokens": job.save_tokens,
            "link": job.link,
        },
        "thresholds": {
            "min_person": job.min_person,
            "min_action": job.min_action,
            "min_drawn": job.min_drawn if job.save_video else None,
        },
    }


class Task:
    """One input of a job, with what is known of its file once it was asked for."""

    def __init__(self, item: Input, job: Job, folder: Path) -> None:
        """What it gives, by kind, lies in `folder`; "tokens" is a folder of pictures."""
        asked = {"tubes.json": job.link, "mp4": job.save_video, "tokens": job.save_tokens}
        kinds = ["csv", "jsonl", *(kind for kind, wanted in asked.items() if wanted)]
        self.item, self.job = item, job
        self.files = {kind: folder / f"{item.name}.{kind}" for kind in kinds}

    @cached_property
    def identity(self) -> Entry:
        """sha256 and size of the input, read once; raises VideoError where it is no file."""
        check_file(self.item.path)
        return {"sha256": sha256(self.item.path), "bytes": self.item.path.stat().st_size}

    def mark(self, facts: Entry) -> str:
        """The fingerprint of its results under these facts."""
        return fingerprint({**facts, "name": self.item.name, "input": self.identity["sha256"]})
