"""The semi-supervised stage: the teacher's people get labels from the keyframes around."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from stadkit import zoo
from stadkit.detections import Detections
from stadkit.errors import StadkitError, UsageError
from stadkit.models import Outputs
from stadkit.models.targets import Targets
from stadkit.tla.assignment import Floats
from stadkit.training import semi as stage
from stadkit.training.batches import Batch, EpochSampler
from stadkit.training.checkpoint import Average
from stadkit.training.config import AnnotatedSource, SemiConfig, TrainConfig, read_config
from stadkit.training.loop import train
from stadkit.training.semi import Semi, Unlabelled, begin
from stadkit.training.sources import Annotated

SECONDS, RATE = 4, 10

MESTAD = """
model: mestad-tiny
settings: {width: 16, depth: 1, groups: 4}
data: {train: {truth: t.csv, labels: l.txt, frames: frames, rate: 10, short_side: 64}, workers: 0}
augment: {short_side: [64, 72], crop: [64, 80]}
loss: {rois: jitter, ranges: [32, 64]}
optimizer: {name: adamw, lr: 0.002, clip_grad: 10}
schedule: {epochs: 3, warmup: 0.5}
batch: 2
"""
TWO = MESTAD.replace("epochs: 3", "epochs: 2")
PART = "semi: {burn_in: 1, ema: 0.9, min_person: 0}\n"
SEMI, SHORT = MESTAD + PART, TWO + PART

EVAD = MESTAD.replace("loss: {rois: jitter, ranges: [32, 64]}\n", "").replace(
    "model: mestad-tiny\nsettings: {width: 16, depth: 1, groups: 4}",
    """model: evad-vit-b
settings:
  {token_order: position, width: 32, depth: 4, heads: 2, maps_at: [0, 1, 2, 3], prune_at: [1, 2],
   drop_path: 0, proposals: 8, people_width: 32, people_heads: 2, people_attention: 2,
   feedforward: 32, dynamic: 8, decoder_width: 16, decoder_depth: 2, decoder_heads: 2,
   decoder_drop_path: 0, classifier: 16}""",
)
STMIXER = MESTAD.replace("loss: {rois: jitter, ranges: [32, 64]}\n", "").replace(
    "model: mestad-tiny\nsettings: {width: 16, depth: 1, groups: 4}", "model: stmixer-k-tiny"
)


def data(folder: Path) -> Path:
    """Noise frames with two people per second, one of whom walks."""
    place = folder / "frames" / "a"
    place.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range((SECONDS - 1) * RATE + 3):  # the last half second is missing
        frame = random.integers(0, 256, (64, 80, 3), np.uint8)
        cv2.imwrite(str(place / f"{number:04d}.png"), frame)
    (folder / "l.txt").write_text("1: stand\n2: walk\n")
    rows = [
        f"a,{second},{x1},.1,{x1 + 0.4},.9,{label},{label}\n"
        for second in range(SECONDS)
        for x1, label in ((0.05, 1), (0.5, 2))
    ]
    (folder / "t.csv").write_text("".join(rows))
    return folder


def config(folder: Path, text: str = SEMI) -> TrainConfig:
    (folder / "tiny.yaml").write_text(text)
    return read_config(folder / "tiny.yaml")


class Watch:
    """Records the figures; interrupts after an epoch if set."""

    def __init__(self, stop_after: int = 0) -> None:
        self.epochs: list[dict[str, Any]] = []
        self._stop_after = stop_after

    def __call__(self, kind: str, figures: dict[str, Any]) -> None:
        if kind == "epoch":
            self.epochs.append(figures)
            if len(self.epochs) == self._stop_after:
                raise KeyboardInterrupt


def run(folder: Path, text: str = SEMI, name: str = "out") -> tuple[Path, Watch]:
    out, watch = folder / name, Watch()
    out.mkdir()
    return train(config(folder, text), out, "cpu", False, watch), watch


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, stop_after: int) -> None:
    """Interrupted at the end of the burn-in, and inside the stage."""
    weights, _ = run(data(tmp_path))
    broken = tmp_path / "broken"
    broken.mkdir()
    with pytest.raises(KeyboardInterrupt):
        train(config(tmp_path), broken, "cpu", False, Watch(stop_after))
    resumed = load_file(train(config(tmp_path), broken, "cpu", True, Watch()))
    whole = load_file(weights)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    held = [torch.load(f / "checkpoint.pt", weights_only=True) for f in (weights.parent, broken)]
    for part in ("model", "average"):  # student and teacher
        assert all(torch.equal(held[0][part][k], v) for k, v in held[1][part].items())
    assert held[0]["average_steps"] == held[1]["average_steps"] == 4  # steps of two epochs
    assert all(torch.equal(whole[k], v) for k, v in held[0]["average"].items())


def test_results_have_the_same_columns_in_all_epochs(tmp_path: Path) -> None:
    weights, watch = run(data(tmp_path), SHORT)
    first, second = watch.epochs[0], watch.epochs[1]
    assert set(first) == set(second)
    assert first["unlabelled_action"] == first["pseudo_people"] == 0
    assert second["unlabelled_action"] > 0
    assert second["unlabelled_person"] > 0
    assert 0 < second["pseudo_labelled"] <= 4 < second["pseudo_people"]
    lines = (weights.parent / "results.csv").read_text().splitlines()
    assert len({line.count(",") for line in lines}) == 1


@pytest.mark.parametrize("text", [EVAD, STMIXER])
def test_other_families(tmp_path: Path, text: str) -> None:
    more = "semi: {burn_in: 1, min_person: 0.001, unlabelled: 2}\n"
    once = text.replace("epochs: 3", "epochs: 2") + more
    _, watch = run(data(tmp_path), once)
    last = watch.epochs[-1]
    assert {"unlabelled_person", "unlabelled_box", "unlabelled_giou"} <= set(last)
    assert last["pseudo_people"] > 0
    assert all(np.isfinite(v) for v in last.values())


@pytest.mark.parametrize("strategy", ["hard", "nearest"])
def test_other_strategies_of_the_loss(tmp_path: Path, strategy: str) -> None:
    text = SHORT.replace("burn_in: 1", f"burn_in: 1, strategy: {strategy}, localization: false")
    _, watch = run(data(tmp_path), text)
    assert watch.epochs[-1]["unlabelled_action"] > 0
    assert "unlabelled_person" not in watch.epochs[-1]


def test_thresholds_are_fitted_in_each_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On labelled clips only, and the resulting labels are trained on."""
    labelled: list[int] = []

    def fitted(found: list[Detections], known: list[Batch]) -> Floats:
        assert len(found) == sum(len(batch.targets) for batch in known)
        labelled.append(len(found))
        return np.array([1e-6, np.nan])

    monkeypatch.setattr(stage, "class_thresholds", fitted)
    text = SEMI.replace("burn_in: 1", "burn_in: 1, strategy: per-class")
    _, watch = run(data(tmp_path), text)
    assert labelled == [SECONDS] * 2
    assert watch.epochs[0]["unlabelled_action"] == 0
    assert watch.epochs[1]["unlabelled_action"] > 0


