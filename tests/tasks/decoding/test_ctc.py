"""Decoding of connectionist temporal classification, against all paths of tiny cases."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seqzoo.tasks.decoding.ctc import Prefix, align, best_path, merged, prefix_beam_search, required_steps

BLANK, V = 0, 4


def some_scores(steps: int, seed: int = 0) -> Tensor:
    return (2 * torch.randn(steps, V, generator=torch.Generator().manual_seed(seed))).log_softmax(-1)


def all_texts(scores: Tensor) -> dict[Prefix, float]:
    """The log-probability of every text, summed over all its paths."""
    texts: dict[Prefix, list[Tensor]] = {}
    for path in itertools.product(range(V), repeat=len(scores)):
        score = sum(scores[step, token] for step, token in enumerate(path))
        texts.setdefault(tuple(merged(path, BLANK)), []).append(score)
    return {text: float(torch.stack(parts).logsumexp(0)) for text, parts in texts.items()}


def test_the_tokens_of_a_path() -> None:
    assert merged([1, 1, 0, 1, 2, 2, 0, 0, 2], BLANK) == [1, 1, 2, 2]
    assert merged([0, 0], BLANK) == []
    assert required_steps([1, 1, 2, 2, 2]) == 8
    assert required_steps([]) == 0


def test_greedy_decoding() -> None:
    scores = F.one_hot(torch.tensor([[1, 1, 0, 1, 3], [2, 2, 0, 0, 0]]), V).float()
    assert best_path(scores, BLANK) == [[1, 1, 3], [2]]


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_all_texts(seed: int) -> None:
    scores = some_scores(5, seed)
    expected = sorted(all_texts(scores).items(), key=lambda item: -item[1])
    found = prefix_beam_search(scores, BLANK, 1_000, n_best=1_000)
    assert len(found) == len(expected)
    for text, (ids, score) in zip(found[:50], expected, strict=False):
        assert text.score == text.rank == pytest.approx(score, abs=1e-4)
        assert tuple(text.ids) == ids


def test_the_best_text_is_not_always_that_of_the_best_path() -> None:
    scores = torch.tensor([[0.4, 0.35, 0.25], [0.4, 0.35, 0.25]]).log()
    assert best_path(scores[None], BLANK) == [[]]  # 0.16, but "1" has 0.35 * 0.35 + 2 * 0.35 * 0.4
    [best] = prefix_beam_search(scores, BLANK, 4)
    assert best.ids == [1]
    assert best.score == pytest.approx(math.log(0.35**2 + 2 * 0.35 * 0.4))


@pytest.mark.parametrize("beam_size", [1, 2, 8])
def test_a_narrow_beam_never_overestimates(beam_size: int) -> None:
    scores = some_scores(6, beam_size)
    texts = all_texts(scores)
    for found in prefix_beam_search(scores, BLANK, beam_size, beam_size):
        assert found.score <= texts[tuple(found.ids)] + 1e-5


def bigrams(prefixes: Sequence[Prefix]) -> Tensor:
    """A language model of the last token; the token 3 is forbidden after 1, and so is an empty text."""
    table = torch.randn(V, V + 1, generator=torch.Generator().manual_seed(9))
    table[1, 3] = float("-inf")
    table[0, -1] = float("-inf")
    return torch.stack([table[prefix[-1] if prefix else 0] for prefix in prefixes])


def test_scores_of_a_language_model_are_added() -> None:
    scores = some_scores(5)
    ranks = {}
    for text, score in all_texts(scores).items():
        extra = [float(bigrams([text[:place]])[0, token]) for place, token in enumerate(text)]
        ranks[text] = score + sum(extra) + float(bigrams([text])[0, -1])
    expected = [item for item in sorted(ranks.items(), key=lambda item: -item[1]) if item[1] > float("-inf")]
    found = prefix_beam_search(scores, BLANK, 1_000, 1_000, bigrams)
    assert len(found) == len(expected)
    for text, (ids, rank) in zip(found[:30], expected, strict=False):
        assert tuple(text.ids) == ids
        assert text.rank == pytest.approx(rank, abs=1e-4)
        assert text.score == pytest.approx(all_texts(scores)[ids], abs=1e-4)


@pytest.mark.parametrize("ids", [[], [1], [1, 2], [1, 1], [3, 1, 2], [2, 2, 1]])
def test_forced_alignment_is_the_best_path_of_a_text(ids: list[int]) -> None:
    scores = some_scores(6)
    paths = [path for path in itertools.product(range(V), repeat=6) if merged(path, BLANK) == ids]
    best = max(paths, key=lambda path: sum(float(scores[step, token]) for step, token in enumerate(path)))
    found = align(scores, ids, BLANK)
    assert [BLANK if place < 0 else ids[place] for place in found] == list(best)
    places = [place for place in found if place >= 0]
    assert places == sorted(places)
    assert sorted(set(places)) == list(range(len(ids)))
