"""Token ids become vectors."""

from __future__ import annotations

from torch import Tensor, nn


class TokenEncoder(nn.Module):
    """(B, T) or (B,) ids -> (B, T, E) or (B, E).

    embedding_size: width of a token's vector.
    dropout: on the vectors, 0 to 1.
    initial_std: spread of the vectors at the start; small ones suit large vocabularies, whose rare words hardly move.
    """

    def __init__(self, input_size: int, embedding_size: int = 128, dropout: float = 0.0, initial_std: float = 0.1):
        super().__init__()
        if embedding_size < 1:
            raise ValueError(f"embedding_size is {embedding_size}: a vector has at least one number")
        self.output_size = embedding_size
        self.embedding = nn.Embedding(input_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=initial_std)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.dropout(self.embedding(inputs))
