"""The base of heads for frames of notes, of which any number sound at once."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class FrameHead(nn.Module):
    """A distribution over frames of K notes, 2^K in all, for each feature vector: `FrameHead(feature_size, notes)`.

    Attributes:
        exact: False: `log_probability` is a lower bound.
    """

    exact: ClassVar[bool] = True

    def loss(self, features: Tensor, frames: Tensor) -> Tensor:
        """What training minimises, per frame: by default the negative log-likelihood.

        Args:
            features: (..., O).
            frames: (..., K), 1 where a note sounds, else 0.

        Returns:
            Losses, (...), in float32.
        """
        return -self.log_probability(features, frames)

    @abstractmethod
    def log_probability(self, features: Tensor, frames: Tensor) -> Tensor:
        """The log-probability of each frame, in nats: (..., O) and (..., K) -> (...), in float32."""

    @abstractmethod
    def draw(self, features: Tensor, temperature: float = 1.0, given: Tensor | None = None) -> Tensor:
        """Draw a frame for each feature vector.

        Args:
            features: (..., O).
            temperature: divides the logits of the notes; 0: the likelier of both values of each note in turn.
            given: (..., K), notes that are known to sound (1) or not to (0), and -1 where a note is to be drawn; None:
                all are to be drawn.

        Returns:
            Frames, (..., K).
        """


def bernoulli(logits: Tensor, temperature: float) -> Tensor:
    """Draw ones with the probability of these logits at a temperature, or where it is above a half at temperature 0."""
    logits = logits.float()
    return (logits > 0).float() if temperature == 0 else (logits / temperature).sigmoid().bernoulli()


def with_given(drawn: Tensor, given: Tensor | None) -> Tensor:
    """The drawn notes, but those that are known."""
    return drawn if given is None else given.to(drawn.dtype).where(given >= 0, drawn)
