"""Checks of what the parts of a model and its data return, which may be user-defined.

Each function returns the result if it is what the base class requires, and raises PartError otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor

from seqzoo.contracts.batch import Batch, Loss, Prediction, State
from seqzoo.contracts.own_parts import wrong_result
from seqzoo.contracts.parts import Backbone, DataModule, Encoder, Metric, Task
from seqzoo.contracts.transforms import jit_traced


def vectors_of(encoder: Encoder, vectors: Any) -> Tensor:
    """The result of `Encoder.forward`: (B, T, output_size)."""
    if not isinstance(vectors, Tensor) or not _is_wide(vectors, encoder.output_size):
        raise wrong_result(encoder, "forward", vectors, f"a tensor (B, T, output_size={encoder.output_size})")
    return vectors


def outputs_of(backbone: Backbone, result: Any) -> tuple[Tensor, State]:
    """The result of `Backbone.forward`: outputs (B, T, output_size) and the next state."""
    is_pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], Tensor)
    if not is_pair or not isinstance(result[1], tuple) or not _is_wide(result[0], backbone.output_size):
        expected = f"outputs (B, T, output_size={backbone.output_size}) and a tuple, the next state"
        raise wrong_result(backbone, "forward", result, expected)
    return result


def loss_of(task: Task, result: Any) -> Loss:
    """The result of `Task.loss`: two scalar tensors."""
    is_loss = isinstance(result, Loss) and all(isinstance(part, Tensor) and part.dim() == 0 for part in result)
    if not is_loss:
        raise wrong_result(task, "loss", result, "Loss(total, count), two tensors without dimensions")
    return result


def predictions_of(task: Task, batch: Batch, predictions: Any) -> list[Prediction]:
    """The result of `Task.decode`: one Prediction per row of the batch."""
    is_list = isinstance(predictions, list) and all(isinstance(prediction, Prediction) for prediction in predictions)
    if not is_list or len(predictions) != batch.size:
        raise wrong_result(task, "decode", predictions, f"a list of {batch.size} Predictions here, one per row")
    return predictions


def score_of(metric: Metric, score: Any) -> float:
    """The result of `Metric.compute`: a number."""
    if not isinstance(score, int | float):
        raise wrong_result(metric, "compute", score, "a float")
    return score


def batches_of(data: DataModule, batches: Any) -> Iterator[Batch]:
    """The items of the result of `DataModule.batches`: each a Batch."""
    if not isinstance(batches, Iterable):
        raise wrong_result(data, "batches", batches, "an iterator of Batches, as a function with `yield` does")
    for batch in batches:
        if not isinstance(batch, Batch):
            raise wrong_result(data, "batches", batch, "an iterator of Batches; this was one of its items")
        yield batch


def _is_wide(tensor: Tensor, width: int) -> bool:
    return jit_traced() or (tensor.dim() == 3 and tensor.shape[2] == width)
