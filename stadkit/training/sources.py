"""Sources of training examples: rendered clips and annotated videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stadkit import synth
from stadkit.detections import Detections, Keyframes, milliseconds, number_frames
from stadkit.errors import AnnotationError, UsageError, VideoError
from stadkit.files.ava_csv import read_truth
from stadkit.labels import Labels, read_labels
from stadkit.training.bank_settings import Banks, Near
from stadkit.training.clips import ClipStore, clips_from_frames, video_paths
from stadkit.training.config import AnnotatedSource, PlaygroundSource
from stadkit.training.tubelets import ClipTracks, ExampleTubes, to_tubes
from stadkit.video.clips import Clip, Cut, clips
from stadkit.video.decode import open_video

if TYPE_CHECKING:
    from stadkit.zoo import Card


@dataclass(frozen=True)
class Example:
    """A clip with the truth at its key frame, and in all frames for tubelet models."""

    clip: Clip
    box: NDArray[np.float32]  # [n, 4]  fractions of the frame
    action: NDArray[np.float32]  # [n, C]  0 or 1
    joints: NDArray[np.float32] | None = None  # [n, T, 20, 2]  fractions, as skeleton.JOINTS
    tubes: ExampleTubes | None = None
    near: Near | None = None  # bank entries around the key frame, where the source has banks


class ExampleSource(Protocol):
    """Examples by index; an index always gives the same example."""

    labels: Labels

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


class Playground:
    """Clips rendered on first use and cached."""

    def __init__(self, config: PlaygroundSource, card: Card, store: Path) -> None:
        self.labels = synth.labels()
        self._config, self._card = config, card
        size = (card.frames, card.stride, card.key, config.height, config.width)
        made_from: dict[str, Any] = {"playground": size, "generator": _generator()}
        # Defaults are left out, so that stores older than these options keep their key.
        options = {"variety": config.variety, "pace": config.pace, "glitches": config.glitches}
        defaults = {"variety": "standard", "pace": 1.0, "glitches": 0.0}
        made_from |= {name: value for name, value in options.items() if value != defaults[name]}
        if card.tubelet:
            made_from["tubes"] = True
        self._store = ClipStore(store, made_from)

    def __len__(self) -> int:
        return self._config.clips

    def __getitem__(self, index: int) -> Example:
        seed = self._config.seed + index
        name = f"{seed:09d}"
        if name not in self._store:
            rendered = vars(self._render(seed))
            tubes = ("tube_box", "tube_action") if self._card.tubelet else ()
            arrays = {key: rendered[key] for key in ("box", "action", "joints", *tubes)}
            self._store.put(name, rendered["pixels"], **arrays)
        pixels, truth = self._store.get(name)
        return Example(
            clip=self._clip(name, pixels),
            box=truth["box"],
            action=truth["action"],
            joints=truth["joints"],
            tubes=self._tubes(truth) if self._card.tubelet else None,
        )

    def _tubes(self, truth: dict[str, NDArray[Any]]) -> ExampleTubes:
        known = np.ones(self._card.frames, np.bool_)  # rendered truth covers all frames
        return to_tubes(truth["tube_box"], truth["tube_action"], known)

    def _render(self, seed: int) -> synth.RenderedClip:
        card, config = self._card, self._config
        return synth.render_clip(
            seed,
            frames=card.frames,
            stride=card.seconds,
            key=card.key,
            height=config.height,
            width=config.width,
            variety=_variety(config.variety, seed),
            tubes=card.tubelet,
            pace=config.pace,
            glitches=config.glitches,
        )

    def _clip(self, name: str, pixels: NDArray[np.uint8]) -> Clip:
        times = np.arange(len(pixels), dtype=np.float64) * self._card.seconds
        return Clip(name, pixels, float(times[self._card.key]), times, pixels.shape[1:3])


def _variety(chosen: str, seed: int) -> Literal["standard", "wide"]:
    """The variety of one clip."""
    odd = chosen == "mixed" and seed % 2 == 1
    return "wide" if chosen == "wide" or odd else "standard"


def _generator() -> str:
    """Hash of the renderer's code, so that another version renders its own clips."""
    import hashlib

    files = sorted(Path(synth.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


class Annotated:
    """AVA-format truth over videos or extracted frames; each labelled keyframe is an example."""

    def __init__(self, config: AnnotatedSource, card: Card, store: Path) -> None:
        self.labels = read_labels(config.labels)
        self._config = config
        self._cut = Cut(
            card.frames, card.seconds, card.key, config.short_side, card.resize, card.long_side
        )
        self.truth = read_truth(config.truth, self.labels)
        if not len(self.truth):
            raise AnnotationError(f"{config.truth}: has no rows to train on; add annotations")
        if card.tubelet and config.thin > 1:
            raise UsageError("thin: tubelet models need every labelled frame; leave it out")
        self.truth = _thinned(self.truth, config.thin)
        self.keys = Keyframes.of(self.truth)
        self.rows = _rows_of(self.keys, self.truth)
        self._tracks = _tracks_of(config, self.truth) if card.tubelet else None
        videos = sorted(set(self.keys.video.tolist()))
        self._paths = video_paths(config, videos)
        self._banks = None if config.queries is None else Banks(config, videos, card)
        self._store = ClipStore(store, _made_from(config, self._cut))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Example:
        clip = self.clip(self.keys, index)
        rows = self.rows[index]
        return Example(
            clip=clip,
            box=self.truth.box[rows],
            action=self.truth.action[rows],
            tubes=self._tubes(clip, rows),
            near=self.near(clip),
        )

    def clip(self, frames: Keyframes, index: int, past: float = 0.0) -> Clip:
        """The clip around one of these frames; one pass over its video stores the clips of all.

        Times up to `past` seconds after the video's last frame repeat it.
        """
        video, time = str(frames.video[index]), float(frames.time[index])
        name = _clip_name(video, time)
        if name not in self._store:
            self._fill_store(video, np.sort(frames.time[frames.video == video]), past)
        pixels, arrays = self._store.get(name)
        return Clip(video, pixels, time, arrays["times"], tuple(arrays["size"].tolist()))

    def near(self, clip: Clip) -> Near | None:
        """Bank entries around a clip, where the source has banks."""
        if self._banks is None:
            return None
        # Banks have the video's own times.
        return self._banks.near(clip.video, clip.time - self._config.offset)

    def _tubes(self, clip: Clip, rows: NDArray[np.int64]) -> ExampleTubes | None:
        if self._tracks is None:
            return None
        times = clip.times + self._config.offset
        return self._tracks.tubes(clip.video, times, self._cut.key, rows)

    def _fill_store(self, video: str, times: NDArray[np.float64], past: float) -> None:
        """Store a video's clips around these times, in one sequential pass."""
        for clip in self._cut_clips(video, times, past):
            size = np.array(clip.size)
            name = _clip_name(video, clip.time + self._config.offset)
            self._store.put(name, clip.pixels, times=clip.times, size=size)
        missing = [time for time in times if _clip_name(video, time) not in self._store]
        if missing:
            path, offset = self._paths[video], self._config.offset
            raise VideoError(
                f"{path}: has no frame at {missing[0]:g} s, where {self._config.truth} has a "
                f"label; check `offset` (now {offset:g})"
            )

    def _cut_clips(self, video: str, times: NDArray[np.float64], past: float) -> Iterator[Clip]:
        video_times, cut = times - self._config.offset, replace(self._cut, past=past)
        if self._config.frames is not None:
            yield from clips_from_frames(self._paths[video], cut, video_times, self._config.rate)
            return
        with open_video(self._paths[video]) as reader:
            yield from clips(reader, cut, times=video_times)


def _thinned(truth: Detections, every: int) -> Detections:
    """Truth at every `every`-th labelled time of each video, from the middle of the first ones."""
    keys = Keyframes.of(truth)
    order = np.lexsort((keys.time, keys.video))
    first = np.r_[True, keys.video[order][1:] != keys.video[order][:-1]]
    rank = np.arange(len(order)) - np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    # A video with fewer frames keeps its middle one.
    count = np.diff(np.r_[np.flatnonzero(first), len(order)])
    start = np.repeat(np.minimum(every, count) // 2, count)
    kept = np.zeros(len(order), bool)
    kept[order] = rank % every == start
    key, frame = number_frames(keys, truth)
    return truth.select(np.isin(frame, key[kept]))


def _tracks_of(config: AnnotatedSource, truth: Detections) -> ClipTracks:
    return ClipTracks(config.truth, truth, config.every, config.offset)


def _ms(time: float) -> int:
    return int(milliseconds(np.array([time]))[0])


def _clip_name(video: str, time: float) -> str:
    return f"{video}@{_ms(time)}"


def _made_from(config: AnnotatedSource, cut: Cut) -> dict[str, Any]:
    """What stored clips depend on; videos, unlike extracted frames, do not depend on `rate`."""
    # Defaults are left out, so that stores older than these options keep their key.
    values = {f.name: getattr(cut, f.name) for f in fields(cut)}
    changed = {f.name: values[f.name] for f in fields(cut) if values[f.name] != f.default}
    made: dict[str, Any] = {"cut": changed, "offset": config.offset}
    if config.frames is not None:
        return made | {"frames": str(config.frames), "rate": config.rate}
    return made | {"videos": str(config.videos)}


def _rows_of(keys: Keyframes, truth: Detections) -> list[NDArray[np.int64]]:
    """The truth's rows at each of its keyframes, in the keyframes' order."""
    key, frame = number_frames(keys, truth)
    order = np.argsort(frame, kind="stable")
    return np.split(order, np.searchsorted(frame[order], key)[1:])


def open_source(
    config: PlaygroundSource | AnnotatedSource, card: Card, store: Path
) -> ExampleSource:
    """Open the source that a config describes."""
    if isinstance(config, PlaygroundSource):
        return Playground(config, card, store)
    return Annotated(config, card, store)
