"""Folders that keep intermediate results of each video, so that they are computed once.

The parts are detections "between" labelled keyframes, detections at the "labelled" ones, and
"cuts"; each has a manifest and a file per video.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from stadkit.detection import detect_video
from stadkit.errors import VideoError
from stadkit.files.found_npz import write_found_npz
from stadkit.files.rows import write_text
from stadkit.pseudo_labelling.plan import Plan
from stadkit.runs.folder import RunFolder, fingerprint
from stadkit.runs.job import Job, facts
from stadkit.runs.outputs import with_reading
from stadkit.runs.progress import Bar
from stadkit.runs.record import VideoRecord
from stadkit.video.cuts import shot_changes
from stadkit.video.decode import open_video
from stadkit.zoo import sha256

CUT_MARGIN = 0.5  # seconds read past the last labelled keyframe, to see both sides of a cut there
Make = Callable[[Plan, Path], VideoRecord]  # writes the file; returns the manifest's record


class VideoPart(RunFolder):
    """A folder with a file per video; intact files of the same facts are always kept."""

    def __init__(
        self,
        folder: Path,
        facts: Mapping[str, Any],
        make: Make,
        overwrite: bool,
        job: Job | None = None,
    ) -> None:
        """Raises UsageError as `RunFolder`.

        overwrite: replace files of other facts. job: the detection job, if `make` runs a model.
        """
        super().__init__(folder, facts, overwrite)
        self.kind, self._make, self.job = folder.name, make, job
        self.made: dict[str, VideoRecord] = {}  # by workers in this run

    def finished(self, name: str, mark: str) -> VideoRecord | None:
        """The record of a video done before with this fingerprint, even with `overwrite`."""
        overwrite, self.overwrite = self.overwrite, False
        try:
            return super().finished(name, mark)
        finally:
            self.overwrite = overwrite

    def file(self, plan: Plan) -> Path:
        """The path of the video's file."""
        ending = ".json" if self.kind == "cuts" else ".npz"
        return self.folder / f"{plan.item.name}{ending}"

    def mark(self, plan: Plan) -> str:
        """The fingerprint of the video's file."""
        times = plan.labelled[-1:] if self.kind == "cuts" else getattr(plan, self.kind)
        return fingerprint({**self.facts, "input": plan.sha256, "times": times})

    def check_plan(self, plan: Plan) -> None:
        """Raise UsageError if the video's file would overwrite one of another origin."""
        with suppress(VideoError, OSError):  # an unusable video is reported at its turn
            self.check(plan.item.name, [self.file(plan)], lambda: self.mark(plan))

    def keep(self, plan: Plan) -> VideoRecord:
        """Make the video's file unless it exists; returns its record."""
        known = self.made.get(plan.item.name) or self.start(plan)
        return known or self.finish(plan, lambda: self._make(plan, self.file(plan)))

    def start(self, plan: Plan) -> VideoRecord | None:
        """Claim the video's file; returns its record if it exists or cannot be made."""
        mark = partial(self.mark, plan)
        return self.claim(plan.item.name, mark, [self.file(plan)], _record(plan))

    def finish(
        self, plan: Plan, make: Callable[[], VideoRecord], seconds: float = 0.0
    ) -> VideoRecord:
        """Make the claimed file; returns its record. `seconds`: time already spent on it."""
        file = self.file(plan)

        def work() -> VideoRecord:
            return replace(make(), outputs={file.name: sha256(file)})

        return self.complete(plan.item.name, [file], _record(plan), work, seconds)


def _record(plan: Plan) -> VideoRecord:
    return VideoRecord("begun", input=str(plan.item.path), outputs={})


def people_part(folder: Path, kind: str, job: Job, overwrite: bool) -> VideoPart:
    """The detections at times of a kind: "between" or "labelled"."""

    def make(plan: Plan, file: Path) -> VideoRecord:
        times = getattr(plan, kind)
        options = replace(job.options, times=times)
        with Bar(plan.item, options) as bar:
            found = detect_video(job.detector, plan.item.path, options, bar.advance)
        write_found_npz(found.table, found.keyframes, file)
        return with_reading(_record(plan), found)

    return VideoPart(folder / kind, _facts(job, kind), make, overwrite, job)


def _facts(job: Job, kind: str) -> dict[str, Any]:
    """The facts that the detections depend on; "labelled" times do not depend on `every`."""
    held = facts(job)
    names = ("batch", "reader") if kind == "labelled" else ("every", "batch", "reader")
    return {
        **held,
        "command": "pseudo-label",
        "part": kind,
        "arguments": {name: held["arguments"][name] for name in names},
        "thresholds": {"min_person": job.min_person},
    }


def cuts_part(folder: Path, overwrite: bool) -> VideoPart:
    """The shot changes up to the last labelled keyframe."""

    def make(plan: Plan, file: Path) -> VideoRecord:
        with open_video(plan.item.path) as video:
            cuts = shot_changes(video, plan.labelled[-1] + CUT_MARGIN).tolist()
        write_text(file, [json.dumps(cuts) + "\n"])
        return replace(_record(plan), status="ok", reason="", cuts=len(cuts))

    held = {"command": "pseudo-label", "part": "cuts"}
    return VideoPart(folder / "cuts", held, make, overwrite)
