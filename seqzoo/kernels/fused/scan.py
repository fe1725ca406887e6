"""Runs a cell over whole sequences by code that is generated from its step, with gradients.

Only the sequential part is compiled, the loop over time. The input is projected before it for all steps at once, and
the gradient of a weight is one product after the backward loop. Rows are processed in the order of their length, so
that finished sequences cost nothing and no packing is needed.
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
from seqzoo.kernels import step_results
from seqzoo.kernels.fused.interpretation import interpreted
from seqzoo.kernels.fused.plan import Plan, plan
from seqzoo.kernels.fused.rows import Rows
from seqzoo.kernels.fused.tracing import NotCompilable
from seqzoo.kernels.fused.traits import traits_of
from seqzoo.kernels.fused.trial import trial
from seqzoo.kernels.stepping import Stepping
from seqzoo.kernels.unroll import unroll

TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-2, torch.float16: 5e-2, torch.bfloat16: 5e-2}
MAX_PROGRAMS = 256
"""Size of the cache of compiled steps; a cell whose attributes change at every call would fill memory."""
Run = Callable[[str, Rows, dict[str, Tensor], Sequence[Tensor]], None]
_programs: dict[Hashable, Compiled | NotCompilable] = {}
_programs_lock = threading.Lock()


class Compiled(NamedTuple):
    """The compiled step of a cell. run: called with the name of a pass, rows, buffers by name and fixed tensors; fills
    the output buffers.
    """

    plan: Plan
    run: Run


class Target(NamedTuple):
    """A type of device that code is generated for.

    Attributes:
        dtypes: the supported dtypes.
        compact: buffers of steps hold only real steps.
        backends: functions that compile a plan, in order of preference; each may raise NotCompilable.
    """

    dtypes: tuple[torch.dtype, ...]
    compact: bool
    backends: tuple[Callable[[Plan, torch.dtype], Run], ...]


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


TARGETS = {
    "cpu": Target((torch.float32, torch.float64), True, (_native,)),
    "cuda": Target((torch.float32, torch.float16, torch.bfloat16), False, (_resident, _stepwise)),
}


def fused_scan(cell: Stepping, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    """`Cell.scan` by compiled code.

    Raises:
        NotCompilable: the cell, the dtype, the device or the surrounding computation is not supported.
    """
    if transformed() or type(x) not in (Tensor, nn.Parameter):
        raise NotCompilable("torch transforms the computation")
    device = x.device.type
    target = TARGETS.get(device)
    if target is None:
        raise NotCompilable(f"no code is generated for {device}")
    low = autocast_dtype(device)
    if not {x.dtype, low or x.dtype} <= {*target.dtypes}:
        raise NotCompilable(f"no code is generated for {low or x.dtype} on {device}")
    if _inner_hooks(cell):
        raise NotCompilable("it has submodules with hooks, which would not be called")
    # first, so that nothing is computed in vain
    program = compiled(cell, x, state, low)
    rows = Rows(x, lengths, target.compact)
    p = cell.project(rows.real(x if target.compact else zero_padding(x, lengths))).to(low)
    fixed = _fixed(cell, program.plan, low)
    if any(tensor.dtype not in (p.dtype, low and torch.float32) for tensor in (*flatten(state), *fixed)):
        raise NotCompilable("its tensors have different dtypes")
    outputs, *after = _Scan.apply(program, rows, state, torch.is_grad_enabled(), p, *flatten(state), *fixed)
    return outputs, unflatten(after, state)


def _fixed(cell: Stepping, plan: Plan, low: torch.dtype | None) -> list[Tensor]:
    """The fixed tensors of a step. low: the autocast dtype, to which only weights of products are converted."""
    memo: dict[int, Any] = {}
    weights = {product.weight for product in plan.step.products}
    return [compute(cell, memo).to(low if k in weights else None) for k, compute in enumerate(plan.step.fixed)]


def compiled(cell: Stepping, x: Tensor, state: State, low: torch.dtype | None) -> Compiled:
    """The compiled step of a cell, from the cache for cells with equal traits (class, options, sizes).

    Raises:
        NotCompilable: the step cannot be compiled; this is cached, too.
    """
    key = (x.dtype, low, x.device, *traits_of(cell))
    program = _programs.get(key)
    if program is None:
        try:
            program = _compile(cell, x, state, low)
        except NotCompilable as error:
            program = error.with_traceback(None)
        with _programs_lock:
            while len(_programs) >= MAX_PROGRAMS:
                del _programs[next(iter(_programs))]
            _programs[key] = program
    if isinstance(program, NotCompilable):
        raise NotCompilable(str(program))
    return program


def _compile(cell: Stepping, x: Tensor, state: State, low: torch.dtype | None) -> Compiled:
    """Compile and verify, without side effects: random states and what the cell changes in itself are restored, and
    hooks on saved tensors, such as those of activation checkpointing, are not called.
    """
    devices = [x.device] if x.is_cuda else []
    with trial(cell), torch.random.fork_rng(devices=devices), torch.no_grad(), saved_tensors_hooks(_same, _same):
        p = step_results.project(cell, x.new_zeros(2, x.shape[2])).to(low)
        if p.dim() != 2:
            raise NotCompilable("its projected input is not one vector per step")
        return _program(cell, p, state, low)


def _inner_hooks(cell: Stepping) -> bool:
    """Whether a submodule of the cell has hooks. Hooks of the cell itself are called as usual."""
    inner = list(cell.modules())[1:]  # the first is the cell
    return any(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
        for module in inner
    ) or bool(inner and nn.modules.module._has_any_global_hook())


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _program(cell: Stepping, p: Tensor, state: State, low: torch.dtype | None) -> Compiled:
    # a step is traced without the conversions of autocast and the shortcuts of inference mode
    with torch.autocast(p.device.type, enabled=False), torch.inference_mode(mode=False):
        step_plan = plan(cell, p.shape[-1], state)
    refusal = NotCompilable("there is no backend")
    for compile_plan in TARGETS[p.device.type].backends:
        try:
            program = Compiled(step_plan, compile_plan(step_plan, p.dtype))
            _verify(cell, program, p, state, low)
            return program
        except NotCompilable as error:
            refusal = error
    raise refusal


def _verify(cell: Stepping, program: Compiled, p: Tensor, state: State, low: torch.dtype | None) -> None:
    """Compare outputs and gradients over two steps with the cell itself, which finds what tracing cannot see, such as
    the use of `.data`. Raises NotCompilable.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(like: Tensor, rows: int) -> Tensor:
        return torch.randn((rows, like.shape[1]), generator=generator, device="cpu").to(like).requires_grad_()

    with torch.inference_mode(mode=False), torch.enable_grad():
        x = noise(p, 4)
        parts = [noise(part, 2) for part in flatten(state)]
        fixed = _fixed(cell, program.plan, low)
        rows = Rows(x.unflatten(0, (2, 2)), None, TARGETS[p.device.type].compact)
        outputs, *after = _Scan.apply(program, rows, state, True, x, *parts, *fixed)
        expected_outputs, expected_after = unroll(cell.step, x.unflatten(0, (2, 2)), unflatten(parts, state), None)
        if _uses_autograd_function([expected_outputs, *flatten(expected_after)]):
            raise NotCompilable("its step uses a torch.autograd.Function")
        if not any(part.requires_grad for part in [expected_outputs, *flatten(expected_after)]):
            raise NotCompilable("its step has no gradient")
        sources = [x, *parts, *(parameter for parameter in cell.parameters() if parameter.requires_grad)]
        # parametrized weights have a graph that both results share
        gradients = functools.partial(torch.autograd.grad, allow_unused=True, materialize_grads=True, retain_graph=True)
        results = [
            [*tensors, *gradients(_sum_of_sines(tensors), sources)]
            for tensors in ([outputs, *after], [expected_outputs, *flatten(expected_after)])
        ]
    for compiled_result, expected in zip(*results, strict=True):
        # nan must fail, too
        if not (compiled_result - expected).norm() <= TOLERANCE[p.dtype] * (1 + expected.norm()):
            raise NotCompilable("its step does something that tracing cannot see, such as the use of .data")


