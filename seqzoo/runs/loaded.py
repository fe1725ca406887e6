"""A trained model, back from its run directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from seqzoo.configuration.building import build_model, task_name
from seqzoo.configuration.composing import merged
from seqzoo.configuration.experiment import Parts, parts_of
from seqzoo.contracts.batch import Alignment, Batch, Explanation, Prediction
from seqzoo.contracts.capabilities import (
    Aligns,
    Explains,
    Others,
    Ranks,
    ScoresAnswers,
    ScoresTexts,
    TokenScore,
    Writes,
)  # fmt: skip
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.contracts.own_parts import during
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.examples import encode_inputs
from seqzoo.data.text.codec import TextCodec, spec_from_plain, spec_to_plain
from seqzoo.inspection.dynamics import first_cell, recording
from seqzoo.inspection.recurrence import labels
from seqzoo.network.backbones.stack import Stack
from seqzoo.network.model import Model
from seqzoo.tasks.decoding import Unmet, check_numbers
from seqzoo.training.device import select_device
from seqzoo.training.record.checkpoint import check_weights, load_weights
from seqzoo.training.record.files import BEST, SPEC, read_config, read_json

NOTHING = Prediction("", 0.0)  # what is answered to nothing


class Course(NamedTuple):
    """What a cell did over a text. read: T labels; states: output, and each gate by its name -> (T, units)."""

    read: list[str]
    states: dict[str, Tensor]


class Inside(NamedTuple):
    """What a model did with one text. layers: layer_1, layer_1_backwards, layer_2, ...; answer: a line for a person;
    alignment: None where the answer attended to nothing; backwards: whether the text was read from its end.
    """

    layers: dict[str, Course]
    answer: str
    alignment: Alignment | None
    backwards: bool


UNNAMED = Parts()
"""What is known of a model that was not built from a configuration."""
Found = TypeVar("Found")
Nothing = TypeVar("Nothing")


class _Part(NamedTuple):
    """Some texts of a call. rows: which of them; lines: their numbers in a message; batch: as this model reads them;
    others: as the others do that write with it.
    """

    rows: list[int]
    lines: list[int]
    batch: Batch
    others: Others


class Loaded:
    """model: with the run's best weights, in evaluation mode; spec: what its ids mean; config: how it was made; others:
    models that write its answers with it.
    """

    def __init__(self, model: Model, spec: DataSpec, config: Parts = UNNAMED, others: Sequence[Loaded] = ()):
        self.model, self.spec, self.config, self.others = model, spec, config, others

    @torch.no_grad()
    def predict(
        self, texts: list[str] | list[list[str]], batch_size: int = 64, first_line: int = 1
    ) -> list[Prediction]:
        """Texts, or lists of tokens -> one Prediction each, in their order. A language model continues a text as the
        beginning of a line; what is rewritten, tagged or classified may be empty, and so is its answer then.

        Raises DataError for a text without tokens, with its number, where the first one has the number `first_line`.
        """
        return [best for best, *_ in self.candidates(texts, 1, batch_size, first_line)]

    @torch.no_grad()
    def candidates(
        self, texts: list[str] | list[list[str]], n_best: int, batch_size: int = 64, first_line: int = 1
    ) -> list[list[Prediction]]:
        """As `predict`, with up to `n_best` predictions of each text, best first."""
        self._check_n_best(n_best)
        task = self.model.task

        def answer(batch: Batch, others: Others) -> list[list[Prediction]]:
            if isinstance(task, Writes):
                return task.candidates(self.model, batch, n_best, others)
            if isinstance(task, Ranks):
                rows = task.candidates(self.model, batch, n_best)
            else:
                rows = [[prediction] for prediction in task.decode(self.model, batch)]
            check_numbers(torch.tensor([prediction.score for row in rows for prediction in row]))
            return rows

        return self._of_each(texts, batch_size, first_line, answer, [NOTHING])

    @torch.no_grad()
    def alignments(
        self, texts: list[str] | list[list[str]], batch_size: int = 64, first_line: int = 1
    ) -> list[Alignment | None]:
        """What the prediction of each text attended to, by this model where others write with it; None where a text
        stays empty. Raises ConfigError where the model attends to nothing.
        """
        task = self.model.task
        if not isinstance(task, Aligns):
            raise ConfigError([f"the run attends to nothing, as {self._task_name} has no attention"])

        def answer(batch: Batch, others: Others) -> list[Alignment]:
            alignments = task.alignments(self.model, batch, others)
            if not alignments:
                raise ConfigError([f"the run attends to nothing: train one with {task.alignment_needs}"])
            return alignments

        return self._of_each(texts, batch_size, first_line, answer, None)

    def explain(
        self, texts: list[str] | list[list[str]], batch_size: int = 64, first_line: int = 1
    ) -> list[Explanation | None]:
        """What the prediction of each text rests on; None where a text stays empty. Raises ConfigError where the task
        cannot say.
        """
        return [best for best, *_ in self.explain_candidates(texts, 1, batch_size, first_line)]

    @torch.no_grad()
    def explain_candidates(
        self, texts: list[str] | list[list[str]], n_best: int, batch_size: int = 64, first_line: int = 1
    ) -> list[list[Explanation | None]]:
        """As `explain`, of each prediction that `candidates` gives."""
        task = self.model.task
        if not isinstance(task, Explains):
            raise ConfigError([f"{self._task_name} cannot explain its predictions"])

        def answer(batch: Batch, others: Others) -> list[list[Explanation | None]]:
            explanations = task.explain(self.model, batch, n_best)
            if not explanations:
                raise ConfigError([f"the run cannot explain its predictions: train one with {task.explanation_needs}"])
            return [list(row) for row in explanations]

        return self._of_each(texts, batch_size, first_line, answer, [None])

    @torch.no_grad()
    def look_inside(self, text: str) -> Inside:
        """What each layer did while it read a text. Raises DataError for a text without tokens."""
        model, backbone = self.model, self.model.backbone
        batch = self._read([text], [1])
        cell = first_cell(model)
        cells = {} if cell is None else {"layer_1": cell}
        if isinstance(backbone, Stack):
            cells = {
                f"layer_{depth}{'_backwards' if direction else ''}": cell
                for depth, layer in enumerate(backbone.layers, start=1)
                for direction, cell in enumerate(layer.directions)
            }
        with ExitStack() as listening:
            recorded = {name: listening.enter_context(recording(cell)) for name, cell in cells.items()}
            features = model.encode(batch)
        layers = {}
        for name, noted in recorded.items():
            states = {"output": noted.outputs[0], **{gate: values[0] for gate, values in noted.gates.items()}}
            if name.endswith("backwards"):  # in the order of the text
                states = {part: values.flip(0) for part, values in states.items()}
            layers[name] = Course(labels(model, batch, len(noted.entered)), states)
        [answer] = model.task.show(batch, model.task.decode(model, batch, features))
        alignments = model.task.alignments(model, batch) if isinstance(model.task, Aligns) else []
        return Inside(
            layers, answer, alignments[0] if alignments else None, getattr(self.spec.inputs, "backwards", False)
        )

    def stream(self, text: str, write: Callable[[str], None]) -> Prediction:
        """`predict` of one text, which hands each piece of what is written to `write` once it is known. Raises
        ConfigError where the model does not write.
        """
        task = self.model.task
        if not isinstance(task, Writes):
            raise ConfigError([f"only what writes token by token can be streamed, and {self._task_name} does not"])
        if self._stays_empty(text):
            return NOTHING
        [(_, lines, batch, others)] = self._parts([text], 1, 1)
        with _by_line(lines):
            return task.stream(self.model, batch, write, others)

    @torch.no_grad()
    def score(
        self, texts: list[str], answers: list[str] | None = None, batch_size: int = 64, first_line: int = 1
    ) -> list[list[TokenScore]]:
        """The log-probability of each token of each text, by a language model; or of each answer to a text, by a model
        that rewrites (forced decoding). A line's or an answer's end counts, too. A language model that knows no line
        ends has a text's first token given.

        Raises ConfigError where the model is of another kind, DataError for a text without tokens and for an answer
        with tokens that the model cannot write.
        """
        task = self.model.task
        if answers is not None:
            if not isinstance(task, ScoresAnswers):
                raise ConfigError([self._why_no_score("answers")])
            for number, text in enumerate(texts, start=first_line):
                if self._stays_empty(text):
                    raise DataError(f"Line {number}: there is nothing before the answer, so it has no score.")
        elif not isinstance(task, ScoresTexts):
            raise ConfigError([self._why_no_score("texts")])
        else:
            texts = [task.scored(text) for text in texts]
        scores: list[list[TokenScore]] = []
        for rows, lines, batch, others in self._parts(texts, batch_size, first_line):
            with _by_line(lines):
                if isinstance(task, ScoresAnswers) and answers is not None:
                    scores += task.score_answers(self.model, batch, [answers[row] for row in rows], others)
                elif isinstance(task, ScoresTexts):
                    scores += task.score_texts(self.model, batch, others)
        return scores

    def _why_no_score(self, asked: str) -> str:
        """The sentence for a task that does not score what was asked for, with what it scores instead, if anything."""
        task = self.model.task
        if isinstance(task, ScoresAnswers):
            return f"{self._task_name} does not score {asked}, but an answer to each: give answers, too"
        if isinstance(task, ScoresTexts):
            return f"{self._task_name} does not score {asked}, but texts alone: leave the answers out"
        return f"{self._task_name} scores neither texts nor answers"

    @property
    def _task_name(self) -> str:
        return task_name(self.model.task, self.config.choices)

    def _check_n_best(self, n_best: int) -> None:
        """Raises ConfigError where the task cannot give so many answers."""
        if n_best < 1:
            raise ConfigError([f"n_best is {n_best}: ask for at least one"])
        if n_best > 1 and not isinstance(self.model.task, Ranks):
            raise ConfigError([f"n_best is {n_best}: {self._task_name} gives one answer to each text"])

    def _of_each(
        self,
        texts: Sequence[str] | Sequence[list[str]],
        batch_size: int,
        first_line: int,
        answer: Callable[[Batch, Others], list[Found]],
        nothing: Nothing,
    ) -> list[Found | Nothing]:
        """What is answered to each text, and `nothing` where one stays empty."""
        if isinstance(texts, str):  # whose letters would be taken for texts
            raise TypeError(f"texts is a single text, {texts!r:.60}: give a list of texts")
        found: list[Found | Nothing] = [nothing for _ in texts]
        for rows, lines, batch, others in self._parts(texts, batch_size, first_line):
            with _by_line(lines):
                for row, one in zip(rows, answer(batch, others), strict=True):
                    found[row] = one
        return found

    def _parts(self, texts: Sequence[str] | Sequence[list[str]], batch_size: int, first_line: int) -> Iterator[_Part]:
        """All texts but those that stay empty."""
        filled = [row for row, text in enumerate(texts) if not self._stays_empty(text)]
        for start in range(0, len(filled), batch_size):
            rows = filled[start : start + batch_size]
            some, lines = [texts[row] for row in rows], [first_line + row for row in rows]
            others = [(one.model, one._read(some, lines)) for one in self.others]
            yield _Part(rows, lines, self._read(some, lines), others)

    def _read(self, texts: Sequence[str | list[str]], lines: list[int]) -> Batch:
        """Texts as the model reads them."""
        self.model.eval()
        read = [self.model.task.prompt(text) if isinstance(text, str) else text for text in texts]
        return encode_inputs(self.spec, read, lines=lines).to(next(self.model.parameters()).device)

    def _stays_empty(self, text: Sequence[str]) -> bool:
        """Whether there is nothing to rewrite, to tag, or to classify."""
        if not isinstance(self.spec.inputs, TextCodec) or not self.model.task.skips_empty_text or self.spec.marked:
            return False
        return not (text.strip() if isinstance(text, str) else text)


@contextmanager
def _by_line(lines: list[int]) -> Iterator[None]:
    """Errors name a line: that of the row that is given what cannot be met, else the first and the last one."""
    try:
        one = f"line {lines[0]} was"
        with during(lambda: f"while {one if len(lines) == 1 else f'lines {lines[0]} to {lines[-1]} were'} answered"):
            yield
    except Unmet as error:
        raise DataError(f"Line {lines[error.row]}: {error.text}") from None


def load(
    run_dir: str | Path,
    device: str = "cpu",
    allow_modules: list[str] | None = None,
    options: dict[str, Any] | None = None,
    beside: Sequence[str | Path] = (),
) -> Loaded:
    """The model of a run, with its best weights. Nothing in the run directory can run code.

    Args:
        run_dir: the run directory.
        device: "auto", "cpu", "cuda" or "cuda:1".
        allow_modules: modules of your own that the run may use.
        options: of the task, for decoding, such as {"search": {"beam_size": 5}}.
        beside: more runs, of any architecture, whose models write with this one: the next token has the mean of their
            probabilities.

    Raises:
        CheckpointError: the directory is not a run directory, or is damaged.
        ConfigError: there is no such option, or the runs cannot write together.

    Example:
        >>> seqzoo.load("runs/addition_lstm_unidirectional/2026-11-21_02-53-19").predict(["535+61"])
        [Prediction(answer='596', score=-0.0003)]
    """
    folder = Path(run_dir)
    parts = replace(parts_of(read_config(folder)), allow_modules=allow_modules or [])
    parts = replace(parts, task=merged(parts.task, options or {}))
    spec = spec_from_plain(read_json(folder / SPEC))
    with torch.device("meta"):
        check_weights(folder / BEST, build_model(parts, spec))
    model = build_model(parts, spec)
    load_weights(folder / BEST, model)
    others = [load(other, device, allow_modules) for other in beside]
    for path, other in zip(beside, others, strict=True):
        both_write = isinstance(model.task, Writes) and isinstance(other.model.task, Writes)
        if not both_write or other.spec.kind != spec.kind:
            reason = "their tasks do not both write their answers" if not both_write else "they read data of two kinds"
            raise ConfigError([f"{run_dir} and {path} cannot answer together: {reason}"])
        if spec_to_plain(other.spec)["targets"] != spec_to_plain(spec)["targets"]:
            raise ConfigError([f"{path} writes in another vocabulary than {run_dir}: train both on the same data"])
    return Loaded(model.to(select_device(device)).eval(), spec, parts, others)
