"""Train, run and score small models on the maps of `jhmdb_features.py`.

A library for `stmixer_tubes.py`, `evad_keep_rates.py` and other scripts. Losses, optimizer,
learning rate and weight average are those of `stadkit train`; detections, links and scores those of
`detect`, `link` and `eval`. Weights are saved complete, so that these commands can read them.
"""

import itertools
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from import_jhmdb import ACTIONS
from jhmdb_features import SIZE, WHOLE, Frames, nearest, pixels_of, put_in
from numpy.typing import NDArray
from torch import Tensor, nn

from stadkit import zoo
from stadkit.detection import to_table, to_tubelets
from stadkit.detection.detector import SHARED_FRAMES
from stadkit.detections import Detections, Keyframes
from stadkit.files.tubes_json import read_tubes_json
from stadkit.instances import Instances
from stadkit.labels import Labels, read_labels
from stadkit.layers.memory_format import channels_last
from stadkit.linking import link
from stadkit.linking.tubelets import join_tubelets
from stadkit.linking.viterbi import link_viterbi
from stadkit.metrics.frame_map import FrameMap, frame_map
from stadkit.metrics.video_map import video_map
from stadkit.models import Outputs
from stadkit.models.targets import AnyTargets
from stadkit.training.checkpoint import Average
from stadkit.training.config import OptimizerConfig, ScheduleConfig
from stadkit.training.criteria import build_criterion
from stadkit.training.init_weights import fill_frozen
from stadkit.training.model import build_chosen, chosen_card
from stadkit.training.optim import build_optimizer, learning_rate, set_rate
from stadkit.tubes import Tubes
from stadkit.video.clips import Clip
from stadkit.zoo import Card
from stadkit.zoo.cards import from_json, to_json

OPTIMIZER = OptimizerConfig(name="muon", lr=0.001, weight_decay=0.3, clip_grad=5)
HELD = 6  # one training film in so many is held out, to choose settings
RATE = 30.0  # frames per second of the videos' clock: `stadkit eval --rate 30`
FIGURES = ("frame mAP", "person AP50", "recall")  # of `short`
LINKS = ("viterbi", "track")
# A video's name: the film, the action, and HMDB's properties of the shot.
FILM = re.compile(rf"^(.+?)_(?:{'|'.join(ACTIONS)})_[fhlu]_")


