"""The functions a cell may put on its sums, by their names in a YAML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Activation = Literal["tanh", "relu", "sigmoid", "identity", "softsign", "hard_tanh", "gelu"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda a: a,
    "softsign": F.softsign,
    "hard_tanh": F.hardtanh,
    "gelu": F.gelu,
}
