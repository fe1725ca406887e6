"""Pretrained word vectors from the text files of GloVe, word2vec and fastText."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import chain
from typing import IO

import numpy
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import WordVectors
from seqzoo.data.sources.finite import finite_number
from seqzoo.data.sources.packed import open_bytes
from seqzoo.data.text.vocabulary import UNKNOWN, Vocabulary

LONGEST_SIZE = 5
"""Maximum number of digits of the width of the vectors."""


class VectorFile:
    """Word vectors from a file with lines of "WORD NUMBER ... NUMBER", after a header in word2vec's and fastText's.

    Args:
        path: of the file, which is read line by line.
        wanted: the words to keep, also in lower case; None: all of the file.

    Attributes:
        ids: the row of each word.
        values: the vectors, (N, E).

    Raises:
        DataError: a line has another form; the message names it.
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
                    raise DataError(f"{path}:{number}: {len(numbers)} numbers, not {size}: is it a complete text file?")
                name = word.decode(errors="replace")
                if len(numbers) == size and name not in self.ids:  # more: a word with spaces inside
                    self.ids[name] = len(rows)
                    rows.append(rest.decode(errors="replace"))
                    places.append(number)
        self.values = torch.from_numpy(_numbers(path, rows, places, size))

    def row(self, word: str) -> int | None:
        """The row of a word or, if it has none, of the word in lower case; None if both are missing."""
        exact = self.ids.get(word)
        return self.ids.get(word.lower()) if exact is None else exact

    def of(self, vocabulary: Vocabulary, counts: Counter[str]) -> WordVectors:
        """The vectors of a vocabulary.

        Args:
            vocabulary: of its special tokens only `<unk>` can have a vector.
            counts: of the training words, for the coverage.
        """
        tokens = [(i, word) for i, word in enumerate(vocabulary.tokens) if i >= vocabulary.specials or word == UNKNOWN]
        pairs = [(i, row) for i, token in tokens if (row := self.row(token)) is not None]
        ids, rows = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).T
        covered = [count for word, count in counts.items() if self.row(word) is not None]
        return WordVectors(len(counts), len(covered), sum(covered) / max(1, counts.total()), ids, self.values[rows])


def _numbers(path: str, rows: list[str], places: list[int], size: int) -> numpy.ndarray:
    """Parse the rows as (N, size) numbers; places: their line numbers, for messages."""
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
            try:
                finite_number(number)
            except ValueError:
                raise DataError(f"{path}:{place}: {number[:40]!r} is not a finite number: correct the line") from None
    raise DataError(f"{path}: not every vector has {size} numbers: is it a complete text file?")


def vector_size(path: str) -> int:
    """The width of the vectors of a file."""
    with open_bytes(path) as file:
        return _begin(path, file)[0]


def _begin(path: str, file: IO[bytes]) -> tuple[int, Iterator[tuple[int, bytes]]]:
    """The width of the vectors, and the numbered lines after the header."""
    first = file.readline()
    fields = first.split()
    if len(fields) < 2:
        raise DataError(f"{path}:1: expected a word and its vector: give a text file of vectors")
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        if len(fields[1]) > LONGEST_SIZE or int(fields[1]) == 0:
            raise DataError(f"{path}:1: vectors of {fields[1].decode()[:40]} numbers: correct the first line")
        return int(fields[1]), enumerate(file, 2)
    return len(fields) - 1, enumerate(chain([first], file), 1)
