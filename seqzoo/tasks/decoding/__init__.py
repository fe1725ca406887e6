"""Decoding with any step function: greedy, sampling, beam search, forced, constraints, ensembles. It knows no task."""

from seqzoo.tasks.decoding.beam import beam_search
from seqzoo.tasks.decoding.constraints import (
    UNCONSTRAINED,
    Checked,
    Constraint,
    Length,
    NoRepeat,
    Places,
    Together,
    Unmet,
)
from seqzoo.tasks.decoding.ensemble import ensemble, mean_log, of_first
from seqzoo.tasks.decoding.forced import forced_decoding
from seqzoo.tasks.decoding.generate import generate
from seqzoo.tasks.decoding.hypothesis import Hypothesis, Penalty, Start, Step, check_numbers
from seqzoo.tasks.decoding.required_words import Words
from seqzoo.tasks.decoding.sampling import sampler
from seqzoo.tasks.decoding.search_options import Search
from seqzoo.tasks.decoding.streaming import Stream, in_pieces
from seqzoo.tasks.decoding.template import Template

__all__ = [
    "UNCONSTRAINED",
    "Checked",
    "Constraint",
    "Hypothesis",
    "Length",
    "NoRepeat",
    "Penalty",
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
    "of_first",
    "sampler",
]