@dataclass(frozen=True)
class Plan:
    """The schedule of a training."""

    clips: int
    seed: int = 1
    rate: float = 0.001
    batch: int = 8
    decay: float = 0.998  # of the weight average, which is scored
    warmup: float = 0.05  # share of the steps
    last: float = 0.02  # final rate, relative to `rate`

    @property
    def steps(self) -> int:
        return max(self.clips // self.batch, 1)

    def rate_at(self, step: int) -> float:
        shape = ScheduleConfig(epochs=1, warmup=self.warmup, last=self.last)
        return learning_rate(self.rate, shape, step, self.steps)


def film(video: str) -> str:
    """The film that a clip is from; clips of one film look alike."""
    found = FILM.match(video)
    return found.group(1) if found else video


def labelled(frames: Frames, held: bool | None = None) -> NDArray[np.int64]:
    """The labelled frames: of held-out films (True), of the others (False), or of all (None)."""
    films = sorted({film(video) for video in frames.video.tolist()})
    kept = {name for number, name in enumerate(films) if number % HELD == 0}
    back = np.array([film(video) in kept for video in frames.video.tolist()])
    chosen = np.ones(len(back), bool) if held is None else back == held
    return np.flatnonzero((frames.row >= 0) & chosen[frames.owner])


def every_so_many(frames: Frames, every: int) -> NDArray[np.int64]:
    """One in `every` frames of each clip."""
    place = np.arange(len(frames.time)) - frames.start[frames.owner]
    return np.flatnonzero(place % every == every // 2)


def new_model(name: str, labels: Labels, frames: Frames, **settings: Any) -> tuple[Card, nn.Module]:
    """An untrained model of the zoo with these classes, reading stored maps."""
    card = chosen_card(name, settings, labels, SIZE[0])
    return card, channels_last(put_in(build_chosen(card), frames))


def batches(
    keys: NDArray[np.int64], frames: Frames, clips: NDArray[np.int64], plan: Plan
) -> Iterator[NDArray[np.int64]]:
    """Yield `plan.steps` batches of clips, frame numbers [B, T]: each key in turn, random views."""
    random = np.random.default_rng([plan.seed, len(keys)])
    order = np.zeros(0, np.int64)
    for _ in range(plan.steps):
        while len(order) < plan.batch:
            order = np.concatenate([order, random.permutation(keys)])
        now, order = order[: plan.batch], order[plan.batch :]
        view = random.integers(frames.views, size=plan.batch)
        yield clips[now] + view[:, None] * len(frames.time)


def targets_of(frames: Frames, card: Card, clips: NDArray[np.int64]) -> list[AnyTargets]:
    """The training targets of each clip [B, T]."""
    make = frames.tube_targets if card.tubelet else frames.targets
    return [make(clip, card.key) for clip in clips]


def sizes_of(count: int) -> Tensor:
    """[B, 2] (height, width) of `count` clips."""
    return torch.tensor(SIZE).expand(count, 2)


def learn(
    card: Card,
    model: nn.Module,
    frames: Frames,
    keys: NDArray[np.int64],
    plan: Plan,
    loss: dict[str, Any] | None = None,
) -> nn.Module:
    """Train a model on the clips around these frames; returns the model with averaged weights.

    loss: fields of the family's loss config.
    """
    torch.manual_seed(plan.seed)
    criterion = build_criterion(card.family, loss or {})
    optimizer = build_optimizer(OPTIMIZER, model)
    average = Average(model, plan.decay)
    model.train()
    started, sums = time.perf_counter(), 0.0
    clips = frames.clips(card)
    for number, group in enumerate(batches(keys, frames, clips, plan)):
        set_rate(optimizer, plan.rate_at(number))
        optimizer.zero_grad()
        targets = targets_of(frames, card, group)
        losses = criterion(model, pixels_of(group), sizes_of(len(group)), targets)
        sums += step(model, optimizer, average, sum(losses.values(), torch.zeros(())))
        if (number + 1) % 250 == 0:
            speed = (number + 1) * plan.batch / (time.perf_counter() - started)
            print(f"  step {number + 1}: loss {sums / 250:.3f}, {speed:.1f} clips/s", flush=True)
            sums = 0.0
    return average.model


def step(
    model: nn.Module, optimizer: torch.optim.Optimizer, average: Average, loss: Tensor
) -> float:
    """Backpropagate a loss, take one step and update the average."""
    if not torch.isfinite(loss):
        raise SystemExit(f"the loss became {loss.item()}")
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER.clip_grad)
    optimizer.step()
    average.follow(model)
    return float(loss.detach())


def save(card: Card, model: nn.Module, path: Path) -> None:
    """Save the weights including Lite's, with their card, as `stadkit train` does."""
    whole = build_chosen(card)
    fill_frozen(whole)
    whole.load_state_dict(model.state_dict(), strict=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    zoo.save_weights(whole.state_dict(), path, {"card": to_json(card)})


def load(path: Path, frames: Frames, **settings: Any) -> tuple[Card, nn.Module]:
    """Load saved weights into a model that reads stored maps; `settings` override the card's."""
    card = from_json(zoo.read_sidecar(path)["card"])
    card = replace(card, settings={**card.settings, **settings})
    model = zoo.build_card(card)
    zoo.load_weights(model, path)
    return card, channels_last(put_in(model.eval(), frames))


@dataclass(frozen=True)
class Looks:
    """Clips to process, video by video."""

    video: NDArray[np.int64]  # [k]  video numbers
    time: NDArray[np.float64]  # [k]  key times in seconds
    clip: NDArray[np.int64]  # [k, T]  frame numbers


def at_frames(frames: Frames, card: Card, keys: NDArray[np.int64]) -> Looks:
    """The clips around these frames, as `detect --every frame` cuts them."""
    return Looks(frames.owner[keys], frames.time[keys], frames.clips(card)[keys])


def in_turn(frames: Frames, card: Card) -> Looks:
    """Consecutive clips for tubelets, as in `detect`: neighbours share two frames."""
    every, past = (
        (card.frames - SHARED_FRAMES) * card.seconds,
        (card.key - SHARED_FRAMES) * card.seconds,
    )
    offsets = (np.arange(card.frames) - card.key) * card.seconds
    video, time, clip = [], [], []
    for number, (first, last) in enumerate(itertools.pairwise(frames.start)):
        own = frames.time[first:last]
        key = np.arange(0, own[-1] + past + 0.5 / RATE, every)
        video.append(np.full(len(key), number))
        time.append(key)
        clip.append(first + nearest(own, key[:, None] + offsets))
    return Looks(np.concatenate(video), np.concatenate(time), np.concatenate(clip))


@torch.inference_mode()
def detect(
    card: Card, model: nn.Module, frames: Frames, looks: Looks, min_person: float
) -> tuple[Detections, Keyframes]:
    """Detect people in these clips; also returns the processed frames.

    These are all frames of tubelets, else key frames. As in `detect --min-person`, tubelets are
    joined video by video.
    """
    put_in(model.eval(), frames)
    tables = []
    for own in np.split(np.arange(len(looks.video)), np.flatnonzero(np.diff(looks.video)) + 1):
        outputs = run(model, looks.clip[own])
        shown = [clip_of(frames, looks, i) for i in own]
        make = to_tubelets if card.tubelet else to_table
        found = make(outputs, shown, card.classes.names, min_person)
        table = Detections.join(found, card.classes.names)
        tables.append(join_tubelets(table) if card.tubelet else table)
    return Detections.join(tables, card.classes.names), keyframes_of(card, frames, looks)


def keyframes_of(card: Card, frames: Frames, looks: Looks) -> Keyframes:
    """The processed frames."""
    if not card.tubelet:
        return Keyframes(frames.video[looks.video], looks.time)
    seen = np.unique(looks.clip)
    return Keyframes(frames.video[frames.owner[seen]], frames.time[seen])


def run(model: nn.Module, clips: NDArray[np.int64]) -> Outputs:
    """A model's outputs for clips [B, T], computed 16 at a time."""
    groups = [clips[i : i + 16] for i in range(0, len(clips), 16)]
    parts = [model(pixels_of(group), sizes_of(len(group))) for group in groups]
    names = [name for name, value in vars(parts[0]).items() if isinstance(value, Tensor)]
    names = [name for name in names if name in Outputs.__dataclass_fields__]
    return Outputs(**{name: torch.cat([vars(part)[name] for part in parts]) for name in names})


def clip_of(frames: Frames, looks: Looks, number: int) -> Clip:
    """A clip without pixels."""
    rows = looks.clip[number]
    blank = np.zeros((len(rows), 1, 1, 3), np.uint8)
    name = str(frames.video[looks.video[number]])
    return Clip(name, blank, float(looks.time[number]), frames.time[rows], WHOLE)


def frame_scores(found: Detections, frames: Frames, looked: Keyframes) -> tuple[FrameMap, FrameMap]:
    """Frame mAP of actions and of people at IoU .5, in the processed frames."""
    truth = frames.truth
    actions = frame_map(Instances.of(found), Instances.of_truth(truth), only=looked)
    return actions, frame_map(Instances.of_people(found), Instances.of_people(truth), only=looked)


def short(found: Detections, frames: Frames, looked: Keyframes) -> dict[str, float]:
    """Frame mAP, person AP and person recall."""
    actions, people = frame_scores(found, frames, looked)
    values = (actions.mean, people.mean, float(people.recall.mean()))
    return dict(zip(FIGURES, values, strict=True))


def linked(found: Detections, looked: Keyframes, method: str) -> Tubes:
    """Link as `stadkit link --method` does."""
    return link_viterbi(found, looked) if method == "viterbi" else link(found, looked).tubes


def true_tubes(truth: Path, videos: NDArray[np.str_]) -> Tubes:
    """Read the true tubes of these videos from a file of the import."""
    tubes = read_tubes_json(truth, read_labels(truth.parent / "labels.txt"))
    return tubes.select(np.isin(tubes.video, videos))


def video_scores(tubes: Tubes, truth: Tubes) -> dict[str, float]:
    """Video mAP at .2, .5, .75 and over ranges, as in `eval --rate 30`."""
    return video_map(tubes, truth, sizes=None, rate=RATE).summary()


def means(name: str, figures: list[dict[str, float]]) -> list[str]:
    """Table cells: the mean of each figure, and with several seeds the standard deviation."""
    cells = [name]
    for figure in FIGURES:
        values = [100 * one[figure] for one in figures]
        spread = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
        cells.append(f"{np.mean(values):.1f}{spread}")
    return cells


def line(cells: Sequence[str | float]) -> str:
    """A row of a Markdown table."""
    shown = (cell if isinstance(cell, str) else f"{100 * cell:.1f}" for cell in cells)
    return "| " + " | ".join(shown) + " |"
