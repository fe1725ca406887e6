"""Probabilities of n-grams with interpolated, modified Kneser-Ney smoothing.

Chen & Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, 1998 (section 3),
https://dash.harvard.edu/handle/1/25104739

    p(w | h) = max(c(h w) - D(c(h w)), 0) / c(h) + gamma(h) p(w | h without its first token)

c counts in the longest n-grams; in shorter ones it is the number of different tokens that come before. D has three
values, for counts of 1, 2, and 3 or more, and gamma(h) is the share that they take away. Below the unigrams all tokens
of the vocabulary are equally likely.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

Ids = NDArray[numpy.int64]
Numbers = NDArray[numpy.float64]


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

    An n-gram is a number: its place in the sorted table of the different n-grams of its length, whose keys are the
    number of the n-gram without its last token, times V + 1, plus the last token. So the n-grams that begin with the
    same context have consecutive numbers.

    Args:
        texts: (T + 1,) ids each; the first one is context only.
        longest: the largest n.
        vocabulary_size: V; ids are below it, and V itself marks a place before the beginning of a text.
        shortest: the smallest n that will be asked for.
    """

    def __init__(self, texts: Sequence[Ids], longest: int, vocabulary_size: int, shortest: int = 1):
        self.longest, self.size = longest, vocabulary_size
        self._tables: list[Ids] = [numpy.arange(self.size + 1)]
        self._lower: list[Level] = []  # of each length but the longest, counted by the different tokens before
        self._highest: dict[int, Level] = {}  # of the lengths that will be asked for, counted by occurrences
        # a number for each different n-gram that ends at a place, and whether a target is there
        ids, real = self._padded(texts)
        contexts, grams = numpy.zeros_like(ids), ids
        for length in range(1, longest + 1):
            if length >= shortest:
                self._highest[length] = _level(grams[real], contexts[real])
            if length == longest:
                break
            before = numpy.concatenate([numpy.zeros(1, numpy.int64), grams[:-1]])
            table, longer = numpy.unique(before * (self.size + 1) + ids, return_inverse=True)
            _, first = numpy.unique(longer[real], return_index=True)
            places = numpy.flatnonzero(real)[first]
            self._lower.append(_level(grams[places], contexts[places]))
            self._tables.append(table)
            contexts, grams = before, longer

    def probabilities(self, texts: Sequence[Ids], length: int) -> Numbers:
        """Of each target of some texts, by n-grams of this length."""
        return self.target_probabilities(*self._padded(texts), length)[0]

    def target_probabilities(self, ids: Ids, targets: NDArray[numpy.bool_], length: int) -> tuple[Numbers, Ids]:
        """The probabilities of some ids, given those before them.

        Args:
            ids: (..., S), V where there is no token.
            targets: (..., S), which of them are predicted.
            length: of the n-grams.

        Returns:
            The probability of each target, and how many tokens of its context were seen in training, one after the
            other.
        """
        known = numpy.zeros(targets.sum(), numpy.int64)
        result = numpy.full(len(known), 1 / self.size)
        for level, (grams, contexts) in zip(self._of_length(length), self._ending(ids, length), strict=True):
            gram, context = _places(level.keys, grams[targets]), _places(level.contexts, contexts[targets])
            left = numpy.where(context < 0, 1.0, level.left[context])
            result = numpy.where(gram < 0, 0.0, level.discounted[gram]) + left * result
            known += context >= 0
        return result, known - 1  # the context of unigrams, which is empty, is always known

    def distributions(self, contexts: Ids, length: int) -> tuple[Numbers, Ids]:
        """The probabilities of all tokens after some contexts.

        Args:
            contexts: (N, length - 1), V where there is no token.
            length: of the n-grams.

        Returns:
            Probabilities (N, V), and how many tokens of each context were seen, (N,).
        """
        known = numpy.zeros(len(contexts), numpy.int64)
        result = numpy.full((len(contexts), self.size), 1 / self.size)
        numbers = [known, *(grams[:, -1] for grams, _ in self._ending(contexts, length - 1))]
        for table, level, context in zip(self._tables, self._of_length(length), numbers, strict=False):
            place = _places(level.contexts, context)
            result *= numpy.where(place < 0, 1.0, level.left[place])[:, None]
            first, end = (
                numpy.searchsorted(level.keys, numpy.searchsorted(table, number * (self.size + 1)))
                for number in (context, context + 1)
            )
            rows = numpy.repeat(numpy.arange(len(contexts)), end - first)
            before = numpy.cumsum(end - first) - (end - first)
            grams = numpy.arange(len(rows)) + (first - before)[rows]
            tokens = table[level.keys[grams]] - context[rows] * (self.size + 1)
            result[rows, tokens] += level.discounted[grams]
            known = known + (place >= 0)
        return result, known - 1

    def _of_length(self, length: int) -> list[Level]:
        """The n-grams of each length that n-grams of this length are computed from, shortest first."""
        return [*self._lower[: length - 1], self._highest[length]]

    def _ending(self, ids: Ids, length: int) -> Iterator[tuple[Ids, Ids]]:
        """The numbers of the n-grams that end at each place, and of their contexts, -1 for those that were not seen;
        for n from 1 to `length`.
        """
        grams, contexts = ids, numpy.zeros_like(ids)
        for n in range(1, length + 1):
            if n > 1:
                contexts = numpy.concatenate([numpy.full_like(ids[..., :1], -1), grams[..., :-1]], -1)
                keys = numpy.where(contexts < 0, -1, contexts * (self.size + 1) + ids)
                grams = _places(self._tables[n - 1], keys)
            yield grams, contexts

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
