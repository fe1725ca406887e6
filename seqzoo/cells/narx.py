"""Nonlinear autoregressive network with exogenous inputs: the last inputs and outputs through one hidden layer.

Lin, Horne, Tino & Giles, Learning Long-Term Dependencies in NARX Recurrent Neural Networks, 1996,
https://doi.org/10.1109/72.548162
Siegelmann, Horne & Giles, Computational Capabilities of Recurrent NARX Neural Networks, 1997,
https://doi.org/10.1109/3477.558801

    h = f(sum over k = 0 ... p - 1 of W_k x_{t-k} + sum over k = 1 ... q of U_k y_{t-k} + b)
    y = g(V h + c)

With p = q = 1 it is the Jordan network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS, Activation
from seqzoo.cells.cell import Cell
from seqzoo.cells.delay import convolve, kept, weigh
from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding
from seqzoo.kernels.unroll import unroll


class NARX(Cell):
    """State: the last q outputs (B, q, O) and the last p - 1 inputs (B, p - 1, I), oldest first. Output: y.

    Parameters: W `weight_ih` (H, I, p), U `weight_yh` (H, O, q), the newest step last, V `weight_hy` (O, H), b
    `bias_h`, c `bias_y`. Weights are initialised Xavier-uniform, biases with zeros.

    A step feeds its own output back (closed loop). With known targets `scan_forced` feeds these back instead (teacher
    forcing), and all steps are computed in parallel.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        input_window: p, number of last inputs that are read.
        output_window: q, number of last outputs that feed back.
        output_size: number of outputs O; None: as many as hidden units.
        activation: the activation function f of the hidden units.
        output_activation: the activation function g of the outputs; identity for unbounded outputs.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        input_window: int = 2,
        output_window: int = 3,
        output_size: int | None = None,
        activation: Activation = "tanh",
        output_activation: Activation = "tanh",
    ):
        windows = {"input_window": input_window, "output_window": output_window}
        for name, value in {**windows, "output_size": 1 if output_size is None else output_size}.items():
            if value < 1:
                raise ValueError(f"{name} is {value}: it must be at least 1")
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.output_size = hidden_size if output_size is None else output_size
        self.input_window, self.output_window = input_window, output_window
        self.activation, self.output_activation = activation, output_activation
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size, input_window))
        self.weight_yh = nn.Parameter(torch.empty(hidden_size, self.output_size, output_window))
        self.weight_hy = nn.Parameter(torch.empty(self.output_size, hidden_size))
        self.bias_h = nn.Parameter(torch.empty(hidden_size))
        self.bias_y = nn.Parameter(torch.empty(self.output_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for weight in (self.weight_ih, self.weight_yh, self.weight_hy):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.bias_h)
        nn.init.zeros_(self.bias_y)

    def initial_state(self, batch_size: int) -> State:
        """Zeros: outputs (B, q, O), inputs (B, p - 1, I)."""
        return (
            self.weight_yh.new_zeros(batch_size, self.output_window, self.output_size),
            self.weight_ih.new_zeros(batch_size, self.input_window - 1, self.input_size),
        )

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        ys, xs = state
        line = torch.cat([xs, p[:, None]], dim=1)
        y, (ys,) = self._step(weigh(line, self.weight_ih, self.bias_h), (ys,))
        return y, (ys, line[:, 1:])

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """The input part of all steps is one convolution; the feedback runs step by step."""
        ys, xs = state
        line = torch.cat([xs, x], dim=1)
        y, (ys,) = unroll(self._step, convolve(line, self.weight_ih, self.bias_h), (ys,), lengths)
        return y, (ys, kept(line, self.input_window - 1, lengths))

    def scan_forced(
        self, x: Tensor, outputs: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Compute all steps in parallel with teacher forcing: step t reads the targets of the q steps before t, and the
        outputs in the state before the first step.

        Args:
            x: input, shape (B, T, I).
            outputs: target outputs, shape (B, T, O).
            state: as in `scan`.
            lengths: number of real steps of each row, shape (B,); None: all steps are real.

        Returns:
            Outputs (B, T, O), zero at padded steps, and the state after each row's last real step, with its targets.
        """
        (ys, xs), lengths = self.checked(x, state, lengths)
        x, outputs = zero_padding(x, lengths), zero_padding(outputs, lengths)
        line, feedback = torch.cat([xs, x], dim=1), torch.cat([ys, outputs], dim=1)
        from_outputs = convolve(feedback[:, :-1], self.weight_yh)
        y = self._output(convolve(line, self.weight_ih, self.bias_h) + from_outputs)
        return zero_padding(y, lengths), (
            kept(feedback, self.output_window, lengths),
            kept(line, self.input_window - 1, lengths),
        )

    def _step(self, from_inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """One step from the input part (B, H) and the last outputs."""
        (ys,) = state
        y = self._output(from_inputs + weigh(ys, self.weight_yh))
        return y, (torch.cat([ys[:, 1:], y[:, None]], dim=1),)

    def _output(self, sums: Tensor) -> Tensor:
        """The output (..., O), from the sums of the hidden units (..., H)."""
        h = ACTIVATIONS[self.activation](sums)
        return ACTIVATIONS[self.output_activation](F.linear(h, self.weight_hy, self.bias_y))
