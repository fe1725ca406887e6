"""Initialisation of the weights of any cell, applied after it is built.

Le, Jaitly & Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear Units, 2015 (identity, small
input weights), https://arxiv.org/abs/1504.00941
Cooijmans et al., Recurrent Batch Normalization, 2017 (the identity in every gate of an LSTM),
https://arxiv.org/abs/1603.09025
Tallec & Ollivier, Can Recurrent Neural Networks Warp Time?, 2018 (chrono), https://arxiv.org/abs/1804.11188
Saxe, McClelland & Ganguli, Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Neural Networks, 2014
(orthogonal), https://arxiv.org/abs/1312.6120
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seqzoo.cells.cell import Cell

RECIPES = {"orthogonal": nn.init.orthogonal_, "identity": nn.init.eye_, "xavier": nn.init.xavier_uniform_}


@dataclass(frozen=True)
class Initialisation:
    """Options of every cell, applied in this order.

    Args:
        torch_init: initialise weights and biases of the gates uniform in +-1 / sqrt(H), as `torch.nn` does.
        recurrent_init: initialisation of the hidden-to-hidden weights, gate by gate; None: that of the cell.
        recurrent_gain: factor of the hidden-to-hidden weights.
        input_std: standard deviation of normal input weights; None: initialisation of the cell.
        chrono: chrono initialisation for a maximum memory of T steps: the biases of the gate that keeps the state are
            log(u), u uniform from 1 to T - 1, and those of the gate that writes -log(u), so that without input units
            forget over 2 to T steps; null: off.
    """

    torch_init: bool = False
    recurrent_init: Literal["orthogonal", "identity", "xavier"] | None = None
    recurrent_gain: float = 1.0
    input_std: float | None = None
    chrono: int | None = None

    def __post_init__(self) -> None:
        if self.recurrent_gain <= 0:
            raise ValueError(f"recurrent_gain is {self.recurrent_gain}: it must be above 0")
        if self.input_std is not None and self.input_std <= 0:
            raise ValueError(f"input_std is {self.input_std}: it must be above 0, or null")
        if self.chrono is not None and self.chrono < 2:
            raise ValueError(f"chrono is {self.chrono}: it must be at least 2 steps, or null")


@torch.no_grad()
def initialise(cell: Cell, options: Initialisation) -> None:
    """Initialise the parameters of a cell in place.

    Raises:
        ValueError: the cell does not have the parameters that an option initialises.
    """
    if options.torch_init:
        for weight in _part(cell, "weights", "torch_init", "has no gates as in torch's cells"):
            nn.init.uniform_(weight, -(cell.hidden_size**-0.5), cell.hidden_size**-0.5)
    if options.recurrent_init is not None:
        for matrix in _recurrent(cell, "recurrent_init"):
            if options.recurrent_init == "identity" and matrix.shape[0] != matrix.shape[1]:
                raise ValueError(
                    f"recurrent_init is identity, but the hidden-to-hidden weights of {type(cell).__name__} are "
                    f"{matrix.shape[0]} x {matrix.shape[1]}: choose orthogonal or xavier"
                )
            RECIPES[options.recurrent_init](matrix)
    if options.recurrent_gain != 1:
        for matrix in _recurrent(cell, "recurrent_gain"):
            matrix.mul_(options.recurrent_gain)
    if options.input_std is not None:
        if "weight_ih" not in dict(cell.named_parameters()):
            raise ValueError(f"input_std is set, but {type(cell).__name__} has no input weights to train")
        nn.init.normal_(cell.get_parameter("weight_ih"), std=options.input_std)
    if options.chrono is not None:
        _spread_memory(cell, options.chrono)


def _spread_memory(cell: Any, steps: int) -> None:
    keep, write = getattr(cell, "keep_gate", None), getattr(cell, "write_gate", None)
    if keep is None and write is None:
        raise ValueError(f"chrono is set, but {type(cell).__name__} has no gate that keeps or writes its state")
    bias = torch.empty(cell.hidden_size).uniform_(1, steps - 1).log_()
    if keep is not None:
        cell.set_bias(keep, bias)
    if write is not None:
        cell.set_bias(write, -bias)


def _recurrent(cell: Cell, option: str) -> list[Tensor]:
    return _part(cell, "recurrent_matrices", option, "has no free hidden-to-hidden matrix")


def _part(cell: Cell, name: str, option: str, why_not: str) -> list[Tensor]:
    if not hasattr(cell, name):
        raise ValueError(f"{option} is set, but {type(cell).__name__} {why_not}")
    return getattr(cell, name)
