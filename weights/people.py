"""Fine-tunes NanoDet's neck and head on people in films and on rendered people.

    python weights/nanodet.py package/models -o runs/nanodet.safetensors
    python examples/import_jhmdb.py JHMDB -o runs/jhmdb
    python weights/people.py runs/nanodet.safetensors --truth runs/jhmdb/train.csv \\
        --videos JHMDB/videos -o runs/people.safetensors

The backbone is frozen. J-HMDB labels one actor per frame: elsewhere the published weights' own
scores are the target, so that other people do not become negatives and knowledge from photographs
is kept. Rendered frames have boxes for everyone. One film in five is held out, to select on: whole
films, since clips of one film look alike.
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
SIDES = (200, 400)  # range of the short side before cropping
GAIN, SHIFT = 0.3, 25  # colour factor 1 - GAIN .. 1 + GAIN; offset -SHIFT .. SHIFT levels
HELD_OUT = 5  # one film in HELD_OUT is not trained on, but used to select and measure
POINTS = 9  # positive points per person
BETA = 2.0  # GFL Eq. 2
BOX, SPREAD = 2.0, 0.25  # weights of the boxes' and the distributions' losses


@dataclass(frozen=True)
class Frame:
    """An image and its people."""

    pixels: NDArray[np.uint8]  # [H, W, 3] RGB
    box: NDArray[np.float32]  # [n, 4] fractions
    complete: bool  # every person has a box


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument(
        "--every", type=int, default=5, help="use every Nth labelled frame of a video"
    )
    parser.add_argument("--all", action="store_true", help="also train on held-out films")
    parser.add_argument("--rendered", type=int, default=3800, help="clips of the Playground")
    parser.add_argument("--seed", type=int, default=7_000_000, help="seed of the first one")
    parser.add_argument("--store", type=Path, default=Path("runs/people-clips"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    real = list(film_frames(args.truth, args.videos, args.every, args.all))
    rendered = RenderedFrames(args.rendered, args.seed, args.store)
    print(f"{len(real)} film frames", flush=True)
    teacher, model = NanoDet().eval(), NanoDet()
    published = load_file(args.published)
    teacher.load_state_dict(published)
    model.load_state_dict(published)
    learn(model, teacher, real, rendered, args.steps, args.batch, args.rate, args.out)


def film_frames(truth: Path, videos: Path, every: int, use_held_out: bool) -> Iterator[Frame]:
    """Every Nth frame of each video, with its actor."""
    table = read_truth(truth, read_labels(truth.with_name("labels.txt")))
    paths = {path.stem: path for path in videos.rglob("*.avi")}
    for name in np.unique(table.video):
        if is_held_out(paths[str(name)]) and not use_held_out:
            continue
        rows = table.video == name
        times, boxes = table.time[rows], table.box[rows]
        with open_video(paths[str(name)]) as video:
            for number, frame in enumerate(video):
                labelled = np.abs(times - frame.time) < 5e-4
                if number % every == every // 2 and labelled.any():
                    yield Frame(frame.rgb(), boxes[labelled], complete=False)


def is_held_out(video: Path) -> bool:
    """Whether a video, ACTION/FILM_ACTION_..., belongs to a held-out film."""
    film = video.stem.partition(f"_{video.parent.name}_")[0]
    return zlib.crc32(film.encode()) % HELD_OUT == 0


class RenderedFrames:
    """Key frames of Playground clips."""

    def __init__(self, clips: int, seed: int, store: Path) -> None:
        config = PlaygroundSource(clips=clips, seed=seed, variety="mixed")
        self._source = Playground(config, zoo.card("mestad-tiny"), store)

    def draw(self, random: np.random.Generator) -> Frame:
        """A random frame."""
        example = self._source[int(random.integers(len(self._source)))]
        key = len(example.clip.pixels) // 2
        return Frame(example.clip.pixels[key], example.box, complete=True)


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
    """Train on half film frames, half rendered ones; write the moving average of the weights."""
    random = np.random.default_rng(1)
    torch.manual_seed(1)
    model.backbone.requires_grad_(False)
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, rate, weight_decay=0.01)
    average = {name: value.clone() for name, value in model.state_dict().items()}
    for step in range(steps):
        for group in optimizer.param_groups:
            warm = min(1.0, (step + 1) / 30)
            group["lr"] = rate * warm * (0.5 + 0.5 * np.cos(np.pi * step / steps))
        frames = [real[int(random.integers(len(real)))] for _ in range(batch // 2)]
        frames += [rendered.draw(random) for _ in range(batch - batch // 2)]
        views = [view(frame, random) for frame in frames]
        images = torch.stack([image for image, _ in views])
        with torch.no_grad():
            maps = model.backbone(images)
            published = teacher.head(teacher.neck(maps)).objects[..., 0].sigmoid()
        guesses = model.head(model.neck(maps))
        terms = loss(guesses, [box for _, box in views], [f.complete for f in frames], published)
        optimizer.zero_grad()
        sum(terms.values()).backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(trainable, 10.0)
        optimizer.step()
        keep = min(0.99, (step + 1) / (step + 10))
        for name, value in model.state_dict().items():
            average[name].lerp_(value, 1 - keep)
        if step % 20 == 0:
            values = "  ".join(f"{name} {float(term):.3f}" for name, term in terms.items())
            print(f"step {step}/{steps}  {values}", flush=True)
    save_file({name: value.contiguous() for name, value in average.items()}, out)
    print(out)


def view(frame: Frame, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A random normalized crop [3, HEIGHT, WIDTH] and its boxes [n, 4] in pixels."""
    height, width = frame.pixels.shape[:2]
    scale = random.uniform(*SIDES) / min(height, width)
    height, width = round(height * scale), round(width * scale)
    resized = cv2.resize(frame.pixels, (width, height), interpolation=cv2.INTER_AREA)
    left, top = (
        int(random.integers(-8, max(a - b, 0) + 8)) for a, b in ((width, WIDTH), (height, HEIGHT))
    )
    left, top = min(max(left, 0), max(width - WIDTH, 0)), min(max(top, 0), max(height - HEIGHT, 0))
    crop = resized[top : top + HEIGHT, left : left + WIDTH].astype(np.float32)
    gain = random.uniform(1 - GAIN, 1 + GAIN) * random.uniform(0.9, 1.1, 3)
    crop = np.clip(crop * gain + random.uniform(-SHIFT, SHIFT), 0, 255)
    normalized = (crop - np.array(MEAN)) / np.array(STD)
    image = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    image[: crop.shape[0], : crop.shape[1]] = normalized
    box = frame.box * np.array([width, height, width, height], np.float32)
    box = box - np.array([left, top, left, top], np.float32)
    area = (box[:, 2:] - box[:, :2]).prod(1)
    edge = np.array([crop.shape[1], crop.shape[0]] * 2, np.float32)
    box = np.minimum(np.maximum(box, 0), edge)
    side = box[:, 2:] - box[:, :2]
    box = box[(side.min(1) > 8) & (side.clip(0).prod(1) > 0.3 * area)] if len(box) else box
    if random.random() < 0.5:
        image = image[:, ::-1]
        box = box.copy()
        box[:, [0, 2]] = WIDTH - box[:, [2, 0]]
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(box)


