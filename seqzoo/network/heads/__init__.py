"""Features become a distribution over the tokens of a vocabulary."""

from seqzoo.network.heads.adaptive import AdaptiveSoftmax
from seqzoo.network.heads.head import Head
from seqzoo.network.heads.mixture import MixtureOfSoftmaxes
from seqzoo.network.heads.softmax import Softmax

__all__ = ["AdaptiveSoftmax", "Head", "MixtureOfSoftmaxes", "Softmax"]
