"""Attention: a weighted mean of the steps of a memory, with weights that depend on a query.

Letters: S steps of the memory, F features of each, K features of a key; U queries of Q features. `remember` projects
the memory once. `forward` then attends with all queries at once and `step` with one query; the results are equal.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from seqzoo.contracts.masking import mask, softmax_over, zero_padding


class Memory(NamedTuple):
    """What queries attend to.

    Attributes:
        values: (B, S, F), averaged by the weights.
        keys: (B, S, K), compared with the queries.
        real: (B, S), False at padded steps.
    """

    values: Tensor
    keys: Tensor
    real: Tensor


class Attention(nn.Module):
    """The base of all kinds of attention. A subclass defines `scores` and, where it projects the memory, `keys`."""

    def keys(self, values: Tensor) -> Tensor:
        """The keys of the memory: (B, S, F) -> (B, S, K)."""
        return values

    @abstractmethod
    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The scores before the softmax: queries (B, U, Q) and keys (B, S, K) -> (B, U, S)."""

    def remember(self, values: Tensor, lengths: Tensor | None) -> Memory:
        """Project the memory.

        Args:
            values: (B, S, F).
            lengths: (B,); None where no step is padded.
        """
        steps = values.shape[1]
        if lengths is None:
            real = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        else:
            real, values = mask(lengths, steps), zero_padding(values, lengths)
        return Memory(values, self.keys(values), real)

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attend with all queries at once.

        Args:
            queries: (B, U, Q).
            memory: from `remember`.

        Returns:
            Contexts (B, U, F) and weights (B, U, S). The weights of a query sum to 1 over the real steps; they are all
            zero in a row without real steps.
        """
        return self.read(self.scores(queries, memory.keys), memory)

    def read(self, scores: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Contexts (B, U, F) and weights (B, U, S) from scores (B, U, S)."""
        weights = softmax_over(scores, memory.real[:, None])
        return weights @ memory.values, weights

    def step(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]:
        """Attend with one query.

        Args:
            query: (B, Q).
            memory: from `remember`.
            attended: (B, 2, S), the weights of the previous query and the sum of all weights so far; `unattended`
                before the first query.

        Returns:
            The context (B, F) and the next `attended`.
        """
        context, weights = self.answer(query, memory, attended)
        return context, torch.stack([weights, attended[:, 1] + weights], dim=1)

    def answer(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]:
        """The context (B, F) and the weights (B, S) of one query (B, Q); arguments as of `step`."""
        contexts, weights = self(query[:, None], memory)
        return contexts[:, 0], weights[:, 0]


def unattended(memory: Memory) -> Tensor:
    """The `attended` of `Attention.step` before the first query: zeros (B, 2, S)."""
    return memory.values.new_zeros(memory.real.shape[0], 2, memory.real.shape[1])


class Additive(Attention):
    """Additive attention with scores v tanh(W_q q + W_k k).

    Source: Bahdanau, Cho & Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, 2015,
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
    """Dot-product attention with scores q k.

    Args:
        scaled: divide the scores by the square root of the width of the queries.

    Source: Luong, Pham & Manning, Effective Approaches to Attention-based Neural Machine Translation, 2015,
    https://arxiv.org/abs/1508.04025
    Vaswani et al., Attention Is All You Need, 2017 (scaled), https://arxiv.org/abs/1706.03762
    """

    def __init__(self, scaled: bool):
        super().__init__()
        self.scaled = scaled

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """As of `Attention`.

        Raises:
            ValueError: queries and keys differ in width.
        """
        width = queries.shape[-1]
        if width != keys.shape[-1]:
            raise ValueError(
                f"dot attention multiplies queries of {width} features with a memory of {keys.shape[-1]}: "
                "make them equal, or choose attention=general"
            )
        return queries @ keys.transpose(1, 2) / (math.sqrt(width) if self.scaled else 1.0)


class General(Attention):
    """Bilinear attention with scores q W k (general attention of Luong, Pham & Manning, 2015)."""

    def __init__(self, query_size: int, memory_size: int):
        super().__init__()
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        return self.key(values)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries @ keys.transpose(1, 2)


class MultiHead(Attention):
    """Multi-head attention (Vaswani et al., 2017). The reported weights are the mean over the heads.

    Args:
        query_size: Q.
        memory_size: F.
        size: width of all heads together.
        heads: number of heads, which divides `size`.
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


