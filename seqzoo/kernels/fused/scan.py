"""A cell over a whole sequence by code that was written from its step, with gradients.

The loop over time is compiled: what is sequential and nothing else. What a step needs of the input is projected before,
for all steps at once, and the gradient of a weight is one product, after the reverse loop. Rows are taken by their
length, so that a finished sequence costs nothing: no packing is needed.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from seqzoo.contracts.batch import State
from seqzoo.contracts.masking import zero_padding
from seqzoo.contracts.state import flatten, unflatten
from seqzoo.contracts.transforms import autocast_dtype, transformed
from seqzoo.kernels.fused.interpretation import interpreted
from seqzoo.kernels.fused.plan import Plan, plan
from seqzoo.kernels.fused.rows import Rows
from seqzoo.kernels.fused.tracing import NotCompilable
from seqzoo.kernels.fused.traits import traits_of
from seqzoo.kernels.stepping import Stepping
from seqzoo.kernels.unroll import unroll

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-2, torch.float16: 5e-2, torch.bfloat16: 5e-2}
MOST_PROGRAMS = 256
"""Compiled steps that are kept at once; those of a cell whose attributes change at every call would have no end."""
Run = Callable[[str, Rows, dict[str, Tensor], Sequence[Tensor]], None]
_known: dict[Hashable, Compiled | NotCompilable] = {}
_keeping = threading.Lock()


class Compiled(NamedTuple):
    """One cell's step, compiled. run: name of a pass, rows, buffers by their names, fixed tensors -> fills buffers."""

    plan: Plan
    run: Run


class Machine(NamedTuple):
    """What code is written for. ways: each makes of a plan what runs it, the best first; it may raise NotCompilable.

    dtypes: the numbers that it knows; compact: buffers of steps hold the real ones alone.
    """

    dtypes: tuple[torch.dtype, ...]
    compact: bool
    ways: tuple[Callable[[Plan, torch.dtype], Run], ...]


def _native(plan: Plan, dtype: torch.dtype) -> Run:
    from seqzoo.kernels.fused.cpu import native

    return native.program(plan, dtype)


def _resident(plan: Plan, dtype: torch.dtype) -> Run:
    try:
        from seqzoo.kernels.fused.cuda.resident import Resident
    except ImportError as error:
        raise NotCompilable("Triton is not installed") from error
    return Resident(plan, dtype)


def _stepwise(plan: Plan, dtype: torch.dtype) -> Run:
    try:
        from seqzoo.kernels.fused.cuda.stepwise import Stepwise
    except ImportError as error:
        raise NotCompilable("Triton is not installed") from error
    return Stepwise(plan, dtype)


MACHINES = {
    "cpu": Machine((torch.float32, torch.float64), True, (_native,)),
    "cuda": Machine((torch.float32, torch.float16, torch.bfloat16), False, (_resident, _stepwise)),
}


