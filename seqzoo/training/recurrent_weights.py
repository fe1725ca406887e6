"""Penalties and a constraint on hidden-to-hidden matrices, whose size decides whether gradients vanish or explode."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from seqzoo.cells.cell import Cell
from seqzoo.training.settings import Training


class RecurrentWeights:
    """The hidden-to-hidden matrices of the cells of a model, one for each gate.

    Args:
        model: the model, on its device.
        settings: `recurrent_l1`, `recurrent_l2` and `recurrent_norm`.

    Source: Pascanu, Mikolov & Bengio, On the Difficulty of Training Recurrent Neural Networks, 2013 (L1 and L2 against
    exploding gradients), https://arxiv.org/abs/1211.5063
    Yoshida & Miyato, Spectral Norm Regularization for Improving the Generalizability of Deep Learning, 2017 (the
    largest singular value), https://arxiv.org/abs/1705.10941
    """

    def __init__(self, model: nn.Module, settings: Training):
        self.model, self.settings = model, settings

    def penalise(self) -> None:
        """Add the gradients of the penalties to `grad`."""
        absolute, squared = self.settings.recurrent_l1, self.settings.recurrent_l2
        if not absolute and not squared:
            return
        for matrix, parameter in self._matrices():
            if parameter.grad is not None:
                offset = matrix.storage_offset() - parameter.storage_offset()
                gradient = parameter.grad.contiguous()
                gradient.as_strided(matrix.shape, matrix.stride(), offset).add_(
                    absolute * matrix.sign() + squared * matrix
                )
                parameter.grad = gradient

    @torch.no_grad()
    def constrain(self) -> None:
        """Reduce singular values above `recurrent_norm` to it."""
        limit = self.settings.recurrent_norm
        if limit is None:
            return
        for matrix, _ in self._matrices():
            left, values, right = torch.linalg.svd(matrix.float(), full_matrices=False)
            excess = (values - limit).clamp(min=0)
            # nothing is subtracted, and no rounding added, where no value is above the limit
            matrix.sub_(((left * excess) @ right).to(matrix.dtype))

    def _matrices(self) -> Iterator[tuple[Tensor, nn.Parameter]]:
        """Views of trained matrices, each with the parameter that it is a part of."""
        parameters = {
            weight.untyped_storage().data_ptr(): weight for weight in self.model.parameters() if weight.requires_grad
        }
        seen = set()
        for matrix in recurrent_matrices(self.model):
            storage = matrix.untyped_storage().data_ptr()
            if storage in parameters and (storage, matrix.storage_offset()) not in seen:
                seen.add((storage, matrix.storage_offset()))
                yield matrix, parameters[storage]


def recurrent_matrices(model: nn.Module) -> list[Tensor]:
    """Views of the hidden-to-hidden matrices of all cells; a cell inside another one may be counted twice."""
    cells = [module for module in model.modules() if isinstance(module, Cell)]
    return [matrix for cell in cells for matrix in getattr(cell, "recurrent_matrices", ())]
