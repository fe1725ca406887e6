"""Vectors of words that were learned elsewhere, from the text files of GloVe, word2vec and fastText."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import chain
from typing import IO

import numpy
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import WordVectors
from seqzoo.data.sources.packed import open_bytes
from seqzoo.data.text.vocabulary import UNKNOWN, Vocabulary

LONGEST_SIZE = 5
"""Digits of the number of numbers in a vector."""


class VectorFile:
    """The vectors of some words, from a file with "WORD NUMBER ... NUMBER" a line. In word2vec's and fastText's a line
    before counts words and numbers. The file is read once, line by line, and only wanted rows become numbers.

    wanted: words, each read as it is and in lower case; None for all of the file.
    ids: word -> its row of `values`, (N, E).

    Raises DataError with the line that is not of this form.
    """

    def __init__(self, path: str, wanted: Collection[str] | None = None):
        keys = None if wanted is None else {form.encode() for word in wanted for form in (word, word.lower())}
        self.ids: dict[str, int] = {}
        rows: list[str] = []
        places: list[int] = []
        with open_bytes(path) as file:
            size, lines = _begin(path, file)
            for number, line in lines:
                word, _, rest = line.partition(b" ")
                if keys is not None and word not in keys:
                    continue
                numbers = rest.split()
                if len(numbers) < size:
                    raise DataError(
                        f"{path}:{number}: {len(numbers)} numbers, not {size}: is the file whole, and text?"
                    )
                name = word.decode(errors="replace")
                if len(numbers) == size and name not in self.ids:  # more: a word with spaces inside
                    self.ids[name] = len(rows)
                    rows.append(rest.decode(errors="replace"))
                    places.append(number)
        self.values = torch.from_numpy(_numbers(path, rows, places, size))

    def row(self, word: str) -> int | None:
        """Where the vector of a word is: of the word as it is, else of its lower case."""
        exact = self.ids.get(word)
        return self.ids.get(word.lower()) if exact is None else exact

    def of(self, vocabulary: Vocabulary, counts: Counter[str]) -> WordVectors:
        """The vectors of a vocabulary, of whose special tokens only `<unk>` may have one; the coverage is that of the
        counted words.
        """
        tokens = [(i, word) for i, word in enumerate(vocabulary.tokens) if i >= vocabulary.specials or word == UNKNOWN]
        pairs = [(i, row) for i, token in tokens if (row := self.row(token)) is not None]
        ids, rows = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
        found = [count for word, count in counts.items() if self.row(word) is not None]
        return WordVectors(len(counts), len(found), sum(found) / max(1, counts.total()), ids, self.values[rows])


def _numbers(path: str, rows: list[str], places: list[int], size: int) -> numpy.ndarray:
    """(N, size) numbers of the rows, which are in these lines."""
    if not rows:
        return numpy.zeros((0, size), numpy.float32)
    try:
        with numpy.errstate(over="ignore"):
            values = numpy.loadtxt(rows, numpy.float32, comments=None, ndmin=2)
        if values.shape == (len(rows), size) and numpy.isfinite(values).all():
            return values
    except ValueError:
        pass
    for row, place in zip(rows, places, strict=True):
        for number in row.split():
            if not _is_finite(number):
                raise DataError(f"{path}:{place}: {number[:40]!r} in the vector is not a finite number: mend the line.")
    raise DataError(f"{path}: not every vector is made of {size} numbers: is the file whole, and text?")


def _is_finite(number: str) -> bool:
    try:
        return abs(float(number)) <= torch.finfo(torch.float32).max
    except ValueError:
        return False


def _begin(path: str, file: IO[bytes]) -> tuple[int, Iterator[tuple[int, bytes]]]:
    """How many numbers a vector has, and the numbered lines of vectors."""
    first = file.readline()
    fields = first.split()
    if len(fields) < 2:
        raise DataError(f"{path}:1: expected a word and its vector: give a text file of vectors.")
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        if len(fields[1]) > LONGEST_SIZE or int(fields[1]) == 0:
            raise DataError(f"{path}:1: vectors of {fields[1].decode()[:40]} numbers: mend the first line.")
        return int(fields[1]), enumerate(file, 2)
    return len(fields) - 1, enumerate(chain([first], file), 1)
