"""The base of tasks that generate their answers token by token: search, streaming, ensembles."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from seqzoo.contracts.batch import Batch, Features, Prediction
from seqzoo.contracts.capabilities import Others, TokenScore
from seqzoo.contracts.parts import Network, Task
from seqzoo.contracts.spec import Codec
from seqzoo.data.text.codec import TextCodec
from seqzoo.tasks.decoding import (
    Constraint,
    Hypothesis,
    Penalty,
    Search,
    Start,
    Step,
    Stream,
    ensemble,
    in_pieces,
    of_first,
)
from seqzoo.tasks.decoding.forms import form_of


class WritingTask(Task):
    """The base of tasks that generate their answers token by token. A subclass defines `start` and `step` and has the
    capability `Writes`.

    Attributes:
        search: the options of decoding.
    """

    search: Search

    @abstractmethod
    def start(self, features: Features, batch: Batch) -> Start:
        """Where decoding begins, given the features of a batch."""

    @abstractmethod
    def step(self, model: Network) -> Step:
        """The step of decoding with a model that has this task."""

    @property
    def end(self) -> int | None:
        """The token that ends an answer; None: there is none, and an answer is as long as its limit."""
        return None

    @property
    def rewrites(self) -> bool:
        """Whether inputs are source texts that answers rewrite, so that their lengths limit the answers."""
        return False

    @property
    def penalty(self) -> Penalty | None:
        """What is added to the ranks of a beam search."""
        return None

    def form(self, batch: Batch) -> tuple[Batch, Tensor, Constraint]:
        """The batch that the model reads, the maximum number of tokens of each answer, (B,), and their constraint."""
        return batch, *form_of(batch, self.spec, self.search, self.rewrites)

    def predictions(self, rows: list[list[Hypothesis]], features: Features, batch: Batch) -> list[list[Prediction]]:
        """The hypotheses of each row as text."""
        decode = self.spec.target_codec.decode
        return [[Prediction(decode(hypothesis.ids), hypothesis.score) for hypothesis in row] for row in rows]

    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        """The best answer to each row; its score is its log-probability in nats."""
        return [best for best, *_ in self._answers(model, batch, features)]

    def candidates(self, model: Network, batch: Batch, n_best: int, others: Others = ()) -> list[list[Prediction]]:
        """Up to `n_best` answers to each row, best first."""
        return self._answers(model, batch, None, n_best, others)

    def stream(self, model: Network, batch: Batch, write: Callable[[str], None], others: Others = ()) -> Prediction:
        """As `decode` for a batch of one row, with each piece of the text passed to `write` once it is known: token by
        token, or all at once with a beam.
        """
        pieces = in_pieces(self.spec.target_codec.decode, write, self.end)
        [[best, *_]] = self._answers(model, batch, others=others, stream=pieces)
        return best

    def _answers(
        self,
        model: Network,
        batch: Batch,
        features: Features | None = None,
        n_best: int = 1,
        others: Others = (),
        stream: Stream | None = None,
    ) -> list[list[Prediction]]:
        if batch.size == 0:
            return []
        rows, features = self.hypotheses(model, batch, features, n_best, others, stream)
        return self.predictions(rows, features, batch)

    @torch.no_grad()
    def hypotheses(
        self,
        model: Network,
        batch: Batch,
        features: Features | None = None,
        n_best: int = 1,
        others: Others = (),
        stream: Stream | None = None,
    ) -> tuple[list[list[Hypothesis]], Features]:
        """Decode.

        Args:
            model: the model of this task.
            batch: at least one row.
            features: of the batch; None: they are computed.
            n_best: number of answers per row.
            others: models that decode together with this one, each with the same rows as it reads them.
            stream: called with the tokens of the best answers.

        Returns:
            The `n_best` answers to each row, best first, and the features they were generated from.
        """
        read, limits, constraints = self.form(batch)
        if read is not batch:
            features, others = None, [(other, read) for other, _ in others]
        encoded: Features = features or model.encode(read)
        start, step = self.beginning(model, read, encoded, others)
        penalty = self.penalty
        if penalty is not None and others:
            penalty = of_first(penalty)
        return self.search.find(start, step, limits, self.end, n_best, penalty, constraints, stream), encoded

    def beginning(self, model: Network, batch: Batch, features: Features, others: Others) -> tuple[Start, Step]:
        """The start and the step of this model together with others."""
        starts, steps = [self.start(features, batch)], [self.step(model)]
        for other, rows in others:
            task = cast(WritingTask, other.task)
            starts.append(task.start(other.encode(rows), rows))
            steps.append(task.step(other))
        return ensemble(starts, steps)


def token_scores(codec: Codec, ids: list[list[int]], scores: Tensor) -> list[list[TokenScore]]:
    """The tokens of each row with their scores.

    Args:
        codec: of texts.
        ids: of the tokens; rows may differ in length.
        scores: one per token, (B, U), U at least the longest row.
    """
    tokens = cast(TextCodec, codec).vocabulary.tokens
    rows = zip(ids, scores.tolist(), strict=True)
    return [[TokenScore(tokens[i], score) for i, score in zip(row, values, strict=False)] for row, values in rows]
