"""Batches and what models make of them; the best module to read first.

A batch passes an encoder (ids or pictures become features), a backbone (a cell unrolled over time and stacked in
layers) and a task (head, loss, metrics and decoding). A cell defines one time step; unrolling, stacking, search and
training are written once for all cells.

Letters in shape comments: B batch, T time, I input, H hidden, P projected, O output, V vocabulary, K classes, U target
length. Tensors are batch first and padded on the right; masks are True at real steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.steps import Steps

State: TypeAlias = tuple[Any, ...]
"""Nested tuples of batch-first tensors, passed in and returned, never stored on a module. The functions of
`seqzoo.contracts.state` work on any of them. A tensor (B,) without features is a counter, such as of steps: it is
carried along, but never learned, interpolated or passed through a bridge.
"""


PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
"""The first ids of every vocabulary: padding, unknown tokens, begin and end of generated text."""


BEFORE = 9
"""Number of steps before a window of running text that `Batch.before` holds."""


BLANK = 2
"""The id of a missing token in the vocabularies of task=cloze, which generates no text."""


class Spelling(NamedTuple):
    """The characters of the tokens of a batch.

    Args:
        forms: (W, L) character ids of the different tokens of the batch, padded with zeros.
        tokens: (B, T) the index of each token in `forms`.
    """

    forms: Tensor
    tokens: Tensor


class Part(NamedTuple):
    """Which rows of a batch a process has, if several processes share it.

    Attributes:
        rows: the numbers of its rows in the whole batch.
        owners: the process of each row of the whole batch.
        steps: number of real steps of the whole batch.
    """

    rows: list[int]
    owners: list[int]
    steps: int

    @classmethod
    def of(cls, rank: int, owners: list[int], steps: int) -> Part:
        """The part of a process.

        Args:
            rank: number of the process.
            owners, steps: as in the attributes.
        """
        return cls([row for row, owner in enumerate(owners) if owner == rank], owners, steps)


@dataclass
class Batch:
    """A batch of sequences, padded on the right.

    Examples:
        >>> batch = seqzoo.Batch(inputs=torch.tensor([[5, 6, 7], [5, 8, 0]]), lengths=torch.tensor([3, 2]))

    Args:
        inputs: (B, T) ids, which are `PAD` at nodes of trees without a word, (B, T, I) features, (B, C, Y, X) pictures
            of C channels, 0 to 1, or (B, T, C, Y, X) clips.
        lengths: (B,) number of real steps of each row; all masks are derived from it. A picture is one step.
        targets: (B,) classes, (B, T) ids aligned with the inputs, (B, U) ids of another length, (B, D) numbers per row
            or (B, T, D) numbers per step; None: no targets.
        target_lengths: (B,) number of real steps of the targets where it differs from that of the inputs.
        padded: False guarantees that every length is T, so that no mask is needed. It is known on the host, without
            waiting for the device.
        learning_rate_scale: factor of the learning rate in the update of this batch. Windows of random length scale it
            with their length.
        spans: (B, 2) the first step of each row's target and the step after its last one, where the answer concerns a
            part of the input.
        continues: (B,) the row of the previous batch that each row continues, -1 for a new sequence; None: where
            batches continue each other, row i continues row i.
        before: (B, BEFORE) the ids before each row in its sequence, -1 where there are fewer; None: rows are whole
            sequences, or the data does not say. They are read by models of n-grams, which carry no state.
        levels: (B, D) the values that have been subtracted from the first D inputs and the targets of each row; None:
            inputs are not relative.
        spelling: characters of the tokens of `inputs`, for encoders that read characters.
        references: all correct answers of each row as text, where answers are texts; `targets` holds one of them.
        tokens: the tokens of `inputs` as text; None: not kept.
        ahead: (B, U, I) inputs of the steps after each row that are known in advance, NaN where they are not, for
            forecasts; None: none are.
        resets, elapsed, parents, grid: as in `Steps`.
        part: which rows of a larger batch these are, if processes share it; None: the batch is whole.
    """

    inputs: Tensor
    lengths: Tensor
    targets: Tensor | None = None
    target_lengths: Tensor | None = None
    padded: bool = True
    learning_rate_scale: float = 1.0
    spans: Tensor | None = None
    continues: Tensor | None = None
    before: Tensor | None = None
    levels: Tensor | None = None
    spelling: Spelling | None = None
    references: list[list[str]] | None = None
    tokens: list[list[str]] | None = None
    ahead: Tensor | None = None
    resets: Tensor | None = None
    elapsed: Tensor | None = None
    parents: Tensor | None = None
    grid: Tensor | tuple[int, int] | None = None
    part: Part | None = None

    @property
    def steps(self) -> Steps:
        """Lengths and structure, the second argument of a backbone."""
        lengths = self.lengths if self.padded else None
        return Steps(lengths, self.resets, self.elapsed, self.parents, self.grid)

    @property
    def size(self) -> int:
        """The number of rows, B."""
        return self.inputs.shape[0]

    @property
    def whole(self) -> tuple[Tensor, int]:
        """The numbers of real steps and rows of the batch or, if processes share it, of the whole one."""
        if self.part is None:
            return self.lengths.sum(), self.size
        return torch.tensor(self.part.steps), len(self.part.owners)

    @property
    def required_targets(self) -> Tensor:
        """`targets`, not None.

        Raises:
            DataError: the batch has no targets.
        """
        if self.targets is None:
            raise DataError("the batch has no targets to learn from or compare with: give it some")
        return self.targets

    @property
    def required_target_lengths(self) -> Tensor:
        """`target_lengths`, not None.

        Raises:
            DataError: the batch has no target lengths.
        """
        if self.target_lengths is None:
            raise DataError("the batch does not say how long its targets are: give target_lengths")
        return self.target_lengths

    def first(self, rows: int) -> Batch:
        """Select the first rows.

        Args:
            rows: maximum number of rows.

        Returns:
            A batch of at most `rows` rows.
        """
        return self.take(range(min(rows, self.size)))

    def take(self, rows: Sequence[int]) -> Batch:
        """Select rows.

        Args:
            rows: their numbers, perhaps none.

        Returns:
            A batch of these rows, in this order.
        """
        index: slice | list[int] = slice(rows.start, rows.stop) if isinstance(rows, range) else list(rows)
        batch = replace(self, spelling=None).map(lambda tensor: tensor[index])
        if self.spelling is not None:
            batch.spelling = self.spelling._replace(tokens=self.spelling.tokens[index])
        if self.references is not None:
            batch.references = [self.references[row] for row in rows]
        if self.tokens is not None:
            batch.tokens = [self.tokens[row] for row in rows]
        return batch

    def to(self, device: torch.device) -> Batch:
        """Move the batch to another device.

        Args:
            device: target of the copy, which does not wait for a GPU.

        Returns:
            A batch whose tensors are on that device.
        """
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def in_type(self, dtype: torch.dtype) -> Batch:
        """Convert floating point numbers to another type.

        Args:
            dtype: a floating point type.

        Returns:
            A batch whose floating point tensors have this type; ids and masks keep theirs.
        """
        return self.map(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Apply a function to every tensor.

        Args:
            change: the function.

        Returns:
            A batch of the results.
        """
        changed: dict[str, Any] = {name: change(part) for name, part in vars(self).items() if isinstance(part, Tensor)}
        if self.spelling is not None:
            changed["spelling"] = Spelling(*map(change, self.spelling))
        return replace(self, **changed)


