"""The catalogue: the equations of one time step, one cell per file."""

from seqzoo.cells.antisymmetric import Antisymmetric
from seqzoo.cells.clockwork import Clockwork
from seqzoo.cells.co_rnn import CoRNN
from seqzoo.cells.coupled_lstm import CoupledLSTM
from seqzoo.cells.echo_state import EchoState
from seqzoo.cells.elman import Elman
from seqzoo.cells.gru import GRU
from seqzoo.cells.gru_reset_before import GRUResetBefore
from seqzoo.cells.hgrn import HGRN
from seqzoo.cells.ind_rnn import IndRNN
from seqzoo.cells.janet import Janet
from seqzoo.cells.jordan import Jordan
from seqzoo.cells.leaky import Leaky
from seqzoo.cells.lem import LEM
from seqzoo.cells.li_gru import LiGRU
from seqzoo.cells.lru import LRU
from seqzoo.cells.lstm import LSTM
from seqzoo.cells.m_lstm import MLSTM
from seqzoo.cells.mgu import MGU
from seqzoo.cells.min_gru import MinGRU
from seqzoo.cells.min_lstm import MinLSTM
from seqzoo.cells.multiplicative_lstm import MultiplicativeLSTM
from seqzoo.cells.narx import NARX
from seqzoo.cells.peephole_lstm import PeepholeLSTM
from seqzoo.cells.projected_lstm import ProjectedLSTM
from seqzoo.cells.qrnn import QRNN
from seqzoo.cells.recurrent_highway import RecurrentHighway
from seqzoo.cells.s_lstm import SLSTM
from seqzoo.cells.sru import SRU
from seqzoo.cells.tdnn import TDNN
from seqzoo.cells.ugrnn import UGRNN
from seqzoo.cells.unitary import Unitary

__all__ = [
    "GRU",
    "HGRN",
    "LEM",
    "LRU",
    "LSTM",
    "MGU",
    "MLSTM",
    "NARX",
    "QRNN",
    "SLSTM",
    "SRU",
    "TDNN",
    "UGRNN",
    "Antisymmetric",
    "Clockwork",
    "CoRNN",
    "CoupledLSTM",
    "EchoState",
    "Elman",
    "GRUResetBefore",
    "IndRNN",
    "Janet",
    "Jordan",
    "Leaky",
    "LiGRU",
    "MinGRU",
    "MinLSTM",
    "MultiplicativeLSTM",
    "PeepholeLSTM",
    "ProjectedLSTM",
    "RecurrentHighway",
    "Unitary",
]
