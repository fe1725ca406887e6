"""The contracts of seqzoo: read this page first.

A batch goes through an encoder (ids or pictures become features), a backbone (a cell unrolled over time and depth) and
a task (the head, its loss, its metrics, its decoding). A cell knows one time step and nothing else; unrolling,
stacking, searching and training are written once, for every cell.

Letters, in every shape comment: B batch, T time, I input, H hidden, P projected, O output, V vocabulary, K classes, U
target length. Batch comes first, padding is on the right, a mask is True where a step is real.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.steps import Steps

State: TypeAlias = tuple[Any, ...]
"""Nested tuples of batch-first tensors. Never kept on a module: it comes in and goes out. `seqzoo.contracts.state`
detaches, reorders and freezes any of them. A tensor (B,) without features counts something, such as steps: it is
carried, and never learned, mixed or bridged.
"""


PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
"""The first ids of every vocabulary: of padding, of rare tokens, and of the begin and end of text that is written."""


BLANK = 2
"""Of a token that is missing, in the vocabularies of task=cloze, in which no text is written."""


class Spelling(NamedTuple):
    """How the tokens of a batch are written.

    forms: (W, L) ids of the characters of its different tokens, zero behind the last one.
    tokens: (B, T), which of them each token is.
    """

    forms: Tensor
    tokens: Tensor


@dataclass
class Batch:
    """Sequences of one batch, padded on the right.

    Example:
        >>> batch = seqzoo.Batch(inputs=torch.tensor([[5, 6, 7], [5, 8, 0]]), lengths=torch.tensor([3, 2]))

    inputs: (B, T) ids, (B, T, I) features, (B, C, Y, X) pictures of C channels, 0 to 1, or (B, T, C, Y, X) clips.
    lengths: (B,) real steps of each row; the only source of masks. A picture is one step.
    targets: (B,) classes, (B, T) aligned ids, (B, U) ids of another length, (B, D) numbers a row or (B, T, D) a step;
        None when there is nothing to learn from.
    target_lengths: (B,) where the targets have a length of their own.
    padded: False promises that every length is T, which spares a mask (known on the host, so that no device has to be
        asked).
    learning_rate_scale: what the rate is multiplied by in the update of this batch, where batches differ on purpose:
        windows of random lengths take steps as long as they are.
    continues: (B,) the row of the batch before that each row goes on from, -1 where it begins anew; None: where batches
        continue each other, each row goes on from the one in its place.
    resets, elapsed, parents, grid: as of `Steps`, what else is known of the steps; None where nothing is.
    spans: (B, 2), the first step of each row's target and the step after its last, where the answer is about a part of
        what is read.
    spelling: how the tokens of `inputs` are written, where an encoder reads that.
    references: all right answers of each row as text, where they are texts; `targets` has one of them.
    tokens: of `inputs`, as they were written; None where nobody asks for them.
    """

    inputs: Tensor
    lengths: Tensor
    targets: Tensor | None = None
    target_lengths: Tensor | None = None
    padded: bool = True
    learning_rate_scale: float = 1.0
    spans: Tensor | None = None
    continues: Tensor | None = None
    spelling: Spelling | None = None
    references: list[list[str]] | None = None
    tokens: list[list[str]] | None = None
    resets: Tensor | None = None
    elapsed: Tensor | None = None
    parents: Tensor | None = None
    grid: tuple[int, int] | None = None

    @property
    def steps(self) -> Steps:
        """What a backbone is told beside the inputs."""
        lengths = self.lengths if self.padded else None
        return Steps(lengths, self.resets, self.elapsed, self.parents, self.grid)

    @property
    def size(self) -> int:
        return self.inputs.shape[0]

    @property
    def required_targets(self) -> Tensor:
        """`targets`, for whoever learns from them or compares with them.

        Raises:
            DataError: where the batch has none.
        """
        if self.targets is None:
            raise DataError("The batch has no targets to learn from or compare with: give it some.")
        return self.targets

    @property
    def required_target_lengths(self) -> Tensor:
        """`target_lengths`, for whoever reads targets of another length than the inputs.

        Raises:
            DataError: where the batch has none.
        """
        if self.target_lengths is None:
            raise DataError("The batch does not say how long its targets are: give target_lengths.")
        return self.target_lengths

    def first(self, rows: int) -> Batch:
        """The first rows alone."""
        batch = replace(self, spelling=None).map(lambda tensor: tensor[:rows])
        if self.spelling is not None:
            batch.spelling = self.spelling._replace(tokens=self.spelling.tokens[:rows])
        if self.references is not None:
            batch.references = self.references[:rows]
        if self.tokens is not None:
            batch.tokens = self.tokens[:rows]
        return batch

    def to(self, device: torch.device) -> Batch:
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor changed."""
        changed: dict[str, Any] = {name: change(part) for name, part in vars(self).items() if isinstance(part, Tensor)}
        if self.spelling is not None:
            changed["spelling"] = Spelling(*map(change, self.spelling))
        return replace(self, **changed)


class Loss(NamedTuple):
    """A sum over real targets and how many there were. Never a mean: whoever needs one divides once, so that padding,
    accumulation and distribution cannot skew it. Both are tensors without dimensions."""

    total: Tensor
    count: Tensor  # type: ignore[assignment]


class Features(NamedTuple):
    """What a backbone made of a batch.

    outputs: (B, T, O), zero at padded steps.
    last: (B, O), the output once all has been read: the forward half at the last real step, the backward half at the
        first.
    state: the state after each row's last real step.
    lengths: (B,) real steps of the outputs, or None when no row is padded.
    of_span: (B, O), the output once the steps of the row's span have been read: the forward half at its last step, the
        backward half at its first. None where the batch has no spans.
    """

    outputs: Tensor
    last: Tensor
    state: State
    lengths: Tensor | None
    of_span: Tensor | None = None

    @property
    def target(self) -> Tensor:
        """(B, O), the output once what the answer is about has been read: a span or, without spans, all."""
        return self.last if self.of_span is None else self.of_span


class Prediction(NamedTuple):
    """answer: text, or one text a step; score: its log-probability in nats."""

    answer: str | list[str]
    score: float


class Alignment(NamedTuple):
    """What an answer attended to. read: S labels; written: U labels; weights: (U, S), each row sums to 1.

    picture: (C, Y, X), 0 to 1, where that was read; its regions, row by row, are the S steps.
    backwards: whether a text was read from its end.
    """

    read: list[str]
    written: list[str]
    weights: Tensor
    picture: Tensor | None = None
    backwards: bool = False


class Explanation(NamedTuple):
    """What an answer rests on. method: how it was found; read: S labels; weights: (S,), whose sizes sum to 1; where the
    method tells signs, a negative one speaks against the answer.
    """

    method: str
    read: list[str]
    weights: Tensor
