"""`stadkit link`: detections in; tubes out, one person and one action each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stadkit.files.tube_truth import TubeTruth
    from stadkit.linking import Linked
    from stadkit.readers.detections import DetectionSet

Places = tuple[Path, Path | None, Path | None]  # of the tubes, CSV, pickle


def link(
    found: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOUND",
            help="Detections: AVA CSV, .jsonl, folders of `detect`, or pickles of frames or "
            "tubelets.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The tubes, as JSON.")],
    method: Annotated[
        str,
        typer.Option(help="track; or act, mmaction2, viterbi: as others link, to compare."),
    ] = "track",
    min_iou: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Of a track and the box that continues it."),
    ] = None,
    max_gap: Annotated[
        float | None,
        typer.Option(min=0.0, help="Seconds that a person may be unseen."),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Of an action at its best, to give a tube."),
    ] = None,
    smooth: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds over which boxes are smoothed; 0: not.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="The actions: a file, or 60 or 80 of AVA; else labels.txt beside FOUND, else "
            "AVA's 60."
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="GT.pkl that explains pickles: videos, sizes, labels.")
    ] = None,
    split: Annotated[int, typer.Option(min=0, help="Which split of GT.pkl, from 0.")] = 0,
    rate: Annotated[
        float | None,
        typer.Option(help="Frames a second, where frames are counted; else the keyframes'."),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Pixels of all videos, for --pickle.")
    ] = None,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Forget FOUND's tracks; else their rows stay together."),
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="FOUND with the track as ninth column.")] = None,
    pickle: Annotated[Path | None, typer.Option(help="The tubes as pickle too.")] = None,
    kind: Annotated[
        str,
        typer.Option(
            "--format", help="Of --pickle: act (by video), multisports (by label), gt (GT.pkl)."
        ),
    ] = "act",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write over results that are there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A summary as JSON on stdout.")] = False,
) -> None:
    """Link detections to tubes: one person, one action, from start to end.

    Keyframes of any rate; where somebody was missed, boxes are interpolated and marked so.
    Exit codes: 0 linked; 2 wrong use, or a file that cannot be read.
    """
    from stadkit.readers.detections import read_detection_set
    from stadkit.readers.sniff import input_files
    from stadkit.runs.checks import check_options, check_outputs, parse_size
    from stadkit.runs.linking import link_detection_set, pickle_facts

    chosen = {"min_iou": min_iou, "max_gap": max_gap, "min_score": min_score, "smooth": smooth}
    options = {name: value for name, value in chosen.items() if value is not None}
    check_options(method, kind, rate, options)
    sides = parse_size(size)
    places = output, csv, pickle
    check_outputs([p for p in places if p], input_files(found, labels, truth), overwrite)
    given = read_detection_set(found, labels, _read_truth(truth, split, rate))
    given = given.without_tracks() if anew else given
    facts = pickle_facts(given, rate, sides) if pickle else None
    linked = link_detection_set(given, method, options, rate, sides)
    _write(linked, given, facts, places, kind)
    _tell(linked, given, method, places, notes(linked, given, method, rate), as_json)


def _read_truth(path: Path | None, split: int, rate: float | None) -> TubeTruth | None:
    if path is None:
        return None
    from stadkit.readers.tubes import read_gt

    return read_gt(path, rate, split or None)


def _write(
    linked: Linked, given: DetectionSet, facts: TubeTruth | None, places: Places, kind: str
) -> None:
    """All the files that were asked for, or none."""
    from stadkit.files.ava_csv import write_found
    from stadkit.files.tubes_json import write_tubes_json
    from stadkit.runs.linking import on_frames, write_pickle, write_together

    output, csv, pickle = places
    writers: dict[Path, Callable[[Path], None]] = {
        output: lambda file: write_tubes_json(linked.tubes, given.labels, file, given.videos)
    }
    if csv is not None:
        writers[csv] = lambda file: write_found(linked.found, given.labels, file, tracks=True)
    if pickle is not None and facts is not None:
        framed = on_frames(linked.tubes, facts.rate)
        writers[pickle] = lambda file: write_pickle(framed, facts, file, kind)
    write_together(writers)


def _tell(
    linked: Linked,
    given: DetectionSet,
    method: str,
    places: Places,
    notes: list[str],
    as_json: bool,
) -> None:
    from stadkit.console import console

    told = summary(linked, given)
    console.print(f"labels: {len(given.labels)}, {given.source}")
    console.print(words(told, method))
    for note in notes:
        console.print(note)
    for path in places:
        if path is not None:
            console.print(f"wrote {path}")
    if as_json:
        names = dict(zip(("output", "csv", "pickle"), places, strict=True))
        files = {name: None if path is None else str(path) for name, path in names.items()}
        typer.echo(json.dumps({"method": method, **files, **told}))


def notes(linked: Linked, given: DetectionSet, method: str, rate: float | None) -> list[str]:
    """What to know of how it went, for people."""
    from stadkit.runs.linking import FRAME_METHODS

    if not len(given.found):
        return ["warning: there are no detections to link"]
    if method == "track" and given.raw is None and (given.found.track >= 0).any():
        return ["tracks of FOUND are kept; --anew forgets them"]
    if method in FRAME_METHODS and not len(linked.tubes):
        counted = "one a keyframe; --rate sets another" if rate is None else f"{rate:g} a second"
        return [
            f"warning: {method} ends a tube at a missed frame and drops tubes under 15 frames, "
            f"counted here {counted}"
        ]
    return []


def summary(linked: Linked, given: DetectionSet) -> dict[str, Any]:
    """How much came of how much; `interpolated`: the share of tube boxes, null for none."""
    import numpy as np

    found, tubes = linked.found, linked.tubes
    tracked = found.track >= 0
    people = set(zip(found.video[tracked].tolist(), found.track[tracked].tolist(), strict=True))
    share = float(np.mean(tubes.interpolated)) if len(tubes.time) else None
    return {
        "videos": len(given.videos),
        "keyframes": len(given.keyframes),
        "detections": len(found),
        "people": len(people),
        "tubes": len(tubes),
        "tube_boxes": len(tubes.time),
        "interpolated": share if share is None else round(share, 4),
    }


def words(told: dict[str, Any], method: str) -> str:
    """The summary in one line."""
    share = told["interpolated"]
    people = f"{_count(told['people'], 'person').replace('persons', 'people')}, "
    people = people if told["people"] else ""
    return (
        f"{method}: {_count(told['videos'], 'video')}, {_count(told['detections'], 'detection')}"
        f" -> {people}{_count(told['tubes'], 'tube')}"
        + ("" if share is None else f", {100 * share:.1f} % of their boxes interpolated")
    )


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + "s" * (number != 1)
