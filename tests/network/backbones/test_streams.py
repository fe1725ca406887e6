"""Two computations at once: the same numbers as one after the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import seqzoo
from seqzoo.contracts.state import flatten
from seqzoo.network.backbones.streams import side_by_side


def test_without_a_gpu_directions_run_in_sequence() -> None:
    done = []
    found = side_by_side([torch.zeros(1)], lambda: (done.append("first"),), lambda: (done.append("second"),))
    assert found == ((None,), (None,))
    assert done == ["first", "second"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("cell", ["lstm", "gru", "li_gru", "min_gru"])
def test_two_directions_on_a_gpu(cell: str) -> None:
    def run(device: str) -> list[Tensor]:
        torch.manual_seed(0)
        network = seqzoo.RNN(cell, 24, 96, num_layers=2, bidirectional=True, batch_first=True)
        x, lengths = torch.randn(7, 50, 24), torch.randint(1, 51, (7,))
        network.to(device)
        leaf = x.to(device).requires_grad_()
        for _ in range(5):  # memory that is freed too early shows when it is used again
            outputs, state = network(leaf, lengths.to(device))
            state = (state,) if isinstance(state, Tensor) else state
            total = outputs.sin().sum() + sum(part.sin().sum() for part in flatten(state))
            found = torch.autograd.grad(total, [leaf, *network.parameters()])
        return [outputs.cpu(), *(one.cpu() for one in found)]

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    for one, right in zip(run("cuda"), run("cpu"), strict=True):
        assert (one - right).norm() <= 1e-3 * (1e-3 + right.norm())
