"""Whoever traces or transforms a network gets the right numbers, for every cell."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import seqzoo
from seqzoo.cells.cell import Cell
from seqzoo.kernels.fused import scan as fused

T, B, INPUT, H = 4, 3, 3, 4
LENGTHS = torch.tensor([4, 0, 2])
CELLS = seqzoo.list_cells()
SOME = ["lstm", "gru", "elman", "mgu", "lru", "qrnn", "layer_norm_lstm", "unitary"]
SOME_FIRST = [name if name in SOME else pytest.param(name, marks=pytest.mark.slow) for name in CELLS]
"""All of them, with -m slow."""


def network(name: str, **options: Any) -> tuple[seqzoo.RNN, Cell]:
    """One layer, and its cell."""
    rnn = seqzoo.RNN(name, INPUT, H, batch_first=True, **options)
    return rnn, rnn.backbone.layers[0][0]


def assert_close(mine: Any, right: Any) -> None:
    torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)


@pytest.fixture
def torch_may_warn() -> Iterator[None]:
    """Of what torch itself calls, and deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


@pytest.mark.usefixtures("torch_may_warn")
@pytest.mark.parametrize("name", CELLS)
def test_traced(name: str) -> None:
    rnn, cell = network(name)
    x = torch.randn(B, T, INPUT)
    traced = torch.jit.trace_module(rnn, {"forward": (x,)})
    other = torch.randn(2 * B, T, INPUT)  # any number of rows
    assert_close(traced(other)[0], cell.unroll(other)[0])


@pytest.mark.usefixtures("torch_may_warn")
@pytest.mark.parametrize("name", SOME)
def test_traced_with_lengths(name: str) -> None:
    rnn, cell = network(name)
    x = torch.randn(B, T, INPUT)
    with torch.no_grad():
        state = rnn(x)[1]
    traced = torch.jit.trace(rnn, (x, state, LENGTHS))
    lengths = torch.tensor([1, 4, 3])
    flat = (state,) if isinstance(state, Tensor) else state
    assert_close(traced(x, state, lengths)[0], cell.scan(x, tuple(part[0] for part in flat), lengths)[0])


@pytest.mark.parametrize("name", SOME_FIRST)
def test_drawn_by_tensorboard(name: str) -> None:
    from torch.utils.tensorboard._pytorch_graph import graph

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn, _ = graph(network(name)[0], torch.randn(B, T, INPUT))
    assert len(drawn.node) > T


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", SOME_FIRST)
def test_first_used_under_activation_checkpointing(name: str, reentrant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_programs", {})
    rnn, cell = network(name)
    x = torch.randn(B, T, INPUT, requires_grad=True)
    for lengths in (None, LENGTHS):
        checkpoint(rnn, x, None, lengths, use_reentrant=reentrant)[0].sin().sum().backward()
        weights = [weight for weight in cell.parameters() if weight.requires_grad]
        total = cell.unroll(x, None, lengths)[0].sin().sum()
        right = torch.autograd.grad(total, [x, *weights], allow_unused=True)
        assert_close([x.grad, *(weight.grad for weight in weights)], list(right))
        x.grad = None
        rnn.zero_grad()


def test_hooks_on_saved_tensors_see_nothing_of_what_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, x, counts = seqzoo.create_cell("mgu", INPUT, H), torch.randn(B, T, INPUT), []
    monkeypatch.setattr(fused, "_programs", {})
    for _ in range(2):
        saved: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda tensor, to=saved: to.append(tensor) or tensor, lambda t: t
        ):
            cell.scan(x)
        counts.append(len(saved))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("name", SOME)
def test_vmap_over_networks(name: str) -> None:
    rnns = [network(name)[0] for _ in range(2)]
    parameters, buffers = torch.func.stack_module_state(rnns)
    x = torch.randn(B, T, INPUT)
    together = torch.func.vmap(lambda *own: torch.func.functional_call(rnns[0], own, (x,))[0])(parameters, buffers)
    assert_close(together, torch.stack([rnn(x)[0] for rnn in rnns]))


