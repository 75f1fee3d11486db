"""`--shard i/n`: every input is in exactly one shard, whatever their order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from stadkit.errors import UsageError
from stadkit.runs.inputs import Input
from stadkit.runs.shards import Shard, parse_shard

INPUTS = [Input(f"v{i}", Path(f"videos/v{i}.mp4")) for i in range(23)]


@pytest.mark.parametrize("count", [1, 2, 5, 23, 30])
def test_disjoint_covering_and_even(count: int) -> None:
    shares = [Shard(i + 1, count).share(INPUTS) for i in range(count)]
    names = [item.name for share in shares for item in share]
    assert sorted(names) == sorted(item.name for item in INPUTS)
    sizes = {len(share) for share in shares}
    assert max(sizes) - min(sizes) <= 1


def test_shards_do_not_depend_on_the_order_of_inputs() -> None:
    mixed = list(INPUTS)
    random.Random(0).shuffle(mixed)
    for index in range(1, 5):
        one, other = Shard(index, 4).share(INPUTS), Shard(index, 4).share(mixed)
        assert set(one) == set(other)
        assert one == [item for item in INPUTS if item in one]
    assert Shard(1, 4).facts(INPUTS) == Shard(1, 4).facts(mixed)
    assert Shard(1, 4).facts(INPUTS)["list"] != Shard(1, 4).facts(INPUTS[1:])["list"]


def slurm(task: int, count: int = 4, **more: int) -> dict[str, str]:
    return {
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_COUNT": str(count),
        **{f"SLURM_ARRAY_TASK_{name.upper()}": str(value) for name, value in more.items()},
    }


def torchrun(rank: int, world: int) -> dict[str, str]:
    return {"RANK": str(rank), "WORLD_SIZE": str(world)}


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("", slurm(0), None),
        ("2/3", {}, Shard(2, 3)),
        ("1/1", slurm(3), Shard(1, 1)),
        ("auto", slurm(0), Shard(1, 4)),
        ("auto", slurm(4, min=1), Shard(4, 4)),
        ("auto", slurm(14, min=2, step=4), Shard(4, 4)),
        ("auto", torchrun(2, 8), Shard(3, 8)),
        ("auto", slurm(1, 1, min=1, max=1), Shard(1, 1)),
        # torchrun of 2 in each of 4 tasks: the second process of the third task
        ("auto", slurm(3, min=1) | torchrun(1, 2), Shard(6, 8)),
    ],
)
def test_parse_shard(text: str, environment: dict[str, str], expected: Shard | None) -> None:
    assert parse_shard(text, environment) == expected


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/3/5"])
def test_invalid_shards(text: str) -> None:
    with pytest.raises(UsageError, match=r"--shard .*: give a shard such as 2/8"):
        parse_shard(text, {})


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "nor RANK and WORLD_SIZE are set; name the shard"),
        ({"RANK": "1"}, "nor RANK and WORLD_SIZE are set"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT is '', not a number"),
        (slurm(7, 3, min=1), "the ids of this Slurm array are not evenly spaced"),
        (slurm(3, 1, min=3, max=3), "only task 3; give --shard 3/N"),
        (torchrun(3, 3), "RANK is 3 of WORLD_SIZE 3"),
    ],
)
def test_invalid_environments(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_shard("auto", environment)
