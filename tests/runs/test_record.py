"""Records of videos: which fields are written, and that reading restores them."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.runs.record import VideoRecord

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from(["begun", "ok", "partial", "failed"]),
    "outputs": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    "size": st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    "rate": st.floats(1, 240),
    "seconds": st.floats(0, 1e6),
    "unusable": st.booleans(),
    "kept": st.just(True),
    "live": st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    "unknown": st.just({"of a later version": [1]}),
}
WORDS = ("input", "sha256", "queries", "reason", "reader", "note", "fingerprint")
NAMES = [each.name for each in fields(VideoRecord)]


def value(name: str) -> st.SearchStrategy[Any]:
    plain = VALUES.get(name, st.text(max_size=5) if name in WORDS else st.integers(0, 10**9))
    return plain if name in ("status", "unknown") else st.none() | plain


@given(st.fixed_dictionaries({name: value(name) for name in NAMES}))
def test_a_record_survives_json(held: dict[str, Any]) -> None:
    record = VideoRecord(**held)
    assert VideoRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_unknown_fields_are_left_out_and_meaningful_nulls_written() -> None:
    assert VideoRecord("begun", fingerprint="f").to_json() == {
        "status": "begun",
        "fingerprint": "f",
    }
    read = VideoRecord("ok", reader="pyav", batch=2)
    assert read.to_json() == {
        "status": "ok",
        "reader": "pyav",
        "expected": None,
        "batch": 2,
        "threads": None,
        "fingerprint": None,
    }


@pytest.mark.parametrize("held", [[], 3, None, "ok"])
def test_an_invalid_entry_is_refused(held: Any) -> None:
    with pytest.raises((TypeError, KeyError, AttributeError)):
        VideoRecord.from_json(held)