def loss(
    guesses: Guesses, truth: Sequence[Tensor], complete: Sequence[bool], published: Tensor
) -> dict[str, Tensor]:
    """Generalized Focal Loss: the score (Eq. 2), the box (GIoU) and its distribution (Eq. 6).

    truth: boxes [n, 4] of each image. published [B, P]: the published model's scores, the target of
    unassigned points in images where not every person has a box.
    """
    box = guesses.box()
    target = torch.where(torch.tensor(complete)[:, None], torch.zeros_like(published), published)
    clip, point, goal, quality = assign(guesses, box.detach(), truth)
    target = target.index_put((clip, point), quality)
    logit = guesses.objects[..., 0]
    focus = (target - logit.sigmoid()).abs().pow(BETA)
    score = F.binary_cross_entropy_with_logits(logit, target, reduction="none") * focus
    count = max(len(clip), 1)
    giou = losses.giou_loss(box[clip, point], goal)
    center, stride = guesses.point[point], guesses.stride[point, None]
    sides = torch.cat([center - goal[:, :2], goal[:, 2:] - center], 1) / stride
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
    """Assign points to people: images [n], points [n], their boxes [n, 4], and IoU [n].

    Among the points in the middle half of a person's box, the POINTS with the best product of score
    and IoU (as in Feng et al. 2021, "TOOD", Eq. 3).
    """
    rows = []
    for number, people in enumerate(truth):
        if not len(people):
            continue
        center, half = (people[:, :2] + people[:, 2:]) / 2, (people[:, 2:] - people[:, :2]) / 4
        distance = (guesses.point[None] - center[:, None]).abs()
        within = (distance <= half[:, None].clamp(min=6)).all(-1)  # [n, P]
        overlap = box_ops.iou(people[:, None], box[number][None])
        score = guesses.objects[number, :, 0].detach().sigmoid()
        fit = (score.sqrt() * overlap.pow(3) + 1e-9).masked_fill(~within, -1)
        best = fit.topk(POINTS, 1)
        person = torch.arange(len(people))[:, None].expand_as(best.indices)
        valid = best.values > 0
        for p, q, v in zip(person[valid], best.indices[valid], best.values[valid], strict=True):
            rows.append((number, int(q), int(p), float(v), float(overlap[p, q])))
    # A point selected for two people goes to the better match.
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
