"""The network whose output, and not its hidden layer, feeds back.

Jordan, Serial Order: A Parallel Distributed Processing Approach, 1986 (ICS Report 8604),
https://apps.dtic.mil/sti/html/tr/ADA173989/index.html

    h = f(W x + U y + b)
    y' = g(V h + c)

In the report the state units may also keep a part of themselves; here they are the last output alone.
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
    """State: (y,), (B, O): the last output. h is not part of it.

    Parameters: W `weight_ih` (H, I), U `weight_yh` (H, O), V `weight_hy` (O, H), b `bias_h`, c `bias_y`. W and V start
    Xavier-uniform, U orthogonal, the biases at zero.

    As nothing but the output feeds back, a step does not need the one before it where the right outputs are known:
    `scan_forced` trains all steps in parallel.

    output_size: O; null: as many as hidden units.
    activation: f.
    output_activation: g; identity for outputs that nothing bounds.
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
                f"output_size is {output_size}: there is at least one output, or null for as many as units"
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
        """All steps at once under teacher forcing: (B, T, I) and the right outputs (B, T, O) -> what the cell puts out,
        (B, T, O), and the state after each row's last real step, which is the right output there.

        Step t sees the right output of step t - 1, step 0 the state. A padded step outputs zero.
        """
        (first,), lengths = self.checked(x, state, lengths)
        x, outputs = zero_padding(x, lengths), zero_padding(outputs, lengths)
        seen = torch.cat([first[:, None], outputs], dim=1)
        y = self._output(self.project(x), seen[:, :-1])
        if lengths is None:
            return y, (seen[:, -1],)
        return zero_padding(y, lengths), (seen[torch.arange(x.shape[0], device=x.device), lengths],)

    def _output(self, p: Tensor, y: Tensor) -> Tensor:
        """(..., H) and (..., O) -> (..., O)"""
        h = ACTIVATIONS[self.activation](p + F.linear(y, self.weight_yh))
        return ACTIVATIONS[self.output_activation](F.linear(h, self.weight_hy, self.bias_y))
