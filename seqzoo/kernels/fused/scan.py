"""A cell over a whole sequence by code that was written from its step, with gradients.

The loop over time runs in C++: what is sequential and nothing else. What a step needs of the input is projected before,
for all real steps at once, and the gradient of a weight is one product, after the reverse loop. Padded steps are left
out, and rows are taken by their length, so that a finished sequence costs nothing: no packing is needed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Hashable, Iterator, Sequence
from types import NoneType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from seqzoo.contracts import Cell, State
from seqzoo.kernels.fused import native
from seqzoo.kernels.fused.derivative import Reverse, reverse
from seqzoo.kernels.fused.interpretation import interpreted
from seqzoo.kernels.fused.source import Layout, functions, generate, same_gradient
from seqzoo.kernels.fused.tracing import NotCompilable, Step, trace
from seqzoo.kernels.unroll import unroll
from seqzoo.masking import mask
from seqzoo.state import flatten, unflatten

REALS = {torch.float32: "float", torch.float64: "double"}
TOLERANCE = {torch.float32: 1e-2, torch.float64: 1e-6}
# multiplications that a thread must have to do before another is worth its start
WORK_PER_THREAD = 2_000_000
OF_EVERY_MODULE = set(vars(nn.Module())) - {"training"}
_known: dict[Hashable, Compiled] = {}
_refused: dict[Hashable, str] = {}


class Compiled(NamedTuple):
    """One cell's step, compiled. widths: as for `generate`; work: multiplications a row and step."""

    library: native.Library
    layout: Layout
    step: Step
    back: Reverse
    widths: dict[str, int]
    work: int


