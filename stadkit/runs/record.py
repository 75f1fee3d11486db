"""A manifest's record of one video: how it ended, what was read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

STATUSES = ("ok", "partial", "failed")  # of a finished video; before that "begun"


@dataclass(frozen=True)
class VideoRecord:
    """The entry of a video in manifest.json; fields that are None are left out of the file."""

    status: str  # "begun", or one of STATUSES
    input: str | None = None  # path or URL, as the user named it
    outputs: Mapping[str, str] | None = None  # path below the folder -> sha256
    sha256: str | None = None  # of the input
    bytes: int | None = None
    queries: str | None = None  # sha256 of the header of its query bank
    reason: str | None = None  # why it is partial or failed
    reader: str | None = None
    size: tuple[int, int] | None = None  # height, width in pixels
    rate: float | None = None  # frames per second
    frames: int | None = None
    expected: int | None = None  # frames that the file lists
    keyframes: int | None = None
    people: int | None = None  # person boxes in all keyframes
    outside: int | None = None  # proposal times outside the video
    note: str | None = None
    batch: int | None = None  # clips per pass
    threads: int | None = None  # CPU threads of the model
    tracks: int | None = None
    tubes: int | None = None
    cuts: int | None = None  # shot changes
    live: Mapping[str, Any] | None = None  # counters of a live source
    unusable: bool | None = None  # the input is not a video
    seconds: float | None = None  # processing time
    fingerprint: str | None = None  # of everything that the results depend on
    kept: bool | None = None  # taken from an earlier run; never in a manifest
    unknown: Mapping[str, Any] = field(default_factory=dict)  # keys of other versions

    @property
    def done(self) -> bool:
        """Whether there are results, at least for a part of the video."""
        return self.status in ("ok", "partial")

    def to_json(self) -> dict[str, Any]:
        """The record as stored in the manifest."""
        held = {name: getattr(self, name) for name in _NAMES}
        null = self._null_fields()
        kept = {name: value for name, value in held.items() if value is not None or name in null}
        if self.size is not None:
            kept["size"] = list(self.size)
        return kept | dict(self.unknown)

    def _null_fields(self) -> set[str]:
        """The fields that are written even if null."""
        null = {"fingerprint"}
        if self.reader is not None:
            null.add("expected")  # not every container lists its frames
        if self.batch is not None and self.live is None:
            null.add("threads")  # workers share the CPUs
        return null

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; unknown keys are kept.

        Raises TypeError or KeyError if `held` is not an entry of a manifest.
        """
        known = {name: held[name] for name in _NAMES if name in held}
        if known.get("size") is not None:
            known["size"] = tuple(known["size"])
        others = {name: value for name, value in held.items() if name not in _NAMES}
        return cls(**{"status": "", **known}, unknown=others)


_NAMES = tuple(each.name for each in fields(VideoRecord) if each.name != "unknown")
