"""A prediction file of AVA's validation set: 1.6 million rows fit in a gigabyte."""

import subprocess
import sys
from pathlib import Path

import pytest

ROWS = 64 * 897 * 28
READ = """
import sys
from stadkit.memory import peak
from stadkit.files.ava_csv import read_found
from stadkit.labels import ava
table = read_found(sys.argv[1], ava())
print(len(table), int((table.action >= 0).sum()))
print(peak())
"""


@pytest.mark.slow
def test_full_size_file(tmp_path: Path) -> None:
    file = tmp_path / "found.csv"
    people = [
        "".join(
            f"video{{v:02d}},{{t:04d}},0.{p}12,0.234,0.789,0.9,{a},0.{a}3\n" for a in range(10, 24)
        )
        for p in (1, 2)
    ]
    with file.open("w") as out:
        for v in range(64):
            out.write("".join("".join(people).format(v=v, t=t) for t in range(902, 1799)))
    done = subprocess.run(
        [sys.executable, "-c", READ, str(file)], capture_output=True, text=True, check=True
    )
    rows, scores, peak = map(int, done.stdout.split())
    assert (rows, scores) == (64 * 897 * 2, ROWS)
    assert peak < 1e9
