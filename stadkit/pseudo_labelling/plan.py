"""Which videos have truth, and when to look at them: between the labelled keyframes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from stadkit.errors import NothingMatchedError, UsageError, VideoError
from stadkit.pseudo_labelling.inputs import Truth, check_videos
from stadkit.pseudo_labelling.job import PseudoLabelJob
from stadkit.runs.inputs import Input, gather
from stadkit.tla.neighbours import DEFAULT_GAP_SPACINGS, spacing
from stadkit.video.check import check_file, shown
from stadkit.video.decode import probe
from stadkit.zoo import sha256

EVERY = 0.2  # seconds
EDGE = 0.05  # seconds: a keyframe so far past the last frame is that frame's


@dataclass(frozen=True)
class Plan:
    """A video with its labelled keyframes and the times to look at between; its own seconds."""

    video: str  # as truth has it
    item: Input
    labelled: list[float]
    between: list[float]
    length: float | None  # seconds, where the file says so

    @cached_property
    def sha256(self) -> str:
        """Of the file; raises VideoError where it is none."""
        check_file(self.item.path)
        return sha256(self.item.path)

    def shown(self, times: Sequence[float]) -> list[float]:
        """Those of these times that the video shows."""
        end = np.inf if self.length is None else self.length + EDGE
        return [time for time in times if -EDGE <= time <= end]

    @property
    def outside(self) -> int:
        """Labelled keyframes that it does not show."""
        return len(self.labelled) - len(self.shown(self.labelled))


@dataclass(frozen=True)
class Plans:
    """The videos of the truth that are here, in its order, and those that are not."""

    plans: tuple[Plan, ...]
    without_truth: tuple[str, ...]

    @property
    def notes(self) -> Iterator[str]:
        """What is odd, for people."""
        for plan in self.plans:
            if plan.outside:
                yield (
                    f"note: {shown(plan.item.path)}: {plan.outside} of {len(plan.labelled)} "
                    f"labelled keyframes are outside its {plan.length:g} s"
                )


def make_plans(asked: PseudoLabelJob, truth: Truth) -> Plans:
    """What to look at; raises NothingMatchedError where that is nothing."""
    files = _files(asked.videos)
    check_videos(truth.videos, list(files), asked.truth, ", ".join(asked.videos))
    reach = _reaches(asked, truth)
    every = asked.every or EVERY
    plans = []
    for video in truth.videos:
        if video in files:
            item, times = _only(video, files[video]), truth.times(video)
            labelled = _moved(times, -asked.offset)
            looked = _moved(between(times, every, reach[video]), -asked.offset)
            plans.append(Plan(video, item, labelled, looked, _length(item.path)))
    _check_offset(plans, asked)
    known = set(truth.videos)
    return Plans(tuple(plans), tuple(stem for stem in files if stem not in known))


def _files(named: Sequence[str]) -> dict[str, list[Input]]:
    """Stem -> the videos that have it; raises UsageError for a name that there is not."""
    files: dict[str, list[Input]] = {}
    for item in gather(named):
        if str(item.path) in named and not item.path.exists():
            raise UsageError(f"{shown(item.path)}: does not exist; give videos or their folder")
        files.setdefault(item.path.stem, []).append(item)
    return files


def between(times: Sequence[float], every: float, reach: float) -> list[float]:
    """Every so many seconds from each labelled keyframe to the next one, both left out.

    Times rise. Where two are far apart, only those at most `reach` seconds from one of them.
    """
    found = []
    for left, right in itertools.pairwise(times):
        count = int(np.ceil((right - left - 0.0005) / every))
        steps = np.round(left + every * np.arange(1, count), 3)
        near = np.minimum(steps - left, right - steps) <= reach + 0.0005
        found += steps[near].tolist()
    return found


def _reaches(asked: PseudoLabelJob, truth: Truth) -> dict[str, float]:
    """Video -> seconds that a frame may be away from its labelled keyframe."""
    if asked.options.max_gap is not None:
        return dict.fromkeys(truth.videos, asked.options.max_gap)
    return {video: DEFAULT_GAP_SPACINGS * gap for video, gap in spacing(truth.keyframes).items()}


def _moved(times: Sequence[float], by: float) -> list[float]:
    """Rounded, as times are the same to a millisecond, and a sum may be off by less."""
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
        return None  # told when it is looked at


def _check_offset(plans: Sequence[Plan], asked: PseudoLabelJob) -> None:
    """Raise NothingMatchedError where no video shows any of its labelled keyframes."""
    if any(plan.outside < len(plan.labelled) for plan in plans):
        return
    plan = plans[0]
    raise NothingMatchedError(
        f"{shown(plan.item.path)}: lasts {plan.length:g} s, and {asked.truth} has its labels at "
        f"{plan.labelled[0] + asked.offset:g} to {plan.labelled[-1] + asked.offset:g} s, which is "
        f"all outside; is --offset (now {asked.offset:g}) right? AVA's is 900"
    )
