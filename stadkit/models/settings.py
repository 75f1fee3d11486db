"""Validation of model configs: one-line errors that name the field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stadkit.errors import UsageError


def check_counts(config: object, *names: str) -> None:
    """Raise UsageError unless all these fields are whole numbers above 0."""
    for name in names:
        if not is_count(getattr(config, name)):
            raise _invalid(config, name, "a whole number above 0")


def check_split(config: object, name: str, parts: str) -> None:
    """Raise UsageError unless the field is a multiple of the field named `parts`."""
    check_counts(config, name, parts)
    if getattr(config, name) % getattr(config, parts):
        raise _invalid(config, name, f"a multiple of {parts}, {getattr(config, parts)}")


def check_rate(config: object, name: str) -> None:
    """Raise UsageError unless the field is a number in [0, 1)."""
    rate = getattr(config, name)
    if not (_is_number(rate) and 0 <= rate < 1):
        raise _invalid(config, name, "at least 0 and below 1")


def check_cells(config: object, name: str) -> None:
    """Raise UsageError unless the field is two whole numbers above 0."""
    value = getattr(config, name)
    if not (_is_pair(value) and all(is_count(x) for x in value)):
        raise _invalid(config, name, "two whole numbers above 0")


def check_shares(config: object, name: str) -> None:
    """Raise UsageError unless the field is two finite numbers, 0 or above."""
    value = getattr(config, name)
    if not (_is_pair(value) and all(_is_number(x) and 0 <= x < float("inf") for x in value)):
        raise _invalid(config, name, "two numbers, 0 or above")


def is_count(value: Any) -> bool:
    """Whether the value is a whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def to_tuples(config: object, *names: str) -> None:
    """Convert lists in these fields of a frozen config to tuples: YAML and JSON have no tuples."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, list):
            object.__setattr__(config, name, tuple(value))


def _is_pair(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _invalid(config: object, name: str, wanted: str) -> UsageError:
    field = f"{type(config).__name__}.{name}"
    return UsageError(f"{field} is {getattr(config, name)!r}; it must be {wanted}.")
