"""Text to ids and back: tokenizers, vocabularies, codecs, pretrained word vectors. Files are read in `sources`."""
