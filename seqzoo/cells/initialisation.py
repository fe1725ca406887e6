"""How the weights of a cell start: recipes for any cell, applied to it once it is built.

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
    """Options that every cell has, besides its own; later ones act on what the earlier ones left.

    torch_init: weights and biases of the gates uniform in +-1 / sqrt(H), as `torch.nn` starts its own cells.
    recurrent_init: of the hidden-to-hidden weights, gate by gate; null: the cell's own.
    recurrent_gain: the hidden-to-hidden weights start this many times as large.
    input_std: input weights start normal with this deviation; null: the cell's own.
    chrono: how many steps to remember at most, T: the biases of the gate that keeps the state start at log(u), u
        uniform from 1 to T - 1, and those of the gate that writes at -log(u), so that without input units forget over 2
        to T steps; null: the cell's own.
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
def initialise(cell: Cell, start: Initialisation) -> None:
    """Put new numbers into a cell's parameters. Raises ValueError where it has none that a recipe could act on."""
    if start.torch_init:
        for weight in _part(cell, "weights", "torch_init", "is not built of gates as torch's cells are"):
            nn.init.uniform_(weight, -(cell.hidden_size**-0.5), cell.hidden_size**-0.5)
    if start.recurrent_init is not None:
        for matrix in _recurrent(cell, "recurrent_init"):
            if start.recurrent_init == "identity" and matrix.shape[0] != matrix.shape[1]:
                raise ValueError(
                    f"recurrent_init is identity, but the hidden-to-hidden weights of {type(cell).__name__} are "
                    f"{matrix.shape[0]} x {matrix.shape[1]}: choose one that needs no square"
                )
            RECIPES[start.recurrent_init](matrix)
    if start.recurrent_gain != 1:
        for matrix in _recurrent(cell, "recurrent_gain"):
            matrix.mul_(start.recurrent_gain)
    if start.input_std is not None:
        if "weight_ih" not in dict(cell.named_parameters()):
            raise ValueError(f"input_std is set, but {type(cell).__name__} has no input weights to train")
        nn.init.normal_(cell.get_parameter("weight_ih"), std=start.input_std)
    if start.chrono is not None:
        _spread_memory(cell, start.chrono)


def _spread_memory(cell: Any, steps: int) -> None:
    keep, write = getattr(cell, "keep_gate", None), getattr(cell, "write_gate", None)
    if keep is None and write is None:
        raise ValueError(f"chrono is set, but {type(cell).__name__} names no gate that keeps or writes its state")
    bias = torch.empty(cell.hidden_size).uniform_(1, steps - 1).log_()
    if keep is not None:
        cell.set_bias(keep, bias)
    if write is not None:
        cell.set_bias(write, -bias)


def _recurrent(cell: Cell, option: str) -> list[Tensor]:
    return _part(cell, "recurrent_matrices", option, "has no hidden-to-hidden matrix of free numbers")


def _part(cell: Cell, name: str, option: str, why_not: str) -> list[Tensor]:
    if not hasattr(cell, name):
        raise ValueError(f"{option} is set, but {type(cell).__name__} {why_not}")
    return getattr(cell, name)
