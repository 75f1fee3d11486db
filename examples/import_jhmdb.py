"""Convert J-HMDB for stadkit: truth of every frame, true tubes, labels and lists of videos.

python examples/import_jhmdb.py DIR -o OUT

DIR holds the unpacked downloads of jhmdb.is.tue.mpg.de: `puppet_mask`, `splits`, and the videos as
`ReCompress_Videos/ACTION/VIDEO.avi` (or `videos/...`, or ACTION beside the others, or in --videos).
Without masks, DIR/boxes.csv is read: video, action, split1 to split3 (train or test), frame from 0,
and the actor's x1, y1, x2, y2 in pixels from 0, x2 and y2 one past the last.

OUT gets labels.txt and, for train and for test: NAME.csv (AVA format), NAME.tubes.json for video
mAP, and NAME.txt, the videos for `stadkit detect`. Frames have the same times as in `detect`.
docs/jhmdb.md describes the next steps.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from stadkit.detections import Detections
from stadkit.errors import AnnotationError, StadkitError, UsageError, VideoError
from stadkit.files.ava_csv import write_truth
from stadkit.files.tubes_json import write_tubes_json
from stadkit.labels import Labels, write_labels
from stadkit.tubes import Tubes
from stadkit.video.decode import open_video

# J-HMDB's folders in their order -> names in labels.txt.
ACTIONS = {
    **{"brush_hair": "brush hair", "catch": "catch", "clap": "clap"},
    **{"climb_stairs": "climb stairs", "golf": "golf", "jump": "jump", "kick_ball": "kick ball"},
    **{"pick": "pick up", "pour": "pour", "pullup": "pull up", "push": "push", "run": "run"},
    **{"shoot_ball": "shoot ball", "shoot_bow": "shoot bow", "shoot_gun": "shoot gun"},
    **{"sit": "sit down", "stand": "stand up", "swing_baseball": "swing baseball"},
    **{"throw": "throw", "walk": "walk", "wave": "wave"},
}
LABELS = Labels(tuple(range(1, 22)), tuple(ACTIONS.values()))
PARTS = {"1": "train", "2": "test"}  # as split files number them
# Clips of train and test in each split.
OFFICIAL = {1: (660, 268), 2: (658, 270), 3: (663, 265)}
PLACES = ("ReCompress_Videos", "videos", ".")  # of the video folders, in DIR
COLUMNS = ("video", "action", "frame", "x1", "y1", "x2", "y2")


@dataclass
class Actor:
    """The labelled person of a clip, by decoded frame."""

    video: str  # file stem
    action: str  # folder
    part: str  # train or test
    frame: NDArray[np.int64]  # [n]  from 0
    box: NDArray[np.float64]  # [n, 4]  pixels from 0; x2, y2 are one past the last
    frames: int | None = None  # of the mask
    size: tuple[int, int] | None = None  # height, width of the mask; None: the video's
    time: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # [n]  seconds
    path: Path = Path()


def mask_box(mask: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A mask [h, w, frames] -> its frames [n] that are not empty, and their boxes [n, 4]."""
    seen = mask != 0
    across, down = seen.any(0), seen.any(1)  # [w, frames], [h, frames]
    frame = np.flatnonzero(across.any(0))
    low = [side[:, frame].argmax(0) for side in (across, down)]
    high = [len(side) - side[::-1, frame].argmax(0) for side in (across, down)]
    return frame, np.stack([*low, *high], 1).astype(np.float64)


def read_mask(path: Path) -> NDArray[Any]:
    """Read part_mask [h, w, frames] of a puppet_mask.mat; raises AnnotationError if invalid."""
    try:
        mask = np.asarray(loadmat(path)["part_mask"])
    except Exception as error:  # loadmat raises almost anything for a damaged file
        reason = "lacks part_mask" if isinstance(error, KeyError) else "is no MATLAB file"
        raise AnnotationError(f"{path}: {reason}; unpack puppet_mask.zip again") from None
    if mask.ndim == 2:  # MATLAB drops a last dimension of 1
        mask = mask[..., None]
    if mask.ndim != 3:
        raise AnnotationError(f"{path}: part_mask has shape {mask.shape}, wants [h, w, frames]")
    return mask


