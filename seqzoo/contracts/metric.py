"""The base class of metrics."""

from __future__ import annotations

from abc import abstractmethod

from seqzoo.contracts.batch import Loss


class Metric:
    """A running sum that becomes one number; `Metric()` is an empty one.

    Attributes:
        name: name of the score; the option `task.metrics` lists metrics of seqzoo by this name.
        higher_is_better: whether the best checkpoint is the one with the highest score.
        from_predictions: True: it is computed from answers, which requires decoding.
        scores_alone: True: it is defined for a single answer.
        loss_unit: the `Task.loss_unit` of the losses that it is computed from; None: any.
    """

    name: str
    higher_is_better: bool
    from_predictions: bool
    scores_alone: bool
    loss_unit: str | None = None

    @abstractmethod
    def update(self, loss: Loss, answers: list, references: list) -> None:
        """Add one batch.

        Args:
            loss: of the batch.
            answers: values of `Prediction.answer`, one per row; empty without decoding.
            references: correct answers, one per row; empty without decoding.
        """

    @abstractmethod
    def compute(self) -> float:
        """The score over all batches so far.

        Returns:
            The score; NaN before the first batch, and where it is not defined.
        """
