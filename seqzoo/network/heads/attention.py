"""Attention: a weighted mean of a memory, whose weights say how well each of its steps answers a query.

S steps of the memory, F features of each; U queries of Q features. The memory is projected once, by `remember`; then
all queries are answered at once (`forward`), or one after the other (`step`), with equal results.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from seqzoo.contracts.masking import mask, softmax_over, zero_padding


class Memory(NamedTuple):
    """values: (B, S, F), what is averaged; keys: (B, S, K), what queries are compared with; real: (B, S), True where a
    step is.
    """

    values: Tensor
    keys: Tensor
    real: Tensor


class Attention(nn.Module):
    """A kind of attention writes `scores` and, where it needs any, the projections of the memory."""

    def keys(self, values: Tensor) -> Tensor:
        """(B, S, F) -> (B, S, K)"""
        return values

    @abstractmethod
    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(B, U, Q) and (B, S, K) -> (B, U, S), before the softmax."""

    def remember(self, values: Tensor, lengths: Tensor | None) -> Memory:
        """values: (B, S, F), lengths: (B,) or None where all steps are real -> what queries are put to."""
        steps = values.shape[1]
        if lengths is None:
            real = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        else:
            real, values = mask(lengths, steps), zero_padding(values, lengths)
        return Memory(values, self.keys(values), real)

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """(B, U, Q) -> contexts (B, U, F) and weights (B, U, S), which sum to 1 over the real steps, and are zero
        for a row without any.
        """
        return self.read(self.scores(queries, memory.keys), memory)

    def read(self, scores: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """(B, U, S) -> contexts (B, U, F) and weights (B, U, S)."""
        weights = softmax_over(scores, memory.real[:, None])
        return weights @ memory.values, weights

    def step(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]:
        """One query (B, Q) -> context (B, F) and the next `attended`, which begins as `unattended`.

        attended: (B, 2, S), the weights of the query before, and the sum of the weights so far.
        """
        context, weights = self.answer(query, memory, attended)
        return context, torch.stack([weights, attended[:, 1] + weights], dim=1)

    def answer(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]:
        """One query (B, Q) -> context (B, F) and weights (B, S)."""
        contexts, weights = self(query[:, None], memory)
        return contexts[:, 0], weights[:, 0]


def unattended(memory: Memory) -> Tensor:
    """(B, 2, S), before the first query."""
    return memory.values.new_zeros(memory.real.shape[0], 2, memory.real.shape[1])


class Additive(Attention):
    """v tanh(W_q q + W_k k)

    Bahdanau, Cho & Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, 2015,
    https://arxiv.org/abs/1409.0473
    """

    def __init__(self, query_size: int, memory_size: int, size: int):
        super().__init__()
        self.query = nn.Linear(query_size, size, bias=False)
        self.key = nn.Linear(memory_size, size)
        self.energy = nn.Linear(size, 1, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        return self.key(values)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return self.energy(torch.tanh(self.query(queries)[:, :, None] + keys[:, None]))[..., 0]


class Dot(Attention):
    """q k; with `scaled`, divided by the square root of their width.

    Luong, Pham & Manning, Effective Approaches to Attention-based Neural Machine Translation, 2015,
    https://arxiv.org/abs/1508.04025
    Vaswani et al., Attention Is All You Need, 2017 (scaled), https://arxiv.org/abs/1706.03762
    """

    def __init__(self, scaled: bool):
        super().__init__()
        self.scaled = scaled

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Raises ValueError where queries and keys differ in width."""
        width = queries.shape[-1]
        if width != keys.shape[-1]:
            raise ValueError(
                f"dot attention multiplies queries of {width} features with a memory of {keys.shape[-1]}: "
                "make them equal, or choose attention=general"
            )
        return queries @ keys.transpose(1, 2) / (math.sqrt(width) if self.scaled else 1.0)


class General(Attention):
    """q W k (Luong, Pham & Manning, 2015)"""

    def __init__(self, query_size: int, memory_size: int):
        super().__init__()
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        return self.key(values)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries @ keys.transpose(1, 2)


class MultiHead(Attention):
    """Scaled dot products in `heads` subspaces; contexts are side by side and go through a layer (Vaswani et al.,
    2017). The weights that are reported are their mean over the heads.

    size: of all heads together.
    """

    def __init__(self, query_size: int, memory_size: int, size: int, heads: int):
        super().__init__()
        if heads < 1 or size % heads:
            raise ValueError(f"attention_heads is {heads}: it must divide attention_size={size}")
        self.heads = heads
        self.query = nn.Linear(query_size, size)
        self.key = nn.Linear(memory_size, size, bias=False)  # the softmax would cancel a bias
        self.value = nn.Linear(memory_size, size)
        self.output = nn.Linear(size, memory_size)

    def keys(self, values: Tensor) -> Tensor:
        return torch.cat([self.key(values), self.value(values)], dim=-1)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(B, heads, U, S)"""
        q, k = self._split(self.query(queries)), self._split(keys.chunk(2, dim=-1)[0])
        return q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])

    def read(self, scores: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        weights = softmax_over(scores, memory.real[:, None, None])
        contexts = weights @ self._split(memory.keys.chunk(2, dim=-1)[1])
        return self.output(contexts.transpose(1, 2).flatten(2)), weights.mean(1)

    def _split(self, x: Tensor) -> Tensor:
        """(B, U, heads d) -> (B, heads, U, d)"""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Moving(Additive):
    """Additive attention that knows where it has been, so that queries are answered one after the other."""

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        attended, contexts, weights = unattended(memory), [], []
        for query in queries.unbind(1):
            context, attended = self.step(query, memory, attended)
            contexts.append(context)
            weights.append(attended[:, 0])
        return torch.stack(contexts, dim=1), torch.stack(weights, dim=1)

    @abstractmethod
    def answer(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]: ...


class LocationAware(Moving):
    """v tanh(W_q q + W_k k + W_f f), where f is a convolution over the weights of the query before and their sum so
    far, so that the weights can move along the memory.

    Chorowski, Bahdanau, Serdyuk, Cho & Bengio, Attention-Based Models for Speech Recognition, 2015,
    https://arxiv.org/abs/1506.07503
    Shen et al., Natural TTS Synthesis by Conditioning WaveNet on Mel Spectrogram Predictions, 2018 (the sum),
    https://arxiv.org/abs/1712.05884

    channels, width: of the convolution.
    """

    def __init__(self, query_size: int, memory_size: int, size: int, channels: int = 16, width: int = 15):
        super().__init__(query_size, memory_size, size)
        self.convolution = nn.Conv1d(2, channels, width, padding="same", bias=False)
        self.location = nn.Linear(channels, size, bias=False)

    def answer(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]:
        places = self.location(self.convolution(attended).transpose(1, 2))
        contexts, weights = self.read(self.scores(query[:, None], memory.keys + places), memory)
        return contexts[:, 0], weights[:, 0]


class Coverage(Moving):
    """v tanh(W_q q + W_k k + w c), where c is the sum of the weights so far: how much of a step has been read.

    See, Liu & Manning, Get To The Point: Summarization with Pointer-Generator Networks, 2017,
    https://arxiv.org/abs/1704.04368
    """

    def __init__(self, query_size: int, memory_size: int, size: int):
        super().__init__(query_size, memory_size, size)
        self.coverage = nn.Linear(1, size, bias=False)

    def answer(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]:
        keys = memory.keys + self.coverage(attended[:, 1, :, None])
        contexts, weights = self.read(self.scores(query[:, None], keys), memory)
        return contexts[:, 0], weights[:, 0]


class Monotonic(Moving):
    """From where the query before stopped, each step of the memory is passed by or stopped at. Training has the weights
    that this gives on average; otherwise one step is attended to, or none once all have been passed by.

    Raffel, Luong, Liu, Weiss & Eck, Online and Linear-Time Attention by Enforcing Monotonic Alignments, 2017,
    https://arxiv.org/abs/1704.00784

    start: of the offset of the scores; below 0 more is passed by at first. The noise, of deviation 1, teaches scores to
    be far from 0.
    """

    def __init__(self, query_size: int, memory_size: int, size: int, start: float = -1.0):
        super().__init__(query_size, memory_size, size)
        self.offset = nn.Parameter(torch.tensor(start))

    def answer(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.scores(query[:, None], memory.keys)[:, 0] + self.offset
        if self.training:
            stops = torch.sigmoid(scores + torch.randn_like(scores)) * memory.real
            weights = expected_stops(stops, attended)
        else:
            weights = first_stops((scores > 0) & memory.real, attended)
        return (weights[:, None] @ memory.values)[:, 0], weights


def expected_stops(stops: Tensor, attended: Tensor) -> Tensor:
    """stops: (B, S) probability to stop where one arrives; attended: (B, 2, S) -> (B, S) probability to have stopped
    there: a_j = p_j q_j, where q_j = (1 - p_(j-1)) q_(j-1) + b_j arrive and b is the distribution before.
    """
    first = torch.zeros_like(stops)
    first[:, 0] = 1.0
    begun = (attended[:, 1] > 0).any(1, keepdim=True)
    before = torch.where(begun, attended[:, 0], first)
    passed = (1 - stops).clamp(min=1e-10).log().cumsum(1) - (1 - stops).clamp(min=1e-10).log()
    passed = passed.exp().clamp(min=1e-10)
    return stops * passed * (before / passed).cumsum(1)


def first_stops(stops: Tensor, attended: Tensor) -> Tensor:
    """(B, S) where one stops -> (B, S), 1 at the first one from the step that was attended to last, else 0."""
    later = (attended[:, 1] > 0).flip(1).cumsum(1).flip(1)  # steps from here on that have been attended to
    here = attended[:, 1] > 0
    stops = stops & (later - here.long() == 0)
    return (stops & (stops.cumsum(1) == 1)).to(attended.dtype)


AttentionName = Literal[
    "none", "additive", "dot", "scaled_dot", "general", "multi_head", "location_aware", "coverage", "monotonic"
]


def create_attention(name: AttentionName, query_size: int, memory_size: int, size: int, heads: int) -> Attention | None:
    """None for "none".

    size: of the hidden layer of additive and of those that know where they have been, and of all heads of multi_head
        together.
    heads: of multi_head.
    """
    match name:
        case "none":
            return None
        case "additive":
            return Additive(query_size, memory_size, size)
        case "dot" | "scaled_dot":
            return Dot(scaled=name == "scaled_dot")
        case "general":
            return General(query_size, memory_size)
        case "multi_head":
            return MultiHead(query_size, memory_size, size, heads)
        case "location_aware":
            return LocationAware(query_size, memory_size, size)
        case "coverage":
            return Coverage(query_size, memory_size, size)
        case "monotonic":
            return Monotonic(query_size, memory_size, size)
