"""Models without values."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import seqzoo
from seqzoo.configuration.registry import names
from seqzoo.contracts.meta_device import on_meta_device


class Operations(TorchDispatchMode):
    """The names of the operations that are run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(function.overloadpacket).removeprefix("aten."))
        return function(*args, **(kwargs or {}))


def test_no_random_numbers_are_drawn_for_weights_without_values() -> None:
    """torch would import its compiler to do so."""
    with Operations() as operations, on_meta_device():
        embedding = nn.Embedding(5, 3)
        cells = [seqzoo.create_cell(name, 4, 4) for name in names("cell")]
    assert all(weight.is_meta for cell in (embedding, *cells) for weight in cell.parameters())
    assert not operations.names & {"normal_", "uniform_", "bernoulli_", "exponential_", "random_"}


def test_tensors_with_values_are_initialised_there_too() -> None:
    with on_meta_device():
        weight = nn.init.constant_(torch.empty(3, device="cpu"), 2.0)
        drawn = torch.zeros(100, device="cpu").uniform_(1, 2)
        assert nn.init.normal_(tensor=torch.empty(2, 3)).shape == (2, 3)
    assert weight.tolist() == [2, 2, 2]
    assert drawn.min() >= 1