def _sum_of_sines(tensors: list[Tensor]) -> Tensor:
    """A scalar whose gradient differs from element to element."""
    return torch.cat([tensor.flatten() for tensor in tensors]).sin().sum()


def _uses_autograd_function(results: list[Tensor]) -> bool:
    """Whether a torch.autograd.Function took part, whose gradient tracing cannot see."""
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
    """Compiled code as a differentiable function.

    Inputs: program, rows, a state for its structure, whether gradients are enabled, p (N, P), the tensors of the state,
    the fixed tensors. Outputs: (B, T, O) and the tensors of the last state.
    """

    @staticmethod
    def forward(
        ctx: Any, program: Compiled, rows: Rows, like: State, with_gradients: bool, p: Tensor, *others: Tensor
    ) -> tuple[Tensor, ...]:
        num_states = len(flatten(like))
        state, fixed = others[:num_states], others[num_states:]
        p = p.contiguous()
        with_gradients = with_gradients and any(ctx.needs_input_grad)
        outputs = rows.new(p, program.plan.widths["output"], padded=True)
        last = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in state]
        buffers = {
            "projected": p,
            "output": outputs,
            **{f"first_state{k}": part.contiguous() for k, part in enumerate(state)},
            **{f"last_state{k}": part for k, part in enumerate(last)},
        }
        if with_gradients:
            buffers["tape"] = rows.new(p, program.plan.widths["tape"])
        program.run("forward" if with_gradients else "infer", rows, buffers, fixed)
        if with_gradients:
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
        grad_fixed: list[Tensor | None] = [None] * len(fixed)
        for index, gradient in vectors.items():
            grad_fixed[index] = gradient.view(fixed[index].shape)
        for index, product in enumerate(program.plan.step.products):
            if not fixed[product.weight].requires_grad:
                continue
            gradient = program.plan.argument(tape, index).t() @ products.get(index, grad_p)
            total = grad_fixed[product.weight]
            grad_fixed[product.weight] = gradient if total is None else total + gradient
        return None, None, None, None, grad_p, *grad_first, *grad_fixed


def _differentiable(
    program: Compiled, rows: Rows, p: Tensor, state: list[Tensor], fixed: list[Tensor], gradients: tuple[Tensor, ...]
) -> list[Tensor | None]:
    """Gradients of p, state and fixed that can be differentiated again, computed by torch step by step."""
    inputs = [p, *state, *fixed]
    with torch.enable_grad():
        outputs, after = unroll(interpreted(program.plan.step, fixed), rows.padded(p), tuple(state), rows.given)
        sources = [tensor for tensor in inputs if tensor.requires_grad]
        grads = iter(torch.autograd.grad((outputs, *after), sources, gradients, create_graph=True, allow_unused=True))
    return [next(grads) if tensor.requires_grad else None for tensor in inputs]
