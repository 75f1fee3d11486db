"""Detect people in videos, at or between labelled keyframes, in this process or by workers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from stadkit.console import console
from stadkit.detection import DetectOptions, load
from stadkit.detections import Detections, Keyframes
from stadkit.engine import RayExecutor, TaskResult, VideoTask
from stadkit.errors import StadkitError, UsageError
from stadkit.files.found_npz import read_found_npz, write_found_npz
from stadkit.pseudo_labelling.inputs import FoundPeople, LabelledTruth, in_classes
from stadkit.pseudo_labelling.job import PseudoLabelJob
from stadkit.pseudo_labelling.parts import VideoPart, cuts_part, people_part
from stadkit.pseudo_labelling.plan import EVERY, Plan, Plans, make_plans
from stadkit.runs.engines import pick_engine
from stadkit.runs.job import Job
from stadkit.runs.messages import counted
from stadkit.runs.outputs import with_reading
from stadkit.runs.record import VideoRecord
from stadkit.video.check import shown

MODEL = "mestad-nano"
TIMES = {"between": "every {:g} s between labelled keyframes", "labelled": "at labelled keyframes"}
COUNTS = ("people", "keyframes")


def find_in_videos(job: PseudoLabelJob, truth: LabelledTruth, kinds: Sequence[str]) -> FoundPeople:
    """Detect people "between" the labelled keyframes or at the "labelled" ones, as `kinds` says.

    With an output, intermediate results are kept beside it and reused. An unreadable video is
    reported and skipped. Raises NothingMatchedError and UsageError before any work, StadkitError if
    no video can be read.
    """
    plans = make_plans(job, truth)
    if "between" in kinds and not any(plan.between for plan in plans.plans):
        raise UsageError(
            f"{job.truth}: no two labelled keyframes of a video are more than "
            f"{job.every or EVERY:g} s apart, so no frames lie between; give a smaller --every"
        )
    with _folder(job) as folder:
        parts: list[VideoPart]
        unscored: tuple[str, ...]
        if job.options.strategy == "interpolate" and not job.every_strategy:
            parts, unscored = [], ()  # its boxes come from truth
        else:
            parts, unscored = _people_parts(folder, kinds, job, truth)
        if job.no_cross_cuts:
            parts.append(cuts_part(folder, job.overwrite))
        found = _process(plans, parts, kinds, truth, job.offset)
        return replace(found, unscored=unscored, notes=tuple(plans.notes))


@contextmanager
def _folder(job: PseudoLabelJob) -> Iterator[Path]:
    if job.found is not None:
        yield job.found
        return
    with tempfile.TemporaryDirectory(prefix="stadkit-") as folder:
        yield Path(folder)


def _people_parts(
    folder: Path, kinds: Sequence[str], job: PseudoLabelJob, truth: LabelledTruth
) -> tuple[list[VideoPart], tuple[str, ...]]:
    """The model's part for each kind of times, and the actions it has no scores for."""
    name = job.model or MODEL
    detector = load(name, job.device, job.precision)
    if detector.card.tubelet:
        raise UsageError(f"{detector.name}: is a tubelet model; use a keyframe model")
    if detector.card.family == "slowfast-roi":
        raise UsageError(f"{detector.name}: is a two-stage model; use an end-to-end model")
    every = job.every or EVERY
    options = DetectOptions(every=every, min_person=job.min_person, batch=job.batch)
    executor = pick_engine(job.engine, job.workers, job.address, name, detector, job.threads)
    detect_job = Job(detector, options, detector.card.classes, min_action=0.0, executor=executor)
    empty = Detections.empty(detect_job.labels.names)
    unscored = in_classes(empty, truth.labels, detector.name)[1]
    precision = str(detector.precision).removeprefix("torch.")
    times = " and ".join(TIMES[kind].format(every) for kind in kinds)
    console.print(
        f"{detector.name} (weights: {detector.card.licence}) on {detector.device}, {precision}; "
        f"people from {detect_job.min_person:g}, {times}"
    )
    return [people_part(folder, kind, detect_job, job.overwrite) for kind in kinds], unscored


