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

import torch
from torch import Tensor

from seqzoo.cells.external_memory import ExternalMemoryCell
from seqzoo.contracts.batch import State


class TapeRNN(ExternalMemoryCell):
    """State: h (B, H), the tape m (B, N, M), from the head on, and t (B,), the number of steps modulo N, stored as a
    real number and rounded when read. Output: h'.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        memory_size: N, number of cells of the tape.
        memory_width, layer_norm, activation: as of `ExternalMemoryCell`, which describes the parameters.
    """

    num_actions = 5

    def initial_state(self, batch_size: int) -> State:
        """Zeros: h (B, H), m (B, N, M), t (B,)."""
        return (*super().initial_state(batch_size), self.weight_memory.new_zeros(batch_size))

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, m, t = state
        h, (stay, left, right, back, ahead), value = self.control(p, h, m[:, 0])
        w = torch.cat([value, m[:, 1:]], dim=1)
        jump = t.detach().round().long()[:, None]
        cells = torch.arange(self.memory_size, device=m.device)
        jumped = back * _moved(w, cells - jump) + ahead * _moved(w, cells + jump)
        m = stay * w + left * w.roll(1, 1) + right * w.roll(-1, 1) + jumped
        return h, (h, m, torch.remainder(t + 1, self.memory_size))


def _moved(tape: Tensor, cells: Tensor) -> Tensor:
    """Cells (B, N), modulo N, of a tape (B, N, M)."""
    return tape.gather(1, (cells % tape.shape[1])[..., None].expand(tape.shape))
