"""Calls of the library: cells and `seqzoo.RNN` with inputs of any shape, type and length, transformed in any way.

What is accepted must be the result of stepping, finite, and the same however it is computed; what is refused must be
refused by the errors that the docstrings name, with a message of seqzoo's own.
"""

from __future__ import annotations

import copy
import functools
import io
import pickle
import traceback
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Thread
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint

import seqzoo
from seqzoo.cells.cell import Cell
from seqzoo.contracts.batch import State
from seqzoo.contracts.errors import ConfigError, SeqzooError
from seqzoo.contracts.state import flatten, map_state
from seqzoo.network.backbones.recurrent import Recurrent
from tests.fuzz.driver import Case, Fault

QUICK = 40
CELLS = seqzoo.list_cells()
OPTIONS: list[dict[str, Any]] = [
    {}, {}, {}, {"zoneout": 0.2}, {"clip_state_gradient": 1.0}, {"recurrent_dropout": 0.3}, {"weight_drop": 0.3},
    {"engine": "reference"}, {"engine": "torch"}, {"engine": "fused"}, {"recurrent_init": "identity"},
]  # fmt: skip
COMPILED = ("lstm", "gru", "mgu")
WRONG_OPTIONS: list[dict[str, Any]] = [
    {"zoneout": 1.0}, {"zoneout": float("nan")}, {"zonout": 0.1}, {"engine": "fast"}, {"clip_state_gradient": -1.0},
    {"hidden_size": 4.5}, {"hidden_size": 0}, {"hidden_size": True}, {"hidden_size": "8"}, {"hidden_size": 10**7},
    {"hidden_size": 2**70}, {"input_size": -1}, {"input_size": None}, {"num_layers": 10**6}, {"num_layers": 0},
    {"num_layers": 2.0}, {"dropout": 1.5}, {"dropout": "a"}, {"bidirectional": None}, {"hidden_size": 200_000},
    {"class": "os.system"}, {"activation": 3}, {"layer_norm": "yes"}, {"num_layers": -(2**65)}, {"hidden_size": [4]},
]  # fmt: skip
NAMES = ["", "LSTM", "lstm.yaml", "../cell/lstm", "os.system", "lstm\n", "l" * 5000, "\ud800", None, 3, ["lstm"]]
RNN_CALLS = (TypeError, ValueError, RuntimeError)  # as of nn.LSTM
LOW, HIGH = 3e-4, 3e-3  # tolerances: of values, of gradients


def attempt(case: Case) -> None:
    torch.manual_seed(case.random.randrange(2**31))
    kind = case.random.choice([_sequence] * 12 + [_transformed] * 8 + [_misused] * 8 + [_built] * 3 + [_listed])
    case.note(kind.__name__)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # torch's own, when it traces
        warnings.filterwarnings("ignore", category=FutureWarning)
        kind(case)


def _network(case: Case, options: dict[str, Any] | None = None) -> tuple[seqzoo.RNN, dict[str, Any]]:
    random = case.random
    chosen = {
        "cell": random.choice(CELLS),
        "input_size": random.choice([1, 2, 3, 5]),
        "hidden_size": random.choice([1, 2, 4, 6]),
        "num_layers": random.choice([1, 1, 1, 2]),
        "bidirectional": random.random() < 0.25,
        "batch_first": random.random() < 0.6,
        **(random.choice(OPTIONS) if options is None else options),
    }
    chosen = _compiled_rarely(chosen["cell"], chosen)
    case.note(chosen)
    with _only(ConfigError):
        rnn = seqzoo.RNN(**chosen)
    return rnn.eval() if random.random() < 0.7 else rnn, chosen


def _compiled_rarely(cell: str, options: dict[str, Any]) -> dict[str, Any]:
    """Let most cells with options run step by step, because compiling each takes seconds."""
    usual = {"cell", "input_size", "hidden_size", "num_layers", "bidirectional", "batch_first", "engine"}
    return options if cell in COMPILED or options.keys() <= usual else {**options, "engine": "reference"}


class _only:  # noqa: N801
    """Convert these errors of seqzoo to refusals, as the driver counts them."""

    def __init__(self, *kinds: type[Exception]):
        self.kinds = kinds

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, self.kinds) or isinstance(error, SeqzooError):
            return
        raised_in = traceback.extract_tb(error.__traceback__)[-1].filename
        if f"{Path(seqzoo.__file__).parent}" not in raised_in:
            raise Fault(f"a message that is not seqzoo's own: {type(error).__name__}: {error}") from error
        raise ConfigError([str(error)]) from error


