"""Videos -> who a model finds in them, between their labelled keyframes or at these.

What is found in the videos of `pseudo-label`, where many workers look at them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from stadkit.console import console
from stadkit.detection import Options, load
from stadkit.detections import Detections, Keyframes
from stadkit.engine import RayExecutor, TaskResult, VideoTask
from stadkit.errors import StadkitError, UsageError
from stadkit.files.found_npz import read_found_npz, write_found_npz
from stadkit.pseudo_labelling.inputs import FoundPeople, Truth, in_classes
from stadkit.pseudo_labelling.job import PseudoLabelJob
from stadkit.pseudo_labelling.parts import Part, cuts_part, people_part
from stadkit.pseudo_labelling.plan import EVERY, Plan, Plans, make_plans
from stadkit.runs.engines import pick_engine
from stadkit.runs.job import Job
from stadkit.runs.outputs import with_reading
from stadkit.runs.record import VideoRecord
from stadkit.video.check import shown

MODEL = "mestad-nano"
WHERE = {"between": "every {:g} s between labelled keyframes", "labelled": "at labelled keyframes"}
COUNTS = ("people", "keyframes")


def find_in_videos(asked: PseudoLabelJob, truth: Truth, kinds: Sequence[str]) -> FoundPeople:
    """Who is in the videos "between" the labelled keyframes, or at the "labelled" ones.

    Where results are to be written, what is made of a video is kept beside them, and not made
    again. A video that cannot be read is told of, and the others go on. Raises
    NothingMatchedError and UsageError before the work, StadkitError where no video can be read.
    """
    plans = make_plans(asked, truth)
    if "between" in kinds and not any(plan.between for plan in plans.plans):
        raise UsageError(
            f"{asked.truth}: no two labelled keyframes of a video are more than "
            f"{asked.every or EVERY:g} s apart, so nothing lies between; give a smaller --every"
        )
    with _folder(asked) as folder:
        parts: list[Part]
        unscored: tuple[str, ...]
        if asked.options.strategy == "interpolate" and not asked.every_strategy:
            parts, unscored = [], ()  # which takes boxes from truth
        else:
            parts, unscored = _people_parts(folder, kinds, asked, truth)
        if asked.no_cross_cuts:
            parts.append(cuts_part(folder, asked.overwrite))
        found = _look(plans, parts, kinds, truth, asked.offset)
        return replace(found, unscored=unscored, notes=tuple(plans.notes))


@contextmanager
def _folder(asked: PseudoLabelJob) -> Iterator[Path]:
    if asked.found is not None:
        yield asked.found
        return
    with tempfile.TemporaryDirectory(prefix="stadkit-") as folder:
        yield Path(folder)


def _people_parts(
    folder: Path, kinds: Sequence[str], asked: PseudoLabelJob, truth: Truth
) -> tuple[list[Part], tuple[str, ...]]:
    """The model's part for each kind of times, and the actions that it has no scores of."""
    name = asked.model or MODEL
    detector = load(name, asked.device, asked.precision)
    if detector.card.tubelet:
        raise UsageError(f"{detector.name}: finds tubelets; take a model that finds keyframes")
    if detector.card.family == "slowfast-roi":
        raise UsageError(f"{detector.name}: classifies others' people; take an end-to-end model")
    every = asked.every or EVERY
    options = Options(every=every, min_person=asked.min_person, batch=asked.batch)
    spread = pick_engine(asked.engine, asked.workers, asked.address, name, detector, asked.threads)
    job = Job(detector, options, detector.card.classes, min_action=0.0, spread=spread)
    nobody = Detections.empty(job.labels.names)
    unscored = in_classes(nobody, truth.labels, detector.name)[1]
    kind = str(detector.precision).removeprefix("torch.")
    where = " and ".join(WHERE[kind].format(every) for kind in kinds)
    console.print(
        f"{detector.name} (weights: {detector.card.licence}) on {detector.device}, {kind}; "
        f"people from {job.min_person:g}, {where}"
    )
    return [people_part(folder, kind, job, asked.overwrite) for kind in kinds], unscored


