"""The training loop: supervised or semi-supervised epochs, each with a checkpoint and a score."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from stadkit import zoo
from stadkit.detection import pick_precision
from stadkit.errors import UsageError
from stadkit.files.rows import write_text
from stadkit.layers.memory_format import channels_last
from stadkit.training import steps, validation
from stadkit.training.bank_settings import bank_settings
from stadkit.training.batches import Batch, EpochSampler, Views, loader, raise_errors
from stadkit.training.checkpoint import Done, load_checkpoint, save_checkpoint
from stadkit.training.config import TrainConfig
from stadkit.training.criteria import build_criterion
from stadkit.training.fitting import (
    VIEWS,
    check_config,
    fitted_epoch,
    is_fitted,
    settings_are_fitted,
    source_settings,
)
from stadkit.training.init_weights import fill_frozen, start_from, start_notes
from stadkit.training.model import build_chosen, chosen_card, licence_from, sized_card
from stadkit.training.optim import build_optimizer
from stadkit.training.processes import Processes, joined
from stadkit.training.semi import averaged, begin, open_semi
from stadkit.training.sources import ExampleSource, open_source
from stadkit.training.steps import Objective, Report, Training
from stadkit.training.validation import validate
from stadkit.zoo.cards import to_json

# Files that a training writes to its folder; the clip store may be there too.
OUTPUTS = ("weights.safetensors", "weights.json", "checkpoint.pt", validation.NAME, "args.json")


def train(config: TrainConfig, out: Path, device: str, resume: bool, report: Report) -> Path:
    """Train according to the config; returns the path of the weights, `out`/weights.safetensors.

    `out` also gets weights.json (card and checksum, so that `detect --model` accepts the weights),
    checkpoint.pt (resumable), results.csv (one line per epoch) and args.json; without `resume`,
    those of an earlier training are deleted. Under torchrun every process calls this, and the
    first writes.
    """
    with joined(device) as processes:
        training, val = _prepare(config, out, processes, report)
        done = _resume(training, val, out) if resume else _clean(out, processes)
        for epoch in range(done, config.schedule.epochs):
            figures = _learn(training, epoch, out)
            if processes.first:
                _keep(training, out, Done(epoch + 1, figures))
                _score(training, val, out, figures)
            if processes.world > 1:
                torch.distributed.barrier()
    return out / "weights.safetensors"


def _prepare(
    config: TrainConfig, out: Path, processes: Processes, report: Report
) -> tuple[Training, ExampleSource | None]:
    torch.manual_seed(config.seed)
    report = report if processes.first else lambda kind, figures: None
    banks = bank_settings(config.data, sized_card(config.model, config.settings))
    settings = banks | config.settings
    card = sized_card(config.model, settings)
    if settings_are_fitted(card.settings):
        check_config(config)
    criterion = build_criterion(card.family, config.loss)
    store = config.data.store or out / "clips"
    source = open_source(config.data.train, card, store)
    val = open_source(config.data.val, card, store) if config.data.val else None
    if val is not None and val.labels.names != source.labels.names:
        raise UsageError("data.val: its labels differ from data.train's; use one label file")
    if settings_are_fitted(card.settings):
        settings = settings | source_settings(source)
    card = chosen_card(config.model, settings, source.labels, config.short_side)
    model = build_chosen(card)
    if config.init is None:
        fill_frozen(model)
    else:
        started = start_from(model, config.init)
        card = replace(card, licence=licence_from(started.licence))
        names = {"initial": started.initial, "unused": started.unused}
        report("init", {"file": str(config.init), **names, "told": start_notes(started, card)})
    model = channels_last(model.to(processes.device))
    objective: nn.Module = Objective(model, criterion)
    if processes.world > 1:
        objective = DistributedDataParallel(objective)
    sampler = EpochSampler(len(source), config.batch, config.seed, processes.rank, processes.world)
    views = Views(source, config.augment, config.seed)
    bf16 = pick_precision(config.precision, processes.device) == torch.bfloat16
    training = Training(
        config=config,
        card=card,
        model=model,
        objective=objective,
        optimizer=build_optimizer(config.optimizer, model),
        average=averaged(config, model),
        semi=open_semi(config, card, source, sampler, processes),
        sampler=sampler,
        batches=loader(views, sampler, config.data.workers, card.multiple),
        processes=processes,
        autocast=bf16 and not is_fitted(model),
        report=report,
    )
    return training, val


def _clean(out: Path, processes: Processes) -> int:
    """Delete an earlier training's files; returns the number of epochs done: 0."""
    leftovers = [*(out / name for name in OUTPUTS), *out.glob(VIEWS)]
    for path in leftovers if processes.first else ():
        path.unlink(missing_ok=True)
    return 0


