"""Any cell of the catalogue with the signature and the return values of `nn.LSTM`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seqzoo.configuration.building import cell_factory, refuse_too_large
from seqzoo.configuration.components import check_component
from seqzoo.configuration.composing import load
from seqzoo.contracts.errors import ConfigError
from seqzoo.contracts.masking import checked_lengths
from seqzoo.contracts.options import check_options, parameters
from seqzoo.contracts.state import flatten, unflatten
from seqzoo.network.backbones.recurrent import Recurrent


class RNN(nn.Module):
    """A drop-in for `nn.LSTM`, `nn.GRU` and `nn.RNN`, for every cell: `RNN("lstm", 128, 256, num_layers=2)`.

    Args:
        cell: a name of `conf/cell`.
        dropout: on the input of every layer but the first.
        **options: the cell's own, and those of every cell, such as `zoneout=0.1`.

    Raises:
        ConfigError: an option or a size that cannot be, or that no machine could hold.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        batch_first: bool = False,
        **options: Any,
    ):
        super().__init__()
        sizes: dict[str, Any] = {"hidden_size": hidden_size, "num_layers": num_layers, "bidirectional": bidirectional}
        mistakes = check_options("RNN", RNN, {"input_size": input_size, "dropout": dropout, **sizes}, ("cell",))
        if mistakes:
            raise ConfigError(mistakes.values())
        wrong = check_component("cell", {**load("cell", cell), **options}, "cell", {}, beside=parameters(RNN))
        if wrong:
            raise ConfigError(wrong.values())
        self.batch_first = batch_first

        def build() -> Recurrent:
            return Recurrent(cell_factory(cell, **options), input_size, dropout=dropout, **sizes)

        try:
            refuse_too_large(build)
            self.backbone = build()
        except ValueError as error:
            raise ConfigError([f"RNN.{error}"]) from error
        self.input_size = input_size
        first = [[part.shape for part in flatten(s)] for layer in self.backbone.initial_state(1) for s in layer]
        self._stacks = all(shapes == first[0] for shapes in first)
        self.output_size = self.backbone.output_size

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: Tensor | tuple[Tensor, ...] | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor | tuple[Tensor, ...]]:
        """Run all layers over sequences.

        Args:
            x: input, shape (T, B, I), with batch_first (B, T, I), without a batch (T, I), or a PackedSequence, which
                also comes back.
            state: as returned by an earlier call; None: the initial one.
            lengths: number of real steps of each row, whole numbers from 0 to T, shape (B,); None: all are real.
                Padded steps have no influence, whatever they hold.

        Returns:
            Outputs (T, B, O) or (B, T, O), zero at padded steps, and the state after each row's last real step:
            (num_layers * directions, B, H), or a tuple of such tensors for cells that keep several.

        Raises:
            ValueError: shapes, types, devices or lengths do not fit.
        """
        self._check_input(x)
        state = _as_tensors(state)
        if isinstance(x, PackedSequence):
            if lengths is not None:
                raise ValueError("lengths are given with a PackedSequence, which has its own: leave them out")
            padded, real = pad_packed_sequence(x, batch_first=True)
            outputs, after = self._over_rows(padded, state, real)
            in_order = x.sorted_indices is None
            return pack_padded_sequence(outputs, real, batch_first=True, enforce_sorted=in_order), after
        if lengths is not None:
            lengths = _as_lengths(lengths)
        if x.dim() == 2:
            first = None if state is None else _each(state, lambda tensor: tensor[:, None] if tensor.dim() else tensor)
            outputs, after = self._over_rows(x[None], first, lengths)
            return outputs[0], _each(after, lambda tensor: tensor[:, 0])
        if self.batch_first:
            return self._over_rows(x, state, lengths)
        outputs, after = self._over_rows(x.transpose(0, 1), state, lengths)
        return outputs.transpose(0, 1), after

    def _check_input(self, x: Any) -> None:
        """Raises ValueError, which says the dimensions in the order in which they were given."""
        if not isinstance(x, Tensor | PackedSequence):
            raise ValueError(f"RNN reads a tensor or a PackedSequence: the input is a {type(x).__name__}")
        values = x.data if isinstance(x, PackedSequence) else x
        _check_dense(values, "the input")
        shape, batched = values.shape, values is x and x.dim() == 3
        if torch.jit.is_tracing():
            return
        time = 1 if batched and self.batch_first else 0
        if len(shape) not in (2, 3) or shape[-1] != self.input_size or shape[time] == 0:
            order = f"(B, T, {self.input_size})" if self.batch_first else f"(T, B, {self.input_size})"
            raise ValueError(f"RNN reads {order} or (T, {self.input_size}), T at least 1: the input is {tuple(shape)}")

    def _over_rows(
        self, x: Tensor, state: Tensor | tuple[Tensor, ...] | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
        """(B, T, I) -> (B, T, O), and states in torch's layout."""
        if lengths is not None:
            lengths = checked_lengths(lengths, x.shape, lengths.device).to(x.device)
        outputs, after = self.backbone(x, lengths, None if state is None else self._split(state, x.shape[0]))
        return outputs, self._merge(after)

    def _merge(self, state: tuple) -> Tensor | tuple[Tensor, ...]:
        """Our nested state -> torch's: one tensor for each part of the cell's state, layers and directions in front.

        Where a part's width differs by layer, as of cells that remember inputs, each layer's part stays on its own.
        """
        slots = [flatten(s) for layer in state for s in layer]
        if not self._stacks:
            return tuple(part[None] for slot in slots for part in slot)
        parts = [torch.stack(same) for same in zip(*slots, strict=True)]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def _split(self, state: Tensor | tuple[Tensor, ...], batch_size: int) -> tuple:
        """The inverse of `_merge`."""
        parts = (state,) if isinstance(state, Tensor) else state
        like = self.backbone.initial_state(batch_size)
        merged = self._merge(like)
        expected = [tuple(part.shape) for part in ((merged,) if isinstance(merged, Tensor) else merged)]
        if not torch.jit.is_tracing() and [tuple(part.shape) for part in parts] != expected:
            found = ", ".join(str(tuple(part.shape)) for part in parts)
            raise ValueError(f"the state has shapes {found}; it must have {', '.join(map(str, expected))}")
        slots = sum(len(layer) for layer in like)
        if len(parts) == len(flatten(like)):
            return unflatten([part[0] for part in parts], like)
        return unflatten([part[slot] for slot in range(slots) for part in parts], like)


def _as_tensors(state: Any) -> Tensor | tuple[Tensor, ...] | None:
    """Raises ValueError where a state is something else."""
    parts = (state,) if isinstance(state, Tensor) else state
    if parts is None:
        return None
    if isinstance(parts, (tuple, list)) and all(isinstance(part, Tensor) for part in parts):
        for part in parts:
            _check_dense(part, "the state")
        return state if isinstance(state, Tensor) else tuple(parts)
    raise ValueError(f"the state is a {type(state).__name__}: it must be a tensor, or a tuple of tensors")


def _check_dense(tensor: Tensor, name: str) -> None:
    """Raises ValueError for a tensor that is not stored as a whole."""
    if tensor.is_nested:
        raise ValueError(
            f"{name} is a nested tensor: give a padded one, as of torch.nested.to_padded_tensor, and lengths"
        )
    if tensor.layout != torch.strided:
        raise ValueError(f"{name} is a tensor of layout {tensor.layout}: make it dense by .to_dense()")


def _as_lengths(lengths: Any) -> Tensor:
    if isinstance(lengths, Tensor):
        _check_dense(lengths, "lengths")
        return lengths
    try:
        return torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"lengths are {lengths!r:.60}: they must be whole numbers, one a row") from error


def _each(state: Tensor | tuple[Tensor, ...], function: Any) -> Tensor | tuple[Tensor, ...]:
    return function(state) if isinstance(state, Tensor) else tuple(function(part) for part in state)
