"""A model with its card, on a device: takes videos or clips, yields one table per keyframe."""

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

from stadkit.detection.bank import BankSource
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
BOXES_CONFLICT = "give person boxes by --proposals or by --person-model, not both"
SHARED_FRAMES = 2  # overlap of consecutive tubelets, by which they are linked


@dataclass(frozen=True)
class DetectOptions:
    """Which keyframes to process and what to report; None: the card's value. Raises UsageError."""

    every: Every | None = None  # seconds between keyframes, or "frame"; None: `Detector.every`
    start: float = 0.0  # seconds: the first keyframe
    duration: float | None = None  # seconds from start; None: to the end
    times: Sequence[float] | None = None  # seconds: explicit keyframes, instead of `every`
    proposals: Detections | None = None  # person boxes to classify instead of detecting people
    min_person: float | None = None  # people with lower scores are dropped
    min_action: float | None = None  # lower action scores become NaN; None: all are kept
    top_k: int | None = None  # people per keyframe, best first; None: all
    batch: int | None = None  # clips per forward pass
    reader: str = "pyav"
    queries: BankSource | None = None  # long-term context; see `detection.bank`
    strict: bool = False  # fail on a video that can only be read in part
    part: Part = ALL  # half-open index range of the sorted key times

    def __post_init__(self) -> None:
        seconds = 1.0 if self.every is None or self.every == FRAME else self.every
        check_times(seconds, self.start, self.duration)
        check_reader(self.reader)


class Detector:
    """A model ready for inference: in eval mode, on its device."""

    def __init__(
        self,
        model: nn.Module,
        card: Card,
        device: str | None = None,
        precision: str = "auto",
        name: str = "",
        sha256: str = "",
    ) -> None:
        """`device` None leaves the model where it is; `sha256`: checksum of its weights."""
        first = next(model.parameters(), torch.empty(0))
        self.device = first.device if device is None else pick_device(device)
        if precision == "auto" and card.exact and self.device.type == "cpu":
            precision = "fp32"
        self.precision = pick_precision(precision, self.device)
        self.model = channels_last(moved(model.eval(), self.device))
        self.card = card
        self.name = name
        self.sha256 = sha256
        self.max_clips: int | None = None  # clips per pass, set after running out of memory
        # Finds the people that a two-stage model classifies; see `detection.two_stage`.
        self.person_detector: Detector | None = None
        # Called with the clips of a batch after its forward pass, before the tables are built.
        self.on_clips: Callable[[Sequence[Clip]], None] | None = None

    def lower(self) -> Detector:
        """Fold the norms and cast the weights to this detector's precision, in place.

        Faster, with the same results up to rounding; the model cannot be trained afterwards.
        """
        channels_last(fold_norms(self.model))
        if self.precision is not torch.float32:
            lower(self.model, self.precision)
        return self

    @property
    def cut(self) -> Cut:
        """How clips are cut for this model."""
        card = self.card
        return Cut(
            card.frames, card.seconds, card.key, card.short_side, card.resize, card.long_side
        )

    @property
    def every(self) -> float:
        """Default seconds between keyframes.

        1 or, for tubelet models, such that consecutive tubelets share SHARED_FRAMES frames.
        """
        card = self.card
        return max(card.frames - SHARED_FRAMES, 1) * card.seconds if card.tubelet else 1.0

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
        """Yield a table for each keyframe of a video, in order, while the video is being read.

        For tubelet models, a table has a row per person and frame of the clip; rows of one tubelet
        share a `track`. Keyframes are at `start`, `start + every`, ... seconds, with `every`
        "frame" at every frame from `start` on, or at `times`. Thresholds default to the card's,
        except `min_action`: without it all scores are reported, with it lower ones are NaN.
        `proposals` are person boxes to classify instead of detecting people; their times are the
        keyframes unless `times` is set. Raises VideoError for a file that cannot be read.
        """
        options = DetectOptions(
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
        """Yield a table for each clip, in order; the options are those of `detect`."""
        options = DetectOptions(
            proposals=proposals,
            min_person=min_person,
            min_action=min_action,
            top_k=top_k,
            batch=batch,
        )
        for _, table in self.look(clips, options):
            yield table

    def watch(self, video: Video, options: DetectOptions) -> Iterator[tuple[Times, Detections]]:
        """Yield (processed times, table) per keyframe of an open video; a thread decodes ahead."""
        if self.person_detector is not None:
            yield from self._watch_two_stage(video, options, self.person_detector)
            return
        proposals, stem = options.proposals, video.info.path.stem
        times = explicit_times(options, stem)
        if proposals is not None:
            proposals = proposals.select(proposals.video == stem)
        start, duration, cut = options.start, options.duration, self.cut
        every = self.every if options.every is None else options.every
        if self.card.tubelet and times is None:
            # The last clip may be centred past the end, as its first frames lie before the end.
            cut = replace(cut, past=max(cut.key - SHARED_FRAMES, 0) * cut.stride)
            duration = None if duration is None else duration + cut.past
        wanted = clips(video, cut, every, start, duration, times, options.part)
        with prefetch(wanted, 2 * self.batch(options)) as ready:
            yield from self.look(ready, replace(options, proposals=proposals))

    def _watch_two_stage(
        self, video: Video, options: DetectOptions, people: Detector
    ) -> Iterator[tuple[Times, Detections]]:
        """`watch` with boxes by `people`, which gets its own clips around the same key times.

        The video is decoded once. Raises UsageError if there are proposals too.
        """
        if options.proposals is not None:
            raise UsageError(BOXES_CONFLICT)
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
        finding = DetectOptions(min_person=options.min_person, batch=options.batch)
        size = max(self.batch(options), people.batch(options))
        with prefetch(pairs, 2 * size) as ready:
            for group in _groups(ready, size):
                first, second = zip(*group, strict=True)
                found = [table for _, table in people.look(first, finding)]
                boxes = Detections.join(found, people.card.classes.names)
                yield from self.look(second, replace(options, proposals=boxes))

    def look(
        self, clips: Iterable[Clip], options: DetectOptions
    ) -> Iterator[tuple[Times, Detections]]:
        """Yield (processed times, table) for each clip, in order.

        Times are the key time or, for tubelet models, all frames of the clip; track numbers
        continue from clip to clip.
        """
        min_person = self.card.min_person if options.min_person is None else options.min_person
        proposals, tracks = options.proposals, 0
        for group in _groups(clips, self.batch(options)):
            boxes = None
            if proposals is not None:
                boxes = [_proposals_at(proposals, clip, min_person) for clip in group]
            outputs = self._run(group, boxes, options.queries)
            tables = self._tables(outputs, group, min_person, options.top_k, tracks)
            tracks = max([tracks, *(int(table.track.max(initial=-1)) + 1 for table in tables)])
            for clip, table in zip(group, tables, strict=True):
                low = options.min_action
                times = np.unique(clip.times) if self.card.tubelet else np.array([clip.time])
                yield times, table if low is None else _blank_below(table, low)

    def _tables(
        self,
        outputs: Outputs,
        group: Sequence[Clip],
        min_person: float,
        top_k: int | None,
        first: int,
    ) -> list[Detections]:
        """One table per clip; tubelets are numbered from `first`."""
        make = partial(to_tubelets, first=first) if self.card.tubelet else to_table
        return make(outputs, group, self.card.classes.names, min_person, top_k)

    def batch(self, options: DetectOptions) -> int:
        """Clips per pass: the option, else the card's; on a CPU at most its number of threads.

        Larger batches gain little on a CPU and add latency. The size divides the card's, so that
        ranges of whole batches stay whole.
        """
        if options.batch or self.device.type != "cpu":
            return options.batch or self.card.batch
        largest = min(self.card.batch, torch.get_num_threads())
        return next(n for n in range(largest, 0, -1) if self.card.batch % n == 0)

    def _run(
        self,
        group: Sequence[Clip],
        proposals: Sequence[Detections] | None,
        queries: BankSource | None,
    ) -> Outputs:
        """One forward pass over the clips; split in halves once memory has run out."""
        try:
            if len(group) <= (self.max_clips or len(group)):
                pixels, sizes = to_batch(group, self.card, self.device)
                bank = {} if queries is None else {"bank": queries.around(group).to(self.device)}
                outputs = self.forward(pixels, sizes, *_proposal_tensors(proposals), **bank)
                if self.on_clips is not None:
                    self.on_clips(group)
                return outputs
        except torch.OutOfMemoryError:
            if len(group) == 1:
                raise StadkitError(
                    f"{self.device}: out of memory with one clip; try --device cpu"
                ) from None
            self.max_clips = len(group) // 2
        half = len(group) // 2
        return stack(
            self._run(group[:half], None if proposals is None else proposals[:half], queries),
            self._run(group[half:], None if proposals is None else proposals[half:], queries),
        )

    @torch.inference_mode()
    def forward(
        self, pixels: Tensor, sizes: Tensor, *proposals: list[Tensor], **context: Bank
    ) -> Outputs:
        """Run the model on a batch from `to_batch`, in this detector's precision.

        proposals: boxes [n_i, 4] of each clip, as fractions, and their scores [n_i]; context:
        `bank`, the people around each clip, for a model that reads it.
        """
        low = self.precision is not torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=low):
            outputs: Outputs = self.model(pixels, sizes, *proposals, **context)
        return outputs


