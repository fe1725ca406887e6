"""torch's own recurrent kernels (oneDNN, cuDNN, ATen), with lengths and without packing.

Packed sequences are not supported by torch's fastest kernels (on a CPU a packed LSTM runs as a loop of steps instead of
in oneDNN). For a cell with a gate that keeps the state, there is another way: an additional input that is 1 at padded
steps only, with weights so large that this gate is exactly 1, and the gate that writes exactly 0. The state then passes
padded steps unchanged, without gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seqzoo.contracts.transforms import autocast_dtype, transformed

# its sigmoid is exactly 0 or 1 in every precision, and float16 can represent it
SATURATION = 1e4


def usable(x: Tensor) -> bool:
    """Whether torch's kernels support the computation: nothing transforms it or counts its operations, and
    16-bit dtypes only on processors with 16-bit arithmetic; oneDNN fails or aborts on others.
    """
    device = x.device.type
    dtype = autocast_dtype(device) or x.dtype
    if device == "cpu" and dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if device == "cpu" and dtype == torch.float16 and not torch.ops.mkldnn._is_mkldnn_fp16_supported():
        return False
    return not transformed()


def lstm(
    x: Tensor, state: tuple[Tensor, Tensor], weights: Sequence[Tensor], lengths: Tensor | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run torch's LSTM kernel.

    Args:
        x: input, shape (B, T, I).
        state: h and c, both (B, H).
        weights: (4H, I), (4H, H), (4H,), (4H,), gates i f g o.
        lengths: number of real steps of each row, shape (B,); None: all steps are real.

    Returns:
        Outputs (B, T, H), zero at padded steps, and (h, c) after each row's last real step.
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
    """Run torch's GRU kernel. weights: (3H, I), (3H, H), (3H,), (3H,), gates r z n; all else as in `lstm`."""
    return _one_state(torch.gru, x, h, weights, lengths)


def elman(
    x: Tensor, h: Tensor, weights: Sequence[Tensor], lengths: Tensor | None, activation: str
) -> tuple[Tensor, Tensor]:
    """Run torch's Elman kernel. weights: (H, I), (H, H), (H,), (H,); activation: tanh, relu; all else as in `lstm`."""
    return _one_state({"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[activation], x, h, weights, lengths)


def _one_state(
    kernel: Callable, x: Tensor, h: Tensor, weights: Sequence[Tensor], lengths: Tensor | None
) -> tuple[Tensor, Tensor]:
    """For cells whose output is their state, the last state is the last real output, and nothing has to be kept."""
    outputs, last = kernel(x, h[None], _contiguous_chunk(weights), True, 1, 0.0, False, False, True)
    if lengths is None:
        return outputs, last[0]
    return _zero_padding(outputs, lengths), _last_real(outputs, lengths, h)


def _freeze_padding(
    x: Tensor, weights: Sequence[Tensor], lengths: Tensor, saturation: tuple[float, ...]
) -> tuple[Tensor, list[Tensor]]:
    """Add the input that is 1 at padded steps and its column of weights, one constant per gate."""
    input_weight = weights[0]
    padding = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
    gate = input_weight.shape[0] // len(saturation)
    # filled on the device: copying from the host would synchronise a GPU
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
    """The weights in one block of memory, as cuDNN needs them; otherwise it copies them and warns."""
    if not weights[0].is_cuda:
        return list(weights)
    flat = torch.cat([weight.reshape(-1) for weight in weights])
    return [
        piece.view_as(weight) for piece, weight in zip(flat.split([w.numel() for w in weights]), weights, strict=True)
    ]
