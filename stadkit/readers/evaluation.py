"""Two paths -> the two sides of an evaluation; formats are detected by content.

Also restricts the truth to the videos or keyframes that were processed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import UsageError
from stadkit.labels import Labels, ava_scored
from stadkit.readers.sniff import detect_format, labels_beside, read_labels_option

if TYPE_CHECKING:
    from stadkit.files.tube_truth import TubeTruth
    from stadkit.metrics.evaluate import EvaluationSide, TubeFacts


@dataclass(frozen=True)
class EvaluationInputs:
    """Found, truth, and what both share."""

    found: EvaluationSide
    truth: EvaluationSide
    labels: Labels
    facts: TubeFacts | None  # of the videos, if the truth is tubes
    source: str  # where the labels come from


def read_evaluation_inputs(
    found: Path, truth: Path, labels: Path | None, rate: float | None, split: int | None
) -> EvaluationInputs:
    """Read both sides.

    Raises AnnotationError for files that cannot be read, UsageError for two that cannot be
    compared.
    """
    kind = detect_format(truth)
    if kind == "tubelets":
        raise UsageError(f"{truth}: holds pickles, not truth; give a CSV, a GT.pkl or tubes.json")
    if kind == "pickle":
        return _against_pickle(found, truth, rate, split)
    if kind == "json":
        return _against_json(found, truth, labels, rate)
    return _against_rows(found, truth, labels)


def _against_pickle(
    found: Path, truth: Path, rate: float | None, split: int | None
) -> EvaluationInputs:
    from stadkit.metrics.evaluate import TubeFacts
    from stadkit.readers.tubes import rate_note, read_gt, side_of_tubes

    pickle = read_gt(truth, rate, split)
    side = side_of_tubes(truth, pickle.tubes, truth=True)
    if rate is None:
        side = replace(side, notes=(rate_note(truth, pickle),))
    facts = TubeFacts(pickle.sizes, pickle.rate)
    found_side = _read_found(found, pickle.labels, None, truth, pickle)
    return EvaluationInputs(found_side, side, pickle.labels, facts, str(truth))


def _against_json(
    found: Path, truth: Path, labels: Path | None, rate: float | None
) -> EvaluationInputs:
    from stadkit.files.tubes_json import labels_of, read_tubes_json
    from stadkit.metrics.evaluate import TubeFacts
    from stadkit.readers.tubes import RATE, side_of_tubes

    file = labels or labels_beside(truth)
    names, source = (
        (read_labels_option(file), str(file)) if file else (labels_of(truth), str(truth))
    )
    side = side_of_tubes(truth, read_tubes_json(truth, names), truth=True)
    found_side = _read_found(found, names, labels, truth)
    return EvaluationInputs(found_side, side, names, TubeFacts(None, rate or RATE), source)


def _against_rows(found: Path, truth: Path, labels: Path | None) -> EvaluationInputs:
    from stadkit.readers.rows import one_file, true_rows

    one_file(truth)
    file = labels or labels_beside(truth) or labels_beside(found)
    names = read_labels_option(file) if file else ava_scored()
    side = true_rows(truth, names)
    source = str(file) if file else "the 60 scored ones of AVA v2.2"
    return EvaluationInputs(_read_found(found, names, labels, truth), side, names, None, source)


def _read_found(
    path: Path,
    labels: Labels,
    label_file: Path | None,
    truth: Path,
    pickle: TubeTruth | None = None,
) -> EvaluationSide:
    """The detections in the classes of the truth; `pickle`: the truth, if it is a pickle."""
    from stadkit.readers.rows import found_rows
    from stadkit.readers.tubes import side_of_folder, side_of_pickle, side_of_tubes

    kind = detect_format(path)
    if kind == "csv":
        return found_rows(path, labels, label_file, truth)
    if kind == "json":
        from stadkit.files.tubes_json import read_tubes_json

        return side_of_tubes(path, read_tubes_json(path, labels), truth=False)
    if pickle is None:
        raise UsageError(
            f"{path}: uses pixels and video numbers, which need the data set's GT.pkl; give it as "
            "TRUTH"
        )
    return side_of_folder(path, pickle) if kind == "tubelets" else side_of_pickle(path, pickle)


def only_videos(found: EvaluationSide, truth: EvaluationSide) -> EvaluationSide:
    """The truth of the videos with detections and, if known, of all processed videos."""
    videos = {found.instances.videos[i] for i in np.unique(found.instances.video).tolist()}
    videos |= set() if found.processed is None else set(found.processed.video.tolist())
    selected = np.array([video in videos for video in truth.instances.videos], bool)
    return _part(truth, selected[truth.instances.video], videos)


def only_keyframes(found: EvaluationSide, truth: EvaluationSide) -> EvaluationSide:
    """The truth of the keyframes with detections and, if known, of all processed keyframes.

    Tubes are left as they are.
    """
    from stadkit.metrics.matching import frames_of

    tables = [found.instances] + ([] if found.processed is None else [found.processed])
    true_frames, *found_frames = frames_of(truth.instances, *tables)
    return _part(truth, np.isin(true_frames, np.concatenate(found_frames)), None)


def _part(
    truth: EvaluationSide, rows: NDArray[np.bool_], videos: set[str] | None
) -> EvaluationSide:
    """These rows of truth and the tubes of these videos; all of it if no row is selected."""
    if not rows.any():  # the mismatch check reports why, from the full truth
        return truth
    tubes = truth.tubes
    if tubes is not None and videos is not None:
        tubes = tubes.select(np.isin(tubes.video, np.array(sorted(videos), np.str_)))
    return replace(truth, instances=truth.instances.select(rows), tubes=tubes)
