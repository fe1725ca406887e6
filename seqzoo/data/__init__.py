"""Files and generators become batches: vocabularies, tokenizers, bucketing, padding; one file for each kind of data."""

from __future__ import annotations

from seqzoo.data.adding import Adding
from seqzoo.data.addition import Addition
from seqzoo.data.caption_files import CaptionFiles
from seqzoo.data.classification_files import ClassificationFiles
from seqzoo.data.cloze import ClozeFiles
from seqzoo.data.codec import LabelCodec, TextCodec, codec_from_plain, spec_from_plain, spec_to_plain
from seqzoo.data.copy_memory import CopyMemory
from seqzoo.data.copying import Copying
from seqzoo.data.examples import Example, encode_inputs
from seqzoo.data.fetching import fetch
from seqzoo.data.grammar import GrammarCloze, GrammarSentiment, GrammarTags, GrammarText
from seqzoo.data.huggingface import HuggingFace
from seqzoo.data.idx_images import IdxImages
from seqzoo.data.mackey_glass import MackeyGlass
from seqzoo.data.moving_digits import MovingDigits
from seqzoo.data.narma10 import Narma10
from seqzoo.data.parallel_files import ParallelFiles
from seqzoo.data.parity import Parity
from seqzoo.data.phrase_files import PhraseFiles
from seqzoo.data.poems import GeneratedPoems, PoemFiles
from seqzoo.data.reading_frames import ReadingFrames
from seqzoo.data.recall import Recall
from seqzoo.data.shapes import Shapes
from seqzoo.data.tagging_files import TaggingFiles
from seqzoo.data.text_files import TextFiles
from seqzoo.data.tokenizing import get_tokenizer

__all__ = [
    "Adding",
    "Addition",
    "CaptionFiles",
    "ClassificationFiles",
    "ClozeFiles",
    "CopyMemory",
    "Copying",
    "Example",
    "GeneratedPoems",
    "GrammarCloze",
    "GrammarSentiment",
    "GrammarTags",
    "GrammarText",
    "HuggingFace",
    "IdxImages",
    "LabelCodec",
    "MackeyGlass",
    "MovingDigits",
    "Narma10",
    "ParallelFiles",
    "Parity",
    "PhraseFiles",
    "PoemFiles",
    "ReadingFrames",
    "Recall",
    "Shapes",
    "TaggingFiles",
    "TextCodec",
    "TextFiles",
    "codec_from_plain",
    "encode_inputs",
    "fetch",
    "get_tokenizer",
    "spec_from_plain",
    "spec_to_plain",
]
