"""`stadkit pseudo-label` step by step: read, find, label, write, tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stadkit.cli.pseudo_label_check import Asked
from stadkit.cli.pseudo_label_inputs import Found, Truth, read_found_files, read_given_truth
from stadkit.cli.pseudo_label_tell import tell_check, tell_label
from stadkit.cli.pseudo_label_write import check_labels_beside, dense, write_dense
from stadkit.console import console
from stadkit.detections import Detections
from stadkit.errors import NothingMatchedError
from stadkit.tla import STRATEGIES, Check, Labelled, check, pseudo_label

ASSIGNING = ("tla", "tla+")


def run_label(asked: Asked, as_json: bool) -> int:
    """Label the frames between labelled keyframes; the exit code."""
    assert asked.output is not None  # checked at the door
    truth = _truth(asked)
    check_labels_beside(asked.output, truth.labels)
    fitted = asked.options.strategy == "per-class"
    found = _found(asked, truth, ["between", "labelled"] if fitted else ["between"])
    known = found.known(truth)
    labelled = pseudo_label(
        even(known, asked.options.strategy),
        truth.table,
        truth.keyframes,
        asked.options,
        found.cuts,
        known.frames,
    )
    _check_reached(asked, truth, known, labelled)
    write_dense(dense(truth, labelled), truth.labels, asked.output)
    return tell_label(asked, truth, found, labelled, as_json)


def run_check(asked: Asked, as_json: bool) -> int:
    """Hide every second labelled keyframe, and say how well it is labelled; the exit code."""
    truth = _truth(asked)
    found = _found(asked, truth, ["labelled"])
    strategies = STRATEGIES if asked.every_strategy else (asked.options.strategy,)
    known, here = found.known(truth), found.shown(truth)
    checks: dict[str, Check] = {}
    for strategy in strategies:
        options = replace(asked.options, strategy=strategy)
        checks[strategy] = check(
            even(known, strategy), here.table, here.keyframes, options, found.cuts
        )
    return tell_check(asked, truth, found, checks, as_json)


def even(found: Found, strategy: str) -> Detections:
    """The table with .5 for actions that nothing has a score for, where labels are assigned.

    A score of .5 has the same cross entropy with doing it and with not doing it, and so decides
    nothing; none at all would count as 0, as one that is too low to be written does. The
    strategies that go by scores alone must not see it.
    """
    if not found.unscored or strategy not in ASSIGNING:
        return found.table
    action = found.table.action.copy()
    action[:, [found.table.classes.index(name) for name in found.unscored]] = 0.5
    return replace(found.table, action=action)


def _truth(asked: Asked) -> Truth:
    truth = read_given_truth(asked)
    console.print(f"labels: {len(truth.labels)}, {truth.said}")
    return truth


def _found(asked: Asked, truth: Truth, kinds: Sequence[str]) -> Found:
    if asked.detections:
        return read_found_files(asked, truth)
    from stadkit.cli.pseudo_label_videos import find_in_videos

    return find_in_videos(asked, truth, kinds)


def _check_reached(asked: Asked, truth: Truth, found: Found, labelled: Labelled) -> None:
    """Raise NothingMatchedError where no frame has a labelled keyframe near it."""
    notes = labelled.notes
    if len(labelled) or not notes.frames or notes.without_neighbour < notes.frames or notes.cut:
        return
    (low, high), (first, last) = (
        (np.min(times), np.max(times)) for times in (found.frames.time, truth.keyframes.time)
    )
    raise NothingMatchedError(
        f"{asked.truth}: no labelled keyframe is near any of the {notes.frames:,} frames looked "
        f"at: truth has {first:g} to {last:g} s, they are at {low:g} to {high:g} s; is --offset "
        f"(now {asked.offset:g}) right?"
    )
