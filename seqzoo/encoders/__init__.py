"""What is not a vector yet becomes features."""

from seqzoo.encoders.characters import ConvolvedCharacters, RecurrentCharacters
from seqzoo.encoders.features import FeatureEncoder
from seqzoo.encoders.images import ImageCNN, ImageNetFeatures, PictureEncoder
from seqzoo.encoders.tokens import TokenEncoder
from seqzoo.encoders.torchvision_features import TorchvisionFeatures

__all__ = [
    "ConvolvedCharacters",
    "FeatureEncoder",
    "ImageCNN",
    "ImageNetFeatures",
    "PictureEncoder",
    "RecurrentCharacters",
    "TokenEncoder",
    "TorchvisionFeatures",
]
