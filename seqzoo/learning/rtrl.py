"""Real-time recurrent learning: the exact gradient, forward in time.

Source: Williams & Zipser, A Learning Algorithm for Continually Running Fully Recurrent Neural Networks, 1989,
https://doi.org/10.1162/neco.1989.1.2.270
Menick et al., Practical Real Time Recurrent Learning with a Sparse Approximation, 2021 (SnAp-n),
https://arxiv.org/abs/2006.07232
"""

from __future__ import annotations

from torch import Tensor

from seqzoo.learning.forward import ForwardRule
from seqzoo.learning.influence import Influence, estimated_size
from seqzoo.learning.network_step import Moment, NetworkStep
from seqzoo.network.model import Model


class RealTimeRecurrentLearning(ForwardRule):
    """Carries the derivatives of the state by the weights along: `seqzoo.learning.influence` has the equations.

    For S state variables and P weights, a step takes O(S^2 P) operations and O(S P) memory for each row of a batch; if
    each weight influences one unit only, as in a diagonal recurrence, O(P) of both.

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
        self.influence = Influence(step, self.order)

    def first(self, rows: int) -> list[Tensor]:
        return self.influence.first(rows)

    def products_size(self) -> int:
        return self.influence.products_size

    def products(self, moment: Moment) -> list[Tensor]:
        return self.influence.products(moment)

    def following(self, memory: list[Tensor], products: list[Tensor], moment: Moment) -> list[Tensor]:
        return self.influence.following(memory, products)

    def collect(self, memory: list[Tensor], of_states: Tensor) -> list[Tensor]:
        return self.influence.gradients(memory, of_states)

    def add(self, collected: list[Tensor]) -> None:
        self.influence.add(collected)