def fused_scan(cell: Cell, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    """As `Cell.scan`. Raises NotCompilable where it cannot be."""
    if torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling() or forward_ad._current_level >= 0:
        raise NotCompilable("torch transforms the computation")
    traits = (x.dtype, x.device.type, *traits_of(cell))
    if traits in _refused:  # before anything is computed for nothing
        raise NotCompilable(_refused[traits])
    rows = Rows(x, lengths)
    p = cell.project(rows.real(x))
    try:
        program = compiled(cell, p, state, traits)
    except NotCompilable as error:
        _refused[traits] = str(error)
        raise
    memo: dict[int, Any] = {}
    fixed = [one(cell, memo) for one in program.step.fixed]
    if any(tensor.dtype != p.dtype for tensor in (*flatten(state), *fixed)):
        raise NotCompilable("not all numbers are of one type")
    outputs, *after = _Scan.apply(program, rows, state, torch.is_grad_enabled(), p, *flatten(state), *fixed)
    return outputs, unflatten(after, state)


class Rows:
    """Which steps of a batch are real. index: of (B * T,), those that are, or None for all; starts: (B,) where those of
    a row begin among them; order: (B,) rows, the longest first.
    """

    def __init__(self, x: Tensor, lengths: Tensor | None):
        self.count, self.steps = x.shape[:2]
        self.given = lengths
        self.index: Tensor | None = None
        if lengths is None:
            self.lengths = torch.full((self.count,), self.steps)
            self.order = torch.arange(self.count)
            self.starts = self.order * self.steps
            return
        self.lengths = lengths.to(torch.long).clamp(0, self.steps)
        self.order = self.lengths.argsort(descending=True, stable=True)
        self.starts = self.lengths.cumsum(0) - self.lengths
        self.index = mask(self.lengths, self.steps).flatten().nonzero()[:, 0]

    def real(self, x: Tensor) -> Tensor:
        """(B, T, F) -> (N, F)"""
        x = x.flatten(0, 1)
        return x if self.index is None else _Choose.apply(x, self.index)

    def padded(self, x: Tensor) -> Tensor:
        """(N, F) -> (B, T, F), zero at padded steps."""
        if self.index is not None:
            x = x.new_zeros(self.count * self.steps, x.shape[1]).index_copy(0, self.index, x)
        return x.unflatten(0, (self.count, self.steps))


class _Choose(torch.autograd.Function):
    """x[index], where no index occurs twice: its gradient is copied and not added up, which takes far longer."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.shape = x.shape
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.shape).index_copy(0, index, gradient), None


def compiled(cell: Cell, p: Tensor, state: State, traits: tuple[Hashable, ...]) -> Compiled:
    """One for all cells of equal traits (`traits_of`): of a class, its options and sizes."""
    if p.dim() != 2 or p.device.type != "cpu" or p.dtype not in REALS:
        raise NotCompilable("only numbers of 32 and 64 bits on a CPU are compiled for")
    key = (p.shape[1], p.dtype, traits)
    if key not in _known:
        program = _compile(cell, p, state)
        _verify(cell, program, p, state)
        _known[key] = program
    return _known[key]


def traits_of(cell: Cell) -> Iterator[Hashable]:
    """Whatever a step may decide by, besides the numbers in its tensors."""
    for name, module in cell.named_modules():
        yield name, type(module)
        for attribute, value in vars(module).items():
            if attribute not in OF_EVERY_MODULE:
                plain = isinstance(value, (bool, int, float, str, NoneType))
                yield attribute, value if plain else _Identity(value)
        for attribute, tensor in (*module._parameters.items(), *module._buffers.items()):
            yield attribute, None if tensor is None else tensor.shape


class _Identity:
    """Equal to itself alone; keeps its object, so that nothing else can come to have its address."""

    def __init__(self, value: object):
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.value is self.value


def _compile(cell: Cell, p: Tensor, state: State) -> Compiled:
    step = trace(cell, p.shape[-1], state)
    sizes = [part.shape[-1] for part in flatten(state)]
    back = reverse(step, p.shape[-1], sizes)
    memo: dict[int, Any] = {}
    with torch.no_grad():
        fixed = [one(cell, memo) for one in step.fixed]
    widths = {
        "projected": p.shape[-1],
        "grad_projected": p.shape[-1],
        "output": step.output.width,
        "grad_output": step.output.width,
        "tape": sum(node.width for node in back.saved),
        **{f"state{k}": size for k, size in enumerate(sizes)},
        **{f"saved{k}": start for k, start in enumerate(back.places)},
        **{f"vector{k}": tensor.numel() for k, tensor in enumerate(fixed)},
        **{f"grad_product{k}": node.width for k, node in enumerate(back.products)},
    }
    work = p.shape[1] + sum(product.argument.width * product.width for product in step.products)
    source, layout = generate(functions(step, back), widths)
    return Compiled(native.load(source, REALS[p.dtype]), layout, step, back, widths, work)


def _verify(cell: Cell, program: Compiled, p: Tensor, state: State) -> None:
    """Two steps of two rows, outputs and gradients, against the cell itself: it finds what tracing cannot see, such as
    a gradient that is cut. Raises NotCompilable.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=p.dtype).requires_grad_()

    with torch.inference_mode(mode=False), torch.enable_grad():
        x = noise(4, p.shape[1])
        parts = [noise(2, part.shape[1]) for part in flatten(state)]
        memo: dict[int, Any] = {}
        fixed = [one(cell, memo) for one in program.step.fixed]
        rows = Rows(x.unflatten(0, (2, 2)), None)
        outputs, *after = _Scan.apply(program, rows, state, True, x, *parts, *fixed)
        own_outputs, own_after = unroll(cell.step, x.unflatten(0, (2, 2)), unflatten(parts, state), None)
        if _has_own_gradient([own_outputs, *flatten(own_after)]):
            raise NotCompilable("a gradient in its step is written by hand")
        wanted = [x, *parts, *(one for one in cell.parameters() if one.requires_grad)]
        results = [
            [*tensors, *torch.autograd.grad(_sum_of_sines(tensors), wanted, allow_unused=True, materialize_grads=True)]
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
        new = p.new_empty if rows.index is None else p.new_zeros  # a padded step is never written
        outputs = new(rows.count, rows.steps, program.widths["output"])
        tape = p.new_empty(p.shape[0], program.widths["tape"]) if learns else None
        last = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in state]
        buffers = {
            "projected": p,
            "output": outputs,
            "tape": tape,
            **{f"first_state{k}": part.contiguous() for k, part in enumerate(state)},
            **{f"last_state{k}": part for k, part in enumerate(last)},
        }
        _run(program.library.forward if learns else program.library.infer, program, rows, buffers, fixed)
        if learns:
            ctx.program, ctx.rows, ctx.num_states = program, rows, num_states
            ctx.save_for_backward(tape, p, *state, *fixed)
        return outputs, *last

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor, *grad_last: Tensor) -> tuple[Tensor | None, ...]:
        tape, p, *others = ctx.saved_tensors
        program, rows, state, fixed = ctx.program, ctx.rows, others[: ctx.num_states], others[ctx.num_states :]
        if torch.is_grad_enabled():
            gradients = _differentiable(program, rows, p, state, fixed, (grad_output, *grad_last))
            return None, None, None, None, *gradients
        grad_p = torch.empty_like(p)
        grad_first = [torch.empty_like(part, memory_format=torch.contiguous_format) for part in state]
        products = {
            index: p.new_empty(p.shape[0], program.widths[f"grad_product{index}"])
            for index in range(len(program.back.products))
            if not same_gradient(program.back, index)
        }
        vectors = {index: fixed[index].new_zeros(fixed[index].numel()) for index, _ in program.back.vectors}
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
        _run(program.library.backward, program, rows, buffers, fixed)
        of_fixed: list[Tensor | None] = [None] * len(fixed)
        for index, gradient in vectors.items():
            of_fixed[index] = gradient.view(fixed[index].shape)
        for index, product in enumerate(program.step.products):
            if not fixed[product.weight].requires_grad:
                continue
            gradient = _argument(program, tape, index).t() @ products.get(index, grad_p)
            known = of_fixed[product.weight]
            of_fixed[product.weight] = gradient if known is None else known + gradient
        return None, None, None, None, grad_p, *grad_first, *of_fixed


