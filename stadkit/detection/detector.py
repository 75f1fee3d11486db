"""A model with its card, on a device: videos or clips in, a table a keyframe out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stadkit.detection.bank import Around
from stadkit.detection.device import moved, pick_device, pick_precision
from stadkit.detection.prefetch import prefetch
from stadkit.detection.table import stack, to_batch, to_table, to_tubelets
from stadkit.detections import Detections, milliseconds
from stadkit.errors import StadkitError, UsageError
from stadkit.layers.memory_format import channels_last, fold_norms, lower
from stadkit.models import Outputs
from stadkit.models.classifiers import Bank
from stadkit.video.clips import Clip, Cut, clips, paired
from stadkit.video.decode import check_reader, open_video
from stadkit.video.frame import Video
from stadkit.video.keys import ALL, FRAME, Every, Part, check_times
from stadkit.zoo import Card

Times = NDArray[np.float64]  # [k] seconds from the start
T = TypeVar("T")
BOTH = "person boxes are from --proposals or from --person-model, not from both"
SHARED = 2  # frames of a tubelet that are of the next one, too: by these they are linked


@dataclass(frozen=True)
class Options:
    """What to look at and what to report; None: as the card says. Raises UsageError."""

    every: Every | None = None  # seconds between keyframes, or "frame"; None: as `Detector.every`
    start: float = 0.0  # seconds: the first keyframe
    duration: float | None = None  # seconds from start; None: to the end
    times: Sequence[float] | None = None  # seconds: these keyframes instead
    proposals: Detections | None = None  # person boxes to classify, instead of finding people
    min_person: float | None = None  # people below are not reported
    min_action: float | None = None  # action scores below become NaN; None: none do
    top_k: int | None = None  # people a keyframe, best first; None: all
    batch: int | None = None  # clips at once
    reader: str = "pyav"
    queries: Around | None = None  # who is seen in the rest of the video; see `detect.bank`
    strict: bool = False  # a video that can only be read in part is an error
    part: Part = ALL  # of the key times in order: those from one number to before another

    def __post_init__(self) -> None:
        seconds = 1.0 if self.every is None or self.every == FRAME else self.every
        check_times(seconds, self.start, self.duration)
        check_reader(self.reader)


class Detector:
    """A model ready to look at videos; it is put in eval mode and moved to the device."""

    def __init__(
        self,
        model: nn.Module,
        card: Card,
        device: str | None = None,
        precision: str = "auto",
        name: str = "",
        sha256: str = "",
    ) -> None:
        """`device` None leaves the model where it is; `sha256` is that of its weights."""
        first = next(model.parameters(), torch.empty(0))
        self.device = first.device if device is None else pick_device(device)
        if precision == "auto" and card.exact and self.device.type == "cpu":
            precision = "fp32"
        self.precision = pick_precision(precision, self.device)
        self.model = channels_last(moved(model.eval(), self.device))
        self.card = card
        self.name = name
        self.sha256 = sha256
        self.most_clips: int | None = None  # set when the device's memory was too small for more
        # Finds the people that a two-stage model classifies; see `detect.two_stage`.
        self.person_detector: Detector | None = None
        # Called with clips after the model's pass over them, before their tables are made.
        self.on_clips: Callable[[Sequence[Clip]], None] | None = None

    def lower(self) -> Detector:
        """The same detector, its norms folded and its weights in the precision of its products.

        Faster, with the same results but for rounding; the model cannot be trained after that.
        """
        channels_last(fold_norms(self.model))
        if self.precision is not torch.float32:
            lower(self.model, self.precision)
        return self

    @property
    def cut(self) -> Cut:
        """How this model wants its clips."""
        card = self.card
        return Cut(
            card.frames, card.seconds, card.key, card.short_side, card.resize, card.long_side
        )

    @property
    def every(self) -> float:
        """Seconds between keyframes where nobody says: 1; of tubelets, so that each begins
        SHARED frames before the last one ends."""
        card = self.card
        return max(card.frames - SHARED, 1) * card.seconds if card.tubelet else 1.0

    def detect(
        self,
        path: Path | str,
        every: Every | None = None,
        start: float = 0.0,
        duration: float | None = None,
        times: Sequence[float] | None = None,
        proposals: Detections | None = None,
        min_person: float | None = None,
        min_action: float | None = None,
        top_k: int | None = None,
        batch: int | None = None,
        reader: str = "pyav",
    ) -> Iterator[Detections]:
        """A table for each keyframe of a video, in order, while the video is being read.

        Of a model that gives tubelets it has a row a person and frame of the clip around; those of
        a tubelet share a `track`. Keyframes are at `start`, `start + every`, ... seconds, with
        `every` "frame" at each frame from there on, or at `times`. Thresholds left out are the
        card's, but `min_action`: without it every score is given, with it those below are NaN.
        `proposals` are person boxes to classify instead of finding people; then the keyframes are
        theirs, unless `times` says otherwise. Raises VideoError for a file that cannot be read.
        """
        options = Options(
            every, start, duration, times, proposals, min_person, min_action, top_k, batch, reader
        )
        with open_video(path, reader) as video:
            for _, table in self.watch(video, options):
                yield table

    def detect_clips(
        self,
        clips: Iterable[Clip],
        proposals: Detections | None = None,
        min_person: float | None = None,
        min_action: float | None = None,
        top_k: int | None = None,
        batch: int | None = None,
    ) -> Iterator[Detections]:
        """A table for each clip, in order; the options are those of `detect`."""
        options = Options(
            proposals=proposals,
            min_person=min_person,
            min_action=min_action,
            top_k=top_k,
            batch=batch,
        )
        for _, table in self.look(clips, options):
            yield table

    def watch(self, video: Video, options: Options) -> Iterator[tuple[Times, Detections]]:
        """(times looked at, table) for each keyframe of an open video; a thread decodes ahead."""
        if self.person_detector is not None:
            yield from self._watch_both(video, options, self.person_detector)
            return
        given, stem = options.proposals, video.info.path.stem
        times = asked_times(options, stem)
        if given is not None:
            given = given.select(given.video == stem)
        start, duration, cut = options.start, options.duration, self.cut
        every = self.every if options.every is None else options.every
        if self.card.tubelet and times is None:
            # The last clip may be around a time past the end: its first frames are before it.
            cut = replace(cut, past=max(cut.key - SHARED, 0) * cut.stride)
            duration = None if duration is None else duration + cut.past
        asked = clips(video, cut, every, start, duration, times, options.part)
        with prefetch(asked, 2 * self.batch(options)) as ready:
            yield from self.look(ready, replace(options, proposals=given))

    def _watch_both(
        self, video: Video, options: Options, people: Detector
    ) -> Iterator[tuple[Times, Detections]]:
        """`watch` with boxes of `people`, which sees clips of its own around the same key times.

        The video is decoded once. Raises UsageError where there are proposals, too.
        """
        if options.proposals is not None:
            raise UsageError(BOTH)
        every = self.every if options.every is None else options.every
        pairs = paired(
            video,
            people.cut,
            self.cut,
            every,
            options.start,
            options.duration,
            options.times,
            options.part,
        )
        finding = Options(min_person=options.min_person, batch=options.batch)
        size = max(self.batch(options), people.batch(options))
        with prefetch(pairs, 2 * size) as ready:
            for group in _groups(ready, size):
                first, second = zip(*group, strict=True)
                found = [table for _, table in people.look(first, finding)]
                boxes = Detections.join(found, people.card.classes.names)
                yield from self.look(second, replace(options, proposals=boxes))

    def look(self, clips: Iterable[Clip], options: Options) -> Iterator[tuple[Times, Detections]]:
        """(times looked at, table) for each clip, in order.

        The key time; of tubelets, whose numbers go on from clip to clip, those of all frames.
        """
        lowest = self.card.min_person if options.min_person is None else options.min_person
        given, made = options.proposals, 0
        for group in _groups(clips, self.batch(options)):
            boxes = None if given is None else [_at(given, clip, lowest) for clip in group]
            outputs = self._run(group, boxes, options.queries)
            tables = self._tables(outputs, group, lowest, options.top_k, made)
            made = max([made, *(int(table.track.max(initial=-1)) + 1 for table in tables)])
            for clip, table in zip(group, tables, strict=True):
                low = options.min_action
                seen = np.unique(clip.times) if self.card.tubelet else np.array([clip.time])
                yield seen, table if low is None else _blank_below(table, low)

    def _tables(
        self,
        outputs: Outputs,
        group: Sequence[Clip],
        lowest: float,
        top_k: int | None,
        first: int,
    ) -> list[Detections]:
        """A table a clip; tubelets have numbers from `first` on."""
        make = partial(to_tubelets, first=first) if self.card.tubelet else to_table
        return make(outputs, group, self.card.classes.names, lowest, top_k)

    def batch(self, options: Options) -> int:
        """Clips at once: as asked, else the card's; on a CPU at most as many as it has threads.

        With more a CPU wins little and answers later. They stay a whole part of the card's, so
        that ranges of whole batches stay such.
        """
        if options.batch or self.device.type != "cpu":
            return options.batch or self.card.batch
        most = min(self.card.batch, torch.get_num_threads())
        return next(n for n in range(most, 0, -1) if self.card.batch % n == 0)

    def _run(
        self, group: Sequence[Clip], given: Sequence[Detections] | None, queries: Around | None
    ) -> Outputs:
        """One pass over these clips; over smaller groups from when memory was short."""
        try:
            if len(group) <= (self.most_clips or len(group)):
                pixels, sizes = to_batch(group, self.card, self.device)
                known = {} if queries is None else {"bank": queries.around(group).to(self.device)}
                outputs = self.forward(pixels, sizes, *_proposals(given), **known)
                if self.on_clips is not None:
                    self.on_clips(group)
                return outputs
        except torch.OutOfMemoryError:
            if len(group) == 1:
                raise StadkitError(
                    f"{self.device}: out of memory with one clip; try --device cpu"
                ) from None
            self.most_clips = len(group) // 2
        half = len(group) // 2
        return stack(
            self._run(group[:half], None if given is None else given[:half], queries),
            self._run(group[half:], None if given is None else given[half:], queries),
        )

    @torch.inference_mode()
    def forward(
        self, pixels: Tensor, sizes: Tensor, *given: list[Tensor], **known: Bank
    ) -> Outputs:
        """The model on a batch as `to_batch` makes it, in this detector's precision.

        given: boxes [n_i, 4] of each clip, as fractions, and their scores [n_i]; known: `bank`,
        who is seen around each clip, for a model that reads it.
        """
        low = self.precision is not torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=low):
            outputs: Outputs = self.model(pixels, sizes, *given, **known)
        return outputs


def asked_times(options: Options, video: str) -> Sequence[float] | None:
    """Key times given one by one: `times`, else those of the video's proposals; None: `every`."""
    if options.times is not None or options.proposals is None:
        return options.times
    return key_times(options.proposals.select(options.proposals.video == video), options)


