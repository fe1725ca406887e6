"""Leaky integrate-and-fire neurons with adaptive thresholds, which remember for longer than a potential does.

Bellec et al., A Solution to the Learning Dilemma for Recurrent Networks of Spiking Neurons, 2020,
https://doi.org/10.1038/s41467-020-17236-y

    v' = alpha * v + W x + U z + b - theta * z
    z' = 1 where v' > theta + beta * a, else 0
    a' = rho * a + z'

alpha = exp(-1 / tau) and rho = exp(-1 / tau_adaptation). As in `lif`, the derivative of a spike is replaced:

    dz' / dv' = gamma / theta * max(0, 1 - |v' - theta - beta * a| / theta)
"""

from __future__ import annotations

import math

from torch import Tensor

from seqzoo.cells.lif import LeakyIntegrateAndFire, check_positive
from seqzoo.contracts.batch import State


class AdaptiveLeakyIntegrateAndFire(LeakyIntegrateAndFire):
    """State: the spikes z, the potentials v and the adaptations a, (B, H) each. Output: z.

    Args:
        input_size, hidden_size: number of features per step, and of neurons.
        tau: time constant of the potential, in steps.
        tau_adaptation: time constant of the adaptation, in steps.
        threshold: theta.
        adaptation: beta, by which each spike raises the threshold.
        dampening: gamma, the height of the derivative that is used in learning.

    Raises:
        ValueError: an option is not above 0.
    """

    num_states = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        tau: float = 20.0,
        tau_adaptation: float = 200.0,
        threshold: float = 1.0,
        adaptation: float = 0.17,
        dampening: float = 0.3,
    ):
        check_positive(tau_adaptation=tau_adaptation, adaptation=adaptation)
        super().__init__(input_size, hidden_size, tau, threshold, dampening)
        self.tau_adaptation, self.adaptation = tau_adaptation, adaptation

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        z, v, a = state
        v = self.potential(p, z, v)
        z = self.spikes((v - self.threshold - self.adaptation * a) / self.threshold)
        return z, (z, v, math.exp(-1 / self.tau_adaptation) * a + z)