def _argument(program: Compiled, tape: Tensor, product: int) -> Tensor:
    """(N, K): what the product was with, at every step."""
    places, saved = program.back.places, program.back.saved
    parts = [tape[:, places[k] : places[k] + saved[k].width] for k in program.back.arguments[product]]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _differentiable(
    program: Compiled, rows: Rows, p: Tensor, state: list[Tensor], fixed: list[Tensor], gradients: tuple[Tensor, ...]
) -> list[Tensor | None]:
    """Gradients by p, state and fixed that can be differentiated once more: by torch, a step after the other."""
    inputs = [p, *state, *fixed]
    with torch.enable_grad():
        outputs, after = unroll(interpreted(program.step, fixed), rows.padded(p), tuple(state), rows.given)
        wanted = [tensor for tensor in inputs if tensor.requires_grad]
        found = iter(torch.autograd.grad((outputs, *after), wanted, gradients, create_graph=True, allow_unused=True))
    return [next(found) if tensor.requires_grad else None for tensor in inputs]


def _run(
    function: Any,
    program: Compiled,
    rows: Rows,
    buffers: dict[str, Tensor | None],
    fixed: Sequence[Tensor],
) -> None:
    kept = []

    def address(name: str) -> int:
        if name.startswith("vector"):
            tensor = fixed[int(name.removeprefix("vector"))].contiguous()
        elif name.startswith("weight"):
            tensor = fixed[int(name.removeprefix("weight"))]
        else:
            tensor = buffers.get(name)
        kept.append(tensor)
        return 0 if tensor is None else tensor.data_ptr()

    strides = [number for tensor in fixed for number in (tensor.stride() if tensor.dim() == 2 else (0, 0))]
    function(
        rows.count,
        rows.steps,
        max(
            1, min(torch.get_num_threads(), rows.count, program.work * buffers["projected"].shape[0] // WORK_PER_THREAD)
        ),
        _longs(program.layout.numbers),
        _longs(strides),
        rows.lengths.data_ptr(),
        rows.order.data_ptr(),
        rows.starts.data_ptr(),
        (ctypes.c_void_p * len(program.layout.buffers))(*map(address, program.layout.buffers)),
    )


def _longs(numbers: Sequence[int]) -> Any:
    return (ctypes.c_long * len(numbers))(*numbers)
