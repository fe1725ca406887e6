"""Cells with an external memory: what their actions do, by weights set by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import seqzoo
from seqzoo.cells.cell import Cell
from seqzoo.contracts.errors import ConfigError

CERTAIN = 1000.0  # a score that leaves the softmax no other action


def commanded(name: str, actions: int, size: int = 4) -> Cell:
    """A cell whose first inputs choose the action and whose last input is written."""
    cell = seqzoo.create_cell(name, actions + 1, actions + 1, memory_size=size, memory_width=1, activation="identity")
    for weight in cell.parameters():
        torch.nn.init.zeros_(weight)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.eye(actions + 1))
        cell.weight_actions.copy_(CERTAIN * torch.eye(actions, actions + 1))
        cell.weight_value[0, -1] = 1
    return cell


def command(actions: int, *commands: tuple[int, float]) -> Tensor:
    x = torch.zeros(1, len(commands), actions + 1)
    for step, (action, value) in enumerate(commands):
        x[0, step, action], x[0, step, -1] = 1, value
    return x


def test_a_stack_is_pushed_and_popped() -> None:
    cell = commanded("stack_rnn", 3)
    push, pop, keep = range(3)
    _, (_, stack) = cell.unroll(command(3, (push, 5), (push, 6), (push, 7), (keep, 9), (pop, 9)))
    assert stack[0, :, 0].tolist() == [6, 5, 0, 0]
    _, (_, stack) = cell.unroll(command(3, *((push, value) for value in range(1, 7)), (pop, 0)))
    assert stack[0, :, 0].tolist() == [5, 4, 3, 0]  # 1 and 2 were lost
    _, (_, stack) = cell.unroll(command(3, (pop, 1), (push, 2)))
    assert stack[0, :, 0].tolist() == [2, 0, 0, 0]


def test_a_tape_is_written_and_moved() -> None:
    cell = commanded("tape_rnn", 5)
    stay, left, right, back, ahead = range(5)
    # 1, 2 and 3 in neighbouring cells, and the head behind them
    _, (_, tape, steps) = cell.unroll(command(5, (right, 1), (right, 2), (right, 3)))
    assert tape[0, :, 0].tolist() == [0, 1, 2, 3]
    assert steps.tolist() == [3]
    # after three steps a jump back leads to the first cell; each step overwrites the cell that it leaves
    _, (_, tape, _) = cell.unroll(command(5, (right, 1), (right, 2), (right, 3), (back, 4)))
    assert tape[0, :, 0].tolist() == [1, 2, 3, 4]
    _, (_, tape, _) = cell.unroll(command(5, (right, 1), (left, 2), (ahead, 3), (stay, 4)))
    assert tape[0, :, 0].tolist() == [4, 0, 3, 2]


def test_a_stack_without_its_empty_cells_is_the_same() -> None:
    """What the engine leaves out on a CPU."""
    cell = seqzoo.create_cell("stack_rnn", 3, 5, memory_size=30).double()
    for weight in cell.parameters():
        torch.nn.init.normal_(weight)
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    _, filled = cell.unroll(x)
    filled = tuple(part.detach() for part in filled)
    for state in (None, filled):
        for lengths in (None, torch.tensor([6, 2, 0, 5])):
            outputs, after = cell.torch_scan(x, state or cell.initial_state(4), lengths)
            expected, expected_after = cell.unroll(x, state, lengths)
            torch.testing.assert_close((outputs, *after), (expected, *expected_after))


@pytest.mark.parametrize("name", ["stack_rnn", "tape_rnn"])
@pytest.mark.parametrize("option", ["memory_size", "memory_width"])
def test_a_memory_without_cells_is_refused(name: str, option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} is 0: it must be at least 1"):
        seqzoo.create_cell(name, 3, 4, **{option: 0})


def test_an_empty_batch_is_read() -> None:
    outputs, _ = seqzoo.RNN("stack_rnn", 3, 4)(torch.zeros(7, 0, 3))
    assert outputs.shape == (7, 0, 4)
