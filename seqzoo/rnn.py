"""Layers of any cell with the signature, results and errors of `nn.LSTM`, and drop-ins for torch's three modules.

`RNN("peephole_lstm", 128, 256)` is for every cell. `LSTM`, `GRU` and `Elman` replace `nn.LSTM`, `nn.GRU` and `nn.RNN`:
their weights have torch's names and load both ways.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import check_cell, errors_of, factory_of_arguments, refuse_too_large
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.masking import checked_lengths
from seqzoo.contracts.options import parameters
from seqzoo.contracts.state import flatten, unflatten
from seqzoo.contracts.steps import Steps
from seqzoo.contracts.transforms import jit_traced, traced
from seqzoo.kernels.inputs import type_mistake
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.network.backbones.stack import MAX_LAYERS

RNNState = Tensor | tuple[Tensor, ...]
"""The state of all layers: (num_layers * directions, B, H), or a tuple of such tensors for cells that keep several."""


class RNN(nn.Module):
    """Layers of any cell, with the signature of `nn.LSTM` after the cell's name.

    The layers are in `backbone.layers[depth][direction]`, each a `Cell`.

    Args:
        cell: name of a cell, one of `seqzoo.list_cells()`, or a class of your own that inherits from `seqzoo.Cell`.
        input_size: number of features per step.
        hidden_size: number of hidden units.
        num_layers: number of layers; each reads the outputs of the one below.
        bias: False removes the biases of the cells.
        batch_first: inputs and outputs are (B, T, ...) instead of (T, B, ...). States are not affected.
        dropout: dropout probability on the outputs of every layer but the last.
        bidirectional: a second cell in each layer reads the sequence backwards.
        proj_size: width of the projected state of an LSTM (`lstm` or `projected_lstm`); 0 for no projection.
        device: device of the weights; None: torch's default device.
        dtype: type of the weights; None: torch's default type.
        **options: options of this cell and those of every cell, such as `zoneout=0.1`.

    Raises:
        TypeError: an argument has a wrong type, or does not exist; for options of the cell this is a ConfigError, too.
        ValueError: an argument of `nn.LSTM` is out of range.
        ConfigError: there is no such cell, an option is out of range, or there would be too many weights.
        PartError: a cell of your own does not return what `seqzoo.Cell` requires; also at the first call.

    Shape:
        As `nn.LSTM`. Input (T, B, I), with batch_first (B, T, I), without a batch (T, I). Outputs (T, B, O): O is the
        output size of the cell, twice that in both directions. Each part of the state
        (num_layers * directions, B, H).

    Source:
        The paper of each cell, which `seqzoo.cell_info` names.

    Example:
        >>> rnn = seqzoo.RNN("peephole_lstm", 128, 256, num_layers=2, bidirectional=True)
        >>> outputs, (h, c) = rnn(torch.randn(50, 8, 128))
    """

    def __init__(
        self,
        cell: str | type[Cell],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ):
        super().__init__()
        check_cell(cell)
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers, "proj_size": proj_size}
        bidirectional = bool(bidirectional) if isinstance(bidirectional, int) else bidirectional  # as in torch
        _check_arguments(sizes, {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}, dropout)
        if proj_size:
            cell, options = _projected(cell, proj_size, options)
        if dropout and num_layers == 1:
            warnings.warn("dropout has no effect with num_layers=1: it acts between layers", stacklevel=2)
        self.input_size, self.hidden_size, self.num_layers, self.proj_size = sizes.values()
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional

        def build() -> Recurrent:
            return Recurrent(
                factory, input_size, hidden_size=hidden_size, num_layers=num_layers, bidirectional=bidirectional
            )  # fmt: skip

        with errors_of(type(self).__name__):
            factory = factory_of_arguments(cell, options, beside=parameters(RNN))
            try:
                refuse_too_large(build)
                with torch.device(torch.get_default_device() if device is None else device):
                    self.backbone = build()
            except ValueError as error:  # sizes that this cell cannot have
                raise ConfigError([str(error)]) from error
        self.backbone.dropout = nn.Dropout(dropout)  # 1 is allowed here, as by torch
        if not bias:
            _remove_biases(self.backbone)
        self.to(dtype=dtype)
        first = [[part.shape for part in flatten(s)] for layer in self.backbone.initial_state(1) for s in layer]
        self._stacks = all(shapes == first[0] for shapes in first)
        self.output_size = self.backbone.output_size

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: RNNState | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        resets: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, RNNState]:
        """Run all layers over sequences.

        Args:
            input: shape (T, B, I), with batch_first (B, T, I), without a batch (T, I), or a PackedSequence, which then
                also comes back.
            hx: initial state, as returned by an earlier call; None: zeros, or the learned initial state.
            lengths: number of real steps of each row, integers from 0 to T, a tensor of shape (B,) or a list; None: all
                steps are real. The values of padded steps do not matter.
            resets: True where the state is reset to the initial state before the step, such as at the first step of an
                episode; no gradient passes there, in either direction. Shape (T, B), with batch_first (B, T), without a
                batch (T,); None: no resets.

        Returns:
            Outputs (T, B, O) or (B, T, O), zero at padded steps, and the state after each row's last real step:
            (num_layers * directions, B, H), or a tuple of such tensors for cells that keep several.

        Raises:
            TypeError: the input or the state is not a tensor, or resets are not truth values.
            ValueError: the input has a wrong number of dimensions or dtype; a tensor is sparse or nested; lengths are
                not integers from 0 to T, one per row; lengths or resets are given with a PackedSequence.
            RuntimeError: the input, the state or resets have a wrong size, or are on another device than the weights;
                the state has a wrong dtype.
        """
        self._check_input(input)
        hx = _as_tensors(hx)
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths are given with a PackedSequence, which has its own: leave them out")
            if resets is not None:
                raise ValueError("resets are given with a PackedSequence: give a padded input and lengths instead")
            padded, sizes = pad_packed_sequence(input, batch_first=True)
            outputs, after = self._over_rows(padded, hx, sizes)
            in_order = input.sorted_indices is None
            return pack_padded_sequence(outputs, sizes, batch_first=True, enforce_sorted=in_order), after
        real = None if lengths is None else _as_lengths(lengths)
        if resets is not None:
            _check_resets(resets, input)
        if input.dim() == 2:
            if hx is not None and any(part.dim() == 3 for part in _parts(hx)):
                shapes = ", ".join(str(tuple(part.shape)) for part in _parts(hx))
                raise RuntimeError(f"the state has shapes {shapes}: without a batch, as the input, it has no B either")
            first = None if hx is None else _each(hx, lambda tensor: tensor[:, None] if tensor.dim() else tensor)
            outputs, after = self._over_rows(input[None], first, real, None if resets is None else resets[None])
            return outputs[0], _each(after, lambda tensor: tensor[:, 0])
        if self.batch_first:
            return self._over_rows(input, hx, real, resets)
        by_row = None if resets is None else resets.transpose(0, 1)
        outputs, after = self._over_rows(input.transpose(0, 1), hx, real, by_row)
        return outputs.transpose(0, 1).contiguous(), after  # as torch's, so that it can be viewed in other shapes

    @property
    def dropout(self) -> float:
        """Dropout probability on the outputs of every layer but the last; it can be changed at any time."""
        return float(cast(nn.Dropout, self._layers.dropout).p)

    @dropout.setter
    def dropout(self, probability: float) -> None:
        _check_dropout(probability)
        cast(nn.Dropout, self._layers.dropout).p = float(probability)

    @property
    def _layers(self) -> Recurrent:
        """The module of all layers, whatever holds their weights."""
        return self.backbone

    def flatten_parameters(self) -> None:
        """Does nothing; it exists for code that was written for `nn.LSTM`."""

    def extra_repr(self) -> str:
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        changed = [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *changed])

    def _check_input(self, x: Any) -> None:
        """Check type and shape of the input; messages give dimensions in the order of `batch_first`."""
        name = type(self).__name__
        if not isinstance(x, Tensor | PackedSequence):
            raise TypeError(f"{name} reads a tensor or a PackedSequence: the input is a {type(x).__name__}")
        values = x.data if isinstance(x, PackedSequence) else x
        _check_dense(values, "the input")
        shape, batched = values.shape, isinstance(x, Tensor) and x.dim() == 3
        if jit_traced():
            return
        time = 1 if batched and self.batch_first else 0
        order = f"(B, T, {self.input_size})" if self.batch_first else f"(T, B, {self.input_size})"
        message = f"{name} reads {order} or (T, {self.input_size}), T at least 1: the input is {tuple(shape)}"
        if len(shape) not in (2, 3):
            raise ValueError(message)
        if shape[-1] != self.input_size or shape[time] == 0:
            raise RuntimeError(message)
        weight = next(self.parameters(), None)
        if weight is not None and weight.device != values.device:
            raise RuntimeError(f"the input is on {values.device} and the weights on {weight.device}: move one of them")

    def _over_rows(
        self, x: Tensor, state: RNNState | None, lengths: Tensor | None, resets: Tensor | None = None
    ) -> tuple[Tensor, RNNState]:
        """Run all layers over padded rows, (B, T, I) -> (B, T, O), with states in torch's layout."""
        if lengths is not None:
            if lengths.is_meta and not x.is_meta:
                raise ValueError(f"lengths are on meta and the input on {x.device}: move one to the other")
            lengths = checked_lengths(lengths, x.shape, lengths.device).to(x.device)
        if resets is not None and resets.is_meta and not x.is_meta:
            raise ValueError(f"resets are on meta and the input on {x.device}: move one to the other")
        steps = lengths if resets is None else Steps(lengths, resets.to(x.device))
        backbone = self.backbone
        if state is not None:
            like = backbone.initial_state(x.shape[0])
            state = self._split(state, like)
            mistake = "" if traced() else type_mistake(x, state, like)
            if mistake:
                raise RuntimeError(mistake)  # as torch's modules; cells raise ValueErrors
        outputs, after = backbone(x, steps, state)
        return outputs, self._merge(after)

    def _merge(self, state: tuple) -> RNNState:
        """Convert the state of the backbone to torch's layout: one tensor for each part of a cell's state, with layers
        and directions as the first dimension. Parts whose width differs between layers, as in cells that remember
        inputs, are not stacked.
        """
        slots = [flatten(s) for layer in state for s in layer]
        if not self._stacks:
            return tuple(part[None] for slot in slots for part in slot)
        parts = [torch.stack(same) for same in zip(*slots, strict=True)]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def _split(self, state: RNNState, like: tuple) -> tuple:
        """The inverse of `_merge`. like: a state of these layers."""
        parts = _parts(state)
        merged = self._merge(like)
        expected = [tuple(part.shape) for part in ((merged,) if isinstance(merged, Tensor) else merged)]
        if not jit_traced() and [tuple(part.shape) for part in parts] != expected:
            shapes = ", ".join(str(tuple(part.shape)) for part in parts)
            raise RuntimeError(f"the state has shapes {shapes}; it must have {', '.join(map(str, expected))}")
        slots = sum(len(layer) for layer in like)
        if len(parts) == len(flatten(like)):
            return unflatten([part[0] for part in parts], like)
        return unflatten([part[slot] for slot in range(slots) for part in parts], like)