def explicit_times(options: DetectOptions, video: str) -> Sequence[float] | None:
    """Explicit key times: `times`, else those of the video's proposals; None: use `every`."""
    if options.times is not None or options.proposals is None:
        return options.times
    return key_times(options.proposals.select(options.proposals.video == video), options)


def key_times(proposals: Detections, options: DetectOptions) -> list[float]:
    """The distinct times of the proposals, sorted, within start and duration."""
    end = np.inf if options.duration is None else options.start + options.duration
    times = np.unique(milliseconds(proposals.time)) / 1000
    return [float(time) for time in times[(times >= options.start) & (times < end)]]


def _proposal_tensors(proposals: Sequence[Detections] | None) -> list[list[Tensor]]:
    """[boxes, scores] of each clip as the model takes them; empty without proposals."""
    if proposals is None:
        return []
    # A proposal without a score counts as certain.
    scores = (np.nan_to_num(table.person, nan=1.0) for table in proposals)
    boxes = [torch.from_numpy(table.box) for table in proposals]
    return [boxes, [torch.from_numpy(score) for score in scores]]


def _proposals_at(proposals: Detections, clip: Clip, min_person: float) -> Detections:
    """The proposals at a clip's key time; those below the threshold are dropped to save work."""
    now = milliseconds(proposals.time) == milliseconds(np.array([clip.time]))
    return proposals.select(now & ~(proposals.person < min_person))


def _blank_below(table: Detections, min_action: float) -> Detections:
    low = np.where(table.action < min_action, np.float32(np.nan), table.action)
    return replace(table, action=low.astype(np.float32))


def _groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while group := list(itertools.islice(rest, size)):
        yield group
