"""Two paths -> what is to be compared: the kind of each is seen from its content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import AnnotationError, UsageError
from stadkit.labels import Labels, ava, ava_scored, read_labels

if TYPE_CHECKING:
    from stadkit.claims import Claims
    from stadkit.files.ava_rows import Faults
    from stadkit.files.tube_truth import TubeTruth
    from stadkit.report.scores import Side, TubeFacts
    from stadkit.tubes import Tubelets, Tubes

LABELS = "labels.txt"
AVA = {"60": ava_scored, "80": ava}  # what --labels takes beside files


def read_sides(
    found: Path, truth: Path, labels: Path | None, rate: float | None, split: int
) -> tuple[Side, Side, Labels, TubeFacts | None, str]:
    """Found, truth, the labels, facts of the videos, and where the labels come from.

    Raises AnnotationError for files that cannot be read, UsageError for two that do not go
    together.
    """
    from stadkit.report.scores import Side, TubeFacts

    kind = _kind(truth)
    if kind == "pickle":
        whole = _read_gt(truth, rate, split)
        side, names, source = _of_tubes(truth, whole.tubes), whole.labels, str(truth)
        facts = TubeFacts(whole.sizes, whole.rate)
        return _read_found(found, names, labels, whole), side, names, facts, source
    if kind == "json":
        from stadkit.files.tubes_json import labels_of, read_tubes_json

        given = labels or _beside(truth)
        names, source = (
            (_labels(given), str(given)) if given else (labels_of(truth), str(truth))
        )
        side = _of_tubes(truth, read_tubes_json(truth, names))
        return _read_found(found, names, labels), side, names, TubeFacts(None, rate or 25.0), source
    if kind == "tubelets":
        raise UsageError(f"{truth}: holds pickles, no truth; give a CSV, a GT.pkl or tubes.json")
    given = labels or _beside(truth) or _beside(found)
    names = _labels(given) if given else ava_scored()
    claims, faults = _read_rows(truth, names, truth=True)
    side = Side(claims, faults)
    source = str(given) if given else "the 60 scored ones of AVA v2.2"
    return _read_found(found, names, labels), side, names, None, source


def _labels(given: Path) -> Labels:
    name = str(given)
    return AVA[name]() if name in AVA and not given.exists() else read_labels(given)


def only_videos(found: Side, truth: Side) -> Side:
    """The truth of the videos that found has."""
    videos = {found.claims.videos[i] for i in np.unique(found.claims.video).tolist()}
    here = np.array([video in videos for video in truth.claims.videos], bool)
    return _part(truth, here[truth.claims.video], videos)


def only_keyframes(found: Side, truth: Side) -> Side:
    """The truth of the keyframes that found has detections in; its tubes stay as they are."""
    from stadkit.metrics.matching import frames_of

    mine, true = frames_of(found.claims, truth.claims)
    return _part(truth, np.isin(true, mine), None)


def _part(truth: Side, rows: NDArray[np.bool_], videos: set[str] | None) -> Side:
    """These rows of truth, and the tubes of these videos; all of it where that is nothing."""
    if not rows.any():  # `check` is to say why, and wants both as they are
        return truth
    tubes = truth.tubes
    if tubes is not None and videos is not None:
        tubes = tubes.select(np.isin(tubes.video, np.array(sorted(videos), np.str_)))
    return replace(truth, claims=truth.claims.select(rows), tubes=tubes)


def _kind(path: Path) -> str:
    """What a path holds: csv, json, pickle or, a folder of MOC's, tubelets."""
    if path.is_dir():
        csv = any(file.name.endswith((".csv", ".csv.gz")) for file in path.iterdir())
        return "csv" if csv or not any(path.rglob("*.pkl")) else "tubelets"
    if not path.exists():
        raise AnnotationError(f"{path}: does not exist; give a file or folder")
    name = path.name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        raise UsageError(f"{path}: holds keyframes as JSON lines; give the CSV beside it")
    if name.endswith((".csv", ".txt")):
        return "csv"
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(64).lstrip()
        if name.endswith((".pkl", ".pickle")) or start[:1] == b"\x80":
            return "pickle"
        if name.endswith(".json") or start[:1] == b"{":
            return "json"
    return "csv"


def _beside(path: Path) -> Path | None:
    """The labels.txt in a folder, or beside a file, as `detect` and `synth` write it."""
    beside = (path if path.is_dir() else path.parent) / LABELS
    return beside if beside.is_file() else None


def _read_gt(path: Path, rate: float | None, split: int) -> TubeTruth:
    """The truth of a GT.pkl, or of UCF101-24's pyannot.pkl."""
    from stadkit.files import act, pickles, ucf24

    data = pickles.load(path)
    if isinstance(data, dict) and "gttubes" not in data and _is_pyannot(data):
        return ucf24.read_pyannot(path, rate=rate or ucf24.RATE)
    return act.read_gt(path, split, rate=rate or 25.0)


def _is_pyannot(data: dict[Any, Any]) -> bool:
    first = next(iter(data.values()), None)
    return isinstance(first, dict) and "annotations" in first