class _DropIn(RNN):
    """Layers whose weights are parameters of this module with torch's names: `weight_ih_l0` is `weight_ih` of
    `backbone.layers[0][0]`.

    Attributes:
        mode: as in torch, "LSTM", "GRU", "RNN_TANH" or "RNN_RELU".
    """

    mode: str
    _template: Recurrent
    """The layers on the meta device; not a submodule, so that its weights are not listed among those of this module."""

    def __init__(self, cell: str, device: torch.device | str | int | None, **arguments: Any):
        super().__init__(cell, device="meta", **arguments)  # the meta device draws no random numbers
        self.__dict__["_template"] = self._modules.pop("backbone")
        for depth, layer in enumerate(self._template.layers):
            for direction, cell_of_layer in enumerate(layer.directions):
                for name, weight in cell_of_layer.named_parameters():
                    empty = torch.empty_like(weight, device=torch.get_default_device() if device is None else device)
                    self.register_parameter(_torchs_name(name, depth, direction), nn.Parameter(empty))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise all weights as torch does: the same random state gives the same weights."""
        bound = self.hidden_size**-0.5
        for weight in self.parameters():
            nn.init.uniform_(weight, -bound, bound)

    @property
    def _layers(self) -> Recurrent:
        return self._template

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The weights of each layer and direction, in torch's order."""
        return [
            [getattr(self, _torchs_name(name, depth, direction)) for name, _ in cell.named_parameters()]
            for depth, layer in enumerate(self._template.layers)
            for direction, cell in enumerate(layer.directions)
        ]

    @property
    def backbone(self) -> Recurrent:  # type: ignore[override]
        """The layers with the current weights of this module, which may be parametrized or replaced by
        `torch.func.functional_call`.

        It is a copy of the layers that shares the weights, so that threads can use the module at the same time.
        """
        return _with_weights(self._template, iter(self.all_weights), self.training)

    def to_torch(self) -> nn.RNNBase:
        """The module of `torch.nn` with a copy of these weights. Weights that are tied here are tied there.

        Raises:
            ValueError: a weight is computed from others, as by weight norm or pruning.
        """
        weight = next(self.parameters())
        return _copied(self, self._build_torchs(weight.device, weight.dtype))

    def _build_torchs(self, device: torch.device, dtype: torch.dtype) -> nn.RNNBase:
        raise NotImplementedError


