"""Word embeddings combined with representations of each word's characters, which unknown words have, too."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seqzoo.contracts.batch import PAD, Spelling
from seqzoo.contracts.parts import BackboneFactory
from seqzoo.contracts.spec import DataSpec
from seqzoo.network.encoders.tokens import TokenEncoder


class WordsAndCharacters(TokenEncoder):
    """Ids (B, T) and their spelling -> (B, T, E + F), the word embedding concatenated with that of its characters.

    Args:
        character_embedding_size: size C of the character embeddings.
    """

    reads_characters = True

    def __init__(self, input_size: int, spec: DataSpec, character_embedding_size: int = 30, **options: Any):
        super().__init__(input_size, spec=spec, **options)
        if not spec.character_size:
            raise ValueError("the data has no characters of words: give data.characters=20, or data.word_places=true")
        if character_embedding_size < 1:
            raise ValueError(f"character_embedding_size is {character_embedding_size}: it must be at least 1")
        self.characters = nn.Embedding(spec.character_size, character_embedding_size, padding_idx=PAD)
        bound = (3 / character_embedding_size) ** 0.5
        nn.init.uniform_(self.characters.weight[1:], -bound, bound)

    @abstractmethod
    def read(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Encode W words: character embeddings (W, L, C), padded with zeros, and lengths (W,) -> (W, F)."""

    def forward(self, inputs: Tensor, spelling: Spelling) -> Tensor:  # type: ignore[override]
        forms = spelling.forms
        of_words = self.read(self.dropout(self.characters(forms)), (forms != PAD).sum(1).clamp(min=1))
        return self.dropout(torch.cat([self.look_up(inputs), of_words[spelling.tokens]], -1))


class ConvolvedCharacters(WordsAndCharacters):
    """A convolution over the characters of each word with max pooling. Words are padded with zeros on both sides, so
    that filters can recognise prefixes and suffixes.

    Ma & Hovy, End-to-end Sequence Labeling via Bi-directional LSTM-CNNs-CRF, 2016, https://aclanthology.org/P16-1101

    Args:
        widths: kernel widths in characters, one or several.
        filters: number of filters per width.
    """

    def __init__(
        self, input_size: int, spec: DataSpec, widths: Sequence[int] = (3,), filters: int = 30, **options: Any
    ):
        super().__init__(input_size, spec, **options)
        size = self.characters.embedding_dim
        if not widths or min(widths) < 1:
            raise ValueError(f"widths is {list(widths)}: name at least one, each 1 or more")
        if filters < 1:
            raise ValueError(f"filters is {filters}: it must be at least 1")
        self.filters = nn.ModuleList(nn.Conv1d(size, filters, width, padding=width - 1) for width in widths)
        self.output_size += filters * len(widths)

    def read(self, characters: Tensor, lengths: Tensor) -> Tensor:
        columns, pooled = characters.transpose(1, 2), []
        for convolve in self.filters:
            responses = convolve(columns)
            valid = lengths + convolve.padding[0]  # type: ignore[index]
            beyond = torch.arange(responses.shape[2], device=responses.device) >= valid[:, None]
            pooled.append(responses.masked_fill(beyond[:, None], float("-inf")).max(2).values)
        return torch.cat(pooled, 1).relu()


class RecurrentCharacters(WordsAndCharacters):
    """A recurrent network over the characters of each word; its last output represents the word.

    Lample et al., Neural Architectures for Named Entity Recognition, 2016, https://aclanthology.org/N16-1030

    Args:
        reader: the backbone over the characters.
    """

    def __init__(self, input_size: int, spec: DataSpec, reader: BackboneFactory, **options: Any):
        super().__init__(input_size, spec, **options)
        self.reader = reader(self.characters.embedding_dim)
        self.output_size += self.reader.output_size

    def read(self, characters: Tensor, lengths: Tensor) -> Tensor:
        outputs, _ = self.reader(characters, lengths)
        return self.reader.last(outputs, self.reader.output_lengths(lengths))