def read_split(folder: Path, split: int) -> Iterator[tuple[str, str, str]]:
    """Yield (action, video, train or test) of each line of a split; raises AnnotationError."""
    files = sorted(folder.glob(f"*_test_split{split}.txt"))
    if not files:
        raise UsageError(f"{folder}: has no ACTION_test_split{split}.txt; unpack splits.zip there")
    for path in files:
        action = path.name.removesuffix(f"_test_split{split}.txt")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            name, _, part = line.strip().rpartition(" ")
            if part in PARTS and name:
                yield action, Path(name.strip()).stem, PARTS[part]
            elif line.strip():
                raise AnnotationError(
                    f"{path}:{number}: {line!r}: wants VIDEO.avi 1 or VIDEO.avi 2"
                )


def from_masks(folder: Path, split: int, notes: Counter[str]) -> Iterator[Actor]:
    """Read the actors of the official files; clips without a mask are counted in `notes`."""
    for action, video, part in read_split(folder / "splits", split):
        path = folder / "puppet_mask" / action / video / "puppet_mask.mat"
        if not path.is_file():
            notes["clips without a puppet_mask.mat, left out"] += 1
            continue
        mask = read_mask(path)
        frame, box = mask_box(mask)
        yield Actor(video, action, part, frame, box, mask.shape[2], mask.shape[:2])