def _torchs_name(name: str, depth: int, direction: int) -> str:
    return f"{name}_l{depth}{'_reverse' if direction else ''}"


def _with_weights(module: Any, weights: Iterator[list[Tensor]], training: bool) -> Any:
    """A copy of a module in which the cells have other weights."""
    copied = object.__new__(type(module))
    copied.__dict__.update(module.__dict__, training=training)
    if isinstance(module, Cell):
        values = next(weights)
        copied._parameters = dict(zip(module._parameters, values, strict=True))
        removed = {name: bias.shape for name, bias in module._buffers.items() if bias is not None}
        copied._buffers = {name: values[0].new_zeros(shape) for name, shape in removed.items()}
    else:
        copied._modules = {name: _with_weights(part, weights, training) for name, part in module._modules.items()}
    return copied


class LSTM(_DropIn):
    """A drop-in for `nn.LSTM`: same arguments, results, initial weights and `state_dict`; also takes `lengths`.

    Args:
        input_size: number of features per step.
        hidden_size: number of hidden units.
        num_layers: number of layers; each reads the outputs of the one below.
        bias: False removes the biases.
        batch_first: inputs and outputs are (B, T, ...) instead of (T, B, ...). States are not affected.
        dropout: dropout probability on the outputs of every layer but the last.
        bidirectional: a second cell in each layer reads the sequence backwards.
        proj_size: width of the projected state; 0: no projection.
        device: device of the weights; None: torch's default device.
        dtype: type of the weights; None: torch's default type.

    Attributes:
        mode: "LSTM", as in torch.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: an argument is out of range.

    Shape:
        As `nn.LSTM`. Input (T, B, I), with batch_first (B, T, I), without a batch (T, I). Outputs (T, B, O): O is
        hidden_size or, with a projection, proj_size; twice that in both directions. The state is a pair h
        (num_layers * directions, B, hidden_size or proj_size) and c (num_layers * directions, B, hidden_size).

    Source:
        Hochreiter & Schmidhuber 1997, Long short-term memory; with the forget gate of Gers et al. 2000 and the
        projection of Sak et al. 2014.

    Example:
        >>> lstm = seqzoo.LSTM(128, 256, num_layers=2)
        >>> lstm.load_state_dict(torch.nn.LSTM(128, 256, num_layers=2).state_dict())
    """

    mode = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(
            "lstm",
            device,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
            dtype=dtype,
        )

    def _build_torchs(self, device: torch.device, dtype: torch.dtype) -> nn.LSTM:
        return nn.LSTM(**_common_arguments(self), proj_size=self.proj_size, device=device, dtype=dtype)


