"""The rules of a recipe that differ between kinds of data: one class for each kind.

A class overrides the rules, or only the numbers, of `Rules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import ClassVar

from seqzoo.configuration.rules import ANY, SPELLING, Choice, Rules, Table, keep_last, row_of
from seqzoo.contracts.options import has
from seqzoo.contracts.survey import Texts


def rules_for(kind: str) -> type[Rules]:
    """The rules for a kind of data."""
    return next((rules for rules in Rules.__subclasses__() if rules.kind == kind), Rules)


class ClassificationRules(Rules):
    """A class for each text or series.

    Attributes:
        epochs_of_texts: training steps -> maximum number of epochs for texts: a network knows 8,000 sentences by heart
            after three epochs.
        alphabet: distinct characters from which on characters are like words, as in Chinese.
        networks: training steps times epochs -> networks of an ensemble, as many as take a few minutes on a CPU.
        ngrams_of_words, ngrams_of_characters: the longest n-grams of a linear classifier beside the network.
        spelled: characters of the training split up to which this classifier reads n-grams of characters, too.
        skewed: how many times more frequent than the mean the largest class is where classes count as skewed.
    """

    kind = "classification"
    epochs_of_texts: ClassVar[Table] = (
        (10_000, 15), (30_000, 12), (100_000, 8), (1_000_000, 5), (4_000_000, 3), (ANY, 1)
    )  # fmt: skip
    alphabet: ClassVar[int] = 500
    networks: ClassVar[Table] = ((1_000_000, 3), (ANY, 1))
    ngrams_of_words: ClassVar[int] = 2
    ngrams_of_characters: ClassVar[int] = 4
    spelled: ClassVar[int] = 3_000_000
    skewed: ClassVar[float] = 2.0

    def tokens(self) -> Iterator[Choice]:
        yield from super().tokens()
        sources = self.survey.sources
        if not self.survey.numbers and not sources.spaced:
            yield Choice({"data.tokenizer": "characters"}, unspaced(sources))

    def head(self) -> Iterator[Choice]:
        if self.survey.numbers:
            yield Choice({"task.pooling": "mean"}, "each step is evidence for the class")
        elif self.survey.aligned:
            yield Choice({"task.pooling": "middle"}, "all texts have the same length, so positions have a meaning")
        else:
            yield Choice({"task.pooling": ["mean", "max"]}, "each step has a short path to the answer")
            yield from self.linear_classifier()

    def linear_classifier(self) -> Iterator[Choice]:
        """N-grams of tokens and, unless there are too many, of the characters of words."""
        longest = self.ngrams_of_characters if self.by_characters else self.ngrams_of_words
        if self.value("task.labels") == "numbers":
            return
        yield Choice({"task.ngrams": longest}, "n-grams are strong features for classes of texts")
        read = self.given_or("task.ngrams", longest) and self.value("task.ngrams") is not None
        if read and not self.by_characters and self.survey.sources.total_characters <= self.spelled:
            yield Choice({"data.characters": SPELLING}, "spelling is informative about rare words")

    def scores(self) -> Iterator[Choice]:
        """Frequent classes hide errors of rare ones, and a rating may be nearly right."""
        classes = self.survey.classes
        if len(classes) < 2:
            return
        share = classes[0] / sum(classes)
        others = {}
        if share * len(classes) > self.skewed:
            others["macro_f1"] = f"the largest class has {share:.0%} of the examples"
        if self.survey.ratings:
            others["mae"] = "the labels are numbers"
        if others:
            yield Choice({"task.metrics": ["accuracy", *others]}, ", ".join(others.values()))

    def ensemble(self) -> Iterator[Choice]:
        """Of few examples each network learns something else: the mean of several is better than any of them."""
        networks = row_of(self.networks, self.total_steps * self.epochs)
        if networks > 1:
            reason = f"few enough training steps ({self.total_steps:,}) for several networks"
            yield Choice({"ensemble": networks}, reason)

    def free_epochs(self) -> int:
        spelled = self.by_characters and self.survey.sources.distinct_characters < self.alphabet
        if spelled or self.survey.numbers:
            return super().free_epochs()
        return row_of(self.epochs_of_texts, self.total_steps)

    def ending(self) -> Choice:
        if self.value("task.ngrams") and not self.given("training.patience"):
            return keep_last("the network is best before the n-grams, whose shares are fitted afterwards")
        return super().ending()


class RegressionRules(Rules):
    """Numbers for each series or, if `Survey.ahead`, its next values.

    A linear model beside the network is fitted in closed form: trained by gradients, it took 2 to 40 % of the error of
    three made-up series (`scripts/own_files.py`), nothing of one, and added 17 % to that of sales in shops.

    Attributes:
        updates: updates that a network needs to continue a series: epochs are as many as that, if windows are few.
        linear_window: most last steps that a linear model beside the network reads.
        wandering: share of the variance between windows from which on levels count as unknown in later windows.
        dropout: of a forecast, which depends on small differences.
    """

    kind = "regression"
    updates: ClassVar[int] = 1_500
    linear_window: ClassVar[int] = 200
    wandering: ClassVar[float] = 0.5
    dropout: ClassVar[float] = 0.1

    def tokens(self) -> Iterator[Choice]:
        yield from super().tokens()
        if self.survey.wandering > self.wandering:
            reason = f"{self.survey.wandering:.0%} of the variance of the series is between windows"
            yield Choice({"data.relative": True}, reason)

    def head(self) -> Iterator[Choice]:
        if self.survey.ahead:
            steps = min(self.linear_window, self.value("data.window") or self.linear_window)
            yield Choice({"task.linear_window": steps}, "a linear model is a strong forecast of many series")

    def regularization(self) -> Iterator[Choice]:
        if not self.survey.ahead:
            yield from super().regularization()
        else:
            yield Choice({"task.dropout": self.dropout}, "a forecast depends on small differences")

    def free_epochs(self) -> int:
        updates = self.updates if self.survey.ahead else 0
        return max(super().free_epochs(), updates * self.batch_size // self.survey.examples)

    def ending(self) -> Choice:
        if (
            self.value("task.linear_window")
            and self.value("task.head") == "point"
            and not self.given("training.patience")
        ):
            return keep_last("the share of the network beside the linear model is fitted afterwards")
        return super().ending()


class TaggingRules(Rules):
    """A tag for each token.

    Attributes:
        batch_sizes: 16 sentences per batch and 8 epochs give 92.8 % of Chinese parts of speech, 32 and 12 epochs 92.7.
        epochs_of_texts: training steps -> maximum number of epochs for texts. 100,000 steps are learned best after six
            epochs, 200,000 give 95.0 % of English parts of speech after three.
        neighbours: words on each side that a linear tagger beside the network reads.
        letters: characters per token from which on its spelling is read: tokens are words, not single characters.
    """

    kind = "tagging"
    widths = ((20_000, 64), (1_000_000, 128), (ANY, 256))
    word_dropout = 0.5
    dropouts = ((20_000, 0.33), (100_000, 0.3), (1_000_000, 0.2), (ANY, 0.1))
    batch_sizes = ((500, 8), (20_000, 16), (200_000, 32), (ANY, 64))
    epochs_of_texts: ClassVar[Table] = ((30_000, 30), (80_000, 14), (150_000, 8), (ANY, 3))
    neighbours: ClassVar[int] = 2
    letters: ClassVar[float] = 1.25

    def head(self) -> Iterator[Choice]:
        if self.survey.sources.total_characters > self.letters * self.survey.sources.total_words:
            spelled = {"encoder": "words_and_characters", "data.characters": SPELLING}
            yield Choice(spelled, "spelling is informative about the tags of rare words")
        if not self.survey.numbers:
            yield Choice(
                {"task.neighbours": self.neighbours}, "a word and its neighbours are informative about its tag"
            )
        if self.survey.scheme:
            values = {"task.decoder": "crf", "task.constrained": True, "task.metrics": ["span_f1", "accuracy"]}
            yield Choice(values, f"the tags mark spans ({self.survey.scheme})")
            yield Choice({"task.fit_outside_penalty": True}, "the most probable tags find too few of rare spans")

    def free_epochs(self) -> int:
        return super().free_epochs() if self.survey.numbers else row_of(self.epochs_of_texts, self.total_steps)


class TreeRules(Rules):
    """A label for each node of a tree."""

    kind = "trees"
    widths = TaggingRules.widths

    def network(self) -> Iterator[Choice]:
        yield from (choice for choice in super().network() if "backbone" not in choice.values)  # it must read trees


class TransductionRules(Rules):
    """Another text for each text or series.

    Attributes:
        widths: with 256 units per direction 50,000 short sentences were read twice in 13 minutes, and still improving;
            with 128 an update takes less than half the operations.
        seconds: of training, at the end of which the learning rate has fallen to 0: how often a translator should read
            its text is a matter of patience, since five epochs of some ten thousand sentences are too few.
        most_validated: validation examples, as writing an answer to each takes long.
    """

    kind = "transduction"
    widths = ((20_000, 64), (1_000_000, 128), (ANY, 256))
    seconds: ClassVar[int] = 600
    most_validated: ClassVar[int] = 1_000

    def tokens(self) -> Iterator[Choice]:
        yield from super().tokens()
        if self.survey.numbers or self.survey.targets is None:
            return
        for side, texts in (("source", self.survey.sources), ("target", self.survey.targets)):
            if not texts.spaced:
                yield Choice({f"data.{side}_tokenizer": "characters"}, f"{side}s: {unspaced(texts)}")

    def head(self) -> Iterator[Choice]:
        if has(self.config, "task.decoder"):
            attends = {
                "task.decoder.attention": "general",
                "task.decoder.context": "mean_state",
                "task.search.beam_size": 5,
            }
            yield Choice(attends, "each word of the answer depends on a part of the input")

    def scores(self) -> Iterator[Choice]:
        """A text may be nearly right."""
        if self.survey.targets is not None and has(self.config, "task.decoder") and find_spec("sacrebleu"):
            spaced = self.survey.targets.spaced
            reason = "targets are texts" if spaced else "targets are texts without spaces"
            yield Choice({"task.metrics": ["bleu" if spaced else "chrf", "exact_match"]}, reason)

    def schedule(self) -> Iterator[Choice]:
        """The rates of other data, with an end by time, and fewer validation examples."""
        yield from super().schedule()
        if not self.given("training.epochs") and not self.given("training.steps"):
            reason = "ten minutes of updates at most; budget.seconds=null trains for all epochs"
            yield Choice({"budget.seconds": self.seconds}, reason)
        held_out = self.survey.validation_examples
        if held_out > self.most_validated and self.value("data.validation_source") is None:
            share = self.most_validated / (self.survey.examples + held_out)
            yield Choice({"data.validation_fraction": round(share, 4)}, "an answer is written to each")


class LanguageModelingRules(Rules):
    """Running text.

    Attributes:
        widths_of_words: as `widths`; two epochs of a million words took more than five minutes with 256 units.
        cutoffs: ids at which the clusters of an adaptive softmax begin, where the vocabulary is larger than the last
            one: an exact distribution at a third of the cost.
        ngrams_of_characters, ngrams_of_words: the length of the n-grams that are mixed with a language model, and the
            training steps up to which they are: counting takes about 200 bytes of memory for each of them. Longer
            n-grams of characters than 9 gain nothing on a million characters, and 9 gain 0.08 nats over 6 on five
            millions.
        streams: streams of running text that are read in parallel: more updates per epoch than with 32.
        learning_rate_of_characters: with it, no dropout, and shares of the n-grams that depend on how sure both are, a
            play has 1.475 nats per character, where 0.003, dropout and other shares gave 1.504.
        dropouts_of_characters: training steps -> dropout; text that is read four times at most is not known by heart.
        dropout_of_words: on the features before the head; on the embeddings it is 0.1.
    """

    kind = "language_modeling"
    widths = ((100_000, 128), (ANY, 256))
    widths_of_words: ClassVar[Table] = ((100_000, 128), (ANY, 192))
    most_epochs = ((100_000, 20), (500_000, 8), (1_500_000, 4), (3_000_000, 2), (ANY, 1))
    cutoffs: ClassVar[tuple[int, int]] = (1_500, 5_000)
    ngrams_of_characters: ClassVar[tuple[int, int]] = (9, 6_000_000)
    ngrams_of_words: ClassVar[tuple[int, int]] = (5, 2_000_000)
    streams: ClassVar[int] = 16
    learning_rate_of_characters: ClassVar[float] = 0.005
    dropouts_of_characters: ClassVar[Table] = ((500_000, 0.1), (ANY, 0.0))
    dropout_of_words: ClassVar[float] = 0.3

    def vocabulary(self) -> Iterator[Choice]:
        """All words are learned, because all of them are scored."""
        yield from ()

    def head(self) -> Iterator[Choice]:
        different = self.survey.sources.distinct_words
        if not self.by_characters:
            yield Choice({"task.tied_embeddings": True}, "half as many weights for rare words")
            if different > self.cutoffs[-1]:
                yield Choice({"task.softmax_cutoffs": [*self.cutoffs]}, f"{different:,} different words")
        longest, most = self.ngrams_of_characters if self.by_characters else self.ngrams_of_words
        if self.total_steps <= most:
            yield Choice({"task.ngrams": longest}, "n-grams predict phrases that the text repeats")

    def regularization(self) -> Iterator[Choice]:
        reason = "the text is read once" if self.epochs == 1 else f"the text is read {self.epochs:,} times"
        rate = row_of(self.dropouts_of_characters, self.total_steps)
        of_inputs, of_features = (rate, rate) if self.by_characters else (0.1, self.dropout_of_words)
        yield Choice({"encoder.dropout": of_inputs, "task.dropout": of_features}, reason)

    @property
    def width(self) -> int:
        return row_of(self.widths if self.by_characters else self.widths_of_words, self.total_steps)

    @property
    def peak_rate(self) -> float:
        return self.learning_rate_of_characters if self.by_characters else self.learning_rate

    @property
    def rows(self) -> int:
        """Windows of the text."""
        return -(-self.total_steps // self.value("data.window"))

    @property
    def batch_size(self) -> int:
        return self.given_or("data.batch_size", self.streams)

    def free_epochs(self) -> int:
        """A word counts as two characters."""
        return row_of(self.most_epochs, self.total_steps if self.by_characters else 2 * self.total_steps)


class PolyphonyRules(Rules):
    """Music for several voices.

    Attributes:
        dropouts: frames of the training split -> dropout.
        pieces: frames of the training split -> pieces per batch; ten epochs of chorales gave 8.5 nats per frame with
            one piece, and 9.6 with four.
        updates: updates that a network of music needs.
        fewest_epochs, largest_epochs: limits of the number of epochs that follows from them.
    """

    kind = "polyphony"
    widths = ((ANY, 256),)
    dropouts = ((100_000, 0.4), (1_000_000, 0.3), (ANY, 0.1))
    learning_rate = 0.005
    few_to_validate = 0  # each frame of a piece is an example
    pieces: ClassVar[Table] = ((100_000, 1), (1_000_000, 2), (ANY, 8))
    updates: ClassVar[int] = 6_000
    fewest_epochs: ClassVar[int] = 3
    largest_epochs: ClassVar[int] = 40

    def regularization(self) -> Iterator[Choice]:
        rate = row_of(self.dropouts, self.total_steps)
        yield Choice({"encoder.dropout": 0.1, "task.dropout": rate}, f"{self.total_steps:,} training frames")

    @property
    def rows(self) -> int:
        """Windows of pieces, at least one for each piece."""
        return max(self.survey.examples, -(-self.total_steps // self.value("data.window")))

    @property
    def batch_size(self) -> int:
        return self.given_or("data.batch_size", row_of(self.pieces, self.total_steps))

    def free_epochs(self) -> int:
        return min(max(self.updates * self.batch_size // self.rows, self.fewest_epochs), self.largest_epochs)


def unspaced(texts: Texts) -> str:
    return "most texts are one word" if texts.words < 2 else "no spaces separate the words"
