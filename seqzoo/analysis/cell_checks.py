"""The checks that every cell must pass.

Each takes a CellFactory, `(input_size, hidden_size) -> Cell`, such as a class. It raises AssertionError if the cell
fails, and returns a remark, which may be empty.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError

from seqzoo.cells.cell import Cell, CellFactory
from seqzoo.contracts.batch import State
from seqzoo.contracts.state import flatten, map_state, reorder, unflatten
from seqzoo.contracts.steps import Steps
from seqzoo.network.backbones.recurrent import Recurrent

B, T, I, H = 3, 7, 4, 5  # noqa: E741
LENGTHS = [7, 4, 1]
RESETS = [(0, 3), (1, 0), (1, 1), (1, 3), (1, 5)]
"""(row, step); the last one is at a padded step and must be ignored."""

PARENTS = [[1, 6, 3, 5, 5, 6, -1], [3, 2, 3, -1, 0, 0, 0], [-1, 0, 0, 0, 0, 0, 0]]
"""The trees of LENGTHS, whose nodes have one or two children."""

SIZES = [[2, 3], [4, 1], [1, 1]]
"""Rows and columns of grids of different sizes."""

Equation = Callable[[numpy.ndarray, tuple, dict[str, numpy.ndarray], dict[str, Any]], tuple[numpy.ndarray, tuple]]
"""One step in NumPy: x (B, I), the flattened state, parameters and buffers by name, and the options of the YAML -> the
output (B, O) and the next flattened state.
"""
Scan = Callable[..., tuple[Tensor, State]]


def check_equation(create: CellFactory, equation: Equation, options: dict[str, Any]) -> str:
    """Outputs and states of 7 steps equal those of the paper's equations in NumPy, from a nonzero state."""
    cell = _randomised(create)
    x, state = _some_input(), _some_state(cell)
    tensors = [*cell.named_parameters(), *cell.named_buffers()]
    parameters = {name: value.detach().numpy() for name, value in tensors}
    expected_state = tuple(part.numpy() for part in flatten(state))
    for t in range(T):
        output, state = cell(x[:, t], state)
        expected, expected_state = equation(x[:, t].numpy(), expected_state, parameters, options)
        _assert_equal([output.detach()], [torch.from_numpy(expected)], f"the output of step {t}")
        others = [torch.from_numpy(part) for part in expected_state]
        _assert_equal([part.detach() for part in flatten(state)], others, f"the state after step {t}")
    return ""


def check_scan_equals_stepping(create: CellFactory) -> str:
    """On every engine, a scan over a sequence gives the same outputs, last state and gradients as single steps.

    The remark names the engines.
    """
    cell, names = _randomised(create), []
    for engine in _engines(cell):
        _assert_same_run(cell, cell.scan, functools.partial(_stepped, cell), None)
        names.append("reference only" if engine == "auto" else engine)
    return ", ".join(names)


def check_lengths(create: CellFactory) -> str:
    """On every engine, each row of a padded batch gives the same outputs and last state as alone, outputs at padded
    steps are zero, gradients equal those of the reference, and a row of length zero keeps its state.
    """
    cell = _randomised(create)
    for _ in _engines(cell):
        _check_lengths(cell)
    return ""


