"""The checks that every cell must pass, as functions for the contract tests, docs/CELLS.md and user-defined cells.

python -m seqzoo.analysis.testing lstm                                  # a cell of seqzoo
python -m seqzoo.analysis.testing my_module.MyCell --option leak=0.5    # your own class; exits 1 if a check fails

In your own tests, with a test per check:

    from seqzoo.analysis.testing import CHECKS, verdict

    @pytest.mark.parametrize("check", CHECKS)
    def test_my_cell(check):
        passed, remark = verdict(CHECKS[check], MyCell)
        assert passed, remark

The checks are in `seqzoo.analysis.cell_checks`. pytest is not required.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seqzoo.analysis.cell_checks import CHECKS as CHECKS
from seqzoo.cells.cell import Cell, CellFactory
from seqzoo.configuration.building import cell_factory
from seqzoo.contracts.errors import ConfigError, SeqzooError, closest
from seqzoo.contracts.options import check_options


class Verdict(NamedTuple):
    """The result of a check.

    Attributes:
        passed: whether the cell passes.
        remark: why it fails, or a note; may be empty.
    """

    passed: bool
    remark: str = ""


def certify(create: CellFactory) -> dict[str, Verdict]:
    """Run all checks, each with the same random seed: `certify(MyCell)`, `certify(partial(MyCell, leak=0.5))`.

    Args:
        create: (input_size, hidden_size) -> Cell.

    Returns:
        The verdicts by name of the check.
    """
    return {name: verdict(check, create) for name, check in CHECKS.items()}


def verdict(check: Callable[..., str], *arguments: Any) -> Verdict:
    """Run one check with a fixed random seed; any exception is a failure of the cell.

    Args:
        check: of `CHECKS`, or one that takes more arguments.
        *arguments: of the check; the first one is the CellFactory.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            return Verdict(True, check(*arguments))
        except Exception as error:
            text = " ".join(str(error).split())
            return Verdict(False, text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}")


def main(arguments: list[str] | None = None) -> None:
    """Check one cell and print a line for each check. Exit status: 1 if a check fails, 2 if there is no such cell."""
    parser = argparse.ArgumentParser("python -m seqzoo.analysis.testing", description="Run all checks on a cell.")
    parser.add_argument("cell", help="my_module.MyCell, or the name of a cell of seqzoo")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="an option of the cell")
    chosen = parser.parse_args(arguments)
    try:
        verdicts = certify(_find(chosen.cell, chosen.option))
    except SeqzooError as error:
        print(f"seqzoo: {error}", file=sys.stderr)
        sys.exit(2)
    for name, (passed, remark) in verdicts.items():
        print(f"{name:22}{'pass' if passed else 'FAIL'}{f'  {remark}' if remark else ''}")
    sys.exit(0 if all(passed for passed, _ in verdicts.values()) else 1)


def _find(name: str, options: list[str]) -> CellFactory:
    """A cell by its name or class, `module.Class`, with its options. Raises ConfigError for mistakes."""
    from omegaconf import OmegaConf

    unreadable = [f"--option is {text!r}: write NAME=VALUE" for text in options if "=" not in text]
    if unreadable:
        raise ConfigError(unreadable)
    values: dict[str, Any] = OmegaConf.to_container(OmegaConf.from_dotlist(options))  # type: ignore[assignment]
    module, _, attribute = name.rpartition(".")
    if not module:
        return cell_factory(name, **values)
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        names = vars(importlib.import_module(module))
    except ImportError as error:
        raise ConfigError([f"{module} cannot be imported: {error}"]) from error
    cells = [key for key, value in names.items() if isinstance(value, type) and issubclass(value, Cell)]
    if attribute not in cells:
        raise ConfigError([f"{module} has no cell {attribute!r}{closest(attribute, cells)}"])
    mistakes = check_options(attribute, names[attribute], values, ("input_size", "hidden_size"))
    if mistakes:
        raise ConfigError(mistakes.values())
    return functools.partial(names[attribute], **values)


if __name__ == "__main__":
    main()
