"""What is said in words: some of a model's classes, by name or id; how often to look."""

from __future__ import annotations

import difflib
from dataclasses import replace

from stadkit.detections import Detections
from stadkit.errors import UsageError
from stadkit.labels import Labels
from stadkit.video.keys import FRAME, Every


def pick_classes(text: str, labels: Labels) -> Labels:
    """ "walk, 3" -> those labels, in the model's order; all of them for an empty text.

    Names that hold commas are found too. Raises UsageError for one that the model lacks.
    """
    if not text.strip():
        return labels
    wanted = set(_split(text, labels))
    rows = [i for i, name in enumerate(labels.names) if name in wanted]
    return Labels(tuple(labels.ids[i] for i in rows), tuple(labels.names[i] for i in rows))


def pick_every(text: str | None) -> Every | None:
    """ "0.5" -> seconds between keyframes; "frame" as it is; raises UsageError for other words."""
    if text is None or text == FRAME:
        return text
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--every {text!r}: wants seconds, such as 0.5, or {FRAME}") from None


def _split(text: str, labels: Labels) -> list[str]:
    by_id = {str(number): name for number, name in zip(labels.ids, labels.names, strict=True)}
    names: list[str] = []
    rest = [part.strip() for part in text.split(",")]
    while rest:
        # The longest run of parts that is a name: AVA has "listen (e.g., to music)".
        for length in range(len(rest), 0, -1):
            name = ", ".join(rest[:length])
            if name in labels.names or name in by_id:
                names.append(name if name in labels.names else by_id[name])
                rest = rest[length:]
                break
        else:
            raise UsageError(_unknown(rest[0], labels))
    return names


def _unknown(name: str, labels: Labels) -> str:
    near = difflib.get_close_matches(name, labels.names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(labels.names[:5])}, ..."
    return f"--classes: the model has no class {name!r}; {hint}"


def with_classes(table: Detections, labels: Labels) -> Detections:
    """The same people with only these classes."""
    if labels.names == table.classes:
        return table
    columns = [table.classes.index(name) for name in labels.names]
    return replace(table, action=table.action[:, columns], classes=labels.names)
