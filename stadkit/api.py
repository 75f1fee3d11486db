"""The public functions of stadkit; `import stadkit` imports them lazily.

They read and write the same tables as the commands, with the same results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stadkit.detection import Detector, VideoDetections
    from stadkit.detections import Detections, Keyframes
    from stadkit.labels import Labels
    from stadkit.linking import Linked
    from stadkit.metrics.evaluate import Scores
    from stadkit.readers.detections import DetectionSet
    from stadkit.tla import Labelled
    from stadkit.tubes import Tubes
    from stadkit.video.keys import Every


def load(name: str = "mestad-nano", device: str = "auto", precision: str = "auto") -> Detector:
    """Load a detector with its weights.

    name: one of `list_models()`, or the path of weights that `stadkit train` wrote. Raises
    UsageError for an unknown name and WeightsError if its weights are missing.

    >>> detector = stadkit.load("mestad-nano")
    >>> people = sum(len(table) for table in detector.detect("examples/room.mp4", every=2.0))
    """
    from stadkit.detection import load

    return load(name, device, precision)


def detect(
    video: str | Path,
    model: str | Detector = "mestad-nano",
    *,
    every: Every | None = None,
    start: float = 0.0,
    duration: float | None = None,
    min_person: float | None = None,
    top_k: int | None = None,
    proposals: Detections | None = None,
) -> VideoDetections:
    """Detect people and their actions at the keyframes of a video.

    every: seconds between keyframes, or "frame"; None: 1 second. start, duration: seconds.
    min_person: lowest person score, 0..1; None: the model's. The result's `table` has a row per
    person and keyframe, with boxes as fractions of the frame and an independent score per action;
    `keyframes` are all processed times, `report` says whether the video could be read in full.
    Raises VideoError for a file that is not a video.

    >>> found = stadkit.detect("examples/room.mp4", every=2.0)
    >>> found.table.classes[int(found.table.action[0].argmax())]
    'stand'
    """
    from stadkit.detection import DetectOptions, detect_video, load

    detector = load(model) if isinstance(model, str) else model
    options = DetectOptions(
        every=every,
        start=start,
        duration=duration,
        min_person=min_person,
        top_k=top_k,
        proposals=proposals,
    )
    return detect_video(detector, Path(video), options)


def link(
    found: Detections,
    keyframes: Keyframes | None = None,
    method: str = "track",
    *,
    rate: float = 25.0,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    **options: float,
) -> Linked:
    """Link detections to tubes, each one person doing one action from its start to its end.

    keyframes: all that were processed; None: those with detections. method: "track", or "act",
    "mmaction2" or "viterbi", which reproduce other code. rate: frames per second and sizes:
    height, width in pixels of each video, for the methods that count frames and pixels. options:
    those of "track", such as `max_gap=1.0` seconds. Raises UsageError for an unknown method or
    option.

    >>> found = stadkit.detect("examples/room.mp4", every=0.5)
    >>> tubes = stadkit.link(found.table, found.keyframes).tubes
    """
    from stadkit.errors import UsageError
    from stadkit.linking import LinkOptions, link_by

    try:
        settings = LinkOptions(**options)
    except TypeError as error:
        raise UsageError(f"link: {error}; see stadkit.linking.options.LinkOptions") from error
    return link_by(
        method,
        found,
        keyframes,
        rate=rate,
        sizes=None if sizes is None else dict(sizes),
        options=settings,
    )


def evaluate(
    found: str | Path,
    truth: str | Path,
    *,
    labels: str | Path | None = None,
    protocol: str | None = None,
    ious: Sequence[float] = (0.5,),
    rate: float | None = None,
    split: int | None = None,
) -> Scores:
    """Compute frame mAP, person AP and, for tubes, video mAP of files, as `stadkit eval` does.

    found: AVA CSV, a folder of CSVs, tubes.json or pickles; truth: AVA CSV, GT.pkl or tubes.json.
    labels: a label file; None: labels.txt beside the files. ious: thresholds, 0..1. rate: frames
    per second of true tubes. `Scores.to_json()` returns all figures. Raises NothingMatchedError if
    found and truth share no video, time, action or box.

    >>> _ = pathlib.Path("truth.csv").write_text("a,2,0.1,0.1,0.4,0.9,12,0")
    >>> _ = pathlib.Path("found.csv").write_text("a,2,0.1,0.1,0.4,0.8,12,0.7")
    >>> scores = stadkit.evaluate("found.csv", "truth.csv", labels="80")
    >>> scores.to_json()["frame_map"]
    1.0
    """
    from stadkit.metrics.evaluate import evaluate
    from stadkit.readers.evaluation import read_evaluation_inputs

    label_file = None if labels is None else Path(labels)
    sides = read_evaluation_inputs(Path(found), Path(truth), label_file, rate, split)
    return evaluate(
        sides.found, sides.truth, sides.labels, sides.facts, protocol=protocol, ious=ious
    )


def pseudo_label(
    found: Detections,
    truth: Detections,
    keyframes: Keyframes | None = None,
    strategy: str = "tla",
    **options: Any,
) -> Labelled:
    r"""Label detections between sparsely labelled keyframes, by ME-STAD's TLA or a baseline.

    truth: actions 0 or 1 at some keyframes, with the classes of `found`. keyframes: all labelled
    ones, including those without people. strategy: "tla", "tla+", "nearest", "hard", "per-class" or
    "interpolate". options: fields of `stadkit.tla.LabellingOptions`. Raises UsageError for an
    unknown strategy or option, ValueError if the classes differ.

    >>> rows = ["a,2,0.1,0.1,0.4,0.9,12,0", "a,3,0.1,0.1,0.4,0.9,12,0"]
    >>> _ = pathlib.Path("truth.csv").write_text("\n".join(rows))
    >>> _ = pathlib.Path("found.csv").write_text("a,2.5,0.1,0.1,0.4,0.8,12,0.7")
    >>> truth = stadkit.read_truth("truth.csv")
    >>> found = stadkit.read_detections("found.csv", labels="80").found
    >>> labelled = stadkit.pseudo_label(found, truth)
    >>> len(labelled)
    1
    """
    from stadkit.errors import UsageError
    from stadkit.tla import LabellingOptions, pseudo_label

    try:
        settings = LabellingOptions(strategy, **options)
    except TypeError as error:
        raise UsageError(f"pseudo_label: {error}; see stadkit.tla.LabellingOptions") from error
    return pseudo_label(found, truth, keyframes, settings)


def read_detections(*paths: str | Path, labels: str | Path | None = None) -> DetectionSet:
    """Read detections from AVA CSV or JSON lines, or folders of them as `stadkit detect` writes.

    The result's `found` is the table, `keyframes` the processed keyframes and `labels` the
    actions: those of the label file `labels`, else of labels.txt beside the files, else AVA's 60.
    Raises AnnotationError for a file that cannot be read.

    >>> _ = pathlib.Path("found.csv").write_text("a,2,0.1,0.1,0.4,0.8,12,0.7")
    >>> len(stadkit.read_detections("found.csv").found)
    1
    """
    from stadkit.readers.detections import read_detection_set

    label_file = None if labels is None else Path(labels)
    return read_detection_set([Path(path) for path in paths], label_file, None)


def read_truth(path: str | Path, labels: str | Path | Labels | None = None) -> Detections:
    """Read the true people and actions of an AVA CSV; actions are 0 or 1.

    labels: as in `read_detections`, but AVA's 80 without a label file. Raises AnnotationError:
    file, line, reason.

    >>> _ = pathlib.Path("truth.csv").write_text("a,2,0.1,0.1,0.4,0.9,12,0")
    >>> truth = stadkit.read_truth("truth.csv")
    >>> truth.classes[int(truth.action[0].argmax())]
    'stand'
    """
    from stadkit.files.ava_csv import read_truth
    from stadkit.labels import Labels
    from stadkit.readers.sniff import labels_beside, read_labels_option

    if not isinstance(labels, Labels):
        labels = read_labels_option(Path(labels or labels_beside(Path(path)) or "80"))
    return read_truth(Path(path), labels)


def read_tubes(path: str | Path) -> Tubes:
    """Read a tubes.json, true or found. Raises AnnotationError: file, video, tube, reason.

    >>> tube = {"class_id": 1, "class": "walk", "times": [0.0], "boxes": [[0.1, 0.1, 0.4, 0.8]]}
    >>> _ = pathlib.Path("tubes.json").write_text(json.dumps({"videos": {"a": [tube]}}))
    >>> len(stadkit.read_tubes("tubes.json"))
    1
    """
    from stadkit.files.tubes_json import read_tubes_json

    return read_tubes_json(path)


def write_ava_csv(
    table: Detections, path: str | Path, labels: Labels | None = None, min_action: float = 0.0
) -> None:
    """Write detections as AVA CSV: a row per person and action scored `min_action` or more.

    labels: ids of the table's classes; None: 1, 2, 3, ... in their order. Raises ValueError if
    the classes differ from the table's.

    >>> found = stadkit.detect("examples/room.mp4", start=2.0, duration=1.0)
    >>> stadkit.write_ava_csv(found.table, "found.csv", min_action=0.5)
    >>> len(pathlib.Path("found.csv").read_text().splitlines())
    1
    """
    from stadkit.files.ava_csv import write_found
    from stadkit.labels import Labels

    labels = labels or Labels(tuple(range(1, len(table.classes) + 1)), table.classes)
    write_found(table, labels, path, min_action)


def list_models() -> dict[str, str]:
    """Map the name of every model to the state of its weights: "built in", "here", ...

    >>> stadkit.list_models()["mestad-nano"]
    'built in'
    """
    from stadkit.zoo import CARDS
    from stadkit.zoo.listing import obtainable

    return {name: obtainable(name) for name in CARDS}
