"""What a recurrent cell does with its state: gates, Jacobians, exponents, memory. Of any cell, by its `step` alone.

Bengio, Simard & Frasconi, Learning Long-Term Dependencies with Gradient Descent is Difficult, 1994 (gradients and the
singular values of the step's Jacobian), https://doi.org/10.1109/72.279181
Benettin, Galgani, Giorgilli & Strelcyn, Lyapunov Characteristic Exponents for Smooth Dynamical Systems, 1980 (a vector
carried along and kept at length 1), https://doi.org/10.1007/BF02128236
Vogt, Puelma Touzel, Shlizerman & Lajoie, On Lyapunov Exponents for RNNs, 2022, https://doi.org/10.3389/fams.2022.818799
Tallec & Ollivier, Can Recurrent Neural Networks Warp Time?, 2018 (gates as time constants),
https://arxiv.org/abs/1804.11188
Jaeger, Short Term Memory in Echo State Networks, 2001 (GMD Report 152),
https://www.ai.rug.nl/minds/uploads/STMEchoStatesTechRep.pdf
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import mask, zero_padding
from seqzoo.contracts.state import flatten, map_state, where
from seqzoo.learning.ridge import ridge
from seqzoo.network.model import Model

OPEN, SHUT = 0.9, 0.1
"""Beyond these a gate counts as saturated."""


@dataclass
class Recording:
    """What a cell did over the rows of a batch, with its graph.

    entered, left: the state before each step, and what the step made of it.
    outputs: (B, T, O). lengths: (B,), of the rows.
    gates: name -> (B, T, H), every sigmoid of a step; by the letter of the cell, or its number.
    kept: (B, T, H), the share of the state that a step keeps; None where no gate says so.
    """

    entered: list[State] = field(default_factory=list)
    left: list[State] = field(default_factory=list)
    outputs: Tensor = field(default_factory=lambda: torch.empty(0))
    lengths: Tensor = field(default_factory=lambda: torch.empty(0))
    gates: dict[str, Tensor] = field(default_factory=dict)
    kept: Tensor | None = None

    @property
    def real(self) -> Tensor:
        """(B, T), True where a step is real."""
        return mask(self.lengths, len(self.entered))


def first_cell(model: Model) -> Cell | None:
    """The cell that reads what the encoder makes of the inputs; None where the backbone has none."""
    return next((module for module in model.backbone.modules() if isinstance(module, Cell)), None)


@contextmanager
def recording(cell: Cell) -> Iterator[Recording]:
    """As long as it lasts, the cell goes over sequences step by step and notes what it does; the last one counts. The
    numbers are those of `Cell.unroll`, gradients included.
    """
    noted = Recording()

    def scan(x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        state = map_state(_leaf, cell.initial_state(x.shape[0]) if state is None else state)
        entered, left, outputs, sigmoids, kept = [], [], [], [], []
        for t, p in enumerate(cell.project(zero_padding(x, lengths)).unbind(1)):
            # what enters a step has only that step behind it, although h may have been computed from c
            state = map_state(lambda part: part.view_as(part), state)
            with _Listening(cell) as heard:
                output, following = cell.step(p, state)
            entered.append(state)
            left.append(following)
            sigmoids.append(heard.sigmoids)
            kept += heard.kept
            if lengths is not None:
                real = lengths > t
                output, following = where(real, (output, following), (torch.zeros_like(output), state))
            outputs.append(output)
            state = following
        noted.entered, noted.left, noted.outputs = entered, left, torch.stack(outputs, 1)
        noted.lengths = x.new_full((x.shape[0],), x.shape[1], dtype=torch.long) if lengths is None else lengths
        names = _names(cell, x[:, 0], len(sigmoids[0]))
        gates = [torch.stack(steps, 1).detach() for steps in zip(*sigmoids, strict=True)]
        noted.gates = dict(zip(names, gates, strict=True))
        noted.kept = torch.stack(kept, 1).detach() if kept else _kept(cell, noted.gates)
        return noted.outputs, state

    outer = vars(cell).get("scan")
    # within a call of the cell, so that its hooks are called
    cell.scan = functools.partial(cell.by_segments, functools.partial(cell, by=scan))  # type: ignore[method-assign]
    try:
        yield noted
    finally:
        if outer is None:
            del cell.scan
        else:
            cell.scan = outer  # type: ignore[method-assign]


class _Listening(TorchFunctionMode):
    """Notes the sigmoids of a step, and the coefficient of a linear cell's state.

    sigmoids: (B, H) each, in the order of the code. kept: [(B, H)] of a linear cell, else empty.
    """

    def __init__(self, cell: Cell):
        super().__init__()
        self.sigmoids: list[Tensor] = []
        self.kept: list[Tensor] = []
        self._width = cell.hidden_size
        self._linear: Any = next((part for part in cell.modules() if hasattr(part, "coefficients")), None)

    def __enter__(self) -> _Listening:
        if self._linear is not None:
            coefficients = self._linear.coefficients

            def noting(p: Tensor) -> tuple[Tensor, Tensor]:
                a, b = coefficients(p)
                self.kept.append(a.abs().expand(p.shape[0], -1))
                return a, b

            self._linear.coefficients = noting
        super().__enter__()
        return self

    def __exit__(self, *reason: Any) -> None:
        try:
            super().__exit__(*reason)
        finally:
            if self._linear is not None:
                del self._linear.coefficients

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if function in (torch.sigmoid, Tensor.sigmoid, F.logsigmoid) and result.dim() == 2:
            gates = result.exp() if function is F.logsigmoid else result
            several = gates.shape[1] % self._width == 0
            self.sigmoids += gates.split(self._width if several else gates.shape[1], 1)
        return result


def _names(cell: Cell, x: Tensor, count: int) -> list[str]:
    """Of the sigmoids of a step. A gate has the letter whose bias opens and shuts it. x: (B, I)"""
    names = [str(number + 1) for number in range(count)]
    named = _named(cell)
    # weights are shared with the copies, biases are not
    shared = {id(weight): weight for weight in cell.parameters() if weight.dim() > 1}
    for letter in [] if named is None else named.gates:
        moved = []
        for bias in (100.0, -100.0):
            changed = copy.deepcopy(cell, dict(shared))
            _named(changed).set_bias(letter, bias)
            with torch.no_grad(), _Listening(changed) as heard:
                changed(x)
            moved.append(heard.sigmoids)
        for place, (opened, shut) in enumerate(zip(*moved, strict=True)):
            if bool((opened > 0.99).all() and (shut < 0.01).all()):
                names[place] = letter
    return names


def _named(cell: Cell) -> Any:
    """The part of a cell that has letters for its gates."""
    return next((part for part in cell.modules() if hasattr(part, "set_bias")), None)


def _kept(cell: Cell, gates: dict[str, Tensor]) -> Tensor | None:
    named = _named(cell)
    if named is None:
        return None
    if named.keep_gate in gates:
        return gates[named.keep_gate]
    return 1 - gates[named.write_gate] if named.write_gate in gates else None


def _leaf(part: Tensor) -> Tensor:
    """A part of a state that gradients can reach."""
    return part.detach().requires_grad_(part.is_floating_point() or part.is_complex())


def saturation(gate: Tensor, real: Tensor) -> tuple[float, float]:
    """(B, T, H), (B, T) -> the shares of a gate's values below SHUT and above OPEN (Karpathy, Johnson & Fei-Fei,
    Visualizing and Understanding Recurrent Networks, 2015, https://arxiv.org/abs/1506.02078).
    """
    values = gate[real]
    return float((values < SHUT).double().mean()), float((values > OPEN).double().mean())


def time_constants(kept: Tensor, real: Tensor) -> Tensor:
    """(B, T, H), (B, T) -> (H,): the steps over which each unit forgets all but 1/e, -1 / mean log f."""
    return -1 / kept[real].double().log().mean(0).clamp(max=-1e-12)


def state_norms(recorded: Recording) -> Tensor:
    """(T,): the mean norm of the state after each step, over the rows that are as long."""
    norms = torch.stack([_vector(state).detach().norm(dim=1) for state in recorded.left], 1)
    return _mean_over_rows(norms, recorded.real)


def gradients_by_lag(loss: Tensor, recorded: Recording) -> Tensor:
    """(T,): the mean norm of the loss's gradient by the state 1 to T steps before the end of a row, over the rows that
    are as long. In float64: the square of what has exploded overflows float32 long before it does itself.
    """
    parts = [_features(state) for state in recorded.entered]
    wanted = [part for step in parts for part in step]
    found = iter(torch.autograd.grad(loss, wanted, retain_graph=True, materialize_grads=True))
    steps = [_side_by_side(list(islice(found, len(step)))) for step in parts]
    norms = torch.stack([gradient.abs().double().norm(dim=1) for gradient in steps], 1)
    lags = torch.arange(1, len(steps) + 1, device=norms.device)
    reached = lags <= recorded.lengths[:, None]
    by_lag = norms.gather(1, (recorded.lengths[:, None] - lags).clamp(min=0))
    return _mean_over_rows(by_lag, reached)


def _mean_over_rows(values: Tensor, real: Tensor) -> Tensor:
    """(B, T) twice -> (T,), as far as the longest row."""
    longest = int(real.sum(1).max())
    return (torch.where(real, values, 0).sum(0) / real.sum(0))[:longest]


class Jacobian:
    """Of one step of a recording, the state after it by the state before it, for each row; never written out: only
    products with it are computed. Counters are left out.
    """

    def __init__(self, recorded: Recording, step: int):
        self._entered = _features(recorded.entered[step])
        self._left = _vector(recorded.left[step])
        self.size = self._left.shape
        self._u = torch.zeros_like(self._left, requires_grad=True)
        self._pulled: Tensor | None = None

    def transposed(self, u: Tensor) -> Tensor:
        """(B, N) -> (B, N): J^T u"""
        return _side_by_side(
            torch.autograd.grad(self._left, self._entered, u, retain_graph=True, materialize_grads=True)
        )

    def times(self, v: Tensor) -> Tensor:
        """(B, N) -> (B, N): J v, the derivative of J^T u by u."""
        if self._pulled is None:
            pulled = torch.autograd.grad(self._left, self._entered, self._u, create_graph=True, materialize_grads=True)
            self._pulled = _side_by_side(pulled)
        if not self._pulled.requires_grad:
            return torch.zeros_like(v)
        [product] = torch.autograd.grad(self._pulled, [self._u], v, retain_graph=True, materialize_grads=True)
        return product


def largest_singular_value(jacobian: Jacobian, iterations: int = 20) -> Tensor:
    """(B,), by power iteration on J^T J: a lower bound that is close where the largest ones are close to each other."""
    v = _start(jacobian)
    for _ in range(iterations):
        u = jacobian.times(v)
        sizes = u.norm(dim=1)
        v = _unit(jacobian.transposed(u))
    return sizes


def spectral_radius(jacobian: Jacobian, iterations: int = 60) -> Tensor:
    """(B,), the size of the largest eigenvalue, by power iteration. A complex pair turns the vector, so that its length
    swings: the mean growth of the later half is taken.
    """
    v, growth = _start(jacobian), []
    for _ in range(iterations):
        v = jacobian.transposed(v)
        growth.append(v.norm(dim=1).log())
        v = _unit(v)
    return torch.stack(growth)[iterations // 2 :].mean(0).exp()


def lyapunov_exponent(recorded: Recording) -> Tensor:
    """(B,): an estimate of the largest exponent, per step, along each row: above 0 neighbouring states part, below 0
    they meet. Only as good as the row is long.

    A vector is carried back through the row by the transposed Jacobians, which have the exponents of the Jacobians, and
    its growth is averaged; the first quarter of the way, in which it finds its direction, is left out.
    """
    steps = len(recorded.entered)
    v = _start(Jacobian(recorded, steps - 1))
    total, count = v.new_zeros(len(v), dtype=torch.float64), v.new_zeros(len(v))
    for t in range(steps - 1, -1, -1):
        real = t < recorded.lengths
        pulled = Jacobian(recorded, t).transposed(v)
        counted = real & (t < recorded.lengths - recorded.lengths // 4)
        growth = pulled.norm(dim=1).double().log()
        total, count = total + torch.where(counted, growth, 0), count + counted
        v = torch.where(real[:, None], _unit(pulled), v)
    return total / count


@torch.no_grad()
def memory_capacity(cell: Cell, max_lag: int | None = None) -> Tensor:
    """(max_lag,): how well the input of k steps ago, k = 1, 2, ..., can be read from the state by a linear readout,
    as the share of its variance; their sum is the capacity, at most the number of units.

    The input is white noise, uniform in +-0.5, the same on all inputs; the readout is fitted on one half of the steps
    and scored on the other. max_lag: by default twice the units, 300 at most.
    """
    units = cell.output_size
    lags = min(2 * units, 300) if max_lag is None else max_lag
    steps, washout = min(20 * units, 4000), lags + 50
    device = next((tensor.device for tensor in [*cell.parameters(), *cell.buffers()]), torch.device("cpu"))
    noise = torch.rand(washout + 2 * steps, generator=torch.Generator().manual_seed(0)).to(device) - 0.5
    h, _ = cell.scan(noise[None, :, None].expand(1, -1, cell.input_size) / cell.input_size**0.5)
    features = torch.cat([torch.ones_like(h[0, :, :1]), h[0]], 1).double()[washout:]
    past = noise.double().unfold(0, lags + 1, 1).flip(1)[washout - lags :, 1:]
    readout = ridge(features[:steps], past[:steps], 1e-8)
    error = (features[steps:] @ readout - past[steps:]).square().mean(0)
    return (1 - error / past[steps:].var(0)).clamp(min=0)


def _features(state: State) -> list[Tensor]:
    """The parts of a state that are no counters."""
    return [part for part in flatten(state) if part.dim() > 1]


def _side_by_side(parts: Any) -> Tensor:
    return torch.cat([part.flatten(1) for part in parts], 1)


def _vector(state: State) -> Tensor:
    """(B, N)"""
    return _side_by_side(_features(state))


def _start(jacobian: Jacobian) -> Tensor:
    """Unit vectors (B, N), the same in every call; the training's random state is left as it was."""
    v = torch.randn(jacobian.size, generator=torch.Generator().manual_seed(0))
    return _unit(v.to(jacobian._left))


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=1, keepdim=True).clamp(min=1e-30)
