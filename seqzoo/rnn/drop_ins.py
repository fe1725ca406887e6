"""Drop-ins for `nn.LSTM`, `nn.GRU` and `nn.RNN`: their weights have torch's names and load both ways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.cells.cell import Cell
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.rnn.any_cell import RNN
from seqzoo.rnn.torch_checks import refuse_projection
from seqzoo.rnn.weight_copies import common_arguments, copied


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
        """Convert to the module of `torch.nn`.

        Returns:
            A module with a copy of these weights. Weights that are tied here are tied there.

        Raises:
            ValueError: a weight is computed from others, as by weight norm or pruning.
        """
        weight = next(self.parameters())
        return copied(self, self._build_torchs(weight.device, weight.dtype))

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
        RuntimeError: weights of this dtype cannot be trained.

    Shape:
        As `nn.LSTM`. Input (T, B, I), with batch_first (B, T, I), without a batch (T, I). Outputs (T, B, O): O is
        hidden_size or, with a projection, proj_size; twice that in both directions. The state is a pair h
        (num_layers * directions, B, hidden_size or proj_size) and c (num_layers * directions, B, hidden_size).

    Source:
        Hochreiter & Schmidhuber 1997, Long short-term memory; with the forget gate of Gers et al. 2000 and the
        projection of Sak et al. 2014.

    Examples:
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
        return nn.LSTM(**common_arguments(self), proj_size=self.proj_size, device=device, dtype=dtype)


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
        RuntimeError: weights of this dtype cannot be trained.

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
        refuse_projection(proj_size)
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
        return nn.GRU(**common_arguments(self), device=device, dtype=dtype)


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
        RuntimeError: weights of this dtype cannot be trained.

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
        refuse_projection(proj_size)
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
        return nn.RNN(**common_arguments(self), nonlinearity=self.nonlinearity, device=device, dtype=dtype)


def from_torch(module: nn.RNNBase) -> LSTM | GRU | Elman:
    """The drop-in for a module of `torch.nn`, with a copy of its weights; `to_torch` is the inverse.

    Args:
        module: an `nn.LSTM`, `nn.GRU` or `nn.RNN`.

    Returns:
        A `seqzoo.LSTM`, `seqzoo.GRU` or `seqzoo.Elman` on the same device.

    Raises:
        TypeError: it is another module.
        ValueError: a weight is computed from others, as by weight norm or pruning.

    Examples:
        >>> lstm = seqzoo.from_torch(torch.nn.LSTM(128, 256, bidirectional=True))
    """
    if not isinstance(module, nn.LSTM | nn.GRU | nn.RNN):
        raise TypeError(f"from_torch takes an nn.LSTM, nn.GRU or nn.RNN: this is of type {type(module).__name__}")
    weight = next(module.parameters())
    arguments = {**common_arguments(module), "device": weight.device, "dtype": weight.dtype}
    drop_in: LSTM | GRU | Elman
    if isinstance(module, nn.LSTM):
        drop_in = LSTM(**arguments, proj_size=module.proj_size)
    elif isinstance(module, nn.GRU):
        drop_in = GRU(**arguments)
    else:
        drop_in = Elman(**arguments, nonlinearity=module.nonlinearity)
    return copied(module, drop_in)