def _input(case: Case, chosen: dict[str, Any], dtype: torch.dtype) -> Tensor:
    """(B, T, I)"""
    rows, steps = case.random.choice([0, 1, 2, 3, 7]), case.random.choice([1, 1, 2, 5, 9, 70])
    case.note("input", rows, steps, dtype)
    return torch.randn(rows, steps, chosen["input_size"], dtype=dtype)


def _lengths(case: Case, x: Tensor) -> Tensor | None:
    if case.random.random() < 0.4:
        return None
    kind = case.random.choice([torch.int64, torch.int64, torch.int32, torch.int16, torch.uint8])
    lengths = torch.tensor([case.random.randint(0, x.shape[1]) for _ in x], dtype=kind)
    case.note("lengths", lengths.tolist(), kind)
    return lengths


def _layout(x: Tensor, chosen: dict[str, Any]) -> Tensor:
    return x if chosen["batch_first"] else x.transpose(0, 1)


def _stepped(rnn: seqzoo.RNN, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """The reference: each row alone, within its length, step by step, in evaluation mode."""
    rows, states = [], []
    for number, row in enumerate(x):
        steps = row.shape[0] if lengths is None else int(lengths[number])
        outputs, after = row[None, :steps], []
        for layer in rnn.backbone.layers:
            made = []
            for direction, cell in enumerate(layer.directions):
                state, own = cell.initial_state(1), []
                for t in reversed(range(steps)) if direction else range(steps):
                    output, state = cell.step(cell.project(outputs[:, t]), state)
                    own.append(output)
                own = own[::-1] if direction else own
                made.append(torch.stack(own, 1) if own else x.new_zeros(1, 0, cell.output_size))
                after += flatten(state)
            outputs = torch.cat(made, -1)
        rows.append(torch.cat([outputs, outputs.new_zeros(1, row.shape[0] - steps, outputs.shape[2])], 1))
        states.append(after)
    joined = [torch.cat(parts) for parts in zip(*states, strict=True)]
    return (torch.cat(rows) if rows else x.new_zeros(0, x.shape[1], rnn.output_size)), joined


def _same(what: str, found: Any, right: Any, tolerance: float) -> None:
    found, right = ([part.double() for part in parts] for parts in (found, right))
    if len(found) != len(right):
        raise Fault(f"{what}: {len(found)} parts, not {len(right)}")
    for one, other in zip(found, right, strict=True):
        if one.shape != other.shape:
            raise Fault(f"{what}: shape {tuple(one.shape)}, not {tuple(other.shape)}")
        if not one.isfinite().all():
            raise Fault(f"{what}: not finite")
        if one.numel() and not (one - other).abs().max() <= tolerance * (1 + other.abs().max()):
            raise Fault(f"{what}: differs by {(one - other).abs().max().item():.3g}")


def _flat_state(rnn: seqzoo.RNN, state: Any) -> list[Tensor]:
    """The state of an RNN as the tensors of its cells, layer by layer."""
    parts = (state,) if isinstance(state, Tensor) else state
    slots = sum(len(layer) for layer in rnn.backbone.layers)
    if parts[0].shape[0] != slots:  # layers whose states are unlike
        return [part[0] for part in parts]
    return [part[slot] for slot in range(slots) for part in parts]


def _sequence(case: Case) -> None:
    """Outputs, states and gradients of valid calls."""
    rnn, chosen = _network(case)
    dtype = case.random.choice([torch.float32, torch.float32, torch.float64])
    rnn = rnn.to(dtype)
    x = _input(case, chosen, dtype)
    lengths = _lengths(case, x)
    padded = x.clone()
    filling = case.random.choice([0.0, 1e30, float("nan"), float("inf")])
    if lengths is not None:
        for row, length in enumerate(lengths.tolist()):
            padded[row, length:] = filling
    given = _layout(padded, chosen).requires_grad_()
    mode = case.random.choice([nullcontext, nullcontext, nullcontext, torch.no_grad, torch.inference_mode])
    case.note("padding", filling, mode.__name__, "training" if rnn.training else "evaluation")
    with _only(ValueError), mode():
        outputs, state = rnn(given, None, lengths)
    if rnn.training and any(module.modifiers != type(module.modifiers)() for module in _modified(rnn)):
        if not outputs.isfinite().all():
            raise Fault("outputs in training are not finite")
        return  # random
    right, right_state = _stepped(rnn, x, lengths)
    _same("outputs", [_layout(outputs, chosen)], [right], LOW)
    if len(x):
        _same("state", _flat_state(rnn, state), right_state, LOW)
    if outputs.requires_grad and len(x):
        learned = [parameter for parameter in rnn.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(outputs.sum(), [given, *learned], allow_unused=True, materialize_grads=True)
        leaf = x.clone().requires_grad_()
        if not all(module.modifiers.clip_state_gradient is None for module in _modified(rnn)):
            _same("gradients", found[1:], found[1:], HIGH)  # finite
            return
        wanted = torch.autograd.grad(
            _stepped(rnn, leaf, lengths)[0].sum() + 0 * leaf.sum(),
            [leaf, *learned],
            allow_unused=True,
            materialize_grads=True,
        )
        _same("gradients", [_layout(found[0], chosen), *found[1:]], wanted, HIGH)


def _modified(rnn: seqzoo.RNN) -> list[Any]:
    return [module for module in rnn.modules() if hasattr(module, "modifiers")]


def _copied(rnn: seqzoo.RNN, x: Tensor) -> Any:
    return copy.deepcopy(rnn)(x)


def _pickled(rnn: seqzoo.RNN, x: Tensor) -> Any:
    return pickle.loads(pickle.dumps(rnn))(x)


def _saved(rnn: seqzoo.RNN, x: Tensor) -> Any:
    buffer = io.BytesIO()
    torch.save(rnn.state_dict(), buffer)
    buffer.seek(0)
    other = copy.deepcopy(rnn)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(torch.load(buffer, weights_only=True))
    return other(x)


def _shared(rnn: seqzoo.RNN, x: Tensor) -> Any:
    return rnn.share_memory()(x)


def _checkpointed(reentrant: bool, rnn: seqzoo.RNN, x: Tensor) -> Any:
    leaf = x.clone().requires_grad_()
    outputs, state = checkpoint(rnn, leaf, use_reentrant=reentrant)
    outputs.sum().backward()
    other = x.clone().requires_grad_()
    [right] = torch.autograd.grad(rnn(other)[0].sum(), other)
    _same("gradients of a checkpointed call", [leaf.grad], [right], HIGH)
    rnn.zero_grad()
    return outputs, state


def _traced(rnn: seqzoo.RNN, x: Tensor) -> Any:
    return torch.jit.trace(rnn, (x,), check_trace=False)(x)


def _vmapped(rnn: seqzoo.RNN, x: Tensor) -> Any:
    parameters, buffers = (
        {name: tensor.detach()[None] for name, tensor in tensors}
        for tensors in (rnn.named_parameters(), rnn.named_buffers())
    )
    outputs, state = torch.func.vmap(lambda *own: torch.func.functional_call(rnn, own, (x,)))(parameters, buffers)
    return outputs[0], state[0] if isinstance(state, Tensor) else tuple(part[0] for part in state)


def _called_with_weights(rnn: seqzoo.RNN, x: Tensor) -> Any:
    weights = {name: tensor.detach().clone() for name, tensor in rnn.named_parameters()}
    return torch.func.functional_call(rnn, weights, (x,))


def _with_derivatives(rnn: seqzoo.RNN, x: Tensor) -> Any:
    outputs, derivative, state = torch.func.jvp(rnn.__call__, (x,), (torch.ones_like(x),), has_aux=True)
    if not derivative.isfinite().all():
        raise Fault("a forward-mode derivative is not finite")
    return outputs, state


def _hooked(rnn: seqzoo.RNN, x: Tensor) -> Any:
    calls: list[int] = []
    cells = [cell for layer in rnn.backbone.layers for cell in layer.directions]
    hooks = [cell.register_forward_hook(lambda *_: calls.append(1)) for cell in cells]
    result = rnn(x)
    for hook in hooks:
        hook.remove()
    if len(calls) != len(cells):
        raise Fault(f"{len(calls)} calls of hooks on {len(cells)} cells")
    return result


def _normalised(rnn: seqzoo.RNN, x: Tensor) -> Any:
    other = copy.deepcopy(rnn)
    for module in list(other.modules()):
        if isinstance(module, Cell) and isinstance(module._parameters.get("weight_hh"), nn.Parameter):
            (parametrizations.weight_norm if module.hidden_size % 4 else nn.utils.weight_norm)(module, "weight_hh")
    return other(x)


def _in_threads(rnn: seqzoo.RNN, x: Tensor) -> Any:
    results: list[Any] = []
    errors: list[BaseException] = []

    def use() -> None:
        try:
            results.append(rnn(x))
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    for outputs, _ in results:
        _same("outputs of a thread", [outputs], [results[0][0]], 0.0)
    return results[0]


def _with_saved_hooks(rnn: seqzoo.RNN, x: Tensor) -> Any:
    with torch.autograd.graph.save_on_cpu():
        return rnn(x)


def _counted(rnn: seqzoo.RNN, x: Tensor) -> Any:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False):
        return rnn(x)


def _packed(rnn: seqzoo.RNN, x: Tensor) -> Any:
    lengths = torch.full(x.shape[:1] if rnn.batch_first else x.shape[1:2], x.shape[1 if rnn.batch_first else 0])
    packed = pack_padded_sequence(x, lengths, batch_first=rnn.batch_first)
    outputs, state = rnn(packed)
    return pad_packed_sequence(outputs, batch_first=rnn.batch_first)[0], state


def _strided(rnn: seqzoo.RNN, x: Tensor) -> Any:
    wide = torch.zeros(*x.shape[:-1], 2 * x.shape[-1], dtype=x.dtype)
    wide[..., ::2] = x
    return rnn(wide[..., ::2])


def _in_pieces(rnn: seqzoo.RNN, x: Tensor) -> Any:
    time = 1 if rnn.batch_first else 0
    if rnn.backbone.causal and x.shape[time] > 1:
        first, state = rnn(x.narrow(time, 0, 1))
        rest, state = rnn(x.narrow(time, 1, x.shape[time] - 1), state)
        return torch.cat([first, rest], time), state
    return rnn(x)


TRANSFORMS: list[Callable[[seqzoo.RNN, Tensor], Any]] = [
    _copied, _pickled, _saved, _shared, functools.partial(_checkpointed, True), functools.partial(_checkpointed, False),
    _traced, _vmapped, _called_with_weights, _with_derivatives, _hooked, _normalised, _in_threads, _with_saved_hooks,
    _counted, _packed, _strided, _in_pieces,
]  # fmt: skip


def _transformed(case: Case) -> None:
    """A transformed call gives the result of single steps."""
    rnn, chosen = _network(case)
    rnn.eval()
    transform = case.random.choice(TRANSFORMS)
    case.note("transform", transform)
    x = torch.randn(case.random.choice([1, 3]), case.random.choice([1, 2, 6]), chosen["input_size"])
    case.note("input", tuple(x.shape))
    with _only(ValueError):
        outputs, state = transform(rnn, _layout(x, chosen))
    right, right_state = _stepped(rnn, x, None)
    _same("outputs", [_layout(outputs, chosen)], [right], LOW)
    _same("state", _flat_state(rnn, state), right_state, LOW)


def _odd_value(case: Case) -> Any:
    return case.random.choice([None, 3, 0.5, "x", [], [1, 2], (), {}, object(), b"x", torch.tensor(1.0), True])


def _odd_tensor(case: Case, like: Tensor) -> Tensor:
    """A tensor like another one, with another shape or dtype."""
    random = case.random
    return random.choice(
        [
            lambda: like.double() if like.dtype == torch.float32 else like.float(),
            lambda: like.long(),
            lambda: like.bool(),
            lambda: like.to(torch.complex64),
            lambda: like.half(),
            lambda: like[..., :0],
            lambda: like[None],
            lambda: like.flatten(),
            lambda: torch.cat([like, like], -1),
            lambda: torch.cat([like, like], 0),
            lambda: like[:0],
            lambda: like[:, :0] if like.dim() > 1 else like,
            lambda: like.to("meta"),
            lambda: torch.zeros(()),
        ]
    )()


def _odd_lengths(case: Case, x: Tensor) -> Any:
    rows, steps = x.shape[:2]
    good = [case.random.randint(0, steps) for _ in range(rows)]
    where = case.random.randrange(max(1, rows))
    bad = [case.random.choice([-1, steps + 1, 2**40, -(2**50)]) if n == where else one for n, one in enumerate(good)]
    return case.random.choice(
        [
            bad, torch.tensor(bad), torch.tensor(good).float(), torch.tensor(good) > 1, torch.tensor([*good, 1]),
            torch.tensor([good]), torch.tensor(float("nan")), [float("nan")] * rows, torch.tensor(good, device="meta"),
            torch.tensor(good).to(torch.complex64), [0.5] * rows, 3, "abc", [[1]], [None] * rows, [2**80] * rows,
        ]
    )  # fmt: skip


def _misused(case: Case) -> None:
    """Invalid calls are refused; the results of those that are accepted must be finite."""
    rnn, chosen = _network(case, {})
    x = torch.randn(3, 4, chosen["input_size"])
    state: Any = None
    lengths: Any = None
    as_cell = case.random.random() < 0.4
    cell = rnn.backbone.layers[0].directions[0]
    kind = case.random.choice(
        ["input", "odd input", "state", "odd state", "lengths", "lengths", "step", "option", "name"]
    )
    if kind in ("option", "name"):
        _misbuilt(case, kind)
        return
    given: Any = x if as_cell else _layout(x, chosen)
    if kind == "input":
        given = _odd_tensor(case, given)
    elif kind == "odd input":
        given = _odd_value(case)
    elif kind == "lengths":
        lengths = _odd_lengths(case, x)
    elif kind in ("state", "odd state"):
        state = cell.initial_state(3) if as_cell else rnn(given)[1]
        if kind == "odd state":
            state = _odd_value(case)
        elif isinstance(state, Tensor):
            state = _odd_tensor(case, state)
        else:
            number = case.random.randrange(len(flatten(state)))
            parts = [_odd_tensor(case, part) if n == number else part for n, part in enumerate(flatten(state))]
            state = tuple(parts[: case.random.choice([len(parts), len(parts), 0])])
    elif kind == "step":
        given = _odd_tensor(case, x[:, 0])
    case.note(kind, "cell" if as_cell else "RNN", _told(given), _told(state), "lengths", _told(lengths))
    with _only(*((ValueError,) if as_cell or kind == "step" else RNN_CALLS)):
        if kind == "step":
            outputs, _ = cell(given, state)
        elif as_cell:
            outputs, _ = cell.scan(given, state, lengths)
        else:
            outputs, _ = rnn(given, state, lengths)
    finite = outputs.is_meta or outputs.isfinite().all()
    if not finite:
        raise Fault("accepted, and not finite")
    if kind == "lengths" and not _possible(lengths, 4):
        raise Fault(f"accepted lengths {lengths}")


def _possible(lengths: Any, steps: int) -> bool:
    """Whether these are integers in range, one for each of 3 rows."""
    values = torch.as_tensor(lengths)
    whole = not values.is_floating_point() and not values.is_complex() and values.dtype != torch.bool
    return whole and values.shape == (3,) and bool((values >= 0).all() and (values <= steps).all())


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return str([_told(part) for part in value])
    return f"{value.dtype} {tuple(value.shape)} {value.device}" if isinstance(value, Tensor) else repr(value)[:100]


def _misbuilt(case: Case, kind: str) -> None:
    random = case.random
    options: dict[str, Any] = {"input_size": 3, "hidden_size": 4}
    name: Any = random.choice(CELLS)
    if kind == "name":
        name = random.choice(NAMES)
    else:
        options |= random.choice(WRONG_OPTIONS)
    alone = random.random() < 0.5
    if alone:
        options = {
            key: value for key, value in options.items() if key not in ("num_layers", "bidirectional", "dropout")
        }
    case.note("create_cell" if alone else "RNN", repr(name)[:50], options)
    with _only(*((ConfigError,) if alone else (ConfigError, TypeError, ValueError))):
        (seqzoo.create_cell if alone else seqzoo.RNN)(name, **options)


def _built(case: Case) -> None:
    """Cells with random options, scanned and step by step."""
    random = case.random
    name, rows = random.choice(CELLS), random.choice([1, 2, 5])
    options = {**random.choice(OPTIONS), **random.choice([{}, {"activation": "relu"}, {"layer_norm": True}])}
    options = _compiled_rarely(name, options)
    case.note(name, options, rows)
    with _only(ConfigError):
        cell = seqzoo.create_cell(name, 3, 4, **options).eval()
    x, state = torch.randn(rows, 5, 3), map_state(torch.rand_like, cell.initial_state(rows))
    with _only(ValueError):
        outputs, after = cell.scan(x, state)
    own: State = state
    steps = []
    for t in range(5):
        output, own = cell(x[:, t], own)
        steps.append(output)
    _same("outputs", [outputs], [torch.stack(steps, 1)], LOW)
    _same("state", flatten(after), flatten(own), LOW)
    deep = Recurrent(lambda *sizes: copy.deepcopy(cell), 3, hidden_size=4)
    _same("outputs of a backbone", [deep(x, None, (((state),),))[0]], [outputs], LOW)


def _listed(case: Case) -> None:
    """Names and wildcards."""
    random = case.random
    pattern = random.choice(["*", "*gru*", "[", "", "?" * 40, "\x00", "lstm", "**", "[!a]*", "\ud800"])
    case.note(repr(pattern))
    found = seqzoo.list_cells(pattern)
    if not set(found) <= set(CELLS):
        raise Fault(f"{pattern!r} lists {found}")
    name = random.choice([*found, *NAMES][:20])
    case.note(repr(name)[:50])
    load = random.random() < 0.5
    if load:
        seqzoo.load(str(case.folder / "missing") if not isinstance(name, str) else name[:100] or "nothing")
    else:
        seqzoo.cell_info(name)
