"""Every kind of attention against NumPy, written from its paper's equations, and the properties all of them have."""

from __future__ import annotations

import numpy
import pytest
import torch
from torch import Tensor

from seqzoo.network.heads.attention import Attention, AttentionName, MultiHead, create_attention, unattended

B, U, S, Q, MEMORY, SIZE, HEADS = 3, 4, 6, 5, 5, 8, 2
LENGTHS = torch.tensor([6, 3, 1])
KINDS: list[AttentionName] = ["additive", "dot", "scaled_dot", "general", "multi_head", "location_aware", "coverage"]


@pytest.fixture(params=KINDS)
def attention(request: pytest.FixtureRequest) -> Attention:
    return create_attention(request.param, Q, MEMORY, SIZE, HEADS).double()


def some_values() -> tuple[Tensor, Tensor]:
    return torch.randn(B, U, Q, dtype=torch.float64), torch.randn(B, S, MEMORY, dtype=torch.float64)


def softmax(scores: numpy.ndarray) -> numpy.ndarray:
    weights = numpy.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def linear(layer: torch.nn.Linear, x: numpy.ndarray) -> numpy.ndarray:
    bias = 0.0 if layer.bias is None else layer.bias.detach().numpy()
    return x @ layer.weight.detach().numpy().T + bias


