"""Two paths -> what is to be compared: the kind of each is seen from its content."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stadkit.cli.beside import given_labels, kind_of, labels_beside
from stadkit.errors import UsageError
from stadkit.labels import Labels, ava_scored

if TYPE_CHECKING:
    from stadkit.files.tube_truth import TubeTruth
    from stadkit.metrics.evaluate import EvaluationSide, TubeFacts


@dataclass(frozen=True)
class Sides:
    """Found, truth, and what is known of both."""

    found: EvaluationSide
    truth: EvaluationSide
    labels: Labels
    facts: TubeFacts | None  # of videos, where the truth is tubes
    source: str  # where the labels come from


def read_sides(
    found: Path, truth: Path, labels: Path | None, rate: float | None, split: int | None
) -> Sides:
    """What the two paths hold.

    Raises AnnotationError for files that cannot be read, UsageError for two that do not go
    together.
    """
    kind = kind_of(truth)
    if kind == "tubelets":
        raise UsageError(f"{truth}: holds pickles, no truth; give a CSV, a GT.pkl or tubes.json")
    if kind == "pickle":
        return _against_pickle(found, truth, rate, split)
    if kind == "json":
        return _against_json(found, truth, labels, rate)
    return _against_rows(found, truth, labels)


def _against_pickle(found: Path, truth: Path, rate: float | None, split: int | None) -> Sides:
    from stadkit.cli.eval_tubes import rate_note, read_gt, side_of_tubes
    from stadkit.metrics.evaluate import TubeFacts

    whole = read_gt(truth, rate, split)
    side = side_of_tubes(truth, whole.tubes, truth=True)
    if rate is None:
        side = replace(side, notes=(rate_note(truth, whole),))
    facts = TubeFacts(whole.sizes, whole.rate)
    mine = _read_found(found, whole.labels, None, truth, whole)
    return Sides(mine, side, whole.labels, facts, str(truth))


def _against_json(found: Path, truth: Path, labels: Path | None, rate: float | None) -> Sides:
    from stadkit.cli.eval_tubes import RATE, side_of_tubes
    from stadkit.files.tubes_json import labels_of, read_tubes_json
    from stadkit.metrics.evaluate import TubeFacts

    given = labels or labels_beside(truth)
    names, source = (given_labels(given), str(given)) if given else (labels_of(truth), str(truth))
    side = side_of_tubes(truth, read_tubes_json(truth, names), truth=True)
    mine = _read_found(found, names, labels, truth)
    return Sides(mine, side, names, TubeFacts(None, rate or RATE), source)


def _against_rows(found: Path, truth: Path, labels: Path | None) -> Sides:
    from stadkit.cli.eval_rows import one_file, true_rows

    one_file(truth)
    given = labels or labels_beside(truth) or labels_beside(found)
    names = given_labels(given) if given else ava_scored()
    side = true_rows(truth, names)
    source = str(given) if given else "the 60 scored ones of AVA v2.2"
    return Sides(_read_found(found, names, labels, truth), side, names, None, source)


def _read_found(
    path: Path, labels: Labels, given: Path | None, truth: Path, whole: TubeTruth | None = None
) -> EvaluationSide:
    """What was found, in the classes of the truth; `whole` is what a pickle of truth holds."""
    from stadkit.cli.eval_rows import found_rows
    from stadkit.cli.eval_tubes import side_of_folder, side_of_pickle, side_of_tubes

    kind = kind_of(path)
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