def fused_scan(cell: Stepping, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    """As `Cell.scan`. Raises NotCompilable where it cannot be."""
    if transformed() or type(x) not in (Tensor, nn.Parameter):
        raise NotCompilable("torch transforms the computation")
    device = x.device.type
    machine = MACHINES.get(device)
    if machine is None:
        raise NotCompilable(f"no code is written for {device}")
    low = autocast_dtype(device)
    if not {x.dtype, low or x.dtype} <= {*machine.dtypes}:
        raise NotCompilable(f"no code is written for {low or x.dtype} on {device}")
    if _inner_hooks(cell):
        raise NotCompilable("hooks of modules in it would not be called")
    # before anything is computed for nothing
    program = compiled(cell, x, state, low)
    rows = Rows(x, lengths, machine.compact)
    p = cell.project(rows.real(x if machine.compact else zero_padding(x, lengths))).to(low)
    fixed = _fixed(cell, program.plan, low)
    if any(tensor.dtype not in (p.dtype, low and torch.float32) for tensor in (*flatten(state), *fixed)):
        raise NotCompilable("not all numbers are of one type")
    outputs, *after = _Scan.apply(program, rows, state, torch.is_grad_enabled(), p, *flatten(state), *fixed)
    return outputs, unflatten(after, state)


def _fixed(cell: Stepping, plan: Plan, low: torch.dtype | None) -> list[Tensor]:
    """low: of the weights of products, where autocast wants them so; vectors and the state stay as they are."""
    memo: dict[int, Any] = {}
    weights = {product.weight for product in plan.step.products}
    return [one(cell, memo).to(low if k in weights else None) for k, one in enumerate(plan.step.fixed)]


def compiled(cell: Stepping, x: Tensor, state: State, low: torch.dtype | None) -> Compiled:
    """One for all cells of equal traits: of a class, its options and sizes. Raises NotCompilable."""
    key = (x.dtype, low, x.device, *traits_of(cell))
    program = _known.get(key)
    if program is None:
        try:
            program = _compile(cell, x, state, low)
        except NotCompilable as error:
            program = error.with_traceback(None)
        with _keeping:
            while len(_known) >= MOST_PROGRAMS:
                del _known[next(iter(_known))]
            _known[key] = program
    if isinstance(program, NotCompilable):
        raise NotCompilable(str(program))
    return program


def _compile(cell: Stepping, x: Tensor, state: State, low: torch.dtype | None) -> Compiled:
    """By the first way that can and is right. Nothing of it is seen from outside: not by hooks on saved tensors, such
    as those of activation checkpointing, and no random number is drawn.
    """
    devices = [x.device] if x.is_cuda else []
    with torch.random.fork_rng(devices=devices), torch.no_grad(), saved_tensors_hooks(_same, _same):
        p = cell.project(x.new_zeros(2, x.shape[2])).to(low)
        if p.dim() != 2:
            raise NotCompilable("what it reads of the input is not one vector a step")
        return _program(cell, p, state, low)


def _inner_hooks(cell: Stepping) -> bool:
    """Whether a module in the cell has hooks. Its own are called around the whole."""
    inner = list(cell.modules())[1:]  # the first is the cell
    return any(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
        for module in inner
    ) or bool(inner and nn.modules.module._has_any_global_hook())


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _program(cell: Stepping, p: Tensor, state: State, low: torch.dtype | None) -> Compiled:
    # neither the conversions of the one nor the shortcuts of the other are part of a step
    with torch.autocast(p.device.type, enabled=False), torch.inference_mode(mode=False):
        of_step = plan(cell, p.shape[-1], state)
    refused = NotCompilable("there is no way")
    for way in MACHINES[p.device.type].ways:
        try:
            program = Compiled(of_step, way(of_step, p.dtype))
            _verify(cell, program, p, state, low)
            return program
        except NotCompilable as error:
            refused = error
    raise refused


def _verify(cell: Stepping, program: Compiled, p: Tensor, state: State, low: torch.dtype | None) -> None:
    """Two steps of two rows, outputs and gradients, against the cell itself: it finds what tracing cannot see, such as
    a gradient that is cut. Raises NotCompilable.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(like: Tensor, rows: int) -> Tensor:
        return torch.randn((rows, like.shape[1]), generator=generator, device="cpu").to(like).requires_grad_()

    with torch.inference_mode(mode=False), torch.enable_grad():
        x = noise(p, 4)
        parts = [noise(part, 2) for part in flatten(state)]
        fixed = _fixed(cell, program.plan, low)
        rows = Rows(x.unflatten(0, (2, 2)), None, MACHINES[p.device.type].compact)
        outputs, *after = _Scan.apply(program, rows, state, True, x, *parts, *fixed)
        own_outputs, own_after = unroll(cell.step, x.unflatten(0, (2, 2)), unflatten(parts, state), None)
        if _has_own_gradient([own_outputs, *flatten(own_after)]):
            raise NotCompilable("a gradient in its step is written by hand")
        wanted = [x, *parts, *(one for one in cell.parameters() if one.requires_grad)]
        # weights may have graphs of their own, which are kept
        gradients = functools.partial(torch.autograd.grad, allow_unused=True, materialize_grads=True, retain_graph=True)
        results = [
            [*tensors, *gradients(_sum_of_sines(tensors), wanted)]
            for tensors in ([outputs, *after], [own_outputs, *flatten(own_after)])
        ]
    for mine, right in zip(*results, strict=True):
        # written so that nan is wrong, too
        if not (mine - right).norm() <= TOLERANCE[p.dtype] * (1 + right.norm()):
            raise NotCompilable("its step does something that its operations do not show, such as cutting a gradient")


def _sum_of_sines(tensors: list[Tensor]) -> Tensor:
    """A number by which all of them have gradients of their own."""
    return torch.cat([tensor.flatten() for tensor in tensors]).sin().sum()


def _has_own_gradient(results: list[Tensor]) -> bool:
    """Whether a torch.autograd.Function took part, whose gradient is not that of its operations."""
    waiting, seen = [tensor.grad_fn for tensor in results], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            return True
        seen.add(node)
        waiting.extend(following for following, _ in node.next_functions)
    return False


class _Scan(torch.autograd.Function):
    """program, rows, the structure of the state, whether gradients may be asked for, p (N, P), the tensors of the
    state, the fixed tensors -> outputs (B, T, O) and the tensors of the last state.
    """

    @staticmethod
    def forward(
        ctx: Any, program: Compiled, rows: Rows, like: State, learns: bool, p: Tensor, *others: Tensor
    ) -> tuple[Tensor, ...]:
        num_states = len(flatten(like))
        state, fixed = others[:num_states], others[num_states:]
        p = p.contiguous()
        learns = learns and any(ctx.needs_input_grad)
        outputs = rows.new(p, program.plan.widths["output"], padded=True)
        last = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in state]
        buffers = {
            "projected": p,
            "output": outputs,
            **{f"first_state{k}": part.contiguous() for k, part in enumerate(state)},
            **{f"last_state{k}": part for k, part in enumerate(last)},
        }
        if learns:
            buffers["tape"] = rows.new(p, program.plan.widths["tape"])
        program.run("forward" if learns else "infer", rows, buffers, fixed)
        if learns:
            ctx.program, ctx.rows, ctx.num_states = program, rows, num_states
            ctx.save_for_backward(buffers["tape"], p, *state, *fixed)
        return outputs, *last

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor, *grad_last: Tensor) -> tuple[Tensor | None, ...]:
        tape, p, *others = ctx.saved_tensors
        program, rows, state, fixed = ctx.program, ctx.rows, others[: ctx.num_states], others[ctx.num_states :]
        if torch.is_grad_enabled():
            gradients = _differentiable(program, rows, p, state, fixed, (grad_output, *grad_last))
            return None, None, None, None, *gradients
        grad_p = rows.new(p, p.shape[1])
        grad_first = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in state]
        products = {
            index: rows.new(p, program.plan.widths[f"grad_product{index}"])
            for index in range(len(program.plan.back.products))
            if not program.plan.same_gradient(index)
        }
        vectors = {index: fixed[index].new_zeros(fixed[index].numel()) for index, _ in program.plan.back.vectors}
        buffers = {
            "projected": p,
            "tape": tape,
            "grad_output": grad_output.contiguous(),
            "grad_projected": grad_p,
            **{f"grad_product{index}": buffer for index, buffer in products.items()},
            **{f"grad_vector{index}": buffer for index, buffer in vectors.items()},
            **{f"last_state{k}": part.contiguous() for k, part in enumerate(grad_last)},
            **{f"first_state{k}": part for k, part in enumerate(grad_first)},
        }
        program.run("backward", rows, buffers, fixed)
        of_fixed: list[Tensor | None] = [None] * len(fixed)
        for index, gradient in vectors.items():
            of_fixed[index] = gradient.view(fixed[index].shape)
        for index, product in enumerate(program.plan.step.products):
            if not fixed[product.weight].requires_grad:
                continue
            gradient = program.plan.argument(tape, index).t() @ products.get(index, grad_p)
            known = of_fixed[product.weight]
            of_fixed[product.weight] = gradient if known is None else known + gradient
        return None, None, None, None, grad_p, *grad_first, *of_fixed


def _differentiable(
    program: Compiled, rows: Rows, p: Tensor, state: list[Tensor], fixed: list[Tensor], gradients: tuple[Tensor, ...]
) -> list[Tensor | None]:
    """Gradients by p, state and fixed that can be differentiated once more: by torch, a step after the other."""
    inputs = [p, *state, *fixed]
    with torch.enable_grad():
        outputs, after = unroll(interpreted(program.plan.step, fixed), rows.padded(p), tuple(state), rows.given)
        wanted = [tensor for tensor in inputs if tensor.requires_grad]
        found = iter(torch.autograd.grad((outputs, *after), wanted, gradients, create_graph=True, allow_unused=True))
    return [next(found) if tensor.requires_grad else None for tensor in inputs]
