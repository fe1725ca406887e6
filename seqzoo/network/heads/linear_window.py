"""A linear model of the last inputs, as an addition to a network's predictions of the next ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LinearWindow(nn.Module):
    """Predicts D numbers from the last W inputs, those before a row being like its first one.

    At first it predicts the last value of the first D inputs (persistence).

    Args:
        input_size: I, at least D.
        output_size: D.
        steps: W.

    Source: Lai, Chang, Yang & Liu, Modeling Long- and Short-Term Temporal Patterns with Deep Neural Networks, 2018 (the
    autoregressive part of LSTNet), https://arxiv.org/abs/1703.07015
    """

    def __init__(self, input_size: int, output_size: int, steps: int):
        super().__init__()
        self.steps = steps
        weight = torch.zeros(output_size, input_size, steps)
        weight[:, :output_size, -1] = torch.eye(output_size)
        self.weight = nn.Parameter(weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """The predictions at each step.

        Args:
            inputs: (B, T, I), finite in the padding, too.

        Returns:
            (B, T, D).
        """
        earlier = inputs[:, :1].expand(-1, self.steps - 1, -1)
        return F.conv1d(torch.cat([earlier, inputs], 1).mT, self.weight.to(inputs.dtype)).mT

    def last_inputs(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """The last W inputs of each row.

        Args:
            inputs: (B, T, I).
            lengths: (B,), at least 1.

        Returns:
            (B, W, I).
        """
        steps = lengths[:, None] + torch.arange(-self.steps, 0, device=lengths.device)
        return inputs.gather(1, steps.clamp(min=0)[..., None].expand(-1, -1, inputs.shape[-1]))
