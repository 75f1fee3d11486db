"""Found against truth, all of it: frame mAP, people, tubes, coverage, faults and mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.claims import Claims
from stadkit.detections import Keyframes
from stadkit.errors import UsageError
from stadkit.files.ava_rows import Faults
from stadkit.files.multisports import CLASSES as MULTISPORTS_CLASSES
from stadkit.files.multisports import sports
from stadkit.labels import Labels, ava_groups
from stadkit.metrics.coverage import Coverage, check
from stadkit.metrics.frame_map import FrameMap, frame_map, group_means, person_ap
from stadkit.metrics.frame_map_act import frame_map_act
from stadkit.metrics.mistakes import Mistakes, mistakes
from stadkit.metrics.protocols import PROTOCOLS, Protocol, protocol_of
from stadkit.metrics.video_map import UNSCORED, VideoMap, video_map
from stadkit.tubes import Tubelets, Tubes

TUBE_PROTOCOLS = ("multisports", "act")


@dataclass(frozen=True)
class Side:
    """One of the two: rows of frames, and tubes where the file has them."""

    claims: Claims
    faults: tuple[Faults, ...]  # the whole side's first, then those of its files
    tubes: Tubes | None = None
    tubelets: Tubelets | None = None


@dataclass(frozen=True)
class TubeFacts:
    """What a data set of tubes says of its videos."""

    sizes: dict[str, tuple[int, int]] | None  # height, width in pixels
    rate: float  # frames a second


@dataclass(frozen=True)
class Scores:
    """What `score` found out."""

    protocol: str
    labels: Labels
    frames: FrameMap
    people: FrameMap
    groups: dict[str, float]
    tubes: VideoMap | None
    coverage: Coverage
    faults: tuple[Faults, ...]
    mistakes: Mistakes

    def to_json(self) -> dict[str, Any]:
        """For machines: fractions of 1, null where there is no truth."""
        ids = [str(number) for number in self.labels.ids]
        columns = {
            "name": self.labels.names,
            "ap": _plain(self.frames.ap.mean(0)),
            "recall": _plain(self.frames.recall.mean(0)),
            "truth": self.frames.truths.tolist(),
            "found": self.frames.detections.tolist(),
        }
        return {
            "protocol": self.protocol,
            "iou": list(self.frames.ious),
            "frame_map": _or_none(self.frames.mean),
            "frame_map_at": {
                f"{iou:g}": _or_none(_mean(ap))
                for iou, ap in zip(self.frames.ious, self.frames.ap, strict=True)
            },
            "per_class": dict(zip(ids, columns["ap"], strict=True)),
            "classes": {
                number: {name: column[i] for name, column in columns.items()}
                for i, number in enumerate(ids)
            },
            "person_ap": _or_none(self.people.mean),
            "person_recall": _or_none(_mean(self.people.recall)),
            "groups": {name: _or_none(value) for name, value in self.groups.items()},
            "video_map": self._video_map(),
            "coverage": self.coverage.to_json(),
            "faults": {
                str(faults.path): {
                    kind: {"rows": rows, "lines": list(lines)}
                    for kind, (rows, lines) in faults.kinds.items()
                }
                for faults in self.faults
                if faults.kinds
            },
            "mistakes": self.mistakes.to_json(),
        }

    def _video_map(self) -> dict[str, float | None] | None:
        if self.tubes is None:
            return None
        return {name: _or_none(value) for name, value in self.tubes.summary().items()}


def score(
    found: Side,
    truth: Side,
    labels: Labels,
    facts: TubeFacts | None = None,
    *,
    protocol: str | None = None,
    ious: Sequence[float] = (0.5,),
    excluded: Keyframes | None = None,
    cap: int | None = None,
) -> Scores:
    """Everything there is to say of found against truth.

    `protocol` is one of PROTOCOLS or, for tubes, "multisports" or "act"; None: "multisports"
    for true tubes, else "ava". Raises NothingMatchedError where nothing of one meets the other,
    UsageError for a protocol that does not fit.
    """
    name = protocol or ("ava" if truth.tubes is None else "multisports")
    rules = _rules(name, truth)
    coverage = check(
        found.claims, truth.claims, found.faults[0], truth.faults[0], excluded, labels.ids
    )
    options: dict[str, Any] = {
        "protocol": rules,
        "ious": ious,
        "excluded": excluded,
        "cap": cap,
    }
    frames = frame_map(found.claims, truth.claims, **options)
    wrong = mistakes(found.claims, truth.claims, frames, excluded)
    if name == "act":
        frames = _counted_by_act(frames, found, truth, facts)
    if name == "multisports":
        frames = _without_unscored(frames)
    return Scores(
        protocol=name,
        labels=labels,
        frames=frames,
        people=person_ap(found.claims, truth.claims, **options),
        groups=group_means(frames, _groups(labels)),
        tubes=_tubes(found, truth, facts, name),
        coverage=coverage,
        faults=found.faults[1:] + truth.faults[1:],
        mistakes=wrong,
    )


def _rules(name: str, truth: Side) -> Protocol:
    if name not in TUBE_PROTOCOLS:
        return protocol_of(name)
    if truth.tubes is None:
        frames = ", ".join(PROTOCOLS)
        raise UsageError(f"protocol {name} is for true tubes; for keyframes there are {frames}")
    return protocol_of("ava")  # the same count in frames: those without truth are wrong


def _groups(labels: Labels) -> dict[str, tuple[str, ...]]:
    """Groups of classes that papers report: AVA's three, MultiSports' four."""
    if len(labels) == MULTISPORTS_CLASSES and set(UNSCORED) <= set(labels.names):
        return sports(labels.names)
    groups = ava_groups()
    known = {name for names in groups.values() for name in names}
    # Own classes may be called "stand" or "walk" too; groups of some of them say nothing.
    return groups if set(labels.names) <= known else {}


def _without_unscored(frames: FrameMap) -> FrameMap:
    if not set(UNSCORED) <= set(frames.classes):
        return frames
    out = np.isin(np.array(frames.classes), UNSCORED)
    return replace(frames, ap=np.where(out, np.nan, frames.ap))


def _counted_by_act(
    frames: FrameMap, found: Side, truth: Side, facts: TubeFacts | None
) -> FrameMap:
    """The same with the AP that ACT and MOC print; which rows are right stays as it was."""
    if facts is None or facts.sizes is None or truth.tubes is None:
        raise UsageError(
            "protocol act counts pixels, and the truth does not say how large the videos are; "
            "give a GT.pkl, or choose --protocol multisports"
        )
    tubelets = found.tubelets or _single_frames(found.claims, facts)
    ap = [
        frame_map_act(tubelets, truth.tubes, sizes=facts.sizes, rate=facts.rate, min_iou=iou)
        for iou in frames.ious
    ]
    return replace(frames, ap=np.stack(ap))


def _single_frames(found: Claims, facts: TubeFacts) -> Tubelets:
    """Tubelets of one frame, of the videos whose size is known, in pixels."""
    sizes = facts.sizes or {}
    known = np.array([video in sizes for video in found.videos], bool)
    found = found.select(known[found.video] & (found.label >= 0))
    sides = np.array([sizes.get(video, (1, 1))[::-1] * 2 for video in found.videos], np.float64)
    return Tubelets(
        videos=found.videos,
        video=found.video,
        frame=np.rint(found.time * facts.rate).astype(np.int64) + 1,
        label=found.label,
        score=found.score,
        box=(found.box * sides.reshape(-1, 4)[found.video])[:, None],
        classes=found.classes,
    )


def _tubes(found: Side, truth: Side, facts: TubeFacts | None, name: str) -> VideoMap | None:
    if found.tubes is None or truth.tubes is None or facts is None:
        return None
    return video_map(
        found.tubes,
        truth.tubes,
        sizes=facts.sizes,
        rate=facts.rate,
        protocol=name if name in TUBE_PROTOCOLS else "multisports",
    )


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [_or_none(value) for value in values.tolist()]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