@pytest.mark.parametrize("strategy", ["ema", "none"])
def test_without_unlabelled_clips(tmp_path: Path, strategy: str) -> None:
    text = SHORT.replace("burn_in: 1", f"burn_in: 1, strategy: {strategy}")
    weights, watch = run(data(tmp_path), text)
    assert not any(name.startswith("unlabelled") for name in watch.epochs[-1])
    held = torch.load(weights.parent / "checkpoint.pt", weights_only=True)
    assert (held["average"] is None) == (strategy == "none")


def test_clips_without_detections_have_no_action_loss(tmp_path: Path) -> None:
    for localization in ("true", "false"):
        folder = data(tmp_path / localization)
        part = f"burn_in: 1, localization: {localization}"
        text = SHORT.replace("burn_in: 1", part).replace("min_person: 0", "min_person: 1")
        _, watch = run(folder, text)
        assert watch.epochs[-1]["pseudo_people"] == 0
        assert watch.epochs[-1]["unlabelled_action"] == 0
        assert all(np.isfinite(v) for v in watch.epochs[-1].values())


class Seen(nn.Module):
    """A teacher that records its inputs and finds one person in the left half."""

    def __init__(self, score: float = 2.0) -> None:
        super().__init__()
        self.shown: list[Tensor] = []
        self._score = score

    def forward(self, pixels: Tensor, sizes: Tensor) -> Outputs:
        self.shown.append(pixels)
        b = len(pixels)
        box = torch.tensor([0.0, 0.1, 0.5, 0.9]).expand(b, 1, 1, 4)
        return Outputs(torch.full((b, 1), self._score), box, torch.zeros(b, 1, 2))


def test_the_teacher_sees_what_the_student_sees() -> None:
    card = zoo.card("mestad-tiny")
    card = replace(card, classes=replace(card.classes, ids=(1, 2), names=("stand", "walk")))
    semi = Semi(SemiConfig(), card, EpochSampler(1, 1, 0), [])
    pixels, teacher = torch.rand(1, 3, 1, 64, 128), Seen()
    walks = Targets(torch.tensor([[10.0, 5, 50, 45]]), torch.tensor([[0.0, 1.0]]))
    given = Batch(
        torch.zeros(1, 3, 1, 64, 128, dtype=torch.uint8), torch.tensor([[50, 100]]), [walks]
    )
    labelled, counts = semi.pseudo(teacher, pixels, given)
    assert teacher.shown[0] is pixels
    assert isinstance(labelled.targets[0], Targets)
    # In pixels of the picture without its padding.
    assert labelled.targets[0].box.tolist() == [[0, 5, 50, 45]]
    assert labelled.targets[0].action.tolist() == [[0, 1]]
    assert counts == {"pseudo_people": 1, "pseudo_labelled": 1}
    with pytest.raises(StadkitError, match="teacher's scores became NaN"):
        semi.pseudo(Seen(float("nan")), pixels, given)


