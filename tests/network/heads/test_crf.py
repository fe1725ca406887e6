"""The forward and Viterbi algorithms of the CRF against enumeration of all tag sequences."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from seqzoo.network.heads.crf import LinearChain, best_tags, log_partition, score

B, T, K = 4, 4, 3
LENGTHS = torch.tensor([4, 1, 3, 2])


def drawn(spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Random scores, with values at padded steps that must not matter, and transitions."""
    generator = torch.Generator().manual_seed(0)
    scores, transitions = torch.randn(B, T, K, generator=generator), torch.randn(K + 1, K + 1, generator=generator)
    return spread * scores.double(), spread * transitions.double()


def ways(scores: Tensor, transitions: Tensor, row: int) -> dict[tuple[int, ...], Tensor]:
    """All tag sequences of a row, with their scores by the definition."""
    found = {}
    for tags in itertools.product(range(K), repeat=int(LENGTHS[row])):
        path = [K, *tags, K]
        own = sum(scores[row, step, tag] for step, tag in enumerate(tags))
        found[tags] = own + sum(transitions[a, b] for a, b in itertools.pairwise(path))
    return found


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_the_partition_function_sums_over_all_paths(spread: float) -> None:
    scores, transitions = drawn(spread)
    expected = [torch.stack([*ways(scores, transitions, row).values()]).logsumexp(0) for row in range(B)]
    torch.testing.assert_close(log_partition(scores, LENGTHS, transitions), torch.stack(expected))
    found = log_partition(scores.float(), LENGTHS, transitions.float())
    torch.testing.assert_close(found, torch.stack(expected).float())


def test_the_score_of_one_path() -> None:
    scores, transitions = drawn()
    for row in range(B):
        for tags, expected in ways(scores, transitions, row).items():
            padded = torch.tensor([*tags, *[-100] * (T - len(tags))])
            found = score(scores[row : row + 1], padded[None], LENGTHS[row : row + 1], transitions)
            torch.testing.assert_close(found[0], expected)


def test_the_best_path() -> None:
    scores, transitions = drawn()
    tags, found = best_tags(scores, LENGTHS, transitions)
    for row, length in enumerate(LENGTHS.tolist()):
        expected = ways(scores, transitions, row)
        best = max(expected, key=lambda way: expected[way])
        assert tuple(tags[row, :length].tolist()) == best
        torch.testing.assert_close(found[row], expected[best])


def test_the_best_allowed_path() -> None:
    scores, transitions = drawn()
    forbidden = torch.zeros(K + 1, K + 1, dtype=torch.bool)
    forbidden[K, 0] = forbidden[0, 1] = forbidden[2, 2] = forbidden[1, K] = True
    transitions = transitions.masked_fill(forbidden, float("-inf"))
    tags, found = best_tags(scores, LENGTHS, transitions)
    for row, length in enumerate(LENGTHS.tolist()):
        expected = ways(scores, transitions, row)
        best = max(expected, key=lambda way: expected[way])
        assert expected[best].isfinite()
        assert tuple(tags[row, :length].tolist()) == best
        torch.testing.assert_close(found[row], expected[best])


def test_an_empty_row_has_one_path() -> None:
    scores, transitions = drawn()
    chain, lengths = LinearChain(K).double(), torch.tensor([0, 3])
    chain.transitions.data.copy_(transitions)
    scores = scores[:2].masked_fill(torch.arange(T)[:, None] >= lengths[:, None, None], float("nan")).requires_grad_()
    found = chain(scores, torch.zeros(2, T, dtype=torch.int64), lengths)
    assert found[0] == 0.0  # the logarithm of 1
    assert found[1] < 0
    assert best_tags(scores, lengths, transitions)[1][0] == 0.0
    found.sum().backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert scores.grad[0].abs().sum() == 0
    assert chain.transitions.grad is not None
    assert chain.transitions.grad.isfinite().all()


def test_probabilities_of_all_paths_sum_to_one() -> None:
    scores, transitions = drawn()
    chain = LinearChain(K).double()
    chain.transitions.data.copy_(transitions)
    total = sum(
        chain(scores[:1], torch.tensor([tags]), LENGTHS[:1]).exp() for tags in itertools.product(range(K), repeat=T)
    )
    torch.testing.assert_close(total, torch.ones(1).double())


def test_without_transitions_tags_are_independent() -> None:
    scores, _ = drawn()
    tags = torch.randint(K, (B, T))
    expected = scores.log_softmax(2).gather(2, tags[:, :, None])[:, :, 0]
    expected = torch.stack([row[:length].sum() for row, length in zip(expected, LENGTHS, strict=True)])
    torch.testing.assert_close(LinearChain(K).double()(scores, tags, LENGTHS), expected)


def test_gradients() -> None:
    scores, transitions = drawn()
    tags = torch.randint(K, (B, T))
    inputs = (scores.requires_grad_(), transitions.requires_grad_())
    assert torch.autograd.gradcheck(lambda s, t: score(s, tags, LENGTHS, t) - log_partition(s, LENGTHS, t), inputs)


def test_the_gradient_of_the_sum_is_the_probability_of_each_tag() -> None:
    scores, transitions = drawn()
    scores.requires_grad_()
    (found,) = torch.autograd.grad(log_partition(scores, LENGTHS, transitions).sum(), scores)
    for row, length in enumerate(LENGTHS.tolist()):
        expected = torch.zeros(T, K).double()
        for tags, value in ways(scores.detach(), transitions, row).items():
            for step, tag in enumerate(tags):
                expected[step, tag] += value.exp()
        torch.testing.assert_close(found[row], expected / expected[0].sum())
        assert found[row, length:].abs().sum() == 0


def test_long_rows_of_large_scores_stay_finite() -> None:
    scores, lengths = 100 * torch.randn(2, 2000, 5), torch.tensor([2000, 1500])
    tags = torch.randint(5, (2, 2000))
    chain = LinearChain(5)
    chain.transitions.data.normal_(std=10)
    loss = -chain(scores.requires_grad_(), tags, lengths).sum()
    loss.backward()
    assert loss.isfinite()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
