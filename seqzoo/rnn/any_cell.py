"""Layers of any cell with the signature, results and errors of `nn.LSTM`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import check_cell, errors_of, factory_of_arguments, refuse_too_large
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.masking import checked_lengths
from seqzoo.contracts.options import Options, parameters
from seqzoo.contracts.state import flatten, unflatten
from seqzoo.contracts.steps import Steps
from seqzoo.contracts.transforms import jit_traced, traced
from seqzoo.kernels.inputs import type_mistake
from seqzoo.network.backbones.recurrent import Recurrent
from seqzoo.rnn.torch_checks import (
    RNNState,
    as_lengths,
    as_tensors,
    check_arguments,
    check_dense,
    check_dropout,
    check_dtype,
    check_resets,
)  # fmt: skip


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
        RuntimeError: weights of this dtype cannot be trained.
        ConfigError: there is no such cell, an option is out of range, or there would be too many weights.
        PartError: a cell of your own does not return what `seqzoo.Cell` requires; also at the first call.

    Shape:
        As `nn.LSTM`. Input (T, B, I), with batch_first (B, T, I), without a batch (T, I). Outputs (T, B, O): O is the
        output size of the cell, twice that in both directions. Each part of the state
        (num_layers * directions, B, H).

    Source:
        The paper of each cell, which `seqzoo.cell_info` names.

    Examples:
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
        check_arguments(sizes, {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}, dropout)
        check_dtype(dtype)
        settings: Options = options
        if proj_size:
            cell, settings = _projected(cell, proj_size, options)
        if dropout and num_layers == 1:
            warnings.warn("dropout has no effect with num_layers=1: it acts between layers", stacklevel=2)
        self.input_size, self.hidden_size, self.num_layers, self.proj_size = sizes.values()
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional

        def build() -> Recurrent:
            return Recurrent(
                factory, input_size, hidden_size=hidden_size, num_layers=num_layers, bidirectional=bidirectional
            )  # fmt: skip

        with errors_of(type(self).__name__):
            factory = factory_of_arguments(cell, settings, beside=parameters(RNN))
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
            TypeError: the input is not a tensor, the state is not a tensor or, for cells that keep several, not a tuple
                of them, or resets are not truth values.
            ValueError: the input has a wrong number of dimensions or dtype; a tensor is sparse or nested; lengths are
                not integers from 0 to T, one per row; lengths or resets are given with a PackedSequence.
            RuntimeError: the input, the state or resets have a wrong size, or are on another device than the weights;
                the state has a wrong dtype.
        """
        self._check_input(input)
        hx = as_tensors(hx)
        if isinstance(input, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths are given with a PackedSequence, which has its own: leave them out")
            if resets is not None:
                raise ValueError("resets are given with a PackedSequence: give a padded input and lengths instead")
            padded, sizes = pad_packed_sequence(input, batch_first=True)
            outputs, after = self._over_rows(padded, hx, sizes)
            in_order = input.sorted_indices is None
            return pack_padded_sequence(outputs, sizes, batch_first=True, enforce_sorted=in_order), after
        real = None if lengths is None else as_lengths(lengths)
        if resets is not None:
            check_resets(resets, input)
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
        check_dropout(probability)
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
        check_dense(values, "the input")
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
        if isinstance(state, Tensor) != isinstance(merged, Tensor):
            given = "one tensor" if isinstance(state, Tensor) else f"a tuple of {len(parts)}"
            wanted = "one tensor" if isinstance(merged, Tensor) else f"a tuple of {len(merged)} tensors"
            raise TypeError(f"the state is {given}: that of this {type(self).__name__} is {wanted}")
        expected = [tuple(part.shape) for part in _parts(merged)]
        if not jit_traced() and [tuple(part.shape) for part in parts] != expected:
            shapes = ", ".join(str(tuple(part.shape)) for part in parts)
            raise RuntimeError(f"the state has shapes {shapes}; it must have {', '.join(map(str, expected))}")
        slots = sum(len(layer) for layer in like)
        if len(parts) == len(flatten(like)):
            return unflatten([part[0] for part in parts], like)
        return unflatten([part[slot] for slot in range(slots) for part in parts], like)


def _projected(cell: str | type[Cell], proj_size: int, options: Options) -> tuple[str, Options]:
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


def _parts(state: RNNState) -> tuple[Tensor, ...]:
    return (state,) if isinstance(state, Tensor) else state


def _each(state: RNNState, function: Any) -> RNNState:
    return function(state) if isinstance(state, Tensor) else tuple(function(part) for part in state)
