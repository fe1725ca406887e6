"""Tape RNN: a simple recurrent network that writes to a differentiable circular tape and moves its head.

Deletang et al., Neural Networks and the Chomsky Hierarchy, 2023 (appendix A), https://arxiv.org/abs/2207.02098

    h' = f(W x + U h + P m_0 + b)
    stay, left, right, back, ahead = softmax(A h' + c)
    w = m, but w_0 = D h' + d
    m'_i = stay w_i + left w_{i-1} + right w_{i+1} + back w_{i-t} + ahead w_{i+t}

The head is at m_0, and the tape moves under it; indices are modulo the number of cells. In the paper the two jumps are
as long as the input, which no step can know. Here they have the length t, the number of steps before this one: at the
first step after an input, which reads its answer, this is the length of the input. The paper computes w_0 by a network
with two hidden layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.gated import GatedCell
from seqzoo.cells.stack_rnn import check_memory
from seqzoo.contracts.batch import State


class TapeRNN(GatedCell):
    """State: h (B, H), the tape m (B, N, M), from the head on, and t (B,), the number of steps modulo N, stored as a
    real number and rounded when read. Output: h'.

    Parameters besides those of `Elman`: P `weight_mh` (H, M), A `weight_actions` (5, H), c `bias_actions`, D
    `weight_value` (M, H), d `bias_value`. No shape depends on N, so that weights fit a cell with a longer tape. P, A
    and D are initialised Xavier-uniform, c and d with zeros.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        memory_size: N, number of cells of the tape.
        memory_width: M, size of the vectors on the tape.
        layer_norm: layer normalisation of W x and U h.
        activation: the activation function f.

    Raises:
        ValueError: the tape has no cells, or its vectors no numbers.
    """

    gates = ("h",)

    def __init__(self, input_size: int, hidden_size: int, memory_size: int = 16, memory_width: int = 8, **options: Any):
        check_memory(memory_size, memory_width)
        self.memory_size, self.memory_width = memory_size, memory_width
        super().__init__(input_size, hidden_size, **options)
        self.weight_mh = nn.Parameter(torch.empty(hidden_size, memory_width))
        self.weight_actions = nn.Parameter(torch.empty(5, hidden_size))
        self.bias_actions = nn.Parameter(torch.zeros(5))
        self.weight_value = nn.Parameter(torch.empty(memory_width, hidden_size))
        self.bias_value = nn.Parameter(torch.zeros(memory_width))
        for weight in (self.weight_mh, self.weight_actions, self.weight_value):
            nn.init.xavier_uniform_(weight)

    def initial_state(self, batch_size: int) -> State:
        """Zeros: h (B, H), m (B, N, M), t (B,)."""
        zeros = self.weight_mh.new_zeros
        tape = zeros(batch_size, self.memory_size, self.memory_width)
        return (*super().initial_state(batch_size), tape, zeros(batch_size))

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, m, t = state
        h = ACTIVATIONS[self.activation](p + self.recur(h) + F.linear(m[:, 0], self.weight_mh))
        actions = F.linear(h, self.weight_actions, self.bias_actions).softmax(-1)
        stay, left, right, back, ahead = actions[..., None, None].unbind(1)
        value = F.linear(h, self.weight_value, self.bias_value)[:, None]
        w = torch.cat([value, m[:, 1:]], dim=1)
        jump = t.detach().round().long()[:, None]
        cells = torch.arange(self.memory_size, device=m.device)
        jumped = back * _moved(w, cells - jump) + ahead * _moved(w, cells + jump)
        m = stay * w + left * w.roll(1, 1) + right * w.roll(-1, 1) + jumped
        return h, (h, m, torch.remainder(t + 1, self.memory_size))


def _moved(tape: Tensor, cells: Tensor) -> Tensor:
    """Cells (B, N), modulo N, of a tape (B, N, M)."""
    return tape.gather(1, (cells % tape.shape[1])[..., None].expand(tape.shape))