def from_table(path: Path, split: int) -> Iterator[Actor]:
    """Read the actors of a boxes.csv; raises AnnotationError with file, line and reason."""
    held: dict[tuple[str, str, str], list[list[float]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        lacks = {*COLUMNS, f"split{split}"} - set(rows.fieldnames or ())
        if lacks:
            raise AnnotationError(f"{path}:1: has no column {min(lacks)!r}")
        for row in rows:
            try:
                numbers = [float(row[name]) for name in COLUMNS[2:]]
            except (TypeError, ValueError):
                raise AnnotationError(
                    f"{path}:{rows.line_num}: {row['video']}: frame and box are to be numbers"
                ) from None
            held[row["video"], row["action"], row[f"split{split}"]].append(numbers)
    for (video, action, part), numbers in held.items():
        array = np.array(sorted(numbers))
        yield Actor(video, action, part, array[:, 0].astype(np.int64), array[:, 1:])


def read_actors(folder: Path, split: int, notes: Counter[str]) -> list[Actor]:
    """Read the actors of DIR; raises UsageError if it has neither masks nor boxes.csv."""
    if (folder / "puppet_mask").is_dir():
        actors = list(from_masks(folder, split, notes))
    elif (folder / "boxes.csv").is_file():
        actors = list(from_table(folder / "boxes.csv", split))
    else:
        raise UsageError(f"{folder}: holds neither puppet_mask nor boxes.csv; is it J-HMDB?")
    for actor in actors:
        if actor.action not in ACTIONS or actor.part not in PARTS.values():
            raise AnnotationError(
                f"{folder}: {actor.video} is {actor.action!r} in {actor.part!r}, which is none of "
                f"the {len(ACTIONS)} actions or neither train nor test"
            )
    return actors


def place_of(actor: Actor, places: list[Path]) -> Path | None:
    files = (place / actor.action / f"{actor.video}.avi" for place in places)
    return next((file for file in files if file.is_file()), None)


def watch(actor: Actor, path: Path, notes: Counter[str]) -> Actor:
    """Add the times of the video's frames to an actor; raises VideoError if it is unreadable.

    J-HMDB's videos skip frames: the i-th is not at i / 30 s.
    """
    with open_video(path, threads=1) as video:
        times = np.array([frame.time for frame in video])
        size = (video.info.height, video.info.width)
    count = int(actor.frame.max(initial=-1)) + 1 if actor.frames is None else actor.frames
    notes["clips with another number of frames than their truth"] += count != len(times)
    notes["clips with another size than their mask"] += actor.size not in (None, size)
    notes["frames without the actor"] += len(times) - len(np.unique(actor.frame))
    here = actor.frame < len(times)
    return Actor(
        *(actor.video, actor.action, actor.part, actor.frame[here], actor.box[here]),
        *(count, actor.size or size, times[actor.frame[here]], path),
    )


def find_videos(actors: list[Actor], places: list[Path], notes: Counter[str]) -> list[Actor]:
    """The actors with readable videos, with times; raises UsageError if there are none."""
    found: list[Actor] = []
    for actor in actors:
        path = place_of(actor, places)
        if path is None:
            notes["clips without a video, left out"] += 1
            continue
        try:
            watched = watch(actor, path, notes)
        except VideoError as error:
            print(f"left out: {error}", file=sys.stderr)
            notes["clips whose video cannot be read, left out"] += 1
            continue
        notes["clips without any box, left out"] += not len(watched.frame)
        found += [watched] if len(watched.frame) else []
    if not found:
        tried = ", ".join(str(place) for place in places)
        raise UsageError(f"none of {len(actors)} clips has its video, ACTION/VIDEO.avi, in {tried}")
    return found


def fractions(actor: Actor) -> NDArray[np.float64]:
    """Boxes [n, 4] in fractions of the frame."""
    height, width = actor.size or (1, 1)
    return actor.box / [width, height, width, height]


def to_table(actors: list[Actor]) -> Detections:
    counts = [len(actor.frame) for actor in actors]
    label = [list(ACTIONS).index(actor.action) for actor in actors]
    box = np.concatenate([fractions(actor) for actor in actors])
    return Detections(
        video=np.repeat(np.array([actor.video for actor in actors]), counts),
        time=np.concatenate([actor.time for actor in actors]),
        box=box.astype(np.float32),
        person=np.ones(sum(counts), np.float32),
        action=np.eye(len(LABELS), dtype=np.float32)[np.repeat(label, counts)],
        track=np.zeros(sum(counts), np.int32),
        classes=LABELS.names,
    )


def to_tubes(actors: list[Actor]) -> Tubes:
    """One tube per clip; clips are trimmed to their action."""
    start = np.cumsum([0, *(len(actor.frame) for actor in actors)])
    return Tubes(
        video=np.array([actor.video for actor in actors]),
        label=np.array([list(ACTIONS).index(actor.action) for actor in actors], np.int32),
        score=np.ones(len(actors)),
        track=np.zeros(len(actors), np.int32),
        start=start.astype(np.int64),
        time=np.concatenate([actor.time for actor in actors]),
        box=np.concatenate([fractions(actor) for actor in actors]),
        box_score=np.ones(start[-1]),
        interpolated=np.zeros(start[-1], np.bool_),
        classes=LABELS.names,
    )


def write(actors: list[Actor], part: str, out: Path) -> None:
    own = [actor for actor in actors if actor.part == part]
    if not own:
        raise UsageError(f"no clip is of {part}; nothing was written")
    write_truth(to_table(own), LABELS, out / f"{part}.csv")
    write_tubes_json(to_tubes(own), LABELS, out / f"{part}.tubes.json")
    lines = "".join(f"{actor.path.resolve()}\n" for actor in own)
    (out / f"{part}.txt").write_text(lines, encoding="utf-8")


def report(actors: list[Actor], split: int, notes: Counter[str]) -> None:
    """Print the written clips and boxes, the official counts if different, and mismatches."""
    for part, official in zip(PARTS.values(), OFFICIAL[split], strict=True):
        own = [actor for actor in actors if actor.part == part]
        boxes = sum(len(actor.frame) for actor in own)
        note = "" if len(own) == official else f"; split {split} has {official}"
        print(f"{part}: {len(own)} clips, {boxes} boxes{note}")
    lacking = sorted(set(ACTIONS) - {actor.action for actor in actors})
    if lacking:
        print(f"actions without a clip: {', '.join(lacking)}")
    for what, count in notes.items():
        if count:
            print(f"{what}: {count}")


def run(folder: Path, out: Path, split: int, videos: Path | None) -> None:
    notes: Counter[str] = Counter()
    actors = read_actors(folder, split, notes)
    places = [folder / name for name in PLACES] if videos is None else [videos]
    actors = find_videos(actors, places, notes)
    out.mkdir(parents=True, exist_ok=True)
    for part in PARTS.values():
        write(actors, part, out)
    write_labels(LABELS, out / "labels.txt")
    report(actors, split, notes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    parser.add_argument("--split", type=int, choices=OFFICIAL, default=1)
    parser.add_argument("--videos", type=Path, help="folder of ACTION/VIDEO.avi; else in DIR")
    given = parser.parse_args()
    try:
        run(given.folder, given.output, given.split, given.videos)
    except (StadkitError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, StadkitError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
