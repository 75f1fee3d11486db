"""What is known of videos beside what was found in them: sizes, rates, how many frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from stadkit.cli.link_check import RATES
from stadkit.cli.link_files import MANIFEST

if TYPE_CHECKING:
    from stadkit.files.tube_truth import TubeTruth


@dataclass(frozen=True)
class VideoFacts:
    """What is known of videos beside what was found in them."""

    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)  # height, width in pixels
    frames: dict[str, int] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)  # frames a second


def of_truth(truth: TubeTruth) -> VideoFacts:
    """What a GT.pkl says of its videos."""
    return VideoFacts(truth.sizes, truth.frames, dict.fromkeys(truth.frames, truth.rate))


def of_manifests(paths: Sequence[Path]) -> VideoFacts:
    """What the manifests that `detect` writes say of their videos."""
    facts = VideoFacts()
    folders = dict.fromkeys(path if path.is_dir() else path.parent for path in paths)
    for folder in folders:
        for video, entry in _entries(folder / MANIFEST):
            size, rate, frames = (entry.get(key) for key in ("size", "rate", "frames"))
            if isinstance(size, list) and len(size) == 2 and all(map(_counts, size)):
                facts.sizes[video] = (size[0], size[1])
            if _counts(frames) and isinstance(rate, int | float) and 0 < rate <= RATES[1]:
                facts.frames[video], facts.rates[video] = frames, float(rate)
    return facts


def _counts(value: Any) -> TypeGuard[int]:
    return type(value) is int and value > 0  # true is none


def _entries(manifest: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(video, its entry) of a manifest; none of a file that is missing or something else."""
    try:
        held = json.loads(manifest.read_text("utf-8"))["videos"]
        yield from ((str(video), dict(entry)) for video, entry in held.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
