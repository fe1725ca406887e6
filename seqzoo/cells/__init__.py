"""The catalogue: the equations of one time step, one cell per file."""

from seqzoo.cells.elman import Elman
from seqzoo.cells.gru import GRU
from seqzoo.cells.lstm import LSTM

__all__ = ["GRU", "LSTM", "Elman"]