def _check_lengths(cell: Cell) -> None:
    _assert_same_run(cell, cell.scan, functools.partial(Cell.unroll, cell), torch.tensor(LENGTHS))
    x, state = _some_input(), _some_state(cell)
    outputs, after = cell.scan(x, state, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        only = torch.tensor([row])
        alone, alone_after = cell.scan(x[only, :length], reorder(state, only))
        _assert_equal([outputs[only, :length]], [alone], f"outputs of a row of length {length}, as if it were alone,")
        _assert_equal(flatten(reorder(after, only)), flatten(alone_after), f"its state after {length} steps")
        padding = outputs[only, length:]
        _assert_exactly_equal([padding], [torch.zeros_like(padding)], "an output at a padded step")

    outputs, after = cell.scan(x, state, torch.tensor([7, 0, 2]))
    empty = torch.tensor([1])
    _assert_equal(flatten(reorder(after, empty)), flatten(reorder(state, empty)), "the state of a row of length zero")
    _assert_exactly_equal([outputs[empty]], [torch.zeros_like(outputs[empty])], "an output of a row of length zero")


def check_padding(create: CellFactory) -> str:
    """The contents of padded steps, even NaN or infinity, have no influence on outputs (bit for bit), last state or
    gradients.
    """
    cell, lengths = _randomised(create), torch.tensor(LENGTHS)
    x = _some_input()
    for _ in itertools.chain(_engines(cell), _reference(cell)):
        outputs, *others = _padded_run(cell, x, lengths)
        for filling in (1e3, -1e3, float("inf"), float("nan")):
            other = x.clone()
            for row, length in enumerate(LENGTHS):
                other[row, length:] = filling
            changed, *changed_others = _padded_run(cell, other, lengths)
            _assert_exactly_equal([outputs], [changed], f"outputs where only the padding changed, to {filling},")
            _assert_equal(others, changed_others, f"states and gradients where only the padding changed, to {filling},")
    return ""


def _padded_run(cell: Cell, x: Tensor, lengths: Tensor) -> list[Tensor]:
    """Outputs, last state and all gradients."""
    x = x.clone().requires_grad_()
    outputs, after = cell.scan(x, None, lengths)
    total = outputs.sum() + sum((3 * part).sin().sum() for part in flatten(after))
    gradients = torch.autograd.grad(total, [x, *cell.parameters()])
    return [outputs, *flatten(after), *gradients]


def check_resets(create: CellFactory) -> str:
    """On every engine, a row with resets gives the same outputs, last state and gradients as its segments, each scanned
    on its own, and as single steps between which `Cell.reset` is called.
    """
    cell = _randomised(create)
    resets = torch.zeros(B, T, dtype=torch.bool)
    for row, step in RESETS:
        resets[row, step] = True
    for lengths in (torch.tensor(LENGTHS), None):
        steps = Steps(lengths, resets)
        for _ in itertools.chain(_engines(cell), _reference(cell)):
            _assert_same_run(cell, cell.scan, functools.partial(_cut_by_hand, cell), steps)
    _assert_same_run(cell, cell.scan, functools.partial(_stepped, cell), Steps(None, resets))
    return ""


def _cut_by_hand(cell: Cell, x: Tensor, state: State, steps: Steps) -> tuple[Tensor, State]:
    """The reference for resets: each segment of each row is scanned on its own."""
    rows, after = [], []
    for row in range(B):
        length = T if steps.lengths is None else LENGTHS[row]
        cuts = [0, *(step for other, step in RESETS if other == row and 0 < step < length), length]
        pieces, only = [x.new_zeros(1, T - length, cell.output_size)], torch.tensor([row])
        state_of_row = cell.initial_state(1) if (row, 0) in RESETS else reorder(state, only)
        for begin, end in itertools.pairwise(cuts):
            state_of_row = cell.initial_state(1) if begin > 0 else state_of_row
            outputs, state_of_row = cell.scan(x[only, begin:end], state_of_row)
            pieces.insert(-1, outputs)
        rows.append(torch.cat(pieces, 1))
        after.append(state_of_row)
    return torch.cat(rows), map_state(lambda *parts: torch.cat(parts), *after)


def check_trees(create: CellFactory) -> str:
    """On trees, all nodes of a height at once give the same outputs, last state and gradients as node by node, and on
    a tree whose nodes have one child each the same as on a sequence.

    The remark "none" says that the cell does not support trees.
    """
    cell = _randomised(create)
    if "parents" not in cell.supports:
        return "none"
    parents = torch.tensor(PARENTS)
    _assert_same_run(
        cell, cell.scan, functools.partial(Cell.unroll, cell), Steps(torch.tensor(LENGTHS), None, None, parents)
    )
    chain = torch.tensor([[*range(1, T), -1]] * B)

    def as_tree(x: Tensor, state: State, steps: None) -> tuple[Tensor, State]:
        return cell.scan(x, state, Steps(parents=chain))

    _assert_same_run(cell, as_tree, cell.scan, None)
    return ""


def check_grids(create: CellFactory) -> str:
    """On grids of equal and of different sizes, all nodes of a diagonal at once give the same outputs, last state and
    gradients as node by node, and on a grid of one row the same as on a sequence.

    The remark "none" says that the cell does not support grids.
    """
    cell = _randomised(create)
    if "grid" not in cell.supports:
        return "none"
    sizes = torch.tensor(SIZES)
    for steps in (Steps(sizes.prod(1), grid=sizes), Steps(grid=(2, 3))):
        _assert_same_run(cell, cell.scan, functools.partial(Cell.unroll, cell), steps, length=6)

    def as_grid(x: Tensor, state: State, steps: None) -> tuple[Tensor, State]:
        return cell.scan(x, state, Steps(grid=(1, T)))

    _assert_same_run(cell, as_grid, cell.scan, None)
    return ""


def check_halves(create: CellFactory) -> str:
    """Two halves of a sequence, with the state carried over, give the same outputs and last state as the whole."""
    cell = _randomised(create)
    x, state = _some_input(), _some_state(cell)
    for _ in _engines(cell):
        whole, after = cell.scan(x, state)
        first, between = cell.scan(x[:, :3], state)
        second, end = cell.scan(x[:, 3:], between)
        _assert_equal([whole], [torch.cat([first, second], 1)], "outputs of two halves")
        _assert_equal(flatten(after), flatten(end), "the state after two halves")
    return ""


def check_bidirectional(create: CellFactory) -> str:
    """In a bidirectional network of two layers, each row of a padded batch gives the same outputs as alone."""
    network = Recurrent(create, I, hidden_size=H, num_layers=2, bidirectional=True).double()
    x = _some_input()
    outputs, _ = network(x, torch.tensor(LENGTHS))
    for row, length in enumerate(LENGTHS):
        alone, _ = network(x[row : row + 1, :length])
        _assert_equal([outputs[row : row + 1, :length]], [alone], f"both directions of a row of length {length}")
    return ""


def check_gradcheck(create: CellFactory) -> str:
    """Gradients with respect to input and state agree with finite differences, with lengths. A cell with
    spikes is checked with the function whose derivative it learns by.
    """
    cell = _randomised(create).smoothed()
    lengths = torch.tensor([3, 2])

    def through(x: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        outputs, after = cell.scan(x, unflatten(list(parts), cell.initial_state(2)), lengths)
        return outputs, *flatten(after)

    state = [part.requires_grad_() for part in flatten(_some_state(cell, 2))]
    _assert_gradients(torch.autograd.gradcheck, through, (_some_input(2, 3).requires_grad_(), *state))
    return ""


def check_double_backward(create: CellFactory) -> str:
    """Second derivatives with respect to input and parameters agree with finite differences, and exist in float32.

    The remark "reference" says that the fast `scan` has none in float32 and `Cell.unroll` was taken.
    """
    cell = _randomised(create).smoothed()
    names = [name for name, _ in cell.named_parameters()]

    def through(x: Tensor, *values: Tensor) -> Tensor:
        return _call(cell, cell.scan, dict(zip(names, values, strict=True)), x)

    values = [value.detach().clone().requires_grad_() for value in cell.parameters()]
    inputs = (_some_input(2, 3).requires_grad_(), *values)
    _assert_gradients(torch.autograd.gradgradcheck, through, inputs)

    def penalty(scan: Scan) -> None:
        x = _some_input().float().requires_grad_()
        gradients = torch.autograd.grad(scan(x)[0].sin().sum(), [x, *cell.parameters()], create_graph=True)
        sum(gradient.square().sum() for gradient in gradients).backward()  # type: ignore[union-attr]

    cell.float()
    return _scan_or_reference(cell, penalty)


def check_per_sample_gradients(create: CellFactory) -> str:
    """In float32, `torch.func.vmap` over `torch.func.grad` gives the same gradients as each row alone.

    The remark "reference" says that the fast `scan` refuses and `Cell.unroll` was taken; another one, that the step
    branches on its data, which torch transforms for no cell.
    """
    cell = _randomised(create).float()
    x = _some_input().float()
    parameters = {name: value.detach() for name, value in cell.named_parameters()}

    def compare(scan: Scan) -> None:
        def loss(parameters: dict[str, Tensor], row: Tensor) -> Tensor:
            return _call(cell, scan, parameters, row[None]).sin().sum()

        together = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1)), (None, 0))(parameters, x)
        for row in range(B):
            leaf = x[row : row + 1].clone().requires_grad_()
            alone = torch.autograd.grad(Cell.unroll(cell, leaf)[0].sin().sum(), [leaf, *cell.parameters()])
            of_row = [together[1][row : row + 1], *(together[0][name][row] for name in parameters)]
            _assert_equal(of_row, alone, f"the gradients of row {row}", rtol=1e-3, atol=1e-4)

    try:
        return _scan_or_reference(cell, compare)
    except RuntimeError as error:
        if "data-dependent control flow" not in str(error):
            raise
        return "none, as vmap cannot follow a branch on data"


