"""Search over any step function and state: greedy, sampling, beam, forced."""

from seqzoo.decoding.beam import beam_search
from seqzoo.decoding.constraints import Constraints
from seqzoo.decoding.forced import forced_decoding
from seqzoo.decoding.generate import generate
from seqzoo.decoding.sampling import sampler
from seqzoo.decoding.search import Hypothesis, Start, Step

__all__ = ["Constraints", "Hypothesis", "Start", "Step", "beam_search", "forced_decoding", "generate", "sampler"]
