"""Which states a weight influences, and how the derivatives of states by weights follow from step to step.

    M' = J M + I,  M = d state / d weights,  J = d state' / d state,  I = d state' / d weights with the state held fixed

Most entries of J and I are zero for most cells: a weight acts on one unit at once and, in a diagonal recurrence, never
on another one. The places of the others are found from the step itself, once, and M consists of dense blocks there.
Keeping only the places that a weight reaches within n steps is the approximation SnAp-n.

Source: Williams & Zipser, A Learning Algorithm for Continually Running Fully Recurrent Neural Networks, 1989,
https://doi.org/10.1162/neco.1989.1.2.270
Menick et al., Practical Real Time Recurrent Learning with a Sparse Approximation, 2021, https://arxiv.org/abs/2006.07232
Curtis, Powell & Reid, On the Estimation of Sparse Jacobian Matrices, 1974 (rows that share a seed),
https://doi.org/10.1093/imamat/13.1.117
"""

from __future__ import annotations

import copy
import functools
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seqzoo.learning.linear_products import without_recurrence
from seqzoo.learning.network_step import Moment, NetworkStep, add_gradients

ALL_PLACES = 2**30
"""Largest number of elements of I of which all places are looked for to estimate its size."""

PROBES = 64
"""Rows of random states in which places are looked for; a rectified unit is idle in about half of them."""


@dataclass(frozen=True)
class Block:
    """G parts of M of one form: the derivatives of `states[g]` by `weights[g]`.

    Attributes:
        states: (G, N), indices of states.
        weights: (G, K), indices in the vector of weights of the group.
        seeds: (G, N), the seeds that give the rows of I.
        state_seeds: (G, N), the seeds that give the rows of J.
        linked: (G, N, N), True where J may not be zero; None: everywhere.
        patterns, kinds: as in `Places`, for the weights of the group.
    """

    states: Tensor
    weights: Tensor
    seeds: Tensor
    state_seeds: Tensor
    linked: Tensor | None
    patterns: Tensor
    kinds: Tensor

    @property
    def size(self) -> int:
        """The number of derivatives, for each row of a batch."""
        return self.states.numel() * self.weights.shape[1]

    @functools.cached_property
    def direct(self) -> Tensor | None:
        """(G, N, K), True where I may not be zero; None: everywhere."""
        if self.patterns.all():
            return None
        mask = self.patterns[self.states[:, :, None], self.kinds[self.weights][:, None, :]]
        return None if mask.all() else mask

    def entries(self, products: Tensor) -> Tensor:
        """I in these parts, (B, G, N, K), from the products of seeds with it, (B, C, P)."""
        entries = products[:, self.seeds[:, :, None], self.weights[:, None, :]]
        return entries if self.direct is None else entries * self.direct

    def following(self, before: Tensor, of_states: Tensor, of_weights: Tensor) -> Tensor:
        """M after a step, (B, G, N, K).

        Args:
            before: M before it.
            of_states: products of seeds with J, (B, C, S).
            of_weights: products of seeds with I, (B, C, P).
        """
        jacobian = of_states[:, self.state_seeds[:, :, None], self.states[:, None, :]]
        if self.linked is not None:
            jacobian = jacobian * self.linked
        passed = jacobian * before if before.shape[2] == 1 else jacobian @ before
        return passed + self.entries(of_weights)


class Group(NamedTuple):
    """The weights of the backbone, or of the encoder, that influence the state, one after the other: P numbers.

    Attributes:
        names: of the weights, as in `NetworkStep.trained`.
        seeds: (C, S), whose products with I contain all of its entries.
        blocks: the parts of M.
    """

    names: list[str]
    seeds: Tensor
    blocks: list[Block]


