"""What is known of a training split before any vocabulary is built: the measurements that a recipe is chosen by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

SHORTEST_UNSPACED = 12
"""Characters between spaces from which on a text is taken as written without spaces, as Chinese and Japanese are."""


@dataclass(frozen=True)
class Texts:
    """Measurements of texts, or of lists of tokens.

    Attributes:
        words: median number of words, or tokens, of a text.
        long_words: 95th percentile of the number of words.
        characters: median number of characters.
        long_characters: 95th percentile of the number of characters.
        total_words: number of words of all texts.
        total_characters: number of characters of all texts.
        distinct_words: number of distinct words.
        single_words: number of words that occur once.
        distinct_characters: number of distinct characters.
        same_length: whether all texts have the same number of characters.
    """

    words: float
    long_words: float
    characters: float
    long_characters: float
    total_words: int
    total_characters: int
    distinct_words: int
    single_words: int
    distinct_characters: int
    same_length: bool

    @property
    def spaced(self) -> bool:
        """Whether spaces separate words: texts are neither single words nor written without spaces."""
        return self.words >= 2 and self.total_characters < SHORTEST_UNSPACED * self.total_words


@dataclass(frozen=True)
class Survey:
    """Measurements of a training split.

    Attributes:
        kind: the kind of data, `DataSpec.kind`.
        examples: number of training examples; of running text, its lines.
        validation_examples: number of validation examples; of running text, its lines.
        sources: of the sources, or of running text; of series of numbers, each step counts as a word.
        tokenized: whether the sources are tokens already, as in files of tags.
        targets: of targets that are texts; None: they are not.
        classes: number of examples of each class or tag, the most frequent one first; empty: targets are not classes.
        ratings: whether the classes are three or more numbers, whose distance is the size of an error; 0, 1, 2, ...
            without a gap are numbers of classes.
        scheme: the scheme of tags that mark spans, such as "bio"; None: tags mark no spans.
        vector_size: width of pretrained word vectors; None: there are none.
        numbers: whether inputs are numbers.
        ahead: whether targets are the next inputs.
        wandering: share of the variance of the forecast channels that is between windows.
    """

    kind: str
    examples: int
    validation_examples: int
    sources: Texts
    tokenized: bool = False
    targets: Texts | None = None
    classes: Sequence[int] = ()
    ratings: bool = False
    scheme: str | None = None
    vector_size: int | None = None
    numbers: bool = False
    ahead: bool = False
    wandering: float = 0.0

    @property
    def aligned(self) -> bool:
        """Whether sources are strings of one length, such as windows of DNA around a site."""
        return not self.tokenized and not self.numbers and self.sources.same_length and self.sources.characters > 1


def measure_texts(texts: Iterable[str | Sequence[str]]) -> Texts:
    """Measure texts, whose words are separated by spaces, or lists of tokens."""
    words: Counter[str] = Counter()
    alphabet: set[str] = set()
    word_counts, character_counts = [], []
    for text in texts:
        tokens = text.split() if isinstance(text, str) else text
        words.update(tokens)
        for token in tokens:
            alphabet.update(token)
        word_counts.append(len(tokens))
        character_counts.append(len(text) if isinstance(text, str) else sum(map(len, tokens)))
    return Texts(
        words=median(word_counts or [0]),
        long_words=_long(word_counts),
        characters=median(character_counts or [0]),
        long_characters=_long(character_counts),
        total_words=sum(word_counts),
        total_characters=sum(character_counts),
        distinct_words=len(words),
        single_words=sum(count == 1 for count in words.values()),
        distinct_characters=len(alphabet),
        same_length=len(set(character_counts)) == 1,
    )


def measure_steps(lengths: Sequence[int]) -> Texts:
    """Measure series of these numbers of steps."""
    typical, total = median(lengths or [0]), sum(lengths)
    return Texts(typical, _long([*lengths]), typical, _long([*lengths]), total, total, 0, 0, 0, len({*lengths}) == 1)


def _long(lengths: list[int]) -> int:
    """The 95th percentile."""
    return sorted(lengths)[len(lengths) * 19 // 20] if lengths else 0
