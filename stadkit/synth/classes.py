"""Classes of rendered people: exactly one pose each, plus optional gestures, as in AVA."""

from __future__ import annotations

from stadkit.labels import Labels

# "sit" includes crouching, kneeling and sitting on the ground; "ride" is any of bicycle,
# motorcycle, scooter and horse. "jump" includes rare cartwheels and handstands, which fit no
# other class.
POSES = ("stand", "walk", "run", "sit", "bend", "jump", "lie", "ride")
GESTURES = ("wave", "clap", "punch", "kick", "raise arms", "phone")
CLASSES: tuple[str, ...] = POSES + GESTURES


def labels() -> Labels:
    """The classes with ids from 1, in the order of CLASSES."""
    return Labels(ids=tuple(range(1, len(CLASSES) + 1)), names=CLASSES)
