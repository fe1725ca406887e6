"""Logistic regression on TF-IDF weights of n-grams of words or of characters, by scikit-learn.

Wang & Manning, Baselines and Bigrams: Simple, Good Sentiment and Topic Classification, 2012,
https://aclanthology.org/P12-2018
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy

from seqzoo.baselines.contract import Answers, Baseline, Split
from seqzoo.baselines.likelihood import log_loss
from seqzoo.contracts.spec import DataSpec

WORDS, CHARACTERS = (1, 2), (1, 5)
"""The shortest and the longest n-grams."""
STRENGTHS = (1.0, 4.0, 16.0)
"""Values of C, the inverse strength of the L2 penalty, that are tried on the validation split."""
SOLVER: dict[str, Any] = {"solver": "liblinear", "dual": True, "tol": 0.01, "max_iter": 200, "random_state": 0}
"""Options of scikit-learn's LogisticRegression."""
MOST_CHARACTERS = 3_000_000
"""Characters of a training split above which n-grams of characters would take too long."""
MOST_WEIGHTS = 40_000_000
"""Of the classifier: with many classes the most frequent n-grams alone are used."""
FEWEST_WORDS = 2
"""Mean number of words of a text from which on n-grams of words are tried where inputs are characters."""


class Ngrams:
    """The TF-IDF weights of the n-grams of texts.

    Args:
        description: of the n-grams.
        documents: what the vectorizer reads of a split.
        most: maximum number of n-grams; None: no limit.
        **options: of scikit-learn's TfidfVectorizer.
    """

    def __init__(self, description: str, documents: Callable[[Split], list[Any]], most: int | None, **options: Any):
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.description, self._documents = description, documents
        self._vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=most, **options)
        self._vectors: dict[str, Any] = {}

    def of(self, split: Split) -> Any:
        """A sparse matrix with a row for each text; the training split comes first."""
        if split.name not in self._vectors:
            extract = self._vectorizer.fit_transform if split.name == "train" else self._vectorizer.transform
            self._vectors[split.name] = extract(self._documents(split))
        return self._vectors[split.name]


def ngrams_of(train: Split, most: int | None = None, characters: tuple[int, int] = CHARACTERS) -> Iterator[Ngrams]:
    """The n-grams that suit the texts of a split: of its words, if it has several per text, and of its characters.

    Args:
        train: the training split.
        most: maximum number of different n-grams; None: no limit.
        characters: the shortest and the longest n-grams of characters.
    """
    options: dict[str, Any]
    if train.spec.input_codec.unit != "characters":
        options = {"tokenizer": _as_it_is, "token_pattern": None, "lowercase": False}
        yield Ngrams("words, n = 1, 2", lambda split: split.tokens, most, ngram_range=WORDS, **options)
    elif sum(len(text.split()) for text in train.texts) >= FEWEST_WORDS * len(train.texts):
        options = {"token_pattern": r"\w+|[^\w\s]", "lowercase": True}
        yield Ngrams("words, n = 1, 2", lambda split: split.texts, most, ngram_range=WORDS, **options)
    if len({len(tokens) for tokens in train.tokens}) == 1 < len(train.tokens[0]):
        # aligned sequences, such as windows of DNA
        yield Ngrams("tokens at their places", lambda split: split.tokens, most, analyzer=_at_places)
    if sum(map(len, train.texts)) <= MOST_CHARACTERS:
        options = {"analyzer": "char_wb", "lowercase": False}
        description = "characters, n = {} to {}".format(*characters)
        yield Ngrams(description, lambda split: split.texts, most, ngram_range=characters, **options)


class Fitted(NamedTuple):
    """A classifier on one kind of n-grams.

    Attributes:
        ngrams: what it reads.
        model: of scikit-learn; a regression where it has no classes.
        description: n-grams and options.
    """

    ngrams: Ngrams
    model: Any
    description: str


class NgramClassifier(Baseline):
    """The best on the validation split of n-grams of words and of characters, with several strengths of the penalty.
    Where labels are numbers, such as ratings, a linear regression answered by the nearest class is tried, too.
    """

    kind = "classification"
    name = "n-grams with logistic regression"
    package = "scikit-learn"
    speed = 8e3

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        return super().reads(spec) and spec.inputs is not None

    def fit(self, train: Split, validation: Split) -> None:
        self._fitted = validation.best(fitted_classifiers(train), lambda fitted: classified(fitted, validation))
        self.description = self._fitted.description

    def answer(self, split: Split) -> Answers:
        return classified(self._fitted, split)


def fitted_classifiers(train: Split) -> Iterator[Fitted]:
    """Classifiers that are fitted to the texts of a split, of which the best is to be chosen."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    labels = train.references
    classes, values = len(set(labels)), _numbers(labels)
    for ngrams in ngrams_of(train, MOST_WEIGHTS // classes):
        for strength in STRENGTHS:
            # coordinate descent on the dual problem, which is several times faster than other solvers here
            classifier = OneVsRestClassifier(LogisticRegression(C=strength, **SOLVER))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # as good as its last iteration
                classifier.fit(ngrams.of(train), labels)
            yield Fitted(ngrams, classifier, f"{ngrams.description}, C={strength:g}")
        if values is not None and classes > 2:
            for strength in STRENGTHS:
                regression = Ridge(alpha=1 / strength).fit(ngrams.of(train), values)
                description = f"{ngrams.description}, ridge regression on the labels as numbers, alpha={1 / strength:g}"
                yield Fitted(ngrams, regression, description)


def classified(fitted: Fitted, split: Split) -> Answers:
    """The classes of the texts of a split."""
    vectors, model = fitted.ngrams.of(split), fitted.model
    if not hasattr(model, "classes_"):
        codec = split.spec.target_codec
        names = [codec.decode([i]) for i in range(codec.size)]
        distances = numpy.abs(model.predict(vectors)[:, None] - numpy.array([float(name) for name in names]))
        return Answers([names[i] for i in distances.argmin(1)])
    probabilities = model.predict_proba(vectors)
    column = {label: i for i, label in enumerate(model.classes_)}
    pairs = zip(probabilities, split.references, strict=True)
    right = [row[column[label]] if label in column else 0.0 for row, label in pairs]
    return Answers([str(model.classes_[i]) for i in probabilities.argmax(1)], log_loss(split, right))


def _numbers(labels: list[str]) -> list[float] | None:
    try:
        return [float(label) for label in labels]
    except ValueError:
        return None


def _at_places(tokens: list[str]) -> list[str]:
    return [f"{place} {token}" for place, token in enumerate(tokens)]


def _as_it_is(tokens: list[str]) -> list[str]:
    return tokens
