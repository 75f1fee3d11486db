"""Found against truth, all of it: frame mAP, people, tubes, coverage, faults and mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stadkit.detections import Keyframes
from stadkit.errors import UsageError
from stadkit.files.faults import Faults
from stadkit.files.multisports import CLASSES as MULTISPORTS_CLASSES
from stadkit.files.multisports import sports
from stadkit.instances import Instances
from stadkit.labels import Labels, ava_groups
from stadkit.metrics.average_precision import known_mean
from stadkit.metrics.coverage import Coverage, check
from stadkit.metrics.frame_map import FrameMap, frame_map, group_means, person_ap
from stadkit.metrics.frame_map_act import act_count, act_person_ap
from stadkit.metrics.mistakes import Mistakes, mistakes
from stadkit.metrics.protocols import MULTISPORTS, PROTOCOLS, Protocol, protocol_of
from stadkit.metrics.video_map import NO_SIZES, TUBE_PROTOCOLS, UNSCORED, VideoMap, video_map
from stadkit.tubes import Tubelets, Tubes


@dataclass(frozen=True)
class EvaluationSide:
    """One of the two: rows of frames, and tubes where the file has them.

    `looked`: keyframes that are known to have been looked at, rows or not.
    """

    claims: Instances
    faults: Faults  # of the whole side
    files: tuple[Faults, ...]  # the same by its files
    tubes: Tubes | None = None
    tubelets: Tubelets | None = None
    looked: Keyframes | None = None
    notes: tuple[str, ...] = ()  # how it was read, where that is not plain


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
    found: Instances  # with the scores that they were ranked by
    notes: tuple[str, ...] = ()  # how files were read, what an option does not touch

    def to_json(self) -> dict[str, Any]:
        """For machines: fractions of 1, null where there is no truth."""
        ids = [str(number) for number in self.labels.ids]
        columns: dict[str, Sequence[Any]] = {
            "name": self.labels.names,
            "ap": _plain(self.frames.ap.mean(0)),
            "ap_at": _by_class(
                {f"{iou:g}": self.frames.ap[k] for k, iou in enumerate(self.frames.ious)}
            ),
            "video_ap": (
                [None] * len(ids) if self.tubes is None else _by_class(self.tubes.per_class())
            ),
            "recall": _plain(self.frames.recall.mean(0)),
            "truth": self.frames.truths.tolist(),
            "found": self.frames.detections.tolist(),
        }
        return {
            "protocol": self.protocol,
            "iou": list(self.frames.ious),
            "frame_map": _or_none(self.frames.mean),
            "frame_map_at": {
                f"{iou:g}": _or_none(known_mean(ap))
                for iou, ap in zip(self.frames.ious, self.frames.ap, strict=True)
            },
            "per_class": dict(zip(ids, columns["ap"], strict=True)),
            "classes": {
                number: {name: column[i] for name, column in columns.items()}
                for i, number in enumerate(ids)
            },
            "person_ap": _or_none(self.people.mean),
            "person_recall": _or_none(known_mean(self.people.recall)),
            "groups": {name: _or_none(value) for name, value in self.groups.items()},
            "video_map": self._video_map(),
            "video_protocol": None if self.tubes is None else self.tubes.protocol,
            "notes": list(self.notes),
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


def evaluate(
    found: EvaluationSide,
    truth: EvaluationSide,
    labels: Labels,
    facts: TubeFacts | None = None,
    *,
    protocol: str | None = None,
    ious: Sequence[float] = (0.5,),
    excluded: Keyframes | None = None,
    cap: int | None = None,
) -> Scores:
    """Everything there is to say of found against truth.

    `protocol` is one of PROTOCOLS or, for tubes, "multisports" or "act"; None: "act" for
    tubelets, "multisports" for other true tubes, else "ava". Raises NothingMatchedError where
    nothing of one meets the other, UsageError for a protocol that does not fit.
    """
    name = protocol if protocol is not None else _default(found, truth)
    rules = _rules(name, truth)
    coverage = check(
        found.claims,
        truth.claims,
        found.faults,
        truth.faults,
        excluded,
        labels.ids,
        found.looked,
    )
    options: dict[str, Any] = {"ious": ious, "excluded": excluded, "cap": cap}
    if name == "act":
        frames, people, ranked = _counted_by_act(found.claims, truth, facts, options)
    else:
        options["protocol"], ranked = rules, found.claims
        with ThreadPoolExecutor(1) as pool:  # NumPy lets two cores work
            boxes = pool.submit(person_ap, ranked, truth.claims, **options)
            frames = frame_map(ranked, truth.claims, **options)
        people = boxes.result()
    wrong = mistakes(ranked, truth.claims, frames, excluded)
    if name == "multisports":
        frames = _without_unscored(frames)
    tubes = _tubes(found, truth, facts, name)
    return Scores(
        protocol=name,
        labels=labels,
        frames=frames,
        people=people,
        groups=group_means(frames, _groups(labels)),
        tubes=tubes,
        coverage=coverage,
        faults=found.files + truth.files,
        mistakes=wrong,
        found=ranked,
        notes=found.notes + truth.notes + (_untouched(truth, options) if tubes else ()),
    )


def _default(found: EvaluationSide, truth: EvaluationSide) -> str:
    if truth.tubes is None:
        return "ava"
    return "multisports" if found.tubelets is None else "act"


def _untouched(truth: EvaluationSide, options: dict[str, Any]) -> tuple[str, ...]:
    """What is said of options that choose frames or boxes: tubes are compared whole."""
    cut = truth.tubes is not None and len(truth.claims) < len(truth.tubes.time)
    asked = {
        "--exclude": options["excluded"] is not None,
        "--only-found": cut,
        "--cap": options["cap"] is not None,
        "--iou": tuple(options["ious"]) != (0.5,),
    }
    names = ", ".join(name for name, given in asked.items() if given)
    return (f"video mAP is of whole tubes: {names} only for frames",) if names else ()


def _rules(name: str, truth: EvaluationSide) -> Protocol:
    if name not in TUBE_PROTOCOLS:
        return protocol_of(name)
    if truth.tubes is None:
        frames = ", ".join(PROTOCOLS)
        raise UsageError(f"protocol {name} is for true tubes; for keyframes there are {frames}")
    return MULTISPORTS  # "act" counts by itself


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
    found: Instances, truth: EvaluationSide, facts: TubeFacts | None, options: dict[str, Any]
) -> tuple[FrameMap, FrameMap, Instances]:
    """Of frames, of people, and the rows with the scores that they are ranked by."""
    if facts is None or facts.sizes is None:
        raise UsageError(NO_SIZES)
    options = options | {"sizes": facts.sizes, "rate": facts.rate}
    frames, ranked = act_count(found, truth.claims, **options)
    return frames, act_person_ap(found, truth.claims, **options), ranked


def _tubes(
    found: EvaluationSide, truth: EvaluationSide, facts: TubeFacts | None, name: str
) -> VideoMap | None:
    if found.tubes is None or truth.tubes is None or facts is None:
        return None
    return video_map(
        found.tubes,
        truth.tubes,
        sizes=facts.sizes,
        rate=facts.rate,
        protocol=name if name in TUBE_PROTOCOLS else "multisports",
    )


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [_or_none(value) for value in values.tolist()]


def _by_class(ap: dict[str, NDArray[np.float64]]) -> list[dict[str, float | None]]:
    """AP [c] by name -> by name, a table a class."""
    columns = [_plain(values) for values in ap.values()]
    return [dict(zip(ap, row, strict=True)) for row in zip(*columns, strict=True)]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
