"""Lines of the log that compare an answer with its target."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from seqzoo.contracts.batch import Batch, Prediction
from seqzoo.contracts.counting import counted
from seqzoo.contracts.parts import Task
from seqzoo.metrics import all_of, is_right


def example_line(read: str, answer: str, target: str | None) -> str:
    """An example as `read -> answer   (target: ...)`.

    Args:
        read: the input; empty: it cannot be written in a line, and is left out.
        answer: the prediction.
        target: the reference; None: it is not known, or equals the answer.
    """
    line = f"{read} -> {answer}" if read else answer
    return line if target is None else f"{line}   (target: {target})"


def texts_or_steps(task: Task, batch: Batch) -> list[str]:
    """The text of each row or, for inputs that are not tokens, its size: the number of steps, or of pixels."""
    if task.spec.picture is not None and batch.inputs.dim() == 4:
        sizes = [batch.inputs.shape[2:]] * batch.size if batch.grid is None else torch.as_tensor(batch.grid).tolist()
        return [f"{rows} x {columns} pixels" for rows, columns in sizes]
    if task.spec.inputs is None:
        return [counted(length, "step") for length in batch.lengths.tolist()]
    return [task.spec.inputs.join(tokens) for tokens in task.tokens_read(batch)]


def answer_lines(texts: Sequence[str], task: Task, batch: Batch, predictions: Sequence[Prediction]) -> list[str]:
    """One `example_line` per row, with the first reference where the answer differs from all references.

    Args:
        texts: the inputs.
        task: whose answers are texts or classes.
        batch: with or without targets.
        predictions: one per row.
    """
    references = task.references(batch) if batch.targets is not None else [p.answer for p in predictions]
    return [
        example_line(text, str(p.answer), None if is_right(p.answer, reference) else all_of(reference)[0])
        for text, p, reference in zip(texts, predictions, references, strict=True)
    ]