def check_bfloat16(create: CellFactory) -> str:
    """In bfloat16, outputs differ by less than 5 % and gradients by less than 10 % from those in float64 with the same
    rounded parameters and inputs. Spikes, which rounding adds or removes, are smoothed.
    """
    cell = create(I, H).smoothed().bfloat16()
    x = _some_input().bfloat16()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about TF32 on devices that do not exist
        # oneDNN's bfloat16 kernels crash on processors without support
        with torch.backends.mkldnn.flags(enabled=False):
            low = _outputs_and_gradients(cell, x)
    exact = _outputs_and_gradients(cell.double(), x.double())
    if low[0].dtype != torch.bfloat16:
        raise AssertionError(f"outputs are {low[0].dtype} where parameters and inputs are torch.bfloat16")
    for what, actual, expected, limit in zip(("outputs", "gradients"), low, exact, (0.05, 0.1), strict=True):
        distance = ((actual.double() - expected).norm() / expected.norm().clamp(min=1e-6)).item()
        # "not <=" also catches NaN
        if not distance <= limit:
            raise AssertionError(f"{what} in bfloat16 are {distance:.3f} away from float64, above {limit}")
    return ""


def check_state_dict(create: CellFactory) -> str:
    """A new cell with weights saved and loaded by safetensors gives the same outputs, bit for bit."""
    cell, copy = _randomised(create), create(I, H).double()
    copy.load_state_dict(safetensors.torch.load(safetensors.torch.save(cell.state_dict())))
    x = _some_input()
    _assert_exactly_equal([copy.scan(x)[0]], [cell.scan(x)[0]], "outputs of a cell with loaded weights")
    return ""