class GRU(_DropIn):
    """A drop-in for `nn.GRU`: same arguments, results, initial weights and `state_dict`; also takes `lengths`.

    Args:
        input_size: number of features per step.
        hidden_size: number of hidden units.
        num_layers: number of layers; each reads the outputs of the one below.
        bias: False removes the biases.
        batch_first: inputs and outputs are (B, T, ...) instead of (T, B, ...). States are not affected.
        dropout: dropout probability on the outputs of every layer but the last.
        bidirectional: a second cell in each layer reads the sequence backwards.
        device: device of the weights; None: torch's default device.
        dtype: type of the weights; None: torch's default type.
        proj_size: a ValueError, as by `nn.GRU`: only LSTM has a projection.

    Attributes:
        mode: "GRU", as in torch.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: an argument is out of range.

    Shape:
        As `nn.GRU`. Input (T, B, I), with batch_first (B, T, I), without a batch (T, I). Outputs (T, B, O): O is
        hidden_size, twice that in both directions. State (num_layers * directions, B, hidden_size).

    Source:
        Cho et al. 2014, Learning phrase representations using RNN encoder-decoder for statistical machine translation;
        the reset gate acts after the product, as in cuDNN.
    """

    mode = "GRU"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        proj_size: None = None,
    ):
        _refuse_projection(proj_size)
        super().__init__(
            "gru",
            device,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            dtype=dtype,
        )

    def _build_torchs(self, device: torch.device, dtype: torch.dtype) -> nn.GRU:
        return nn.GRU(**_common_arguments(self), device=device, dtype=dtype)


