"""Derivatives of states by weights over many steps at once: each piece of time is backpropagated from the states at its
end, and joined to what came before it.

    M' = J M + I,  J = d state' / d state,  I = d state' / d weights,  of a piece from state to state'

For S state variables and P weights a step takes O(S P) operations, and a piece O(S^2 P) more; if each weight influences
one unit only, about as much as backpropagation. The result is that of `seqzoo.learning.influence` step by step.

Source: Schmidhuber, A Fixed Size Storage O(n^3) Time Complexity Learning Algorithm for Fully Recurrent Continually
Running Networks, 1992, https://doi.org/10.1162/neco.1992.4.2.243
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from seqzoo.contracts.steps import Steps
from seqzoo.learning.influence import Influence, colours, conflicts, one_hot

STEPS = 256
"""Steps of a piece, whose states are kept until it has been backpropagated."""


class Piece(NamedTuple):
    """Some steps of one row.

    Attributes:
        inputs: what the step of the network reads, (1, T) or (1, T, I).
        resets: (1, T), or None.
        state: before the piece, (1, S).
        counters: of that state, (1,) each.
        of_outputs: gradients with respect to the outputs, (1, T, O).
    """

    inputs: Tensor
    resets: Tensor | None
    state: Tensor
    counters: list[Tensor]
    of_outputs: Tensor


class InfluenceOfPieces:
    """M after a piece, from M before it.

    Args:
        influence: M of all states that a weight reaches: `Influence.complete`.

    Attributes:
        seeds: (C, S), whose products with J and I contain all of their entries.
    """

    def __init__(self, influence: Influence):
        self.step = influence.step
        reached = _closure(influence.between)
        needed = reached & influence.together
        of_states = colours(influence.together | conflicts(needed, reached))
        self.seeds = one_hot(of_states).to(self.step.device)
        self.groups = []
        for group in influence.groups:
            blocks = []
            for block in group.blocks:
                states = block.states.cpu()
                seeds, linked = of_states[states].to(block.seeds), needed[states[:, :, None], states[:, None, :]]
                # over several steps, all states of a block depend on each of its weights
                everywhere = {"patterns": torch.ones(1, 1, dtype=torch.bool), "seeds": seeds, "state_seeds": seeds}
                mask = None if linked.all() else linked.to(block.states.device)
                blocks.append(dataclasses.replace(block, linked=mask, **everywhere))
            self.groups.append((group.names, blocks))

    def following(self, memory: list[Tensor], piece: Piece) -> tuple[list[Tensor], Tensor, Tensor, list[Tensor]]:
        """Go through a piece, and add the gradients of its own steps to `grad` of the weights.

        Args:
            memory: M before the piece, of one row.
            piece: the piece.

        Returns:
            M after the piece, the gradients with respect to the state before it, (1, S), and the state and the counters
            after it.
        """
        model, before = self.step.model, piece.state.detach().requires_grad_()
        with torch.enable_grad():
            vectors = piece.inputs if self.step.reads_vectors else model.encoder(piece.inputs[0])[None]
            state = self.step.join(before, piece.counters)
            outputs, after = model.backbone(vectors, Steps(resets=piece.resets), state)
            features, counters = self.step.split(after)
        outputs.backward(piece.of_outputs, retain_graph=True)
        weights = [weight for names, _ in self.groups for weight in self.step.weights(names)]
        of_states, of_weights = [], []
        for number, seed in enumerate(self.seeds):
            from_state, *from_weights = torch.autograd.grad(
                features,
                [before, *weights],
                seed[None].to(features),
                retain_graph=number < len(self.seeds) - 1,
                allow_unused=True,
                materialize_grads=True,
            )
            of_states.append(from_state[0])
            of_weights.append(torch.cat([part.flatten() for part in from_weights]))
        sizes = [self.step.count(names) for names, _ in self.groups]
        products = torch.stack(of_weights)[None].split(sizes, dim=2)
        remaining, jacobian = iter(memory), torch.stack(of_states)[None]
        reached = [
            block.following(next(remaining), jacobian, part)
            for (_, blocks), part in zip(self.groups, products, strict=True)
            for block in blocks
        ]
        of_before = torch.zeros_like(before) if before.grad is None else before.grad
        return reached, of_before, features.detach(), [counter.detach() for counter in counters]


def _closure(between: Tensor) -> Tensor:
    """(S, S), True where a state depends on one any number of steps ago, none included."""
    reached = between | torch.eye(len(between), dtype=torch.bool)
    while True:
        further = (reached.float() @ reached.float()) > 0
        if torch.equal(further, reached):
            return reached
        reached = further