def equation(
    kind: str, attention: Attention, q: numpy.ndarray, h: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """One row without padding: queries (U, Q) and values (S, F) -> contexts (U, F) and weights (U, S)."""
    if kind == "multi_head":
        assert isinstance(attention, MultiHead)
        projected = (linear(layer, x) for layer, x in ((attention.query, q), (attention.key, h), (attention.value, h)))
        heads = zip(*(numpy.split(part, HEADS, axis=-1) for part in projected), strict=True)
        weights, contexts = [], []
        for query, key, value in heads:
            weights.append(softmax(query @ key.T / numpy.sqrt(SIZE / HEADS)))
            contexts.append(weights[-1] @ value)
        return linear(attention.output, numpy.concatenate(contexts, axis=-1)), numpy.mean(weights, axis=0)
    weights = numpy.zeros((len(q), len(h)))
    for u, query in enumerate(q):
        if kind == "dot":
            scores = h @ query
        elif kind == "scaled_dot":
            scores = h @ query / numpy.sqrt(len(query))
        elif kind == "general":
            scores = linear(attention.key, h) @ query
        else:
            hidden = linear(attention.query, query) + linear(attention.key, h)
            if kind == "location_aware":
                hidden = hidden + linear(attention.location, located(attention, weights, u))
            if kind == "coverage":
                hidden = hidden + linear(attention.coverage, weights[:u].sum(0)[:, None])
            scores = linear(attention.energy, numpy.tanh(hidden))[:, 0]
        weights[u] = softmax(scores)
    return weights @ h, weights


def located(attention: Attention, weights: numpy.ndarray, u: int) -> numpy.ndarray:
    """(S, channels): the convolution over the weights before query u and their sum."""
    kernel = attention.convolution.weight.detach().numpy()
    channels, _, width = kernel.shape
    before = numpy.stack([weights[u - 1] if u else numpy.zeros(weights.shape[1]), weights[:u].sum(0)])
    padded = numpy.pad(before, [(0, 0), (width // 2, width // 2)])
    windows = [padded[:, s : s + width] for s in range(weights.shape[1])]
    return numpy.array([[(kernel[c] * window).sum() for c in range(channels)] for window in windows])


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_equations_over_the_real_steps(kind: AttentionName) -> None:
    attention = create_attention(kind, Q, MEMORY, SIZE, HEADS).double()
    queries, values = some_values()
    contexts, weights = attention(queries, attention.remember(values, LENGTHS))
    for row, length in enumerate(LENGTHS.tolist()):
        expected = equation(kind, attention, queries[row].numpy(), values[row, :length].numpy())
        numpy.testing.assert_allclose(contexts[row].detach().numpy(), expected[0], rtol=1e-10, atol=1e-12)
        numpy.testing.assert_allclose(weights[row, :, :length].detach().numpy(), expected[1], rtol=1e-10, atol=1e-12)
        assert (weights[row, :, length:] == 0).all()


def test_single_queries_equal_all_queries_at_once(attention: Attention) -> None:
    queries, values = some_values()
    memory = attention.remember(values, LENGTHS)
    contexts, weights = attention(queries, memory)
    attended = unattended(memory)
    for u in range(U):
        context, attended = attention.step(queries[:, u], memory, attended)
        torch.testing.assert_close(context, contexts[:, u])
        torch.testing.assert_close(attended, torch.stack([weights[:, u], weights[:, : u + 1].sum(1)], 1))


def test_no_lengths_are_full_lengths(attention: Attention) -> None:
    queries, values = some_values()
    found = attention(queries, attention.remember(values, None))
    torch.testing.assert_close(found, attention(queries, attention.remember(values, torch.full((B,), S))))


def test_every_parameter_and_the_memory_learn(attention: Attention) -> None:
    queries, values = some_values()
    values.requires_grad_()
    contexts, _ = attention(queries, attention.remember(values, LENGTHS))
    contexts.pow(2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in attention.parameters())
    assert (values.grad[0] != 0).all()
    assert (values.grad[2, 1:] == 0).all()  # padding


def walk(stops: numpy.ndarray, before: numpy.ndarray) -> numpy.ndarray:
    """Each step is stopped at or skipped, beginning at the previous stop."""
    found = numpy.zeros_like(before)
    for start, probability in enumerate(before):
        for step in range(start, len(stops)):
            found[step] += probability * stops[step]
            probability *= 1 - stops[step]
    return found


def test_monotonic_attention_trains_on_the_expected_position() -> None:
    attention = create_attention("monotonic", Q, MEMORY, SIZE, HEADS).double()
    queries, values = some_values()
    torch.manual_seed(1)
    _, weights = attention(queries, attention.remember(values, LENGTHS))
    torch.manual_seed(1)
    noise = torch.stack([torch.randn(B, S, dtype=torch.float64) for _ in range(U)], 1)
    scores = attention.scores(queries, attention.keys(values)) + attention.offset + noise
    stops = (torch.sigmoid(scores) * (torch.arange(S) < LENGTHS[:, None])[:, None]).detach().numpy()
    for row in range(B):
        before = numpy.eye(S)[0]
        for u in range(U):
            before = walk(stops[row, u], before)
            numpy.testing.assert_allclose(weights[row, u].detach().numpy(), before, atol=1e-8)


def test_monotonic_attention_stops_at_one_step_and_never_goes_back() -> None:
    attention = create_attention("monotonic", Q, MEMORY, SIZE, HEADS).double().eval()
    attention.offset.data.fill_(0.0)
    queries, values = some_values()
    contexts, weights = attention(queries, attention.remember(values, LENGTHS))
    scores = attention.scores(queries, attention.keys(values))
    for row, length in enumerate(LENGTHS.tolist()):
        place = 0
        for u in range(U):
            stop = next((step for step in range(place, length) if scores[row, u, step] > 0), None)
            expected = torch.zeros(S, dtype=torch.float64)
            if stop is not None:
                place, expected[stop] = stop, 1.0
            torch.testing.assert_close(weights[row, u], expected)
            torch.testing.assert_close(contexts[row, u], expected @ values[row])


def test_widths_that_do_not_fit() -> None:
    attention = create_attention("dot", 4, 6, SIZE, HEADS)
    memory = attention.remember(torch.randn(2, 3, 6), None)
    with pytest.raises(ValueError, match="queries of 4 features with a memory of 6: make them equal, or choose"):
        attention(torch.randn(2, 1, 4), memory)
    with pytest.raises(ValueError, match="attention_heads is 3: it must divide attention_size=8"):
        create_attention("multi_head", 4, 6, SIZE, 3)
