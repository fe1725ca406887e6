"""Tracing: run the step of a cell once, on two rows, and record the torch operations as a graph.

Values that depend on parameters only (a transposed weight, half of a bias, the exponential of a learned rate) are the
same at every step. They are recorded separately and computed once per sequence, by torch and with gradients.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from seqzoo.contracts.batch import State
from seqzoo.contracts.state import flatten, unflatten
from seqzoo.kernels import step_results
from seqzoo.kernels.fused.graph import Graph, Node, Product, refined
from seqzoo.kernels.fused.trial import trial
from seqzoo.kernels.stepping import Stepping

ROWS = 2


class NotCompilable(Exception):
    """The compiler does not support something in a step; the message says what."""


@dataclass(frozen=True)
class Fixed:
    """A tensor that is the same at every step: `compute` takes the cell and a memo of the tensors computed so far."""

    compute: Callable[[Stepping, dict[int, Any]], Any]

    def __call__(self, cell: Stepping, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = self.compute(cell, memo)
        return memo[id(self)]


@dataclass(frozen=True)
class Step:
    """A traced step.

    Args:
        output, state: the nodes of the output and of the next state.
        products: the products of the step.
        fixed: the weights that the indices in products and "vector" leaves refer to.
    """

    graph: Graph
    output: Node
    state: tuple[Node, ...]
    products: tuple[Product, ...]
    fixed: tuple[Fixed, ...]


def trace(cell: Stepping, projected_size: int, state: State) -> Step:
    """Record the step of a cell.

    Args:
        cell: the cell.
        projected_size: width of its projected input.
        state: any state of the cell; only its shapes and types matter.

    Raises:
        NotCompilable: the step does something that is not supported.
    """
    parts = flatten(state)
    if any(part.dim() != 2 for part in parts):
        raise NotCompilable("its state is not made of vectors")
    if not all(part.is_floating_point() for part in parts):
        raise NotCompilable("a part of its state, such as a counter, is not of a floating-point type")
    recorder = _Recorder(cell)
    rows = [part.new_zeros(ROWS, part.shape[1]) for part in parts]
    p = parts[0].new_zeros(ROWS, projected_size)
    recorder.define(p, recorder.graph.leaf("projected", 0, 0, projected_size))
    for index, part in enumerate(rows):
        recorder.define(part, recorder.graph.leaf("state", index, 0, part.shape[1]))
    devices = [p.device] if p.is_cuda else []
    with trial(cell) as changed:
        with torch.random.fork_rng(devices=devices), torch.no_grad(), recorder:
            output, after = step_results.step(cell, p, unflatten(rows, state))
        if name := changed():
            raise NotCompilable(f"its step changes self.{name}")
    roots = [recorder.row(tensor) for tensor in (output, *flatten(after))]
    graph, (first, *others) = refined(recorder.graph, roots)
    return Step(graph, first, tuple(others), tuple(graph.products), tuple(recorder.used))


class _Recorder(TorchDispatchMode):
    """Records for each tensor whether it is a row value (a node) or fixed."""

    def __init__(self, cell: Stepping):
        super().__init__()
        self.graph = Graph()
        self.used: list[Fixed] = []
        self._values: dict[int, Node | Fixed] = {}
        self._tensors: list[Any] = []  # kept alive, so that no two tensors have the same id
        for name, tensor in [*cell.named_parameters(), *cell.named_buffers(), *_plain_tensors(cell)]:
            self.define(tensor, Fixed(_attribute(name)))

    def define(self, tensor: Tensor, value: Node | Fixed) -> None:
        self._tensors.append(tensor)
        self._values[id(tensor)] = value

    def row(self, tensor: Tensor) -> Node:
        value = self._values.get(id(tensor))
        if not isinstance(value, Node):
            raise NotCompilable("an output or a state does not depend on the input")
        return value

    def __torch_dispatch__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        tensors = [arg for arg in tree_flatten((args, kwargs))[0] if isinstance(arg, Tensor)]
        values = [self._values.get(id(tensor)) for tensor in tensors]
        if any(isinstance(value, Node) for value in values):
            self._record(function, args, kwargs, result)
        elif all(isinstance(value, Fixed) for value in values):
            self._fix(function, args, kwargs, result)
        return result

    def _fix(self, function: Any, args: tuple, kwargs: dict, result: Any) -> None:
        mutable = function._schema.is_mutable
        if mutable or torch.Tag.nondeterministic_seeded in function.tags:
            raise NotCompilable(f"{function} writes in place or draws random numbers")
        sources = tree_map(lambda arg: self._values[id(arg)] if isinstance(arg, Tensor) else arg, (args, kwargs))

        def compute(cell: Stepping, memo: dict[int, Any]) -> Any:
            values, options = tree_map(lambda arg: arg(cell, memo) if isinstance(arg, Fixed) else arg, sources)
            return function(*values, **options)

        whole = Fixed(compute)
        if isinstance(result, Tensor):
            self.define(result, whole)
        elif isinstance(result, (list, tuple)):
            for index, tensor in enumerate(result):
                self.define(tensor, Fixed(_part_of(whole, index)))
        else:
            raise NotCompilable(f"{function} reads values of a tensor, which may differ at the next call")

    def _record(self, function: Any, args: tuple, kwargs: dict, result: Any) -> None:
        name = function.overloadpacket.__name__
        if name not in OPERATIONS:
            raise NotCompilable(f"it uses {name}")
        try:
            values = OPERATIONS[name](self, *(self._read(arg) for arg in args), **kwargs)
        except TypeError as error:
            raise NotCompilable(f"it uses {name} in a way that is not supported: {error}") from error
        results = [result] if isinstance(result, Tensor) else list(result)
        values = [values] if isinstance(values, Node) else values
        for tensor, value in zip(results, values, strict=False):
            if value is not None:
                if tensor.dim() != 2 or tuple(tensor.shape) != (ROWS, value.width):
                    raise NotCompilable(
                        f"{name} returns a tensor {tuple(tensor.shape)}, which is not one vector per row"
                    )
                self.define(tensor, value)

    def _read(self, arg: Any) -> Any:
        if isinstance(arg, (list, tuple)):
            return [self._read(part) for part in arg]
        if not isinstance(arg, Tensor):
            return arg
        value = self._values.get(id(arg))
        if value is None:
            raise NotCompilable("its step reads a tensor that belongs neither to the cell nor to its inputs")
        return _Matrix(self, value, arg) if isinstance(value, Fixed) else value

    def index_of(self, fixed: Fixed) -> int:
        if fixed not in self.used:
            self.used.append(fixed)
        return self.used.index(fixed)


class _Matrix:
    """A fixed tensor as an argument of an operation on rows."""

    def __init__(self, recorder: _Recorder, fixed: Fixed, tensor: Tensor):
        self.shape, self._recorder, self._fixed = tensor.shape, recorder, fixed

    @property
    def index(self) -> int:
        return self._recorder.index_of(self._fixed)

    @property
    def vector(self) -> Node:
        if len(self.shape) > 1 and self.shape[:-1].numel() != 1:
            raise NotCompilable(f"a weight {tuple(self.shape)} is used as a vector")
        return self._recorder.graph.leaf("vector", self.index, 0, self.shape[-1] if self.shape else 1)


def _plain_tensors(cell: Stepping) -> Iterator[tuple[str, Tensor]]:
    """Tensors that are plain attributes, such as a weight that a hook or a parametrization computes."""
    for name, module in cell.named_modules():
        parametrized = list(getattr(module, "parametrizations", ()))
        for attribute in (*vars(module), *parametrized):
            value = getattr(module, attribute)
            if isinstance(value, Tensor):
                yield f"{name}.{attribute}".strip("."), value


def _attribute(name: str) -> Callable[[Stepping, dict[int, Any]], Tensor]:
    get = operator.attrgetter(name)
    return lambda cell, memo: get(cell)


def _part_of(whole: Fixed, index: int) -> Callable[[Stepping, dict[int, Any]], Tensor]:
    return lambda cell, memo: whole(cell, memo)[index]


def _elementwise(op: str) -> Callable[..., Node]:
    def record(recorder: _Recorder, *args: Any) -> Node:
        return recorder.graph.apply(op, *(_operand(arg) for arg in args))

    return record


def _operand(arg: Any) -> Node | float:
    return arg.vector if isinstance(arg, _Matrix) else arg


def _scaled(op: str) -> Callable[..., Node]:
    """a + alpha * b, a - alpha * b"""

    def record(recorder: _Recorder, a: Any, b: Any, alpha: float = 1) -> Node:
        graph = recorder.graph
        other = _operand(b) if alpha == 1 else graph.apply("mul", _operand(b), alpha)
        return graph.apply(op, _operand(a), other)

    return record


def _rsub(recorder: _Recorder, a: Any, b: Any, alpha: float = 1) -> Node:
    return _scaled("sub")(recorder, b, a, alpha)


def _product(recorder: _Recorder, a: Any, weight: Any) -> Node:
    if not isinstance(a, Node) or not isinstance(weight, _Matrix):
        raise NotCompilable("it multiplies two tensors that both depend on the input")
    return recorder.graph.product(a, weight.index, weight.shape[1])


def _addmm(recorder: _Recorder, bias: Any, a: Any, weight: Any, beta: float = 1, alpha: float = 1) -> Node:
    if (beta, alpha) != (1, 1):
        raise TypeError("with factors")
    return recorder.graph.apply("add", _product(recorder, a, weight), _operand(bias))


def _split(recorder: _Recorder, a: Node, size: int | list[int], dim: int = 0) -> list[Node]:
    if dim not in (1, -1):
        raise TypeError("across rows")
    sizes = size
    if isinstance(size, int):
        sizes = [min(size, a.width - start) for start in range(0, a.width, size)]
    parts, start = [], 0
    for width in sizes:  # type: ignore[union-attr]
        parts.append(recorder.graph.part(a, start, width))
        start += width
    return parts


def _slice(recorder: _Recorder, a: Node, dim: int = 0, start: int = 0, end: int | None = None, step: int = 1) -> Node:
    if step != 1 or dim not in (1, -1):
        if dim == 0 and (start or 0) == 0 and (end is None or end >= ROWS) and step == 1:
            return a
        raise TypeError("across rows or with a step")
    first, last, _ = slice(start, end).indices(a.width)
    return recorder.graph.part(a, first, last - first)


def _cat(recorder: _Recorder, parts: list, dim: int = 0) -> Node:
    if dim not in (1, -1) or not all(isinstance(part, Node) for part in parts):
        raise TypeError("of other things than vectors of rows")
    return recorder.graph.concat(parts)


def _layer_norm(
    recorder: _Recorder, a: Node, shape: list[int], weight: Any, bias: Any, epsilon: float
) -> list[Node | None]:
    """Ba, Kiros & Hinton 2016: (a - mean) / sqrt(variance + epsilon) * weight + bias"""
    apply, total = recorder.graph.apply, recorder.graph.total
    if shape != [a.width]:
        raise TypeError("over another dimension")
    centred = apply("sub", a, apply("mul", total(a), 1 / a.width))
    variance = apply("mul", total(apply("mul", centred, centred)), 1 / a.width)
    result = apply("mul", centred, apply("rsqrt", apply("add", variance, epsilon)))
    if weight is not None:
        result = apply("mul", result, _operand(weight))
    if bias is not None:
        result = apply("add", result, _operand(bias))
    return [result, None, None]


def _sum(recorder: _Recorder, a: Node, dim: list[int], keepdim: bool = False) -> Node:
    if not keepdim or list(dim) not in ([1], [-1]):
        raise TypeError("across rows")
    return recorder.graph.total(a)


def _lerp(recorder: _Recorder, a: Any, b: Any, weight: Any) -> Node:
    apply = recorder.graph.apply
    start = _operand(a)
    return apply("add", start, apply("mul", _operand(weight), apply("sub", _operand(b), start)))


def _addcmul(recorder: _Recorder, a: Any, b: Any, c: Any, value: float = 1) -> Node:
    apply = recorder.graph.apply
    product = apply("mul", _operand(b), _operand(c))
    return apply("add", _operand(a), product if value == 1 else apply("mul", product, value))


def _clamp(recorder: _Recorder, a: Node, low: float | None = None, high: float | None = None) -> Node:
    if low is not None:
        a = recorder.graph.apply("where", recorder.graph.apply("less", a, low), low, a)
    if high is not None:
        a = recorder.graph.apply("where", recorder.graph.apply("less", high, a), high, a)
    return a


def _hardtanh(recorder: _Recorder, a: Node, low: float = -1, high: float = 1) -> Node:
    return _clamp(recorder, a, low, high)


def _pow(recorder: _Recorder, a: Node, exponent: float) -> Node:
    if exponent != 2:
        raise TypeError("other than squares")
    return recorder.graph.apply("mul", a, a)


def _softplus(recorder: _Recorder, a: Node, beta: float = 1, threshold: float = 20) -> Node:
    if beta != 1:
        raise TypeError("with beta")
    return recorder.graph.apply("neg", recorder.graph.apply("log_sigmoid", recorder.graph.apply("neg", a)))


def _log_sigmoid(recorder: _Recorder, a: Node) -> list[Node | None]:
    return [recorder.graph.apply("log_sigmoid", a), None]


def _masked_fill(recorder: _Recorder, a: Any, mask: Any, value: float) -> Node:
    return recorder.graph.apply("where", _operand(mask), value, _operand(a))


def _swapped(op: str) -> Callable[..., Node]:
    return lambda recorder, a, b: _elementwise(op)(recorder, b, a)


def _silu(recorder: _Recorder, a: Node) -> Node:
    return recorder.graph.apply("mul", a, recorder.graph.apply("sigmoid", a))


def _gelu(recorder: _Recorder, a: Node, approximate: str = "none") -> Node:
    if approximate != "none":
        raise TypeError("approximately")
    apply = recorder.graph.apply
    return apply("mul", apply("mul", a, 0.5), apply("add", apply("erf", apply("mul", a, 0.5**0.5)), 1.0))


def _same(recorder: _Recorder, a: Node, **options: Any) -> Node:
    return a


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _scaled("add"), "sub": _scaled("sub"), "rsub": _rsub, "mul": _elementwise("mul"), "div": _elementwise("div"),
    "neg": _elementwise("neg"), "abs": _elementwise("abs"), "sigmoid": _elementwise("sigmoid"),
    "tanh": _elementwise("tanh"), "relu": _elementwise("relu"), "exp": _elementwise("exp"), "log": _elementwise("log"),
    "sqrt": _elementwise("sqrt"), "rsqrt": _elementwise("rsqrt"), "sin": _elementwise("sin"),
    "cos": _elementwise("cos"), "maximum": _elementwise("maximum"), "minimum": _elementwise("minimum"),
    "where": _elementwise("where"), "erf": _elementwise("erf"), "gelu": _gelu,
    "eq": _elementwise("equal"), "lt": _elementwise("less"), "gt": _swapped("less"), "masked_fill": _masked_fill,
    "mm": _product, "addmm": _addmm, "split": _split, "split_with_sizes": _split, "slice": _slice, "cat": _cat,
    "native_layer_norm": _layer_norm, "sum": _sum, "lerp": _lerp, "addcmul": _addcmul, "clamp": _clamp,
    "hardtanh": _hardtanh, "pow": _pow, "softplus": _softplus, "log_sigmoid_forward": _log_sigmoid,
    "clone": _same, "alias": _same, "sign": _elementwise("sign"), "silu": _silu,
    "detach": _elementwise("detach"),
}  # fmt: skip
