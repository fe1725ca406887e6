"""Any cell of the catalogue with the signature and the return values of `nn.LSTM`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seqzoo.backbones import Recurrent
from seqzoo.building import cell_factory
from seqzoo.state import flatten, unflatten


class RNN(nn.Module):
    """A drop-in for `nn.LSTM`, `nn.GRU` and `nn.RNN`, for every cell: `RNN("lstm", 128, 256, num_layers=2)`.

    cell: a name of `conf/cell`; **options: the cell's own, and those of every cell, such as `zoneout=0.1`.
    dropout: on the input of every layer but the first.
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
        self.batch_first = batch_first
        self.backbone = Recurrent(
            cell_factory(cell, **options), input_size, hidden_size, num_layers, bidirectional, dropout
        )
        self.output_size = self.backbone.output_size

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: Tensor | tuple[Tensor, ...] | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor | tuple[Tensor, ...]]:
        """x: (T, B, I), with batch_first (B, T, I), without a batch (T, I), or a PackedSequence, which also comes back.
        lengths: (B,) real steps a row; outputs beyond are zero and the state is that after the last real step.
        state: as returned: (num_layers * directions, B, H), or a tuple of them for cells that keep several.

        -> outputs (T, B, O) or (B, T, O), and the state.
        """
        if isinstance(x, PackedSequence):
            padded, real = pad_packed_sequence(x, batch_first=True)
            outputs, after = self._over_rows(padded, state, real)
            in_order = x.sorted_indices is None
            return pack_padded_sequence(outputs, real, batch_first=True, enforce_sorted=in_order), after
        if x.dim() == 2:
            first = None if state is None else _each(state, lambda tensor: tensor[:, None])
            outputs, after = self._over_rows(x[None], first, lengths)
            return outputs[0], _each(after, lambda tensor: tensor[:, 0])
        if self.batch_first:
            return self._over_rows(x, state, lengths)
        outputs, after = self._over_rows(x.transpose(0, 1), state, lengths)
        return outputs.transpose(0, 1), after

    def _over_rows(
        self, x: Tensor, state: Tensor | tuple[Tensor, ...] | None, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
        """(B, T, I) -> (B, T, O), and states in torch's layout."""
        if lengths is not None:
            lengths = torch.as_tensor(lengths, device=x.device)
        outputs, after = self.backbone(x, lengths, None if state is None else self._split(state, x.shape[0]))
        return outputs, self._merge(after)

    def _merge(self, state: tuple) -> Tensor | tuple[Tensor, ...]:
        """Our nested state -> torch's: one tensor for each part of the cell's state, layers and directions in front.

        Where a part's width differs by layer, as of cells that remember inputs, each layer's part stays on its own.
        """
        slots = [flatten(s) for layer in state for s in layer]
        if any([part.shape for part in slot] != [part.shape for part in slots[0]] for slot in slots):
            return tuple(part[None] for slot in slots for part in slot)
        parts = [torch.stack(same) for same in zip(*slots, strict=True)]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def _split(self, state: Tensor | tuple[Tensor, ...], batch_size: int) -> tuple:
        """The inverse of `_merge`."""
        parts = (state,) if isinstance(state, Tensor) else state
        like = self.backbone.initial_state(batch_size)
        merged = self._merge(like)
        expected = [tuple(part.shape) for part in ((merged,) if isinstance(merged, Tensor) else merged)]
        if [tuple(part.shape) for part in parts] != expected:
            found = ", ".join(str(tuple(part.shape)) for part in parts)
            raise ValueError(f"the state has shapes {found}; it must have {', '.join(map(str, expected))}")
        slots = sum(len(layer) for layer in like)
        if len(parts) == len(flatten(like)):
            return unflatten([part[0] for part in parts], like)
        return unflatten([part[slot] for slot in range(slots) for part in parts], like)


def _each(state: Tensor | tuple[Tensor, ...], function: Any) -> Tensor | tuple[Tensor, ...]:
    return function(state) if isinstance(state, Tensor) else tuple(function(part) for part in state)
