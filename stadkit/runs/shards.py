"""`--shard i/n`: one of n equal parts of the inputs, each for one process on any machine.

Inputs are sorted by a hash of their paths and dealt out in turn. So each is in exactly one shard,
whatever the order they are named in, and the long videos of a folder are spread over the shards.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stadkit.errors import UsageError
from stadkit.runs.inputs import Input

USAGE = "give a shard such as 2/8, or auto in a Slurm array or with RANK and WORLD_SIZE"


@dataclass(frozen=True)
class Shard:
    """Shard `index` (from 1) of `count`."""

    index: int
    count: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"shard-{self.index}-of-{self.count}"

    def share(self, inputs: Sequence[Input]) -> list[Input]:
        """The inputs of this shard, in the order they were named."""
        selected = set(sorted(inputs, key=_hash_key)[self.index - 1 :: self.count])
        return [item for item in inputs if item in selected]

    def facts(self, inputs: Sequence[Input]) -> dict[str, Any]:
        """The manifest's entry: all shards of one list of inputs have the same `list`."""
        names = sorted(f"{item.name}\0{item.path.as_posix()}" for item in inputs)
        listed = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()
        return {"index": self.index, "of": self.count, "inputs": len(inputs), "list": listed}


def _hash_key(item: Input) -> tuple[str, str]:
    path = item.path.as_posix()
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest(), path


def parse_shard(text: str, environment: Mapping[str, str] = os.environ) -> Shard | None:
    """Parse "2/8" or "auto"; None for an empty text; raises UsageError for anything else."""
    if not text:
        return None
    if text == "auto":
        return _from_environment(environment)
    parts = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if parts is None or not 1 <= int(parts[1]) <= int(parts[2]):
        raise UsageError(f"--shard {text!r}: {USAGE}")
    return Shard(int(parts[1]), int(parts[2]))


def _from_environment(environment: Mapping[str, str]) -> Shard:
    """The shard of this process in a Slurm array, in torchrun, or in torchrun in an array."""
    array, ranks = _array(environment), _ranks(environment)
    if array is None and ranks is None:
        raise UsageError(
            "--shard auto: neither SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT nor RANK and "
            "WORLD_SIZE are set; name the shard, such as --shard 2/8"
        )
    (task, tasks), (rank, world) = array or (0, 1), ranks or (0, 1)
    return Shard(task * world + rank + 1, tasks * world)


def _array(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """(index of the array task from 0, number of tasks).

    Raises UsageError for a task of a larger array that is rerun alone, as Slurm then no longer
    reports the array's size.
    """
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return None
    count = _number(environment, "SLURM_ARRAY_TASK_COUNT")
    first = _number(environment, "SLURM_ARRAY_TASK_MIN", 0)
    if count == 1 and first > 1:
        raise UsageError(
            f"--shard auto: this Slurm array has only task {first}; give --shard {first}/N, with N "
            "the size of the original array"
        )
    step = _number(environment, "SLURM_ARRAY_TASK_STEP", 1)
    place, rest = divmod(_number(environment, "SLURM_ARRAY_TASK_ID") - first, max(step, 1))
    if rest or not 0 <= place < count:
        raise UsageError(
            "--shard auto: the ids of this Slurm array are not evenly spaced; use --array 1-8, for "
            "example, or --shard i/n"
        )
    return place, count


def _ranks(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """(rank, number of ranks)."""
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return None
    rank, world = _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
    if rank >= world:
        raise UsageError(f"--shard auto: RANK is {rank} of WORLD_SIZE {world}; {USAGE}")
    return rank, world


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise UsageError(f"--shard auto: {name} is {text!r}, not a number; {USAGE}")
    return int(text)
