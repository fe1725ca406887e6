"""Language modelling: a distribution over the next token at every step, and text generated from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import BEFORE, PAD, UNKNOWN, Batch, Features, Loss, Prediction, State
from seqzoo.contracts.capabilities import Others, ScoresTexts, Streamed, TokenScore
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.masking import ignore_padding, mask
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.parts import Network
from seqzoo.contracts.spec import DataSpec
from seqzoo.metrics import MetricName, create_metrics
from seqzoo.network.heads import AdaptiveSoftmax, Head, MixtureOfSoftmaxes, Softmax
from seqzoo.network.heads.class_loss import ClassLoss
from seqzoo.network.heads.ngram_mixture import NgramMixture
from seqzoo.network.locked_dropout import create_dropout
from seqzoo.tasks.decoding import Search, Start, Step, Unmet, mean_log
from seqzoo.tasks.decoding.forms import check_form
from seqzoo.tasks.writing import WritingTask, token_scores

PROMPT_LENGTH = 20  # tokens of a validation text that are continued in the log


@dataclass
class Before:
    """What is remembered of a text that grows.

    Args:
        ids: of its last tokens, -1 where there are fewer.
    """

    ids: list[int] = field(default_factory=lambda: [-1] * BEFORE)


class LanguageModeling(WritingTask):
    """Predicts the next token of a text at every step.

    `forward` returns features; the head is applied in `loss` and `decode`, because logits of a large vocabulary would
    not fit into memory.

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        metrics: names from `seqzoo.metrics`; the first one selects the best checkpoint.
        embedding: the input embeddings of the encoder, (V, E).
        tied_embeddings: weight tying: the head shares the input embeddings; features of another width are projected.
        softmax_cutoffs: ids at which clusters of rare tokens begin, see `AdaptiveSoftmax`; None: a full softmax.
        softmax_mixtures: number of components of a `MixtureOfSoftmaxes`; 1: a single softmax.
        dropout: dropout on the features before the head.
        locked: use one dropout mask for all steps of a row.
        activation_regularization: alpha, weight of the mean squared features, after dropout, in the training loss
            (Merity et al., Regularizing and Optimizing LSTM Language Models, 2018, https://arxiv.org/abs/1708.02182).
        temporal_activation_regularization: beta of the same paper, weight of the mean squared difference of the
            features of consecutive steps.
        ngrams: the longest n-grams of a `NgramMixture`. The network is trained by its own loss; in validation, test,
            scores of texts and generation, the distribution is the mixture's. 0: the network alone.
        loss: of training, see `ClassLoss`; outside training it is the negative log-likelihood.
        outputs: how scores become outputs: "softmax" or "sigmoid".
        label_smoothing: share of the target probability that is spread over all tokens in training.
        focusing: gamma of loss="focal".
        search: the options of decoding; a text is continued by up to `max_length` tokens.

    Raises:
        ValueError: an option is out of its range, or two do not go together.

    Shape:
        Scores: (B, T, O), features.
    """

    acts_with: ClassVar[dict[str, str]] = {"locked": "dropout>0", "focusing": "loss=focal"}

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
        ngrams: int = 0,
        loss: Literal["cross_entropy", "quadratic", "focal"] = "cross_entropy",
        outputs: Literal["softmax", "sigmoid"] = "softmax",
        label_smoothing: float = 0.0,
        focusing: float = 2.0,
        search: Search = Search(temperature=0.8),  # noqa: B008 (frozen)
    ):
        super().__init__()
        check_form(search, rewrites=False)
        if search.coverage_penalty:
            raise ValueError(
                "search.coverage_penalty is about attention, which a language model does not have: leave it out"
            )
        if tied_embeddings and embedding is None:
            raise ValueError("tied_embeddings needs an encoder that reads tokens, such as encoder=tokens")
        if softmax_cutoffs is not None and softmax_mixtures > 1:
            raise ValueError("softmax_cutoffs and softmax_mixtures do not go together: leave one of them out")
        self.objective = ClassLoss(loss, outputs, label_smoothing, focusing)
        if (softmax_cutoffs or softmax_mixtures > 1) and (not self.objective.is_likelihood or label_smoothing):
            option = "softmax_cutoffs" if softmax_cutoffs else "softmax_mixtures"
            raise ValueError(
                f"{option} computes probabilities without a score of every token: leave it out, or leave loss, outputs "
                "and label_smoothing out"
            )
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
            self.head = Softmax(feature_size, spec.output_size, tied, self.objective)
        self.ngrams = NgramMixture(ngrams, spec) if ngrams else None

    def forward(self, features: Features, batch: Batch) -> Tensor:
        return features.outputs

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        if self.ngrams is not None and not self.training:
            return Loss(-self._target_scores(scores, batch).sum(), batch.lengths.sum())
        dropped = self.dropout(scores)
        targets = batch.required_targets
        if batch.padded:
            targets = ignore_padding(targets, batch.lengths)
        total = self.head.loss(dropped.flatten(0, 1), targets.flatten())
        if self.training and (self.alpha or self.beta):
            total = total + self._penalty(scores, dropped, batch)
        return Loss(total, batch.lengths.sum())

    def _penalty(self, raw: Tensor, dropped: Tensor, batch: Batch) -> Tensor:
        """The regularization terms times the number of targets. raw, dropped: features before and after dropout,
        (B, T, O), zero at padded steps.
        """
        count, rows = batch.whole
        activation = dropped.float().square().sum()
        change = (raw[:, 1:] - raw[:, :-1]).float().square()
        if batch.padded:
            change = change * mask(batch.lengths - 1, change.shape[1])[..., None]
        # the mean is over pairs of consecutive steps; a row of T steps has T - 1 pairs
        pairs = (count - rows).clamp(min=1)
        return (self.alpha * activation + self.beta * change.sum() * (count / pairs)) / raw.shape[-1]

    def further_losses(self, scores: Tensor, batch: Batch) -> dict[str, Loss]:
        if self.objective.is_likelihood:
            return {}
        targets = ignore_padding(batch.required_targets, batch.lengths)
        total = cast(Softmax, self.head).own_loss(scores.flatten(0, 1), targets.flatten())
        return {self.objective.own_name: Loss(total, batch.lengths.sum())}

    @property
    def training_loss_name(self) -> str:
        return "loss" if self.alpha or self.beta else self.objective.training_loss_name

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    @property
    def line_end(self) -> str:
        """The token that ends a line of the training text; empty if the text has no lines."""
        return "" if self.spec.input_codec.encode("\n") in ([], [UNKNOWN]) else "\n"

    def prompt(self, text: str) -> str:
        """The text as the beginning of a line: training hardly ever starts from the initial state."""
        return self.line_end + text

    def scored(self, text: str) -> str:
        """The text with its line end. If the model has no line ends, the first token is not scored."""
        return text + self.line_end

    @torch.no_grad()
    def score_texts(self, model: Network, batch: Batch, others: Others = ()) -> list[list[TokenScore]]:
        """The score of each token of each row.

        Raises:
            DataError: a text has a single token, and the model has no line ends.
        """
        if int(batch.lengths.min()) < 2:
            raise Unmet(
                int(batch.lengths.argmin()),
                "the model knows no line ends, and scores a token by those before it: give two",
            )
        targets = batch.inputs[:, 1:]
        batch = Batch(batch.inputs[:, :-1], batch.lengths - 1, targets, padded=batch.padded)
        # models of an ensemble share the vocabulary of targets, which is that of inputs here
        models = [model, *(other for other, _ in others)]
        tasks = [cast(ScoresTexts, member.task) for member in models]
        outputs = [member.encode(batch).outputs for member in models]
        scores = mean_log([task.target_scores(of_model, batch) for task, of_model in zip(tasks, outputs, strict=True)])
        rows = zip(targets.tolist(), batch.lengths.tolist(), strict=True)
        return token_scores(self.spec.input_codec, [ids[:length] for ids, length in rows], scores)

    @torch.no_grad()
    def target_scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """(B, T, O) features -> (B, T): the log-probability of each target, in nats, 0 at padded steps."""
        return self._target_scores(outputs, batch)

    def _target_scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        targets = batch.required_targets
        if self.ngrams is None:
            scores = self.head.target_log_probabilities(outputs.flatten(0, 1), targets.flatten()).view_as(targets)
        else:
            scores = self.ngrams.target_log_probabilities(self.head, outputs, batch)
        return scores.masked_fill(~mask(batch.lengths, scores.shape[1]), 0.0)

    @torch.no_grad()
    def calibrate(self, model: Network, encoded: Iterable[tuple[Batch, Features]]) -> bool:
        """Fit the shares of network and n-grams in the mixture."""
        if self.ngrams is None:
            return False
        parts = []
        for batch, features in encoded:
            real = mask(batch.lengths, batch.inputs.shape[1])
            parts.append([values[real] for values in self.ngrams.target_components(self.head, features.outputs, batch)])
        self.ngrams.fit(*(torch.cat(values) for values in zip(*parts, strict=True)))
        return True

    def exported_scores(self, features: Features, batch: Batch) -> Tensor:
        if self.ngrams is not None:
            raise ConfigError(
                ["the run also counts n-grams, which is no operation on tensors: train with task.ngrams=0"]
            )
        return self.head.log_probabilities(features.outputs)

    def begin_stream(self) -> Before:
        return Before()

    def read_steps(self, model: Network, batch: Batch, features: Features, memories: list[Before]) -> list[Streamed]:
        """The most probable token after each new one, and the log-probabilities of all."""
        batch = replace(batch, before=torch.tensor([before.ids for before in memories], device=batch.inputs.device))
        scores = self.head.log_probabilities(features.outputs.flatten(0, 1))
        if self.ngrams is not None:
            scores = self.ngrams(scores, *self.ngrams.following(self.ngrams.step_contexts(batch).flatten(0, 1), scores))
        scores = scores.view(*batch.inputs.shape, -1)
        allowed = scores.clone()
        allowed[..., [PAD, UNKNOWN]] = float("-inf")
        streamed = []
        for row, (length, before) in enumerate(zip(batch.lengths.tolist(), memories, strict=True)):
            best = self.spec.target_codec.tokens(allowed[row, :length].argmax(-1).tolist())
            before.ids = [*before.ids, *batch.inputs[row, :length].tolist()][-BEFORE:]
            streamed.append(Streamed(best, scores[row, :length]))
        return streamed

    def end_stream(self, memory: Before) -> Streamed:
        return Streamed([])

    def start(self, features: Features, batch: Batch) -> Start:
        if self.ngrams is None:
            return Start(self._log_probabilities(features.last), features.state)
        contexts = self.ngrams.contexts(batch)
        return Start(self._log_probabilities(features.last, contexts), (features.state, contexts))

    def step(self, model: Network) -> Step:
        def step(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
            output, state = model.step(token, state)
            return self._log_probabilities(output), state

        def step_with_ngrams(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
            of_network, contexts = state
            output, of_network = model.step(token, of_network)
            contexts = torch.cat([contexts, token[:, None]], 1)[:, 1:]
            return self._log_probabilities(output, contexts), (of_network, contexts)

        return step if self.ngrams is None else step_with_ngrams

    def _log_probabilities(self, output: Tensor, contexts: Tensor | None = None) -> Tensor:
        """Log-probabilities of the next token, -inf for special ones: (B, O) -> (B, V); contexts: of the n-grams."""
        scores = self.head.log_probabilities(output)
        if self.ngrams is not None and contexts is not None:
            scores = self.ngrams(scores, *self.ngrams.following(contexts, scores))
        scores[:, [PAD, UNKNOWN]] = float("-inf")
        return scores.log_softmax(-1)

    def references(self, batch: Batch) -> list:
        raise NotImplementedError("a continuation has no single right answer: language models are scored by their loss")

    def samples(self, batch: Batch, count: int) -> Batch:
        """The beginnings of the first texts, to be continued."""
        lengths = batch.lengths[:count].clamp(max=PROMPT_LENGTH)
        return Batch(batch.inputs[:count, :PROMPT_LENGTH], lengths, padded=batch.padded)

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line per row: prompt | continuation."""
        texts = [self.spec.input_codec.join(tokens) for tokens in self.tokens_read(batch)]
        return [f"{text} | {p.answer}" for text, p in zip(texts, predictions, strict=True)]


def _words(spec: DataSpec) -> list[str]:
    """The tokens of more than one character, without special ones such as `<unk>`."""
    tokens = [] if spec.inputs is None else [spec.inputs.decode([i]) for i in range(spec.input_size)]
    return [token for token in tokens if len(token) > 1 and not (token.startswith("<") and token.endswith(">"))]
