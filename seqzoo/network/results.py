"""Checks of what the parts of a model and its data return, which may be user-defined.

Each function returns the result if it is what the base class requires, and raises PartError, which names the part and
its line, otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from seqzoo.contracts.batch import Batch, Loss, Prediction, State
from seqzoo.contracts.errors import PartError
from seqzoo.contracts.options import fits
from seqzoo.contracts.own_parts import described, failure_of_own_part, place_of, wrong_result
from seqzoo.contracts.parts import Backbone, DataModule, Encoder, Metric, Task
from seqzoo.contracts.spec import DataSpec
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


def scores_of(task: Task, scores: Any) -> Tensor:
    """The result of `Task.forward`: a tensor."""
    if not isinstance(scores, Tensor):
        raise wrong_result(task, "forward", scores, "a tensor of scores, which `loss` takes")
    return scores


def predictions_of(task: Task, batch: Batch, predictions: Any) -> list[Prediction]:
    """The result of `Task.decode`: one Prediction per row of the batch."""
    if not _is_list(predictions, Prediction, batch.size):
        raise wrong_result(task, "decode", predictions, f"a list of {batch.size} Predictions here, one per row")
    return predictions


def candidates_of(task: Task, batch: Batch, rows: Any) -> list[list[Prediction]]:
    """The result of `candidates`: a list of Predictions for each row of the batch, at least one."""
    if not _is_list(rows, list, batch.size) or not all(row and _is_list(row, Prediction) for row in rows):
        raise wrong_result(task, "candidates", rows, f"{batch.size} lists of Predictions here, one list per row")
    return rows


def references_of(task: Task, batch: Batch, references: Any) -> list:
    """The result of `Task.references`: one correct answer per row of the batch."""
    if not _is_list(references, object, batch.size):
        raise wrong_result(task, "references", references, f"a list of {batch.size} answers here, one per row")
    return references


@contextmanager
def comparing(task: Task, answers: Sequence[Any], references: Sequence[Any]) -> Iterator[None]:
    """A context for metrics that compare answers with references: PartError if these are not of the same form."""
    try:
        yield
    except (TypeError, ValueError, AttributeError) as error:
        if not answers or failure_of_own_part(error) is not None:
            raise
        answer, reference = (described(values[0]) for values in (answers, references))
        raise PartError(
            f"{place_of(task, 'references')} returned references, such as {reference}, that cannot be compared with "
            f"its answers, such as {answer}: {error}"
        ) from error


def lines_of(task: Task, batch: Batch, lines: Any) -> list[str]:
    """The result of `Task.show`: one text per row of the batch."""
    if not _is_list(lines, str, batch.size):
        raise wrong_result(task, "show", lines, f"a list of {batch.size} texts here, one per row")
    return lines


def metrics_of(task: Task, metrics: Any) -> list[Metric]:
    """The result of `Task.metrics`: at least one Metric."""
    if not metrics or not _is_list(metrics, Metric):
        raise wrong_result(task, "metrics", metrics, "a list of Metrics, the first of which selects the checkpoint")
    return metrics


def batch_of(task: Task, method: str, batch: Any) -> Batch:
    """The result of `Task.example_batch` or `Task.samples`: a Batch."""
    if not isinstance(batch, Batch):
        raise wrong_result(task, method, batch, "a Batch")
    return batch


def prompt_of(task: Task, prompt: Any) -> str:
    """The result of `Task.prompt`: a text."""
    if not isinstance(prompt, str):
        raise wrong_result(task, "prompt", prompt, "a text")
    return prompt


def score_of(metric: Metric, score: Any) -> float:
    """The result of `Metric.compute`: a number."""
    if not isinstance(score, int | float):
        raise wrong_result(metric, "compute", score, "a float")
    return score


def expected_spec_of(data: DataModule, spec: Any) -> DataSpec:
    """The result of `DataModule.expected_spec`: a DataSpec."""
    if not isinstance(spec, DataSpec):
        raise wrong_result(data, "expected_spec", spec, "a DataSpec")
    return spec


def load(data: DataModule, spec: DataSpec | None = None) -> None:
    """Call `DataModule.load`, which sets `spec`, and after which the splits are known."""
    data.load(spec)
    if not isinstance(getattr(data, "spec", None), DataSpec):
        raise PartError(f"{place_of(data, 'load')} does not set self.spec to a DataSpec, as every DataModule must")
    splits = data.splits()
    if not fits(splits, dict[str, int]):
        expected = 'the number of examples of each split, such as {"train": 800, "validation": 100}'
        raise wrong_result(data, "splits", splits, expected)


def padding_share_of(data: DataModule, share: Any) -> float | None:
    """The result of `DataModule.padding_share`: a number or None."""
    if share is not None and not isinstance(share, int | float):
        raise wrong_result(data, "padding_share", share, "a float or None")
    return share


def number_of_batches(data: DataModule, number: Any) -> int:
    """The result of `DataModule.num_batches`: an integer."""
    if not isinstance(number, int):
        raise wrong_result(data, "num_batches", number, "an integer")
    return number


def batches_of(data: DataModule, batches: Any) -> Iterator[Batch]:
    """The items of the result of `DataModule.batches`: each a Batch."""
    if not isinstance(batches, Iterable):
        raise wrong_result(data, "batches", batches, "an iterator of Batches, as a function with `yield` does")
    for batch in batches:
        if not isinstance(batch, Batch):
            raise wrong_result(data, "batches", batch, "an iterator of Batches; this was one of its items")
        yield batch


def _is_list(value: Any, kind: type, length: int | None = None) -> bool:
    """Whether a value is a list of instances of a class and, where given, of this length."""
    return isinstance(value, list) and length in (None, len(value)) and all(isinstance(item, kind) for item in value)


def _is_wide(tensor: Tensor, width: int) -> bool:
    return jit_traced() or (tensor.dim() == 3 and tensor.shape[2] == width)
