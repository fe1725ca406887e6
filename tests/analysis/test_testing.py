"""The checks of cells, on correct and on faulty user-defined cells."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seqzoo.analysis import cell_checks, testing
from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State
from seqzoo.kernels.fused.cpu import native

ENGINES = "fused" if native.compiler() else "reference only"
MODULE = '''
from tests.analysis.test_testing import Plain


class Good(Plain):
    """A class of one's own, in a file of one's own."""

    def __init__(self, input_size: int, hidden_size: int, leak: float = 0.5):
        super().__init__(input_size, hidden_size, leak)


class Broken(Good):
    def scan(self, x, state=None, lengths=None):
        return super().scan(x, state)
'''


class Plain(Cell):
    """h' = leak h + (1 - leak) tanh(W x + U h + b)"""

    def __init__(self, input_size: int, hidden_size: int, leak: float = 0.5):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size, self.leak = input_size, hidden_size, hidden_size, leak
        self.read, self.recur = nn.Linear(input_size, hidden_size), nn.Linear(hidden_size, hidden_size)

    def initial_state(self, batch_size: int) -> State:
        return (self.recur.weight.new_zeros(batch_size, self.hidden_size),)

    def project(self, x: Tensor) -> Tensor:
        return self.read(x)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = self.leak * state[0] + (1 - self.leak) * torch.tanh(p + self.recur(state[0]))
        return h, (h,)


class ScansOtherwise(Plain):
    def scan(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        outputs, after = super().scan(x, state, lengths)
        return outputs * 1.001, after


class ForgetsItsState(Plain):
    def scan(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        return super().scan(x, None, lengths)


class IgnoresLengths(Plain):
    def scan(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        return super().scan(x, state)


class CutsTheGradient(Plain):
    def scan(self, x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        outputs, after = super().scan(x, state, lengths)
        return outputs, (after[0].detach(),)


class DrawsWeightsThatAreNotSaved(Plain):
    def __init__(self, input_size: int, hidden_size: int):
        super().__init__(input_size, hidden_size)
        self.drawn = torch.randn(hidden_size, dtype=torch.float64)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        return super().step(p + self.drawn.to(p.dtype), state)


class ComputesInFloat32(Plain):
    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        output, state = super().step(p, state)
        return output.float(), state


def failed(create: type[Cell], checks: Iterable[str] = testing.CHECKS) -> set[str]:
    return {name for name in checks if not testing.verdict(testing.CHECKS[name], create).passed}


def test_a_sound_cell_passes() -> None:
    expected = dict.fromkeys(testing.CHECKS, testing.Verdict(True)) | {"scan": testing.Verdict(True, ENGINES)}
    assert testing.certify(partial(Plain, leak=0.1)) == expected


@pytest.mark.parametrize(
    ("create", "expected"),
    [
        (ScansOtherwise, {"scan", "lengths"}),
        (ForgetsItsState, {"scan", "lengths", "halves", "resets"}),
        (IgnoresLengths, {"lengths", "padding", "resets"}),
        (CutsTheGradient, {"scan", "lengths"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_faulty_cell_fails_its_check(create: type[Cell], expected: set[str]) -> None:
    assert failed(create, expected) == expected


def test_a_faulty_cell_fails_no_other_check() -> None:
    assert failed(DrawsWeightsThatAreNotSaved) == {"state dict"}
    verdict = testing.verdict(cell_checks.check_bfloat16, ComputesInFloat32)
    assert verdict == (False, "outputs are torch.float32 where parameters and inputs are torch.bfloat16")


def test_checks_leave_the_random_state_unchanged() -> None:
    before = torch.get_rng_state()
    testing.verdict(cell_checks.check_halves, Plain)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """The command in this process: check("my_cells.Good") -> status, output, errors."""
    (tmp_path / "my_cells.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit:
            testing.main(list(arguments))
        return exit.value.code, *capsys.readouterr()

    yield run
    sys.modules.pop("my_cells", None)


def test_the_command_says_pass_or_fail(check: Callable) -> None:
    status, out, _ = check("my_cells.Good", "--option", "leak=0.9")
    assert status == 0
    assert all(" pass" in line for line in out.splitlines())
    assert out.splitlines()[0].split() == ["scan", "pass", *ENGINES.split()]
    assert len(out.splitlines()) == len(testing.CHECKS)

    status, out, _ = check("my_cells.Broken")
    lines = dict(line.split("  ", 1) for line in out.splitlines())
    assert status == 1
    assert lines["lengths"].strip().startswith("FAIL")
    assert lines["scan"].split() == ["pass", *ENGINES.split()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("my_cells.Godo",), "my_cells has no cell 'Godo'. Did you mean 'Good'?"),
        (("my_sells.Good",), "my_sells cannot be imported: No module named 'my_sells'"),
        (("my_cells.Good", "--option", "leek=1"), "there is no option 'Good.leek'. Did you mean 'Good.leak'?"),
        (("my_cells.Good", "--option", "leak=much"), "Good.leak is 'much': it must be a finite number"),
        (("my_cells.Good", "--option", "leak"), "--option is 'leak': write NAME=VALUE"),
        (("clockwrok",), "there is no cell named 'clockwrok'. Did you mean 'clockwork'?"),
    ],
)
def test_a_wrong_command_is_told(check: Callable, arguments: tuple[str, ...], message: str) -> None:
    status, _, errors = check(*arguments)
    assert (status, errors) == (2, f"seqzoo: {message}\n")
