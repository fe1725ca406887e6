"""Evaluation on a whole split, and a few decoded examples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest
from typing import Any, NamedTuple

import torch

from seqzoo.contracts.batch import Alignment, Batch, Features, Loss, Prediction
from seqzoo.contracts.capabilities import (
    Aligns,
    Calibrates,
    FitsBeforehand,
    Forecasts,
    LabelsTrees,
    Outlook,
    Report,
    ScoredTree,
)
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.metric import Metric
from seqzoo.network import results
from seqzoo.network.model import Model
from seqzoo.network.restoring import evaluating
from seqzoo.training.device import autocast
from seqzoo.training.processes import ALONE, Division, Processes


def evaluate(
    model: Model,
    data: DataModule,
    split: str,
    device: torch.device,
    precision: str = "fp32",
    confusion: Report | None = None,
    processes: Processes = ALONE,
) -> dict[str, float]:
    """Compute the metrics of the task and the mean loss on a split.

    Args:
        model: in any mode, which is restored.
        data: the data module, loaded.
        split: "train", "validation" or "test".
        device: of the model.
        precision: fp32, bf16 or fp16.
        confusion: updated with the predictions, where given; of several processes, in the first one.
        processes: that share the batches, or where these continue each other, their rows.

    Returns:
        The scores by name, with the mean loss, which is `loss_nats` if it is a negative log-likelihood.
    """
    with evaluating(model), torch.no_grad():
        metrics = results.metrics_of(model.task, model.task.metrics())
        decode = confusion is not None or any(metric.from_predictions for metric in metrics)
        batches = _encoded(model, data, split, device, precision, processes)
        outcomes: Iterable[Outcome] = (
            _outcome(model, batch, features, decode, precision) for batch, features in batches
        )
        if processes.count > 1:
            outcomes = _in_turn(processes.gathered([*outcomes]))
        scores = _scores(model, metrics, outcomes, confusion) if processes.first else {}
        return processes.from_first(scores)


class Outcome(NamedTuple):
    """What is counted of a batch.

    Attributes:
        losses: the loss of the task and further ones by name, on the host; that of the task is in double precision.
        predictions, references: of each row; empty if no metric reads them.
    """

    losses: dict[str, Loss]
    predictions: list[Prediction]
    references: list[Any]


def _outcome(model: Model, batch: Batch, features: Features, decode: bool, precision: str) -> Outcome:
    task, references = model.task, []
    with autocast(precision, batch.inputs.device):
        batch_scores = model.scores(batch, features)
        loss = results.loss_of(task, task.loss(batch_scores, batch))
        further = {name: part.on_host() for name, part in task.further_losses(batch_scores, batch).items()}
        predictions = task.decode(model, batch, features) if decode else []
    if decode:
        results.per_row(task, "decode", predictions, batch.size)
        references = results.per_row(task, "references", task.references(batch), batch.size)
    loss = Loss(loss.total.double(), loss.count).on_host()
    return Outcome({task.loss_name: loss, **further}, predictions, references)


def _scores(
    model: Model, metrics: list[Metric], outcomes: Iterable[Outcome], confusion: Report | None
) -> dict[str, float]:
    name_of_loss = model.task.loss_name
    sums: dict[str, list[float]] = {name_of_loss: [0.0, 0.0]}
    for losses, predictions, references in outcomes:
        answers = [prediction.answer for prediction in predictions]
        for name, part in losses.items():
            total, count = sums.get(name, (0.0, 0.0))
            sums[name] = [total + float(part.total), count + float(part.count)]
        with results.comparing(model.task, answers, references):
            if confusion is not None:
                confusion.update(predictions, references)
            for metric in metrics:
                metric.update(losses[name_of_loss], answers, references)
    scores = {metric.name: results.checked(metric, "compute", metric.compute()) for metric in metrics}
    return {**scores, **{name: total / max(count, 1.0) for name, (total, count) in sums.items()}}


def _in_turn(of_processes: Iterable[list[Outcome]]) -> Iterator[Outcome]:
    """The first outcome of each process, then the second ones: the order of the batches."""
    for outcomes in zip_longest(*of_processes):
        yield from (outcome for outcome in outcomes if outcome is not None)


def _shared(data: DataModule, split: str, processes: Processes) -> Iterator[Batch]:
    """The batches of a split that this process scores. Whole ones in turn or, where they continue each other, rows."""
    batches = results.batches_of(data, data.batches(split))
    if data.stateful and processes.count > 1:
        return map(Division(processes, stateful=True), batches)
    return islice(batches, processes.rank, None, processes.count)


def _encoded(
    model: Model, data: DataModule, split: str, device: torch.device, precision: str, processes: Processes = ALONE
) -> Iterator[tuple[Batch, Features]]:
    """The batches of a split with their features, the state carried from each to the next where they continue."""
    state = None
    for batch in _shared(data, split, processes):
        if not batch.size:  # no row of it is here
            state = None
            continue
        batch = batch.to(device)
        with autocast(precision, device):
            features = model.encode(batch, state)
        if data.stateful:
            state = features.state
        yield batch, features


def fit_beforehand(model: Model, data: DataModule) -> None:
    """Fit what a task fits before the first update, see `FitsBeforehand`."""
    for network in model.networks:
        if isinstance(network.task, FitsBeforehand):
            splits = (results.batches_of(data, data.batches(split)) for split in ("train", "validation"))
            network.task.fit_beforehand(*splits)


@torch.no_grad()
def calibrate(model: Model, data: DataModule, device: torch.device, precision: str) -> bool:
    """Fit what a task fits on the validation split, see `Calibrates`; returns whether the model has changed."""
    changed = False
    for network in model.networks:
        if isinstance(network.task, Calibrates):
            with evaluating(network), autocast(precision, device):
                changed |= network.task.calibrate(network, _encoded(network, data, "validation", device, precision))
    return changed


@torch.no_grad()
def decoded_examples(model: Model, data: DataModule, split: str, device: torch.device, count: int) -> list[str]:
    """One line for each of the first rows of the middle batch of a split; the training's random state is unchanged."""
    if count == 0:
        return []
    batch = shown(model, data, split, count).to(device)
    with evaluating(model), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        predictions = results.per_row(model.task, "decode", model.task.decode(model, batch), batch.size)
        return results.per_row(model.task, "show", model.task.show(batch, predictions), batch.size)


