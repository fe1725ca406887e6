"""Search over any step function and state: greedy, sampling, beam, forced; of one model or several."""

from seqzoo.decoding.beam import beam_search
from seqzoo.decoding.constraints import UNCONSTRAINED, Constraint, Length, NoRepeat, Places, Together, Unmet
from seqzoo.decoding.ensemble import ensemble, mean_log
from seqzoo.decoding.forced import forced_decoding
from seqzoo.decoding.generate import generate
from seqzoo.decoding.options import Search
from seqzoo.decoding.sampling import sampler
from seqzoo.decoding.search import Hypothesis, Start, Step, check_numbers
from seqzoo.decoding.streaming import Stream, in_pieces
from seqzoo.decoding.template import Template
from seqzoo.decoding.words import Words

__all__ = [
    "UNCONSTRAINED",
    "Constraint",
    "Hypothesis",
    "Length",
    "NoRepeat",
    "Places",
    "Search",
    "Start",
    "Step",
    "Stream",
    "Template",
    "Together",
    "Unmet",
    "Words",
    "beam_search",
    "check_numbers",
    "ensemble",
    "forced_decoding",
    "generate",
    "in_pieces",
    "mean_log",
    "sampler",
]
