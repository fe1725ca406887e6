"""The restricted Boltzmann machine (RBM) of the notes of a frame.

Source: Boulanger-Lewandowski, Bengio & Vincent, Modeling Temporal Dependencies in High-Dimensional Sequences, 2012 (its
biases depend on the frames before: RNN-RBM), https://arxiv.org/abs/1206.6392
Hinton, Training Products of Experts by Minimizing Contrastive Divergence, 2002,
https://doi.org/10.1162/089976602760128018
Burda, Grosse & Salakhutdinov, Accurate and Conservative Estimates of MRF Log-likelihood Using Reverse Annealing, 2015,
https://arxiv.org/abs/1412.8566

    p(v) = exp(-F(v)) / Z
    F(v) = -b v - sum_j log(1 + exp(a_j + W_j v))
    a = A f + c,  b = B f + d,  with features f
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.network.heads.frame_head import FrameHead, bernoulli, with_given
from seqzoo.network.heads.independent_notes import log_likelihood

MEAN_FIELD_STEPS = 10
SEED = 0
"""Of the chains that estimate probabilities, so that equal weights have equal scores."""


class Rbm(FrameHead):
    """Notes and hidden units that depend on each other, trained by contrastive divergence.

    The normaliser Z is a sum over 2^K frames. Frames are therefore drawn from an annealed model: from independent notes
    (W = 0), by `annealing_steps` steps of Gibbs sampling in which W grows to its full size. `log_probability` is in
    expectation a lower bound of the log-probability of the annealed model, by the reverse annealing of Burda et al.
    2015 with one chain for each frame. With many steps the bound becomes tight, and the annealed model the RBM.

    Args:
        feature_size: O, the width of the features.
        notes: K.
        hidden_size: number of hidden units.
        gibbs_steps: k of CD-k, the steps from a frame to the sample that it is contrasted with.
        annealing_steps: steps from independent notes to the RBM.
    """

    exact = False

    def __init__(
        self, feature_size: int, notes: int, hidden_size: int, gibbs_steps: int = 5, annealing_steps: int = 100
    ):
        super().__init__()
        self.hidden_bias = nn.Linear(feature_size, hidden_size)
        self.visible_bias = nn.Linear(feature_size, notes)
        self.weight = nn.Parameter(0.01 * torch.randn(hidden_size, notes))
        self.gibbs_steps, self.annealing_steps = gibbs_steps, annealing_steps

    def loss(self, features: Tensor, frames: Tensor) -> Tensor:
        """In training the contrastive divergence, whose gradient approximates that of the negative log-likelihood;
        otherwise an upper bound of the latter, from `log_probability`.
        """
        if not self.training:
            return super().loss(features, frames)
        biases = self._biases(features)
        frames = frames.to(biases[0].dtype)
        with torch.no_grad():
            sample = frames
            for _ in range(self.gibbs_steps):
                sample = self._gibbs(biases, sample)
        return self._free_energy(biases, frames) - self._free_energy(biases, sample)

    def log_probability(self, features: Tensor, frames: Tensor) -> Tensor:
        biases = self._biases(features)
        generator = torch.Generator(features.device).manual_seed(SEED)
        frames, total = frames.to(biases[0].dtype), torch.zeros_like(biases[0][..., 0])
        for step in range(self.annealing_steps, 0, -1):
            scale = step / self.annealing_steps
            before = self._free_energy(biases, frames, scale)
            frames = self._gibbs(biases, frames, scale, generator)
            total = total + self._free_energy(biases, frames, scale) - before
        return total + log_likelihood(biases[1], frames)

    def draw(self, features: Tensor, temperature: float = 1.0, given: Tensor | None = None) -> Tensor:
        hidden, visible = self._biases(features)
        if temperature == 0:
            notes = with_given(visible.sigmoid(), given)
            for _ in range(MEAN_FIELD_STEPS):
                units = (hidden + notes @ self.weight.T).sigmoid()
                notes = with_given((visible + units @ self.weight).sigmoid(), given)
            return (notes > 0.5).float()
        biases = hidden / temperature, visible / temperature
        frames = with_given(bernoulli(biases[1], 1.0), given)
        for step in range(1, self.annealing_steps + 1):
            scale = step / self.annealing_steps / temperature
            frames = with_given(self._gibbs(biases, frames, scale), given)
        return frames

    def _biases(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """a (..., H) and b (..., K), in float32 or more: sums over steps lose digits in bfloat16."""
        hidden, visible = self.hidden_bias(features), self.visible_bias(features)
        return (hidden.float(), visible.float()) if hidden.dtype.itemsize < 4 else (hidden, visible)

    def _free_energy(self, biases: tuple[Tensor, Tensor], frames: Tensor, scale: float = 1.0) -> Tensor:
        """F(v) with W multiplied by a scale: (..., K) -> (...)."""
        hidden, visible = biases
        return -(visible * frames).sum(-1) - F.softplus(hidden + frames @ (scale * self.weight.T)).sum(-1)

    def _gibbs(
        self,
        biases: tuple[Tensor, Tensor],
        frames: Tensor,
        scale: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """One step of Gibbs sampling: the hidden units given the notes, then the notes given these."""
        hidden, visible = biases
        units = (hidden + frames @ (scale * self.weight.T)).sigmoid().bernoulli(generator=generator)
        return (visible + units @ (scale * self.weight)).sigmoid().bernoulli(generator=generator)
