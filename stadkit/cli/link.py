"""`stadkit link`: detections in; tubes out, one person and one action each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from stadkit.cli.link_inputs import Given
    from stadkit.files.tube_truth import TubeTruth
    from stadkit.link import Linked


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
    from stadkit.cli.link_inputs import read_given
    from stadkit.cli.link_methods import link_given
    from stadkit.cli.link_pickles import about

    chosen = {"min_iou": min_iou, "max_gap": max_gap, "min_score": min_score, "smooth": smooth}
    options = {name: value for name, value in chosen.items() if value is not None}
    _check(method, kind, rate, options)
    _check_places(found, [path for path in (output, csv, pickle) if path], overwrite)
    given = read_given(found, labels, _read_truth(truth, split, rate))
    facts = about(given, rate, _size(size)) if pickle else None
    linked = link_given(given.anew() if anew else given, method, options, rate, _size(size))
    _write(linked, given, facts, (output, csv, pickle), kind)
    _tell(linked, given, method, (output, csv, pickle), as_json)


def _check(method: str, kind: str, rate: float | None, options: dict[str, float]) -> None:
    """Before anything is read: raise UsageError for what cannot be."""
    from stadkit.cli.link_pickles import FORMATS
    from stadkit.errors import UsageError
    from stadkit.link import METHODS

    if method not in METHODS:
        raise UsageError(f"--method {method!r}: wants one of {', '.join(METHODS)}")
    if kind not in FORMATS:
        raise UsageError(f"--format {kind!r}: wants one of {', '.join(FORMATS)}")
    if rate is not None and not rate > 0:
        raise UsageError(f"--rate {rate:g}: wants frames a second, above 0")
    if options and method != "track":
        name = next(iter(options)).replace("_", "-")
        raise UsageError(f"--{name}: is of --method track; {method} keeps its authors' numbers")


def _check_places(found: list[Path], outputs: list[Path], overwrite: bool) -> None:
    """Raise UsageError where writing would destroy something."""
    from stadkit.errors import UsageError

    sources = {path.resolve() for path in found}
    taken: set[Path] = set()
    for path in outputs:
        if path.resolve() in sources:
            raise UsageError(f"{path}: is an input too; name another file")
        if path.resolve() in taken:
            raise UsageError(f"{path}: is named for two results; name another file")
        if path.is_dir():
            raise UsageError(f"{path}: is a folder; name a file, such as {path / 'tubes.json'}")
        if path.exists() and not overwrite:
            raise UsageError(f"{path}: is there already; --overwrite writes over it")
        taken.add(path.resolve())


def _read_truth(path: Path | None, split: int, rate: float | None) -> TubeTruth | None:
    if path is None:
        return None
    from stadkit.cli.eval_tubes import read_gt

    return read_gt(path, rate, split or None)


def _size(text: str | None) -> tuple[int, int] | None:
    """ "320x240" -> height 240, width 320; raises UsageError for anything else."""
    from stadkit.errors import UsageError

    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--size {text!r} is not WIDTHxHEIGHT in pixels, such as 320x240")
    return int(height), int(width)


def _write(
    linked: Linked,
    given: Given,
    facts: TubeTruth | None,
    places: tuple[Path, Path | None, Path | None],
    kind: str,
) -> None:
    from stadkit.cli.link_pickles import on_frames, write_pickle
    from stadkit.files.ava_csv import write_found
    from stadkit.files.tubes_json import write_tubes_json

    output, csv, pickle = places
    framed = on_frames(linked.tubes, facts.rate) if facts else None
    for path in places:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    write_tubes_json(linked.tubes, given.labels, output, given.videos)
    if csv is not None:
        write_found(linked.found, given.labels, csv, tracks=True)
    if pickle is not None and facts is not None and framed is not None:
        write_pickle(framed, facts, pickle, kind)


def _tell(
    linked: Linked,
    given: Given,
    method: str,
    places: tuple[Path, Path | None, Path | None],
    as_json: bool,
) -> None:
    from stadkit.cli.console import console

    told = summary(linked, given)
    console.print(f"labels: {len(given.labels)}, {given.source}")
    console.print(words(told, method))
    if not len(given.found):
        console.print("warning: there are no detections to link")
    for path in places:
        if path is not None:
            console.print(f"wrote {path}")
    if as_json:
        names = dict(zip(("output", "csv", "pickle"), places, strict=True))
        files = {name: None if path is None else str(path) for name, path in names.items()}
        typer.echo(json.dumps({"method": method, **files, **told}))


def summary(linked: Linked, given: Given) -> dict[str, Any]:
    """How much came of how much; `interpolated`: the share of tube boxes, null for none."""
    import numpy as np

    found, tubes = linked.found, linked.tubes
    tracked = found.track >= 0
    people = set(zip(found.video[tracked].tolist(), found.track[tracked].tolist(), strict=True))
    share = float(np.mean(tubes.interpolated)) if len(tubes.time) else None
    return {
        "videos": len(given.videos),
        "keyframes": len(given.looked),
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
