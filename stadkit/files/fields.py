"""What a field of a CSV row may hold: each function gives its value, or says why it has none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Controls and lone surrogates; a line break inside quotes would spoil the line numbers.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_SECONDS = re.compile(r"-?[0-9]{1,11}(\.[0-9]*)?")

_LARGEST = 3e38  # float32 holds little more


@dataclass(frozen=True)
class Column:
    """What the fields of one column are; `parse` raises ValueError with the reason where not.

    A column of floats is read by pandas and must lie in `low..high`, unless it is free: then it
    may hold any number, NaN and infinity too. Other columns go through `parse`.
    """

    name: str
    parse: Callable[[str], Any]
    floats: bool = False
    low: float = -_LARGEST
    high: float = _LARGEST
    free: bool = False


def text(field: str) -> str:
    """An id, byte for byte: '007', 'NA' and ' a' stay as they are."""
    if not field:
        raise ValueError("is empty")
    if _CONTROL.search(field):
        raise ValueError(f"{field!r} holds a control character")
    return field


def seconds(field: str) -> float:
    """'0902' or '902.04' -> seconds."""
    if not _SECONDS.fullmatch(field.strip()):
        raise ValueError(f"{field!r} is not a time in seconds")
    return float(field)


def label(field: str) -> int:
    """The id of an action."""
    if not re.fullmatch("[0-9]{1,9}", field.strip()):
        raise ValueError(f"{field!r} is not the id of an action, a whole number")
    return int(field)


def label_or_none(field: str) -> int:
    """The id of an action, -1 for an empty field."""
    return label(field) if field.strip() else -1


def track(field: str) -> int:
    """A person's id; an empty field is -1."""
    if not re.fullmatch("-?[0-9]{1,9}", field.strip() or "-1"):
        scored = "; are these detections?" if "." in field else ""
        raise ValueError(f"{field!r} is not a person's id, a whole number{scored}")
    return int(field.strip() or -1)


def number(field: str) -> float:
    """A decimal number that float32 can hold; NaN and infinity are none."""
    value = _decimal(field)
    if abs(value) > _LARGEST:
        raise ValueError(f"{field!r} is not a finite number")
    return value


def any_number(field: str) -> float:
    """A decimal number, NaN or infinity, as evaluators read them."""
    return float(field) if _NOT_FINITE.fullmatch(field.strip()) else _decimal(field)


def score(field: str) -> float:
    """A number in 0..1."""
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
