"""Embeddings of tokens."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.parts import Encoder
from seqzoo.contracts.spec import DataSpec, WordVectors
from seqzoo.network.locked_dropout import create_dropout


class TokenEncoder(Encoder):
    """Embeddings: ids (B, T) or (B,) -> (B, T, E) or (B, E).

    Args:
        spec: with pretrained vectors, if the data has some. Words without one are initialised normal with the standard
            deviation of these vectors.
        embedding_size: size of the embeddings.
        initial_std: standard deviation of the initial embeddings; small values suit large vocabularies, in which rare
            words are hardly trained.
        freeze: do not train the embeddings.
        embedding_dropout: share of the vocabulary whose embeddings are zeroed for a whole batch (Gal & Ghahramani 2016,
            https://arxiv.org/abs/1512.05287).
        dropout: element-wise dropout on the embeddings.
        locked: one dropout mask for all steps of a sequence (variational dropout).
    """

    needs: ClassVar[dict[str, str]] = {"freeze": "data.vectors!=null"}

    acts_with: ClassVar[dict[str, str]] = {"locked": "dropout>0"}

    def __init__(
        self,
        input_size: int,
        embedding_size: int = 128,
        dropout: float = 0.0,
        initial_std: float = 0.1,
        freeze: bool = False,
        embedding_dropout: float = 0.0,
        locked: bool = False,
        spec: DataSpec | None = None,
    ):
        super().__init__()
        if embedding_size < 1:
            raise ValueError(f"embedding_size is {embedding_size}: it must be at least 1")
        if not 0 <= initial_std <= 1_000:
            raise ValueError(f"initial_std is {initial_std}: it must be between 0 and 1,000")
        if not 0 <= embedding_dropout < 1:
            raise ValueError(f"embedding_dropout is {embedding_dropout}: it is a probability, 0 <= p < 1")
        self.output_size, self.embedding_dropout = embedding_size, embedding_dropout
        self.embedding = nn.Embedding(input_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=initial_std)
        if spec is not None and spec.vectors is not None:
            self.start_from(spec.vectors)
        self.embedding.weight.requires_grad_(not freeze)
        self.dropout = create_dropout(dropout, locked)

    @torch.no_grad()
    def start_from(self, vectors: WordVectors) -> None:
        """Initialise with pretrained vectors; does nothing in a finished run, whose weights hold them."""
        if vectors.ids is None or vectors.values is None or not len(vectors.ids):
            return
        weight, size = self.embedding.weight, vectors.values.shape[1]
        if size != weight.shape[1]:
            raise ValueError(
                f"embedding_size is {weight.shape[1]}: the vectors of the data are {size} wide; give "
                f"encoder.embedding_size={size}"
            )
        nn.init.normal_(weight, std=float(vectors.values.std()))
        weight[vectors.ids.to(weight.device)] = vectors.values.to(weight)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.dropout(self.look_up(inputs))

    def look_up(self, inputs: Tensor) -> Tensor:
        """The embeddings of ids, with embedding dropout."""
        vectors = self.embedding(inputs)
        if not self.training or not self.embedding_dropout:
            return vectors
        kept = F.dropout(vectors.new_ones(self.embedding.num_embeddings), self.embedding_dropout)
        return vectors * kept[inputs][..., None]
