"""Two-stage detection: an end-to-end model finds people, a two-stage model classifies their boxes.

Both get their own clips around the same key times.
"""

from __future__ import annotations

from dataclasses import replace

from stadkit.detection.detector import BOXES_CONFLICT, Detector
from stadkit.detection.load import load
from stadkit.errors import UsageError
from stadkit.models.two_stage import NO_BOXES, TwoStage


def with_person_detector(actions: Detector, people: Detector) -> Detector:
    """A two-stage detector whose people are found by `people`; a video is decoded once.

    Person scores and the default threshold are those of `people`; its actions are not used.
    """
    card = replace(actions.card, min_person=people.card.min_person)
    both = Detector(actions.model, card, name=actions.name, sha256=actions.sha256)
    both.precision = actions.precision
    # For tubelet models, the key-frame box is used.
    finder = Detector(people.model, replace(people.card, tubelet=False), name=people.name)
    finder.sha256, finder.precision = people.sha256, people.precision
    both.person_detector = finder
    return both


def with_boxes(
    detector: Detector, people: str, proposals: bool, device: str, precision: str
) -> Detector:
    """Attach the model `people` to a two-stage detector, unless it classifies `proposals`.

    Raises UsageError for a two-stage detector without either, and for a person model with any
    other detector; WeightsError as `load` does.
    """
    two_stage = isinstance(detector.model, TwoStage)
    if not people:
        if two_stage and not proposals:
            raise UsageError(f"{detector.name}: {NO_BOXES}")
        return detector
    if proposals:
        raise UsageError(BOXES_CONFLICT)
    if not two_stage:
        raise UsageError(
            f"--person-model: {detector.name} finds people itself; the option is for two-stage "
            "models, whose names begin with roi-"
        )
    finder = load(people, device, precision)
    if isinstance(finder.model, TwoStage):
        raise UsageError(
            f"--person-model: {people} is a two-stage model and finds no people; name an "
            "end-to-end model, such as mestad-nano"
        )
    return with_person_detector(detector, finder)
