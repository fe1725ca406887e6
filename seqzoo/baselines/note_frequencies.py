"""Notes that sound with fixed probabilities: how often each one does, or how often it does after it did or did not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.baselines.contract import Answers, Baseline, Split
from seqzoo.contracts.batch import Loss
from seqzoo.contracts.note_notation import chords_of


class NoteFrequencies(Baseline):
    """Each note sounds with its frequency in the training frames."""

    kind = "polyphony"
    name = "note frequencies"
    speed = 1e6

    def fit(self, train: Split, validation: Split) -> None:
        sounding, frames = _counts(train)
        self.probabilities = smoothed(sounding.sum(0), frames.sum(0))
        self.description = "in the training frames"

    def answer(self, split: Split) -> Answers:
        return _answers(split, self.probabilities.expand(2, -1))


class NoteChanges(Baseline):
    """Each note sounds with its frequency in the training frames after those in which it did, and after the others."""

    kind = "polyphony"
    name = "note changes"
    speed = 1e6

    def fit(self, train: Split, validation: Split) -> None:
        sounding, frames = _counts(train)
        self.probabilities = smoothed(sounding, frames)
        self.description = "after frames with, and without, the same note"

    def answer(self, split: Split) -> Answers:
        return _answers(split, self.probabilities)


def smoothed(sounding: Tensor, frames: Tensor) -> Tensor:
    """Probabilities from counts, by the rule of Krichevsky and Trofimov, so that none is zero."""
    return (sounding + 0.5) / (frames + 1)


def _counts(split: Split) -> tuple[Tensor, Tensor]:
    """How often each note sounds, and in how many frames, after frames without it and with it: (2, K) each."""
    sounding = torch.zeros(2, split.spec.output_size, dtype=torch.double)
    frames = torch.zeros_like(sounding)
    for before, after in _pairs(split):
        for number, chosen in enumerate((1 - before, before)):
            sounding[number] += (chosen * after).sum(0)
            frames[number] += chosen.sum(0)
    return sounding, frames


def _pairs(split: Split) -> list[tuple[Tensor, Tensor]]:
    """Inputs and targets of each piece, (T, K) each."""
    return [
        (inputs[:length].double(), targets[:length].double())
        for batch in split.batches()
        for inputs, targets, length in zip(batch.inputs, batch.required_targets, batch.lengths.tolist(), strict=True)
    ]


def _answers(split: Split, probabilities: Tensor) -> Answers:
    """Answers and loss; probabilities: (2, K), of each note after a frame without it and with it."""
    total, count = torch.zeros((), dtype=torch.double), 0
    chords: list = []
    for batch in split.batches():
        index = batch.inputs.long()
        predicted = probabilities.gather(0, index.flatten(0, 1)).view(index.shape)
        targets = batch.required_targets.double()
        losses = F.binary_cross_entropy(predicted, targets, reduction="none").sum(-1)
        total, count = total + losses.sum(), count + losses.numel()
        chords += chords_of(predicted, batch.lengths)
    return Answers(chords, Loss(total, torch.tensor(count)))
