"""Fine-tunes NanoDet's neck and head on people of films and on rendered ones.

    python weights/nanodet.py package/models -o runs/nanodet.safetensors
    python examples/import_jhmdb.py JHMDB -o runs/jhmdb
    python weights/people.py runs/nanodet.safetensors --truth runs/jhmdb/train.csv \\
        --videos JHMDB/videos -o runs/people.safetensors

The backbone stays. J-HMDB labels one actor a frame: where nobody is labelled, the published
weights' own scores are the target, so that other people are nobody's negatives and what
photographs taught is kept. Rendered frames have everybody, and say so. One film in
five is kept back, to choose on: whole films, since clips of one film look alike.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from stadkit import zoo
from stadkit.files.ava_csv import read_truth
from stadkit.labels import read_labels
from stadkit.layers import box_ops, losses
from stadkit.models.nanodet import BINS, MEAN, STD, Guesses, NanoDet
from stadkit.training.config import PlaygroundSource
from stadkit.training.sources import Playground
from stadkit.video.decode import open_video

HEIGHT, WIDTH = 288, 384
SIDES = (200, 400)  # the short side of a frame is drawn between these before it is cropped
GAIN, SHIFT = 0.3, 25  # each channel times 1 - GAIN .. 1 + GAIN, all plus -SHIFT .. SHIFT levels
KEPT_BACK = 5  # one film in so many teaches nothing: to choose on, and to measure
POINTS = 9  # that stand for a person
BETA = 2.0  # GFL Eq. 2
BOX, SPREAD = 2.0, 0.25  # weights of the boxes' and the distributions' losses


@dataclass(frozen=True)
class Frame:
    """A picture and its people."""

    pixels: NDArray[np.uint8]  # [H, W, 3] RGB
    box: NDArray[np.float32]  # [n, 4] fractions
    whole: bool  # everybody has a box


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--every", type=int, default=5, help="of a video's labelled frames")
    parser.add_argument("--all", action="store_true", help="learn from the films kept back, too")
    parser.add_argument("--rendered", type=int, default=3800, help="clips of the Playground")
    parser.add_argument("--seed", type=int, default=7_000_000, help="of the first of these")
    parser.add_argument("--store", type=Path, default=Path("runs/people-clips"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("-o", "--out", type=Path, required=True)
    asked = parser.parse_args()
    real = list(film_frames(asked.truth, asked.videos, asked.every, asked.all))
    rendered = RenderedFrames(asked.rendered, asked.seed, asked.store)
    print(f"{len(real)} frames of films", flush=True)
    teacher, model = NanoDet().eval(), NanoDet()
    published = load_file(asked.published)
    teacher.load_state_dict(published)
    model.load_state_dict(published)
    learn(model, teacher, real, rendered, asked.steps, asked.batch, asked.rate, asked.out)


def film_frames(truth: Path, videos: Path, every: int, everything: bool) -> Iterator[Frame]:
    """Every so many of each video's frames with its actor."""
    table = read_truth(truth, read_labels(truth.with_name("labels.txt")))
    paths = {path.stem: path for path in videos.rglob("*.avi")}
    for name in np.unique(table.video):
        if kept_back(paths[str(name)]) and not everything:
            continue
        rows = table.video == name
        times, boxes = table.time[rows], table.box[rows]
        with open_video(paths[str(name)]) as video:
            for number, frame in enumerate(video):
                mine = np.abs(times - frame.time) < 5e-4
                if number % every == every // 2 and mine.any():
                    yield Frame(frame.rgb(), boxes[mine], whole=False)


def kept_back(video: Path) -> bool:
    """Whether a video, ACTION/FILM_ACTION_..., is of the films that one in KEPT_BACK is kept of."""
    film = video.stem.partition(f"_{video.parent.name}_")[0]
    return zlib.crc32(film.encode()) % KEPT_BACK == 0


