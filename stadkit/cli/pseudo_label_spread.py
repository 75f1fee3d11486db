"""What is found in the videos of `pseudo-label`, where many workers look at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from stadkit.cli.job import Job
from stadkit.cli.pseudo_label_keep import Part
from stadkit.cli.pseudo_label_plan import Plan
from stadkit.cli.results import reading
from stadkit.cli.runs import Entry
from stadkit.console import console
from stadkit.engine import Looked, Spread, Work
from stadkit.files.found_npz import write_found_npz
from stadkit.video.check import shown


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


def _fill(part: Part, job: Job, plans: Sequence[Plan], spread: Spread) -> None:
    def tasks() -> Iterator[tuple[Plan, Work]]:
        for plan in plans:
            entry = part.start(plan)
            if entry is not None:
                part.made[plan.item.name] = entry
                continue
            options = replace(job.options, times=getattr(plan, part.kind))
            yield plan, Work(plan.item.path, options)

    for plan, looked in spread.look(tasks()):
        part.made[plan.item.name] = _keep(part, plan, looked)
        console.print(f"{len(part.made)} of {len(plans)} {part.kind}: {shown(plan.item.path)}")


def _keep(part: Part, plan: Plan, looked: Looked) -> Entry:
    def write() -> Entry:
        found = looked.result()
        write_found_npz(found.table, found.keyframes, part.file(plan))
        return reading(found)

    return part.finish(plan, write, looked.seconds)
