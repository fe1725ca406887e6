"""Base class of cells with a linear recurrence, which run in parallel over time."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding
from seqzoo.kernels.linear_scan import linear_scan


class LinearRecurrence(Cell):
    """h' = a * h + b, elementwise, where a and b depend on the input only. Subclasses define `coefficients` and, if the
    output is not the state, `output`.

    A state of one tensor is h; two tensors are the real and the imaginary part of a complex h.
    """

    @abstractmethod
    def coefficients(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """a and b, both (..., H) and complex if h is, from the projected input (..., P)."""

    def output(self, p: Tensor, h: Tensor) -> Tensor:
        """The output (..., O), from the projected input (..., P) and h' (..., H)."""
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
        # computed in float32, because 16-bit complex arithmetic is not supported, and stored in 16 bits
        return (h.real.to(like[0].dtype), h.imag.to(like[1].dtype)) if h.is_complex() else (h,)


def make_complex(real: Tensor, imaginary: Tensor) -> Tensor:
    """A complex tensor of at least float32 precision from real and imaginary parts."""
    dtype = torch.promote_types(real.dtype, torch.float32)
    return torch.complex(real.to(dtype), imaginary.to(dtype))


def side_by_side(h: Tensor) -> Tensor:
    """Concatenate real and imaginary parts: complex (..., H) -> real (..., 2H)."""
    return torch.cat([h.real, h.imag], dim=-1)