@pytest.mark.usefixtures("torch_may_warn")
@pytest.mark.parametrize("engine", ["auto", "torch", "fused"])
@pytest.mark.parametrize("name", ["lstm", "gru", "elman"])
def test_derivatives_of_torch_func(name: str, engine: str) -> None:
    """Whatever the engine: forward-mode ones are the projection of the gradient."""
    rnn, cell = network(name, engine=engine)
    x, tangent = torch.randn(B, T, INPUT), torch.randn(B, T, INPUT)

    def total(x: Tensor) -> Tensor:
        return rnn(x)[0].sin().sum()

    gradient = torch.func.grad(total)(x)
    assert_close(torch.func.jvp(total, (x,), (tangent,))[1], (gradient * tangent).sum())
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(total(forward_ad.make_dual(x, tangent)))
        assert_close(found.tangent, (gradient * tangent).sum())
    leaf = x.clone().requires_grad_()
    assert_close(gradient, torch.autograd.grad(cell.unroll(leaf)[0].sin().sum(), leaf)[0])


@pytest.mark.parametrize("name", SOME_FIRST)
def test_compiled_as_one_graph(name: str) -> None:
    """Without a graph break, by whichever backend: this one runs the graph as it is."""
    torch._dynamo.reset()
    rnn, cell = network(name)
    x = torch.randn(B, T, INPUT)
    compiled = torch.compile(rnn, backend="eager", fullgraph=True)
    assert_close(compiled(x, None, LENGTHS)[0], cell.unroll(x, None, LENGTHS)[0])


@pytest.mark.slow
@pytest.mark.usefixtures("torch_may_warn")
@pytest.mark.parametrize("name", ["lstm", "min_gru", "mgu"])
def test_compiled_by_inductor(name: str) -> None:
    torch._dynamo.reset()
    rnn, cell = network(name)
    x = torch.randn(B, T, INPUT)
    assert_close(torch.compile(rnn, fullgraph=True)(x)[0], cell.unroll(x)[0])


@pytest.mark.parametrize("name", ["lru", "min_gru", "qrnn", "lstm", "mgu"])
def test_exported(name: str) -> None:
    rnn, cell = network(name)
    x = torch.randn(B, T, INPUT)
    exported = torch.export.export(rnn, (x,), strict=False)
    assert_close(exported.module()(x)[0], cell.unroll(x)[0])


@pytest.mark.parametrize("name", CELLS)
def test_a_counter_of_operations_sees_them_all(name: str) -> None:
    """As many as of single steps, whatever engine would be the fastest."""
    _, cell = network(name)
    x, counts = torch.randn(B, T, INPUT), []
    for run in (cell.scan, cell.unroll):
        with FlopCounterMode(display=False) as counter:
            run(x)
        counts.append(counter.get_total_flops())
    assert counts[0] > 0
    if not seqzoo.cell_info(name).parallel_in_time:
        assert counts[0] == counts[1]


def test_the_operations_of_a_recurrent_layer() -> None:
    """2 H H for each of the products of a step, and as many for the projection."""
    cell = seqzoo.create_cell("elman", INPUT, H, activation="sigmoid")
    with FlopCounterMode(display=False) as counter:
        cell.scan(torch.randn(B, T, INPUT))
    assert counter.get_total_flops() == 2 * B * T * H * (INPUT + H)


@pytest.mark.parametrize("options", [{}, {"zoneout": 0.1}, {"clip_state_gradient": 1.0}], ids=str)
@pytest.mark.parametrize("name", ["lstm", "mgu"])
def test_hooks_of_cells_are_called(name: str, options: dict[str, Any]) -> None:
    rnn, outer = network(name, **options)
    inner = [module for module in outer.modules() if isinstance(module, Cell)][-1]
    calls: list[str] = []
    for cell in {outer, inner}:
        cell.register_forward_pre_hook(lambda *_: calls.append("before"))
        cell.register_forward_hook(lambda *_: calls.append("after"))
    x = torch.randn(B, T, INPUT)
    for use in (lambda: rnn(x), lambda: outer.scan(x, None, LENGTHS), lambda: outer(x[:, 0])):
        calls.clear()
        use()
        assert sorted(calls) == sorted(["before", "after"] * len({outer, inner}))


