"""Compute a frozen network's feature maps of every frame of J-HMDB, for many small trainings.

    python examples/import_jhmdb.py JHMDB -o examples/configs/jhmdb
    python examples/jhmdb_features.py examples/configs/jhmdb -o runs/features

`stmixer-k-tiny`, `stmixer-t-tiny` and `evad-tiny` read maps of `stadkit/models/lite.py`, whose
weights are frozen. This script stores the maps as half floats, 68 KB per frame at 96 x 128 pixels:
test clips in the view that `detect` uses, training clips also in random views, the same for all
frames of a clip. docs/jhmdb.md lists the scripts that read them.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stadkit.detections import Detections, milliseconds
from stadkit.files.ava_csv import read_truth
from stadkit.labels import read_labels
from stadkit.models.lite import CENTRE, CHANNELS, SCALE, Lite
from stadkit.models.targets import Targets, TubeTargets
from stadkit.training.augment import View, move_boxes, random_view, recolour, warp
from stadkit.training.config import AugmentConfig
from stadkit.training.init_weights import fill_frozen
from stadkit.video.decode import open_video
from stadkit.video.keys import CLOSE
from stadkit.zoo import Card

SIZE = (96, 128)  # height, width of Lite's input; the videos have this aspect ratio
WHOLE = (240, 320)  # height, width of the videos
KEPT = (128, 171)  # height, width from which random views are made
STRIDES = (4, 8, 16, 32)
SHAPES = [(d, SIZE[0] // s, SIZE[1] // s) for d, s in zip(CHANNELS, STRIDES, strict=True)]
NUMBERS = sum(d * h * w for d, h, w in SHAPES)  # values per frame
RANDOM = AugmentConfig(short_side=(96, 128), crop=SIZE, stretch=0.1, gain=0.25, shift=25)
MIN_VISIBLE = 0.25  # visible part of a person, as in training


def view_of(small: NDArray[np.uint8], number: int, view: int) -> tuple[NDArray[np.uint8], View]:
    """Frames of KEPT pixels [n, 128, 171, 3] -> (pixels [n, 96, 128, 3], view that moves boxes).

    The same for all frames of a clip; the clip's number and the view's are the random seed.
    """
    random = np.random.default_rng([view, number])
    seen = random_view(RANDOM, *KEPT, random)
    return recolour(warp(small, seen), RANDOM, random), seen


def plain() -> View:
    """The view of the whole picture, as in `detect`; moves boxes of KEPT pixels."""
    matrix = np.diag([SIZE[1] / KEPT[1], SIZE[0] / KEPT[0], 1.0])[:2].astype(np.float32)
    return View(matrix, SIZE, SIZE)


@torch.inference_mode()
def maps_of(photo: Lite, pixels: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Pixels [n, 96, 128, 3] -> Lite's maps of each frame, flat: [n, NUMBERS]."""
    levels = torch.from_numpy(pixels).permute(3, 0, 1, 2)[None].float()  # [1, 3, n, H, W]
    maps = photo.of_clips((levels - CENTRE) / SCALE)
    return np.asarray(torch.cat([x.flatten(1) for x in maps], 1).half().numpy())


def extract(folder: Path, part: str, views: int, out: Path) -> None:
    """Write the maps of all videos of a part, one file per view, and an index of their rows."""
    photo = Lite()
    fill_frozen(photo)
    paths = [Path(line) for line in (folder / f"{part}.txt").read_text("utf-8").splitlines()]
    files = [(out / f"{part}-{view}.f16").open("wb") for view in range(views)]
    start, times, matrices = [0], [], []
    for number, path in enumerate(paths):
        with open_video(path, threads=1) as video:
            both = [(frame.time, frame.rgb(*SIZE), frame.rgb(*KEPT)) for frame in video]
            if (video.info.height, video.info.width) != WHOLE:
                raise SystemExit(f"{path}: is not {WHOLE[1]} x {WHOLE[0]}")
        whole, small = (np.stack([row[i] for row in both]) for i in (1, 2))
        seen = [(whole, plain()), *(view_of(small, number, v) for v in range(1, views))]
        for file, (pixels, _) in zip(files, seen, strict=True):
            maps_of(photo, pixels).tofile(file)
        times += [row[0] for row in both]
        start.append(len(times))
        matrices.append([view.matrix.tolist() for _, view in seen])
    for file in files:
        file.close()
    index = {"videos": [path.stem for path in paths], "start": start, "times": times}
    (out / f"{part}.json").write_text(json.dumps({**index, "matrices": matrices}), "utf-8")


