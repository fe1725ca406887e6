"""The likelihood of n-grams with Kneser-Ney smoothing: `seqzoo.network.heads.ngram_model`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy

from seqzoo.baselines.contract import Answers, Baseline, Split
from seqzoo.baselines.likelihood import log_loss
from seqzoo.contracts.batch import Batch
from seqzoo.network.heads.ngram_model import Ids, NgramModel

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
