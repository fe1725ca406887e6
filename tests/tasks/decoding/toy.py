"""A small random decoder for the tests of search, and all texts that it can generate."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.tasks.decoding import Hypothesis, Start

B, V, END, LIMIT = 3, 4, 3, 3


class Toy:
    """A decoder with a nested state that includes a counter, and a memory that differs by row."""

    def __init__(self, rows: int = B, vocabulary: int = V):
        self.embedding, self.mix = torch.randn(vocabulary, 5).double(), torch.randn(5, 5).double()
        self.head = 2 * torch.randn(5, vocabulary).double()
        self.memory: State = (torch.randn(rows, 5).double(),)
        self.steps: list[int] = []  # hypotheses at each step

    def start(self) -> Start:
        hidden = self.memory[0]
        state = ((hidden,), torch.zeros(len(hidden)))
        return Start((hidden @ self.head).log_softmax(-1), state, self.memory)

    def step(self, token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        self.steps.append(len(token))
        (hidden,), count = state
        hidden = torch.tanh(hidden @ self.mix + self.embedding[token] + memory[0])
        return (hidden @ self.head).log_softmax(-1), ((hidden,), count + 1)

    def every_text(self, row: int, limit: int = LIMIT) -> list[Hypothesis]:
        """All texts, best first, each scored on its own."""
        others = [token for token in range(self.head.shape[1]) if token != END]
        texts = [(*some, END) for n in range(limit) for some in itertools.product(others, repeat=n)]
        texts += itertools.product(others, repeat=limit)
        found = []
        for text in texts:
            first = self.start()
            log_probabilities = first.log_probabilities[row]
            hidden, memory, score = first.state[0][0][row], self.memory[0][row], 0.0
            for token in text:
                score += log_probabilities[token].item()
                hidden = torch.tanh(hidden @ self.mix + self.embedding[token] + memory)
                log_probabilities = (hidden @ self.head).log_softmax(-1)
            found.append(Hypothesis([token for token in text if token != END], score, score))
        return sorted(found, key=lambda hypothesis: -hypothesis.score)


def limits(rows: int = B, steps: int = LIMIT) -> Tensor:
    return torch.full((rows,), steps)