CHECKS: dict[str, Callable[[CellFactory], str]] = {
    "scan": check_scan_equals_stepping,
    "lengths": check_lengths,
    "padding": check_padding,
    "resets": check_resets,
    "trees": check_trees,
    "grids": check_grids,
    "halves": check_halves,
    "bidirectional": check_bidirectional,
    "gradcheck": check_gradcheck,
    "double backward": check_double_backward,
    "per-sample gradients": check_per_sample_gradients,
    "bfloat16": check_bfloat16,
    "state dict": check_state_dict,
}


def _randomised(create: CellFactory) -> Cell:
    """A cell in float64 with perturbed parameters, so that a missing bias, which starts at 0, is noticed."""
    cell = create(I, H).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return cell


def _some_input(rows: int = B, steps: int = T) -> Tensor:
    return torch.randn(rows, steps, I, dtype=torch.float64)


def _some_state(cell: Cell, rows: int = B) -> State:
    return map_state(lambda zero: 0.5 * torch.randn_like(zero), cell.initial_state(rows))


def _engines(cell: Cell) -> Iterator[str]:
    """Set the cell to each engine that supports it in turn; without any, to auto, which is then the reference."""
    engines, previous = [], cell.engine
    try:
        for engine in ("fused", "torch"):
            cell.engine = engine
            try:
                cell.scan(_some_input())
            except ValueError:
                continue
            engines.append(engine)
        for engine in engines or ["auto"]:
            cell.engine = engine
            yield engine
    finally:
        cell.engine = previous


