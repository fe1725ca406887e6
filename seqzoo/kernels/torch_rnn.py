"""torch's own recurrent kernels (oneDNN, cuDNN, ATen), with lengths and without packing.

A packed sequence takes torch off its fastest paths (on a CPU a packed LSTM leaves oneDNN for a loop of steps). Where
a cell has a gate that keeps the state, padding can keep it exactly instead: one more input that is 1 at padded steps
alone, and whose weights drive that gate so far into saturation that it is 1, and the gate that writes 0, to the last
bit. The state then passes padded steps unchanged and no gradient arises there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seqzoo.contracts.transforms import autocast_dtype, differentiated

# sigmoid of it is exactly 0 or 1 in every precision, and float16 still holds it
SATURATION = 1e4


def usable(x: Tensor) -> bool:
    """Whether torch's kernels know what is done here: not transformations of `torch.func`, nor, on processors without
    arithmetic of 16 bits, such numbers, where oneDNN fails or ends the process.
    """
    device = x.device.type
    dtype = autocast_dtype(device) or x.dtype
    if device == "cpu" and dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if device == "cpu" and dtype == torch.float16 and not torch.ops.mkldnn._is_mkldnn_fp16_supported():
        return False
    return not differentiated()


def lstm(
    x: Tensor, state: tuple[Tensor, Tensor], weights: Sequence[Tensor], lengths: Tensor | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """x: (B, T, I); state: h and c, (B, H); weights: (4H, I), (4H, H), (4H,), (4H,), gates i f g o.

    -> (B, T, H), (h, c)
    """
    h, c = state
    if lengths is not None:
        # input gate 0, forget gate 1
        x, weights = _freeze_padding(x, weights, lengths, (-SATURATION, SATURATION, 0.0, 0.0))
    outputs, last_h, last_c = torch.lstm(
        x, (h[None], c[None]), _contiguous_chunk(weights), True, 1, 0.0, False, False, True
    )
    if lengths is None:
        return outputs, (last_h[0], last_c[0])
    return _zero_padding(outputs, lengths), (_last_real(outputs, lengths, h), last_c[0])


def gru(x: Tensor, h: Tensor, weights: Sequence[Tensor], lengths: Tensor | None) -> tuple[Tensor, Tensor]:
    """x: (B, T, I); h: (B, H); weights: (3H, I), (3H, H), (3H,), (3H,), gates r z n. -> (B, T, H), (B, H)."""
    return _one_state(torch.gru, x, h, weights, lengths)


def elman(
    x: Tensor, h: Tensor, weights: Sequence[Tensor], lengths: Tensor | None, activation: str
) -> tuple[Tensor, Tensor]:
    """x: (B, T, I); h: (B, H); weights: (H, I), (H, H), (H,), (H,); activation: tanh or relu. -> (B, T, H), (B, H)."""
    return _one_state({"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[activation], x, h, weights, lengths)


def _one_state(
    kernel: Callable, x: Tensor, h: Tensor, weights: Sequence[Tensor], lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """A cell whose output is its state needs no freezing: its last state is its last real output."""
    outputs, last = kernel(x, h[None], _contiguous_chunk(weights), True, 1, 0.0, False, False, True)
    if lengths is None:
        return outputs, last[0]
    return _zero_padding(outputs, lengths), _last_real(outputs, lengths, h)


def _freeze_padding(
    x: Tensor, weights: Sequence[Tensor], lengths: Tensor, saturation: tuple[float, ...]
) -> tuple[Tensor, list[Tensor]]:
    """Add the input that is 1 at padded steps, and its column of weights: one constant a gate."""
    input_weight = weights[0]
    padding = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
    gate = input_weight.shape[0] // len(saturation)
    # filled on the device: numbers from the host would make a GPU wait for them
    column = torch.cat([input_weight.new_full((gate,), value) for value in saturation])
    return (
        torch.cat([x, padding[..., None].to(x.dtype)], dim=-1),
        [torch.cat([input_weight, column[:, None]], dim=1), *weights[1:]],
    )


def _zero_padding(outputs: Tensor, lengths: Tensor) -> Tensor:
    real = torch.arange(outputs.shape[1], device=outputs.device) < lengths[:, None]
    return outputs * real[..., None].to(outputs.dtype)


def _last_real(outputs: Tensor, lengths: Tensor, first: Tensor) -> Tensor:
    index = (lengths - 1).clamp(min=0)[:, None, None].expand(-1, 1, outputs.shape[-1])
    return torch.where((lengths > 0)[:, None], outputs.gather(1, index)[:, 0], first)


def _contiguous_chunk(weights: Sequence[Tensor]) -> list[Tensor]:
    """cuDNN wants its weights in one piece of memory and copies them, with a warning, when they are not."""
    if not weights[0].is_cuda:
        return list(weights)
    flat = torch.cat([weight.reshape(-1) for weight in weights])
    return [
        piece.view_as(weight) for piece, weight in zip(flat.split([w.numel() for w in weights]), weights, strict=True)
    ]
