"""The linear classifier of n-grams."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from seqzoo.contracts.batch import Spelling
from seqzoo.network.heads.hashing import bucket, joined
from seqzoo.network.heads.ngrams import GAIN, NgramScores


def weights_of(text: list[int], scores: NgramScores) -> set[int]:
    """The rows of the weights that a text reads."""
    scores.zero_grad()
    scores(torch.tensor([text]), torch.tensor([len(text)])).sum().backward()
    assert scores.weight.grad is not None
    return set(scores.weight.grad[:, 0].nonzero()[:, 0].tolist())


def test_scores_are_sums_over_the_different_ngrams() -> None:
    scores = NgramScores(2, 3).eval()
    torch.nn.init.normal_(scores.weight)
    text = [5, 6, 5, 6, 7]
    ngrams = {(0,), (5,), (6,), (7,), (0, 5), (5, 6), (6, 5), (6, 7), (7, 0)}
    rows = weights_of(text, scores)
    assert len(rows) == len(ngrams)
    expected = GAIN * scores.weight[sorted(rows)].sum(0) / math.sqrt(len(ngrams))
    torch.testing.assert_close(scores(torch.tensor([text]), torch.tensor([5]))[0], expected)


def test_an_ngram_has_the_same_weight_wherever_it_is() -> None:
    scores = NgramScores(3, 2).eval()
    first, last = weights_of([8, 9, 4], scores), weights_of([4, 8, 9], scores)
    assert len(first & last) == 5  # 8, 9, 4, (8, 9) and the mark
    assert len(weights_of([9, 8, 4], scores) & first) == 5  # 8, 9, 4, the mark and (4, mark)


def test_padding_and_other_rows_have_no_influence() -> None:
    scores = NgramScores(3, 2).eval()
    torch.nn.init.normal_(scores.weight)
    texts = [[5, 6, 7, 8], [5, 6], [9], []]
    padded = torch.full((4, 6), 3)
    for row, text in zip(padded, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    together = scores(padded, torch.tensor([len(text) for text in texts]))
    for row, text in zip(together[:3], texts, strict=False):
        torch.testing.assert_close(row, scores(torch.tensor([text]), torch.tensor([len(text)]))[0])
    torch.testing.assert_close(together[3], scores(torch.zeros(1, 0, dtype=torch.long), torch.tensor([0]))[0])


def test_rare_ngrams_seldom_share_a_weight() -> None:
    scores = NgramScores(2, 2)
    pairs = torch.tensor(list(itertools.product(range(4, 54), repeat=2)))
    indices = scores._distinct(pairs, torch.full((len(pairs),), 2))
    assert indices.max() < len(scores.weight)
    # 2,500 pairs and 50 tokens in 2^18 buckets: about 12 meetings by chance
    assert indices[indices >= 0].unique().numel() > 2_600


@pytest.mark.parametrize(("classes", "buckets"), [(2, 2**18), (4, 2**18), (6, 2**17), (200, 2**12)])
def test_many_classes_have_fewer_buckets(classes: int, buckets: int) -> None:
    assert NgramScores(1, classes).weight.shape == (buckets, classes)


def test_numbers_have_no_ngrams() -> None:
    with pytest.raises(ValueError, match="n-grams are read from text, not from numbers"):
        NgramScores(2, 2)(torch.zeros(1, 3, 4), torch.tensor([3]))
    with pytest.raises(ValueError, match="ngrams is -1: it must be from 1 to 10, or 0 for none"):
        NgramScores(-1, 2)


def test_words_are_scored_by_the_ngrams_of_their_characters() -> None:
    scores = NgramScores(1, 2, spelled=True).eval()
    assert scores.character_weight is not None
    torch.nn.init.normal_(scores.character_weight)
    ab, b = 5, 6
    forms, tokens = torch.tensor([[ab, b], [b, 0]]), torch.tensor([[0, 1, 0], [1, 0, 0]])
    values = scores(torch.full((2, 3), 4), torch.tensor([3, 1]), Spelling(forms, tokens))

    def sum_of(word: list[int]) -> tuple[Tensor, int]:
        marked = [0, *word, 0]
        grams = [marked[i : i + n] for n in range(1, 6) for i in range(len(marked) - n + 1)]
        return sum((_weight_of(gram, scores.character_weight) for gram in grams), torch.zeros(2)), len(grams)

    (long, of_long), (short, of_short) = sum_of([ab, b]), sum_of([b])
    torch.testing.assert_close(values[0], GAIN * (2 * long + short) / math.sqrt(2 * of_long + of_short))
    torch.testing.assert_close(values[1], GAIN * short / math.sqrt(of_short))


def _weight_of(gram: list[int], weight: Tensor) -> Tensor:
    key = torch.tensor(gram[0])
    for character in gram[1:]:
        key = joined(key, torch.tensor(character))
    return weight[bucket(key, len(gram), len(weight))]
