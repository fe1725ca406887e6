"""Stack RNN: a simple recurrent network that controls a differentiable stack of vectors.

Joulin & Mikolov, Inferring Algorithmic Patterns with Stack-Augmented Recurrent Nets, 2015, https://arxiv.org/abs/1503.01007
Deletang et al., Neural Networks and the Chomsky Hierarchy, 2023 (with values without a sigmoid), https://arxiv.org/abs/2207.02098

    h' = f(W x + U h + P s_0 + b)
    push, pop, keep = softmax(A h' + c)
    v = D h' + d
    s'_0 = push v + pop s_1 + keep s_0
    s'_i = push s_{i-1} + pop s_{i+1} + keep s_i

s_0 is the top of the stack. Below the lowest cell are zeros; what is pushed beyond it is lost.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.gated import GatedCell
from seqzoo.contracts.batch import State
from seqzoo.contracts.transforms import transformed
from seqzoo.kernels.unroll import unroll


class StackRNN(GatedCell):
    """State: h (B, H) and the stack s (B, S, M), its top first. Output: h'.

    Parameters besides those of `Elman`: P `weight_sh` (H, M), A `weight_actions` (3, H), c `bias_actions`, D
    `weight_value` (M, H), d `bias_value`. No shape depends on S, so that weights fit a cell with a deeper stack. P, A
    and D are initialised Xavier-uniform, c and d with zeros.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        memory_size: S, number of cells of the stack.
        memory_width: M, size of the vectors on the stack.
        layer_norm: layer normalisation of W x and U h.
        activation: the activation function f.

    Raises:
        ValueError: the stack has no cells, or its vectors no numbers.
    """

    gates = ("h",)

    def __init__(self, input_size: int, hidden_size: int, memory_size: int = 16, memory_width: int = 8, **options: Any):
        check_memory(memory_size, memory_width)
        self.memory_size, self.memory_width = memory_size, memory_width
        super().__init__(input_size, hidden_size, **options)
        self.weight_sh = nn.Parameter(torch.empty(hidden_size, memory_width))
        self.weight_actions = nn.Parameter(torch.empty(3, hidden_size))
        self.bias_actions = nn.Parameter(torch.zeros(3))
        self.weight_value = nn.Parameter(torch.empty(memory_width, hidden_size))
        self.bias_value = nn.Parameter(torch.zeros(memory_width))
        for weight in (self.weight_sh, self.weight_actions, self.weight_value):
            nn.init.xavier_uniform_(weight)

    def initial_state(self, batch_size: int) -> State:
        """Zeros: h (B, H), s (B, S, M)."""
        return (
            *super().initial_state(batch_size),
            self.weight_sh.new_zeros(batch_size, self.memory_size, self.memory_width),
        )

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, s = state
        h = ACTIVATIONS[self.activation](p + self.recur(h) + F.linear(s[:, 0], self.weight_sh))
        actions = F.linear(h, self.weight_actions, self.bias_actions).softmax(-1)
        push, pop, keep = actions[..., None, None].unbind(1)
        value = F.linear(h, self.weight_value, self.bias_value)[:, None]
        pushed = torch.cat([value, s[:, :-1]], dim=1)
        popped = F.pad(s[:, 1:], (0, 0, 0, 1))
        return h, (h, push * pushed + pop * popped + keep * s)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
        """Step by step, on a CPU without the cells that are empty and remain so, as T steps fill at most T cells."""
        h, s = state
        depth = self._depth(s, x.shape[1])
        outputs, (h, s) = unroll(self.step, self.project(x), (h, s[:, :depth]), lengths)
        return outputs, (h, F.pad(s, (0, 0, 0, self.memory_size - depth)))

    def _depth(self, s: Tensor, steps: int) -> int:
        """The number of cells that may be filled after some steps; all of them where this cannot be read."""
        # a gradient that reaches a given stack also reaches its empty cells
        if not len(s) or s.device.type != "cpu" or s.requires_grad or transformed():
            return self.memory_size
        filled = s.abs().amax((0, 2)).nonzero().flatten().tolist()
        return min(max(filled, default=-1) + 1 + steps, self.memory_size)


def check_memory(size: int, width: int) -> None:
    """Check the sizes of an external memory.

    Raises:
        ValueError: one of them is below 1.
    """
    for name, value in (("memory_size", size), ("memory_width", width)):
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be at least 1")
