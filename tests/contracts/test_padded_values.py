"""What stands at a padded step has no influence, NaN and infinity included: not on results, nor on gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

import seqzoo
from seqzoo.contracts.batch import Features
from seqzoo.contracts.masking import cross_entropy, largest_of, mean_of
from seqzoo.network.backbones.pointwise import Pointwise
from seqzoo.network.heads.attention import AttentionName, create_attention
from seqzoo.network.heads.crf import LinearChain
from seqzoo.network.heads.linear_cross_entropy import linear_cross_entropy
from seqzoo.network.heads.pooling import Pooling, PoolingName

B, T, SIZE = 3, 5, 4
LENGTHS = torch.tensor([5, 2, 0])
TARGETS = torch.randint(SIZE, (B, T), generator=torch.Generator().manual_seed(0))

Compute = Callable[[Tensor], Tensor]


def attention(name: AttentionName) -> tuple[nn.Module, Compute]:
    made = create_attention(name, SIZE, SIZE, SIZE, 2)
    made.eval()  # monotonic attention draws noise in training
    queries = torch.randn(B, 2, SIZE)
    return made, lambda x: torch.cat([part.flatten() for part in made(queries, made.remember(x, LENGTHS))])


def pooling(name: PoolingName) -> tuple[nn.Module, Compute]:
    made, target = Pooling(SIZE, name), torch.randn(B, SIZE)
    return made, lambda x: made(Features(x, x[:, 0], (), LENGTHS, target + 0 * x[0, 0]))


def pointwise() -> tuple[nn.Module, Compute]:
    made = Pointwise(lambda *_: nn.Identity(), SIZE, SIZE, num_layers=2)

    def compute(x: Tensor) -> Tensor:
        outputs, _ = made(x, LENGTHS)
        return torch.cat([outputs.flatten(), made.last(outputs, LENGTHS).flatten()])

    return made, compute


def forced(name: str) -> tuple[nn.Module, Compute]:
    cell = seqzoo.create_cell(name, SIZE, SIZE)

    def compute(x: Tensor) -> Tensor:
        outputs, state = cell.scan_forced(x, x.flip(2), None, LENGTHS)
        return torch.cat([part.flatten() for part in (outputs, *state)])

    return cell, compute


def linear(smoothing: float) -> tuple[nn.Module, Compute]:
    head = nn.Linear(SIZE, SIZE)
    return head, lambda x: linear_cross_entropy(x, head.weight, head.bias, TARGETS, LENGTHS, smoothing).total


def chain() -> tuple[nn.Module, Compute]:
    made = LinearChain(SIZE)
    nn.init.normal_(made.transitions)
    return made, lambda x: made(x, TARGETS, LENGTHS)


NONE = nn.Identity()
CASES: dict[str, Callable[[], tuple[nn.Module, Compute]]] = {
    **{f"attention {name}": lambda name=name: attention(name) for name in get_args(AttentionName) if name != "none"},
    **{f"pooling {name}": lambda name=name: pooling(name) for name in get_args(PoolingName)},
    "mean": lambda: (NONE, lambda x: mean_of(x, LENGTHS)),
    "largest": lambda: (NONE, lambda x: largest_of(x, LENGTHS)),
    "pointwise": pointwise,
    "cross-entropy": lambda: (NONE, lambda x: cross_entropy(x, TARGETS, LENGTHS).total),
    "smoothed cross-entropy": lambda: (NONE, lambda x: cross_entropy(x, TARGETS, LENGTHS, 0.1).total),
    "linear cross-entropy": lambda: linear(0.0),
    "smoothed linear cross-entropy": lambda: linear(0.1),
    "chain": chain,
    "scan_forced of jordan": lambda: forced("jordan"),
    "scan_forced of narx": lambda: forced("narx"),
}


@pytest.mark.parametrize("padding", [float("nan"), float("inf")])
@pytest.mark.parametrize("case", CASES)
def test_padded_values_have_no_influence(case: str, padding: float) -> None:
    module, compute = CASES[case]()
    values = torch.randn(B, T, SIZE)
    padded = torch.arange(T)[:, None] >= LENGTHS[:, None, None]
    results = []
    for value in (0.0, padding):
        x = values.masked_fill(padded, value).requires_grad_()
        module.zero_grad()
        found = compute(x)
        (found.flatten() * torch.arange(1.0, found.numel() + 1)).sum().backward()
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        results.append([found.detach(), x.grad.masked_fill(padded, 0), *(gradient.clone() for gradient in gradients)])
        assert x.grad[padded.expand_as(x)].tolist() == [0.0] * int(padded.expand_as(x).sum())
    for zero, other in zip(*results, strict=True):
        assert zero.isfinite().all()
        torch.testing.assert_close(other, zero, rtol=0, atol=0)
