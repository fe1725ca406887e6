"""A recipe: values for the options that nobody has set, chosen by the size and form of the training data.

Each rule is one function: it reads measurements of the data and yields choices with their reason, which the log shows.
What is given on the command line or in a file of the user's own always wins, and so does what an experiment says of
its architecture. The same data and the same options give the same choices; `config.yaml` stores the values.

The constants were chosen on 200, 800, 7,000 and 8,000 sentences and 2,000 long texts of sentiment, on questions, names,
106 windows of DNA, English parts of speech, newspaper text, a play, and chorales; `scripts/own_files.py` measures most
of them and others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, NamedTuple

from seqzoo.configuration import composing, registry
from seqzoo.configuration.building import build_data
from seqzoo.configuration.experiment import Experiment, parse
from seqzoo.contracts.options import Options, has, plain, value_at
from seqzoo.contracts.survey import Survey, Texts
from seqzoo.network import results

AUTO, NONE = "auto", "none"

BELONGS_TO_DATA = ("training.", "data.batch_size", "data.max_tokens", "data.word_dropout", "encoder.freeze")
"""Beginnings of the options that an experiment chose for its own data set. Other data do not take them over."""

PATIENCE = 8
"""Validations without improvement after which training stops."""

VALIDATIONS = 30
"""Most validations of a training whose epochs are short."""

FREQUENT = 1_000
"""Updates between validations where epochs are longer than that."""

FEW_TO_VALIDATE = 100
"""Validation examples below which the score of a split says little: its standard error is above 4 % accuracy."""

MANY_WORDS = 20_000
"""Distinct words from which on those that occur once have no embedding of their own."""

SKEWED = 2.0
"""How many times more frequent than the mean the largest class is where classes count as skewed."""

NETWORKS = ((1_000_000, 3), (float("inf"), 1))
"""Training steps times epochs -> networks of an ensemble, as many as take a few minutes on a CPU."""

BATCHES = ((500, 8), (2_000, 16), (20_000, 32), (200_000, 64), (float("inf"), 128))
"""Training examples -> examples per batch."""

EPOCHS = ((500, 40), (2_000, 30), (20_000, 15), (200_000, 5), (float("inf"), 3))
"""Training examples -> maximum number of epochs."""

UPDATES_OF_MUSIC, EPOCHS_OF_MUSIC = 6_000, (3, 40)
"""Updates that a network of music needs, and the fewest and most epochs."""

PIECES = ((100_000, 1), (1_000_000, 2), (float("inf"), 8))
"""Frames of the training split -> pieces per batch; ten epochs of chorales gave 8.5 nats per frame with one piece, and
9.6 with four.
"""

UPDATES_OF_FORECASTS = 1_500
"""Updates that a network needs to continue a series: epochs are as many as that, if windows are few."""

EPOCHS_OF_CLASSES = ((10_000, 15), (30_000, 12), (100_000, 8), (1_000_000, 5), (4_000_000, 3), (float("inf"), 1))
"""Training steps -> the same for classes of texts: a network knows 8,000 sentences by heart after three epochs."""

ALPHABET = 500
"""Distinct characters from which on characters are like words, as in Chinese."""

EPOCHS_OF_TAGS = ((500, 30), (2_000, 20), (20_000, 8), (float("inf"), 4))
"""Training examples -> the same for tags."""

EPOCHS_OF_TEXT = ((100_000, 20), (500_000, 8), (1_500_000, 4), (3_000_000, 2), (float("inf"), 1))
"""Training steps -> the same for language models; a word counts as two characters."""

NGRAMS_OF_WORDS, NGRAMS_OF_CHARACTERS = 2, 4
"""The longest n-grams of a linear classifier beside the network."""

SPELLED = 3_000_000
"""Characters of the training split up to which the linear classifier reads n-grams of characters, too."""

NEIGHBOURS = 2
"""Words on each side that a linear tagger beside the network reads."""

NGRAMS_OF_TEXT = {True: (9, 6_000_000), False: (5, 2_000_000)}
"""Whether text is read by characters -> the length of the n-grams that are mixed with a language model, and the
training steps up to which they are: counting takes about 200 bytes of memory for each of them. Longer n-grams of
characters than 9 gain nothing on a million characters, and 9 gain 0.08 nats over 6 on five millions.
"""

WIDTHS = {
    "classification": ((20_000, 32), (1_000_000, 64), (10_000_000, 100), (float("inf"), 256)),
    "tagging": ((20_000, 64), (1_000_000, 128), (float("inf"), 256)),
    "transduction": ((20_000, 64), (100_000, 128), (float("inf"), 256)),
    "language_modeling": ((100_000, 128), (float("inf"), 256)),
    "polyphony": ((float("inf"), 256),),
}
"""Kind of data -> training steps -> hidden units per direction."""
OTHER_WIDTHS = WIDTHS["classification"]

STREAMS = 16
"""Streams of running text that are read in parallel: more updates per epoch than with 32."""

CUTOFFS = 1_500, 5_000
"""Ids at which the clusters of an adaptive softmax begin, where the vocabulary is larger than the last one: an
exact distribution at a third of the cost.
"""

DROPOUTS_OF_MUSIC = ((100_000, 0.4), (1_000_000, 0.3), (float("inf"), 0.1))
"""Frames of the training split -> dropout."""

DROPOUTS = ((20_000, 0.5), (100_000, 0.3), (1_000_000, 0.2), (float("inf"), 0.1))
"""Training examples -> dropout."""


class Choice(NamedTuple):
    """What a rule chooses.

    Attributes:
        values: values of options by their paths, and names of groups such as `backbone`.
        reason: for the log.
    """

    values: Mapping[str, Any]
    reason: str

    def __str__(self) -> str:
        return f"{' '.join(f'{path}={_written(value)}' for path, value in self.values.items())}: {self.reason}"


@dataclass(frozen=True)
class Case:
    """What the rules read.

    Attributes:
        survey: measurements of the training split.
        config: the configuration without a recipe.
        given: the options that are not free.
        chosen: the values that the rules before this one chose.
    """

    survey: Survey
    config: Options
    given: Given
    chosen: Mapping[str, Any]

    def value(self, path: str) -> Any:
        """The value of an option; None if it does not exist."""
        return self.chosen[path] if path in self.chosen else value_at(self.config, path)

    def given_or(self, path: str, value: Any) -> Any:
        """The value that a user gave, else another one."""
        return value_at(self.config, path) if self.given.covers(path) else value

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


Rule = Callable[[Case], Iterator[Choice]]


def tokens(case: Case) -> Iterator[Choice]:
    """Numbers are read as they are; single words, strings of letters and text without spaces by characters."""

    def unspaced(texts: Texts) -> str:
        return "most texts are one word" if texts.words < 2 else "no spaces separate the words"

    survey = case.survey
    if survey.numbers:
        yield Choice({"encoder": "features"}, "inputs are numbers")
        return
    if survey.kind == "classification" and not survey.sources.spaced:
        yield Choice({"data.tokenizer": "characters"}, unspaced(survey.sources))
    if survey.kind == "transduction" and survey.targets is not None:
        for side, texts in (("source", survey.sources), ("target", survey.targets)):
            if not texts.spaced:
                yield Choice({f"data.{side}_tokenizer": "characters"}, f"{side}s: {unspaced(texts)}")


def vocabulary(case: Case) -> Iterator[Choice]:
    """The embedding of unknown words is trained; where words are many, those that occur once are unknown."""
    sources = case.survey.sources
    if case.by_characters or case.survey.numbers or case.survey.kind == "language_modeling":
        return
    rate = 0.5 if case.survey.kind == "tagging" else 0.25
    yield Choice({"data.word_dropout": rate}, "trains the embedding of unknown words")
    if sources.distinct_words > MANY_WORDS and not case.value("data.vectors"):
        singles = f"{sources.single_words:,} of {sources.distinct_words:,} words occur once"
        yield Choice({"data.min_frequency": 2}, singles)


def network(case: Case) -> Iterator[Choice]:
    """Both directions where the whole input is known, and a width that grows with the number of steps."""
    kind, total = case.survey.kind, case.total_steps
    if kind != "language_modeling" and not case.survey.ahead:
        yield Choice({"backbone": "bidirectional"}, "the whole input is known before the answer")
    width = _row(WIDTHS.get(kind, OTHER_WIDTHS), total)
    embedding = min(64, width) if case.by_characters else case.survey.vector_size or width
    yield Choice(
        {"backbone.hidden_size": width, "encoder.embedding_size": embedding}, f"{total:,} steps in the training split"
    )
    if case.by_characters:
        yield Choice({"encoder.initial_std": 1.0}, "a small vocabulary")


def head(case: Case) -> Iterator[Choice]:
    """What the answers are, decides how they are read off."""
    survey = case.survey
    if survey.kind == "classification":
        if survey.numbers:
            yield Choice({"task.pooling": "mean"}, "each step is evidence for the class")
        elif survey.aligned:
            yield Choice({"task.pooling": "middle"}, "all texts have the same length, so positions have a meaning")
        else:
            yield Choice({"task.pooling": ["mean", "max"]}, "each step has a short path to the answer")
            yield from linear_classifier(case)
    if survey.kind == "tagging" and survey.sources.total_characters > 2 * survey.sources.total_words:
        spelled = {"encoder": "words_and_characters", "data.characters": 20}
        yield Choice(spelled, "spelling is informative about the tags of rare words")
    if survey.kind == "tagging" and not survey.numbers:
        yield Choice({"task.neighbours": NEIGHBOURS}, "a word and its neighbours are informative about its tag")
    if survey.kind == "tagging" and survey.scheme:
        values = {"task.decoder": "crf", "task.constrained": True, "task.metrics": ["span_f1", "accuracy"]}
        yield Choice(values, f"the tags mark spans ({survey.scheme})")
    if survey.kind == "transduction" and has(case.config, "task.decoder"):
        attends = {
            "task.decoder.attention": "general",
            "task.decoder.context": "mean_state",
            "task.search.beam_size": 5,
        }
        yield Choice(attends, "each word of the answer depends on a part of the input")
    if survey.kind == "language_modeling" and not case.by_characters:
        yield Choice({"task.tied_embeddings": True}, "half as many weights for rare words")
        if survey.sources.distinct_words > CUTOFFS[-1]:
            yield Choice({"task.softmax_cutoffs": [*CUTOFFS]}, f"{survey.sources.distinct_words:,} different words")
    if survey.kind == "language_modeling":
        longest, most = NGRAMS_OF_TEXT[case.by_characters]
        if case.total_steps <= most:
            yield Choice({"task.ngrams": longest}, "n-grams predict phrases that the text repeats")


def linear_classifier(case: Case) -> Iterator[Choice]:
    """N-grams of tokens and, unless there are too many, of the characters of words."""
    longest = NGRAMS_OF_CHARACTERS if case.by_characters else NGRAMS_OF_WORDS
    if case.value("task.labels") == "numbers":
        return
    yield Choice({"task.ngrams": longest}, "n-grams are strong features for classes of texts")
    read = case.given_or("task.ngrams", longest) and case.value("task.ngrams") is not None
    if read and not case.by_characters and case.survey.sources.total_characters <= SPELLED:
        yield Choice({"data.characters": 20}, "spelling is informative about rare words")


def scores(case: Case) -> Iterator[Choice]:
    """Frequent classes hide errors of rare ones, a rating may be nearly right, and so may a text."""
    survey = case.survey
    if survey.kind == "classification" and len(survey.classes) > 1:
        share = survey.classes[0] / sum(survey.classes)
        others = {}
        if share * len(survey.classes) > SKEWED:
            others["macro_f1"] = f"the largest class has {share:.0%} of the examples"
        if survey.ratings:
            others["mae"] = "the labels are numbers"
        if others:
            yield Choice({"task.metrics": ["accuracy", *others]}, ", ".join(others.values()))
    if survey.targets is not None and has(case.config, "task.decoder") and find_spec("sacrebleu"):
        spaced = survey.targets.spaced
        reason = "targets are texts" if spaced else "targets are texts without spaces"
        yield Choice({"task.metrics": ["bleu" if spaced else "chrf", "exact_match"]}, reason)


def regularization(case: Case) -> Iterator[Choice]:
    """Less dropout for more examples; none for forecasts, which depend on small differences."""
    if case.survey.kind == "language_modeling":
        rate = 0.1 if case.by_characters else 0.3
        yield Choice({"encoder.dropout": 0.1, "task.dropout": rate}, "each text is read a few times")
        return
    if case.survey.kind == "polyphony":
        rate = _row(DROPOUTS_OF_MUSIC, case.total_steps)
        yield Choice({"encoder.dropout": 0.1, "task.dropout": rate}, f"{case.total_steps:,} training frames")
        return
    if case.survey.ahead:
        return
    rate = _row(DROPOUTS, case.survey.examples)
    if case.survey.kind == "tagging":
        rate = min(rate, 0.33)
    values = {"encoder.dropout": rate / 2 if case.by_characters or case.survey.numbers else rate, "task.dropout": rate}
    yield Choice(values, f"{case.survey.examples:,} training examples")


def ensemble(case: Case) -> Iterator[Choice]:
    """Of few examples each network learns something else: the mean of several is better than any of them."""
    networks = _row(NETWORKS, case.total_steps * _epochs(case))
    if case.survey.kind == "classification" and networks > 1:
        yield Choice({"ensemble": networks}, f"few enough training steps ({case.total_steps:,}) for several networks")


def schedule(case: Case) -> Iterator[Choice]:
    """As many updates as few examples need, and an end by validation where that is sure enough."""
    examples, held_out = case.survey.examples, case.survey.validation_examples
    size = _row(BATCHES, examples)
    if case.survey.kind == "language_modeling":  # an example is a window of a stream
        examples, size = -(-case.total_steps // case.value("data.window")), STREAMS
    if case.survey.kind == "polyphony":  # an example is a window of a piece
        examples, size = _windows(case), _row(PIECES, case.total_steps)
    rows = case.given_or("data.batch_size", size)
    batches = -(-examples // rows)
    # each frame of a piece is an example
    sure = held_out >= FEW_TO_VALIDATE or case.survey.kind == "polyphony"
    with_ngrams = case.survey.kind == "classification" and case.value("task.ngrams")
    epochs = _epochs(case)
    updates = case.given_or("training.steps", None) or epochs * batches
    values = {
        "data.batch_size": rows,
        "training.epochs": epochs,
        "training.steps": None,
        "training.learning_rate": 0.005 if case.survey.kind == "polyphony" else 0.003,
        "training.warmup_steps": min(100, updates // 10),
        "training.validate_every": FREQUENT if batches > FREQUENT else batches * -(-epochs // VALIDATIONS),
    }
    yield Choice(values, f"{batches:,} updates per epoch")
    kept = {"training.patience": None, "training.keep": "last"}
    if case.given.covers("training.patience") or (sure and not with_ngrams):
        yield Choice({"training.patience": PATIENCE}, f"{held_out:,} validation examples tell when to stop")
    elif with_ngrams:
        yield Choice(kept, "the network is best before the n-grams, whose shares are fitted afterwards")
    else:
        yield Choice(kept, f"{held_out:,} validation examples are too few to select the best weights")


def _epochs(case: Case) -> int:
    """The maximum number of epochs."""
    given = case.given_or("training.epochs", None)
    spelled = case.by_characters and case.survey.sources.distinct_characters < ALPHABET
    match case.survey.kind:
        case _ if given:
            return given
        case "classification" if not spelled and not case.survey.numbers:
            return _row(EPOCHS_OF_CLASSES, case.total_steps)
        case "language_modeling":
            return _row(EPOCHS_OF_TEXT, case.total_steps if case.by_characters else 2 * case.total_steps)
        case "polyphony":
            rows = case.given_or("data.batch_size", _row(PIECES, case.total_steps))
            fewest, most = EPOCHS_OF_MUSIC
            return min(max(UPDATES_OF_MUSIC * rows // _windows(case), fewest), most)
        case "tagging":
            return _row(EPOCHS_OF_TAGS, case.survey.examples)
        case _:
            epochs = _row(EPOCHS, case.survey.examples)
            updates = UPDATES_OF_FORECASTS if case.survey.ahead else 0
            return max(epochs, updates * _row(BATCHES, case.survey.examples) // case.survey.examples)


def _windows(case: Case) -> int:
    """The number of windows of music, at least one for each piece."""
    return max(case.survey.examples, -(-case.total_steps // case.value("data.window")))


def _row(table: Sequence[tuple[float, Any]], size: int) -> Any:
    """The value of the first row of a table whose limit is not exceeded."""
    return next(value for most, value in table if size <= most)


RULES: Sequence[Rule] = (tokens, vocabulary, network, head, scores, regularization, ensemble, schedule)


def applies(experiment: Experiment) -> bool:
    """Whether options are chosen: where `recipe=auto` is given or, without it, for data that need a file."""
    if experiment.recipe is not None:
        return experiment.recipe == AUTO
    name = experiment.choices.get("data", "")
    return name in registry.names("data") and composing.MISSING in composing.load("data", name).values()


def tailored(experiment: Experiment) -> tuple[Experiment, list[Choice]]:
    """Complete a configuration by its recipe.

    Returns:
        The configuration, and the choices that it differs by.

    Raises:
        DataError: the data cannot be read.
        ConfigError: what was chosen does not work together with what was given.
    """
    if not applies(experiment):
        return replace(experiment, recipe=NONE), []
    experiment = replace(experiment, recipe=AUTO)
    data = build_data(experiment)
    survey = results.checked(data, "survey", data.survey())
    if survey is None:
        return experiment, []
    given = Given(experiment)
    config = experiment.to_plain()
    chosen: dict[str, Any] = {}
    choices: list[Choice] = []
    for rule in RULES:
        for choice in rule(Case(survey, config, given, chosen)):
            free = {path: value for path, value in choice.values.items() if not given.covers(path)}
            chosen |= free
            choices.append(choice._replace(values=free))
    # a component of another class than that of the configuration may not have an option
    config = composing.compose(*experiment.overrides, defaults=chosen)
    chosen = {path: value for path, value in chosen.items() if path in registry.GROUPS or has(config, path)}
    kept = (choice._replace(values={p: v for p, v in choice.values.items() if p in chosen}) for choice in choices)
    completed = replace(parse(config), recipe=AUTO, overrides=experiment.overrides)
    return completed, [choice for choice in kept if choice.values]


def _written(value: Any) -> str:
    """A value as on the command line."""
    return f"[{','.join(map(_written, value))}]" if isinstance(value, list) else plain(value)


class Given:
    """The options that a user has set, which no rule changes.

    Args:
        experiment: the configuration that was composed from a user's overrides.
    """

    def __init__(self, experiment: Experiment):
        texts, choices = experiment.overrides, experiment.choices
        self.paths = {text.partition("=")[0].lstrip("+~") for text in texts}
        self.groups = {group for group, name in choices.items() if registry.is_own(group, name)}
        self.groups |= self.paths & {"training"}
        if experiment.budget.width is not None:
            self.paths.add("backbone.hidden_size")
        for group in ("experiment", "debug"):
            names, paths = registry.sets(group, choices.get(group, NONE))
            if names.get("data", choices["data"]) != choices["data"]:
                paths = {path for path in paths if not path.startswith(BELONGS_TO_DATA)}
            self.paths |= {*names, *paths}

    def covers(self, path: str) -> bool:
        """Whether a user has set an option or one that contains it, or has chosen the name of a group."""
        above = path.rpartition(".")[0]
        if path in self.paths or path.partition(".")[0] in self.groups:
            return True
        return bool(above) and above not in registry.GROUPS and self.covers(above)
