"""Adaptive evaluation of language models: dynamic evaluation and the neural cache.

A target is used for adaptation only after its loss has been computed. The scores are named after the kind of
adaptation, `perplexity_cache` or `perplexity_dynamic`, since they are not scores of the model alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Loss
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.state import detach, resume
from seqzoo.network.model import Model
from seqzoo.network.restoring import evaluating, restored
from seqzoo.training.device import autocast


@dataclass(frozen=True)
class Adaptation:
    """How a language model adapts to the text that it is evaluated on.

    Args:
        cache: number of past steps in the neural cache, with the features of each and the token that followed. 0: no
            cache.
        cache_flatness: theta, the factor on the dot products of features; 0 makes the cache a unigram model.
        cache_weight: lambda, the weight of the cache in the mixture with the model.
        dynamic: learning rate of dynamic evaluation, which updates the weights after each window. 0: none.
        dynamic_decay: the share by which the weights return to the trained ones after each window.

    Raises:
        ValueError: an option is out of its range.
    """

    cache: int = 0
    cache_flatness: float = 0.3
    cache_weight: float = 0.1
    dynamic: float = 0.0
    dynamic_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("cache", "cache_flatness", "dynamic"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be a finite number, 0 or more")
        for name in ("cache_weight", "dynamic_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it is a share, 0 <= {name} < 1")

    @property
    def name(self) -> str:
        """The suffix of the names of adapted scores."""
        return "_dynamic" * bool(self.dynamic) + "_cache" * bool(self.cache)


def evaluate_adapting(
    model: Model, data: DataModule, split: str, device: torch.device, precision: str, adaptation: Adaptation
) -> dict[str, float]:
    """Evaluate a language model that adapts while it reads a split. Its weights are restored at the end.

    Args:
        model, data, split, device, precision: as of `seqzoo.training.evaluation.evaluate`.
        adaptation: how it adapts.

    Returns:
        The metrics of the task, with the suffix `adaptation.name`.

    Source: Krause et al., Dynamic Evaluation of Neural Sequence Models, 2018 (here by plain gradient descent),
    https://arxiv.org/abs/1709.07432
    Grave et al., Improving Neural Language Models with a Continuous Cache, 2017, https://arxiv.org/abs/1612.04426
    """
    task: Any = model.task
    metrics, state = task.metrics(), None
    cache = (
        NeuralCache(adaptation.cache, adaptation.cache_flatness, adaptation.cache_weight) if adaptation.cache else None
    )
    with evaluating(model), _restored_weights(model) as trained:
        for batch in data.batches(split):
            batch = batch.to(device)
            with torch.set_grad_enabled(adaptation.dynamic > 0), autocast(precision, device):
                features = model.encode(batch, state)
                loss = task.loss(task(features, batch), batch)
            if adaptation.dynamic:
                model.zero_grad()
                (loss.total / loss.count).backward()
            state = detach(features.state)
            counted = loss.total.detach()
            with torch.no_grad():
                if cache is not None:
                    outputs = features.outputs.detach()
                    counted = -cache(outputs, task.target_scores(outputs, batch), batch).sum()
                if adaptation.dynamic:
                    follow(model, trained, adaptation.dynamic, adaptation.dynamic_decay)
            for metric in metrics:
                metric.update(Loss(counted.double().cpu(), loss.count.cpu()), [], [])
    return {f"{metric.name}{adaptation.name}": metric.compute() for metric in metrics}


@contextmanager
def _restored_weights(model: nn.Module) -> Iterator[list[Tensor]]:
    """Restore parameters and their gradients at the end; yields copies of the parameters."""
    parameters = list(model.parameters())
    gradients = [parameter.grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.grad = None
        with restored(parameters) as before:
            yield before
    finally:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient


def follow(model: nn.Module, trained: list[Tensor], rate: float, decay: float) -> None:
    """A gradient step, with the norm clipped to 1, and a step back towards the trained weights.

    Args:
        model: with gradients.
        trained: the trained weights.
        rate: learning rate.
        decay: the share of the way back.
    """
    nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], 1.0)
    for parameter, value in zip(model.parameters(), trained, strict=True):
        if parameter.grad is not None:
            parameter.sub_(parameter.grad, alpha=rate)
            parameter.lerp_(value, decay)


class NeuralCache:
    """The neural cache of Grave et al. 2017.

    Args:
        size: number of past steps.
        flatness: theta.
        weight: lambda.
    """

    def __init__(self, size: int, flatness: float, weight: float):
        self.size, self.flatness, self.weight = size, flatness, weight
        self.memory: tuple[Tensor, Tensor] | None = None

    def __call__(self, outputs: Tensor, scores: Tensor, batch: Batch) -> Tensor:
        """Mix the probabilities of the cache into those of the model, and add the batch to the cache.

        Args:
            outputs: features, (B, T, O).
            scores: log-probabilities of the targets, (B, T).
            batch: with the targets.

        Returns:
            Log-probabilities of the mixture, (B, T), 0 at padded steps.
        """
        targets, steps = batch.required_targets, scores.shape[1]
        before, tokens = self._before(outputs, batch)
        keys, followed = torch.cat([before, outputs], 1), torch.cat([tokens, targets], 1)
        # step t, at entry size + t, sees the `size` entries before its own; a token of -1 marks an empty entry
        entry, step = torch.arange(self.size + steps, device=outputs.device), torch.arange(steps, device=outputs.device)
        seen = (entry >= step[:, None]) & (entry < self.size + step[:, None]) & (followed >= 0)[:, None]
        similarity = self.flatness * torch.einsum("bto,bso->bts", outputs.float(), keys.float())
        weights = similarity.masked_fill(~seen, float("-inf")).softmax(-1).nan_to_num(0.0)  # nan: an empty cache
        remembered = (weights * (followed[:, None] == targets[..., None])).sum(-1)
        mixed = torch.logaddexp(scores + math.log(1 - self.weight), (self.weight * remembered).log())
        mixed = torch.where(seen.any(-1), mixed, scores)
        last = batch.lengths[:, None] + torch.arange(self.size, device=outputs.device)
        self.memory = keys.gather(1, last[..., None].expand(-1, -1, keys.shape[2])), followed.gather(1, last)
        return mixed.masked_fill(step >= batch.lengths[:, None], 0.0)

    def _before(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, size, O) and tokens (B, size) of the last steps of each row."""
        rows, width = outputs.shape[0], outputs.shape[2]
        empty = outputs.new_zeros(rows, self.size, width), batch.inputs.new_full((rows, self.size), -1)
        if self.memory is None:
            return empty
        if batch.continues is None:
            return self.memory
        return resume(self.memory, batch.continues, empty)
