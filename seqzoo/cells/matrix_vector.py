"""Matrix-vector recursive network: a node has a vector and a matrix, which acts on the vector of its sibling.

Socher, Huval, Manning & Ng, Semantic Compositionality through Recursive Matrix-Vector Spaces, 2012,
https://aclanthology.org/D12-1110

    X = diag(W_d x) + (W_u x) (W_v x)^T
    h' = tanh((A_1 + A_2 - 1) W x + W_1 (A_2 + X) h_1 + W_2 (A_1 + X) h_2 + b)
    A' = X + M_1 A_1 + M_2 A_2

In place of a child that is not there, h_l is zero and A_l the identity: a leaf has X + M_1 + M_2, at first X + 1. As in
the paper, X has a low rank but for its diagonal. There, only leaves have a word; here the word of another node is a
sibling of its children: their matrices act on its vector, and its matrix X on theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.nary import NaryCell
from seqzoo.contracts.batch import State


class MatrixVector(NaryCell):
    """Matrix-vector recursive network for binary trees.

    The state is h (B, H) and A - 1 (B, H * H), zero in place of a missing child. `weight_matrix` (H, 2H) is M,
    and is initialised with half the identity for each child, as in the paper.

    Args:
        input_size, hidden_size: as in `NaryCell`; nodes have at most two children.
        rank: of X without its diagonal.

    Raises:
        ValueError: `rank` is below 1.
    """

    def __init__(self, input_size: int, hidden_size: int, rank: int = 3):
        super().__init__(input_size, hidden_size, children=2)
        if rank < 1:
            raise ValueError(f"rank is {rank}: it must be at least 1")
        self.rank = rank
        self.weight_matrix = nn.Parameter(0.5 * torch.eye(hidden_size).repeat(1, 2))
        self.weight_word = nn.Parameter(torch.empty((1 + 2 * rank) * hidden_size, input_size))
        # by xavier_uniform_ for each of 1 + 2 rank matrices, but small, so that those of words begin near the identity
        bound = 0.1 * math.sqrt(6 / (input_size + hidden_size))
        nn.init.uniform_(self.weight_word, -bound, bound)

    def initial_state(self, batch_size: int) -> State:
        sizes = self.hidden_size, self.hidden_size**2
        return tuple(self.weight_hh.new_zeros(batch_size, size) for size in sizes)

    def project(self, x: Tensor) -> Tensor:
        return F.linear(x, torch.cat([self.weight_ih, self.weight_word]))

    def node(self, p: Tensor, *parts: Tensor) -> tuple[Tensor, State]:
        size = self.hidden_size
        own, diagonal, u, v = p.split([size, size, *[self.rank * size] * 2], dim=-1)
        word = diagonal.diag_embed() + u.unflatten(-1, (size, self.rank)) @ v.unflatten(-1, (self.rank, size))
        vectors = self.by_place(parts[0])
        matrices = parts[1].unflatten(-1, (len(vectors), size, size)).unbind(-3) if vectors else ()
        total, after = self.bias + acted_on(own, matrices), word - torch.eye(size, dtype=p.dtype, device=p.device)
        for place, (weight, of_matrix) in enumerate(
            zip(self.weight_hh.chunk(2, 1), self.weight_matrix.chunk(2, 1), strict=True)
        ):
            after = after + of_matrix
            if place < len(vectors):
                others = [word, *matrices[:place], *matrices[place + 1 :]]
                total = total + F.linear(acted_on(vectors[place], others), weight)
                after = after + of_matrix @ matrices[place]
        h = torch.tanh(total)
        return h, (h, after.flatten(-2))


def acted_on(vector: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """A vector (M, H), multiplied by the identity plus these matrices (M, H, H)."""
    return vector + sum(((matrix @ vector[..., None])[..., 0] for matrix in matrices), torch.zeros_like(vector))
