"""Unbiased online recurrent optimization: the derivatives of the state by the weights as one random outer product.

Source: Tallec & Ollivier, Unbiased Online Recurrent Optimization, 2017, https://arxiv.org/abs/1702.05043
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqzoo.learning.forward import ForwardRule
from seqzoo.learning.network_step import Moment, NetworkStep, add_gradients

TINY = 1e-7


class UnbiasedOnlineRecurrentOptimization(ForwardRule):
    """With random signs v in each step, J and I of `seqzoo.learning.influence` and M of the outer product s t^T:

        s' = r J s + q v,  t' = t / r + I^T v / q,  r = sqrt(|t| / |J s|),  q = sqrt(|I^T v| / |v|)

    The mean of s t^T over v is M. A step takes O(S^2 + P) operations and O(P) memory for each row of a batch.
    """

    unbiased = True

    def prepare(self, step: NetworkStep) -> None:
        self.step, self.names = step, [name for part in step.trained for name in part]

    def first(self, rows: int) -> list[Tensor]:
        state, _ = self.step.split(self.step.model.backbone.initial_state(rows))
        signs = random_signs(state)
        return [signs, self.step.pull_initial(self.names, signs)]

    def products_size(self) -> int:
        return self.step.size

    def products(self, moment: Moment) -> list[Tensor]:
        return []  # they depend on the memory

    def following(self, memory: list[Tensor], products: list[Tensor], moment: Moment) -> list[Tensor]:
        s, t = memory
        signs = random_signs(s)
        pushed = self.step.push_states(moment, s)
        pulled = self.step.pull_weights(moment, self.names, signs[:, None])[:, 0]
        kept = (_norm(t) / (_norm(pushed) + TINY)).sqrt() + TINY
        new = (_norm(pulled) / (_norm(signs) + TINY)).sqrt() + TINY
        return [kept * pushed + new * signs, t / kept + pulled / new]

    def collect(self, memory: list[Tensor], of_states: Tensor) -> list[Tensor]:
        s, t = memory
        return [(of_states * s).sum(1) @ t]

    def add(self, collected: list[Tensor]) -> None:
        add_gradients(self.step.weights(self.names), collected[0])


def random_signs(like: Tensor) -> Tensor:
    """-1 or 1, each with probability 1/2."""
    return torch.randint_like(like.detach(), 2) * 2 - 1


def _norm(rows: Tensor) -> Tensor:
    """(B, N) -> (B, 1)"""
    return rows.norm(dim=1, keepdim=True)
