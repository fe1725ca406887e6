"""Clockwork network: modules of units that run at different speeds.

Koutnik, Greff, Gomez & Schmidhuber, A Clockwork RNN, 2014, https://arxiv.org/abs/1402.3511

    due = (t mod T_i = 0), for the units of module i, whose period is T_i = 2^i
    h' = tanh(W x + U h + b) where due, h elsewhere

U is block upper triangular: a module has connections from itself and slower modules only. The first step is t = 0, at
which all modules are updated.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS, Activation
from seqzoo.cells.gated import GatedCell
from seqzoo.contracts.batch import State
from seqzoo.kernels.unroll import unroll

# with more modules float32 cannot count the steps of the longest period
MAX_MODULES = 25


class Clockwork(GatedCell):
    """State: h (B, H) and t (B,), the step modulo the longest period, stored as a real number and rounded when read.
    Output: h.

    Units are divided over the modules as evenly as possible, fast modules first. Weights are initialised as in
    `GatedCell`; the blocks of U below the diagonal are not used. There is no layer normalisation, because it would
    connect fast modules to slow ones.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        num_modules: number of modules, at most hidden_size.
        activation: activation function instead of tanh.
    """

    gates = ("h",)

    def __init__(self, input_size: int, hidden_size: int, num_modules: int = 4, activation: Activation = "tanh"):
        if not 1 <= num_modules <= MAX_MODULES:
            raise ValueError(f"num_modules is {num_modules}: it must be 1 to {MAX_MODULES}")
        super().__init__(input_size, hidden_size, activation=activation)
        self.num_modules = min(num_modules, hidden_size)

    def initial_state(self, batch_size: int) -> State:
        """Zeros: h (B, H), t (B,)."""
        return (*super().initial_state(batch_size), self.weight_hh.new_zeros(batch_size))

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        return self._step(p, state, *self._wiring())

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        u, periods = self._wiring()
        return unroll(lambda p, carried: self._step(p, carried, u, periods), self.project(x), state, lengths)

    def _wiring(self) -> tuple[Tensor, Tensor]:
        """U without the blocks below the diagonal, (H, H), and the period of each unit, (H,)."""
        module = torch.arange(self.hidden_size, device=self.weight_hh.device) * self.num_modules // self.hidden_size
        return self.weight_hh * (module[:, None] <= module), 2**module

    def _step(self, p: Tensor, state: State, u: Tensor, periods: Tensor) -> tuple[Tensor, State]:
        h, t = state
        due = t.detach().round().long()[:, None] % periods == 0
        h = torch.where(due, ACTIVATIONS[self.activation](p + F.linear(h, u, self.bias_hh)), h)
        return h, (h, torch.remainder(t + 1, 2 ** (self.num_modules - 1)))
