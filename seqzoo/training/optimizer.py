"""The optimizer, and the learning rate schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from seqzoo.training.fine_tuning import learning_rate_factors
from seqzoo.training.record.checkpoint import check_form
from seqzoo.training.settings import Training


def build_optimizer(model: nn.Module, settings: Training) -> torch.optim.Optimizer:
    """Create the optimizer. Weight decay applies to matrices and embeddings, not to biases and normalisation.

    Each group of parameters has the `factor` that its learning rate is multiplied by.
    """
    factors = learning_rate_factors(model, settings.layer_decay)
    trained = [(p, factors[name]) for name, p in model.named_parameters() if p.requires_grad]
    groups = []
    for factor in sorted({factor for _, factor in trained}, reverse=True) or [1.0]:
        same = [p for p, its_factor in trained if its_factor == factor]
        for decayed in (True, False):
            parameters = [p for p in same if (p.dim() > 1) == decayed]
            groups.append({"params": parameters, "weight_decay": settings.weight_decay * decayed, "factor": factor})
    rate, betas = settings.learning_rate, (float(settings.betas[0]), float(settings.betas[1]))
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True)
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, betas=betas, fused=True)
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, momentum=settings.momentum)
    if settings.optimizer == "adagrad":
        return torch.optim.Adagrad(groups, lr=rate)
    return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, fused=True)


def restore_optimizer(optimizer: torch.optim.Optimizer, settings: Training, state: dict[int, Any]) -> None:
    """Load the state of the optimizer from a checkpoint; the options remain those of the settings.

    Args:
        optimizer: from `build_optimizer`.
        settings: its options.
        state: of each parameter, by its number.

    Raises:
        ValueError: the state is not that of this optimizer.
    """
    parameters = [parameter.data for group in optimizer.param_groups for parameter in group["params"]]
    example = nn.Linear(2, 3)
    example.weight.grad = torch.zeros_like(example.weight)
    example_optimizer = build_optimizer(example, settings)
    example_optimizer.step()
    example_state = example_optimizer.state[example.weight]
    for number, values in state.items():
        if number not in range(len(parameters)):
            raise ValueError(f"optimizer.state has {number!r}, and there are {len(parameters)} parameters")
        parameter = parameters[number]
        like = {k: parameter if v.shape == example.weight.shape else v for k, v in example_state.items()}
        check_form(values, like, f"optimizer.state.{number}")
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


@dataclass
class Schedule:
    """The learning rate schedule.

    Args:
        settings: the options.
        total: the number of updates, at which linear and cosine end; None where only a time budget ends the training.
        factor: the current factor of plateau.
        waited: validations without improvement since plateau last reduced the rate.
    """

    settings: Training
    total: int | None
    factor: float = 1.0
    waited: int = 0

    def rate(self, step: int, spent: float = 0.0) -> float:
        """The learning rate of an update.

        Args:
            step: its number, from 0.
            spent: the share of the time budget that is spent.
        """
        settings = self.settings
        if step < settings.warmup_steps:
            return settings.learning_rate * (step + 1) / settings.warmup_steps
        if settings.schedule == "plateau":
            return settings.learning_rate * self.factor
        if settings.schedule == "constant":
            return settings.learning_rate
        if self.total is not None:
            spent = max(spent, (step - settings.warmup_steps) / max(1, self.total - settings.warmup_steps))
        share = min(1.0, spent)
        falling = 1 - share if settings.schedule == "linear" else (1 + math.cos(math.pi * share)) / 2
        return settings.learning_rate * (settings.final_rate + (1 - settings.final_rate) * falling)

    def after_validation(self, improved: bool) -> None:
        """Reduce the rate of plateau after `plateau_patience` validations without improvement."""
        if self.settings.schedule != "plateau":
            return
        self.waited = 0 if improved else self.waited + 1
        if self.waited > self.settings.plateau_patience:
            self.factor, self.waited = self.factor * self.settings.plateau_factor, 0