def _resume(training: Training, val: ExampleSource | None, out: Path) -> int:
    """Restore the state of the last checkpoint; returns the number of epochs done."""
    config = training.config.model_dump(mode="json")
    model, average, optimizer = training.model, training.average, training.optimizer
    path = out / "checkpoint.pt"
    done = load_checkpoint(path, model, average, optimizer, config, training.bank)
    if (
        training.processes.first
        and validation.last(out / validation.NAME).get("epoch") != done.epochs
    ):
        _score(training, val, out, done.figures)  # the last run was interrupted in validation
    if done.epochs >= training.config.schedule.epochs:
        training.report("finished", {"epoch": done.epochs})
    return done.epochs


def _learn(training: Training, epoch: int, out: Path) -> dict[str, Any]:
    """Run one epoch: a fit for a fitted head, else steps."""
    if is_fitted(training.model):
        return fitted_epoch(training, epoch, out)
    return _epoch(training, epoch)


def _epoch(training: Training, epoch: int) -> dict[str, Any]:
    """One pass over the data; returns the mean of each loss and the speed."""
    # Dropout and RoI sampling draw from torch's generator: a seed per epoch makes a resumed run
    # equal to an uninterrupted one.
    torch.manual_seed(hash((training.config.seed, epoch, training.processes.rank)) % 2**63)
    training.objective.train()
    semi = begin(training.config, epoch, training.model, training.average)
    if semi:
        _fit_thresholds(training, epoch)
    sums: dict[str, float] = {}
    started = time.perf_counter()
    step_count = len(training.sampler)
    for number, batches in enumerate(_batches(training, epoch, semi)):
        losses = steps.step(training, *batches, epoch * step_count + number)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value
        seconds = time.perf_counter() - started
        figures = {name: value / (number + 1) for name, value in sums.items()}
        figures |= {"epoch": epoch + 1, "step": number + 1, "steps": step_count}
        figures["steps_a_second"] = (number + 1) / seconds
        figures["clips_a_second"] = (number + 1) * training.config.batch / seconds
        training.report("step", figures)
    return figures


def _fit_thresholds(training: Training, epoch: int) -> None:
    """Fit the semi-supervised stage's thresholds on the epoch's first labelled clips."""
    if training.semi is None or training.semi.config.strategy != "per-class":
        return
    assert training.average is not None  # the teacher exists once the stage has begun
    training.sampler.epoch = epoch
    labelled = raise_errors(training.batches)
    with steps.cast(training.processes.device, training.autocast):
        training.semi.fit(
            training.average.model, (steps.to_device(training, batch) for batch in labelled)
        )


def _batches(training: Training, epoch: int, semi: bool) -> Iterator[tuple[Batch, Batch | None]]:
    """Batches of labelled clips, each with one of unlabelled clips in the semi-supervised stage."""
    training.sampler.epoch = epoch
    labelled = raise_errors(training.batches)
    if training.semi is None or not semi:
        yield from ((batch, None) for batch in labelled)
        return
    training.semi.sampler.epoch = epoch
    yield from zip(labelled, raise_errors(training.semi.batches), strict=True)


def _keep(training: Training, out: Path, done: Done) -> None:
    """Write checkpoint and weights before validation, so that its failure loses nothing."""
    config = training.config.model_dump(mode="json")
    model, average, optimizer = training.model, training.average, training.optimizer
    notes = {"card": to_json(training.card), "epochs": done.epochs}
    zoo.save_weights(training.shipped.state_dict(), out / "weights.safetensors", notes)
    write_text(out / "args.json", [json.dumps(config, indent=2), "\n"])
    path = out / "checkpoint.pt"
    save_checkpoint(path, model, average, optimizer, done, config, training.bank)


def _score(
    training: Training, val: ExampleSource | None, out: Path, figures: dict[str, Any]
) -> None:
    """Validate, and append the epoch's line to the results."""
    figures = figures | validate(training.shipped, training.card, val, training.autocast)
    validation.append(out / validation.NAME, figures)
    training.report("epoch", figures)
