"""Notes that are independent of each other given the frames before."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.network.heads.frame_head import FrameHead, bernoulli, with_given


class IndependentNotes(FrameHead):
    """A sigmoid for each note.

    Args:
        feature_size: O, the width of the features.
        notes: K.
    """

    def __init__(self, feature_size: int, notes: int):
        super().__init__()
        self.output = nn.Linear(feature_size, notes)

    def log_probability(self, features: Tensor, frames: Tensor) -> Tensor:
        return log_likelihood(self.output(features), frames)

    def draw(self, features: Tensor, temperature: float = 1.0, given: Tensor | None = None) -> Tensor:
        return with_given(bernoulli(self.output(features), temperature), given)


def log_likelihood(logits: Tensor, frames: Tensor) -> Tensor:
    """The log-probability of frames whose notes have these logits: (..., K) and (..., K) -> (...), in float32."""
    return -F.binary_cross_entropy_with_logits(logits.float(), frames.float(), reduction="none").sum(-1)