class Loss(NamedTuple):
    """The sum of the losses of all real targets and their number, two scalar tensors.

    The mean is taken once, at the end, so that padding, gradient accumulation and distribution cannot skew it.

    Args:
        total: sum of the losses.
        count: number of targets, or sum of their weights.
    """

    total: Tensor
    count: Tensor  # type: ignore[assignment]

    def on_host(self) -> Loss:
        """Copy the loss to the CPU, for which a GPU is waited for.

        Returns:
            The loss on the CPU.
        """
        return Loss(self.total.cpu(), self.count.cpu())


class Features(NamedTuple):
    """The outputs of a backbone for a batch.

    Args:
        outputs: (B, T, O), zero at padded steps.
        last: (B, O), the output after the whole row: the forward half at the last real step, the backward half at the
            first.
        state: the state after each row's last real step.
        lengths: (B,) number of real steps of the outputs; None: no row is padded.
        of_span: (B, O), the output after the row's span: the forward half at its last step, the backward half at its
            first. None: the batch has no spans.
        others: the outputs of the other networks of an ensemble.
    """

    outputs: Tensor
    last: Tensor
    state: State
    lengths: Tensor | None
    of_span: Tensor | None = None
    others: tuple[Features, ...] = ()

    @property
    def target(self) -> Tensor:
        """(B, O), the output that the answer is predicted from: `of_span` or, without spans, `last`."""
        return self.last if self.of_span is None else self.of_span


class Prediction(NamedTuple):
    """The prediction for one row.

    Args:
        answer: a text, or one text per step.
        score: its log-probability in nats; None where the model assigns no probability.
    """

    answer: str | list[str]
    score: float | None


class Alignment(NamedTuple):
    """Attention weights of an answer.

    Attributes:
        read: S labels of the input steps.
        written: U labels of the output steps.
        weights: (U, S), each row sums to 1.
        picture: (C, Y, X), 0 to 1, the input where it is a picture; its regions, row by row, are the S steps.
        backwards: True: the text was read from its end.
    """

    read: list[str]
    written: list[str]
    weights: Tensor
    picture: Tensor | None = None
    backwards: bool = False


class Explanation(NamedTuple):
    """The contribution of each input step to an answer.

    Attributes:
        method: the name of the attribution method.
        read: S labels of the input steps.
        weights: (S,), absolute values sum to 1. If the method gives signs, negative ones are evidence against the
            answer.
    """

    method: str
    read: list[str]
    weights: Tensor
