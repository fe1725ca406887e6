"""What cells share whose state is a linear function of the last one: a sequence is one parallel scan."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding
from seqzoo.kernels.linear_scan import linear_scan


class LinearRecurrence(Cell):
    """h' = a * h + b, elementwise, where a and b depend on the input alone. A cell writes `coefficients` and, where its
    output is not its state, `output`.

    A state of one tensor is h; one of two is the real and the imaginary part of a complex h.
    """

    @abstractmethod
    def coefficients(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """(..., P) -> a and b, (..., H) each, complex where h is."""

    def output(self, p: Tensor, h: Tensor) -> Tensor:
        """(..., P) and h' (..., H) -> (..., O)"""
        return h

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        a, b = self.coefficients(p)
        h = a * self._pack(state) + b
        return self.output(p, h), self._unpack(h, state)

    def torch_scan(self, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State] | None:
        p = self.project(x)
        h = linear_scan(*self.coefficients(p), self._pack(state), lengths)
        outputs = zero_padding(self.output(p, h), lengths)
        return outputs, self._unpack(h[:, -1], state)

    @staticmethod
    def _pack(state: State) -> Tensor:
        return state[0] if len(state) == 1 else make_complex(*state)

    @staticmethod
    def _unpack(h: Tensor, like: State) -> State:
        # torch has no complex numbers of 16 bits: they are computed in 32 and kept in 16
        return (h.real.to(like[0].dtype), h.imag.to(like[1].dtype)) if h.is_complex() else (h,)


def make_complex(real: Tensor, imaginary: Tensor) -> Tensor:
    """At least in float32."""
    dtype = torch.promote_types(real.dtype, torch.float32)
    return torch.complex(real.to(dtype), imaginary.to(dtype))


def side_by_side(h: Tensor) -> Tensor:
    """Complex (..., H) -> real (..., 2H): the real parts, then the imaginary ones."""
    return torch.cat([h.real, h.imag], dim=-1)
