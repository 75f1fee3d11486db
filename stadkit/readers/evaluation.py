"""Two paths -> what is to be compared: the kind of each is seen from its content.

The part of the truth that a score is asked for.
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
    """Found, truth, and what is known of both."""

    found: EvaluationSide
    truth: EvaluationSide
    labels: Labels
    facts: TubeFacts | None  # of videos, where the truth is tubes
    source: str  # where the labels come from


def read_evaluation_inputs(
    found: Path, truth: Path, labels: Path | None, rate: float | None, split: int | None
) -> EvaluationInputs:
    """What the two paths hold.

    Raises AnnotationError for files that cannot be read, UsageError for two that do not go
    together.
    """
    kind = detect_format(truth)
    if kind == "tubelets":
        raise UsageError(f"{truth}: holds pickles, no truth; give a CSV, a GT.pkl or tubes.json")
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

    whole = read_gt(truth, rate, split)
    side = side_of_tubes(truth, whole.tubes, truth=True)
    if rate is None:
        side = replace(side, notes=(rate_note(truth, whole),))
    facts = TubeFacts(whole.sizes, whole.rate)
    mine = _read_found(found, whole.labels, None, truth, whole)
    return EvaluationInputs(mine, side, whole.labels, facts, str(truth))


def _against_json(
    found: Path, truth: Path, labels: Path | None, rate: float | None
) -> EvaluationInputs:
    from stadkit.files.tubes_json import labels_of, read_tubes_json
    from stadkit.metrics.evaluate import TubeFacts
    from stadkit.readers.tubes import RATE, side_of_tubes

    given = labels or labels_beside(truth)
    names, source = (
        (read_labels_option(given), str(given)) if given else (labels_of(truth), str(truth))
    )
    side = side_of_tubes(truth, read_tubes_json(truth, names), truth=True)
    mine = _read_found(found, names, labels, truth)
    return EvaluationInputs(mine, side, names, TubeFacts(None, rate or RATE), source)


def _against_rows(found: Path, truth: Path, labels: Path | None) -> EvaluationInputs:
    from stadkit.readers.rows import one_file, true_rows

    one_file(truth)
    given = labels or labels_beside(truth) or labels_beside(found)
    names = read_labels_option(given) if given else ava_scored()
    side = true_rows(truth, names)
    source = str(given) if given else "the 60 scored ones of AVA v2.2"
    return EvaluationInputs(_read_found(found, names, labels, truth), side, names, None, source)


def _read_found(
    path: Path, labels: Labels, given: Path | None, truth: Path, whole: TubeTruth | None = None
) -> EvaluationSide:
    """What was found, in the classes of the truth; `whole` is what a pickle of truth holds."""
    from stadkit.readers.rows import found_rows
    from stadkit.readers.tubes import side_of_folder, side_of_pickle, side_of_tubes

    kind = detect_format(path)
    if kind == "csv":
        return found_rows(path, labels, given, truth)
    if kind == "json":
        from stadkit.files.tubes_json import read_tubes_json

        return side_of_tubes(path, read_tubes_json(path, labels), truth=False)
    if whole is None:
        raise UsageError(
            f"{path}: is of pixels and numbered videos, which only a GT.pkl explains; give one "
            "as TRUTH"
        )
    return side_of_folder(path, whole) if kind == "tubelets" else side_of_pickle(path, whole)


def only_videos(found: EvaluationSide, truth: EvaluationSide) -> EvaluationSide:
    """The truth of the videos that found has or, where that is known, looked at."""
    videos = {found.instances.videos[i] for i in np.unique(found.instances.video).tolist()}
    videos |= set() if found.processed is None else set(found.processed.video.tolist())
    here = np.array([video in videos for video in truth.instances.videos], bool)
    return _part(truth, here[truth.instances.video], videos)


def only_keyframes(found: EvaluationSide, truth: EvaluationSide) -> EvaluationSide:
    """The truth of the keyframes that found has detections in or, where that is known, looked at.

    Its tubes stay as they are.
    """
    from stadkit.metrics.matching import frames_of

    tables = [found.instances] + ([] if found.processed is None else [found.processed])
    true, *mine = frames_of(truth.instances, *tables)
    return _part(truth, np.isin(true, np.concatenate(mine)), None)


def _part(
    truth: EvaluationSide, rows: NDArray[np.bool_], videos: set[str] | None
) -> EvaluationSide:
    """These rows of truth, and the tubes of these videos; all of it where that is nothing."""
    if not rows.any():  # `check` is to say why, and wants both as they are
        return truth
    tubes = truth.tubes
    if tubes is not None and videos is not None:
        tubes = tubes.select(np.isin(tubes.video, np.array(sorted(videos), np.str_)))
    return replace(truth, instances=truth.instances.select(rows), tubes=tubes)
