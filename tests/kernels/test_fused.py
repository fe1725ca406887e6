"""Compiled steps: which cells can be compiled, special values, and the cache of compiled libraries."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import seqzoo
from seqzoo.analysis.testing import CHECKS
from seqzoo.cells.cell import Cell
from seqzoo.cells.modified import Modifiers, modify
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.registry import names
from seqzoo.contracts.batch import State
from seqzoo.contracts.cache import user_cache
from seqzoo.contracts.state import flatten
from seqzoo.kernels.fused import NotCompilable, fused_scan
from seqzoo.kernels.fused import scan as fused
from seqzoo.kernels.fused.cpu import native
from seqzoo.kernels.fused.graph import Graph
from seqzoo.kernels.fused.interpretation import interpreted
from seqzoo.kernels.fused.tracing import trace

pytestmark = pytest.mark.skipif(native.compiler() is None, reason="there is no C++ compiler")
B, T, INPUT, H = 5, 6, 3, 4
LENGTHS = torch.tensor([6, 0, 3, 1, 5])
Step = Callable[["OneOff", Tensor, State], tuple[Tensor, State]]


class OneOff(Cell):
    """A cell with a given step: U (H, H), a vector v (H,), states h and c."""

    def __init__(self, step: Step, hidden_size: int = H):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size, self.own_step = INPUT, hidden_size, hidden_size, step
        self.read = nn.Linear(INPUT, hidden_size)
        self.recur = nn.Linear(hidden_size, hidden_size)
        self.v = nn.Parameter(torch.randn(hidden_size))

    def initial_state(self, batch_size: int) -> State:
        return self.v.new_zeros(batch_size, self.hidden_size), self.v.new_zeros(batch_size, self.hidden_size)

    def project(self, x: Tensor) -> Tensor:
        return self.read(x)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        return self.own_step(self, p, state)


def run(cell: Cell, scan: Callable[..., Any], lengths: Tensor | None = None, seed: int = 0) -> list[Tensor]:
    """Outputs, last state and all gradients."""
    torch.manual_seed(seed)
    x = torch.randn(B, T, INPUT, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(B, H, dtype=torch.float64, requires_grad=True) for _ in flatten(cell.initial_state(1)))
    outputs, after = scan(x, state, lengths)
    total = (outputs * torch.linspace(0.5, 1.5, outputs.numel(), dtype=x.dtype).view_as(outputs)).sum()
    total = total + sum((3 * part).sin().sum() for part in after)
    wanted = [x, *state, *cell.parameters()]
    gradients = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
    return [outputs, *after, *gradients]


def everything(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
    """Each known operation at least once."""
    h, c = state
    r = cell.recur(torch.cat([h[:, 2:], h[:, :2]], dim=-1))
    a = torch.where(r > p, F.silu(p + r), F.softplus(r) - 1) / (1 + c.abs())
    b = torch.maximum(torch.minimum(a, h), F.logsigmoid(c)) + F.hardtanh(p * cell.v) - torch.relu(-r) ** 2
    c = torch.lerp(c, torch.tanh(b), 0.3) + torch.exp(-a.square()) * torch.sin(p).clamp(-0.5) * torch.cos(c)
    c = torch.addcmul(c, torch.rsqrt(1 + a * a), torch.sqrt(1 + r * r), value=0.1).masked_fill(p < -2, 0.5)
    h = F.layer_norm(b + F.gelu(p), (H,), cell.v) + torch.log(2 + torch.sigmoid(c)) + b.sum(-1, keepdim=True) * 0.1
    return torch.cat([h[:, :2], -c[:, 2:]], dim=-1), (h, c)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
def test_every_operation_and_its_gradient(lengths: Tensor | None) -> None:
    cell = OneOff(everything).double()
    torch.testing.assert_close(
        run(cell, lambda *given: fused_scan(cell, *given), lengths), run(cell, cell.unroll, lengths)
    )


def test_the_graph_says_what_the_step_does() -> None:
    cell = OneOff(everything).double()
    state = tuple(torch.randn(B, H, dtype=torch.float64) for _ in range(2))
    step = trace(cell, H, state)
    p, memo = torch.randn(B, H, dtype=torch.float64), {}
    expected, after = cell.step(p, state)
    found, found_after = interpreted(step, [one(cell, memo) for one in step.fixed])(p, state)
    torch.testing.assert_close((found, *found_after), (expected, *after))


def test_two_products_in_a_row() -> None:
    def step(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        m = torch.tanh(cell.recur(h)) * c
        return m, (torch.tanh(p + F.linear(m, cell.recur.weight.T)), c + m)

    cell = OneOff(step).double()
    torch.testing.assert_close(run(cell, lambda *given: fused_scan(cell, *given)), run(cell, cell.unroll))


def test_one_weight_in_two_products() -> None:
    def step(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        m = torch.tanh(h @ cell.recur.weight) * c
        return m, (torch.tanh(p + m @ cell.recur.weight), c + m)

    cell = OneOff(step).double()
    torch.testing.assert_close(run(cell, lambda *given: fused_scan(cell, *given)), run(cell, cell.unroll))


def test_code_that_gives_nan_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(name: str, rows: Any, buffers: dict[str, Tensor], fixed: Any) -> None:
        read = ("tape", "last_state") if name == "backward" else ("first_state",)
        for key, buffer in buffers.items():
            if buffer is not None and not key.startswith(("projected", "grad_output", *read)):
                buffer.fill_(float("nan"))

    spoiled = fused.TARGETS["cpu"]._replace(backends=(lambda plan, dtype: spoil,))
    monkeypatch.setitem(fused.TARGETS, "cpu", spoiled)
    monkeypatch.setattr(fused, "_programs", {})
    cell = seqzoo.create_cell("mgu", INPUT, H)
    with pytest.raises(NotCompilable, match="its step does something that tracing cannot see"):
        fused_scan(cell, torch.randn(B, T, INPUT), cell.initial_state(B), None)


def kinks(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
    h, c = state
    a, b = torch.maximum(p, h), torch.minimum(p, c)
    return p.abs() + a + b, (F.relu(p) + 2 * h, c.abs() - b)


def test_gradients_at_kinks_are_those_of_torch() -> None:
    """Values that are equal to each other and to zero, which the check of generated code does not contain."""
    cell, results = OneOff(kinks).double(), []
    for scan in (lambda *given: fused_scan(cell, *given), cell.unroll):
        cell.zero_grad()
        x = torch.zeros(1, 3, INPUT, dtype=torch.float64, requires_grad=True)
        state = tuple(torch.zeros(1, H, dtype=torch.float64, requires_grad=True) for _ in range(2))
        with torch.no_grad():
            cell.read.bias.zero_()
        outputs, after = scan(x, state, None)
        gradients = torch.autograd.grad(
            outputs.sum() + 3 * after[0].sum() + 5 * after[1].sum(), [*state, cell.read.bias]
        )
        results.append([outputs, *after, *gradients])
    torch.testing.assert_close(*results)
    assert results[0][-1].abs().min() > 0


def test_second_derivatives_ignore_padding() -> None:
    cell = seqzoo.create_cell("mgu", INPUT, H).double()
    x = torch.randn(B, T, INPUT, dtype=torch.float64, requires_grad=True)
    results = []
    for scan in (lambda *given: fused_scan(cell, *given), cell.unroll):
        outputs, after = scan(x, cell.initial_state(B), LENGTHS)
        total = outputs.sin().sum() + sum(part.square().sum() for part in after)
        (gradient,) = torch.autograd.grad(total, x, create_graph=True)
        results.append(torch.autograd.grad(gradient.square().sum(), [x, *cell.parameters()]))
    torch.testing.assert_close(*results)
    assert not results[0][0][1].any(), "a row without real steps"


def cut(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
    h = torch.tanh(p + cell.recur(state[0].detach()))
    return h, (h, state[1])


class _Doubled(torch.autograd.Function):
    """The identity, whose gradient is twice as large."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * gradient