@dataclass(frozen=True)
class Frames:
    """All frames of a part, one video after the other, with their maps and truth.

    Frames are numbered by row; frame i in view v has the number v * len(time) + i.
    """

    video: NDArray[np.str_]  # [V]
    start: NDArray[np.int64]  # [V + 1]  number of each video's first frame
    time: NDArray[np.float64]  # [N]  seconds
    matrix: NDArray[np.float32]  # [V, views, 2, 3]  KEPT pixels -> pixels of the view
    maps: tuple[NDArray[np.float16], ...]  # per view [N, NUMBERS]
    truth: Detections

    def __deepcopy__(self, memo: dict[int, Any]) -> "Frames":
        return self  # shared with the average of a model's weights

    @property
    def views(self) -> int:
        return len(self.maps)

    @cached_property
    def owner(self) -> NDArray[np.int64]:
        """[N]  the number of each frame's video."""
        return np.repeat(np.arange(len(self.video)), np.diff(self.start))

    @cached_property
    def row(self) -> NDArray[np.int64]:
        """[N]  the truth row of each frame, -1: no labelled person."""
        pairs = zip(self.truth.video.tolist(), milliseconds(self.truth.time).tolist(), strict=True)
        known = {pair: row for row, pair in enumerate(pairs)}
        names = self.video[self.owner].tolist()
        at = zip(names, milliseconds(self.time).tolist(), strict=True)
        return np.array([known.get(pair, -1) for pair in at])

    @cached_property
    def moved(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Boxes [views * N, 4] in pixels of the view, and whether the person is visible in it."""
        size = np.array([*KEPT[::-1], *KEPT[::-1]], np.float32)
        box = np.where(self.row[:, None] >= 0, self.truth.box[self.row], 0) * size
        out = np.zeros((self.views, len(box), 4), np.float32)
        seen = np.zeros(out.shape[:2], np.bool_)
        for view, number in np.ndindex(self.views, len(self.video)):
            own = slice(self.start[number], self.start[number + 1])
            to = View(self.matrix[number, view], SIZE, SIZE)
            out[view, own], seen[view, own] = move_boxes(box[own], to, MIN_VISIBLE)
        return out.reshape(-1, 4), (seen & (self.row >= 0)).ravel()

    def clips(self, card: Card) -> NDArray[np.int64]:
        """[N, T]  the frames of the clip around each frame, as `detect` cuts it."""
        offsets = (np.arange(card.frames) - card.key) * card.seconds
        parts = []
        for first, last in zip(self.start[:-1], self.start[1:], strict=True):
            own = self.time[first:last]
            parts.append(first + nearest(own, own[:, None] + offsets))
        return np.concatenate(parts)

    def seen(self, numbers: Tensor) -> list[Tensor]:
        """Lite's maps [n, D, h, w] of frames with these numbers [n]."""
        view, frame = np.divmod(numbers.numpy(), len(self.time))
        flat = np.stack([self.maps[v][i] for v, i in zip(view, frame, strict=True)])
        parts = torch.split(torch.from_numpy(flat).float(), [d * h * w for d, h, w in SHAPES], 1)
        return [x.reshape(-1, *shape) for x, shape in zip(parts, SHAPES, strict=True)]

    def targets(self, clip: NDArray[np.int64], key: int) -> Targets:
        """The person in the key frame of a clip, given as frame numbers [T]."""
        box, seen = self.moved
        rows = clip[key : key + 1][seen[clip[key : key + 1]]]
        action = self.truth.action[self.row[rows % len(self.time)]]
        return Targets(torch.from_numpy(box[rows]), torch.from_numpy(action))

    def tube_targets(self, clip: NDArray[np.int64], key: int) -> TubeTargets:
        """The person in all frames of a clip, given as frame numbers [T]."""
        box, seen = self.moved
        there = seen[clip]
        rows = self.row[clip[there] % len(self.time)][:1]
        return TubeTargets(
            box=torch.from_numpy(box[clip])[None][: len(rows)],
            there=torch.from_numpy(there.astype(np.float32))[None][: len(rows)],
            action=torch.from_numpy(self.truth.action[rows]),
        )


def nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of the nearest times; the earlier one of a tie, the end one beyond the ends."""
    after = np.searchsorted(times, wanted - CLOSE).clip(1, len(times) - 1)
    earlier = wanted - times[after - 1] <= times[after] - wanted + CLOSE
    return np.where(earlier, after - 1, after)


def read_frames(folder: Path, store: Path, part: str) -> Frames:
    """Read the frames of a part of the import, with the maps that `extract` stored."""
    index = json.loads((store / f"{part}.json").read_text("utf-8"))
    matrix = np.array(index["matrices"], np.float32)
    time = np.array(index["times"])
    files = [store / f"{part}-{view}.f16" for view in range(matrix.shape[1])]
    return Frames(
        video=np.array(index["videos"]),
        start=np.array(index["start"]),
        time=time,
        matrix=matrix,
        maps=tuple(np.memmap(f, np.float16, "r", shape=(len(time), NUMBERS)) for f in files),
        truth=read_truth(folder / f"{part}.csv", read_labels(folder / "labels.txt")),
    )


class Kept(nn.Module):
    """Replaces Lite: looks up stored maps by frame numbers, which are passed as "pixels"."""

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self.frames = frames

    def of_clips(self, pixels: Tensor) -> list[Tensor]:
        """Result of `pixels_of` [B, 3, T, H, W] -> maps [B * T, D, h, w]."""
        return self.frames.seen(pixels[:, 0, :, 0, 0].flatten().long())


def pixels_of(clips: NDArray[np.int64]) -> Tensor:
    """Frame numbers [B, T] in the shape of pixels [B, 3, T, H, W], each repeated over its frame."""
    numbers = torch.from_numpy(clips).float()[:, None, :, None, None]  # exact below 2 ** 24
    return numbers.expand(-1, 3, -1, *SIZE)


def put_in(model: nn.Module, frames: Frames) -> nn.Module:
    """Make the model read the stored maps of these frames instead of running Lite."""
    for part in list(model.modules()):
        if isinstance(getattr(part, "photo", None), Lite | Kept):
            part.photo = Kept(frames)
    return model


def parts_of(views: int) -> Iterator[tuple[str, int]]:
    """The parts, each with its number of views."""
    yield from (("test", 1), ("train", views))


def main() -> None:
    """Compute and store the maps of test and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="output of examples/import_jhmdb.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--views", type=int, default=4, help="views of the training clips")
    parser.add_argument("--parts", nargs="+", default=["test", "train"])
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    asked.output.mkdir(parents=True, exist_ok=True)
    for part, views in parts_of(asked.views):
        if part in asked.parts:
            extract(asked.folder, part, views, asked.output)


if __name__ == "__main__":
    main()
