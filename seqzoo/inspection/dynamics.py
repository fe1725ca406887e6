"""Dynamics of recurrent cells: gates, Jacobians, Lyapunov exponents, memory capacity. They need the `step` of a cell
alone.

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
from seqzoo.learning.least_squares import ridge
from seqzoo.network.model import Model

OPEN, SHUT = 0.9, 0.1
"""Gates above or below these values count as saturated."""


@dataclass
class Recording:
    """The states and gates of a cell over a batch, with the autograd graph.

    Attributes:
        entered: the state before each step.
        left: the state after each step.
        outputs: (B, T, O)
        lengths: (B,)
        gates: each sigmoid of a step, (B, T, H), by the letter of the gate or by its number.
        kept: the share of the state that each step keeps, (B, T, H); None where no gate determines it.
    """

    entered: list[State] = field(default_factory=list)
    left: list[State] = field(default_factory=list)
    outputs: Tensor = field(default_factory=lambda: torch.empty(0))
    lengths: Tensor = field(default_factory=lambda: torch.empty(0))
    gates: dict[str, Tensor] = field(default_factory=dict)
    kept: Tensor | None = None

    @property
    def real(self) -> Tensor:
        """A mask (B, T), False at padded steps."""
        return mask(self.lengths, len(self.entered))


def first_cell(model: Model) -> Cell | None:
    """The first cell of the backbone, which reads the encoded inputs; None where it has no cells."""
    return next((module for module in model.backbone.modules() if isinstance(module, Cell)), None)


@contextmanager
def recording(cell: Cell) -> Iterator[Recording]:
    """A context in which a cell runs step by step and its states and gates are recorded; the last sequence counts.

    Outputs and gradients are those of `Cell.unroll`. Over trees and grids, many nodes of which run at once, only
    outputs are recorded.
    """
    recorded = Recording()

    def scan(x: Tensor, state: State | None = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        current: State = map_state(_leaf, cell.initial_state(x.shape[0]) if state is None else state)
        entered, left, outputs, sigmoids, kept = [], [], [], [], []
        for t, p in enumerate(cell.project(zero_padding(x, lengths)).unbind(1)):
            # a new view for each step, so that the gradient by one part of a state does not include that by another
            current = map_state(lambda part: part.view_as(part), current)
            with _GateRecorder(cell) as recorder:
                output, following = cell.step(p, current)
            entered.append(current)
            left.append(following)
            sigmoids.append(recorder.sigmoids)
            kept += recorder.kept
            if lengths is not None:
                real = lengths > t
                output, following = where(real, (output, following), (torch.zeros_like(output), current))
            outputs.append(output)
            current = following
        recorded.entered, recorded.left, recorded.outputs = entered, left, torch.stack(outputs, 1)
        recorded.lengths = x.new_full((x.shape[0],), x.shape[1], dtype=torch.long) if lengths is None else lengths
        names = _names(cell, x[:, 0], len(sigmoids[0]))
        gates = [torch.stack(steps, 1).detach() for steps in zip(*sigmoids, strict=True)]
        recorded.gates = dict(zip(names, gates, strict=True))
        recorded.kept = torch.stack(kept, 1).detach() if kept else _kept(cell, recorded.gates)
        return recorded.outputs, current

    def over_nodes(*inputs: Any, **options: Any) -> tuple[Tensor, State]:
        recorded.outputs, after = type(cell).over_nodes(cell, *inputs, **options)
        return recorded.outputs, after

    # through a call of the module, so that its hooks run
    by_step = functools.partial(cell.by_segments, functools.partial(cell, by=scan))
    outer: dict[str, Any] = {name: vars(cell)[name] for name in ("scan", "over_nodes") if name in vars(cell)}
    vars(cell).update(scan=by_step, over_nodes=over_nodes)
    try:
        yield recorded
    finally:
        for name in ("scan", "over_nodes"):
            del vars(cell)[name]
        vars(cell).update(outer)


class _GateRecorder(TorchFunctionMode):
    """Records the sigmoids of a step, and the state coefficient of a linear cell.

    Attributes:
        sigmoids: (B, H) each, in the order of the code.
        kept: one tensor (B, H) for a linear cell, otherwise empty.
    """

    def __init__(self, cell: Cell):
        super().__init__()
        self.sigmoids: list[Tensor] = []
        self.kept: list[Tensor] = []
        self._width = cell.hidden_size
        self._linear: Any = next((part for part in cell.modules() if hasattr(part, "coefficients")), None)

    def __enter__(self) -> _GateRecorder:
        if self._linear is not None:
            coefficients = self._linear.coefficients

            def recording_coefficients(p: Tensor) -> tuple[Tensor, Tensor]:
                a, b = coefficients(p)
                self.kept.append(a.abs().expand(p.shape[0], -1))
                return a, b

            self._linear.coefficients = recording_coefficients
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
    """The names of the sigmoids of a step: the letter of the gate whose bias opens and closes it, otherwise a number.

    Args:
        cell: with its biases.
        x: any input, (B, I).
        count: number of sigmoids.
    """
    names = [str(number + 1) for number in range(count)]
    gated = _gated_part(cell)
    # the copies share weights, but not biases
    shared = {id(weight): weight for weight in cell.parameters() if weight.dim() > 1}
    for letter in [] if gated is None else gated.gates:
        sigmoids = []
        for bias in (100.0, -100.0):
            changed = copy.deepcopy(cell, dict(shared))
            _gated_part(changed).set_bias(letter, bias)
            with torch.no_grad(), _GateRecorder(changed) as recorder:
                changed(x)
            sigmoids.append(recorder.sigmoids)
        for i, (opened, closed) in enumerate(zip(*sigmoids, strict=True)):
            if bool((opened > 0.99).all() and (closed < 0.01).all()):
                names[i] = letter
    return names


def _gated_part(cell: Cell) -> Any:
    """The part of a cell that has named gates; None where there is none."""
    return next((part for part in cell.modules() if hasattr(part, "set_bias")), None)


def _kept(cell: Cell, gates: dict[str, Tensor]) -> Tensor | None:
    gated = _gated_part(cell)
    if gated is None:
        return None
    if gated.keep_gate in gates:
        return gates[gated.keep_gate]
    return 1 - gates[gated.write_gate] if gated.write_gate in gates else None


def _leaf(part: Tensor) -> Tensor:
    """A part of a state as a leaf that requires a gradient."""
    return part.detach().requires_grad_(part.is_floating_point() or part.is_complex())


def saturation(gate: Tensor, real: Tensor) -> tuple[float, float]:
    """The shares of the values of a gate below SHUT and above OPEN.

    Args:
        gate: (B, T, H)
        real: (B, T), False at padded steps.

    Source: Karpathy, Johnson & Fei-Fei, Visualizing and Understanding Recurrent Networks, 2015,
    https://arxiv.org/abs/1506.02078
    """
    values = gate[real]
    return float((values < SHUT).double().mean()), float((values > OPEN).double().mean())


def time_constants(kept: Tensor, real: Tensor) -> Tensor:
    """The time constant of each unit, (H,): -1 / mean log f, the steps until 1/e of the state is left.

    Args:
        kept: f, (B, T, H), the share of the state that each step keeps.
        real: (B, T), False at padded steps.
    """
    return -1 / kept[real].double().log().mean(0).clamp(max=-1e-12)


def state_norms(recorded: Recording) -> Tensor:
    """The mean norm of the state after each step, (T,), over the rows that have this step."""
    norms = torch.stack([_vector(state).detach().norm(dim=1) for state in recorded.left], 1)
    return _mean_over_rows(norms, recorded.real)


def gradients_by_lag(loss: Tensor, recorded: Recording) -> Tensor:
    """The mean norm of the gradient of a loss with respect to the state, by the lag to the end of the row.

    The norms are computed in float64, since squares of exploding gradients overflow float32.

    Args:
        loss: with the graph of the recording.
        recorded: from `recording`.

    Returns:
        (T,), for lags 1 to T, over the rows that are as long.
    """
    parts = [_features(state) for state in recorded.entered]
    flat = [part for step in parts for part in step]
    gradients = iter(torch.autograd.grad(loss, flat, retain_graph=True, materialize_grads=True))
    steps = [_side_by_side(list(islice(gradients, len(step)))) for step in parts]
    norms = torch.stack([gradient.abs().double().norm(dim=1) for gradient in steps], 1)
    lags = torch.arange(1, len(steps) + 1, device=norms.device)
    reached = lags <= recorded.lengths[:, None]
    by_lag = norms.gather(1, (recorded.lengths[:, None] - lags).clamp(min=0))
    return _mean_over_rows(by_lag, reached)


def _mean_over_rows(values: Tensor, real: Tensor) -> Tensor:
    """The mean over real steps, (B, T) and (B, T) -> (T,), up to the longest row."""
    longest = int(real.sum(1).max())
    return (torch.where(real, values, 0).sum(0) / real.sum(0))[:longest]


class Jacobian:
    """The Jacobian of a step, the state after it with respect to the state before it, for each row.

    Only products with it are computed. Counters are left out.

    Args:
        recorded: from `recording`.
        step: from 0.
    """

    def __init__(self, recorded: Recording, step: int):
        self._entered = _features(recorded.entered[step])
        self._left = _vector(recorded.left[step])
        self.size = self._left.shape
        self._u = torch.zeros_like(self._left, requires_grad=True)
        self._pulled: Tensor | None = None

    def transposed(self, u: Tensor) -> Tensor:
        """J^T u: (B, N) -> (B, N)."""
        return _side_by_side(
            torch.autograd.grad(self._left, self._entered, u, retain_graph=True, materialize_grads=True)
        )

    def times(self, v: Tensor) -> Tensor:
        """J v, the derivative of J^T u with respect to u: (B, N) -> (B, N)."""
        if self._pulled is None:
            pulled = torch.autograd.grad(self._left, self._entered, self._u, create_graph=True, materialize_grads=True)
            self._pulled = _side_by_side(pulled)
        if not self._pulled.requires_grad:
            return torch.zeros_like(v)
        [product] = torch.autograd.grad(self._pulled, [self._u], v, retain_graph=True, materialize_grads=True)
        return product


def largest_singular_value(jacobian: Jacobian, iterations: int = 20) -> Tensor:
    """The largest singular value of each row, (B,), by power iteration on J^T J, which converges from below."""
    v = _start(jacobian)
    for _ in range(iterations):
        u = jacobian.times(v)
        sizes = u.norm(dim=1)
        v = _unit(jacobian.transposed(u))
    return sizes


def spectral_radius(jacobian: Jacobian, iterations: int = 60) -> Tensor:
    """The spectral radius of each row, (B,), by power iteration.

    A complex pair of eigenvalues makes the norm oscillate, so that the growth is averaged over the second half.
    """
    v, growth = _start(jacobian), []
    for _ in range(iterations):
        v = jacobian.transposed(v)
        growth.append(v.norm(dim=1).log())
        v = _unit(v)
    return torch.stack(growth)[iterations // 2 :].mean(0).exp()


def lyapunov_exponent(recorded: Recording) -> Tensor:
    """An estimate of the largest Lyapunov exponent of each row, (B,), per step; long rows give better estimates.

    A vector is propagated back through the row by the transposed Jacobians, which have the same exponents, and its
    growth is averaged without the first quarter, in which it aligns.
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
    """The memory function of a cell: the share of the variance of the input k steps ago that a linear readout of the
    output explains. Its sum over k is the memory capacity, at most the number of units.

    The input is white noise, uniform in [-0.5, 0.5] and the same for all input features. The readout is fitted on one
    half of the steps and evaluated on the other.

    Args:
        cell: any.
        max_lag: largest k; None: twice the number of units, at most 300.

    Returns:
        (max_lag,), for k = 1, 2, ...
    """
    units = cell.output_size
    lags = min(2 * units, 300) if max_lag is None else max_lag
    steps, washout = min(20 * units, 4000), lags + 50
    weight = next(iter([*cell.parameters(), *cell.buffers()]), torch.zeros(()))
    noise = torch.rand(washout + 2 * steps, generator=torch.Generator().manual_seed(0)).to(weight.device) - 0.5
    if weight.dtype == torch.float64:
        noise = noise.double()
    h, _ = cell.scan(noise[None, :, None].expand(1, -1, cell.input_size) / cell.input_size**0.5)
    features = torch.cat([torch.ones_like(h[0, :, :1]), h[0]], 1).double()[washout:]
    past = noise.double().unfold(0, lags + 1, 1).flip(1)[washout - lags :, 1:]
    readout = ridge(features[:steps], past[:steps], 1e-8)
    error = (features[steps:] @ readout - past[steps:]).square().mean(0)
    return (1 - error / past[steps:].var(0)).clamp(min=0)


def _features(state: State) -> list[Tensor]:
    """The parts of a state that are not counters."""
    return [part for part in flatten(state) if part.dim() > 1]


def _side_by_side(parts: Any) -> Tensor:
    return torch.cat([part.flatten(1) for part in parts], 1)


def _vector(state: State) -> Tensor:
    """All features of a state as a vector, (B, N)."""
    return _side_by_side(_features(state))


def _start(jacobian: Jacobian) -> Tensor:
    """Unit vectors (B, N), the same in every call; the training's random state is left as it was."""
    v = torch.randn(jacobian.size, generator=torch.Generator().manual_seed(0))
    return _unit(v.to(jacobian._left))


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=1, keepdim=True).clamp(min=1e-30)