def own_gradient(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
    h = torch.tanh(p + _Doubled.apply(cell.recur(state[0])))
    return h, (h, state[1])


class _Clipped(torch.autograd.Function):
    """The identity, with its gradient clipped to 10, more than the gradients in the check of generated code."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clamp(-10, 10)


def own_gradient_of_the_state(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
    h = torch.tanh(p + cell.recur(state[0]))
    return h, (h, _Clipped.apply(2 * state[1] + p))


def unknown(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
    h = torch.erfinv(torch.tanh(p + cell.recur(state[0])) * 0.5)
    return h, (h, state[1])


def between_rows(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
    h = torch.tanh(p - p.mean(0, keepdim=True) + cell.recur(state[0]))
    return h, (h, state[1])


def random_step(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
    h = F.dropout(torch.tanh(p + cell.recur(state[0])))
    return h, (h, state[1])


def test_a_step_that_detaches_a_tensor_is_compiled() -> None:
    cell = OneOff(cut).double()
    cell.engine = "fused"
    torch.testing.assert_close(run(cell, cell.scan), run(cell, cell.unroll))


@pytest.mark.parametrize("step", [own_gradient, own_gradient_of_the_state, unknown, between_rows])
def test_steps_that_cannot_be_compiled_use_the_reference(step: Step) -> None:
    cell = OneOff(step).double()
    torch.testing.assert_close(run(cell, cell.scan), run(cell, cell.unroll))
    cell.engine = "fused"
    with pytest.raises(ValueError, match="engine=fused cannot run OneOff here: "):
        cell.scan(torch.zeros(B, T, INPUT, dtype=torch.float64))


class Counting(Cell):
    """Its state has a vector of integers in the given place: the number of steps so far."""

    def __init__(self, input_size: int, hidden_size: int, counter_first: bool = False):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size, hidden_size, hidden_size
        self.counter_first, self.read = counter_first, nn.Linear(input_size, hidden_size)

    def initial_state(self, batch_size: int) -> State:
        h = self.read.bias.new_zeros(batch_size, self.hidden_size)
        return (h.long(), h) if self.counter_first else (h, h.long())

    def project(self, x: Tensor) -> Tensor:
        return self.read(x)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        count, h = state if self.counter_first else state[::-1]
        h = torch.tanh(p + h / (1 + count))
        return h, ((count + 1, h) if self.counter_first else (h, count + 1))


@pytest.mark.parametrize("counter_first", [False, True])
def test_a_state_of_integers_is_run_by_the_next_engine(counter_first: bool) -> None:
    rnn = seqzoo.RNN(Counting, INPUT, H, batch_first=True, counter_first=counter_first)
    [[cell]] = rnn.backbone.layers
    x, results = torch.randn(B, T, INPUT), []
    for engine in ("auto", "reference"):
        cell.engine = engine
        outputs, state = rnn(x, lengths=LENGTHS)
        results.append([outputs, *state, *torch.autograd.grad(outputs.sin().sum(), list(rnn.parameters()))])
    torch.testing.assert_close(*results)
    assert state[0 if counter_first else 1][0, :, 0].tolist() == LENGTHS.tolist()
    outputs, state = rnn(x, resets=torch.arange(T).eq(2).expand(B, T))
    assert state[0 if counter_first else 1].unique().tolist() == [T - 2]
    cell.engine = "fused"
    with pytest.raises(ValueError, match="a part of its state, such as a counter, is not of a floating-point type"):
        rnn(x)


def in_place(cell: OneOff) -> None:
    cell.count.add_(1)


def in_its_place(cell: OneOff) -> None:
    cell.count = cell.count + 1


def attribute(cell: OneOff) -> None:
    cell.steps += 1


@pytest.mark.parametrize("counting", [in_place, in_its_place, attribute], ids=lambda function: function.__name__)
@pytest.mark.parametrize("engine", ["auto", "fused", "reference"])
def test_a_step_that_changes_its_cell_is_run_once_per_step(counting: Callable[[OneOff], None], engine: str) -> None:
    def step(cell: OneOff, p: Tensor, state: State) -> tuple[Tensor, State]:
        counting(cell)
        h = torch.tanh(p + cell.recur(state[0]))
        return h, (h, state[1])

    cell = OneOff(step)
    cell.register_buffer("count", torch.zeros(()))
    cell.steps, cell.engine, buffer = 0, engine, cell.count
    x = torch.randn(B, T, INPUT)
    if engine == "fused":
        with pytest.raises(ValueError, match=r"its step changes self|writes in place"):
            cell.scan(x)
        assert cell.count is buffer
    else:
        cell.scan(x)
        cell.scan(x)
    assert max(int(cell.count), cell.steps) == (0 if engine == "fused" else 2 * T)


class Normalised(OneOff):
    def __init__(self) -> None:
        super().__init__(everything)
        self.norm = nn.BatchNorm1d(INPUT)

    def project(self, x: Tensor) -> Tensor:
        return self.read(self.norm(x.flatten(0, -2)).view(x.shape))


def test_a_projection_that_changes_its_cell_is_run_once_per_sequence() -> None:
    x, means = torch.randn(B, T, INPUT), []
    for engine in ("fused", "reference"):
        cell = Normalised()
        cell.engine = engine
        cell.scan(x)
        assert cell.norm.num_batches_tracked == 1
        means.append(cell.norm.running_mean)
    torch.testing.assert_close(*means)


def test_tracing_draws_no_random_numbers() -> None:
    cell = OneOff(random_step).double()
    torch.testing.assert_close(run(cell, cell.scan), run(cell, cell.unroll))


def test_an_option_changed_later_takes_effect() -> None:
    cell = seqzoo.create_cell("leaky", INPUT, H).double()
    cell.engine = "fused"
    x = torch.randn(B, T, INPUT, dtype=torch.float64)
    cell.scan(x)
    changed = OneOff(lambda cell, p, state: (state[0] + cell.scale * p, (state[0] + cell.scale * p, state[1])))
    changed.double()
    for changed.scale in (1.0, 3.0):
        torch.testing.assert_close(changed.scan(x), changed.unroll(x))


def test_a_cell_that_is_first_used_in_inference_mode_is_compiled() -> None:
    cell, x = OneOff(everything), torch.randn(B, T, INPUT)
    cell.engine = "fused"
    with torch.inference_mode():
        torch.testing.assert_close(cell.scan(x), cell.unroll(x))


def test_infinity_and_nan_are_propagated() -> None:
    cell = seqzoo.create_cell("lstm", 1, 2)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.fill_(1.0)
    x = torch.tensor([[[1e30], [0.0]], [[-1e30], [1.0]], [[float("nan")], [0.0]], [[1.0], [2.0]]])
    for part, right in zip(
        flatten(fused_scan(cell, x, cell.initial_state(4), None)), flatten(cell.unroll(x)), strict=True
    ):
        torch.testing.assert_close(part, right, equal_nan=True)


@pytest.mark.parametrize("function", [torch.sigmoid, torch.tanh, torch.exp, F.logsigmoid], ids=lambda one: one.__name__)
def test_float32_is_within_a_few_units_in_the_last_place(function: Callable[[Tensor], Tensor]) -> None:
    """Over the whole range: generated code has its own vectorised functions."""
    cell = OneOff(lambda cell, p, state: (function(p), (function(p), p)), hidden_size=INPUT)
    with torch.no_grad():
        cell.read.weight.copy_(torch.eye(INPUT))
        cell.read.bias.zero_()
    x = torch.cat([torch.linspace(-120, 120, 4001), torch.linspace(-1.5, 1.5, 2002), torch.logspace(-9, 0, 999)])
    found, _ = fused_scan(cell, x.view(1, -1, INPUT), cell.initial_state(1), None)
    torch.testing.assert_close(found.flatten(), function(x.double()).float(), rtol=5e-7, atol=1e-37)


@pytest.mark.parametrize("openmp", [True, False])
def test_any_number_of_threads_gives_the_same(openmp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the threads of torch, and, where its OpenMP is not found, on threads of its own."""
    if openmp and native._parallel() is None:
        pytest.skip("this build of torch does not export GOMP_parallel")
    if not openmp:
        monkeypatch.setattr(native, "_parallel", lambda: None)
    monkeypatch.setattr(native, "WORK_PER_THREAD", 1)
    cell = seqzoo.create_cell("peephole_lstm", INPUT, H).double()
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(run(cell, lambda *given: fused_scan(cell, *given), LENGTHS))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(results[0], results[1])
    assert torch.equal(results[0][0], results[1][0])


OPTIMISED = ["gru_reset_before", "layer_norm_lstm", "s_lstm"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in OPTIMISED else pytest.mark.slow) for name in names("cell")]
)
@pytest.mark.usefixtures("optimised")
def test_optimised_code_computes_the_same(name: str) -> None:
    for check in ("scan", "lengths"):
        CHECKS[check](cell_factory(name))


