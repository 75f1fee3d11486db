"""Writing the Playground: long videos with ground truth at every frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from stadkit.detections import Detections, milliseconds
from stadkit.errors import UsageError
from stadkit.files.ava_csv import write_truth
from stadkit.files.rows import write_text
from stadkit.files.tubes_json import write_tubes_json
from stadkit.labels import write_labels
from stadkit.synth.classes import CLASSES, labels
from stadkit.synth.effects import Glitches
from stadkit.synth.scene import blocks, develop, draw_long_scene, paint_frame, stage
from stadkit.synth.truth import Truth, true_tubes, truth
from stadkit.tubes import Tubes
from stadkit.video.write import VideoWriter

FILES = ("dense.csv", "sparse.csv", "tubes.json", "labels.txt", "glitches.csv", "args.yaml")
VIDEO_NAME = re.compile(r"playground-\d+-\d+\.mp4")


@dataclass(frozen=True)
class Footage:
    """Properties of the videos; raises UsageError for invalid values."""

    seconds: float = 12.0
    fps: float = 25.0
    width: int = 320
    height: int = 240
    pace: float = 1.0  # factor on the speed along paths; limb motion is unchanged
    glitches: float = 0.0  # share of corrupted frames; the truth is unchanged

    def __post_init__(self) -> None:
        if not 0.2 <= self.seconds <= 3600:
            raise UsageError(f"seconds is {self.seconds:g}; give 0.2 to 3600")
        if not 1 <= self.fps <= 120:
            raise UsageError(f"fps is {self.fps:g}; give 1 to 120 frames per second")
        if not (64 <= self.width <= 4096 and 64 <= self.height <= 4096):
            raise UsageError(f"size is {self.width}x{self.height}; give sides of 64 to 4096 pixels")
        if not 0.1 <= self.pace <= 10:
            raise UsageError(f"pace is {self.pace:g}; give a factor of 0.1 to 10")
        if not 0 <= self.glitches <= 1:
            raise UsageError(f"glitches is {self.glitches:g}; give a share of frames from 0 to 1")

    @property
    def times(self) -> list[float]:
        """Frame times in seconds, rounded to milliseconds."""
        frames = max(1, round(self.seconds * self.fps))
        return [round(1000 * i / self.fps) / 1000 for i in range(frames)]

    def facts(self) -> dict[str, Any]:
        """The fields by name; pace and glitches only if not the defaults."""
        defaults = {"pace": 1.0, "glitches": 0.0}
        return {name: value for name, value in asdict(self).items() if defaults.get(name) != value}


def write_playground(
    out: Path,
    videos: int,
    seed: int,
    *,
    footage: Footage | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> int:
    """Write OUT/videos/*.mp4 and their truth; returns the number of annotated boxes.

    dense.csv has the truth at every frame, sparse.csv at one frame per second, tubes.json each
    action segment, and glitches.csv (with glitches) the corrupted frames. Equal seed and footage
    give identical bytes of these files for any number of `jobs` (processes). `progress` is called
    with each finished video's name. Raises UsageError if `out` contains files, unless `overwrite`.
    """
    out, footage = Path(out), footage or Footage()
    if videos < 1 or seed < 0:
        raise UsageError(
            f"videos is {videos} and seed is {seed}; give at least 1 video and a seed of at least 0"
        )
    _prepare_folder(out, overwrite)
    tables = []
    for table in _render_all(partial(render_video, out / "videos", footage, seed), videos, jobs):
        tables.append(table[1])
        if progress:
            progress(table[0])
    dense = Detections.join(tables, CLASSES)
    _write_truth(out, dense, footage, [name_of(seed, i) for i in range(videos)])
    if footage.glitches:
        write_text(out / "glitches.csv", _glitch_lines(footage, videos, seed))
    facts = {"videos": videos, "seed": seed, **footage.facts()}
    write_text(out / "args.yaml", [f"{name}: {value}\n" for name, value in facts.items()])
    return len(dense)


def name_of(seed: int, index: int) -> str:
    """The file stem of a video."""
    return f"playground-{seed}-{index:04d}"


def _prepare_folder(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file, not a folder; choose another with --output")
    if out.is_dir() and any(out.iterdir()):
        if not overwrite:
            raise UsageError(
                f"{out}: is not empty; use --overwrite, or choose another folder with --output"
            )
        for name in FILES:
            (out / name).unlink(missing_ok=True)
        for path in sorted((out / "videos").glob("*.mp4")):
            if VIDEO_NAME.fullmatch(path.name):
                path.unlink()
    (out / "videos").mkdir(parents=True, exist_ok=True)


def _render_all(
    one: Callable[[int], tuple[str, Detections]], videos: int, jobs: int
) -> Iterator[tuple[str, Detections]]:
    if jobs <= 1 or videos == 1:
        yield from map(one, range(videos))
        return
    with ProcessPoolExecutor(min(jobs, videos), mp_context=get_context("spawn")) as pool:
        yield from pool.map(one, range(videos))


def render_video(folder: Path, footage: Footage, seed: int, index: int) -> tuple[str, Detections]:
    """Render one video to a folder; returns its name and the truth at every frame."""
    name, times = name_of(seed, index), footage.times
    rng = np.random.default_rng((seed, index, 0x57AD))
    scene = draw_long_scene(rng, np.array(times), footage.height, footage.width, footage.pace)
    transmission = Glitches.draw((seed, index), len(times), footage.glitches)
    tables = []
    writer = VideoWriter(
        folder / f"{name}.mp4", footage.width, footage.height, footage.fps, threads=1
    )
    with writer:
        for piece in blocks(scene, len(times)):
            staged = stage(piece)
            for t in range(len(piece.camera.sway)):
                painted = paint_frame(piece, staged, t)
                frame = piece.first + t
                pixels = transmission.transmit(develop(piece, painted.pixels, t), frame)
                writer.write(pixels, times[frame])
                tables.append(_table(name, times[frame], truth(piece, staged, painted, t)))
    return name, Detections.join(tables, CLASSES)


def _table(name: str, time: float, found: Truth) -> Detections:
    n = len(found.person)
    return Detections(
        video=np.full(n, name),
        time=np.full(n, time),
        box=found.box,
        person=np.ones(n, np.float32),
        action=found.action.reshape(n, len(CLASSES)),
        track=found.person,
        classes=CLASSES,
    )


def _write_truth(out: Path, dense: Detections, footage: Footage, names: list[str]) -> None:
    write_labels(labels(), out / "labels.txt")
    write_truth(dense, labels(), out / "dense.csv")
    write_truth(dense.select(_once_a_second(dense, footage)), labels(), out / "sparse.csv")
    tubes = [true_tubes(dense.select(dense.video == name), 1 / footage.fps) for name in names]
    write_tubes_json(Tubes.join(tubes, CLASSES), labels(), out / "tubes.json", names)


def _glitch_lines(footage: Footage, videos: int, seed: int) -> Iterator[str]:
    """A line per corrupted frame: video, time."""
    for i in range(videos):
        lost = Glitches.draw((seed, i), len(footage.times), footage.glitches).lost
        for frame in np.flatnonzero(lost).tolist():
            yield f"{name_of(seed, i)},{footage.times[frame]:.3f}\n"


def _once_a_second(
    dense: Detections, footage: Footage
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Mask [n] of the rows at the frames nearest to whole seconds."""
    times = np.array(footage.times)
    frames = abs(times[None] - np.arange(int(times[-1]) + 1)[:, None]).argmin(1)
    kept: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.isin(
        milliseconds(dense.time), milliseconds(times[frames])
    )
    return kept
