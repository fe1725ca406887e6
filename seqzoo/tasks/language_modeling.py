"""What comes next: a distribution over the next token at every step, and text drawn from it."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import PAD, UNKNOWN, Batch, Features, Loss, Prediction, State
from seqzoo.contracts.capabilities import Others, TokenScore
from seqzoo.contracts.masking import ignore_padding, mask
from seqzoo.contracts.parts import Metric
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import MetricName, create_metrics
from seqzoo.network.heads import AdaptiveSoftmax, Head, MixtureOfSoftmaxes, Softmax
from seqzoo.network.locked_dropout import create_dropout
from seqzoo.tasks.decoding import Search, Start, Step, Unmet, mean_log
from seqzoo.tasks.decoding.forms import check_form
from seqzoo.tasks.writing import WritingTask, token_scores

PROMPT_LENGTH = 20  # tokens of a validation text that are continued for a person to read


class LanguageModeling(WritingTask):
    """`forward` gives features, (B, T, O): the head works in `loss`, where it knows what is right, and in `decode`.

    metrics: names from `seqzoo.metrics`; the first one picks the best checkpoint.
    embedding: by which the encoder reads tokens, (V, E).
    tied_embeddings: the head's vectors are those of the encoder; where features are wider or narrower, they are
        projected.
    softmax_cutoffs: ids at which clusters of rare tokens begin, see `AdaptiveSoftmax`; None: one softmax over all.
    softmax_mixtures: how many softmaxes are mixed, see `MixtureOfSoftmaxes`.
    dropout: on the features before the head; `locked` keeps one mask for all steps of a row.
    activation_regularization: alpha, of a penalty on large features, after their dropout.
    temporal_activation_regularization: beta, of a penalty on features that differ from those of the step before. Both
        are added to the loss of each target in training (Merity et al., Regularizing and Optimizing LSTM Language
        Models, 2018, https://arxiv.org/abs/1708.02182).
    search: how a text is continued, by `max_length` tokens.
    """

    acts_with: ClassVar[dict[str, str]] = {"locked": "dropout>0"}

    reads = "language_modeling"
    example_answers = ()  # a continuation has no right answer
    skips_empty_text = False
    loss_unit = "nats"
    legend = "beginning | continuation"
    needs_causal = True
    needs_every_step = True

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        metrics: list[MetricName],
        embedding: nn.Embedding | None = None,
        tied_embeddings: bool = False,
        softmax_cutoffs: list[int] | None = None,
        softmax_mixtures: int = 1,
        dropout: float = 0.0,
        locked: bool = False,
        activation_regularization: float = 0.0,
        temporal_activation_regularization: float = 0.0,
        search: Search = Search(temperature=0.8),  # noqa: B008 (frozen)
    ):
        super().__init__()
        check_form(search, rewrites=False)
        if search.coverage_penalty:
            raise ValueError("search.coverage_penalty needs something to attend with, which a language model has not")
        if tied_embeddings and embedding is None:
            raise ValueError("tied_embeddings needs an encoder that reads tokens, such as encoder=tokens")
        if softmax_cutoffs is not None and softmax_mixtures > 1:
            raise ValueError("softmax_cutoffs and softmax_mixtures do not go together: leave one of them out")
        if "bits_per_character" in metrics and (words := _words(spec)):
            raise ValueError(
                f"metrics names bits_per_character: tokens must be characters, and {words[0]!r} is none; "
                "perplexity is for words"
            )
        self.spec, self.metric_names = spec, metrics
        self.alpha, self.beta = activation_regularization, temporal_activation_regularization
        self.search = search
        self.dropout = create_dropout(dropout, locked)
        tied = embedding if tied_embeddings else None
        self.head: Head
        if softmax_cutoffs is not None:
            self.head = AdaptiveSoftmax(feature_size, spec.output_size, softmax_cutoffs, tied)
        elif softmax_mixtures != 1:
            self.head = MixtureOfSoftmaxes(feature_size, spec.output_size, softmax_mixtures, tied)
        else:
            self.head = Softmax(feature_size, spec.output_size, tied)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return features.outputs

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        dropped = self.dropout(scores)
        targets = batch.required_targets
        if batch.padded:
            targets = ignore_padding(targets, batch.lengths)
        total = self.head.loss(dropped.flatten(0, 1), targets.flatten())
        if self.training and (self.alpha or self.beta):
            total = total + self._penalty(scores, dropped, batch)
        return Loss(total, batch.lengths.sum())

    def _penalty(self, raw: Tensor, dropped: Tensor, batch: Batch) -> Tensor:
        """Times the number of targets. raw, dropped: (B, T, O), zero at padded steps."""
        count = batch.lengths.sum()
        activation = dropped.float().square().sum()
        change = (raw[:, 1:] - raw[:, :-1]).float().square()
        if batch.padded:
            change = change * mask(batch.lengths - 1, change.shape[1])[..., None]
        # the mean change is over all pairs of steps, of which a row has one less than steps
        pairs = (count - batch.size).clamp(min=1)
        return (self.alpha * activation + self.beta * change.sum() * (count / pairs)) / raw.shape[-1]

    @property
    def training_loss_name(self) -> str:
        return "loss" if self.alpha or self.beta else self.loss_name

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    @property
    def line_end(self) -> str:
        """What ends a line of the training text; empty where it knows no lines."""
        return "" if self.spec.input_codec.encode("\n") in ([], [UNKNOWN]) else "\n"

    def prompt(self, text: str) -> str:
        """As the beginning of a line: from its zero state alone a model has seen little."""
        return self.line_end + text

    def scored(self, text: str) -> str:
        """A text with its line end; without any, the first token of a text is given."""
        return text + self.line_end

    @torch.no_grad()
    def score_texts(self, model: Any, batch: Batch, others: Others = ()) -> list[list[TokenScore]]:
        """Raises DataError for a text of one token, where the model knows no line ends."""
        if int(batch.lengths.min()) < 2:
            raise Unmet(
                int(batch.lengths.argmin()),
                "the model knows no line ends, and scores a token by those before it: give two.",
            )
        targets = batch.inputs[:, 1:]
        batch = Batch(batch.inputs[:, :-1], batch.lengths - 1, targets, padded=batch.padded)
        # the vocabulary is one, so that each model may read what this one has
        models = [model, *(one for one, _ in others)]
        scores = mean_log([one.task.target_scores(one.encode(batch).outputs, batch) for one in models])
        rows = zip(targets.tolist(), batch.lengths.tolist(), strict=True)
        return token_scores(self.spec.input_codec, [ids[:length] for ids, length in rows], scores)

    @torch.no_grad()
    def target_scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(B, T, O) features -> (B, T): the log-probability of each target, in nats, 0 at padded steps."""
        # row by row: the probabilities of all tokens at all steps of a batch may be too many
        rows = [
            self.head.log_probabilities(row).gather(1, right[:, None])[:, 0]
            for row, right in zip(outputs, batch.required_targets, strict=True)
        ]
        return torch.stack(rows).masked_fill(~mask(batch.lengths, outputs.shape[1]), 0.0)

    def start(self, features: Features, batch: Batch) -> Start:
        return Start(self._log_probabilities(features.last), features.state)

    def step(self, model: Any) -> Step:
        def step(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
            output, state = model.step(token, state)
            return self._log_probabilities(output), state

        return step

    def _log_probabilities(self, output: Tensor) -> Tensor:
        """(B, O) -> (B, V), of tokens that can be shown."""
        scores = self.head.log_probabilities(output)
        scores[:, [PAD, UNKNOWN]] = float("-inf")
        return scores.log_softmax(-1)

    def references(self, batch: Batch) -> list:
        raise NotImplementedError("a continuation has no single right answer: language models are scored by their loss")

    def samples(self, batch: Batch, count: int) -> Batch:
        """Beginnings to continue."""
        lengths = batch.lengths[:count].clamp(max=PROMPT_LENGTH)
        return Batch(batch.inputs[:count, :PROMPT_LENGTH], lengths, padded=batch.padded)

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """prompt | continuation"""
        texts = [self.spec.input_codec.join(tokens) for tokens in self.tokens_read(batch)]
        return [f"{text} | {p.answer}" for text, p in zip(texts, predictions, strict=True)]


def _words(spec: DataSpec) -> list[str]:
    """The tokens that are more than a character; special ones, such as `<unk>`, aside."""
    tokens = [] if spec.inputs is None else [spec.inputs.decode([i]) for i in range(spec.input_size)]
    return [token for token in tokens if len(token) > 1 and not (token.startswith("<") and token.endswith(">"))]
