"""Text becomes ids and back: tokenizers, vocabularies, codecs, vectors of words."""
