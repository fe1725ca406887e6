"""Weight averaging: validation, the best checkpoint and final scores use averages of the weights over updates.

ema: an exponential moving average (Polyak & Juditsky 1992, https://doi.org/10.1137/0330046, with a memory).
swa: an equal mean of the last part of a training (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407).
nt_asgd: an equal mean from when validation stops improving (Merity, Keskar & Socher 2018,
https://arxiv.org/abs/1708.02182).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.network.restoring import restored
from seqzoo.training.record.checkpoint import check_form
from seqzoo.training.settings import Training


class Averaging:
    """Averages of the trained parameters of a model and of its floating-point buffers, such as the statistics of
    BatchNorm.

    Args:
        model: to average.
        settings: the options.

    Attributes:
        averaged: the parameters and buffers.
        weights: their averages; empty before `started`.
        count: number of updates in the averages.
        ranks: of all validations so far; higher is better.
    """

    def __init__(self, model: nn.Module, settings: Training):
        self.settings = settings
        self.averaged: list[Tensor] = [
            *(parameter for parameter in model.parameters() if parameter.requires_grad),
            *(buffer for buffer in model.buffers() if buffer.is_floating_point() or buffer.is_complex()),
        ]
        self.started = settings.average == "ema"
        self.weights: list[Tensor] = []
        self.count = 0
        self.ranks: list[list[float]] = []

    @torch.no_grad()
    def after_update(self, progress: float) -> None:
        """Add the current weights to the average; progress: the share of the training that is done."""
        if self.settings.average == "swa" and progress >= self.settings.average_from:
            self.started = True
        if not self.started:
            return
        self.count += 1
        if not self.weights:
            self.weights = [tensor.clone() for tensor in self.averaged]
            return
        share = 1 / self.count
        if self.settings.average == "ema":
            # a shorter memory at first, to forget the initial weights
            share = max(1 - self.settings.average_decay, 9 / (9 + self.count))
        # torch.optim.swa_utils calls it as well, although its underscore makes it private to a type checker
        torch._foreach_lerp_(self.weights, self.averaged, share)  # pyright: ignore[reportPrivateImportUsage]

    def after_validation(self, rank: list[float]) -> bool:
        """Whether this validation starts nt_asgd: it is worse than the best one before the last `nonmonotone`."""
        earlier = self.ranks[: -self.settings.nonmonotone]
        self.ranks.append(rank)
        if self.settings.average != "nt_asgd" or self.started or not earlier or rank >= max(earlier):
            return False
        self.started = True
        return True

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which the model has the averaged weights, if averaging has started."""
        if not self.weights:
            yield
            return
        with restored(self.averaged):
            with torch.no_grad():
                for tensor, average in zip(self.averaged, self.weights, strict=True):
                    tensor.copy_(average)
            yield

    def content(self) -> dict[str, Any]:
        """What a checkpoint saves."""
        return {"started": self.started, "weights": self.weights, "count": self.count, "ranks": self.ranks}

    def restore(self, content: dict[str, Any]) -> None:
        """Load what `content` returned.

        Raises:
            ValueError: it does not have the form of this model's averages.
        """
        for name, like in self.content().items():
            if type(content[name]) is not type(like):
                raise ValueError(f"averaging.{name} is {content[name]!r}")
        for number, (weight, tensor) in enumerate(zip(content["weights"], self.averaged, strict=False)):
            check_form(weight, tensor.data, f"averaging.weights[{number}]")
        for rank in content["ranks"]:
            check_form(rank, [0.0, 0.0], "averaging.ranks")
        self.started, self.count, self.ranks = content["started"], content["count"], content["ranks"]
        self.weights = [
            weight.to(tensor.device) for weight, tensor in zip(content["weights"], self.averaged, strict=False)
        ]
        if self.weights:  # a checkpoint of an older version has no averages of buffers
            self.weights += [tensor.detach().clone() for tensor in self.averaged[len(self.weights) :]]