class Influence:
    """M of a network, as a list of tensors (B, G, N, K), one for each block.

    Args:
        step: the step of the network.
        order: number n of steps within which a weight reaches the states that are kept; None: all, which is exact.
        recurrent: False: J without derivatives through products with hidden-to-hidden matrices.

    Attributes:
        complete: nothing is left out: M is exact.
        between: (S, S), True where J may not be zero.
        together: (S, S), True where some weight influences both states.
    """

    def __init__(self, step: NetworkStep, order: int | None = None, recurrent: bool = True):
        self.step, self.recurrent = step, recurrent
        backbone, between = places(step, recurrent)
        parts = [part for part in (backbone, _everywhere(step)) if len(part.kinds)]
        reached = [_reached(part.patterns, between, order) for part in parts]
        complete = [_reached(part.patterns, between, None) for part in parts]
        self.complete = recurrent and all(map(torch.equal, reached, complete))
        self.between = between
        self.together = functools.reduce(torch.logical_or, map(_shared, reached), torch.zeros_like(between))
        needed = between & self.together
        state_seeds = colours(conflicts(needed, between))
        self.state_seeds = one_hot(state_seeds)
        self.groups = []
        for part, columns in zip(parts, reached, strict=True):
            seeds = colours(_shared(part.patterns))
            blocks = _blocks(part, columns, needed, seeds, state_seeds, step.device)
            self.groups.append(Group(part.names, one_hot(seeds), blocks))
        self.blocks = [block for group in self.groups for block in group.blocks]

    @property
    def size(self) -> int:
        """The number of derivatives, for each row of a batch."""
        return sum(block.size for block in self.blocks)

    @property
    def products_size(self) -> int:
        """The number of elements of `products`, for each row of a batch and each step."""
        sizes = (len(group.seeds) * self.step.count(group.names) for group in self.groups)
        return self.state_seeds.numel() + sum(sizes)

    def products(self, moment: Moment) -> list[Tensor]:
        """The products of seeds with J, (N, C, S), and for each group with I, (N, C, P), at N steps."""
        if not self.groups:
            return []
        like = moment.features
        return [
            self.step.pull_states(moment, self.state_seeds.to(like), self.recurrent),
            *(self.step.pull_weights(moment, group.names, group.seeds.to(like)) for group in self.groups),
        ]

    def following(self, memory: list[Tensor], products: list[Tensor]) -> list[Tensor]:
        """M after a step.

        Args:
            memory: M before it.
            products: from `products`, at one step of each row.
        """
        before = iter(memory)
        return [
            block.following(next(before), products[0], of_weights)
            for group, of_weights in zip(self.groups, products[1:], strict=True)
            for block in group.blocks
        ]

    def first(self, rows: int) -> list[Tensor]:
        """M of the initial state, which may be learned."""
        memory = []
        for group in self.groups:
            products = self.step.pull_initial(group.names, group.seeds)
            memory += [block.entries(products[None]).expand(rows, -1, -1, -1) for block in group.blocks]
        return memory

    def gradients(self, memory: list[Tensor], of_states: Tensor) -> list[Tensor]:
        """The gradients of the weights of each block, (G, K), summed over rows.

        Args:
            memory: M.
            of_states: gradients of a loss with respect to the states, (B, S).
        """
        return [
            torch.einsum("bgn,bgnk->gk", of_states[:, block.states], part)
            for block, part in zip(self.blocks, memory, strict=True)
        ]

    def add(self, gradients: list[Tensor]) -> None:
        """Add gradients, from `gradients`, to `grad` of the weights."""
        remaining = iter(gradients)
        for group in self.groups:
            weights = self.step.weights(group.names)
            total = weights[0].new_zeros(self.step.count(group.names))
            for block in group.blocks:
                total.index_add_(0, block.weights.flatten(), next(remaining).flatten())
            add_gradients(weights, total)


class Places(NamedTuple):
    """Where I may not be zero.

    Attributes:
        names: of the weights that influence the state; together they are P numbers.
        patterns: (S, U), the distinct columns, True where I may not be zero.
        kinds: (P,), the column of each number.
    """

    names: list[str]
    patterns: Tensor
    kinds: Tensor


