"""What lies beside a file of rows, by its name."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from stadkit.readers.sniff import is_csv, is_jsonl, jsonl_beside, keyframes_beside

LINE = '{"video": "a", "time": 3, "people": []}\n'


@pytest.mark.parametrize("table", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("lines", ["a.jsonl", "a.jsonl.gz"])
def test_lines_beside_a_table_packed_or_not(tmp_path: Path, table: str, lines: str) -> None:
    (tmp_path / table).write_bytes(b"")
    (tmp_path / lines).write_bytes(
        gzip.compress(LINE.encode()) if lines.endswith("gz") else LINE.encode()
    )
    assert jsonl_beside(tmp_path / table) == [tmp_path / lines]
    looked = keyframes_beside(tmp_path / table)
    assert looked is not None
    assert (looked.video.tolist(), looked.time.tolist()) == (["a"], [3])


def test_no_lines_beside(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "a.jsonl.bak").write_text(LINE)
    (tmp_path / "b.jsonl").write_text(LINE)
    assert keyframes_beside(tmp_path / "a.csv") is None


def test_names_are_told_by_their_ending() -> None:
    assert [is_jsonl(Path(n)) for n in ("a.jsonl", "a.jsonl.gz", "a.jsonl.bak", "a.csv")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert [is_csv(Path(n)) for n in ("a.csv", "a.csv.gz", "a.csv.bak", "a.jsonl")] == [
        True, True, False, False,
    ]  # fmt: skip
