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

import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.cells.external_memory import ExternalMemoryCell
from seqzoo.contracts.batch import State
from seqzoo.contracts.transforms import transformed
from seqzoo.kernels.unroll import unroll


class StackRNN(ExternalMemoryCell):
    """State: h (B, H) and the stack s (B, S, M), its top first. Output: h'.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        memory_size: S, number of cells of the stack.
        memory_width, layer_norm, activation: as of `ExternalMemoryCell`, which describes the parameters.
    """

    num_actions = 3

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, s = state
        h, (push, pop, keep), value = self.control(p, h, s[:, 0])
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
