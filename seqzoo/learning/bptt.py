"""Backpropagation through time: the exact gradient of a batch's loss, also in pieces of time.

Source: Werbos, Backpropagation Through Time: What It Does and How to Do It, 1990, https://doi.org/10.1109/5.58337
Williams & Peng, An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent Network Trajectories, 1990 (the
truncated form), https://doi.org/10.1162/neco.1990.2.4.490
Chen, Xu, Zhang & Guestrin, Training Deep Nets with Sublinear Memory Cost, 2016 (recomputation from checkpoints),
https://arxiv.org/abs/1604.06174
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from seqzoo.cells.modified import ModifiedCell
from seqzoo.contracts.batch import Batch, Loss, State
from seqzoo.contracts.parts import Backbone
from seqzoo.contracts.state import detach
from seqzoo.contracts.steps import Steps
from seqzoo.learning.rule import LearningRule, Objective
from seqzoo.network import results
from seqzoo.network.locked_dropout import LockedDropout
from seqzoo.network.model import Model
from seqzoo.network.network_ensemble import Ensemble


class BackpropagationThroughTime(LearningRule):
    """Backpropagates the loss of a batch through all its steps.

    The gradient is exact if rows are whole sequences. If batches are windows of longer texts, it is truncated at the
    beginning of each window.

    Args:
        carry_state: windows start from the last state of the previous window; False: from the initial state.
    """

    exact = True
    sums_over_rows = True

    def __init__(self, carry_state: bool = True):
        self.carry_state = carry_state

    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        loss, state = objective.loss(batch, state if self.carry_state else None)
        objective.scaled(loss.total).backward()
        return Loss(loss.total.detach(), loss.count), detach(state)


class InPieces(LearningRule, ABC):
    """Backpropagation of a batch whose steps go through the backbone in pieces, each from the state after the last.

    Args:
        carry_state: as in `BackpropagationThroughTime`.
    """

    supports = ("resets",)
    sums_over_rows = True

    def __init__(self, carry_state: bool = True):
        self.carry_state = carry_state

    @abstractmethod
    def size(self, time: int) -> int:
        """The number of steps of a piece, for a batch of `time` steps."""

    @abstractmethod
    def run(self, backbone: Backbone, x: Tensor, steps: Steps, state: State) -> tuple[Tensor, State]:
        """The outputs of a piece that is not the first, and the state after it."""

    def misfits(self, model: Model) -> list[str]:
        if isinstance(model, Ensemble):
            return ["trains one network, not an ensemble: leave ensemble out"]
        reasons = []
        if not model.backbone.causal:
            reasons.append(
                "goes through time in pieces, and {backbone} reads steps that are ahead: choose one that does not, "
                "such as backbone=unidirectional or backbone=deep"
            )
        if any(isinstance(module, LockedDropout) and module.p > 0 for module in model.backbone.modules()):
            reasons.append("goes through time in pieces, and each would draw a mask: set backbone.locked=false")
        modifiers = [module.modifiers for module in model.backbone.modules() if isinstance(module, ModifiedCell)]
        reasons += [
            f"goes through time in pieces, and each would draw a mask: leave cell.{name} out"
            for name in ("recurrent_dropout", "weight_drop")
            if any(getattr(values, name) for values in modifiers)
        ]
        return reasons

    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        model = objective.model
        self.check_structure(batch)
        with objective.autocast():
            vectors, steps, before = model.read(batch, state if self.carry_state else None)
            reached: State = model.backbone.initial_state(batch.size) if before is None else before
            outputs, size = [], self.size(vectors.shape[1])
            for first in range(0, vectors.shape[1], size):
                of_piece = _cut(steps, first, size)
                run = self.run if first else type(model.backbone).__call__
                part, reached = run(model.backbone, vectors[:, first : first + size], of_piece, reached)
                outputs.append(part)
            features = model.features_of(batch, torch.cat(outputs, dim=1), steps, reached)
            scores = results.checked(model.task, "forward", model.task(features, batch))
            loss = results.loss_of(model.task, model.task.loss(scores, batch))
        objective.scaled(loss.total).backward()
        return Loss(loss.total.detach(), loss.count), detach(reached)


class TruncatedBackpropagation(InPieces):
    """Backpropagates errors to the beginning of a piece of `steps` steps only. States are carried on.

    For running text `data.window` has the same effect, with an update after each piece.

    Args:
        steps: number of steps of a piece.
        carry_state: for running text: windows start from the last state of the previous window; false: from the initial
            state.

    Raises:
        ValueError: there are no steps.
    """

    def __init__(self, steps: int = 20, carry_state: bool = True):
        if steps < 1:
            raise ValueError(f"steps is {steps}: it must be at least 1")
        super().__init__(carry_state)
        self.steps = steps

    def size(self, time: int) -> int:
        return self.steps

    def run(self, backbone: Backbone, x: Tensor, steps: Steps, state: State) -> tuple[Tensor, State]:
        return backbone(x, steps, detach(state))


class CheckpointedBackpropagation(InPieces):
    """The exact gradient with less memory: only the states between pieces are kept, and the backward pass computes each
    piece again. With pieces of sqrt(T) steps, memory grows with sqrt(T), and the time by that of a forward pass.

    Args:
        steps: number of steps of a piece; null: the square root of the length of a batch.
        carry_state: for running text: windows start from the last state of the previous window; false: from the initial
            state.

    Raises:
        ValueError: there are no steps.
    """

    exact = True

    def __init__(self, steps: int | None = None, carry_state: bool = True):
        if steps is not None and steps < 1:
            raise ValueError(f"steps is {steps}: it must be at least 1, or null")
        super().__init__(carry_state)
        self.steps = steps

    def size(self, time: int) -> int:
        return self.steps or math.ceil(time**0.5)

    def run(self, backbone: Backbone, x: Tensor, steps: Steps, state: State) -> tuple[Tensor, State]:
        return checkpoint(backbone, x, steps, state, use_reentrant=False)


def _cut(steps: Steps, first: int, size: int) -> Steps:
    """Lengths and resets of the steps from `first` on, `size` of them."""
    lengths = None if steps.lengths is None else (steps.lengths - first).clamp(min=0, max=size)
    return Steps(lengths, None if steps.resets is None else steps.resets[:, first : first + size])
