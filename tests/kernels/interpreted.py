"""The arithmetic of the kernels for CUDA, by Triton's interpreter on a CPU. `test_cuda.py` runs this in a process of
its own, because Triton must know before it is imported.

    TRITON_INTERPRET=1 pytest tests/kernels/interpreted.py
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.registry import names
from seqzoo.contracts.state import flatten, map_state
from seqzoo.kernels import linear_scan as linear
from seqzoo.kernels import linear_scan_triton as kernel
from seqzoo.kernels.fused import NotCompilable, fused_scan
from seqzoo.kernels.fused import scan as fused
from seqzoo.kernels.fused.plan import plan

assert os.environ.get("TRITON_INTERPRET") == "1", "set TRITON_INTERPRET=1"
B, T, INPUT = 4, 3, 2
LENGTHS = torch.tensor([3, 0, 1, 2])
factory = functools.cache(cell_factory)
CUDA = fused.TARGETS["cuda"]


def is_compiled(name: str) -> bool:
    cell = factory(name)(INPUT, 4)
    try:
        with torch.no_grad():
            plan(cell, cell.project(torch.zeros(2, INPUT)).shape[-1], cell.initial_state(2))
    except NotCompilable:
        return False
    return True


@pytest.fixture(params=CUDA.backends, ids=lambda way: way.__name__.strip("_"))
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the GPU code on a CPU."""
    monkeypatch.setitem(fused.TARGETS, "cpu", CUDA._replace(backends=(request.param,)))
    monkeypatch.setattr(fused, "_programs", {})


def run(cell: Cell, scan: Callable[..., Any], lengths: Tensor | None) -> list[Tensor]:
    """Outputs, last state and all gradients."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(B, T, INPUT, generator=random).requires_grad_()
    state = map_state(lambda part: torch.rand(part.shape, generator=random).requires_grad_(), cell.initial_state(B))
    outputs, after = scan(x, state, lengths)
    total = (outputs * torch.linspace(0.5, 1.5, outputs.numel()).view_as(outputs)).sum()
    total = total + sum((3 * part).sin().sum() for part in flatten(after))
    wanted = [x, *flatten(state), *(one for one in cell.parameters() if one.requires_grad)]
    return [outputs, *flatten(after), *torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", names("cell"))
def test_outputs_and_gradients_equal_the_reference(name: str) -> None:
    """With lengths; without lengths, generated code is compared before its first use anyway."""
    if not is_compiled(name):
        pytest.skip("its step cannot be compiled")
    cell = factory(name)(INPUT, 6)
    found = run(cell, lambda *given: fused_scan(cell, *given), LENGTHS)
    # an orthogonal matrix is an exponential, whose gradient is less exact
    torch.testing.assert_close(found, run(cell, cell.unroll, LENGTHS), rtol=1e-4, atol=2e-5)


@pytest.mark.usefixtures("way")
def test_more_rows_than_a_program_takes() -> None:
    """Also without gradients."""
    cell = factory("elman")(INPUT, 5)
    x = torch.randn(40, 3, INPUT)
    lengths = torch.arange(40) % 4
    for without_gradients in (torch.inference_mode, torch.no_grad):
        with without_gradients():
            found = fused_scan(cell, x, cell.initial_state(40), lengths)
            torch.testing.assert_close(found, cell.unroll(x, None, lengths), rtol=1e-4, atol=2e-5)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", ["gru_reset_before", "jordan", "peephole_lstm"])
def test_mixed_precision(name: str) -> None:
    """Products are in 16 bits under autocast; the state stays in 32 bits, and gradients have the dtype of their
    tensors. (bfloat16 crashes on some CPUs.)
    """
    cell = factory(name)(INPUT, 6)
    right = run(cell, cell.unroll, LENGTHS)
    with torch.autocast("cpu", dtype=torch.float16):
        found = run(cell, lambda *given: fused_scan(cell, *given), LENGTHS)
    assert [part.dtype for part in found] == [torch.float16, *(part.dtype for part in right[1:])]
    torch.testing.assert_close(found, right, rtol=2e-2, atol=2e-2, check_dtype=False)


@pytest.mark.usefixtures("way")
def test_second_derivatives_in_mixed_precision() -> None:
    cell, x = factory("elman")(INPUT, 4), torch.randn(2, 3, INPUT, requires_grad=True)

    def penalty(scan: Callable[..., Any]) -> Tensor:
        (slope,) = torch.autograd.grad(scan(x, cell.initial_state(2), None)[0].sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), cell.weight_hh)[0]

    with torch.autocast("cpu", dtype=torch.float16):
        found = penalty(lambda *given: fused_scan(cell, *given))
    torch.testing.assert_close(found, penalty(cell.unroll), rtol=5e-2, atol=5e-2)


@pytest.mark.parametrize(
    ("dtype", "programs"), [(torch.float64, 1), (torch.complex64, 64)], ids=["one segment", "segments"]
)
def test_scan_over_time(dtype: torch.dtype, programs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients (a scan backwards) of one chunk, of segments of chunks, and of a remainder."""
    a, b, h = (
        torch.rand(2, 19, 2, dtype=dtype) - 0.3,
        torch.randn(2, 19, 2, dtype=dtype),
        torch.randn(2, 2, dtype=dtype),
    )
    inputs = [part.requires_grad_() for part in (a, b, h)]
    weights = torch.randn(2, 19, 2, dtype=dtype)
    lengths = torch.tensor([19, 11])
    for name, value in {"STEPS": 4, "FEATURES": 2, "CHUNKS": 2, "PROGRAMS": programs}.items():
        monkeypatch.setattr(kernel, name, value)
    results = []
    for scan in (linear._scan, kernel.scan):
        monkeypatch.setattr(linear, "_scan", scan)
        states = linear.linear_scan(*inputs, lengths)
        results.append([states, *torch.autograd.grad((weights * states).sum().abs(), inputs)])
    torch.testing.assert_close(*results)
