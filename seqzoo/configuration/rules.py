"""The rules of a recipe for data of any kind, with the numbers they choose by; `rules_of_kinds.py` has what differs.

A rule is a method that yields choices.

The constants were chosen on 200, 800, 7,000 and 8,000 sentences and 2,000 long texts of sentiment, on questions, names,
106 windows of DNA, English and Chinese parts of speech, entities of tweets and résumés, newspaper text, a play, and
chorales; `scripts/own_files.py` measures most of them and others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

from seqzoo.contracts.counting import counted
from seqzoo.contracts.options import Options, Values, plain, value_at
from seqzoo.contracts.survey import Survey

Table = Sequence[tuple[float, Any]]
"""Rows of a limit and a value: the first row whose limit a size does not exceed has its value."""

ANY = float("inf")

PATIENCE = 8
"""Validations without improvement after which training stops."""

VALIDATIONS = 30
"""Most validations of a training whose epochs are short."""

FREQUENT = 1_000
"""Updates between validations where epochs are longer than that."""

MANY_WORDS = 20_000
"""Distinct words from which on those that occur once have no embedding of their own."""

SPELLING = 20
"""Characters of a word that are read."""


class Choice(NamedTuple):
    """What a rule chooses.

    Attributes:
        values: values of options by their paths, and names of groups such as `backbone`.
        reason: for the log.
    """

    values: Values
    reason: str

    def __str__(self) -> str:
        return f"{' '.join(f'{path}={_written(value)}' for path, value in self.values.items())}: {self.reason}"


class Rules:
    """Choices for data of any kind.

    Args:
        survey: measurements of the training split.
        config: the configuration without a recipe.
        given: whether a user has set an option, which is not chosen then.

    Attributes:
        names: the methods that choose, in this order: a rule reads what those before it have chosen.
        kind: the kind of data, `Survey.kind`.
        widths: training steps -> hidden units per direction.
        word_dropout: share of the words that are read as unknown.
        dropouts: training examples -> dropout.
        batch_sizes: training examples -> examples per batch.
        most_epochs: training examples -> maximum number of epochs.
        learning_rate: the peak.
        few_to_validate: validation examples below which the score of a split says little: its standard error is above
            4 % accuracy.
    """

    names: ClassVar[Sequence[str]] = (
        "tokens", "vocabulary", "network", "head", "scores", "regularization", "ensemble", "schedule"
    )  # fmt: skip
    kind: ClassVar[str] = ""
    widths: ClassVar[Table] = ((20_000, 32), (1_000_000, 64), (10_000_000, 100), (ANY, 256))
    word_dropout: ClassVar[float] = 0.25
    dropouts: ClassVar[Table] = ((20_000, 0.5), (100_000, 0.3), (1_000_000, 0.2), (ANY, 0.1))
    batch_sizes: ClassVar[Table] = ((500, 8), (2_000, 16), (20_000, 32), (200_000, 64), (ANY, 128))
    most_epochs: ClassVar[Table] = ((500, 40), (2_000, 30), (20_000, 15), (200_000, 5), (ANY, 3))
    learning_rate: ClassVar[float] = 0.003
    few_to_validate: ClassVar[int] = 100

    def __init__(self, survey: Survey, config: Options, given: Callable[[str], bool]):
        self.survey, self.config, self.given = survey, config, given
        self.chosen: dict[str, Any] = {}

    def choices(self) -> Iterator[Choice]:
        """The choices of all rules, without options that a user has set."""
        for name in self.names:
            for choice in getattr(self, name)():
                free = {path: value for path, value in choice.values.items() if not self.given(path)}
                self.chosen |= free
                yield choice._replace(values=free)

    def value(self, path: str) -> Any:
        """The value of an option; None if it does not exist."""
        return self.chosen[path] if path in self.chosen else value_at(self.config, path)

    def given_or(self, path: str, value: Any) -> Any:
        """The value that a user gave, else another one."""
        return value_at(self.config, path) if self.given(path) else value

    @property
    def by_characters(self) -> bool:
        """Whether a step of the input is a character."""
        tokenizer = self.value("data.tokenizer") or self.value("data.source_tokenizer")
        return tokenizer == "characters" and not self.survey.tokenized

    @property
    def total_steps(self) -> int:
        """Number of input steps of the training split."""
        sources = self.survey.sources
        return sources.total_characters if self.by_characters else sources.total_words

    def tokens(self) -> Iterator[Choice]:
        """Numbers are read as they are; single words, strings of letters and text without spaces by characters."""
        if self.survey.numbers:
            yield Choice({"encoder": "features"}, "inputs are numbers")

    def vocabulary(self) -> Iterator[Choice]:
        """The embedding of unknown words is trained; where words are many, those that occur once are unknown."""
        sources = self.survey.sources
        if self.by_characters or self.survey.numbers:
            return
        yield Choice({"data.word_dropout": self.word_dropout}, "trains the embedding of unknown words")
        if sources.distinct_words > MANY_WORDS and not self.value("data.vectors"):
            singles = f"{sources.single_words:,} of {sources.distinct_words:,} words occur once"
            yield Choice({"data.min_frequency": 2}, singles)

    def network(self) -> Iterator[Choice]:
        """Both directions where the whole input is known, and a width that grows with the number of steps."""
        total = self.total_steps
        if not self.survey.ahead:
            yield Choice({"backbone": "bidirectional"}, "the whole input is known before the answer")
        width = self.width
        embedding = min(64, width) if self.by_characters else self.survey.vector_size or width
        sizes = {"backbone.hidden_size": width, "encoder.embedding_size": embedding}
        yield Choice(sizes, f"{total:,} steps in the training split")
        if self.by_characters:
            yield Choice({"encoder.initial_std": 1.0}, "a small vocabulary")

    def head(self) -> Iterator[Choice]:
        """How answers are read off, which depends on what they are."""
        yield from ()

    def scores(self) -> Iterator[Choice]:
        """What is measured besides the loss."""
        yield from ()

    def regularization(self) -> Iterator[Choice]:
        """Less dropout for more examples."""
        rate = row_of(self.dropouts, self.survey.examples)
        of_inputs = rate / 2 if self.by_characters or self.survey.numbers else rate
        values = {"encoder.dropout": of_inputs, "task.dropout": rate}
        yield Choice(values, f"{self.survey.examples:,} training examples")

    def ensemble(self) -> Iterator[Choice]:
        """The number of networks."""
        yield from ()

    def schedule(self) -> Iterator[Choice]:
        """As many updates as few examples need, and an end by validation where that is sure enough."""
        batches, epochs = -(-self.rows // self.batch_size), self.epochs
        updates = self.given_or("training.steps", None) or epochs * batches
        values = {
            "data.batch_size": self.batch_size,
            "training.epochs": epochs,
            "training.steps": None,
            "training.learning_rate": self.peak_rate,
            "training.warmup_steps": min(100, updates // 10),
            "training.validate_every": FREQUENT if batches > FREQUENT else batches * -(-epochs // VALIDATIONS),
        }
        yield Choice(values, f"{counted(batches, 'update')} per epoch")
        yield self.ending()

    @property
    def width(self) -> int:
        """Hidden units per direction."""
        return row_of(self.widths, self.total_steps)

    @property
    def peak_rate(self) -> float:
        """The learning rate after the warm-up."""
        return self.learning_rate

    @property
    def rows(self) -> int:
        """What batches are made of: the number of training examples."""
        return self.survey.examples

    @property
    def batch_size(self) -> int:
        """Rows per batch."""
        return self.given_or("data.batch_size", row_of(self.batch_sizes, self.survey.examples))

    @property
    def epochs(self) -> int:
        """The maximum number of epochs."""
        return self.given_or("training.epochs", None) or self.free_epochs()

    def free_epochs(self) -> int:
        """The maximum number of epochs where none is given."""
        return row_of(self.most_epochs, self.survey.examples)

    def ending(self) -> Choice:
        """When training ends, and whether validation selects the weights."""
        held_out = self.survey.validation_examples
        if held_out >= self.few_to_validate or self.given("training.patience"):
            return Choice({"training.patience": PATIENCE}, f"{held_out:,} validation examples tell when to stop")
        return keep_last(f"{held_out:,} validation examples are too few to select the best weights")


def keep_last(reason: str) -> Choice:
    """The choice to train to the end and to keep the last weights."""
    return Choice({"training.patience": None, "training.keep": "last"}, reason)


def row_of(table: Table, size: int) -> Any:
    """The value of the first row of a table whose limit is not exceeded."""
    return next(value for most, value in table if size <= most)


def _written(value: Any) -> str:
    """A value as on the command line."""
    return f"[{','.join(map(_written, value))}]" if isinstance(value, list) else plain(value)