@pytest.mark.parametrize("modifiers", [{"zoneout": 0.3}, {"recurrent_dropout": 0.5}, {"weight_drop": 0.5}], ids=str)
def test_modified_cells_draw_the_same_numbers(modifiers: dict[str, float]) -> None:
    cell = modify(seqzoo.create_cell("gru", INPUT, H).double(), Modifiers(**modifiers))
    results = []
    for engine in ("reference", "fused"):
        for module in cell.modules():
            if isinstance(module, Cell):
                module.engine = engine
        results.append(run(cell, cell.scan))
    torch.testing.assert_close(*results)


def test_without_a_compiler_the_reference_runs_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fused, "_programs", {})
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    native.compiler.cache_clear()
    native.load.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            for name in ("mgu", "janet"):
                cell = seqzoo.create_cell(name, INPUT, H).double()
                torch.testing.assert_close(run(cell, cell.scan), run(cell, cell.unroll))
        assert [record.message.split(";")[0] for record in caplog.records] == ["seqzoo: no C++ compiler was found"]
    finally:
        native.compiler.cache_clear()


def test_a_compiler_that_fails_is_reported_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    monkeypatch.setattr(native, "user_cache", lambda kind: tmp_path)
    with pytest.raises(NotCompilable, match="fails"):
        native.load("this is no C++", "float")
    assert "fails to compile a cell" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_a_source_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(native, "user_cache", lambda kind: tmp_path)
    functions = "".join(f'extern "C" void {name}() {{}}\n' for name in native.SYMBOLS)
    native.load(functions, "float")
    monkeypatch.setattr(native, "_build", lambda *given: pytest.fail("built again"))
    native.load.cache_clear()
    native.load(functions, "float")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".sha256", ".so"]