def source(folder: Path, **changes: Any) -> tuple[Annotated, AnnotatedSource]:
    train_on = config(data(folder)).data.train
    assert isinstance(train_on, AnnotatedSource)
    given = train_on.model_copy(update=changes)
    return Annotated(given, zoo.card("mestad-tiny"), folder / "store"), given


def test_unlabelled_clips_have_both_neighbours(tmp_path: Path) -> None:
    labelled, given = source(tmp_path)
    clips = Unlabelled(labelled, given, SemiConfig())
    assert len(clips) == 2 * SECONDS - 1  # none before the first frame
    for index in range(len(clips)):
        example = clips[index]
        time = example.clip.time
        away = abs(time - round(time))
        assert 1 / 3 - 0.001 <= away <= 0.501
        inside = time < SECONDS - 1
        assert len(example.box) == (4 if inside else 2)
        assert example.action.sum(0).tolist() == ([2, 2] if inside else [1, 1])
    again = Unlabelled(labelled, given, SemiConfig())
    assert [again[i].clip.time for i in range(3)] == [clips[i].clip.time for i in range(3)]


def test_a_neighbour_too_far_away_has_no_candidates(tmp_path: Path) -> None:
    labelled, given = source(tmp_path)
    clips = Unlabelled(labelled, given, SemiConfig(max_gap=0.1))
    assert [len(clips[i].box) for i in range(len(clips))] == [0] * len(clips)


def test_dense_truth_has_no_unlabelled_times(tmp_path: Path) -> None:
    labelled, given = source(tmp_path)
    with pytest.raises(UsageError, match=r"semi\.offset: 1 s .* one every 1 s"):
        Unlabelled(labelled, given, SemiConfig(offset=(1, 2)))


def test_the_stage_starts_from_the_burn_ins_average(tmp_path: Path) -> None:
    settings = config(tmp_path, SEMI + "ema: 0.5\n")
    student = nn.Linear(1, 1)
    average = Average(student, 0.5)
    nn.init.constant_(average.model.get_parameter("weight"), 7)
    average.steps = 12
    assert not begin(settings, 0, student, average)
    assert begin(settings, 1, student, average)
    assert (student.weight.item(), average.steps, average.decay) == (7, 0, 0.9)
    nn.init.zeros_(student.weight)
    assert begin(settings, 2, student, average)  # once
    assert student.weight.item() == 0


@pytest.mark.parametrize(
    ("buffers", "mean"), [("copy", 2), ("keep", 0), ("average", 2 * 101 / 102)]
)
def test_buffers_of_the_teacher(buffers: str, mean: float) -> None:
    norm = nn.BatchNorm1d(1)
    average = Average(norm, 0.999, buffers)
    assert norm.running_mean is not None
    norm.running_mean.fill_(2)
    nn.init.constant_(norm.weight, 3)
    average.follow(norm)
    assert float(average.model.get_buffer("running_mean")) == pytest.approx(mean)
    weight = average.model.get_parameter("weight").item()
    assert weight == pytest.approx(1 + 2 * 101 / 102)  # weights are always averaged


def test_an_epoch_repeats_few_examples() -> None:
    sampler = EpochSampler(3, 2, seed=0, steps=4)
    seen = [index for batch in sampler for _, index in batch]
    assert len(seen) == 8
    assert sorted(seen[:3]) == sorted(seen[3:6]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MESTAD + "semi: {}\n", "needs a trained teacher"),
        (MESTAD + "semi: {burn_in: 3}\n", "must be less than schedule.epochs"),
        (MESTAD + "init: mestad-tiny\nema: 0.9\nsemi: {}\n", "`ema` is for the burn-in"),
        (MESTAD + "semi: {burn_in: 1, offset: [1, 0.5]}\n", "semi: offset must be"),
        (MESTAD + "semi: {burn_in: 1, strategy: tlaa}\n", "semi.strategy"),
        (
            "model: mestad-tiny\ndata: {train: {clips: 2, seed: 0}}\nschedule: {epochs: 2}\n"
            "semi: {burn_in: 1}\n",
            "rendered clips are labelled only at the key frame",
        ),
    ],
)
def test_wrong_fields_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        config(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_models_of_tubelets_are_refused(tmp_path: Path) -> None:
    text = STMIXER.replace("stmixer-k-tiny", "stmixer-t-tiny") + "semi: {burn_in: 1}\n"
    with pytest.raises(UsageError, match="stmixer-t-tiny predicts tubelets"):
        run(data(tmp_path), text)


def test_unlabelled_terms_are_weighted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weighted by lambda, with gradients for the student."""
    grew: list[float] = []
    weighted = stage.Semi.weighted

    def noted(self: Semi, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        terms = weighted(self, losses)
        grew.append(terms["unlabelled_action"].item() / losses["action"].item())
        assert terms["unlabelled_action"].requires_grad
        return terms

    monkeypatch.setattr(stage.Semi, "weighted", noted)
    run(data(tmp_path), SHORT.replace("burn_in: 1", "burn_in: 1, weight: 0.25"))
    assert grew == pytest.approx([0.25] * 2)
