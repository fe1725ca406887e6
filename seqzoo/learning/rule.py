"""The contract of a learning rule, which computes the gradients of an update."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seqzoo.contracts.batch import Batch, Loss, State
from seqzoo.contracts.errors import TrainingError
from seqzoo.network.model import Model


@dataclass(frozen=True)
class Objective:
    """The loss of a model on a batch, in the precision of its training.

    Args:
        model: the model; the gradients of its parameters are wanted.
        autocast: begins a region of that precision.
        scaled: multiplies a loss, or a gradient that was not computed from a scaled one, by the factor that keeps small
            gradients from vanishing in fp16; 1 in other precisions.
    """

    model: Model
    autocast: Callable[[], AbstractContextManager]
    scaled: Callable[[Tensor], Tensor]

    def loss(self, batch: Batch, state: State | None) -> tuple[Loss, State]:
        """The loss, a sum over the targets of the batch, and the state after it.

        Args:
            batch: on the device of the model.
            state: where the backbone starts; None: from its initial state.
        """
        with self.autocast():
            scores, after = self.model(batch, state)
            return self.model.task.loss(scores, batch), after


class LearningRule:
    """Where the gradients of a training come from: `LearningRule(**options)`, a name of `conf/learning`.

    The loop asks for the gradients of one batch after the other; adding up batches, clipping, the learning rate and the
    optimizer are the same for every rule. A rule may keep tensors of its own from batch to batch, such as influence
    matrices or a running mean of losses: they are attributes, and `content` and `restore` save them.
    """

    @abstractmethod
    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        """Add the gradients of a batch's loss, a sum over its targets, to `grad` of the model's parameters.

        Nothing here should wait for a GPU.

        Args:
            objective: the model and its loss. Gradients are `objective.scaled`.
            batch: on the device of the model.
            state: what the batch before handed on, where batches continue each other; None: the batch begins anew.

        Returns:
            The loss, detached, and the state that the next batch may continue from, detached.
        """

    def content(self) -> dict[str, Any]:
        """Tensors and plain data that a checkpoint keeps of the rule; empty for a rule that remembers nothing."""
        return {}

    def restore(self, content: dict[str, Any]) -> None:
        """The inverse of `content`. Raises ValueError or LookupError for what is not the content of such a rule."""


def checked_result(rule: LearningRule, result: Any) -> tuple[Loss, State | None]:
    """What `gradients` returned. Raises TrainingError where it is something else than a loss and a state."""
    is_pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Loss)
    if not is_pair or not all(isinstance(part, Tensor) for part in result[0]):
        raise TrainingError(
            f"{_named(rule)}.gradients returned {type(result).__name__} {result!r:.60}: it must return a Loss of two "
            "tensors, and the state for the next batch"
        )
    return result


def check_some_gradient(rule: LearningRule, model: Model) -> None:
    """Raises TrainingError where no weight of a model has a gradient after the first update's batches."""
    if all(weight.grad is None for weight in model.parameters()):
        raise TrainingError(
            f"{_named(rule)}.gradients gave no weight a gradient in the first update: without one nothing is learned; "
            "it must add to grad of the model's parameters"
        )


def _named(rule: LearningRule) -> str:
    return f"{type(rule).__module__}.{type(rule).__qualname__}"
