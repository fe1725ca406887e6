"""Files and generators become batches: vocabularies, tokenizers, bucketing, padding; one file for each kind of data."""

from __future__ import annotations

from seqzoo.data.addition import Addition
from seqzoo.data.classification_files import ClassificationFiles
from seqzoo.data.codec import LabelCodec, TextCodec, codec_from_plain, spec_from_plain, spec_to_plain
from seqzoo.data.copying import Copying
from seqzoo.data.examples import Example, encode_inputs
from seqzoo.data.fetching import fetch
from seqzoo.data.grammar import GrammarSentiment, GrammarTags, GrammarText
from seqzoo.data.parallel_files import ParallelFiles
from seqzoo.data.tagging_files import TaggingFiles
from seqzoo.data.text_files import TextFiles

__all__ = [
    "Addition",
    "ClassificationFiles",
    "Copying",
    "Example",
    "GrammarSentiment",
    "GrammarTags",
    "GrammarText",
    "LabelCodec",
    "ParallelFiles",
    "TaggingFiles",
    "TextCodec",
    "TextFiles",
    "codec_from_plain",
    "encode_inputs",
    "fetch",
    "spec_from_plain",
    "spec_to_plain",
]