def rewritten(path: Path, content: bytes) -> None:
    """Write the library as a new file, because this process has loaded the old one."""
    path.unlink()
    path.write_bytes(content)


def replaced_by_link(path: Path) -> None:
    copy = path.rename(path.with_name("elsewhere"))
    path.symlink_to(copy)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: rewritten(path, b""),
    "cut off": lambda path: rewritten(path, path.read_bytes()[:-1000]),
    "another": lambda path: rewritten(path, path.read_bytes()[:-8] + b"changed!"),
    "without checksum": lambda path: path.with_suffix(".sha256").unlink(),
    "with an empty checksum": lambda path: path.with_suffix(".sha256").write_text(""),
    "a link": replaced_by_link,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_modified_library_is_rebuilt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str) -> None:
    monkeypatch.setattr(native, "user_cache", lambda kind: tmp_path)
    functions = "".join(f'extern "C" void {name}() {{}}\n' for name in native.SYMBOLS)
    native.load.__wrapped__(functions, "float")
    [path] = tmp_path.glob("*.so")
    whole = path.read_bytes()
    DAMAGES[damage](path)
    native.load.__wrapped__(functions, "float")
    assert path.read_bytes() == whole
    assert not path.is_symlink()
    assert native._is_intact(path)


def test_a_library_that_cannot_be_loaded_leaves_the_next_engine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """As on a disk mounted noexec, or a full one."""

    def fail(path: Path) -> None:
        raise OSError("failed to map segment from shared object")

    monkeypatch.setattr(native, "user_cache", lambda kind: tmp_path)
    monkeypatch.setattr(native, "Library", fail)
    monkeypatch.setattr(fused, "_programs", {})
    native.load.cache_clear()
    cell = seqzoo.create_cell("mgu", INPUT, H).double()
    with caplog.at_level(logging.WARNING):
        torch.testing.assert_close(run(cell, cell.scan), run(cell, cell.unroll))
    [record] = caplog.records
    assert "failed to map segment" in record.message
    assert "Set XDG_CACHE_HOME to another folder." in record.message
    cell.engine = "fused"
    with pytest.raises(ValueError, match="compiled code cannot be stored or loaded: failed to map segment"):
        cell.scan(torch.zeros(B, T, INPUT, dtype=torch.float64))