class HistoryAttention(Additive):
    """The base of additive attention whose scores depend on earlier attention weights. Queries are handled in turn."""

    def forward(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        attended, contexts, weights = unattended(memory), [], []
        for query in queries.unbind(1):
            context, attended = self.step(query, memory, attended)
            contexts.append(context)
            weights.append(attended[:, 0])
        return torch.stack(contexts, dim=1), torch.stack(weights, dim=1)

    @abstractmethod
    def answer(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]: ...


class LocationAware(HistoryAttention):
    """Location-aware attention with scores v tanh(W_q q + W_k k + W_f f).

    f is a convolution over the weights of the previous query and the sum of all weights so far.

    Args:
        query_size: Q.
        memory_size: F.
        size: width of the hidden layer.
        channels: number of filters of the convolution.
        width: width of its filters, in steps of the memory.

    Source: Chorowski, Bahdanau, Serdyuk, Cho & Bengio, Attention-Based Models for Speech Recognition, 2015,
    https://arxiv.org/abs/1506.07503
    Shen et al., Natural TTS Synthesis by Conditioning WaveNet on Mel Spectrogram Predictions, 2018 (the sum),
    https://arxiv.org/abs/1712.05884
    """

    def __init__(self, query_size: int, memory_size: int, size: int, channels: int = 16, width: int = 15):
        super().__init__(query_size, memory_size, size)
        self.convolution = nn.Conv1d(2, channels, width, padding="same", bias=False)
        self.location = nn.Linear(channels, size, bias=False)

    def answer(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]:
        locations = self.location(self.convolution(attended).transpose(1, 2))
        contexts, weights = self.read(self.scores(query[:, None], memory.keys + locations), memory)
        return contexts[:, 0], weights[:, 0]


class Coverage(HistoryAttention):
    """Additive attention with coverage: scores v tanh(W_q q + W_k k + w c), where c is the sum of the weights so far.

    Source: See, Liu & Manning, Get To The Point: Summarization with Pointer-Generator Networks, 2017,
    https://arxiv.org/abs/1704.04368
    """

    def __init__(self, query_size: int, memory_size: int, size: int):
        super().__init__(query_size, memory_size, size)
        self.coverage = nn.Linear(1, size, bias=False)

    def answer(self, query: Tensor, memory: Memory, attended: Tensor) -> tuple[Tensor, Tensor]:
        keys = memory.keys + self.coverage(attended[:, 1, :, None])
        contexts, weights = self.read(self.scores(query[:, None], keys), memory)
        return contexts[:, 0], weights[:, 0]


class Monotonic(HistoryAttention):
    """Hard monotonic attention: from the last attended step on, the steps are scanned until one is selected.

    In training the weights are the expectation over the selections, and Gaussian noise of standard deviation 1 is added
    to the scores so that they become nearly binary. In evaluation one step has all the weight, or none where the scan
    reached the end.

    Args:
        query_size: Q.
        memory_size: F.
        size: width of the hidden layer.
        start: initial offset of the scores; below 0, fewer steps are selected at first.

    Source: Raffel, Luong, Liu, Weiss & Eck, Online and Linear-Time Attention by Enforcing Monotonic Alignments, 2017,
    https://arxiv.org/abs/1704.00784
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
    """The expected weights of monotonic attention:

        a_j = p_j q_j,    q_j = (1 - p_(j-1)) q_(j-1) + b_j

    where b are the weights of the previous query and q_j is the probability that the scan reaches step j.

    Args:
        stops: p, (B, S), the probability that a step is selected once the scan reaches it.
        attended: (B, 2, S), as of `Attention.step`.

    Returns:
        a, (B, S).
    """
    first = torch.zeros_like(stops)
    first[:, 0] = 1.0
    started = (attended[:, 1] > 0).any(1, keepdim=True)
    previous = torch.where(started, attended[:, 0], first)
    passed = (1 - stops).clamp(min=1e-10).log().cumsum(1) - (1 - stops).clamp(min=1e-10).log()
    passed = passed.exp().clamp(min=1e-10)
    return stops * passed * (previous / passed).cumsum(1)


def first_stops(stops: Tensor, attended: Tensor) -> Tensor:
    """The weights of hard monotonic attention, (B, S): 1 at the first selected step from the last attended step on."""
    visited = attended[:, 1] > 0
    visited_from_here = visited.flip(1).cumsum(1).flip(1)
    stops = stops & (visited_from_here - visited.long() == 0)
    return (stops & (stops.cumsum(1) == 1)).to(attended.dtype)


AttentionName = Literal[
    "none", "additive", "dot", "scaled_dot", "general", "multi_head", "location_aware", "coverage", "monotonic"
]


def create_attention(name: AttentionName, query_size: int, memory_size: int, size: int, heads: int) -> Attention | None:
    """Create an attention by its name.

    Args:
        name: a kind of attention, or "none".
        query_size: Q.
        memory_size: F.
        size: width of the hidden layer of additive, location_aware, coverage and monotonic; width of all heads of
            multi_head together.
        heads: number of heads of multi_head.

    Returns:
        The attention; None for "none".
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
