"""What every cell shares whose step is x W + h U + b, cut into gates: parameters, projection, first state."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import Activation
from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State


class GatedCell(Cell):
    """Parameters in torch's own layout and names, so that weights copy across by name: `weight_ih` (GH, I), `weight_hh`
    (GH, H), `bias_ih` and `bias_hh` (GH,), where G is the number of gates.

    Input weights start Xavier-uniform, recurrent ones orthogonal, gate by gate; biases start at zero.

    gates: their letters, in the order of the parameters.
    keep_gate, write_gate: the one that, open, keeps the state, and the one that writes into it; None where there is
        none, as where one is 1 minus the other. `seqzoo.cells.initialisation` asks.
    layer_norm: normalise x W and h U, each over all gates, before the biases are added (Ba, Kiros & Hinton, Layer
        Normalization, 2016, https://arxiv.org/abs/1607.06450).
    activation: on what is written, the tanh of the equations.

    torch's kernels know neither: a cell that has one takes the reference loop where they are changed.
    """

    gates: tuple[str, ...]
    keep_gate: str | None = None
    write_gate: str | None = None
    num_states: int = 1

    def __init__(self, input_size: int, hidden_size: int, layer_norm: bool = False, activation: Activation = "tanh"):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.layer_norm, self.activation = layer_norm, activation
        width = self.num_gates * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(width, input_size))
        self.weight_hh = nn.Parameter(torch.empty(width, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(width))
        self.bias_hh = nn.Parameter(torch.empty(width))
        if layer_norm:
            self.norm_ih = nn.LayerNorm(width, bias=False)
            self.norm_hh = nn.LayerNorm(width, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for gate in self.weight_ih.detach().chunk(self.num_gates):
            nn.init.xavier_uniform_(gate)
        for matrix in self.recurrent_matrices:
            nn.init.orthogonal_(matrix)
        nn.init.zeros_(self.bias_ih)
        nn.init.zeros_(self.bias_hh)

    def set_bias(self, gate: str, value: float | Tensor) -> None:
        """value: a number or (H,): what the two biases of a gate add up to."""
        start = self.gates.index(gate) * self.hidden_size
        with torch.no_grad():
            self.bias_ih[start : start + self.hidden_size] = value
            self.bias_hh[start : start + self.hidden_size] = 0

    @property
    def num_gates(self) -> int:
        return len(self.gates)

    @property
    def recurrent_matrices(self) -> list[Tensor]:
        """The hidden-to-hidden weights, a matrix for each gate: where to write new ones."""
        return list(self.weight_hh.detach().chunk(self.num_gates))

    @property
    def weights(self) -> list[Tensor]:
        """In the order of torch's kernels."""
        return [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]

    def initial_state(self, batch_size: int) -> State:
        """h, or h and c, (B, H): zeros."""
        return tuple(self.weight_hh.new_zeros(batch_size, self.hidden_size) for _ in range(self.num_states))

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., GH)"""
        if self.layer_norm:
            return self.norm_ih(F.linear(x, self.weight_ih)) + self.bias_ih
        return F.linear(x, self.weight_ih, self.bias_ih)

    def recur(self, h: Tensor) -> Tensor:
        """(B, H) -> (B, GH)"""
        if self.layer_norm:
            return self.norm_hh(F.linear(h, self.weight_hh)) + self.bias_hh
        return F.linear(h, self.weight_hh, self.bias_hh)
