"""Full evaluation of detections: frame mAP, people, tubes, coverage, faults and mistakes."""

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
from stadkit.metrics.counting import MULTISPORTS, PROTOCOLS, Protocol, protocol_of
from stadkit.metrics.coverage import Coverage, check
from stadkit.metrics.frame_map import FrameMap, frame_map, group_means, person_ap
from stadkit.metrics.frame_map_act import act_count, act_person_ap
from stadkit.metrics.mistakes import Mistakes, mistakes
from stadkit.metrics.ranking import known_mean
from stadkit.metrics.video_map import NO_SIZES, TUBE_PROTOCOLS, UNSCORED, VideoMap, video_map
from stadkit.tubes import Tubelets, Tubes


@dataclass(frozen=True)
class EvaluationSide:
    """Detections or truth: instances, and tubes where the file has them.

    `processed`: keyframes known to have been processed, with or without rows.
    """

    instances: Instances
    faults: Faults  # of all files
    files: tuple[Faults, ...]  # of each file
    tubes: Tubes | None = None
    tubelets: Tubelets | None = None
    processed: Keyframes | None = None
    notes: tuple[str, ...] = ()  # non-obvious choices made when reading


@dataclass(frozen=True)
class TubeFacts:
    """Video metadata of a tube data set."""

    sizes: dict[str, tuple[int, int]] | None  # height, width in pixels
    rate: float  # frames a second


@dataclass(frozen=True)
class Scores:
    """Results of `evaluate`."""

    protocol: str
    labels: Labels
    frames: FrameMap
    people: FrameMap
    groups: dict[str, float]
    tubes: VideoMap | None
    coverage: Coverage
    faults: tuple[Faults, ...]
    mistakes: Mistakes
    found: Instances  # with the scores used for ranking
    notes: tuple[str, ...] = ()  # how files were read, and options without effect

    def to_json(self) -> dict[str, Any]:
        """Return the results as a JSON object: fractions of 1, null without truth."""
        ids = [str(number) for number in self.labels.ids]
        columns: dict[str, Sequence[Any]] = {
            "name": self.labels.names,
            "ap": _json_list(self.frames.ap.mean(0)),
            "ap_at": _by_class(
                {f"{iou:g}": self.frames.ap[k] for k, iou in enumerate(self.frames.ious)}
            ),
            "video_ap": (
                [None] * len(ids) if self.tubes is None else _by_class(self.tubes.per_class())
            ),
            "recall": _json_list(self.frames.recall.mean(0)),
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
    """Score found against truth by all metrics.

    `protocol` is one of PROTOCOLS or, for tubes, "multisports" or "act"; None: "act" for
    tubelets, "multisports" for other truth tubes, else "ava". Raises NothingMatchedError when
    the two have nothing in common, UsageError for an unsuitable protocol.
    """
    name = protocol if protocol is not None else _default_protocol(found, truth)
    rules = _rules(name, truth)
    coverage = check(
        found.instances,
        truth.instances,
        found.faults,
        truth.faults,
        excluded,
        labels.ids,
        found.processed,
    )
    options: dict[str, Any] = {"ious": ious, "excluded": excluded, "cap": cap}
    if name == "act":
        frames, people, ranked = _act_results(found.instances, truth, facts, options)
    else:
        options["protocol"], ranked = rules, found.instances
        with ThreadPoolExecutor(1) as pool:  # NumPy releases the GIL
            boxes = pool.submit(person_ap, ranked, truth.instances, **options)
            frames = frame_map(ranked, truth.instances, **options)
        people = boxes.result()
    wrong = mistakes(ranked, truth.instances, frames, excluded)
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
        notes=found.notes
        + truth.notes
        + (_options_without_effect(truth, options) if tubes else ()),
    )


def _default_protocol(found: EvaluationSide, truth: EvaluationSide) -> str:
    if truth.tubes is None:
        return "ava"
    return "multisports" if found.tubelets is None else "act"


def _options_without_effect(truth: EvaluationSide, options: dict[str, Any]) -> tuple[str, ...]:
    """Note the options that select frames or boxes: they have no effect on video mAP."""
    cut = truth.tubes is not None and len(truth.instances) < len(truth.tubes.time)
    options_used = {
        "--exclude": options["excluded"] is not None,
        "--only-found": cut,
        "--cap": options["cap"] is not None,
        "--iou": tuple(options["ious"]) != (0.5,),
    }
    names = ", ".join(name for name, used in options_used.items() if used)
    return (f"video mAP compares whole tubes and ignores {names}",) if names else ()


def _rules(name: str, truth: EvaluationSide) -> Protocol:
    if name not in TUBE_PROTOCOLS:
        return protocol_of(name)
    if truth.tubes is None:
        frames = ", ".join(PROTOCOLS)
        raise UsageError(f"protocol {name} needs truth tubes; for keyframes choose {frames}")
    return MULTISPORTS  # "act" has its own matching


def _groups(labels: Labels) -> dict[str, tuple[str, ...]]:
    """Return the class groups that papers report: AVA's three, MultiSports' four."""
    if len(labels) == MULTISPORTS_CLASSES and set(UNSCORED) <= set(labels.names):
        return sports(labels.names)
    groups = ava_groups()
    known = {name for names in groups.values() for name in names}
    # Custom labels may share names like "stand" or "walk"; partial groups mean nothing.
    return groups if set(labels.names) <= known else {}


def _without_unscored(frames: FrameMap) -> FrameMap:
    if not set(UNSCORED) <= set(frames.classes):
        return frames
    is_unscored = np.isin(np.array(frames.classes), UNSCORED)
    return replace(frames, ap=np.where(is_unscored, np.nan, frames.ap))


def _act_results(
    found: Instances, truth: EvaluationSide, facts: TubeFacts | None, options: dict[str, Any]
) -> tuple[FrameMap, FrameMap, Instances]:
    """Return (frame mAP, person AP, rows with the scores used for ranking)."""
    if facts is None or facts.sizes is None:
        raise UsageError(NO_SIZES)
    options = options | {"sizes": facts.sizes, "rate": facts.rate}
    frames, ranked = act_count(found, truth.instances, **options)
    return frames, act_person_ap(found, truth.instances, **options), ranked


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


def _json_list(values: NDArray[np.float64]) -> list[float | None]:
    return [_or_none(value) for value in values.tolist()]


def _by_class(ap: dict[str, NDArray[np.float64]]) -> list[dict[str, float | None]]:
    """Transpose AP [c] by name into one dict per class."""
    columns = [_json_list(values) for values in ap.values()]
    return [dict(zip(ap, row, strict=True)) for row in zip(*columns, strict=True)]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
