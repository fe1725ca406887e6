"""Checks of what the parts of a model and its data return, which may be user-defined.

Each function returns the result if it is what the base class requires, and raises PartError, which names the part and
its line, otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor

from seqzoo.contracts.batch import Alignment, Batch, Explanation, Loss, Prediction, State
from seqzoo.contracts.capabilities import Streamed, TokenScore
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import PartError
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.options import fits
from seqzoo.contracts.own_parts import described, during, failure_of_own_part, is_own_class, place_of, wrong_result
from seqzoo.contracts.parts import Backbone, Encoder, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.contracts.survey import Survey
from seqzoo.contracts.transforms import jit_traced

T = TypeVar("T")


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


SINGLE: dict[str, tuple[Any, str]] = {
    "compute": (int | float, "a float"),
    "end_stream": (Streamed, "a Streamed"),
    "example_batch": (Batch, "a Batch"),
    "expected_spec": (DataSpec, "a DataSpec"),
    "forward": (Tensor, "a tensor of scores, which `loss` takes"),
    "num_batches": (int, "an integer"),
    "padding_share": (int | float | None, "a float or None"),
    "prompt": (str, "a text"),
    "samples": (Batch, "a Batch"),
    "stream": (Prediction, "a Prediction"),
    "survey": (Survey | None, "a Survey or None"),
}
"""Methods of tasks, data modules and metrics -> the type of their results, and its name in messages."""

LISTS: dict[str, tuple[type, str]] = {
    "alignments": (Alignment, "Alignments"),
    "decode": (Prediction, "Predictions"),
    "read_steps": (Streamed, "Streamed"),
    "references": (object, "answers"),
    "show": (str, "texts"),
}
"""Methods of tasks that return a list with one item per row -> the type of the items, and its name in messages."""

LISTS_OF_LISTS: dict[str, tuple[type, str]] = {
    "candidates": (Prediction, "Predictions"),
    "explain": (Explanation, "Explanations"),
    "score_answers": (TokenScore, "TokenScores"),
    "score_texts": (TokenScore, "TokenScores"),
}
"""Methods of tasks that return a list of items for each row, at least one."""

MAY_BE_EMPTY = ("alignments", "explain")
"""Methods that return an empty list where the model lacks something."""


def checked(part: object, method: str, result: T) -> T:
    """The result of a method of `SINGLE`."""
    kind, name = SINGLE[method]
    if not isinstance(result, kind):
        raise wrong_result(part, method, result, name)
    return result


def per_row(task: Task, method: str, result: list[T], rows: int) -> list[T]:
    """The result of a method of `LISTS` or `LISTS_OF_LISTS` for a batch of this number of rows."""
    if method in MAY_BE_EMPTY and result == []:
        return result
    if method in LISTS:
        kind, name = LISTS[method]
        if not _is_list(result, kind, rows):
            raise wrong_result(task, method, result, f"a list of {rows} {name} here, one per row")
        return result
    kind, name = LISTS_OF_LISTS[method]
    if not _is_list(result, list, rows) or not all(row and _is_list(row, kind) for row in result):
        raise wrong_result(task, method, result, f"{rows} lists of {name} here, one list per row")
    return result


def metrics_of(task: Task, metrics: Any) -> list[Metric]:
    """The result of `Task.metrics`: at least one Metric, each with a name of its own."""
    if not metrics or not _is_list(metrics, Metric):
        raise wrong_result(task, "metrics", metrics, "a list of Metrics, the first of which selects the checkpoint")
    names = [getattr(metric, "name", None) for metric in metrics]
    for metric, name in zip(metrics, names, strict=True):
        if not isinstance(name, str):
            reason = "without a name: give its class one, name = ..."
        elif names.count(name) > 1:
            reason = f"and another one with the name {name!r}: rename one, or leave it out"
        elif name == task.loss_name and is_own_class(type(metric)):
            reason = f"with the name {name!r}, which is that of the mean loss: rename it"
        else:
            continue
        raise PartError(f"{place_of(task, 'metrics')} returned the metric {type(metric).__qualname__} {reason}")
    return metrics


def classes_of(task: Task, classes: Any) -> list[str]:
    """The result of `Task.classes`: texts."""
    if not _is_list(classes, str):
        raise wrong_result(task, "classes", classes, "a list of texts")
    return classes


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


@during(lambda: "while the data were read")
def load(data: DataModule, spec: DataSpec | None = None) -> None:
    """Call `DataModule.load`, which sets `spec`, and after which the splits are known."""
    data.load(spec)
    if not isinstance(getattr(data, "spec", None), DataSpec):
        raise PartError(f"{place_of(data, 'load')} does not set self.spec to a DataSpec, as every DataModule must")
    splits = data.splits()
    if not fits(splits, dict[str, int]):
        expected = 'the number of examples of each split, such as {"train": 800, "validation": 100}'
        raise wrong_result(data, "splits", splits, expected)


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