class Probe:
    """Rows of I and J of a step of the backbone, at random inputs, states and weights.

    Args:
        step: the step.
        recurrent: as in `Influence`.

    Attributes:
        names: of the weights of the backbone, whose numbers are the columns of I.
    """

    def __init__(self, step: NetworkStep, recurrent: bool = True):
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64, generator=generator)

        network = NetworkStep(copy.deepcopy(step.model).cpu().double().eval())
        self._weights = list(network.trained[0].values())
        self.names = list(network.trained[0])
        with torch.no_grad():
            for weight in self._weights:
                weight.add_(0.3 * draw(*weight.shape))
        self._initial, counters = network.split(network.model.backbone.initial_state(1))
        self._before = draw(PROBES, step.size).requires_grad_()
        # at 0 all modules of a clockwork network are due
        counts = [torch.arange(PROBES, dtype=torch.float64).sub(PROBES // 2).clamp(min=0)] * len(counters)
        inputs = draw(PROBES, step.model.encoder.output_size)
        with nullcontext() if recurrent else without_recurrence(network.model.backbone):
            _, after = network.model.backbone.step(inputs, network.join(self._before, counts))
        self._following, self._mixtures = network.split(after)[0], draw(step.size, PROBES)

    def row(self, state: int) -> tuple[Tensor, Tensor]:
        """Where the row of I (P,), and that of J (S,), may not be zero.

        The derivatives of a learned initial state count for I.
        """
        ends = [self._mixtures[state] @ self._following[:, state], self._initial[0, state]]
        *of_weights, of_states = torch.autograd.grad(
            [end for end in ends if end.requires_grad],
            [*self._weights, self._before],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        together = [of_states.new_zeros(0), *(gradient.flatten() for gradient in of_weights)]
        return torch.cat(together) != 0, (of_states != 0).any(0)


def places(step: NetworkStep, recurrent: bool = True) -> tuple[Places, Tensor]:
    """Where I, for the weights of the backbone, and J (S, S) may not be zero.

    Args:
        step: the step.
        recurrent: as in `Influence`.
    """
    probe = Probe(step, recurrent)
    # all rows are computed twice, because I as a whole may not fit into memory
    codes = torch.randint(2**62, (step.size,), generator=torch.Generator().manual_seed(0))
    hashes = torch.zeros(step.count(probe.names), dtype=torch.long)
    between = torch.zeros(step.size, step.size, dtype=torch.bool)
    for state in range(step.size):
        of_weights, between[state] = probe.row(state)
        hashes += of_weights * codes[state]
    sizes = [weight.numel() for weight in step.weights(probe.names)]
    kept = [bool(piece.any()) for piece in hashes.split(sizes)]
    names = [name for name, keep in zip(probe.names, kept, strict=True) if keep]
    if not names:
        return Places([], between[:, :0], hashes[:0]), between
    influencing = torch.tensor(kept).repeat_interleave(torch.tensor(sizes))
    distinct, kinds = hashes[influencing].unique(return_inverse=True)
    examples = torch.zeros_like(distinct).scatter_(0, kinds, torch.arange(len(kinds)))
    patterns = torch.stack([probe.row(state)[0][influencing][examples] for state in range(step.size)])
    return Places(names, patterns, kinds), between


def estimated_size(step: NetworkStep, order: int | None) -> int:
    """`Influence.size` or, where looking for all places would take minutes, an estimate from a few rows of J."""
    numbers = step.count(name for part in step.trained for name in part)
    if step.size * numbers <= ALL_PLACES:
        return Influence(step, order).size
    probe = Probe(step)
    dense = all(probe.row(state)[1].double().mean() > 0.5 for state in range(0, step.size, step.size // 4))
    return numbers * (step.size if dense and order != 1 else 1)


def _everywhere(step: NetworkStep) -> Places:
    """The places of the weights of the encoder: all."""
    numbers = step.count([*step.trained[1]])
    return Places([*step.trained[1]], torch.ones(step.size, 1, dtype=torch.bool), torch.zeros(numbers).long())


def _reached(patterns: Tensor, between: Tensor, order: int | None) -> Tensor:
    """The states (S, U) that are reached within `order` steps, from those that are reached at once."""
    links, reached, steps = between.float(), patterns, 1
    while order is None or steps < order:
        further = reached | ((links @ reached.float()) > 0)
        if torch.equal(further, reached):
            break
        reached, steps = further, steps + 1
    return reached


def _shared(patterns: Tensor) -> Tensor:
    """(S, S), True where two rows have an entry in the same column."""
    return (patterns.float() @ patterns.float().T) > 0


def conflicts(needed: Tensor, present: Tensor) -> Tensor:
    """(S, S), True where one row has an entry in a column in which that of the other one is needed."""
    disturbs = (needed.float() @ present.float().T) > 0
    return disturbs | disturbs.T


def colours(of_rows: Tensor) -> Tensor:
    """A number for each row, (S,), as small as possible and different for rows in conflict."""
    numbers = torch.full((len(of_rows),), -1)
    for row, others in enumerate(of_rows):
        taken = torch.zeros(row + 2, dtype=torch.bool)
        used = numbers[:row][others[:row]]
        taken[used] = True
        numbers[row] = int((~taken).nonzero()[0])
    return numbers


def one_hot(numbers: Tensor) -> Tensor:
    """Seeds (C, S): the sums of the rows of one colour."""
    return torch.nn.functional.one_hot(numbers).T if len(numbers) else numbers[:, None].float()


def _blocks(
    part: Places, reached: Tensor, needed: Tensor, seeds: Tensor, state_seeds: Tensor, device: torch.device
) -> list[Block]:
    """The blocks of M: for each set of states that some weights reach, those that are linked by J are one part.

    Args:
        part: the weights.
        reached: (S, U), the states that each kind of weight reaches.
        needed: (S, S), where J may not be zero.
        seeds, state_seeds: (S,), the seed of each row of I and J.
        device: of the blocks.
    """
    sets, number_of_set = reached.unique(dim=1, return_inverse=True)
    of_weight = number_of_set[part.kinds]
    ordered = of_weight.argsort(stable=True)
    members = ordered.split(of_weight.bincount(minlength=sets.shape[1]).tolist())
    parts: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for states, weights in zip(sets.T, members, strict=True):
        for linked in _components(states.nonzero()[:, 0], needed):
            parts[len(linked), len(weights)].append((linked, weights))
    blocks = []
    for pairs in parts.values():
        states = torch.stack([states for states, _ in pairs])
        shared = all(weights is pairs[0][1] for _, weights in pairs)
        weights = pairs[0][1].expand(len(pairs), -1) if shared else torch.stack([weights for _, weights in pairs])
        linked = needed[states[:, :, None], states[:, None, :]]
        blocks.append(
            Block(
                states.to(device),
                weights.to(device),
                seeds[states].to(device),
                state_seeds[states].to(device),
                None if linked.all() else linked.to(device),
                part.patterns.to(device),
                part.kinds.to(device),
            )
        )
    return blocks


def _components(states: Tensor, links: Tensor) -> list[Tensor]:
    """States, in parts without links between them."""
    among = links[states][:, states]
    among = among | among.T
    components, rest = [], torch.ones(len(states), dtype=torch.bool)
    while rest.any():
        component = torch.zeros_like(rest)
        component[rest.nonzero()[0]] = True
        while True:
            larger = component | among[component].any(0)
            if torch.equal(larger, component):
                break
            component = larger
        components.append(states[component])
        rest &= ~component
    return components
