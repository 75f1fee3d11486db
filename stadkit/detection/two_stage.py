"""A two-stage model and who finds its people: an end-to-end model looks first, at clips of its own
around the same key times, and its boxes are classified.
"""

from __future__ import annotations

from dataclasses import replace

from stadkit.detection.detector import BOTH, Detector
from stadkit.detection.load import load
from stadkit.errors import UsageError
from stadkit.models.two_stage import NO_BOXES, TwoStage


def with_person_detector(actions: Detector, people: Detector) -> Detector:
    """A two-stage detector whose people another one finds; a video is decoded once.

    A person's score is that of `people`, and so is the threshold unless one is given. The actions
    of `people` are not used.
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
    """The detector with where its people come from: itself, `proposals`, or the model `people`.

    Raises UsageError where a two-stage one has neither, and any other is given a person model;
    WeightsError as `load` does.
    """
    two_stage = isinstance(detector.model, TwoStage)
    if not people:
        if two_stage and not proposals:
            raise UsageError(f"{detector.name}: {NO_BOXES}")
        return detector
    if proposals:
        raise UsageError(BOTH)
    if not two_stage:
        raise UsageError(
            f"--person-model: {detector.name} finds its own people; it is for two-stage models, "
            "whose names begin with roi-"
        )
    finder = load(people, device, precision)
    if isinstance(finder.model, TwoStage):
        raise UsageError(
            f"--person-model: {people} finds nobody, it wants boxes itself; name an end-to-end "
            "model, such as mestad-nano"
        )
    return with_person_detector(detector, finder)