def test_hooks_of_modules_in_a_cell_are_called_at_each_step() -> None:
    cell, calls = seqzoo.create_cell("layer_norm_lstm", INPUT, H), []
    x = torch.randn(B, T, INPUT)
    cell.scan(x)
    cell.norm_c.register_forward_hook(lambda *_: calls.append(1))
    cell.scan(x)
    assert len(calls) == T


@pytest.mark.parametrize("register", ["register_full_backward_hook", "register_full_backward_pre_hook"])
def test_backward_hooks_of_modules_in_a_cell_are_called_at_each_step(register: str) -> None:
    cell, calls = seqzoo.create_cell("layer_norm_lstm", INPUT, H), []
    x = torch.randn(B, T, INPUT)
    cell.scan(x)
    getattr(cell.norm_c, register)(lambda *_: calls.append(1))
    cell.scan(x)[0].sum().backward()
    assert len(calls) == T


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("options", [{}, {"zoneout": 0.1}], ids=str)
@pytest.mark.parametrize("name", ["lstm", "gru", "mgu"])
@pytest.mark.parametrize("style", ["hooks", "parametrization"])
def test_a_normalised_weight_follows_its_parameters(style: str, name: str, options: dict[str, float]) -> None:
    cell = seqzoo.create_cell(name, INPUT, H, **options).eval()
    plain, x = copy.deepcopy(cell), torch.randn(B, T, INPUT)
    inner, plain_inner = (cell.cell, plain.cell) if options else (cell, plain)
    if style == "hooks":
        nn.utils.weight_norm(inner, "weight_hh")
        length = inner.weight_hh_g
    else:
        parametrizations.weight_norm(inner, "weight_hh")
        length = inner.parametrizations.weight_hh.original0
    for _ in range(2):
        outputs, _ = cell.scan(x)
        assert_close(outputs, plain.unroll(x)[0])
        leaf = plain_inner.weight_hh
        [right] = torch.autograd.grad(plain.unroll(x)[0].sin().sum(), leaf)
        [found] = torch.autograd.grad(outputs.sin().sum(), length)
        assert_close(found, (right * leaf / leaf.norm(dim=1, keepdim=True)).sum(1, keepdim=True))
        with torch.no_grad():
            length *= 2
            leaf *= 2


def test_a_weight_that_changes_when_it_is_asked_for_is_one_for_a_sequence() -> None:
    cell = seqzoo.create_cell("mgu", INPUT, H)
    parametrizations.spectral_norm(cell, "weight_hh")
    before = cell.parametrizations.weight_hh[0]._u.clone()
    twin = copy.deepcopy(cell)
    cell.scan(torch.randn(B, T, INPUT))
    assert not torch.equal(cell.parametrizations.weight_hh[0]._u, before)
    assert twin.weight_hh.shape == (2 * H, H)  # asked for once
    torch.testing.assert_close(cell.parametrizations.weight_hh[0]._u, twin.parametrizations.weight_hh[0]._u)


@pytest.mark.parametrize("name", SOME)
def test_copied_saved_shared_and_in_threads(name: str) -> None:
    rnn, cell = network(name)
    x = torch.randn(B, T, INPUT)
    right, _ = cell.unroll(x)
    again = pickle.loads(pickle.dumps(copy.deepcopy(rnn))).share_memory()
    results: list[Tensor] = []

    def use() -> None:
        results.append(again(x)[0])

    threads = [Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for found in results:
        assert_close(found, right)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["lstm", "gru", "elman", "projected_lstm"])
def test_numbers_of_16_bits_on_processors_that_have_no_arithmetic_for_them(name: str, dtype: torch.dtype) -> None:
    rnn, cell = network(name)
    x = torch.randn(B, T, INPUT)
    right, _ = cell.unroll(x)
    with torch.autocast("cpu", dtype=dtype):
        torch.testing.assert_close(rnn(x)[0].float(), right, rtol=0.1, atol=0.1)
    torch.testing.assert_close(rnn.to(dtype)(x.to(dtype))[0].float(), right, rtol=0.1, atol=0.1)
