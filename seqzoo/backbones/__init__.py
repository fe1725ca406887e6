"""A cell becomes a network over (B, T, I)."""

from seqzoo.backbones.dense import Dense
from seqzoo.backbones.dilated import Dilated
from seqzoo.backbones.highway import Highway
from seqzoo.backbones.mixed import Mixed
from seqzoo.backbones.pointwise import Pointwise
from seqzoo.backbones.pyramidal import Pyramidal
from seqzoo.backbones.recurrent import Recurrent
from seqzoo.backbones.renet import ReNet

__all__ = ["Dense", "Dilated", "Highway", "Mixed", "Pointwise", "Pyramidal", "ReNet", "Recurrent"]
