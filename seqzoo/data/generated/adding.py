"""The adding problem: add two marked numbers of a long sequence.

Source: Hochreiter & Schmidhuber, Long Short-Term Memory, 1997 (experiment 4), https://doi.org/10.1162/neco.1997.9.8.1735
in the form of Le, Jaitly & Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, 2015
(section 4.1), https://arxiv.org/abs/1504.00941

    x_t = (number_t, mark_t), number_t ~ U[0, 1], mark_t is 1 at two steps and 0 elsewhere
    target = the sum of the two marked numbers
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seqzoo.data.numbers import NumberData, Sequences, generator_of


@dataclass(eq=False, kw_only=True)
class Adding(NumberData):
    """Inputs (N, T, 2), targets (N, 1). One step of each half is marked. Always predicting 1 has a mean squared error
    of 1/6.

    Args:
        steps: T.
    """

    steps: int = 600
    train_size: int = 20_000
    validation_size: int = 1_000
    test_size: int = 1_000

    input_size = 2
    per_step = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 2:
            raise ValueError(f"steps={self.steps} is too small: it must be at least 2, since two numbers are added")

    def generate(self, split: str, size: int) -> Sequences:
        generator, half = generator_of(split), self.steps // 2
        numbers = torch.rand(size, self.steps, generator=generator)
        first = torch.randint(half, (size, 1), generator=generator)
        second = torch.randint(half, self.steps, (size, 1), generator=generator)
        marks = torch.zeros_like(numbers).scatter(1, torch.cat([first, second], 1), 1.0)
        return Sequences(torch.stack([numbers, marks], -1), (numbers * marks).sum(1, keepdim=True))