class RenderedFrames:
    """Key frames of the Playground's clips."""

    def __init__(self, clips: int, seed: int, store: Path) -> None:
        config = PlaygroundSource(clips=clips, seed=seed, variety="mixed")
        self._source = Playground(config, zoo.card("mestad-tiny"), store)

    def draw(self, random: np.random.Generator) -> Frame:
        example = self._source[int(random.integers(len(self._source)))]
        key = len(example.clip.pixels) // 2
        return Frame(example.clip.pixels[key], example.box, whole=True)


def learn(
    model: NanoDet,
    teacher: NanoDet,
    real: Sequence[Frame],
    rendered: RenderedFrames,
    steps: int,
    batch: int,
    rate: float,
    out: Path,
) -> None:
    """Adam steps on half films, half renderings; the average of the weights is written."""
    random = np.random.default_rng(1)
    torch.manual_seed(1)
    model.backbone.requires_grad_(False)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, rate, weight_decay=0.01)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    for step in range(steps):
        for group in optimizer.param_groups:
            warm = min(1.0, (step + 1) / 30)
            group["lr"] = rate * warm * (0.5 + 0.5 * np.cos(np.pi * step / steps))
        frames = [real[int(random.integers(len(real)))] for _ in range(batch // 2)]
        frames += [rendered.draw(random) for _ in range(batch - batch // 2)]
        views = [view(frame, random) for frame in frames]
        pictures = torch.stack([picture for picture, _ in views])
        with torch.no_grad():
            maps = model.backbone(pictures)
            before = teacher.head(teacher.neck(maps)).objects[..., 0].sigmoid()
        guesses = model.head(model.neck(maps))
        terms = loss(guesses, [box for _, box in views], [f.whole for f in frames], before)
        optimizer.zero_grad()
        sum(terms.values()).backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(learning, 10.0)
        optimizer.step()
        keep = min(0.99, (step + 1) / (step + 10))
        for name, value in model.state_dict().items():
            average[name].lerp_(value, 1 - keep)
        if step % 20 == 0:
            said = "  ".join(f"{name} {float(term):.3f}" for name, term in terms.items())
            print(f"step {step}/{steps}  {said}", flush=True)
    save_file({name: value.contiguous() for name, value in average.items()}, out)
    print(out)


def view(frame: Frame, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A random crop [3, HEIGHT, WIDTH], normalised, and its boxes [n, 4] in pixels."""
    height, width = frame.pixels.shape[:2]
    scale = random.uniform(*SIDES) / min(height, width)
    high, wide = round(height * scale), round(width * scale)
    resized = cv2.resize(frame.pixels, (wide, high), interpolation=cv2.INTER_AREA)
    left, top = (
        int(random.integers(-8, max(a - b, 0) + 8)) for a, b in ((wide, WIDTH), (high, HEIGHT))
    )
    left, top = min(max(left, 0), max(wide - WIDTH, 0)), min(max(top, 0), max(high - HEIGHT, 0))
    shown = resized[top : top + HEIGHT, left : left + WIDTH].astype(np.float32)
    gain = random.uniform(1 - GAIN, 1 + GAIN) * random.uniform(0.9, 1.1, 3)
    shown = np.clip(shown * gain + random.uniform(-SHIFT, SHIFT), 0, 255)
    normal = (shown - np.array(MEAN)) / np.array(STD)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    picture[: shown.shape[0], : shown.shape[1]] = normal
    box = frame.box * np.array([wide, high, wide, high], np.float32)
    box = box - np.array([left, top, left, top], np.float32)
    area = (box[:, 2:] - box[:, :2]).prod(1)
    edge = np.array([shown.shape[1], shown.shape[0]] * 2, np.float32)
    box = np.minimum(np.maximum(box, 0), edge)
    side = box[:, 2:] - box[:, :2]
    box = box[(side.min(1) > 8) & (side.clip(0).prod(1) > 0.3 * area)] if len(box) else box
    if random.random() < 0.5:
        picture = picture[:, ::-1]
        box = box.copy()
        box[:, [0, 2]] = WIDTH - box[:, [2, 0]]
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))), torch.from_numpy(box)


def loss(
    guesses: Guesses, truth: Sequence[Tensor], whole: Sequence[bool], before: Tensor
) -> dict[str, Tensor]:
    """Generalized Focal Loss: the score (Eq. 2), the box (GIoU) and its distribution (Eq. 6).

    truth: boxes [n, 4] of each picture; before [B, P]: the published scores, which are the target
    of points of nobody where not everybody has a box.
    """
    box = guesses.box()
    target = torch.where(torch.tensor(whole)[:, None], torch.zeros_like(before), before)
    clip, point, goal, quality = assign(guesses, box.detach(), truth)
    target = target.index_put((clip, point), quality)
    said = guesses.objects[..., 0]
    focus = (target - said.sigmoid()).abs().pow(BETA)
    score = F.binary_cross_entropy_with_logits(said, target, reduction="none") * focus
    count = max(len(clip), 1)
    giou = losses.giou_loss(box[clip, point], goal)
    where, stride = guesses.point[point], guesses.stride[point, None]
    sides = torch.cat([where - goal[:, :2], goal[:, 2:] - where], 1) / stride
    sides = sides.clamp(0, BINS - 1.01)
    low = sides.long()
    share = sides - low
    logits = guesses.sides[clip, point].flatten(0, 1)  # [n * 4, BINS]
    low, share = low.flatten(), share.flatten()
    spread = F.cross_entropy(logits, low, reduction="none") * (1 - share)
    spread = spread + F.cross_entropy(logits, low + 1, reduction="none") * share
    weight = quality.sum().clamp(min=1)
    return {
        "score": score.sum() / count,
        "box": BOX * (giou * quality).sum() / weight,
        "spread": SPREAD * (spread.view(-1, 4).mean(1) * quality).sum() / weight,
    }


def assign(
    guesses: Guesses, box: Tensor, truth: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which points stand for a person: pictures [n], points [n], their boxes [n, 4], and IoU [n].

    Of the points in the middle half of a person's box, the POINTS whose score and box are best
    already (Feng et al. 2021, "TOOD", Eq. 3 has such a product).
    """
    rows = []
    for number, people in enumerate(truth):
        if not len(people):
            continue
        center, half = (people[:, :2] + people[:, 2:]) / 2, (people[:, 2:] - people[:, :2]) / 4
        away = (guesses.point[None] - center[:, None]).abs()
        within = (away <= half[:, None].clamp(min=6)).all(-1)  # [n, P]
        shared = box_ops.iou(people[:, None], box[number][None])
        chance = guesses.objects[number, :, 0].detach().sigmoid()
        fit = (chance.sqrt() * shared.pow(3) + 1e-9).masked_fill(~within, -1)
        best = fit.topk(POINTS, 1)
        person = torch.arange(len(people))[:, None].expand_as(best.indices)
        taken = best.values > 0
        for p, q, v in zip(person[taken], best.indices[taken], best.values[taken], strict=True):
            rows.append((number, int(q), int(p), float(v), float(shared[p, q])))
    # A point that two people want stands for the one that it fits better.
    chosen: dict[tuple[int, int], tuple[float, int, float]] = {}
    for number, q, p, v, u in rows:
        if v > chosen.get((number, q), (-1.0, 0, 0.0))[0]:
            chosen[number, q] = (v, p, u)
    clip = torch.tensor([number for number, _ in chosen], dtype=torch.long)
    point = torch.tensor([q for _, q in chosen], dtype=torch.long)
    goals = [truth[number][p] for (number, _), (_, p, _) in chosen.items()]
    goal = torch.stack(goals) if goals else torch.zeros(0, 4)
    return clip, point, goal, torch.tensor([u for _, _, u in chosen.values()])


if __name__ == "__main__":
    main()
