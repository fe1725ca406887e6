"""Base class of cells whose step computes W x + U h + b for several gates."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import Activation
from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State


class GatedCell(Cell):
    """Parameters have the names and layout of `torch.nn`: `weight_ih` (GH, I), `weight_hh` (GH, H), `bias_ih` and
    `bias_hh` (GH,), where G is the number of gates.

    Input weights are initialised Xavier-uniform, recurrent weights orthogonal, each gate by gate, biases with zeros.

    Args:
        input_size: number of features per step.
        hidden_size: number of hidden units.
        layer_norm: layer normalisation of W x and U h, each over all gates, before the biases are added (Ba, Kiros &
            Hinton, Layer Normalization, 2016, https://arxiv.org/abs/1607.06450).
        activation: activation function instead of the tanh of the equations.

    Attributes:
        gates: the letters of the gates, in the order of the parameters.
        keep_gate: the gate that keeps the old state when open; None if there is none, for example because it is 1 minus
            another one. Used by `seqzoo.cells.initialisation`.
        write_gate: the gate that writes the new state when open; None if there is none.
        num_states: number of tensors (B, H) in the state.

    torch's kernels support neither `layer_norm` nor `activation`; a cell with one of them is not run by engine=torch.
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
        """Set the sum of the two biases of a gate to a number or a vector (H,)."""
        start = self.gates.index(gate) * self.hidden_size
        with torch.no_grad():
            self.bias_ih[start : start + self.hidden_size] = value
            self.bias_hh[start : start + self.hidden_size] = 0

    @property
    def num_gates(self) -> int:
        return len(self.gates)

    @property
    def recurrent_matrices(self) -> list[Tensor]:
        """Views of the hidden-to-hidden weights, one matrix per gate."""
        return list(self.weight_hh.detach().chunk(self.num_gates))

    @property
    def weights(self) -> list[Tensor]:
        """The parameters in the order of torch's kernels."""
        return [self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh]

    def initial_state(self, batch_size: int) -> State:
        """`num_states` tensors of zeros, (B, H)."""
        return tuple(self.weight_hh.new_zeros(batch_size, self.hidden_size) for _ in range(self.num_states))

    def project(self, x: Tensor) -> Tensor:
        """The input part of all gates: (..., I) -> (..., GH)."""
        if self.layer_norm:
            return self.norm_ih(F.linear(x, self.weight_ih)) + self.bias_ih
        return F.linear(x, self.weight_ih, self.bias_ih)

    def recur(self, h: Tensor) -> Tensor:
        """The recurrent part of all gates: (B, H) -> (B, GH)."""
        if self.layer_norm:
            return self.norm_hh(F.linear(h, self.weight_hh)) + self.bias_hh
        return F.linear(h, self.weight_hh, self.bias_hh)
