"""What `stadkit pseudo-label` is asked for, and what it refuses before it reads anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stadkit.errors import UsageError
from stadkit.readers.sniff import is_csv, stem
from stadkit.runs.engines import check_engine
from stadkit.tla import Options

LEAST = 0.001  # seconds from frame to frame, as times are told apart
OF_STRATEGY = {  # options that others have no use for
    "threshold": ("hard",),
    "free": ("hard", "per-class"),
    "bce": ("tla", "tla+"),
    "distance": ("tla", "tla+"),
    "background": ("tla", "tla+"),
}


@dataclass(frozen=True)
class PseudoLabelJob:
    """The arguments, as given; None where not."""

    truth: Path
    options: Options
    detections: tuple[Path, ...] = ()
    videos: tuple[str, ...] = ()
    output: Path | None = None
    model: str | None = None
    every: float | None = None
    offset: float = 0.0
    labels: Path | None = None
    keyframes: Path | None = None
    every_strategy: bool = False  # --check of all of them
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
        """The folder in which what a model finds is kept."""
        return None if self.output is None else self.output.with_name(f"{stem(self.output)}.found")


def sources_of(output: Path) -> Path:
    """Where the source of each row of the output is written."""
    ending = output.name.removeprefix(stem(output))
    return output.with_name(f"{stem(output)}.sources{ending}")


def make_options(given: dict[str, Any], free: bool, check: bool) -> Options:
    """The labelling's options; raises UsageError for one that is wrong or has no effect."""
    strategy = given["strategy"]
    if strategy == "all" and not check:
        raise UsageError("--strategy all: compares, with --check; to label, name one")
    wanted = {name: value for name, value in given.items() if value is not None}
    for name, strategies in OF_STRATEGY.items():
        said = free if name == "free" else name in wanted
        if said and strategy not in (*strategies, "all"):
            which = " or ".join(strategies)
            raise UsageError(f"--{name}: is of --strategy {which}, not of {strategy}")
    if "max_gap" in wanted and not wanted["max_gap"] > 0:
        raise UsageError(f"--max-gap {wanted['max_gap']:g}: wants seconds above 0")
    wanted["strategy"] = "tla" if strategy == "all" else strategy
    return Options(**wanted, restricted=not free)


def check_job(asked: PseudoLabelJob, check: bool) -> None:
    """Raise UsageError for arguments that do not go together, or would destroy something."""
    if bool(asked.detections) == bool(asked.videos):
        raise UsageError("give one of --detections, what was found, and --videos, to find it in")
    _check_videos_only(asked)
    check_engine(asked.engine, asked.workers, asked.address)
    if not math.isfinite(asked.offset):
        raise UsageError(f"--offset {asked.offset:g}: wants seconds; AVA's is 900")
    if asked.every is not None and not LEAST <= asked.every < math.inf:
        raise UsageError(f"--every {asked.every:g}: wants seconds, {LEAST:g} or more")
    if asked.output is None and not check:
        raise UsageError("name the CSV to write by --output, or say --check to only try it")
    if asked.output is not None:
        _check_output(asked, asked.output, check)


def _check_videos_only(asked: PseudoLabelJob) -> None:
    """Raise UsageError for an option that has no effect on detections that are there."""
    if asked.videos:
        return
    only: dict[str, object] = {
        "model": asked.model,
        "every": asked.every,
        "batch": asked.batch,
        "engine": None if asked.engine == "local" else asked.engine,
        "no-cross-cuts": asked.no_cross_cuts or None,
    }
    for name, value in only.items():
        if value is not None:
            raise UsageError(f"--{name}: is of --videos; --detections are taken as they are")


def _check_output(asked: PseudoLabelJob, output: Path, check: bool) -> None:
    from stadkit.readers.sniff import input_files
    from stadkit.runs.checks import check_places

    if not is_csv(output):
        raise UsageError(f"{output}: name a .csv or .csv.gz file, as AVA's are")
    for folder in asked.detections:
        if folder.is_dir() and output.resolve().parent == folder.resolve():
            raise UsageError(
                f"{output}: would be taken for one of the detections in {folder}; write elsewhere"
            )
    inputs = [*input_files(asked.detections, asked.labels, asked.keyframes), asked.truth]
    # A check writes neither.
    check_places([output, sources_of(output)], inputs, asked.overwrite or check)
