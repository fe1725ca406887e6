"""The catalogue: the equations of one time step, one cell per file."""

from seqzoo.cells.antisymmetric import Antisymmetric
from seqzoo.cells.co_rnn import CoRNN
from seqzoo.cells.coupled_lstm import CoupledLSTM
from seqzoo.cells.elman import Elman
from seqzoo.cells.gru import GRU
from seqzoo.cells.gru_reset_before import GRUResetBefore
from seqzoo.cells.ind_rnn import IndRNN
from seqzoo.cells.janet import Janet
from seqzoo.cells.jordan import Jordan
from seqzoo.cells.lem import LEM
from seqzoo.cells.li_gru import LiGRU
from seqzoo.cells.lstm import LSTM
from seqzoo.cells.m_lstm import MLSTM
from seqzoo.cells.mgu import MGU
from seqzoo.cells.multiplicative_lstm import MultiplicativeLSTM
from seqzoo.cells.peephole_lstm import PeepholeLSTM
from seqzoo.cells.projected_lstm import ProjectedLSTM
from seqzoo.cells.s_lstm import SLSTM
from seqzoo.cells.ugrnn import UGRNN
from seqzoo.cells.unitary import Unitary

__all__ = [
    "GRU",
    "LEM",
    "LSTM",
    "MGU",
    "MLSTM",
    "SLSTM",
    "UGRNN",
    "Antisymmetric",
    "CoRNN",
    "CoupledLSTM",
    "Elman",
    "GRUResetBefore",
    "IndRNN",
    "Janet",
    "Jordan",
    "LiGRU",
    "MultiplicativeLSTM",
    "PeepholeLSTM",
    "ProjectedLSTM",
    "Unitary",
]
