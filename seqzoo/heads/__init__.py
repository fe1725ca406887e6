"""Features become a distribution over the tokens of a vocabulary."""

from seqzoo.heads.adaptive import AdaptiveSoftmax
from seqzoo.heads.head import Head
from seqzoo.heads.mixture import MixtureOfSoftmaxes
from seqzoo.heads.softmax import Softmax

__all__ = ["AdaptiveSoftmax", "Head", "MixtureOfSoftmaxes", "Softmax"]
