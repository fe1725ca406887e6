"""Real-time recurrent learning: the exact gradient, forward in time.

Source: Williams & Zipser, A Learning Algorithm for Continually Running Fully Recurrent Neural Networks, 1989,
https://doi.org/10.1162/neco.1989.1.2.270
Menick et al., Practical Real Time Recurrent Learning with a Sparse Approximation, 2021 (SnAp-n),
https://arxiv.org/abs/2006.07232
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.state import detach
from seqzoo.contracts.steps import Steps
from seqzoo.learning.forward import ForwardRule
from seqzoo.learning.influence import Influence, estimated_size
from seqzoo.learning.influence_of_pieces import STEPS, InfluenceOfPieces, Piece
from seqzoo.learning.network_step import Moment, NetworkStep
from seqzoo.network.model import Model

PASSES_PER_STEP = 12
"""Rows times backward passes, for each step of a batch, up to which pieces are faster than steps."""


class RealTimeRecurrentLearning(ForwardRule):
    """Carries the derivatives of the state by the weights along: `seqzoo.learning.influence` has the equations.

    For S state variables and P weights, a step takes O(S^2 P) operations and O(S P) memory for each row of a batch; if
    each weight influences one unit only, as in a diagonal recurrence, O(P) of both. Where nothing is left out and a
    batch has many steps, these are taken in pieces, with the same result: `seqzoo.learning.influence_of_pieces`.

    SnAp-n keeps a little more than in the paper: between the state before a step and its output all of J counts.

    Args:
        order: n of SnAp-n: a weight influences only the state variables that it reaches within n steps; null: all,
            which is exact.
        carry_state: for running text: windows start from the last state of the previous window, with its derivatives;
            false: from the initial state.

    Raises:
        ValueError: the order is below 1.
    """

    def __init__(self, order: int | None = None, carry_state: bool = True):
        if order is not None and order < 1:
            raise ValueError(f"order is {order}: it must be at least 1, or null")
        super().__init__(carry_state)
        self.order = order
        self.exact = order is None

    def bytes_needed(self, model: Model, rows: int) -> int:
        # before and after a step, in float32
        return 2 * 4 * rows * estimated_size(NetworkStep(model), self.order)

    def prepare(self, step: NetworkStep) -> None:
        self.influence = Influence(step, self.order, self.recurrent)
        whole = self.influence.complete and self.influence.groups
        self.pieces = InfluenceOfPieces(self.influence) if whole else None

    def first(self, rows: int) -> list[Tensor]:
        return self.influence.first(rows)

    def products_size(self) -> int:
        return self.influence.products_size

    def products(self, moment: Moment) -> list[Tensor]:
        return self.influence.products(moment)

    def following(self, memory: list[Tensor], products: list[Tensor], moment: Moment) -> list[Tensor]:
        return self.influence.following(memory, products)

    def go_forward(
        self, inputs: Tensor, steps: Steps, state: State, of_outputs: Tensor, of_after: list[Tensor]
    ) -> None:
        rows, time = inputs.shape[:2]
        if self.pieces is None or rows * len(self.pieces.seeds) > PASSES_PER_STEP * time:
            super().go_forward(inputs, steps, state, of_outputs, of_after)
        else:
            self.go_in_pieces(self.pieces, inputs, steps, state, of_outputs, of_after)

    def go_in_pieces(
        self,
        pieces: InfluenceOfPieces,
        inputs: Tensor,
        steps: Steps,
        state: State,
        of_outputs: Tensor,
        of_after: list[Tensor],
    ) -> None:
        """`go_forward` in pieces of time, one row after the other."""
        rows, time = inputs.shape[:2]
        memories, collected = list[list[Tensor]](), list[list[Tensor]]()
        lengths = [time] * rows if steps.lengths is None else steps.lengths.tolist()
        features, counters = pieces.step.split(detach(state))
        for row, length in enumerate(lengths):
            own = slice(row, row + 1)
            memory, reached = [part[own] for part in self.memory], features[own]
            counts = [part[own] for part in counters]
            for first in range(0, length, STEPS):
                some = (own, slice(first, min(first + STEPS, length)))
                resets = None if steps.resets is None else steps.resets[some]
                piece = Piece(inputs[some], resets, reached, counts, of_outputs[some])
                following, of_before, reached, counts = pieces.following(memory, piece)
                collected.append(self.collect(memory, of_before))
                memory = following
            memories.append(memory)
        self.memory = [torch.cat(parts) for parts in zip(*memories, strict=True)]
        if of_after:
            end = torch.cat([part.flatten(1) for part in of_after], dim=1)
            collected.append(self.collect(self.memory, end))
        self.add([torch.stack(parts).sum(0) for parts in zip(*collected, strict=True)])

    def collect(self, memory: list[Tensor], of_states: Tensor) -> list[Tensor]:
        return self.influence.gradients(memory, of_states)

    def add(self, collected: list[Tensor]) -> None:
        self.influence.add(collected)
