"""Base class of rules that go forward in time with the network, so that their memory does not depend on the number of
steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from seqzoo.cells.modified import ModifiedCell
from seqzoo.contracts.batch import Batch, Loss, State
from seqzoo.contracts.errors import TrainingError
from seqzoo.contracts.masking import mask, zero_padding
from seqzoo.contracts.state import detach, flatten, unflatten, where
from seqzoo.contracts.steps import Steps
from seqzoo.learning.network_step import Moment, NetworkStep, joined
from seqzoo.learning.rule import LearningRule, Objective
from seqzoo.network import results
from seqzoo.network.locked_dropout import LockedDropout
from seqzoo.network.model import Model
from seqzoo.network.network_ensemble import Ensemble

ELEMENTS_AT_ONCE = 2**22
"""Elements of derivatives that are computed together, for several steps; a larger step is computed alone."""


class ForwardRule(LearningRule, ABC):
    """The gradient of the loss with respect to the outputs of the backbone comes from one backward pass through the
    head. From step to step the rule then carries a memory of how the state depends on the weights, which it carries on
    to the next batch if that continues this one: gradients reach back to the beginning of a text, not of a window.

    The memory is a list of tensors, whose first dimension are the rows of the batch. The weights of the encoder are
    included, the head learns by backpropagation. Subclasses say what the memory is.

    Args:
        carry_state: windows start from the last state of the previous window; False: from the initial state.

    Attributes:
        recurrent: False: the rule leaves out derivatives through products with hidden-to-hidden matrices.
    """

    crosses_batches = True
    follows_weights = True
    supports = ("resets",)
    recurrent: ClassVar[bool] = True

    def __init__(self, carry_state: bool = True):
        self.carry_state = carry_state
        self.memory: list[Tensor] = []
        self._step: NetworkStep | None = None

    @abstractmethod
    def prepare(self, step: NetworkStep) -> None:
        """Called before all other methods with the step of the network that is trained.

        It is called again when other weights are trained, as with gradual unfreezing.
        """

    @abstractmethod
    def first(self, rows: int) -> list[Tensor]:
        """The memory at the initial state."""

    @abstractmethod
    def products_size(self) -> int:
        """The number of elements of `products` for each row and step."""

    @abstractmethod
    def products(self, moment: Moment) -> list[Tensor]:
        """The derivatives that `following` needs, at N steps: tensors (N, ...)."""

    @abstractmethod
    def following(self, memory: list[Tensor], products: list[Tensor], moment: Moment) -> list[Tensor]:
        """The memory after a step.

        Args:
            memory: before it.
            products: of the step.
            moment: the step, N is the number of rows.
        """

    @abstractmethod
    def collect(self, memory: list[Tensor], of_states: Tensor) -> list[Tensor]:
        """What is summed over steps for the gradient.

        Args:
            memory: of a state.
            of_states: gradients with respect to that state, (B, S).
        """

    @abstractmethod
    def add(self, collected: list[Tensor]) -> None:
        """Add the gradients of the weights to `grad`, from the sums of `collect`."""

    def through_head(self, model: Model) -> AbstractContextManager[Any]:
        """A context of the forward pass through the head, whose derivatives the rule may replace."""
        return nullcontext()

    def misfits(self, model: Model) -> list[str]:
        if isinstance(model, Ensemble):
            return ["trains one network, not an ensemble: leave ensemble out"]
        reasons, encoder = [], model.encoder
        if not model.backbone.causal:
            reasons.append(
                "goes forward in time, and {backbone} reads steps that are ahead: choose one that does not, such as "
                "backbone=unidirectional or backbone=deep"
            )
        for name in _modifiers(model):
            why = "changes the gradients of backpropagation" if name == "clip_state_gradient" else "draws new numbers"
            reasons.append(f"computes each step a second time, and cell.{name} {why}: leave it out")
        if _has_dropout(model.backbone):
            reasons.append(
                "computes each step a second time, and dropout in {backbone} draws new numbers: set backbone.dropout=0"
            )
        if any(weight.requires_grad for weight in encoder.parameters()):
            picture = getattr(getattr(model.task, "spec", None), "picture", None) is not None
            beyond = encoder.context != (0, 0) or encoder.stride != 1
            if picture or beyond or encoder.reads_characters or encoder.reads_lengths:
                reasons.append(
                    "follows the weights of an encoder from step to step, and those of {encoder} read more than a "
                    "token: choose encoder=tokens or encoder=features"
                )
            elif _has_dropout(encoder):
                reasons.append(
                    "computes each step a second time, and dropout in {encoder} draws new numbers: set "
                    "encoder.dropout=0 and encoder.embedding_dropout=0"
                )
        return reasons

    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        model = objective.model
        self.check_structure(batch)
        if self._step is None or not self._step.is_of(model):
            for reason in self.misfits(model):
                names = {name: f"the {name}" for name in ("cell", "backbone", "encoder", "task")}
                raise TrainingError(f"{type(self).__name__} {reason.format(**names)}")
            self._step = NetworkStep(model)
            if any(self._step.trained):
                self.prepare(self._step)
        state = state if self.carry_state else None
        with torch.no_grad(), objective.autocast():
            vectors, steps, state = model.read(batch, state)
            outputs, after = results.outputs_of(model.backbone, model.backbone(vectors, steps, state))
        outputs = outputs.detach().requires_grad_()
        ends = [part.detach().requires_grad_(part.dim() > 1) for part in flatten(after)]
        with objective.autocast(), self.through_head(model):
            features = model.features_of(batch, outputs, steps, unflatten(ends, after))
            scores = results.checked(model.task, "forward", model.task(features, batch))
            loss = results.loss_of(model.task, model.task.loss(scores, batch))
        objective.scaled(loss.total).backward()
        if not any(self._step.trained):  # only the head
            return Loss(loss.total.detach(), loss.count), detach(after)

        inputs = vectors if self._step.reads_vectors else batch.inputs
        first = self.first(batch.size)
        self.memory = first if state is None else self._continued(batch, first)
        self.go_forward(
            zero_padding(inputs, steps.lengths),
            steps,
            model.backbone.initial_state(batch.size) if state is None else state,
            zero_padding(_gradient(outputs), steps.lengths),
            [_gradient(end) for end in ends if end.dim() > 1],
        )
        return Loss(loss.total.detach(), loss.count), detach(after)

    def go_forward(
        self, inputs: Tensor, steps: Steps, state: State, of_outputs: Tensor, of_after: list[Tensor]
    ) -> None:
        """Go over the steps of a batch and add the gradients of its loss to `grad`.

        Args:
            inputs: what the step reads, (B, T) or (B, T, I).
            steps: lengths and resets.
            state: before the first step.
            of_outputs: gradients with respect to the outputs, (B, T, O), zero at padded steps.
            of_after: gradients with respect to the tensors of the state after the last step.
        """
        step = cast(NetworkStep, self._step)
        rows, time = inputs.shape[:2]
        real = None if steps.lengths is None else mask(steps.lengths, time)
        resets = steps.resets if steps.resets is None or real is None else steps.resets & real
        state, initial = detach(state), detach(step.model.backbone.initial_state(rows))
        at_once = max(1, ELEMENTS_AT_ONCE // max(1, rows * self.products_size()))
        memory, collected = self.memory, list[Tensor]()
        first = () if resets is None else self.first(rows)

        for start in range(0, time, at_once):
            chunk = range(start, min(start + at_once, time))
            moments = []
            for t in chunk:
                if resets is not None:
                    state = where(resets[:, t], initial, state)
                moments.append(Moment(inputs[:, t], *step.split(state)))
                with torch.no_grad():
                    following = step(moments[-1])[1]
                state = following if real is None else where(real[:, t], following, state)
            together = joined(moments)
            of_chunk = of_outputs[:, start : chunk.stop].transpose(0, 1).flatten(0, 1)
            of_states = step.pull_outputs(together, of_chunk, self.recurrent)
            of_states, products = of_states.unflatten(0, (-1, rows)), self.products(together)
            products = [part.unflatten(0, (-1, rows)) for part in products]
            for number, t in enumerate(chunk):
                if resets is not None:
                    memory = _where(resets[:, t], first, memory)
                collected = _summed(collected, self.collect(memory, of_states[number]))
                new = self.following(memory, [part[number] for part in products], moments[number])
                memory = new if real is None else _where(real[:, t], new, memory)
        if of_after:
            end = torch.cat([part.flatten(1) for part in of_after], dim=1)
            collected = _summed(collected, self.collect(memory, end))
        self.add(collected)
        self.memory = memory

    def _continued(self, batch: Batch, first: list[Tensor]) -> list[Tensor]:
        """The memory of the previous batch, for the rows of this one.

        Raises:
            TrainingError: it is not that of the previous batch, such as after an edit of a checkpoint.
        """
        memory = [part.to(like) for part, like in zip(self.memory, first, strict=False)]
        if batch.continues is not None and len(memory) == len(first):
            rows = batch.continues
            memory = _where(rows >= 0, [part.index_select(0, rows.clamp(min=0)) for part in memory], first)
        if [part.shape for part in memory] != [part.shape for part in first]:
            raise TrainingError(
                f"the memory of {type(self).__name__} does not belong to the state that a batch continues: train from "
                "the beginning, or with learning.carry_state=false"
            )
        return memory

    def content(self) -> dict[str, Any]:
        return {"memory": [part.contiguous() for part in self.memory]}

    def restore(self, content: dict[str, Any]) -> None:
        memory = content["memory"]
        if not isinstance(memory, list) or not all(isinstance(part, Tensor) and part.dim() for part in memory):
            raise ValueError("the memory of the learning rule is not a list of tensors with rows")
        self.memory = memory


def _modifiers(model: Model) -> list[str]:
    """The modifiers of cells that a second computation of a step does not repeat."""
    cells = [module for module in model.backbone.modules() if isinstance(module, ModifiedCell)]
    names = ("zoneout", "recurrent_dropout", "weight_drop", "clip_state_gradient")
    return [name for name in names if any(getattr(cell.modifiers, name) for cell in cells)]


def _has_dropout(part: nn.Module) -> bool:
    """Whether a part has dropout with a probability above 0."""
    modules = [module for module in part.modules() if isinstance(module, nn.Dropout | LockedDropout)]
    return any(module.p > 0 for module in modules) or getattr(part, "embedding_dropout", 0) > 0


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _where(condition: Tensor, chosen: Sequence[Tensor], otherwise: Sequence[Tensor]) -> list[Tensor]:
    """Rows of `chosen` where the condition (B,) is True, else of `otherwise`."""
    return list(where(condition, tuple(chosen), tuple(otherwise)))


def _summed(sums: list[Tensor], parts: list[Tensor]) -> list[Tensor]:
    return [total + part for total, part in zip(sums, parts, strict=True)] if sums else parts