def _process(
    plans: Plans,
    parts: Sequence[VideoPart],
    kinds: Sequence[str],
    truth: LabelledTruth,
    offset: float,
) -> FoundPeople:
    """Make each part of each video; returns the detections in truth's time."""
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
        console.print("interrupted; with --output the same command resumes here")
        raise
    finally:
        for part in parts:
            part.close()
    if not done:
        raise StadkitError(f"none of the videos can be read: {next(iter(reasons.values()))}")
    found = _gather(done, parts, kinds, truth, offset)
    videos = (*(plan.video for plan in plans.plans), *plans.without_truth)
    return replace(found, videos=videos, failed=tuple(reasons))


def line(plan: Plan, records: Mapping[str, VideoRecord]) -> str:
    """One line on how a video ended."""
    where = shown(plan.item.path)
    status = {record.status: record.reason or "" for record in records.values()}
    if "failed" in status:
        reason = status["failed"]
        return f"stadkit: error: {reason if where in reason else f'{where}: {reason}'}"
    found = [record for record in records.values() if record.people is not None]
    people, frames = (sum(getattr(record, key) for record in found) for key in COUNTS)
    counts = [f"{counted(people, 'person')} in {counted(frames, 'frame')}"] * bool(found)
    if "cuts" in records:
        counts.append(counted(records["cuts"].cuts or 0, "cut"))
    new = [record for record in records.values() if not record.kept]
    kept = "" if new else "kept from an earlier run, "
    seconds = sum(record.seconds or 0.0 for record in new or records.values())
    ending = f"; PARTIAL: {status['partial']}" if "partial" in status else ""
    return f"{where}: {kept}{', '.join(counts)}, {seconds:.2f} s{ending}"


def _gather(
    plans: Sequence[Plan],
    parts: Sequence[VideoPart],
    kinds: Sequence[str],
    truth: LabelledTruth,
    offset: float,
) -> FoundPeople:
    """Read the parts of these videos; without a model, the frames are the planned times."""
    tables: list[Detections] = []
    frames: list[Keyframes] = []
    cuts = {}
    for plan in plans:
        times: list[float] = []
        for part in parts:
            if part.kind == "cuts":
                cuts[plan.video] = np.array(json.loads(part.file(plan).read_text())) + offset
                continue
            table, keyframes = read_found_npz(part.file(plan))
            table = in_classes(table, truth.labels, str(part.folder))[0]
            name = np.full(len(table), plan.video)
            tables.append(replace(table, video=name, time=table.time + offset))
            times += keyframes.time.tolist()
        if not any(part.kind in kinds for part in parts):
            times = [time for kind in kinds for time in plan.inside(getattr(plan, kind))]
        frames.append(Keyframes(np.full(len(times), plan.video), np.array(times, float) + offset))
    videos = np.concatenate([each.video for each in frames])
    return FoundPeople(
        Detections.join(tables, truth.labels.names),
        Keyframes(videos, np.concatenate([each.time for each in frames])),
        videos=(),
        cuts=cuts or None,
    )


def fill(parts: Sequence[VideoPart], plans: Sequence[Plan]) -> None:
    """Have the workers, if any, make what is not kept yet; records go to `part.made`."""
    jobs = [part.job for part in parts if part.job is not None]
    executor = jobs[0].executor if jobs else None
    if executor is None:
        return
    with executor:
        for part in parts:
            if part.job is not None:
                _fill(part, part.job, plans, executor)


def _fill(part: VideoPart, job: Job, plans: Sequence[Plan], executor: RayExecutor) -> None:
    def tasks() -> Iterator[tuple[Plan, VideoTask]]:
        for plan in plans:
            record = part.start(plan)
            if record is not None:
                part.made[plan.item.name] = record
                continue
            options = replace(job.options, times=getattr(plan, part.kind))
            yield plan, VideoTask(plan.item.path, options)

    for plan, result in executor.run(tasks()):
        part.made[plan.item.name] = _keep(part, plan, result)
        console.print(f"{len(part.made)} of {len(plans)} {part.kind}: {shown(plan.item.path)}")


def _keep(part: VideoPart, plan: Plan, result: TaskResult) -> VideoRecord:
    def write() -> VideoRecord:
        found = result.result()
        write_found_npz(found.table, found.keyframes, part.file(plan))
        return with_reading(VideoRecord("begun", input=str(plan.item.path)), found)

    return part.finish(plan, write, result.seconds)
