"""Files that belong to a CSV, found by name."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from stadkit.readers.sniff import is_csv, is_jsonl, jsonl_beside, keyframes_beside

LINE = '{"video": "a", "time": 3, "people": []}\n'


@pytest.mark.parametrize("table", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("lines", ["a.jsonl", "a.jsonl.gz"])
def test_json_lines_beside_a_csv_gzipped_or_not(tmp_path: Path, table: str, lines: str) -> None:
    (tmp_path / table).write_bytes(b"")
    (tmp_path / lines).write_bytes(
        gzip.compress(LINE.encode()) if lines.endswith("gz") else LINE.encode()
    )
    assert jsonl_beside(tmp_path / table) == [tmp_path / lines]
    keyframes = keyframes_beside(tmp_path / table)
    assert keyframes is not None
    assert (keyframes.video.tolist(), keyframes.time.tolist()) == (["a"], [3])


def test_no_json_lines_beside(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "a.jsonl.bak").write_text(LINE)
    (tmp_path / "b.jsonl").write_text(LINE)
    assert keyframes_beside(tmp_path / "a.csv") is None


def test_formats_by_suffix() -> None:
    assert [is_jsonl(Path(n)) for n in ("a.jsonl", "a.jsonl.gz", "a.jsonl.bak", "a.csv")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert [is_csv(Path(n)) for n in ("a.csv", "a.csv.gz", "a.csv.bak", "a.jsonl")] == [
        True, True, False, False,
    ]  # fmt: skip
