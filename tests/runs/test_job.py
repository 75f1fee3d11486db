"""Parsing of --classes."""

import numpy as np
import pytest

from stadkit.detections import Detections
from stadkit.errors import UsageError
from stadkit.labels import Labels, ava
from stadkit.runs.job import pick_classes, with_classes

LABELS = Labels((3, 7, 9), ("wave", "sit", "listen (e.g., to music)"))


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", (3, 7, 9)),
        ("sit, wave", (3, 7)),
        ("7", (7,)),
        ("listen (e.g., to music)", (9,)),
        ("wave,listen (e.g., to music), 7", (3, 7, 9)),
    ],
)
def test_names_and_ids(text: str, ids: tuple[int, ...]) -> None:
    assert pick_classes(text, LABELS).ids == ids


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="did you mean 'hand wave'"):
        pick_classes("hand wav", ava())


def test_columns_follow() -> None:
    table = Detections(
        video=np.array(["v"]),
        time=np.zeros(1),
        box=np.array([[0, 0, 1, 1]], np.float32),
        person=np.ones(1, np.float32),
        action=np.array([[0.1, 0.2, 0.3]], np.float32),
        track=np.full(1, -1, np.int32),
        classes=LABELS.names,
    )
    few = with_classes(table, pick_classes("9, wave", LABELS))
    assert few.classes == ("wave", "listen (e.g., to music)")
    np.testing.assert_allclose(few.action, [[0.1, 0.3]])