def key_times(proposals: Detections, options: Options) -> list[float]:
    """The distinct times of these rows, in order, within start and duration."""
    end = np.inf if options.duration is None else options.start + options.duration
    times = np.unique(milliseconds(proposals.time)) / 1000
    return [float(time) for time in times[(times >= options.start) & (times < end)]]


def _proposals(given: Sequence[Detections] | None) -> list[list[Tensor]]:
    """Boxes and scores of each clip as a model takes them; nothing where none are given."""
    if given is None:
        return []
    # A proposal without a score counts as certain.
    scores = (np.nan_to_num(table.person, nan=1.0) for table in given)
    boxes = [torch.from_numpy(table.box) for table in given]
    return [boxes, [torch.from_numpy(score) for score in scores]]


def _at(proposals: Detections, clip: Clip, min_person: float) -> Detections:
    """The proposals of a clip's key time; without those too low to be shown, to save the work."""
    now = milliseconds(proposals.time) == milliseconds(np.array([clip.time]))
    return proposals.select(now & ~(proposals.person < min_person))


def _blank_below(table: Detections, min_action: float) -> Detections:
    low = np.where(table.action < min_action, np.float32(np.nan), table.action)
    return replace(table, action=low.astype(np.float32))


def _groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while group := list(itertools.islice(rest, size)):
        yield group
