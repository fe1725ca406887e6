"""Evaluation on a whole split, and a few decoded examples."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from seqzoo.contracts.batch import Alignment, Batch, Features, Loss
from seqzoo.contracts.capabilities import Aligns, Calibrates, FitsBeforehand, Forecasts, Outlook, Report
from seqzoo.contracts.data_module import DataModule
from seqzoo.network import results
from seqzoo.network.model import Model
from seqzoo.network.restoring import evaluating
from seqzoo.training.device import autocast


def evaluate(
    model: Model,
    data: DataModule,
    split: str,
    device: torch.device,
    precision: str = "fp32",
    confusion: Report | None = None,
) -> dict[str, float]:
    """Compute the metrics of the task and the mean loss on a split.

    Args:
        model: in any mode, which is restored.
        data: the data module, loaded.
        split: "train", "validation" or "test".
        device: of the model.
        precision: fp32, bf16 or fp16.
        confusion: updated with the predictions, where given.

    Returns:
        The scores by name, with the mean loss, which is `loss_nats` if it is a negative log-likelihood.
    """
    with evaluating(model), torch.no_grad():
        return _scores(model, data, split, device, precision, confusion)


def _scores(
    model: Model, data: DataModule, split: str, device: torch.device, precision: str, confusion: Report | None
) -> dict[str, float]:
    metrics = results.metrics_of(model.task, model.task.metrics())
    decode = confusion is not None or any(metric.from_predictions for metric in metrics)
    sums: dict[str, list[float]] = {model.task.loss_name: [0.0, 0.0]}
    for batch, features in _encoded(model, data, split, device, precision):
        with autocast(precision, device):
            batch_scores = model.scores(batch, features)
            loss = results.loss_of(model.task, model.task.loss(batch_scores, batch))
            further = model.task.further_losses(batch_scores, batch)
            predictions = model.task.decode(model, batch, features) if decode else []
            if decode:
                results.per_row(model.task, "decode", predictions, batch.size)
        answers = [prediction.answer for prediction in predictions]
        references = (
            results.per_row(model.task, "references", model.task.references(batch), batch.size) if decode else []
        )
        loss = Loss(loss.total.double().cpu(), loss.count.cpu())
        for name, part in {model.task.loss_name: loss, **further}.items():
            total, count = sums.get(name, (0.0, 0.0))
            sums[name] = [total + float(part.total), count + float(part.count)]
        with results.comparing(model.task, answers, references):
            if confusion is not None:
                confusion.update(predictions, references)
            for metric in metrics:
                metric.update(loss, answers, references)
    scores = {metric.name: results.checked(metric, "compute", metric.compute()) for metric in metrics}
    return {**scores, **{name: total / max(count, 1.0) for name, (total, count) in sums.items()}}


def _encoded(
    model: Model, data: DataModule, split: str, device: torch.device, precision: str
) -> Iterator[tuple[Batch, Features]]:
    """The batches of a split with their features, the state carried from each to the next where they continue."""
    state = None
    for batch in results.batches_of(data, data.batches(split)):
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


def shown(model: Model, data: DataModule, split: str, count: int) -> Batch:
    """The rows of the middle batch of a split that the task shows, the same ones every time."""
    return results.checked(model.task, "samples", model.task.samples(middle(data, split), count))


def middle(data: DataModule, split: str) -> Batch:
    """The middle batch of a split."""
    return next(iter(data.batches(split, start=data.num_batches(split) // 2)))
