"""The neural autoregressive distribution estimator (NADE) of the notes of a frame.

Source: Larochelle & Murray, The Neural Autoregressive Distribution Estimator, 2011,
https://proceedings.mlr.press/v15/larochelle11a.html
Boulanger-Lewandowski, Bengio & Vincent, Modeling Temporal Dependencies in High-Dimensional Sequences, 2012 (its biases
depend on the frames before: RNN-NADE), https://arxiv.org/abs/1206.6392

    h_i = sigmoid(a + sum_{j<i} v_j W_j)
    p(v_i = 1 | v_1, ..., v_{i-1}) = sigmoid(b_i + V_i h_i)
    a = A f + c,  b = B f + d,  with features f
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqzoo.network.heads.frame_head import FrameHead, bernoulli, with_given
from seqzoo.network.heads.independent_notes import log_likelihood

NOTES_WITHOUT_VALUES = 8
"""Notes that sound at once, as far as costs are counted without data."""


class Nade(FrameHead):
    """Each note given the features and all higher notes of its frame; the likelihood is exact.

    Notes are ordered from the highest, so that accompaniments of a given melody are drawn from the exact distribution.

    A hidden vector changes only where a note sounds: a frame of four notes has five, not 88. They are computed for all
    frames at once, and the conditional probability of each note is read from the one that belongs to it.

    Args:
        feature_size: O, the width of the features.
        notes: K.
        hidden_size: number of hidden units.
    """

    def __init__(self, feature_size: int, notes: int, hidden_size: int):
        super().__init__()
        self.hidden_bias = nn.Linear(feature_size, hidden_size)
        self.visible_bias = nn.Linear(feature_size, notes)
        self.weight_in = nn.Parameter(torch.empty(notes, hidden_size))
        self.weight_out = nn.Parameter(torch.empty(notes, hidden_size))
        for weight in (self.weight_in, self.weight_out):
            nn.init.normal_(weight, std=hidden_size**-0.5)

    def log_probability(self, features: Tensor, frames: Tensor) -> Tensor:
        order = frames.to(features.dtype).flip(-1)
        before = order.cumsum(-1) - order  # notes that sound among those before each note
        # reading the largest number waits for a GPU
        count = NOTES_WITHOUT_VALUES if before.is_meta else int(before.max()) + 1
        numbers = torch.arange(count, device=before.device)
        first_notes = order[..., None, :] * (before[..., None, :] < numbers[:, None])
        hidden = (self.hidden_bias(features)[..., None, :] + first_notes @ self.weight_in).sigmoid()
        logits = (hidden @ self.weight_out.T).gather(-2, before.long()[..., None, :])[..., 0, :]
        return log_likelihood(logits + self.visible_bias(features), order)

    def draw(self, features: Tensor, temperature: float = 1.0, given: Tensor | None = None) -> Tensor:
        hidden, visible = self.hidden_bias(features), self.visible_bias(features)
        given = None if given is None else given.flip(-1)
        notes: list[Tensor] = []
        for number, (into, out) in enumerate(zip(self.weight_in, self.weight_out, strict=True)):
            logits = hidden.sigmoid() @ out + visible[..., number]
            notes.append(with_given(bernoulli(logits, temperature), None if given is None else given[..., number]))
            hidden = hidden + notes[-1][..., None] * into
        return torch.stack(notes, -1).flip(-1)