class Elman(_DropIn):
    """A drop-in for `nn.RNN`: same arguments, results, initial weights and `state_dict`; also takes `lengths`.

    Args:
        input_size: number of features per step.
        hidden_size: number of hidden units.
        num_layers: number of layers; each reads the outputs of the one below.
        nonlinearity: "tanh" or "relu".
        bias: False removes the biases.
        batch_first: inputs and outputs are (B, T, ...) instead of (T, B, ...). States are not affected.
        dropout: dropout probability on the outputs of every layer but the last.
        bidirectional: a second cell in each layer reads the sequence backwards.
        device: device of the weights; None: torch's default device.
        dtype: type of the weights; None: torch's default type.
        proj_size: a ValueError, as by `nn.RNN`: only LSTM has a projection.

    Attributes:
        mode: "RNN_TANH" or "RNN_RELU", as in torch.

    Raises:
        TypeError: an argument is of a wrong type.
        ValueError: an argument is out of range.

    Shape:
        As `nn.RNN`. Input (T, B, I), with batch_first (B, T, I), without a batch (T, I). Outputs (T, B, O): O is
        hidden_size, twice that in both directions. State (num_layers * directions, B, hidden_size).

    Source:
        Elman 1990, Finding structure in time.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        proj_size: None = None,
    ):
        _refuse_projection(proj_size)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity is {nonlinearity!r}: it must be tanh or relu; seqzoo.RNN knows others")
        super().__init__(
            "elman",
            device,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            activation=nonlinearity,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity
        self.mode = f"RNN_{nonlinearity.upper()}"

    def _build_torchs(self, device: torch.device, dtype: torch.dtype) -> nn.RNN:
        return nn.RNN(**_common_arguments(self), nonlinearity=self.nonlinearity, device=device, dtype=dtype)


def from_torch(module: nn.RNNBase) -> LSTM | GRU | Elman:
    """The drop-in for a module of `torch.nn`, with a copy of its weights; `to_torch` is the inverse.

    Args:
        module: an `nn.LSTM`, `nn.GRU` or `nn.RNN`.

    Returns:
        A `seqzoo.LSTM`, `seqzoo.GRU` or `seqzoo.Elman` on the same device.

    Raises:
        TypeError: it is another module.
        ValueError: a weight is computed from others, as by weight norm or pruning.

    Example:
        >>> lstm = seqzoo.from_torch(torch.nn.LSTM(128, 256, bidirectional=True))
    """
    if not isinstance(module, nn.LSTM | nn.GRU | nn.RNN):
        raise TypeError(f"from_torch takes an nn.LSTM, nn.GRU or nn.RNN: this is of type {type(module).__name__}")
    weight = next(module.parameters())
    arguments = {**_common_arguments(module), "device": weight.device, "dtype": weight.dtype}
    drop_in: LSTM | GRU | Elman
    if isinstance(module, nn.LSTM):
        drop_in = LSTM(**arguments, proj_size=module.proj_size)
    elif isinstance(module, nn.GRU):
        drop_in = GRU(**arguments)
    else:
        drop_in = Elman(**arguments, nonlinearity=module.nonlinearity)
    return _copied(module, drop_in)


def _common_arguments(module: nn.Module) -> dict[str, Any]:
    """The arguments that torch's modules and their drop-ins share."""
    names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional")
    # without a second layer it has no effect, and torch warns
    dropout = module.dropout if module.num_layers != 1 else 0.0
    return {**{name: getattr(module, name) for name in names}, "dropout": dropout}


