"""The parallel scan equals a loop over the steps."""

from __future__ import annotations

import pytest
import torch

import seqzoo
from seqzoo.kernels import linear_scan as kernel
from seqzoo.kernels.linear_scan import linear_scan

# torch's own, when it first needs forward derivatives
forward_ad = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
# one step, fewer than a chunk, whole chunks, a rest, chunks of chunks
LENGTHS = (1, 2, 7, 64, 65, 100, 1024, 2311)


def loop(a: torch.Tensor, b: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    states = []
    for t in range(b.shape[1]):
        h = a[:, t] * h + b[:, t]
        states.append(h)
    return torch.stack(states, 1)


def some(steps: int, dtype: torch.dtype = torch.float64, rows: int = 2, size: int = 3) -> list[torch.Tensor]:
    """a, b, h: random factors of both signs, at most 1 in absolute value."""
    a = torch.rand(rows, steps, size, dtype=dtype) - (0.5 + 0.5j if dtype.is_complex else 0.5)
    b, h = torch.randn(rows, steps, size, dtype=dtype), torch.randn(rows, size, dtype=dtype)
    return [part.requires_grad_() for part in (2 * a if not dtype.is_complex else 1.4 * a, b, h)]


@pytest.fixture(params=["as it is", "chunks from two steps on"])
def threshold(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "as it is":
        monkeypatch.setattr(kernel, "SHORT", 3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("steps", LENGTHS)
@pytest.mark.usefixtures("threshold")
def test_values_and_gradients_equal_those_of_a_loop(steps: int, dtype: torch.dtype) -> None:
    inputs = some(steps, dtype)
    weights = torch.randn(2, steps, 3, dtype=dtype)
    got, expected = linear_scan(*inputs), loop(*inputs)
    torch.testing.assert_close(got, expected)
    gradients = [torch.autograd.grad((weights * out).sum().abs(), inputs) for out in (got, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@forward_ad
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("steps", [1, 5])
def test_gradcheck(steps: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "SHORT", 3)
    inputs = some(steps, dtype, rows=1, size=2)
    assert torch.autograd.gradcheck(linear_scan, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(linear_scan, inputs)


def test_wide_rows_are_scanned_one_by_one_on_a_cpu() -> None:
    inputs = some(100, rows=2, size=kernel.WIDE // 16)
    torch.testing.assert_close(linear_scan(*inputs), loop(*inputs))


def test_past_its_length_a_row_keeps_its_state() -> None:
    a, b, h = some(100, rows=3)
    lengths = torch.tensor([100, 40, 0])
    states = linear_scan(a, b, h, lengths)
    torch.testing.assert_close(states[1, :40], loop(a, b, h)[1, :40])
    torch.testing.assert_close(states[1, 40:], states[1, 39:40].expand(60, -1))
    assert (states[2] == h[2]).all()
    of_a, of_b = torch.autograd.grad(states.sum(), (a, b))
    for gradient in (of_a, of_b):
        assert (gradient[1, 40:] == 0).all()
        assert (gradient[2] == 0).all()


def test_factors_may_be_the_same_at_every_step() -> None:
    _, b, h = some(100)
    a = torch.rand(3, dtype=torch.float64, requires_grad=True)
    got, expected = linear_scan(a, b, h), loop(a.expand_as(b), b, h)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(*(torch.autograd.grad(out.sum(), a) for out in (got, expected)))


def test_more_dimensions() -> None:
    a, b, h = torch.rand(2, 70, 3, 4), torch.randn(2, 70, 3, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(linear_scan(a, b, h), loop(a, b, h))


def test_single_precision_over_16384_steps() -> None:
    """Memories from one step to longer than the sequence; slow ones add thousands of numbers."""
    steps, decays = 16384, torch.logspace(0, -6, 32, dtype=torch.float64)
    a = (1 - decays * torch.rand(1, steps, 32, dtype=torch.float64)).requires_grad_()
    b, h = torch.randn(1, steps, 32, dtype=torch.float64), torch.randn(1, 32, dtype=torch.float64)
    exact = linear_scan(a, b, h)
    (slope,) = torch.autograd.grad(exact.sum(), a)
    single_a = a.detach().float().requires_grad_()
    single = linear_scan(single_a, b.float(), h.float())
    (single_slope,) = torch.autograd.grad(single.sum(), single_a)
    # against the sizes of each unit, and with the factors' own rounding, which 16,384 steps of a slow unit multiply
    for got, expected in ((single, exact), (single_slope, slope)):
        error = (got - expected).abs().amax((0, 1)) / expected.abs().amax((0, 1))
        assert error.max() < 2e-3
        assert error[decays > 1e-3].max() < 1e-4


@pytest.mark.parametrize("name", ["sru", "qrnn", "min_gru", "lru", "hgrn"])
def test_cells_in_single_precision_over_16384_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the recurrence step by step in double precision: within 2e-6 of the largest output of each unit."""
    cell = seqzoo.create_cell(name, 3, 8)
    cell.engine = "torch"
    x = torch.randn(1, 16384, 3)
    with torch.no_grad():
        outputs, _ = cell.scan(x)
        monkeypatch.setattr("seqzoo.cells.linear.linear_scan", lambda a, b, h, lengths: loop(a.expand_as(b), b, h))
        exact, _ = cell.double().scan(x.double())
    assert ((outputs - exact).abs().amax((0, 1)) / exact.abs().amax((0, 1))).max() < 2e-6


def test_factors_that_vanish_or_grow_do_not_break_it() -> None:
    """Where logarithms or quotients of cumulative products would fail: exact zeros, underflow, and factors above 1."""
    steps = 4096
    a = torch.full((1, steps, 3), 0.01)
    a[:, ::7, 0] = 0
    a[:, :, 2] = 1.002
    b, h = torch.ones(1, steps, 3), torch.ones(1, 3)
    a.requires_grad_()
    states = linear_scan(a, b, h)
    torch.testing.assert_close(states, loop(a, b, h), rtol=1e-4, atol=1e-4)
    (gradient,) = torch.autograd.grad(states[:, -1].sum(), a)
    assert gradient.isfinite().all()


@forward_ad
def test_vmap_and_jacobians() -> None:
    a, b, h = (part.detach() for part in some(70))
    # rows one by one
    one_by_one = torch.func.vmap(lambda a, b, h: linear_scan(a[None], b[None], h[None])[0])(a, b, h)
    torch.testing.assert_close(one_by_one, loop(a, b, h))
    gradient = torch.func.grad(lambda a, b, h: linear_scan(a[None], b[None], h[None]).sum())
    samples = torch.func.vmap(gradient)(a, b, h)
    inputs = [part.requires_grad_() for part in (a, b, h)]
    torch.testing.assert_close(samples, torch.autograd.grad(loop(*inputs).sum(), inputs)[0])
    shared = torch.func.vmap(lambda b: linear_scan(a.detach(), b, h.detach()))(torch.stack([b, 2 * b]).detach())
    torch.testing.assert_close(shared[1], loop(a, 2 * b, h).detach())
    last = lambda h: linear_scan(a.detach(), b.detach(), h)[:, -1]  # noqa: E731
    torch.testing.assert_close(torch.func.jacfwd(last)(h.detach()), torch.func.jacrev(last)(h.detach()))


@forward_ad
@pytest.mark.parametrize("argument", [0, 1, 2])
def test_second_derivatives_forward_over_backward(argument: int) -> None:
    inputs = [part.detach() for part in some(5, rows=1, size=2)]

    def total(part: torch.Tensor) -> torch.Tensor:
        return linear_scan(*inputs[:argument], part, *inputs[argument + 1 :]).sin().sum()

    found = torch.func.jacfwd(torch.func.grad(total))(inputs[argument])
    torch.testing.assert_close(found, torch.func.jacrev(torch.func.grad(total))(inputs[argument]))


def test_mixed_dtypes_are_promoted() -> None:
    """As under autocast: coefficients in 16 bits, the state in 32."""
    a, b, h = torch.rand(2, 100, 3).bfloat16(), torch.randn(2, 100, 3).bfloat16(), torch.randn(2, 3)
    states = linear_scan(a, b, h)
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, loop(a.float(), b.float(), h))
