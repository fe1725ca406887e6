"""Word dropout: some words of a training batch are read as unknown, the rarer the more often."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from seqzoo.contracts.batch import PAD, UNKNOWN, Batch
from seqzoo.data.batching.chance import generator_at


def with_word_dropout(
    batches: Iterable[Batch], weight: float, counts: Tensor, seed: int, epoch: int, start: int
) -> Iterator[Batch]:
    """Replace words by `<unk>`, so that its embedding is trained.

    Args:
        batches: of words, from batch `start` of an epoch on.
        weight: w; a word that occurs n times in the training split is replaced with probability w / (w + n).
        counts: n by the ids of words.
        seed, epoch, start: determine what is replaced, together with the number of the batch.

    Yields:
        The batches with other inputs.

    Source: Kiperwasser & Goldberg, Simple and Accurate Dependency Parsing Using Bidirectional LSTM Feature
    Representations, 2016, https://aclanthology.org/Q16-1023
    """
    rates = weight / (weight + counts)
    for number, batch in enumerate(batches, start):
        dropped = torch.rand(batch.inputs.shape, generator=generator_at(seed, epoch, number)) < rates[batch.inputs]
        is_word = (torch.arange(batch.inputs.shape[1]) < batch.lengths[:, None]) & (batch.inputs != PAD)
        yield replace(batch, inputs=batch.inputs.masked_fill(dropped & is_word, UNKNOWN))