def _look(
    plans: Plans,
    parts: Sequence[Part],
    kinds: Sequence[str],
    truth: Truth,
    offset: float,
) -> FoundPeople:
    """Have each part look at each video; what was found, in truth's time."""
    for part in parts:
        for plan in plans.plans:
            part.check_plan(plan)
    reasons, done = {}, []
    try:
        fill(parts, plans.plans)
        for number, plan in enumerate(plans.plans, 1):
            records = {part.kind: part.keep(plan) for part in parts}
            if parts:
                console.print(f"[{number}/{len(plans.plans)}] {line(plan, records)}")
            status = {record.status: record.reason or "" for record in records.values()}
            if set(status) - {"ok"}:
                reasons[plan.video] = status.get("failed", status.get("partial", ""))
            if "failed" not in status:
                done.append(plan)
    except KeyboardInterrupt:
        console.print("interrupted; with --output the same command goes on from here")
        raise
    finally:
        for part in parts:
            part.close()
    if not done:
        raise StadkitError(f"none of the videos can be read: {next(iter(reasons.values()))}")
    found = _gather(done, parts, kinds, truth, offset)
    here = (*(plan.video for plan in plans.plans), *plans.without_truth)
    return replace(found, videos=here, failed=tuple(reasons))


def line(plan: Plan, records: Mapping[str, VideoRecord]) -> str:
    """How a video went, in one line."""
    where = shown(plan.item.path)
    status = {record.status: record.reason or "" for record in records.values()}
    if "failed" in status:
        reason = status["failed"]
        return f"stadkit: error: {reason if where in reason else f'{where}: {reason}'}"
    found = [record for record in records.values() if record.people is not None]
    people, frames = (sum(getattr(record, key) for record in found) for key in COUNTS)
    counts = [f"{people} people in {frames} frames"] * bool(found)
    if "cuts" in records:
        count = records["cuts"].cuts
        counts.append(f"{count} cut" + "s" * (count != 1))
    new = [record for record in records.values() if not record.kept]
    kept = "" if new else "kept from before, "
    seconds = sum(record.seconds or 0.0 for record in new or records.values())
    ending = f"; PARTIAL: {status['partial']}" if "partial" in status else ""
    return f"{where}: {kept}{', '.join(counts)}, {seconds:.2f} s{ending}"


def _gather(
    plans: Sequence[Plan], parts: Sequence[Part], kinds: Sequence[str], truth: Truth, offset: float
) -> FoundPeople:
    """What the parts hold of these videos; without a model the frames that were to be looked at."""
    tables: list[Detections] = []
    frames: list[Keyframes] = []
    cuts = {}
    for plan in plans:
        own: list[float] = []
        for part in parts:
            if part.kind == "cuts":
                cuts[plan.video] = np.array(json.loads(part.file(plan).read_text())) + offset
                continue
            table, looked = read_found_npz(part.file(plan))
            table = in_classes(table, truth.labels, str(part.folder))[0]
            name = np.full(len(table), plan.video)
            tables.append(replace(table, video=name, time=table.time + offset))
            own += looked.time.tolist()
        if not any(part.kind in kinds for part in parts):
            own = [time for kind in kinds for time in plan.shown(getattr(plan, kind))]
        frames.append(Keyframes(np.full(len(own), plan.video), np.array(own, float) + offset))
    videos = np.concatenate([each.video for each in frames])
    return FoundPeople(
        Detections.join(tables, truth.labels.names),
        Keyframes(videos, np.concatenate([each.time for each in frames])),
        videos=(),
        cuts=cuts or None,
    )


def fill(parts: Sequence[Part], plans: Sequence[Plan]) -> None:
    """Have the workers, if there are any, look at what is not kept yet; `part.made` tells."""
    jobs = [part.job for part in parts if part.job is not None]
    spread = jobs[0].spread if jobs else None
    if spread is None:
        return
    with spread:
        for part in parts:
            if part.job is not None:
                _fill(part, part.job, plans, spread)


def _fill(part: Part, job: Job, plans: Sequence[Plan], spread: RayExecutor) -> None:
    def tasks() -> Iterator[tuple[Plan, VideoTask]]:
        for plan in plans:
            record = part.start(plan)
            if record is not None:
                part.made[plan.item.name] = record
                continue
            options = replace(job.options, times=getattr(plan, part.kind))
            yield plan, VideoTask(plan.item.path, options)

    for plan, result in spread.look(tasks()):
        part.made[plan.item.name] = _keep(part, plan, result)
        console.print(f"{len(part.made)} of {len(plans)} {part.kind}: {shown(plan.item.path)}")


def _keep(part: Part, plan: Plan, result: TaskResult) -> VideoRecord:
    def write() -> VideoRecord:
        found = result.result()
        write_found_npz(found.table, found.keyframes, part.file(plan))
        return with_reading(VideoRecord("begun", input=str(plan.item.path)), found)

    return part.finish(plan, write, result.seconds)
