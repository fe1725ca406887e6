"""Search over any step function and state: greedy, sampling, beam, forced."""

from seqzoo.decoding.beam import beam_search
from seqzoo.decoding.constraints import Constraint, Constraints
from seqzoo.decoding.forced import forced_decoding
from seqzoo.decoding.generate import generate
from seqzoo.decoding.options import Search
from seqzoo.decoding.sampling import sampler
from seqzoo.decoding.search import Hypothesis, Start, Step
from seqzoo.decoding.template import Template

__all__ = [
    "Constraint",
    "Constraints",
    "Hypothesis",
    "Search",
    "Start",
    "Step",
    "Template",
    "beam_search",
    "forced_decoding",
    "generate",
    "sampler",
]