@torch.no_grad()
def alignments(model: Model, data: DataModule, split: str, device: torch.device, count: int) -> list[Alignment]:
    """The attention weights of the answers of `decoded_examples`; none for a task without attention."""
    if count == 0 or not isinstance(model.task, Aligns):
        return []
    with evaluating(model):
        batch = shown(model, data, split, count).to(device)
        return results.per_row(model.task, "alignments", model.task.alignments(model, batch), batch.size)


@torch.no_grad()
def forecasts(model: Model, data: DataModule, split: str, device: torch.device, count: int) -> list[Outlook]:
    """The forecasts of `decoded_examples`; none for a task that continues no series."""
    if count == 0 or not isinstance(model.task, Forecasts):
        return []
    with evaluating(model):
        return model.task.outlooks(model, shown(model, data, split, count).to(device))


@torch.no_grad()
def labelled_trees(model: Model, data: DataModule, split: str, device: torch.device, count: int) -> list[ScoredTree]:
    """The trees of `decoded_examples`; none for a task that labels no trees."""
    if count == 0 or not isinstance(model.task, LabelsTrees):
        return []
    with evaluating(model):
        return model.task.labelled_trees(model, shown(model, data, split, count).to(device))


def shown(model: Model, data: DataModule, split: str, count: int) -> Batch:
    """The rows of the middle batch of a split that the task shows, the same ones every time."""
    return results.checked(model.task, "samples", model.task.samples(middle(data, split), count))


def middle(data: DataModule, split: str) -> Batch:
    """The middle batch of a split."""
    return next(iter(data.batches(split, start=data.num_batches(split) // 2)))
