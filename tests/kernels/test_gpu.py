"""All engines on a GPU: `pytest -m gpu tests/kernels`, about ten minutes, most of them compiling."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.registry import names
from seqzoo.contracts.state import flatten, map_state
from seqzoo.kernels import linear_scan as linear
from seqzoo.kernels.fused import NotCompilable, fused_scan
from seqzoo.kernels.fused import scan as fused

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]
DEVICE = torch.device("cuda")
B, T, INPUT = 13, 71, 16
factory = functools.cache(cell_factory)


def run(
    name: str, hidden_size: int, padded: bool, engine: Callable[[Cell], Callable[..., Any]], waits: bool = True
) -> list[Tensor]:
    """Outputs, last state and all gradients. waits: the engine may wait for the GPU."""
    torch.manual_seed(0)
    cell = factory(name)(INPUT, hidden_size).to(DEVICE)
    x = torch.randn(B, T, INPUT, device=DEVICE, requires_grad=True)
    lengths = torch.randint(0, T + 1, (B,), device=DEVICE) if padded else None
    state = map_state(
        lambda part: torch.rand_like(part).requires_grad_() if part.dim() > 1 else part, cell.initial_state(B)
    )
    wanted = [one for one in (x, *flatten(state), *cell.parameters()) if one.requires_grad]
    for turn in range(4):  # compiled, recorded, replayed, and once more
        try:
            torch.cuda.set_sync_debug_mode("error" if turn == 3 and not waits else "default")
            outputs, after = engine(cell)(x, state, lengths)
            total = (outputs * torch.linspace(0.5, 1.5, outputs.numel(), device=DEVICE).view_as(outputs)).sum()
            total = total + sum((3 * part).sin().sum() for part in flatten(after) if part.dim() > 1)
            gradients = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return [outputs, *flatten(after), *gradients]


def compare(found: list[Tensor], right: list[Tensor], tolerance: float) -> None:
    for one, exact in zip(found, right, strict=True):
        assert (one - exact).norm() <= tolerance * (1e-3 + exact.norm())


@pytest.mark.parametrize("padded", [False, True], ids=["whole", "lengths"])
@pytest.mark.parametrize("hidden_size", [48, 200])
@pytest.mark.parametrize("name", names("cell"))
def test_engines_agree(name: str, hidden_size: int, padded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default engine and each backend of the compiler, against steps in Python. (Over 71 steps, some gradients
    amplify rounding errors a thousand times.)
    """
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    right = run(name, hidden_size, padded, lambda cell: cell.unroll)
    compare(run(name, hidden_size, padded, lambda cell: cell.scan), right, 1e-2)
    target = fused.TARGETS[DEVICE.type]
    for way in target.backends:
        monkeypatch.setitem(fused.TARGETS, DEVICE.type, target._replace(backends=(way,)))
        monkeypatch.setattr(fused, "_programs", {})
        try:
            found = run(name, hidden_size, padded, lambda cell: functools.partial(fused_scan, cell), waits=False)
        except NotCompilable as error:
            # it may be that a step cannot be traced, or its weights not be held on the chip
            if "Triton" in str(error) or "tracing cannot see" in str(error):
                pytest.fail(f"{name} by {way.__name__}: {error}")
        else:
            compare(found, right, 1e-2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("hidden_size", [48, 200])
@pytest.mark.parametrize("name", ["gru_reset_before", "peephole_lstm", "layer_norm_lstm", "projected_lstm", "s_lstm"])
def test_mixed_precision(name: str, hidden_size: int, dtype: torch.dtype) -> None:
    right = run(name, hidden_size, True, lambda cell: cell.unroll)
    with torch.autocast(DEVICE.type, dtype=dtype):
        found = run(name, hidden_size, True, lambda cell: functools.partial(fused_scan, cell))
    compare(found, right, 5e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.bfloat16])
@pytest.mark.parametrize(("rows", "steps", "features"), [(2, 1, 3), (2, 100, 3), (2, 16384, 3), (64, 100, 200)])
def test_linear_scans_agree(
    rows: int, steps: int, features: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton's scan, in one segment and in many, against torch's in chunks."""
    assert linear._kernel() is not None
    a = torch.rand(rows, steps, features, device=DEVICE).to(dtype)
    b, h = torch.randn(rows, steps, features, device=DEVICE).to(dtype), torch.randn(rows, features, device=DEVICE)
    inputs, results = [part.requires_grad_() for part in (a, b, h.to(dtype))], []
    for kernel in (linear._kernel(), None):
        with monkeypatch.context() as patch:
            patch.setattr(linear, "_kernel", lambda kernel=kernel: kernel)
            states = linear.linear_scan(*inputs)
            results.append([states, *torch.autograd.grad(states.abs().sum(), inputs)])
    compare(*results, 5e-2 if dtype == torch.bfloat16 else 1e-4)
