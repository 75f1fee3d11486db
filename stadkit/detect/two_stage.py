"""A two-stage model and who finds its people: an end-to-end model looks first, at clips of its own
around the same key times, and its boxes are classified.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from stadkit.detect.detector import Detector, Options, Times
from stadkit.detect.load import load
from stadkit.detect.prefetch import prefetch
from stadkit.detections import Detections
from stadkit.errors import UsageError
from stadkit.models.two_stage import NO_BOXES, TwoStage
from stadkit.video.clips import Clip, paired
from stadkit.video.frame import Video

Pair = tuple[Clip, Clip]  # the clip in which people are found, the one in which they act
BOTH = "person boxes are from --proposals or from --person-model, not from both"


class TwoStageDetector(Detector):
    """A two-stage detector that finds its people with another one; a video is decoded once.

    A person's score is the finder's, and so is the threshold where nobody says another. What the
    finder says of actions is not used.
    """

    def __init__(self, actions: Detector, people: Detector) -> None:
        card = replace(actions.card, min_person=people.card.min_person)
        super().__init__(actions.model, card, name=actions.name, sha256=actions.sha256)
        self.precision = actions.precision
        # Of a tubelet the box at the key frame.
        self.people = Detector(people.model, replace(people.card, tubelet=False), name=people.name)
        self.people.sha256, self.people.precision = people.sha256, people.precision

    def watch(self, video: Video, options: Options) -> Iterator[tuple[Times, Detections]]:
        """As `Detector.watch`; raises UsageError where there are proposals, too."""
        if options.proposals is not None:
            raise UsageError(BOTH)
        every = self.every if options.every is None else options.every
        cuts = (self.people.cut, self.cut)
        asked = paired(
            video, *cuts, every, options.start, options.duration, options.times, options.part
        )
        size = max(self.batch(options), self.people.batch(options))
        with prefetch(asked, 2 * size) as ready:
            while pairs := list(islice(ready, size)):
                yield from self._both(pairs, options)

    def _both(self, pairs: Sequence[Pair], options: Options) -> Iterator[tuple[Times, Detections]]:
        first, second = zip(*pairs, strict=True)
        asked = Options(min_person=options.min_person, batch=options.batch)
        found = [table for _, table in self.people.look(first, asked)]
        boxes = Detections.join(found, self.people.card.classes.names)
        yield from self.look(second, replace(options, proposals=boxes))


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
    return TwoStageDetector(detector, finder)
