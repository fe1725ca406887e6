"""The contract of a learning rule, which computes the gradients of an update."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from seqzoo.contracts.batch import Batch, Loss, State
from seqzoo.contracts.errors import TrainingError
from seqzoo.contracts.steps import MEANINGS, unsupported
from seqzoo.network.model import Model


@dataclass(frozen=True)
class Objective:
    """The loss of a model on a batch, computed in the precision of the training.

    Args:
        model: the model whose gradients are computed.
        autocast: creates a context of automatic mixed precision.
        scaled: multiplies a loss, or a gradient that was not computed from a scaled loss, by the loss scale of fp16
            training; the identity in other precisions.
    """

    model: Model
    autocast: Callable[[], AbstractContextManager]
    scaled: Callable[[Tensor], Tensor]

    def loss(self, batch: Batch, state: State | None) -> tuple[Loss, State]:
        """The loss, a sum over the targets of the batch, and the state after it.

        Args:
            batch: on the device of the model.
            state: first state of the backbone; None: its initial state.
        """
        with self.autocast():
            return self.model.loss(batch, state)


class LearningRule:
    """Computes the gradients of each update: `LearningRule(**options)`, a name in `conf/learning`.

    Gradient accumulation, clipping, the learning rate schedule and the optimizer are the same for all rules. A rule may
    keep tensors from batch to batch, such as influence matrices or a running mean of losses: they are attributes, which
    `content` and `restore` save in checkpoints.

    Attributes:
        solves: True: a closed-form rule. `gradients` sets the weights itself instead of adding to `grad`, the optimizer
            takes no step, and training ends after one epoch.
        task_needs: the capability (`seqzoo.contracts.capabilities`) that a task must have; None: any task.
        exact: True: the gradients are those of backpropagation, for every model without `misfits`.
        sums_over_rows: True: the gradients of a batch are the sums of those of its rows, and nothing is kept from batch
            to batch, so that several processes can share its rows.
        unbiased: True: the gradients are random, and their mean is that of backpropagation.
        crosses_batches: True: where batches continue each other, the gradients reach back to the first of them; False:
            to the beginning of the batch.
        follows_weights: True: the rule follows how states depend on the weights that are trained in the first update,
            so that none may be frozen then and trained later (`training.freeze`).
        supports: the fields of `Steps` besides lengths that the gradients follow; a rule that goes over the steps
            itself names those that it passes on.
    """

    solves: ClassVar[bool] = False
    task_needs: ClassVar[type | None] = None
    exact: bool = False
    sums_over_rows: ClassVar[bool] = False
    unbiased: ClassVar[bool] = False
    crosses_batches: ClassVar[bool] = False
    follows_weights: ClassVar[bool] = False
    supports: Collection[str] = tuple(MEANINGS)

    def misfits(self, model: Model) -> list[str]:
        """Say why the rule cannot train a model, which `seqzoo check` reports.

        Each one is the end of a sentence that begins with the name of the rule. In it {cell}, {backbone}, {encoder} and
        {task} stand for the names of these parts, and {fitting_tasks} for those of the tasks that have the capability
        `task_needs`.

        Args:
            model: the model, perhaps on the meta device.

        Returns:
            Reasons; empty: it can.
        """
        return []

    def check_structure(self, batch: Batch) -> None:
        """Check that the rule supports the structure of a batch.

        Args:
            batch: of any data.

        Raises:
            TrainingError: it has a field of `Steps` that the rule would ignore.
        """
        for mistake in unsupported(batch.steps.structure, self, type(self).__name__):
            raise TrainingError(mistake)

    def bytes_needed(self, model: Model, rows: int) -> int:
        """Estimate the memory of the rule, which is checked before a training.

        Args:
            model: the model, with values.
            rows: number of rows of a batch.

        Returns:
            The number of bytes that it needs besides those of backpropagation.
        """
        return 0

    @abstractmethod
    def gradients(self, objective: Objective, batch: Batch, state: State | None) -> tuple[Loss, State | None]:
        """Add the gradients of a batch's loss, a sum over its targets, to `grad` of the model's parameters.

        An implementation should not synchronise with a GPU.

        Args:
            objective: the model and its loss; gradients are scaled by `objective.scaled`.
            batch: on the device of the model.
            state: the state after the previous batch, if batches continue each other; None: the initial state.

        Returns:
            The loss, detached, and the state that the next batch may continue from, detached.
        """

    def content(self) -> dict[str, Any]:
        """The rule's part of a checkpoint.

        Returns:
            Tensors and plain data by name; empty for a rule without memory.
        """
        return {}

    def restore(self, content: dict[str, Any]) -> None:
        """Restore the rule from a checkpoint.

        Args:
            content: from `content`.

        Raises:
            ValueError, LookupError: it is not the content of such a rule.
        """


def checked_result(rule: LearningRule, result: Any) -> tuple[Loss, State | None]:
    """Check the result of `gradients`; raises TrainingError if it is not a loss and a state."""
    is_pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Loss)
    if not is_pair or not all(isinstance(part, Tensor) for part in result[0]):
        raise TrainingError(
            f"{_named(rule)}.gradients returned {type(result).__name__} {result!r:.60}: it must return a Loss of two "
            "tensors, and the state for the next batch"
        )
    return result


def without_gradient(rule: LearningRule, model: Model) -> dict[str, nn.Parameter]:
    """The trained weights that have no gradient, by name. Raises TrainingError if no weight has one."""
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    missing = {name: weight for name, weight in trained.items() if weight.grad is None}
    if len(missing) == len(trained):
        raise TrainingError(
            f"{_named(rule)}.gradients gave no weight a gradient in the first update: without one nothing is learned; "
            "it must add to grad of the model's parameters"
        )
    return missing


def remark_without_gradient(names: Sequence[str]) -> str:
    """The remark about weights that no gradient has reached."""
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"no gradient reaches {listed}: they are not trained; is an output detached, or are they not used?"


def _named(rule: LearningRule) -> str:
    return f"{type(rule).__module__}.{type(rule).__qualname__}"
