"""A trained model, loaded from its run directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from seqzoo.configuration import task_names
from seqzoo.configuration.building import task_name
from seqzoo.configuration.experiment import Parts
from seqzoo.contracts.arguments import check_argument, checked_list
from seqzoo.contracts.batch import UNKNOWN, Alignment, Batch, Explanation, Prediction
from seqzoo.contracts.capabilities import (
    Aligns,
    BeginsTexts,
    Composes,
    Explains,
    Forecasts,
    LabelsTrees,
    Others,
    Outlook,
    Ranks,
    ScoredTree,
    ScoresAnswers,
    ScoresTexts,
    TokenScore,
    UsesLanguage,
    Writes,
)  # fmt: skip
from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.contracts.masking import mask
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import TextCodec
from seqzoo.network import results
from seqzoo.network.model import Model
from seqzoo.runs.answering import Stream
from seqzoo.runs.composition import Composition
from seqzoo.runs.inside import Inside, inside_of
from seqzoo.runs.text_batches import Reader, by_line, checked_texts, for_each, parts, read, stays_empty
from seqzoo.runs.text_features import TextFeatures, features_of
from seqzoo.tasks.decoding import check_numbers
from seqzoo.tasks.decoding.language import Language

EMPTY = Prediction("", 0.0)
"""The prediction for empty input."""
UNNAMED = Parts()
"""The configuration of a model that was not built from one."""


class Loaded:
    """A trained model for predictions on text; `seqzoo.load` creates it from a run directory.

    Args:
        model: the model, in evaluation mode.
        spec: the specification of the data that it was trained on.
        config: the configuration that it was built from.
        others: further models of an ensemble, which generate answers together with this one.
    """

    def __init__(self, model: Model, spec: DataSpec, config: Parts = UNNAMED, others: Sequence[Loaded] = ()):
        self.model, self.spec, self.config, self.others = model, spec, config, others

    @torch.no_grad()
    def predict(
        self, texts: Iterable[str] | Iterable[list[str]], batch_size: int = 64, first_line: int = 1
    ) -> list[Prediction]:
        """Predict the answer to each text.

        A language model continues a text as the beginning of a line. Other tasks answer an empty text with an empty
        answer.

        Args:
            texts: texts, or lists of tokens; a list, or a generator of them.
            batch_size: number of texts that are processed at once.
            first_line: line number of the first text in messages.

        Returns:
            One prediction per text.

        Raises:
            DataError: a text has no tokens.
        """
        return [best for best, *_ in self.candidates(texts, 1, batch_size, first_line)]

    @torch.no_grad()
    def candidates(
        self, texts: Iterable[str] | Iterable[list[str]], n_best: int, batch_size: int = 64, first_line: int = 1
    ) -> list[list[Prediction]]:
        """Up to `n_best` predictions for each text, best first.

        Args:
            texts, batch_size, first_line: as in `predict`.
            n_best: maximum number of predictions per text.

        Returns:
            A list of predictions for each text; fewer than `n_best` where there are no more.

        Raises:
            ConfigError: the task has only one answer to each text.
            DataError: a text has no tokens.
        """
        self._check_n_best(n_best)
        task = self.model.task

        def answer(batch: Batch, others: Others) -> list[list[Prediction]]:
            if isinstance(task, Writes):
                return results.per_row(
                    task, "candidates", task.candidates(self.model, batch, n_best, others), batch.size
                )
            if isinstance(task, Ranks):
                rows = results.per_row(task, "candidates", task.candidates(self.model, batch, n_best), batch.size)
            else:
                predictions = results.per_row(task, "decode", task.decode(self.model, batch), batch.size)
                rows = [[prediction] for prediction in predictions]
            scores = [prediction.score for row in rows for prediction in row if prediction.score is not None]
            check_numbers(torch.tensor(scores))
            return rows

        return for_each(self._readers, texts, batch_size, first_line, answer, [EMPTY])

    def count_unknown(self, texts: Iterable[str] | Iterable[list[str]], first_line: int = 1) -> tuple[int, int]:
        """Count the tokens of texts that are not in the vocabulary of inputs.

        Args:
            texts, first_line: as in `predict`.

        Returns:
            The number of unknown tokens and that of all tokens; zeros for a model without a vocabulary of inputs.

        Raises:
            DataError: a text has no tokens.
        """
        unknown = count = 0
        if isinstance(self.spec.inputs, TextCodec):
            for _, _, batch, _ in parts(self._readers, checked_texts(texts), 64, first_line):
                real = mask(batch.lengths, batch.inputs.shape[1])
                unknown += int(((batch.inputs == UNKNOWN) & real).sum())
                count += int(batch.lengths.sum())
        return unknown, count

    @torch.no_grad()
    def alignments(
        self, texts: Iterable[str] | Iterable[list[str]], batch_size: int = 64, first_line: int = 1
    ) -> list[Alignment | None]:
        """The attention weights for each text; in an ensemble, those of this model for the common answer.

        Args:
            texts, batch_size, first_line: as in `predict`.

        Returns:
            One Alignment per text; None for an empty text.

        Raises:
            ConfigError: the model has no attention.
            DataError: a text has no tokens.
        """
        task = self.model.task
        if not isinstance(task, Aligns):
            raise ConfigError(
                [f"{self.task_name} has no attention to draw: leave it out, or take a run that has attention"]
            )

        def answer(batch: Batch, others: Others) -> list[Alignment]:
            alignments = results.per_row(task, "alignments", task.alignments(self.model, batch, others), batch.size)
            if not alignments:
                raise ConfigError([f"the run has no attention: train one with {task.alignment_needs}"])
            return alignments

        return for_each(self._readers, texts, batch_size, first_line, answer, None)

    @torch.no_grad()
    def outlooks(self, texts: Iterable[Any], batch_size: int = 64, first_line: int = 1) -> list[Outlook]:
        """The forecast of each series, with its bands.

        Args:
            texts: series, as texts or as `Series`.
            batch_size, first_line: as in `predict`.

        Returns:
            One forecast per series.

        Raises:
            ConfigError: the task continues no series.
            DataError: a text is not a series that the model reads.
        """
        task = self.model.task
        if not isinstance(task, Forecasts):
            raise ConfigError(
                [f"{self.task_name} makes no forecasts to draw: give a run of {task_names.having(Forecasts)}"]
            )
        rows = for_each(
            self._readers, texts, batch_size, first_line, lambda batch, _: task.outlooks(self.model, batch), None
        )
        return [row for row in rows if row is not None]

    @torch.no_grad()
    def labelled_trees(
        self, texts: Iterable[str] | Iterable[list[str]], batch_size: int = 64, first_line: int = 1
    ) -> list[ScoredTree | None]:
        """The tree of each text, with the predicted label of each node and its probability.

        Args:
            texts, batch_size, first_line: as in `predict`.

        Returns:
            One tree per text; None for an empty text.

        Raises:
            ConfigError: the task labels no trees.
            DataError: a text has no tree.
        """
        task = self.model.task
        if not isinstance(task, LabelsTrees):
            raise ConfigError([f"{self.task_name} labels no trees: give a run of {task_names.having(LabelsTrees)}"])

        def answer(batch: Batch, others: Others) -> list[ScoredTree]:
            return task.labelled_trees(self.model, batch)

        return for_each(self._readers, texts, batch_size, first_line, answer, None)

    def explain(
        self, texts: Iterable[str] | Iterable[list[str]], batch_size: int = 64, first_line: int = 1
    ) -> list[Explanation | None]:
        """The contribution of each input token to the prediction for each text.

        Args:
            texts, batch_size, first_line: as in `predict`.

        Returns:
            One Explanation per text; None for an empty text.

        Raises:
            ConfigError: the model cannot explain its predictions.
            DataError: a text has no tokens.
        """
        return [best for best, *_ in self.explain_candidates(texts, 1, batch_size, first_line)]

    @torch.no_grad()
    def explain_candidates(
        self, texts: Iterable[str] | Iterable[list[str]], n_best: int, batch_size: int = 64, first_line: int = 1
    ) -> list[list[Explanation | None]]:
        """`explain` for each prediction that `candidates` returns.

        Args:
            texts, batch_size, first_line: as in `predict`.
            n_best: maximum number of predictions per text.

        Returns:
            For each text an Explanation of each of its predictions; [None] for an empty text.

        Raises:
            ConfigError: the model cannot explain its predictions.
            DataError: a text has no tokens.
        """
        task = self.model.task
        if not isinstance(task, Explains):
            raise ConfigError(
                [f"{self.task_name} cannot explain its predictions, as a class per text can be: leave it out"]
            )

        def answer(batch: Batch, others: Others) -> list[list[Explanation | None]]:
            explanations = results.per_row(task, "explain", task.explain(self.model, batch, n_best), batch.size)
            if not explanations:
                raise ConfigError([f"the run cannot explain its predictions: train one with {task.explanation_needs}"])
            return [list(row) for row in explanations]

        return for_each(self._readers, texts, batch_size, first_line, answer, [None])

    @torch.no_grad()
    def look_inside(self, text: str) -> Inside:
        """The activations of each layer while the model reads a text.

        Args:
            text: the text.

        Returns:
            The activations by layer, with the tokens that were read.

        Raises:
            DataError: the text has no tokens.
        """
        check_argument("text", text, str, "a text")
        backwards = getattr(self.spec.inputs, "backwards", False)
        return inside_of(self.model, self.read([text], [1]), backwards)

    @torch.no_grad()
    def features(
        self, texts: Iterable[str] | Iterable[list[str]], batch_size: int = 64, first_line: int = 1
    ) -> list[TextFeatures | None]:
        """The embeddings, outputs and states of encoder and backbone for each text, for use in other programs.

        Args:
            texts, batch_size, first_line: as in `predict`.

        Returns:
            One `TextFeatures` per text, on the device of the model; None for an empty text.

        Raises:
            DataError: a text has no tokens.

        Examples:
            >>> [features] = seqzoo.load("pretrained:tiny_shakespeare_lstm").features(["ROMEO:"])
            >>> features.outputs.shape
            torch.Size([6, 192])
        """
        return for_each(
            self._readers, texts, batch_size, first_line, lambda batch, _: features_of(self.model, batch), None
        )

    @torch.no_grad()
    def compose(self, texts: Iterable[str], harmonise: bool = False, first_line: int = 1) -> list[Composition]:
        """Continue pieces of music, or write voices below melodies.

        Args:
            texts: names of files of notes, or chords such as "C4+E4+G4 F4+A4+C5".
            harmonise: True: keep the highest note of each step, and write the others.
            first_line: as in `predict`.

        Returns:
            One composition per text, in their order.

        Raises:
            ConfigError: the task does not write music.
            DataError: a text has no notes, or a file cannot be read.
        """
        task = self.model.task
        if not isinstance(task, Composes):
            raise ConfigError([f"{self.task_name} does not write music: give a run of {task_names.having(Composes)}"])
        texts = checked_list("texts", texts, str, "a list of texts")
        grid = self.spec.steps_per_quarter or 1
        pieces = []
        for number, text in enumerate(texts, start=first_line):
            batch = self.read([text], [number])
            if harmonise:
                pieces.append(Composition(task.harmonised(self.model, batch)[0].cpu(), 0, grid))
            else:
                [written] = task.continued(self.model, batch)
                pieces.append(Composition(torch.cat([batch.inputs[0], written]).cpu(), batch.inputs.shape[1], grid))
        return pieces

    def generate(self, text: str, write: Callable[[str], None]) -> Prediction:
        """Write the answer to one text token by token.

        Args:
            text: the text.
            write: called with each piece of the answer once it is final.

        Returns:
            The whole prediction.

        Raises:
            ConfigError: the model does not generate text token by token.
            DataError: the text has no tokens.
        """
        task = self.model.task
        check_argument("text", text, str, "a text")
        if not isinstance(task, Writes):
            raise ConfigError(
                [f"{self.task_name} does not write token by token, so that nothing can be streamed: predict instead"]
            )
        if stays_empty(Reader(self.model, self.spec), text):
            return EMPTY
        [(_, lines, batch, others)] = parts(self._readers, [text], 1, 1)
        with by_line(lines):
            return results.checked(task, "stream", task.stream(self.model, batch, write, others))

    def stream(self) -> Stream:
        """Begin to read an input that grows, and is answered while it does.

        Returns:
            The stream: `push` reads a piece, and `end` finishes the input.

        Raises:
            ConfigError: the model answers whole inputs only; the message says what to train instead.
        """
        self.model.eval()
        return Stream(self.model, self.spec, self.task_name)

    def use_language_model(self, other: Loaded) -> None:
        """Add the scores of a language model to those of the search.

        Args:
            other: a run of task=language_modeling whose tokens are those that this run writes.

        Raises:
            ConfigError: this task does not search with a language model, or the other is none.
        """
        task, language = self.model.task, other.model.task
        if not isinstance(task, UsesLanguage):
            raise ConfigError([f"{self.task_name} uses no language model: leave it out"])
        if not isinstance(language, BeginsTexts) or other.spec.inputs is None:
            raise ConfigError([f"{other.task_name} continues no texts, so it is not a language model"])
        if not language.line_end:
            advice = "train one with a tokenizer such as data.tokenizer=lines:characters"
            raise ConfigError([f"the language model has no line ends, so it cannot begin a text: {advice}"])
        with torch.no_grad():
            batch = other.read([""], [1])
            start, step = language.beginning(other.model, batch, other.model.encode(batch), ())
        [end] = other.spec.inputs.encode(language.line_end)
        task.use_language(Language(start, step, other.spec.inputs, end))

    @torch.no_grad()
    def score(
        self, texts: Iterable[str], answers: Iterable[str] | None = None, batch_size: int = 64, first_line: int = 1
    ) -> list[list[TokenScore]]:
        """The log-probability of each token of each text or, with `answers`, of each answer given its text (forced
        decoding), the end of line or answer included. A language model without line ends does not score the first
        token.

        Args:
            texts: the texts.
            answers: one per text; None: score the texts.
            batch_size: number of texts that are processed at once.
            first_line: line number of the first text in messages.

        Returns:
            For each text its tokens, or those of its answer, with their scores in nats.

        Raises:
            ConfigError: the task does not score texts, or answers.
            ValueError: there are not as many answers as texts.
            DataError: a text has no tokens, or an answer has tokens outside the vocabulary.
        """
        texts = checked_list("texts", texts, str, "a list of texts")
        if answers is not None:
            answers = checked_list("answers", answers, str, "a list of texts")
            if len(answers) != len(texts):
                raise ValueError(
                    f"{counted(len(texts), 'text')} and {counted(len(answers), 'answer')} were given: give one answer "
                    "per text"
                )
        task = self.model.task
        if answers is not None:
            if not isinstance(task, ScoresAnswers):
                raise ConfigError([self._why_no_score("answers")])
            for number, text in enumerate(texts, start=first_line):
                if stays_empty(Reader(self.model, self.spec), text):
                    raise DataError(f"line {number}: there is nothing before the answer, so it has no score")
        elif not isinstance(task, ScoresTexts):
            raise ConfigError([self._why_no_score("texts")])
        else:
            texts = [task.scored(text) for text in texts]
        scores: list[list[TokenScore]] = []
        for rows, lines, batch, others in parts(self._readers, texts, batch_size, first_line):
            with by_line(lines):
                if isinstance(task, ScoresAnswers) and answers is not None:
                    rated = task.score_answers(self.model, batch, [answers[row] for row in rows], others)
                    scores += results.per_row(task, "score_answers", rated, batch.size)
                elif isinstance(task, ScoresTexts):
                    rated = task.score_texts(self.model, batch, others)
                    scores += results.per_row(task, "score_texts", rated, batch.size)
        return scores

    def _why_no_score(self, asked: str) -> str:
        """The error message for a task that does not score texts, or answers, with what it scores instead."""
        task = self.model.task
        if isinstance(task, ScoresAnswers):
            return f"{self.task_name} does not score {asked}, but an answer to each: give answers, too"
        if isinstance(task, ScoresTexts):
            return f"{self.task_name} does not score {asked}, but texts alone: leave the answers out"
        advice = "predict instead; --json prints the log-probability of each answer, where the task has one"
        return f"{self.task_name} does not compute the probability of a given text or answer: {advice}"

    def read(self, texts: Sequence[str | list[str]], lines: list[int]) -> Batch:
        """A batch of texts in the encoding of this model.

        Args:
            texts: texts, or lists of tokens.
            lines: their line numbers in messages.

        Returns:
            The batch, on the device of the model.

        Raises:
            DataError: a text has no tokens.
        """
        return read(Reader(self.model, self.spec), texts, lines)

    @property
    def task_name(self) -> str:
        """The task in messages, such as "task=tagging"; without a name, its class."""
        return task_name(self.model.task, self.config.choices)

    @property
    def _readers(self) -> list[Reader]:
        """This model, and the other ones of an ensemble."""
        return [Reader(each.model, each.spec) for each in (self, *self.others)]

    def _check_n_best(self, n_best: int) -> None:
        """Raise ConfigError if the task cannot give this many answers, TypeError if it is not an integer."""
        check_argument("n_best", n_best, int, "an integer")
        if n_best < 1:
            raise ConfigError([f"n_best is {n_best}: ask for at least one"])
        if n_best > 1 and not isinstance(self.model.task, Ranks):
            raise ConfigError([f"n_best is {n_best}, but {self.task_name} has one answer to each text: leave it out"])
