"""The activation functions of cells by their names in YAML files."""

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
