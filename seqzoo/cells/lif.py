"""Leaky integrate-and-fire neurons, which emit spikes.

Bellec et al., A Solution to the Learning Dilemma for Recurrent Networks of Spiking Neurons, 2020,
https://doi.org/10.1038/s41467-020-17236-y

    v' = alpha * v + W x + U z + b - theta * z
    z' = 1 where v' > theta, else 0

v is the membrane potential, which a spike lowers by the threshold theta; alpha = exp(-1 / tau). A step function has no
useful derivative, so that learning takes another one in its place, and passes none through the reset:

    dz' / dv' = gamma / theta * max(0, 1 - |v' - theta| / theta)
"""

from __future__ import annotations

import copy
import math

from torch import Tensor, nn

from seqzoo.cells.gated import GatedCell
from seqzoo.cells.spikes import smooth, spike
from seqzoo.contracts.batch import State


class LeakyIntegrateAndFire(GatedCell):
    """State: the spikes z and the potentials v, (B, H) each. Output: z.

    Weights are drawn from a normal distribution with variance 1 / fan-in.

    Args:
        input_size, hidden_size: number of features per step, and of neurons.
        tau: time constant of the potential, in steps.
        threshold: theta.
        dampening: gamma, the height of the derivative that is used in learning.

    Raises:
        ValueError: an option is not above 0.
    """

    gates = ("v",)
    num_states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        tau: float = 20.0,
        threshold: float = 1.0,
        dampening: float = 0.3,
    ):
        check_positive(tau=tau, threshold=threshold, dampening=dampening)
        super().__init__(input_size, hidden_size)
        self.tau, self.threshold, self.dampening = tau, threshold, dampening
        self.is_smooth = False

    def reset_parameters(self) -> None:
        super().reset_parameters()
        for weight in (self.weight_ih, self.weight_hh):
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)

    def smoothed(self) -> LeakyIntegrateAndFire:
        twin = copy.deepcopy(self)
        twin.is_smooth = True
        return twin

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        z, v = state
        v = self.potential(p, z, v)
        z = self.spikes((v - self.threshold) / self.threshold)
        return z, (z, v)

    def potential(self, p: Tensor, z: Tensor, v: Tensor) -> Tensor:
        """The potentials v' after a step."""
        reset = z if self.is_smooth else z.detach()
        return math.exp(-1 / self.tau) * v + p + self.recur(z) - self.threshold * reset

    def spikes(self, u: Tensor) -> Tensor:
        """z', from how far potentials are above their thresholds, in units of theta."""
        return (smooth if self.is_smooth else spike)(u, self.dampening)


def check_positive(**options: float) -> None:
    """Raise ValueError if an option is not above 0."""
    for name, value in options.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}: it must be above 0")