@pytest.mark.parametrize("open_to_others", ["seqzoo/kernels", "seqzoo", "."])
def test_a_cache_that_others_can_write_to_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, open_to_others: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    own = tmp_path / "caches" / "seqzoo" / "kernels"
    assert user_cache.__wrapped__("kernels") == own
    (tmp_path / "caches" / open_to_others).chmod(0o777)
    assert user_cache.__wrapped__("kernels") != own
    assert "can be changed by others" in caplog.text
    (tmp_path / "caches" / open_to_others).chmod(0o1777)  # sticky, as /tmp
    assert (user_cache.__wrapped__("kernels") == own) == (open_to_others != "seqzoo/kernels")


def test_the_cache_may_be_a_symbolic_link(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "link"))
    assert user_cache.__wrapped__("kernels") == tmp_path / "real" / "seqzoo" / "kernels"


def test_a_slice_of_a_sum_is_the_sum_of_slices() -> None:
    graph = Graph()
    a, b = graph.leaf("projected", 0, 0, 8), graph.leaf("product", 0, 0, 8)
    part = graph.part(graph.apply("add", a, b), 2, 3)
    assert part is graph.apply("add", graph.leaf("projected", 0, 2, 3), graph.leaf("product", 0, 2, 3))
    joined = graph.concat([graph.part(a, 0, 5), graph.part(b, 5, 3)])
    assert [piece.source.kind for piece in graph.part(joined, 4, 2).pieces] == ["projected", "product"]


def test_cells_of_equal_options_share_one_program() -> None:
    one, other = seqzoo.create_cell("mgu", INPUT, H), seqzoo.create_cell("mgu", INPUT, H)
    x, state = torch.zeros(2, 3, INPUT), one.initial_state(2)
    first = fused.compiled(one, x, state, None)
    assert first is fused.compiled(other, x, state, None)
    assert first is not fused.compiled(other.double(), x.double(), other.initial_state(2), None)


def test_the_number_of_cached_steps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_programs", {})
    monkeypatch.setattr(fused, "MAX_PROGRAMS", 2)
    x = torch.zeros(2, 3, INPUT)
    for size in (2, 3, 4):
        cell = seqzoo.create_cell("mgu", INPUT, size)
        last = fused.compiled(cell, x, cell.initial_state(2), None)
    assert len(fused._programs) == 2
    assert fused.compiled(cell, x, cell.initial_state(2), None) is last
