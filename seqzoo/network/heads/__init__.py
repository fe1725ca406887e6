"""From features to distributions over tokens, tags or notes: softmaxes, CRF, n-grams, decoder; losses of classes."""

from seqzoo.network.heads.adaptive import AdaptiveSoftmax
from seqzoo.network.heads.head import Head
from seqzoo.network.heads.mixture import MixtureOfSoftmaxes
from seqzoo.network.heads.softmax import Softmax

__all__ = ["AdaptiveSoftmax", "Head", "MixtureOfSoftmaxes", "Softmax"]
