"""Transcription: a text that is shorter than its input, such as what is said in a recording.

Source: Graves, Fernandez, Gomez & Schmidhuber, Connectionist Temporal Classification: Labelling Unsegmented Sequence
Data with Recurrent Neural Networks, 2006, https://doi.org/10.1145/1143844.1143891
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from seqzoo.contracts.batch import BEGIN, END, PAD, UNKNOWN, Alignment, Batch, Features, Loss, Prediction
from seqzoo.contracts.capabilities import Others, Streamed, TokenScore
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.contracts.masking import mask
from seqzoo.contracts.metric import Metric
from seqzoo.contracts.parts import Network, Task
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.sources.reading import read_lines
from seqzoo.metrics import MetricName, create_metrics
from seqzoo.network.heads.transducer import Transducer, TransducerOptions, transducer_losses
from seqzoo.network.locked_dropout import create_dropout
from seqzoo.tasks.decoding import Unmet, check_numbers
from seqzoo.tasks.decoding.ctc import align, best_path, prefix_beam_search, required_steps
from seqzoo.tasks.decoding.language import Language, language_scores, together, word_scores
from seqzoo.tasks.example_lines import answer_lines, texts_or_steps

BLANK = PAD
"""The id of the blank: no text has the padding as a token."""
NEVER_WRITTEN = [UNKNOWN, BEGIN, END]
SMALLEST_BEAM = 16
LISTED = 3
"""Maximum number of rows that a message lists."""


@dataclass(frozen=True)
class PrefixSearch:
    """The options of decoding.

    Args:
        beam_size: number of prefixes that are kept after each step; 1: the tokens of the most probable path. With a
            language model or words it is at least SMALLEST_BEAM.
        language_weight: factor of the log-probabilities of a language model.
        token_bonus: in nats for each token, with a language model.
        words: a file with one word per line; texts consist of these words, separated by spaces. None: of any tokens.

    Raises:
        ValueError: an option is out of its range.
    """

    beam_size: int = 1
    language_weight: float = 0.5
    token_bonus: float = 0.0
    words: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.beam_size <= 10_000:
            raise ValueError(f"beam_size is {self.beam_size}: it must be between 1 and 10,000")
        if not self.language_weight >= 0:
            raise ValueError(f"language_weight is {self.language_weight}: it is 0 or more")


@dataclass
class Heard:
    """What is remembered of a recording that is transcribed while it grows.

    Args:
        steps: the scores of CTC so far, or the outputs that a transducer has read, (1, n, ...) each.
        ids: of the tokens so far.
        text: of these tokens.
        last: the token or blank of the last step.
        written: by the transducer.
    """

    steps: list[Tensor] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    text: str = ""
    last: int = BLANK
    written: Any = None


class Transcription(Task):
    """Writes a text whose tokens are in the order of the steps that they are read from. The probability of a text is
    the sum over all ways to place its tokens on the steps.

    Args:
        feature_size: width of the backbone's outputs.
        spec: the specification of the data.
        transducer: options of the transducer.
        metrics: names from `seqzoo.metrics`; the first one selects the best checkpoint.
        head: "ctc": connectionist temporal classification, where each step writes a token or the blank, whatever is
            written elsewhere; "transducer": each step writes any number of tokens, each given those before it
            (`seqzoo.network.heads.transducer`), and decoding is greedy.
        dropout: dropout on the features before the output layer.
        search: the options of decoding.

    Shape:
        Scores: (B, T, V), logits of the token or the blank that a step writes; of a transducer (B, T, U + 1, V), after
        each number of tokens of the target. Padded steps write the blank with probability 1, which changes no text.

    Raises:
        ValueError: an option of the search is given, and the transducer does not search.
    """

    reads = "transduction"
    loss_unit = "nats"
    example_answers = ("a",)
    alignment_needs = "task=transcription"

    def __init__(
        self,
        feature_size: int,
        spec: DataSpec,
        transducer: TransducerOptions,
        metrics: list[MetricName],
        head: Literal["ctc", "transducer"] = "ctc",
        dropout: float = 0.0,
        search: PrefixSearch = PrefixSearch(),
    ):
        super().__init__()
        self.spec, self.metric_names, self.search = spec, metrics, search
        self._language: Language | None = None
        self.dropout = create_dropout(dropout)
        self.head: nn.Linear | Transducer
        if head == "transducer":
            if search.beam_size > 1 or search.words is not None:
                raise ValueError("search is for head=ctc, and the transducer is decoded greedily: leave it out")
            self.head = Transducer(feature_size, spec.output_size, BLANK, transducer)
        else:
            self.head = nn.Linear(feature_size, spec.output_size)
            with torch.no_grad():
                # training would otherwise learn to write nothing first, and stay there for hundreds of updates
                self.head.bias[BLANK] -= 3

    def forward(self, features: Features, batch: Batch) -> Tensor:
        outputs = self.dropout(features.outputs)
        if isinstance(self.head, Transducer):
            return self.head(outputs, batch.required_targets[:, :-1], features.lengths)
        scores = self.head(outputs)
        if features.lengths is None:
            return scores
        padded = ~mask(features.lengths, scores.shape[1])
        nothing = scores.new_full((scores.shape[2],), float("-inf"))
        nothing[BLANK] = 0
        return torch.where(padded[..., None], nothing, scores)

    def loss(self, scores: Tensor, batch: Batch) -> Loss:
        """Minus the log-probability of the texts. The count includes the end of each text, as of task=transduction. A
        text that needs more steps than there are counts as 0; `check_start` reports those.
        """
        log_probabilities, lengths = scores.float().log_softmax(-1), batch.required_target_lengths - 1
        if isinstance(self.head, Transducer):
            total = transducer_losses(log_probabilities, batch.required_targets[:, :-1], lengths, BLANK).sum()
        else:
            total = _losses(log_probabilities, batch.required_targets, lengths).sum()
        return Loss(total, batch.required_target_lengths.sum())

    def example_batch(self, rows: int, steps: int, numbers: bool = False) -> Batch:
        batch = super().example_batch(rows, steps, numbers)
        lengths = torch.full((rows,), 2)  # a token and the end, for networks that shorten their input
        return replace(batch, targets=batch.required_targets[:, :2], target_lengths=lengths)

    def check_start(self, model: Network, data: DataModule) -> None:
        if isinstance(self.head, Transducer):
            return  # a step may write several tokens
        for split in data.splits():
            rows = list(data.rows(split))
            grids = [row.grid for row in rows if row.grid is not None]
            lengths, grid = torch.tensor([row.steps for row in rows]), torch.tensor(grids) if grids else None
            read = model.encoder.output_steps(Batch(torch.empty(len(rows), 0), lengths, grid=grid))
            steps = model.backbone.lengths_after(read)
            assert steps is not None
            short = [
                f"{row.where or f'row {number}'}: a text of {len(row.targets) - 1} tokens needs "
                f"{required_steps(row.targets[:-1])} steps, and the network makes {left} of {row.steps}"
                for number, (row, left) in enumerate(zip(rows, steps.tolist(), strict=True), start=1)
                if required_steps(row.targets[:-1]) > left
            ]
            if short:
                more = f"\n... and {len(short) - LISTED:,} more" if len(short) > LISTED else ""
                advice = "shorten these texts, or the input less (encoder.channels, backbone)"
                raise ConfigError(["\n".join(short[:LISTED]) + f"{more}\n{advice}"])

    def metrics(self) -> list[Metric]:
        return create_metrics(self.metric_names)

    @torch.no_grad()
    def decode(self, model: Network, batch: Batch, features: Features | None = None) -> list[Prediction]:
        return [best for best, *_ in self._answers(model, batch, features or model.encode(batch), 1)]

    @torch.no_grad()
    def candidates(self, model: Network, batch: Batch, n_best: int) -> list[list[Prediction]]:
        return self._answers(model, batch, model.encode(batch), n_best)

    def _answers(self, model: Network, batch: Batch, features: Features, n_best: int) -> list[list[Prediction]]:
        """Up to `n_best` texts of each row; a single one of a transducer."""
        if not isinstance(self.head, Transducer):
            return self._ranked(model.scores(batch, features), n_best)
        if features.others:
            reason = "and with task.head=transducer these depend on what a network has written"
            raise ConfigError([f"an ensemble averages the scores of each step, {reason}: leave it out"])
        texts = [[token for _, token in row] for row in self._transduced(features)]
        scores = self._transducer_scores(features, texts)
        decode = self.spec.target_codec.decode
        return [[Prediction(decode(ids), score)] for ids, score in zip(texts, scores, strict=True)]

    def _transduced(self, features: Features) -> list[list[tuple[int, int]]]:
        """The step and the id of each token that a transducer writes."""
        assert isinstance(self.head, Transducer)
        begin = self.head.begin(len(features.outputs))
        return self.head.write(features.outputs, features.lengths, begin, NEVER_WRITTEN)[0]

    def _transducer_scores(self, features: Features, texts: list[list[int]]) -> list[float]:
        """The log-probability of a text for each row."""
        assert isinstance(self.head, Transducer)
        device = features.outputs.device
        tokens = pad_sequence([torch.tensor(ids, dtype=torch.long) for ids in texts], batch_first=True).to(device)
        lengths = torch.tensor([len(ids) for ids in texts], device=device)
        log_probabilities = _log_probabilities(self.head(features.outputs, tokens, features.lengths))
        return (-transducer_losses(log_probabilities, tokens, lengths, BLANK)).tolist()

    def _ranked(self, scores: Tensor, n_best: int) -> list[list[Prediction]]:
        """The `n_best` texts of each row, best first, with their log-probabilities."""
        log_probabilities = _log_probabilities(scores)
        check_numbers(log_probabilities)
        size = max(self.search.beam_size, n_best)
        if self._language is not None or self.search.words is not None:
            size = max(size, SMALLEST_BEAM)
        if size == 1:
            texts = [[ids] for ids in best_path(log_probabilities, BLANK)]
        else:
            texts = [self._searched(row, number, size, n_best) for number, row in enumerate(log_probabilities.cpu())]
        decode = self.spec.target_codec.decode
        return [
            [Prediction(decode(ids), score) for ids, score in zip(row, self._scored(of_row, row), strict=True)]
            for of_row, row in zip(log_probabilities, texts, strict=True)
        ]

    def _searched(self, log_probabilities: Tensor, number: int, size: int, n_best: int) -> list[list[int]]:
        """The best texts of a row, (T, V); number: of the row, for the message."""
        codec, parts = self.spec.target_codec, []
        if self._language is not None:
            weight, bonus = self.search.language_weight, self.search.token_bonus
            parts.append(language_scores(self._language, codec, weight, bonus))
        if self.search.words is not None:
            parts.append(word_scores(_words(self.search.words), codec))
        texts = prefix_beam_search(log_probabilities, BLANK, size, n_best, together(parts))
        if not texts:
            raise Unmet(number, f"no text of the words in {self.search.words} was found: raise search.beam_size")
        return [text.ids for text in texts]

    def _scored(self, log_probabilities: Tensor, texts: list[list[int]]) -> list[float]:
        """The log-probability of each of several texts of one row, (T, V)."""
        lengths = torch.tensor([len(ids) for ids in texts])
        targets = pad_sequence([torch.tensor(ids, dtype=torch.long) for ids in texts], batch_first=True)
        rows = log_probabilities.expand(len(texts), -1, -1)
        losses = _losses(rows, targets.to(rows.device), lengths.to(rows.device), zero_infinity=False)
        return (-losses).tolist()

    def use_language(self, language: Language) -> None:
        if isinstance(self.head, Transducer):
            raise ConfigError(["task.head=transducer is decoded greedily, without a language model: leave it out"])
        self._language = language

    def exported_scores(self, features: Features, batch: Batch) -> Tensor:
        if isinstance(self.head, Transducer):
            raise ConfigError(["scores of a transducer depend on what it has written: train with task.head=ctc"])
        return _log_probabilities(self(features, batch))

    def begin_stream(self) -> Heard:
        return Heard()

    def read_steps(self, model: Network, batch: Batch, features: Features, memories: list[Heard]) -> list[Streamed]:
        """The text that the new steps make certain: with a beam, none before the end."""
        lengths = [features.outputs.shape[1]] * len(memories) if features.lengths is None else features.lengths.tolist()
        if isinstance(self.head, Transducer):
            rows = zip(features.outputs, lengths, memories, strict=True)
            return [self._transduce_steps(self.head, outputs[None, :length], heard) for outputs, length, heard in rows]
        scores = self.head(features.outputs)
        log_probabilities = _log_probabilities(scores)
        best = log_probabilities.argmax(-1).tolist() if self._is_greedy else [[]] * len(memories)
        streamed = []
        for row, (length, heard) in enumerate(zip(lengths, memories, strict=True)):
            heard.steps.append(scores[None, row, :length])
            tokens = []
            for token in best[row][:length]:
                if token not in (heard.last, BLANK):
                    tokens.append(token)
                heard.last = token
            streamed.append(Streamed(self._pieces(heard, tokens), log_probabilities[row, :length]))
        return streamed

    def end_stream(self, heard: Heard) -> Streamed:
        if not heard.steps:
            raise DataError("the recording has no samples: give one that lasts")
        steps = torch.cat(heard.steps, 1)
        if isinstance(self.head, Transducer):
            [score] = self._transducer_scores(Features(steps, steps[:, -1], (), None), [heard.ids])
            return Streamed([], None, Prediction(heard.text, score))
        [[best]] = self._ranked(steps, 1)
        return Streamed([] if self._is_greedy else [str(best.answer)], None, best)

    @property
    def _is_greedy(self) -> bool:
        return self.search.beam_size == 1 and self._language is None and self.search.words is None

    def _transduce_steps(self, head: Transducer, outputs: Tensor, heard: Heard) -> Streamed:
        heard.steps.append(outputs)
        [tokens], heard.written = head.write(outputs, None, heard.written or head.begin(1), NEVER_WRITTEN)
        return Streamed(self._pieces(heard, [token for _, token in tokens]))

    def _pieces(self, heard: Heard, tokens: list[int]) -> list[str]:
        """The pieces of the text that further tokens write."""
        pieces = []
        for token in tokens:
            heard.ids.append(token)
            before, heard.text = heard.text, self.spec.target_codec.decode(heard.ids)
            pieces.append(heard.text[len(before) :])
        return pieces

    def average(self, scores: Sequence[Tensor]) -> Tensor:
        return torch.stack([part.float().log_softmax(-1) for part in scores]).logsumexp(0) - math.log(len(scores))

    @torch.no_grad()
    def score_answers(
        self, model: Network, batch: Batch, answers: list[str], others: Others = ()
    ) -> list[list[TokenScore]]:
        """The log-probability of each row's answer as a whole: no part of it has a probability of its own.

        Raises:
            DataError: an answer has tokens that are not in the vocabulary.
        """
        texts = [self.spec.target_codec.encode(answer) for answer in answers]
        for row, (answer, ids) in enumerate(zip(answers, texts, strict=True)):
            if UNKNOWN in ids:
                raise Unmet(row, f"{answer!r} has tokens that are not in the vocabulary of the run")
        features = model.encode(batch)
        if isinstance(self.head, Transducer):
            scores = self._transducer_scores(features, texts)
        else:
            rows = zip(_log_probabilities(model.scores(batch, features)), texts, strict=True)
            scores = [self._scored(log_probabilities, [ids])[0] for log_probabilities, ids in rows]
        return [[TokenScore(answer, score)] for answer, score in zip(answers, scores, strict=True)]

    @torch.no_grad()
    def alignments(self, model: Network, batch: Batch, others: Others = ()) -> list[Alignment]:
        """Which steps write which token of the best text, on its most probable path; tokens of no step are left out."""
        features = model.encode(batch)
        codec, alignments = self.spec.target_codec, []
        for row, (ids, path) in enumerate(self._paths(model, batch, features)):
            length = features.outputs.shape[1] if features.lengths is None else int(features.lengths[row])
            written = [codec.join([token]) for token in codec.tokens(ids)] or ["<blank>"]
            places = torch.zeros(len(written), length)
            for place, step in path:
                places[place, step] = 1
            if not ids:
                places[:] = 1
            weights = places / places.sum(1, keepdim=True).clamp(min=1)
            alignments.append(Alignment(self._times(batch, row, length), written, weights))
        return alignments

    def _paths(
        self, model: Network, batch: Batch, features: Features
    ) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
        """The best text of each row, and pairs of the index of a token and a step that writes it."""
        if isinstance(self.head, Transducer):
            for tokens in self._transduced(features):
                yield [token for _, token in tokens], [(place, step) for place, (step, _) in enumerate(tokens)]
            return
        scores = model.scores(batch, features)
        for log_probabilities, [best] in zip(_log_probabilities(scores).cpu(), self._ranked(scores, 1), strict=True):
            ids = self.spec.target_codec.encode(str(best.answer))
            path = align(log_probabilities, ids, BLANK)
            yield ids, [(place, step) for step, place in enumerate(path) if place >= 0]

    def _times(self, batch: Batch, row: int, length: int) -> list[str]:
        """The labels of the steps of the output: seconds, the tokens that were read, or numbers."""
        steps = int(batch.lengths[row])
        if self.spec.rate is not None:
            seconds = steps * self.spec.input_size / self.spec.rate / max(length, 1)
            return [f"{seconds * step:.2f}" for step in range(length)]
        if self.spec.inputs is not None and steps == length:
            return self.labels_read(batch)[row]
        return [str(step + 1) for step in range(length)]

    def references(self, batch: Batch) -> list:
        decode = self.spec.target_codec.decode
        return batch.references or [
            decode(row[: row.index(END)] if END in row else row) for row in batch.required_targets.tolist()
        ]

    def show(self, batch: Batch, predictions: list[Prediction]) -> list[str]:
        """One line per row: input -> text   (target: the first reference, where the text differs)."""
        return answer_lines(texts_or_steps(self, batch), self, batch, predictions)


@functools.cache
def _words(path: str) -> frozenset[str]:
    """The words of a file."""
    words = frozenset(line.strip() for line in read_lines(path) if line.strip())
    if not words:
        raise DataError(f"{path} has no words: give one per line")
    return words


def _log_probabilities(scores: Tensor) -> Tensor:
    """The log-probabilities of what may be written, (B, T, V)."""
    scores = scores.float().clone()
    scores[..., NEVER_WRITTEN] = float("-inf")
    return scores.log_softmax(-1)


def _losses(log_probabilities: Tensor, targets: Tensor, lengths: Tensor, zero_infinity: bool = True) -> Tensor:
    """Minus the log-probability of each row's text, (B,).

    Args:
        log_probabilities: (B, T, V).
        targets: (B, U).
        lengths: number of tokens of each text, (B,).
        zero_infinity: the result is 0, without gradient, for a text that needs more steps; else it is infinite.
    """
    rows, steps, _ = log_probabilities.shape
    if log_probabilities.is_meta:  # torch has no kernel there; nothing of the loss is a matrix product
        return log_probabilities.sum((1, 2))
    every_step = torch.full((rows,), steps, device=targets.device)
    return F.ctc_loss(
        log_probabilities.transpose(0, 1), targets, every_step, lengths, BLANK, "none", zero_infinity=zero_infinity
    )