def _copied(source: nn.Module, target: Any) -> Any:
    """`target`, a new module, with the weights, the ties between them, the `requires_grad` flags and the mode of
    `source`. Raises ValueError if a weight of `source` is not a parameter of its own.
    """
    weights = dict(source.named_parameters(remove_duplicate=False))
    first_names: dict[int, str] = {}
    for name, _ in [*target.named_parameters()]:
        if name not in weights:
            advice = "torch.nn.utils.parametrize.remove_parametrizations"
            if not is_parametrized(source):
                advice = "prune.remove, remove_weight_norm or remove_spectral_norm of torch.nn.utils"
            raise ValueError(
                f"{name} is computed from other weights, and only plain ones are copied: first apply {advice}"
            )
        first = first_names.setdefault(id(weights[name]), name)
        if first != name:
            setattr(target, name, getattr(target, first))
    target.load_state_dict(source.state_dict())
    for name, parameter in target.named_parameters():
        parameter.requires_grad_(weights[name].requires_grad)
    return target.train(source.training)


def _check_arguments(sizes: dict[str, Any], switches: dict[str, Any], dropout: Any) -> None:
    """Raises TypeError and ValueError where torch does."""
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"{name} is {size!r:.60}: it must be an integer")
        least = 0 if name == "proj_size" else 1
        if size < least:
            raise ValueError(f"{name} is {size}: it must be at least {least}")
    if sizes["num_layers"] > MAX_LAYERS:
        raise ValueError(f"num_layers is {sizes['num_layers']:,}: it must be at most {MAX_LAYERS:,}")
    if sizes["proj_size"] >= sizes["hidden_size"]:
        raise ValueError(f"proj_size is {sizes['proj_size']}: it must be below hidden_size, {sizes['hidden_size']}")
    for name, switch in switches.items():
        if not isinstance(switch, bool):
            raise TypeError(f"{name} is {switch!r:.60}: it must be True or False")
    _check_dropout(dropout)


