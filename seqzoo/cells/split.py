"""Base class of gated cells whose last gate is multiplied with the result of the other gates instead of h."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from seqzoo.cells.gated import GatedCell


class SplitGatedCell(GatedCell):
    """`recur` in two parts, over rows of the same parameters.

    Args:
        input_size, hidden_size: number of features per step, and of hidden units.
        layer_norm: as in `GatedCell`, but the two products are normalised separately.
    """

    def recur_gates(self, h: Tensor) -> Tensor:
        """The recurrent part of all gates except the last: (B, H) -> (B, (G - 1)H)."""
        return self._recur(h, slice(0, -self.hidden_size))

    def recur_last(self, h: Tensor) -> Tensor:
        """The recurrent part of the last gate: (B, H) -> (B, H)."""
        return self._recur(h, slice(-self.hidden_size, None))

    def _recur(self, h: Tensor, rows: slice) -> Tensor:
        weight, bias = self.weight_hh[rows], self.bias_hh[rows]
        if not self.layer_norm:
            return F.linear(h, weight, bias)
        return F.layer_norm(F.linear(h, weight), bias.shape, self.norm_hh.weight[rows]) + bias
