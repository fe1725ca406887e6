"""Regularisation of the state of any cell: zoneout, recurrent dropout, weight drop and gradient clipping.

Krueger et al., Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations, 2017, https://arxiv.org/abs/1606.01305
Gal & Ghahramani, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks, 2016,
https://arxiv.org/abs/1512.05287 (recurrent dropout)
Merity, Keskar & Socher, Regularizing and Optimizing LSTM Language Models, 2018 (weight drop),
https://arxiv.org/abs/1708.02182
Graves, Generating Sequences With Recurrent Neural Networks, 2013 (clipping inside the recurrence),
https://arxiv.org/abs/1308.0850
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.cells.cell import Cell, CellScan
from seqzoo.contracts.batch import State
from seqzoo.contracts.state import flatten, map_state
from seqzoo.kernels import step_results


@dataclass(frozen=True)
class Modifiers:
    """Options of every cell.

    Args:
        zoneout: zoneout probability, that a unit of the state keeps its last value; in evaluation the expectation is
            used.
        recurrent_dropout: dropout on the first tensor of the state (h) before the step, with one mask per sequence.
        weight_drop: dropout on `weight_hh`, with one mask per sequence; single steps use all weights.
        clip_state_gradient: clip each element of the state's gradient to +- this value at every step; None: no
            clipping.
    """

    zoneout: float = 0.0
    recurrent_dropout: float = 0.0
    weight_drop: float = 0.0
    clip_state_gradient: float | None = None

    def __post_init__(self) -> None:
        for name in ("zoneout", "recurrent_dropout", "weight_drop"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}: it is a probability, 0 <= {name} < 1")
        if self.clip_state_gradient is not None and self.clip_state_gradient <= 0:
            raise ValueError(f"clip_state_gradient is {self.clip_state_gradient}: it must be above 0, or null")


def modify(cell: Cell, modifiers: Modifiers) -> Cell:
    """A cell with modifiers; the cell itself if none is set.

    Raises:
        ValueError: the cell does not have the weights that a modifier acts on.
    """
    return cell if modifiers == Modifiers() else ModifiedCell(cell, modifiers)


class ModifiedCell(Cell):
    """A cell with modifiers. Where they have no effect, such as dropout in evaluation, `scan` of the cell is used.

    Modifiers act from step to step, so that trees are not supported.
    """

    supports = ("resets",)

    def __init__(self, cell: Cell, modifiers: Modifiers):
        super().__init__()
        if modifiers.weight_drop and "weight_hh" not in dict(cell.named_parameters()):
            raise ValueError(f"weight_drop is set, but {type(cell).__name__} trains no hidden-to-hidden weights")
        self.cell, self.modifiers, self.engine = cell, modifiers, cell.engine
        self.input_size, self.hidden_size, self.output_size = cell.input_size, cell.hidden_size, cell.output_size

    def initial_state(self, batch_size: int) -> State:
        return step_results.first_state(self.cell, batch_size)

    def project(self, x: Tensor) -> Tensor:
        """The projected input of the cell. In training with zoneout, a uniform random number for each unit of the state
        is appended, so that the step itself is deterministic.
        """
        p = step_results.project(self.cell, x)
        if not self._draws:
            return p
        width = _size(self.initial_state(1))
        return torch.cat([p, torch.rand(*p.shape[:-1], width, dtype=p.dtype, device=p.device)], dim=-1)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        return self.masked_step(p, state, None)

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, by: CellScan | None = None
    ) -> tuple[Tensor, State]:
        if by is not None or (isinstance(x, Tensor) and x.dim() == 2):
            return self.cell(x, state, lengths, by or functools.partial(Cell.forward, self))
        if not self.training or not self.modifiers.weight_drop:
            return self._scan(x, state, lengths)
        if "weight_hh" not in self.cell._parameters:
            raise ValueError(
                "weight_drop acts on weight_hh, which is computed from other parameters here: leave one out"
            )
        dropped = {"cell.weight_hh": F.dropout(self.cell.get_parameter("weight_hh"), self.modifiers.weight_drop)}
        return torch.func.functional_call(_Scan(self), dropped, (x, state, lengths))

    def masked_step(self, p: Tensor, state: State, mask: Tensor | None) -> tuple[Tensor, State]:
        """`step` with the mask (B, H) of recurrent dropout on h; None: no dropout."""
        limit = self.modifiers.clip_state_gradient
        if limit is not None:
            state = map_state(lambda part: _ClipGradient.apply(part, limit), state)
        noise = None
        if self._draws:
            width = _size(state)
            p, noise = p.split([p.shape[-1] - width, width], dim=-1)
        output, following = step_results.step(self.cell, p, state if mask is None else (state[0] * mask, *state[1:]))
        if not self.modifiers.zoneout:
            return output, following
        kept = self._zone_out(following, state, noise)
        # a cell whose output is its state also outputs the mixed state
        return (kept[0] if output is following[0] else output), kept

    @property
    def _draws(self) -> bool:
        return self.training and self.modifiers.zoneout > 0

    def _scan(self, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[Tensor, State]:
        modifiers = self.modifiers
        if self.training and modifiers.recurrent_dropout:
            return self.cell(x, state, lengths, self._scan_masked)
        if not modifiers.zoneout and modifiers.clip_state_gradient is None:
            return self.cell.scan(x, state, lengths)
        return self.cell(x, state, lengths, functools.partial(Cell.forward, self))

    def _scan_masked(self, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[Tensor, State]:
        state, lengths = self.checked(x, state, lengths)
        mask = F.dropout(torch.ones_like(state[0]), self.modifiers.recurrent_dropout)
        outputs, (_, *after) = _Masked(self).scan(x, (mask, *state), lengths)
        return outputs, tuple(after)

    def _zone_out(self, new: State, old: State, noise: Tensor | None) -> State:
        """Mix old and new state. noise: (B, size of the state), uniform from 0 to 1; None: the expectation."""
        start = 0

        def mix(new: Tensor, old: Tensor) -> Tensor:
            nonlocal start
            if new.dim() == 1:  # counters are not mixed
                return new
            if noise is None:
                return torch.lerp(new, old, self.modifiers.zoneout)
            values = noise[:, start : start + math.prod(new.shape[1:])]
            start += values.shape[1]
            return torch.where((values if new.dim() == 2 else values.view_as(new)) < self.modifiers.zoneout, old, new)

        return map_state(mix, new, old)


def _size(state: State) -> int:
    """Size of a state per row, without counters."""
    return sum(math.prod(part.shape[1:]) for part in flatten(state) if part.dim() > 1)


class _Masked(Cell):
    """A modified cell with the mask of recurrent dropout as the first tensor of its state, constant over time."""

    def __init__(self, owner: ModifiedCell):
        super().__init__()
        self.owner, self.engine = owner, owner.engine
        self.input_size, self.output_size = owner.input_size, owner.output_size

    def initial_state(self, batch_size: int) -> State:
        """A mask without dropout, and the state of the cell."""
        state = self.owner.initial_state(batch_size)
        return torch.ones_like(state[0]), *state

    def project(self, x: Tensor) -> Tensor:
        return self.owner.project(x)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        mask, *parts = state
        output, after = self.owner.masked_step(p, tuple(parts), mask)
        return output, (mask, *after)


class _Scan(nn.Module):
    """A module whose call is the scan of a modified cell, for `functional_call` with other weights."""

    def __init__(self, owner: ModifiedCell):
        super().__init__()
        self.cell, self._owner = owner.cell, [owner]

    def forward(self, x: Tensor, state: State | None, lengths: Tensor | None) -> tuple[Tensor, State]:
        return self._owner[0]._scan(x, state, lengths)


class _ClipGradient(torch.autograd.Function):
    """The identity with a clipped gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(part: Tensor, limit: float) -> Tensor:
        return part.view_as(part)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.limit = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.clamp(-ctx.limit, ctx.limit), None