def _refuse_projection(proj_size: Any) -> None:
    if proj_size is not None:
        raise ValueError(f"proj_size is {proj_size!r:.60}: only LSTM has a projection, leave it out")


def _check_dropout(dropout: Any) -> None:
    if not isinstance(dropout, int | float) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError(f"dropout is {dropout!r:.60}: it is a probability, 0 <= dropout <= 1")


def _projected(cell: str | type[Cell], proj_size: int, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The cell whose state is projected, and its options. Raises ValueError where a cell has no projection."""
    if cell not in ("lstm", "projected_lstm"):
        name = cell.__name__ if isinstance(cell, type) else repr(cell)
        raise ValueError(f"proj_size is {proj_size}: only lstm and projected_lstm have a projection, not {name:.60}")
    if options.get("projection_size", proj_size) != proj_size:
        raise ValueError(f"proj_size is {proj_size} and projection_size {options['projection_size']}: give one of them")
    return "projected_lstm", {**options, "projection_size": proj_size}


def _remove_biases(backbone: Recurrent) -> None:
    """What a cell adds stays in its equations as a zero that is neither learned nor saved."""
    for module in backbone.modules():
        if isinstance(module, Cell | nn.Linear):
            for biases in (module._parameters, module._buffers):
                for name, bias in [*biases.items()]:
                    if name.startswith("bias") and bias is not None:
                        del biases[name]
                        module.register_buffer(name, torch.zeros_like(bias, requires_grad=False), persistent=False)


def _as_tensors(state: Any) -> RNNState | None:
    """Raises TypeError where a state is something else."""
    parts = (state,) if isinstance(state, Tensor) else state
    if parts is None:
        return None
    if isinstance(parts, (tuple, list)) and parts and all(isinstance(part, Tensor) for part in parts):
        for part in parts:
            _check_dense(part, "the state")
        return state if isinstance(state, Tensor) else tuple(parts)
    kind = type(state).__name__
    if isinstance(state, (tuple, list)):
        kind = f"{kind} of {', '.join(type(part).__name__ for part in state) or 'nothing'}"
    raise TypeError(f"the state is a {kind}: it must be a tensor, or a tuple of tensors")


def _check_dense(tensor: Tensor, name: str) -> None:
    """Raises ValueError for a tensor that is not stored as a whole."""
    if tensor.is_nested:
        raise ValueError(
            f"{name} is a nested tensor: give a padded one, as of torch.nested.to_padded_tensor, and lengths"
        )
    if tensor.layout != torch.strided:
        raise ValueError(f"{name} is a tensor of layout {tensor.layout}: make it dense by .to_dense()")


def _check_resets(resets: Any, x: Tensor) -> None:
    """Raises TypeError or RuntimeError where resets are not a truth value for each step."""
    if not isinstance(resets, Tensor) or resets.dtype != torch.bool:
        kind = resets.dtype if isinstance(resets, Tensor) else f"a {type(resets).__name__}"
        raise TypeError(f"resets are {kind}: they must be a tensor of torch.bool")
    _check_dense(resets, "resets")
    if not jit_traced() and resets.shape != x.shape[:-1]:
        raise RuntimeError(f"resets are {tuple(resets.shape)}: they must be {tuple(x.shape[:-1])}, one for each step")


def _as_lengths(lengths: Any) -> Tensor:
    if isinstance(lengths, Tensor):
        _check_dense(lengths, "lengths")
        return lengths
    try:
        return torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"lengths are {lengths!r:.60}: they must be integers, one per row") from error


def _parts(state: RNNState) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else state


def _each(state: RNNState, function: Any) -> RNNState:
    return function(state) if isinstance(state, Tensor) else tuple(function(part) for part in state)
