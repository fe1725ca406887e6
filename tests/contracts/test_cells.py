"""What every name in conf/cell must do, by the checks of `seqzoo.analysis.testing`. There is no list of exceptions."""

from __future__ import annotations

import functools

import pytest
import torch

from seqzoo.analysis.cell_checks import CHECKS, check_equation
from seqzoo.cells.cell import CellFactory
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.composing import load
from seqzoo.configuration.registry import names
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.state import map_state
from tests.contracts.steps import STEPS

factory = functools.cache(cell_factory)


@pytest.mark.parametrize("name", names("cell"))
def test_the_step_is_the_papers(name: str) -> None:
    assert name in STEPS, (
        f"there is no equation of {name}: add a step in NumPy to STEPS in tests/contracts/equations.py"
    )
    check_equation(factory(name), STEPS[name], load("cell", name))


@pytest.mark.parametrize("name", names("cell"))
@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: str, name: str) -> None:
    create: CellFactory = factory(name)
    CHECKS[check](create)


@pytest.mark.parametrize("name", names("cell"))
def test_other_shapes_are_refused(name: str) -> None:
    """Before compiled code, or a kernel that looks at no shape, reads beyond them."""
    cell = factory(name)(4, 6)
    x, state = torch.randn(3, 5, 4), cell.initial_state(3)
    for wrong in (x[..., :3], x[:, :0], x[0]):
        with pytest.raises(ValueError, match=rf"reads \(B, T, 4\), T at least 1: the input is \({wrong.shape[0]}, "):
            cell.scan(wrong)
    with pytest.raises(ValueError, match=r"lengths have shape \(2,\): it must be \(3,\)"):
        cell.scan(x, None, torch.tensor([5, 1]))
    wider = map_state(lambda part: torch.cat([part, part], dim=-1), state)
    for other in (cell.initial_state(2), cell.initial_state(1), wider):
        with pytest.raises(ValueError, match=r"the state has shapes .*: it must have "):
            cell.scan(x, other)


@pytest.mark.parametrize("name", names("cell"))
def test_no_cell_is_without_units(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^hidden_size is 0: a cell has at least one unit$"):
        factory(name)(3, 0)


@pytest.mark.parametrize("name", names("cell"))
def test_one_unit_and_one_step_are_enough(name: str) -> None:
    cell = factory(name)(1, 1)
    x, state = torch.randn(2, 1, 1), cell.initial_state(2)
    outputs, _ = cell.scan(x, state)
    torch.testing.assert_close(outputs[:, 0], cell(x[:, 0], state)[0])
    assert outputs.isfinite().all()
