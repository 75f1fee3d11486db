"""The arguments of `stadkit pseudo-label`, and their checks before anything is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stadkit.errors import UsageError
from stadkit.readers.sniff import is_csv, stem
from stadkit.runs.engines import check_engine
from stadkit.tla import LabellingOptions

MIN_EVERY = 0.001  # seconds, the resolution of times
STRATEGIES_OF_OPTION = {  # options that have no effect with other strategies
    "threshold": ("hard",),
    "free": ("hard", "per-class"),
    "bce": ("tla", "tla+"),
    "distance": ("tla", "tla+"),
    "background": ("tla", "tla+"),
}


@dataclass(frozen=True)
class PseudoLabelJob:
    """The arguments of the command; None: not set."""

    truth: Path
    options: LabellingOptions
    detections: tuple[Path, ...] = ()
    videos: tuple[str, ...] = ()
    output: Path | None = None
    model: str | None = None
    every: float | None = None
    offset: float = 0.0
    labels: Path | None = None
    keyframes: Path | None = None
    every_strategy: bool = False  # --check compares all of them
    no_cross_cuts: bool = False
    min_person: float | None = None
    device: str = "auto"
    precision: str = "auto"
    batch: int | None = None
    overwrite: bool = False
    engine: str = "local"
    workers: int | None = None
    address: str | None = None
    threads: int = 0

    @property
    def found(self) -> Path | None:
        """The folder where the model's detections are kept."""
        return None if self.output is None else self.output.with_name(f"{stem(self.output)}.found")


def sources_of(output: Path) -> Path:
    """The path of the CSV with the source of each output row."""
    suffix = output.name.removeprefix(stem(output))
    return output.with_name(f"{stem(output)}.sources{suffix}")


def make_options(arguments: dict[str, Any], free: bool, check: bool) -> LabellingOptions:
    """The labelling options; raises UsageError for one that is invalid or has no effect."""
    strategy = arguments["strategy"]
    if strategy == "all" and not check:
        raise UsageError("--strategy all: only with --check; name one strategy to label with")
    options = {name: value for name, value in arguments.items() if value is not None}
    for name, strategies in STRATEGIES_OF_OPTION.items():
        is_set = free if name == "free" else name in options
        if is_set and strategy not in (*strategies, "all"):
            allowed = " or ".join(strategies)
            raise UsageError(f"--{name}: only with --strategy {allowed}, not {strategy}")
    if "max_gap" in options and not options["max_gap"] > 0:
        raise UsageError(f"--max-gap {options['max_gap']:g}: give seconds above 0")
    options["strategy"] = "tla" if strategy == "all" else strategy
    return LabellingOptions(**options, restricted=not free)


def check_job(job: PseudoLabelJob, check: bool) -> None:
    """Raise UsageError for conflicting arguments, or outputs that would overwrite files."""
    if bool(job.detections) == bool(job.videos):
        raise UsageError("give either --detections, existing ones, or --videos to detect in")
    _check_videos_only(job)
    check_engine(job.engine, job.workers, job.address)
    if not math.isfinite(job.offset):
        raise UsageError(f"--offset {job.offset:g}: give seconds; AVA's is 900")
    if job.every is not None and not MIN_EVERY <= job.every < math.inf:
        raise UsageError(f"--every {job.every:g}: give seconds, {MIN_EVERY:g} or more")
    if job.output is None and not check:
        raise UsageError("name the CSV to write by --output, or use --check to write nothing")
    if job.output is not None:
        _check_output(job, job.output, check)


def _check_videos_only(job: PseudoLabelJob) -> None:
    """Raise UsageError for an option that has no effect on existing detections."""
    if job.videos:
        return
    only: dict[str, object] = {
        "model": job.model,
        "every": job.every,
        "batch": job.batch,
        "engine": None if job.engine == "local" else job.engine,
        "no-cross-cuts": job.no_cross_cuts or None,
    }
    for name, value in only.items():
        if value is not None:
            raise UsageError(f"--{name}: only with --videos; --detections are used as they are")


def _check_output(job: PseudoLabelJob, output: Path, check: bool) -> None:
    from stadkit.readers.sniff import input_files
    from stadkit.runs.checks import check_outputs

    if not is_csv(output):
        raise UsageError(f"{output}: name a .csv or .csv.gz file")
    for folder in job.detections:
        if folder.is_dir() and output.resolve().parent == folder.resolve():
            raise UsageError(
                f"{output}: would be read as detections in {folder}; choose another folder"
            )
    inputs = [*input_files(job.detections, job.labels, job.keyframes), job.truth]
    # --check writes neither.
    check_outputs([output, sources_of(output)], inputs, job.overwrite or check)
