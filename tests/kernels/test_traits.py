"""Compiled steps follow what a cell is: attributes count by value, and cells that are alike share a step."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

import seqzoo
from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State
from seqzoo.kernels.fused import NotCompilable, fused_scan
from seqzoo.kernels.fused import scan as fused
from seqzoo.kernels.fused.cpu import native
from seqzoo.kernels.fused.traits import traits_of

pytestmark = pytest.mark.skipif(native.compiler() is None, reason="there is no C++ compiler")


class Scaled(Cell):
    """h' = tanh(x + scale * v * h), where `read` makes a number of the attribute `scale`."""

    factors = [1.0]  # noqa: RUF012

    def __init__(self, scale: Any, read: Callable[[Any], Any]):
        super().__init__()
        self.input_size = self.hidden_size = self.output_size = 3
        self.scale, self.read = scale, read
        self.v = nn.Parameter(torch.tensor([0.5, -0.5, 1.0]))

    def initial_state(self, batch_size: int) -> State:
        return (self.v.new_ones(batch_size, 3),)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = torch.tanh(p + self.read(self.scale) * self.factors[0] * self.v * state[0])
        return h, (h,)


def put(value: Any, key: Any, number: float) -> None:
    value[key] = number


def closed_over(factor: list[float]) -> Callable[[], float]:
    return lambda: factor[0]


CHANGES: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "list": ([1.0], lambda scale: scale[0], lambda scale: put(scale, 0, 3.0)),
    "dict": ({"a": 1.0}, lambda scale: scale["a"], lambda scale: put(scale, "a", 3.0)),
    "list in a tuple": (([1.0],), lambda scale: scale[0][0], lambda scale: put(scale[0], 0, 3.0)),
    "list in a dict": ({"a": [1.0]}, lambda scale: scale["a"][0], lambda scale: put(scale["a"], 0, 3.0)),
    "set": ({1.0}, lambda scale: max(scale), lambda scale: scale.add(3.0)),
    "numpy": (numpy.ones(2), lambda scale: float(scale[0]), lambda scale: put(scale, 0, 3.0)),
    "deque": (deque([1.0]), lambda scale: scale[0], lambda scale: scale.append(scale.popleft() * 3)),
    "object": (SimpleNamespace(a=1.0), lambda scale: scale.a, lambda scale: setattr(scale, "a", 3.0)),
    "partial": (functools.partial(max, [1.0]), lambda scale: scale(), lambda scale: put(scale.args[0], 0, 3.0)),
    "closure": (
        closed_over([1.0]),
        lambda scale: scale(),
        lambda scale: put(scale.__closure__[0].cell_contents, 0, 3.0),
    ),
    "type of a number": ([True], lambda scale: 1.0 if scale[0] is True else 3.0, lambda scale: put(scale, 0, 1)),
    "module in a list": ([nn.Dropout(0.5)], lambda scale: scale[0].p, lambda scale: setattr(scale[0], "p", 0.9)),
    "buffer in a list": ([torch.ones(3)], lambda scale: scale[0], lambda scale: scale[0].fill_(3.0)),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_an_attribute_changed_in_place_takes_effect(kind: str) -> None:
    scale, read, change = CHANGES[kind]
    cell, x = Scaled(scale, read), torch.randn(2, 4, 3)
    before, _ = cell.scan(x)
    change(scale)
    after, _ = cell.scan(x)
    torch.testing.assert_close(after, cell.unroll(x)[0])
    assert not torch.allclose(before, after)


def test_a_changed_class_attribute_takes_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, x = Scaled(1.0, float), torch.randn(2, 4, 3)
    torch.testing.assert_close(cell.scan(x)[0], cell.unroll(x)[0])
    monkeypatch.setattr(Scaled, "factors", [3.0])
    torch.testing.assert_close(cell.scan(x)[0], cell.unroll(x)[0])


FACTOR = 1.0


def of_the_module() -> float:
    return max(factor for factor in [FACTOR])


class OfTheModule(Scaled):
    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        return super().step(p * of_the_module(), state)


def test_changed_module_globals_take_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, x = OfTheModule(1.0, float), torch.randn(2, 4, 3)
    torch.testing.assert_close(cell.scan(x)[0], cell.unroll(x)[0])
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    torch.testing.assert_close(cell.scan(x)[0], cell.unroll(x)[0])


def test_a_replaced_step_takes_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    cell, x = seqzoo.create_cell("elman", 3, 3), torch.randn(2, 4, 3)
    torch.testing.assert_close(cell.scan(x)[0], cell.unroll(x)[0])
    own = type(cell).step
    monkeypatch.setattr(type(cell), "step", lambda self, p, state: own(self, 3 * p, state))
    torch.testing.assert_close(cell.scan(x)[0], cell.unroll(x)[0])


def test_a_buffer_whose_number_is_read_in_python_is_not_compiled_in() -> None:
    cell, x = Scaled(None, lambda _: None), torch.randn(2, 4, 3)
    cell.register_buffer("gain", torch.tensor(1.0))
    for read in (lambda _: cell.gain.item(), lambda _: 1.0 if cell.gain > 2 else 2.0):
        cell.read = read
        for value in (1.0, 3.0):
            cell.gain.fill_(value)
            torch.testing.assert_close(cell.scan(x)[0], cell.unroll(x)[0])


def test_a_tensor_that_is_no_parameter_is_compiled_with_its_value_at_each_call() -> None:
    cell, x = Scaled(torch.ones(3), lambda scale: scale), torch.randn(2, 4, 3)
    for _ in range(2):
        torch.testing.assert_close(fused_scan(cell, x, cell.initial_state(2), None)[0], cell.unroll(x)[0])
        cell.scale = 3 * cell.scale


@pytest.mark.parametrize("name", ["layer_norm_lstm", "layer_norm_gru", "m_lstm", "qrnn", "recurrent_highway"])
def test_new_instances_share_what_was_compiled(name: str) -> None:
    first, second = (tuple(traits_of(seqzoo.create_cell(name, 3, 4))) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first != tuple(traits_of(seqzoo.create_cell(name, 3, 5)))


def test_recursive_and_unbounded_attributes_are_handled() -> None:
    cell = Scaled([1.0], lambda scale: scale[0])
    cell.scale.append(cell.scale)
    cell.scale.append(cell)
    cell.nothing = float("nan")
    assert tuple(traits_of(cell)) == tuple(traits_of(cell))
    cell.scale = list(range(20_000))
    with pytest.raises(NotCompilable, match="too many values"):
        tuple(traits_of(cell))
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(cell.scan(x)[0], cell.unroll(x)[0])


def test_the_table_of_compiled_steps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_programs", {})
    monkeypatch.setattr(fused, "MAX_PROGRAMS", 3)
    monkeypatch.setattr(fused, "_program", lambda *given: given)
    cell, x = Scaled(0.0, float), torch.randn(2, 4, 3)
    for number in range(10):
        cell.scale = float(number)
        made = fused.compiled(cell, x, cell.initial_state(2), None)
        assert made is fused.compiled(cell, x, cell.initial_state(2), None)
        assert len(fused._programs) <= 3


def test_the_first_use_draws_the_same_random_numbers_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_programs", {})
    cell, x = seqzoo.create_cell("gru", 3, 4, zoneout=0.3), torch.randn(2, 4, 3)
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        runs.append((cell.scan(x)[0], torch.rand(1)))
    torch.testing.assert_close(*runs)
