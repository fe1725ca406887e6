"""What every name in conf/cell must do, by the checks of `seqzoo.testing`. There is no list of exceptions."""

from __future__ import annotations

import functools

import pytest

from seqzoo.building import cell_factory
from seqzoo.config import load, names
from seqzoo.contracts import CellFactory
from seqzoo.testing import CHECKS, check_equation
from tests.contracts.steps import STEPS

factory = functools.cache(cell_factory)


@pytest.mark.parametrize("name", names("cell"))
def test_the_step_is_the_papers(name: str) -> None:
    check_equation(factory(name), STEPS[name], load("cell", name))


@pytest.mark.parametrize("name", names("cell"))
@pytest.mark.parametrize("check", CHECKS)
def test_contract(check: str, name: str) -> None:
    create: CellFactory = factory(name)
    CHECKS[check](create)
