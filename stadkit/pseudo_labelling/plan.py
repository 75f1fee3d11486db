"""Plan which videos to process, and at which times between their labelled keyframes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from stadkit.errors import NothingMatchedError, UsageError, VideoError
from stadkit.pseudo_labelling.inputs import LabelledTruth, check_videos
from stadkit.pseudo_labelling.job import PseudoLabelJob
from stadkit.runs.inputs import Input, gather
from stadkit.tla.neighbours import DEFAULT_GAP_SPACINGS, spacing
from stadkit.video.check import check_file, shown
from stadkit.video.decode import probe
from stadkit.zoo import sha256

EVERY = 0.2  # seconds, by default
END_MARGIN = 0.05  # seconds: keyframes this far past the last frame belong to it


@dataclass(frozen=True)
class Plan:
    """A video with its labelled keyframes and the times between them, in the video's seconds."""

    video: str  # id in truth
    item: Input
    labelled: list[float]
    between: list[float]
    length: float | None  # seconds, if known

    @cached_property
    def sha256(self) -> str:
        """Checksum of the file; raises VideoError if it is not a file."""
        check_file(self.item.path)
        return sha256(self.item.path)

    def inside(self, times: Sequence[float]) -> list[float]:
        """The times that lie inside the video."""
        end = np.inf if self.length is None else self.length + END_MARGIN
        return [time for time in times if -END_MARGIN <= time <= end]

    @property
    def outside(self) -> int:
        """The number of labelled keyframes outside the video."""
        return len(self.labelled) - len(self.inside(self.labelled))


@dataclass(frozen=True)
class Plans:
    """Plans for the videos with truth, in its order, and the stems of videos without."""

    plans: tuple[Plan, ...]
    without_truth: tuple[str, ...]

    @property
    def notes(self) -> Iterator[str]:
        """Notes on labelled keyframes outside their videos."""
        for plan in self.plans:
            if plan.outside:
                yield (
                    f"note: {shown(plan.item.path)}: {plan.outside} of {len(plan.labelled)} "
                    f"labelled keyframes are outside its {plan.length:g} s"
                )


def make_plans(job: PseudoLabelJob, truth: LabelledTruth) -> Plans:
    """Plan all videos; raises NothingMatchedError if none can be labelled."""
    files = _files(job.videos)
    check_videos(truth.videos, list(files), job.truth, ", ".join(job.videos))
    max_gap = _max_gaps(job, truth)
    every = job.every or EVERY
    plans = []
    for video in truth.videos:
        if video in files:
            item, times = _only(video, files[video]), truth.times(video)
            labelled = _shifted(times, -job.offset)
            steps = _shifted(between(times, every, max_gap[video]), -job.offset)
            plans.append(Plan(video, item, labelled, steps, _length(item.path)))
    _check_offset(plans, job)
    known = set(truth.videos)
    return Plans(tuple(plans), tuple(stem for stem in files if stem not in known))


def _files(named: Sequence[str]) -> dict[str, list[Input]]:
    """Stem -> the videos with it; raises UsageError for a missing file."""
    files: dict[str, list[Input]] = {}
    for item in gather(named):
        if str(item.path) in named and not item.path.exists():
            raise UsageError(f"{shown(item.path)}: does not exist; give videos or their folder")
        files.setdefault(item.path.stem, []).append(item)
    return files


def between(times: Sequence[float], every: float, max_gap: float) -> list[float]:
    """Times every `every` seconds between consecutive labelled keyframes, both excluded.

    `times` are sorted. Only times within `max_gap` seconds of one of the two are returned.
    """
    found = []
    for left, right in itertools.pairwise(times):
        count = int(np.ceil((right - left - 0.0005) / every))
        steps = np.round(left + every * np.arange(1, count), 3)
        near = np.minimum(steps - left, right - steps) <= max_gap + 0.0005
        found += steps[near].tolist()
    return found


def _max_gaps(job: PseudoLabelJob, truth: LabelledTruth) -> dict[str, float]:
    """Video -> largest distance in seconds of a frame from its labelled keyframe."""
    if job.options.max_gap is not None:
        return dict.fromkeys(truth.videos, job.options.max_gap)
    return {video: DEFAULT_GAP_SPACINGS * gap for video, gap in spacing(truth.keyframes).items()}


def _shifted(times: Sequence[float], by: float) -> list[float]:
    """Shift times, rounded to milliseconds to remove floating-point error."""
    return [round(time + by, 3) for time in times]


def _only(video: str, items: Sequence[Input]) -> Input:
    if len(items) > 1:
        raise UsageError(
            f"{shown(items[0].path)} and {shown(items[1].path)} are both {video!r}; give one of "
            "them"
        )
    return items[0]


def _length(path: Path) -> float | None:
    try:
        return probe(path).duration
    except VideoError:
        return None  # reported when the video is processed


def _check_offset(plans: Sequence[Plan], job: PseudoLabelJob) -> None:
    """Raise NothingMatchedError if all labelled keyframes are outside their videos."""
    if any(plan.outside < len(plan.labelled) for plan in plans):
        return
    plan = plans[0]
    raise NothingMatchedError(
        f"{shown(plan.item.path)}: lasts {plan.length:g} s, but {job.truth} has its labels at "
        f"{plan.labelled[0] + job.offset:g} to {plan.labelled[-1] + job.offset:g} s, all outside; "
        f"is --offset (now {job.offset:g}) right? AVA's is 900"
    )
