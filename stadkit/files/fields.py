"""Parsers of CSV fields: each returns the value, or raises ValueError with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Control characters and lone surrogates; a line break in quotes would break line numbering.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_SECONDS = re.compile(r"-?[0-9]{1,11}(\.[0-9]*)?")

_MAX_FLOAT = 3e38  # just below the float32 maximum


@dataclass(frozen=True)
class Column:
    """Format of one column; `parse` raises ValueError with the reason for an invalid field.

    A column of floats is read by pandas and must lie in `low..high`, unless it is `free`: then
    any number, NaN and infinity are allowed. Other columns are parsed by `parse`.
    """

    name: str
    parse: Callable[[str], Any]
    floats: bool = False
    low: float = -_MAX_FLOAT
    high: float = _MAX_FLOAT
    free: bool = False


def text(field: str) -> str:
    """Parse an id, kept byte for byte: '007', 'NA' and ' a' stay unchanged."""
    if not field:
        raise ValueError("is empty")
    if _CONTROL.search(field):
        raise ValueError(f"{field!r} contains a control character")
    return field


def seconds(field: str) -> float:
    """Parse seconds: '0902' or '902.04'."""
    if not _SECONDS.fullmatch(field.strip()):
        raise ValueError(f"{field!r} is not a time in seconds")
    return float(field)


def label(field: str) -> int:
    """Parse an action id."""
    if not re.fullmatch("[0-9]{1,9}", field.strip()):
        raise ValueError(f"{field!r} is not an action id (an integer)")
    return int(field)


def label_or_none(field: str) -> int:
    """Parse an action id; an empty field is -1."""
    return label(field) if field.strip() else -1


def track(field: str) -> int:
    """Parse a person id; an empty field is -1."""
    if not re.fullmatch("-?[0-9]{1,9}", field.strip() or "-1"):
        hint = "; the file may hold detections" if "." in field else ""
        raise ValueError(f"{field!r} is not a person id (an integer){hint}")
    return int(field.strip() or -1)


def number(field: str) -> float:
    """Parse a finite decimal number within the float32 range."""
    value = _decimal(field)
    if abs(value) > _MAX_FLOAT:
        raise ValueError(f"{field!r} is not a finite number")
    return value


def any_number(field: str) -> float:
    """Parse a decimal number, NaN or infinity, as evaluators do."""
    return float(field) if _NOT_FINITE.fullmatch(field.strip()) else _decimal(field)


def score(field: str) -> float:
    """Parse a number in 0..1."""
    value = number(field)
    if not 0 <= value <= 1:
        raise ValueError(f"{field!r} is outside 0..1")
    return value


def _decimal(field: str) -> float:
    if "," in field and _NUMBER.fullmatch(field.strip().replace(",", ".", 1)):
        raise ValueError(f"{field!r} has a decimal comma, wants a point")
    if not _NUMBER.fullmatch(field.strip()):
        raise ValueError(f"{field!r} is not a finite number")
    return float(field)