def _read_found(
    path: Path, labels: Labels, given: Path | None, truth: TubeTruth | None = None
) -> Side:
    """What was found, in the classes of the truth."""
    kind = _kind(path)
    if kind == "csv":
        return _found_rows(path, labels, given)
    if kind == "json":
        from stadkit.files.tubes_json import read_tubes_json

        return _of_tubes(path, read_tubes_json(path, labels))
    if truth is None:
        raise UsageError(
            f"{path}: is of pixels and numbered videos, which only a GT.pkl explains; give one "
            "as TRUTH"
        )
    if kind == "tubelets":
        return _of_folder(path, truth)
    from stadkit.files import multisports, pickles
    from stadkit.report.scores import Side

    if isinstance(pickles.load(path), np.ndarray):
        return Side(multisports.read_frame_detections(path, truth), (_none_wrong(path),))
    return _of_tubes(path, multisports.read_tubes(path, truth))


def _found_rows(path: Path, labels: Labels, given: Path | None) -> Side:
    """Rows of CSV; where labels.txt beside them is another list, classes meet by name."""
    from stadkit.report.scores import Side

    beside = None if given else _beside(path)
    own = read_labels(beside) if beside else labels
    claims, faults = _read_rows(path, own, truth=False)
    if own.names != labels.names:
        claims = _by_name(claims, own, labels)
    return Side(claims, faults)


def _by_name(claims: Claims, own: Labels, labels: Labels) -> Claims:
    from stadkit.errors import NothingMatchedError

    place = {name: c for c, name in enumerate(labels.names)}
    to = np.array([place.get(name, -1) for name in own.names], np.int32)
    if (to < 0).all():
        raise NothingMatchedError(
            f"found and truth have no action in common: found has {_some(own.names)} by its "
            f"labels.txt; truth has {_some(labels.names)}; name one list by --labels for both"
        )
    claims = claims.select(to[claims.label] >= 0)
    return replace(claims, label=to[claims.label], classes=labels.names)


def _read_rows(path: Path, labels: Labels, truth: bool) -> tuple[Claims, tuple[Faults, ...]]:
    """Rows and faults: those of the whole first, then of each file."""
    from stadkit.files.ava_rows import Faults, read_claims_of

    claims, faults = read_claims_of([path], labels, truth=truth)
    kinds: dict[str, tuple[int, tuple[int, ...]]] = {}
    for one in faults:
        for kind, (rows, lines) in one.kinds.items():
            before = kinds.get(kind, (0, lines))
            kinds[kind] = before[0] + rows, before[1]
    unknown = tuple(dict.fromkeys(number for one in faults for number in one.unknown))
    return claims, (Faults(path, kinds, unknown[:3]), *faults)


def _of_tubes(path: Path, tubes: Tubes) -> Side:
    from stadkit.files.tube_truth import frame_claims
    from stadkit.report.scores import Side

    return Side(frame_claims(tubes), (_none_wrong(path),), tubes)


def _of_folder(path: Path, truth: TubeTruth) -> Side:
    """MOC's folder: *_tubes.pkl as they are, or tubelets, which are linked as MOC does."""
    from stadkit.files.multisports import read_tubes

    if any(path.glob("*_tubes.pkl")):
        return _of_tubes(path, read_tubes(path, truth))
    from stadkit.files.tubelets import read_tubelets
    from stadkit.link.act import link_act

    tubelets = read_tubelets(path, truth, _length(path))
    side = _of_tubes(path, link_act(tubelets, truth.sizes, truth.rate))
    return replace(side, claims=_frames(tubelets, truth), tubelets=tubelets)


def _length(folder: Path) -> int:
    """How many frames a folder's tubelets have."""
    from stadkit.files import pickles

    for path in sorted(folder.rglob("*.pkl")):
        data = pickles.load(path)
        for rows in data.values() if isinstance(data, dict) else ():
            if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] % 4 == 1:
                return int(rows.shape[1]) // 4
    raise AnnotationError(f"{folder}: holds no tubelets, arrays [n, 4 k + 1]")


def _frames(tubelets: Tubelets, truth: TubeTruth) -> Claims:
    """A row for each box of each tubelet."""
    from stadkit.claims import Claims
    from stadkit.files.pixel_tubes import scale

    k = tubelets.length
    sides = scale(tubelets.videos, truth.sizes)[np.repeat(tubelets.video, k)]
    frame = (tubelets.frame[:, None] + np.arange(k)).ravel()
    return Claims(
        videos=tubelets.videos,
        video=np.repeat(tubelets.video, k),
        time=(frame - 1) / truth.rate,
        box=tubelets.box.reshape(-1, 4) / sides,
        label=np.repeat(tubelets.label, k),
        score=np.repeat(tubelets.score, k),
        classes=tubelets.classes,
    )


def _none_wrong(path: Path) -> Faults:
    from stadkit.files.ava_rows import Faults

    return Faults(path, {})


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:3])) + (", ..." if len(names) > 3 else "")
