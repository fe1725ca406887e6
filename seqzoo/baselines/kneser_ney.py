"""n-grams with interpolated, modified Kneser-Ney smoothing.

Chen & Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, 1998 (section 3),
https://dash.harvard.edu/handle/1/25104739

    p(w | h) = max(c(h w) - D(c(h w)), 0) / c(h) + gamma(h) p(w | h without its first token)

c counts in the longest n-grams; in shorter ones it is the number of different tokens that come before. D has three
values, for counts of 1, 2, and 3 or more, and gamma(h) is the share that they take away. Below the unigrams all tokens
of the vocabulary are equally likely.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from seqzoo.baselines.contract import Answers, Baseline, Split
from seqzoo.baselines.likelihood import log_loss
from seqzoo.contracts.batch import Batch

Ids = NDArray[numpy.int64]
Numbers = NDArray[numpy.float64]

LONGEST_OF_CHARACTERS, LONGEST = 6, 5
"""The largest n, for text that is read by characters and for any other."""


class KneserNey(Baseline):
    """The likelihood of n-grams of the ids that the network reads, with its unknown tokens, stream ends and documents.
    The best n on the validation split is chosen.
    """

    kind = "language_modeling"
    name = "Kneser-Ney n-grams"
    speed = 1e5

    def fit(self, train: Split, validation: Split) -> None:
        longest = LONGEST_OF_CHARACTERS if train.spec.input_codec.unit == "characters" else LONGEST
        self._model = NgramModel(self.texts(train), longest, train.spec.output_size)
        held_out = self.texts(validation)
        self.length = validation.best(range(2, longest + 1), lambda length: self._loss(validation, held_out, length))
        self.description = f"n = {self.length}, interpolated, modified"

    def answer(self, split: Split) -> Answers:
        return self._loss(split, self.texts(split), self.length)

    def texts(self, split: Split) -> list[Ids]:
        """The texts of a split, each with a first id that is not predicted."""
        return sequences(split.batches(), split.data.stateful)

    def _loss(self, split: Split, texts: Sequence[Ids], length: int) -> Answers:
        return Answers(None, log_loss(split, self._model.probabilities(texts, length)))


class ClozeNgrams(KneserNey):
    """n-grams of a text from left to right. They have a probability for each token, but know one side of it alone, and
    are not asked for the most probable token.
    """

    kind = "cloze"

    def texts(self, split: Split) -> list[Ids]:
        start = numpy.array([split.spec.output_size])
        return [
            numpy.concatenate([start, row[:length].numpy()])
            for batch in split.batches()
            for row, length in zip(batch.required_targets, batch.lengths.tolist(), strict=True)
        ]


def sequences(batches: Iterable[Batch], stateful: bool = True) -> list[Ids]:
    """The texts of batches, (T + 1,) ids each: the first input and then the targets.

    Args:
        batches: of running text.
        stateful: whether rows continue those of the batch before, as of `DataModule`.
    """
    finished: list[list[Ids]] = []
    growing: list[list[Ids]] = []
    for batch in batches:
        inputs, targets = batch.inputs.numpy(), batch.required_targets.numpy()
        before = range(batch.size) if batch.continues is None else batch.continues.tolist()
        rows = []
        for row, (length, earlier) in enumerate(zip(batch.lengths.tolist(), before, strict=True)):
            if stateful and 0 <= earlier < len(growing):
                rows.append(growing[earlier])
            else:
                rows.append([inputs[row, :1]])
                finished.append(rows[-1])
            rows[-1].append(targets[row, :length])
        growing = rows
    return [numpy.concatenate(pieces) for pieces in finished]


class Level(NamedTuple):
    """The n-grams of one length.

    Attributes:
        keys: sorted; of each n-gram.
        discounted: of each n-gram, its count without the discount over that of its context.
        contexts: sorted; the contexts, as n-grams of one token less.
        left: of each context, the share that the discounts have taken away.
    """

    keys: Ids
    discounted: Numbers
    contexts: Ids
    left: Numbers


class NgramModel:
    """Counts of n-grams up to a length.

    Args:
        texts: (T + 1,) ids each; the first one is context only.
        longest: the largest n.
        vocabulary_size: ids are below it.
    """

    def __init__(self, texts: Sequence[Ids], longest: int, vocabulary_size: int):
        self.longest, self.size = longest, vocabulary_size
        # a number for each different n-gram that ends at a place, and whether a target is there
        ids, real = self._padded(texts)
        numbers = ids
        self._tables: list[Ids] = []
        ends: list[Ids] = []
        for length in range(1, longest + 1):
            if length > 1:
                keys = numpy.concatenate([numpy.zeros(1, numpy.int64), numbers[:-1]]) * (self.size + 1) + ids
                table, numbers = numpy.unique(keys, return_inverse=True)
                self._tables.append(table)
            ends.append(numbers)
        self._levels: list[tuple[Level, Level]] = []
        for length in range(1, longest + 1):
            grams = ends[length - 1]
            contexts = numpy.zeros_like(ids) if length == 1 else numpy.concatenate([grams[:1], ends[length - 2][:-1]])
            raw = _level(grams[real], contexts[real])
            if length == longest:
                self._levels.append((raw, raw))
                continue
            _, first = numpy.unique(ends[length][real], return_index=True)
            places = numpy.flatnonzero(real)[first]
            self._levels.append((raw, _level(grams[places], contexts[places])))

    def probabilities(self, texts: Sequence[Ids], length: int) -> Numbers:
        """Of each target of some texts, by n-grams of this length."""
        ids, real = self._padded(texts)
        targets = numpy.flatnonzero(real)
        numbers, before = ids, numpy.zeros_like(ids)
        result = numpy.full(len(targets), 1 / self.size)
        for n in range(1, length + 1):
            if n > 1:
                before = numpy.concatenate([numpy.full(1, -1, numpy.int64), numbers[:-1]])
                keys = numpy.where(before < 0, -1, before * (self.size + 1) + ids)
                numbers = _places(self._tables[n - 2], keys)
            level = self._levels[n - 1][0 if n == length else 1]
            gram, context = _places(level.keys, numbers[targets]), _places(level.contexts, before[targets])
            left = numpy.where(context < 0, 1.0, level.left[context])
            result = numpy.where(gram < 0, 0.0, level.discounted[gram]) + left * result
        return result

    def _padded(self, texts: Sequence[Ids]) -> tuple[Ids, NDArray[numpy.bool_]]:
        """Texts one after the other, each after as many marks of a beginning as the longest context has tokens, and
        which ids are targets.
        """
        start = numpy.full(self.longest - 1, self.size, numpy.int64)
        ids = numpy.concatenate([part for text in texts for part in (start, text)])
        real = numpy.concatenate([numpy.arange(len(start) + len(text)) > len(start) for text in texts])
        return ids, real


def _level(grams: Ids, contexts: Ids) -> Level:
    """The n-grams of a length from their occurrences, and their contexts."""
    keys, first, numbers = numpy.unique(grams, return_index=True, return_inverse=True)
    count = numpy.bincount(numbers).astype(float)
    discounts = _discounts(count)[numpy.minimum(count, 3).astype(numpy.int64)]
    known, context = numpy.unique(contexts[first], return_inverse=True)
    totals = numpy.bincount(context, count)
    return Level(keys, (count - discounts) / totals[context], known, numpy.bincount(context, discounts) / totals)


def _discounts(counts: Numbers) -> Numbers:
    """What is subtracted from a count of 0, 1, 2, and 3 or more; half a count where there are too few n-grams to
    estimate it from.
    """
    n1, n2, n3, n4 = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    if not (n1 and n2 and n3):
        return numpy.array([0.0, 0.5, 0.5, 0.5])
    share = n1 / (n1 + 2 * n2)
    estimates = [0.0, 1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3]
    # a context without a discount would leave nothing for tokens that did not follow it
    return numpy.clip(estimates, [0.0, 0.1, 0.1, 0.1], [0.0, 1.0, 2.0, 3.0])


def _places(table: Ids, keys: Ids) -> Ids:
    """Where keys are in a sorted table, -1 where they are not."""
    places = numpy.minimum(numpy.searchsorted(table, keys), len(table) - 1)
    return numpy.where(table[places] == keys, places, -1)