def _reference(cell: Cell) -> Iterator[str]:
    cell.engine = "reference"
    yield cell.engine
    cell.engine = "auto"


def _stepped(cell: Cell, x: Tensor, state: State, steps: Steps | None) -> tuple[Tensor, State]:
    outputs = []
    for t in range(x.shape[1]):
        if steps is not None and steps.resets is not None:
            state = cell.reset(state, steps.resets[:, t])
        output, state = cell(x[:, t], state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


def _assert_same_run(cell: Cell, scan: Scan, reference: Scan, steps: Steps | Tensor | None, length: int = T) -> None:
    """Compare outputs, last states, and the gradients of a sum of all of them with different weights."""
    x = _some_input(steps=length).requires_grad_()
    state = map_state(lambda part: part.requires_grad_(), _some_state(cell))
    runs = []
    for run in (scan, reference):
        outputs, after = run(x, state, steps)
        weights = torch.linspace(0.5, 1.5, outputs.numel(), dtype=outputs.dtype).view_as(outputs)
        total = (outputs * weights).sum() + sum((3 * part).sin().sum() for part in flatten(after))
        gradients = torch.autograd.grad(total, [x, *flatten(state), *cell.parameters()])
        runs.append((outputs, flatten(after), gradients))
    _assert_equal([runs[0][0]], [runs[1][0]], "outputs of scan")
    _assert_equal(runs[0][1], runs[1][1], "the state after scan")
    _assert_equal(runs[0][2], runs[1][2], "gradients through scan")


class _Scanning(nn.Module):
    """Makes a scan the forward method of a module, as `functional_call` requires."""

    def __init__(self, cell: Cell, scan: Scan):
        super().__init__()
        self.cell, self._scan = cell, scan

    def forward(self, x: Tensor) -> Tensor:
        return self._scan(x)[0]


def _call(cell: Cell, scan: Scan, parameters: dict[str, Tensor], x: Tensor) -> Tensor:
    """The outputs (B, T, O) with these parameters."""
    prefixed = {f"cell.{name}": value for name, value in parameters.items()}
    return torch.func.functional_call(_Scanning(cell, scan), prefixed, (x,))


def _scan_or_reference(cell: Cell, use: Callable[[Scan], None]) -> str:
    """Call `use` with the cell's scan or, if torch raises, with the reference; the remark says which."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about slow vmap fallbacks
            use(cell.scan)
        return ""
    except RuntimeError:
        use(functools.partial(Cell.unroll, cell))
        return "reference"


def _outputs_and_gradients(cell: Cell, x: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs, and the gradients of their squared sum with respect to input and parameters, flattened."""
    x = x.detach().requires_grad_()
    outputs, _ = cell.scan(x, None, torch.tensor(LENGTHS))
    gradients = torch.autograd.grad(outputs.square().sum(), [x, *cell.parameters()])
    return outputs.detach(), torch.cat([gradient.flatten() for gradient in gradients])


def _assert_gradients(check: Callable[..., bool], function: Callable, inputs: tuple[Tensor, ...]) -> None:
    """Compare with finite differences in a random direction, as torch's own tests do, and not for each number alone."""
    try:
        check(function, inputs, fast_mode=True)
    except GradcheckError as error:
        raise AssertionError(str(error)) from None


def _assert_equal(
    actual_tensors: Any, expected_tensors: Any, what: str, rtol: float | None = None, atol: float | None = None
) -> None:
    for actual, expected in zip(actual_tensors, expected_tensors, strict=True):
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol, msg=lambda text: f"{what}: {text}")


def _assert_exactly_equal(actual_tensors: Any, expected_tensors: Any, what: str) -> None:
    _assert_equal(actual_tensors, expected_tensors, what, rtol=0, atol=0)
