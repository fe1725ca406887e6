"""Base class of simple recurrent networks that control an external memory, a stack or a tape of vectors."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.activations import ACTIVATIONS
from seqzoo.cells.gated import GatedCell
from seqzoo.contracts.batch import State


class ExternalMemoryCell(GatedCell):
    """The hidden units read one vector of the memory, choose between actions, and compute a vector to write:

        h' = f(W x + U h + P m_0 + b)
        actions = softmax(A h' + c)
        value = D h' + d

    Parameters besides those of `Elman`: P `weight_memory` (H, M), A `weight_actions` (K, H), c `bias_actions`, D
    `weight_value` (M, H), d `bias_value`. No shape depends on the number of vectors, so that weights fit a cell with a
    larger memory. P, A and D are initialised Xavier-uniform, c and d with zeros.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        memory_size: number of vectors of the memory.
        memory_width: M, size of the vectors.
        layer_norm: layer normalisation of W x and U h.
        activation: the activation function f.

    Attributes:
        num_actions: K.

    Raises:
        ValueError: the memory has no vectors, or these have no numbers.
    """

    gates = ("h",)
    num_actions: ClassVar[int]

    def __init__(self, input_size: int, hidden_size: int, memory_size: int = 16, memory_width: int = 8, **options: Any):
        for name, value in (("memory_size", memory_size), ("memory_width", memory_width)):
            if value < 1:
                raise ValueError(f"{name} is {value}: it must be at least 1")
        self.memory_size, self.memory_width = memory_size, memory_width
        super().__init__(input_size, hidden_size, **options)
        self.weight_memory = nn.Parameter(torch.empty(hidden_size, memory_width))
        self.weight_actions = nn.Parameter(torch.empty(self.num_actions, hidden_size))
        self.bias_actions = nn.Parameter(torch.zeros(self.num_actions))
        self.weight_value = nn.Parameter(torch.empty(memory_width, hidden_size))
        self.bias_value = nn.Parameter(torch.zeros(memory_width))
        for weight in (self.weight_memory, self.weight_actions, self.weight_value):
            nn.init.xavier_uniform_(weight)

    def initial_state(self, batch_size: int) -> State:
        """Zeros: h (B, H) and the memory (B, N, M)."""
        zeros = self.weight_memory.new_zeros(batch_size, self.memory_size, self.memory_width)
        return (*super().initial_state(batch_size), zeros)

    def control(self, p: Tensor, h: Tensor, read: Tensor) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """h', the probability of each action (B, 1, 1), and the vector to write (B, 1, M).

        Args:
            p: projected input of one step, (B, H).
            h: hidden units, (B, H).
            read: the vector of the memory that is read, (B, M).
        """
        h = ACTIVATIONS[self.activation](p + self.recur(h) + F.linear(read, self.weight_memory))
        actions = F.linear(h, self.weight_actions, self.bias_actions).softmax(-1)
        return h, actions[..., None, None].unbind(1), F.linear(h, self.weight_value, self.bias_value)[:, None]
