"""A cell becomes a network over (B, T, I)."""

from seqzoo.backbones.recurrent import Recurrent

__all__ = ["Recurrent"]
