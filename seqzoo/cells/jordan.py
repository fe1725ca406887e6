"""Jordan network: the output feeds back instead of the hidden layer.

Jordan, Serial Order: A Parallel Distributed Processing Approach, 1986 (ICS Report 8604),
https://apps.dtic.mil/sti/html/tr/ADA173989/index.html

    h = f(W x + U y + b)
    y' = g(V h + c)

In the report the state units may also decay; here they are only the last output.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS, Activation
from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding


class Jordan(Cell):
    """State: (y,), (B, O), the last output without h.

    Parameters: W `weight_ih` (H, I), U `weight_yh` (H, O), V `weight_hy` (O, H), b `bias_h`, c `bias_y`. W and V are
    initialised Xavier-uniform, U orthogonal, the biases with zeros.

    As only the output feeds back, teacher forcing makes the steps independent: `scan_forced` computes them in parallel.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        output_size: number of outputs O; None: as many as hidden units.
        activation: the activation function f of the hidden units.
        output_activation: the activation function g of the outputs; identity for unbounded outputs.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        activation: Activation = "tanh",
        output_activation: Activation = "tanh",
    ):
        if output_size is not None and output_size < 1:
            raise ValueError(
                f"output_size is {output_size}: it must be at least 1, or null for as many as hidden units"
            )
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.output_size = hidden_size if output_size is None else output_size
        self.activation, self.output_activation = activation, output_activation
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_yh = nn.Parameter(torch.empty(hidden_size, self.output_size))
        self.weight_hy = nn.Parameter(torch.empty(self.output_size, hidden_size))
        self.bias_h = nn.Parameter(torch.empty(hidden_size))
        self.bias_y = nn.Parameter(torch.empty(self.output_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight_ih)
        nn.init.orthogonal_(self.weight_yh)
        nn.init.xavier_uniform_(self.weight_hy)
        nn.init.zeros_(self.bias_h)
        nn.init.zeros_(self.bias_y)

    @property
    def recurrent_matrices(self) -> list[Tensor]:
        """U, (H, O)"""
        return [self.weight_yh.detach()]

    def initial_state(self, batch_size: int) -> State:
        """y, (B, O): zeros."""
        return (self.weight_yh.new_zeros(batch_size, self.output_size),)

    def project(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., H)"""
        return F.linear(x, self.weight_ih, self.bias_h)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        (y,) = state
        y = self._output(p, y)
        return y, (y,)

    def scan_forced(
        self, x: Tensor, outputs: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Compute all steps in parallel with teacher forcing: step t reads the target of step t - 1, step 0 the state.

        Args:
            x: input, shape (B, T, I).
            outputs: target outputs, shape (B, T, O).
            state: as in `scan`.
            lengths: number of real steps of each row, shape (B,); None: all steps are real.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state after each row's last real step, its target.
        """
        (first,), lengths = self.checked(x, state, lengths)
        x, outputs = zero_padding(x, lengths), zero_padding(outputs, lengths)
        previous = torch.cat([first[:, None], outputs], dim=1)
        y = self._output(self.project(x), previous[:, :-1])
        if lengths is None:
            return y, (previous[:, -1],)
        return zero_padding(y, lengths), (previous[torch.arange(x.shape[0], device=x.device), lengths],)

    def _output(self, p: Tensor, y: Tensor) -> Tensor:
        """(..., H) and (..., O) -> (..., O)"""
        h = ACTIVATIONS[self.activation](p + F.linear(y, self.weight_yh))
        return ACTIVATIONS[self.output_activation](F.linear(h, self.weight_hy, self.bias_y))
