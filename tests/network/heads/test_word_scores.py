"""The linear classifier of words, affixes and neighbours."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqzoo.contracts.batch import Spelling
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import CharacterCodec
from seqzoo.data.text.vocabulary import Vocabulary
from seqzoo.network.heads.word_scores import GAIN, WordScores, _affixes

LETTERS = CharacterCodec(Vocabulary(["<pad>", "<unk>", *"abABc1-2"]), 20)
SPELLED = DataSpec("tagging", 20, 3, character_size=LETTERS.size, characters=LETTERS)


def rows_of(scores: WordScores, text: list[int], step: int, spelling: Spelling | None = None) -> set[int]:
    """The rows of the weights that the scores of a step read."""
    scores.zero_grad()
    scores(torch.tensor([text]), torch.tensor([len(text)]), spelling)[0, step].sum().backward()
    assert scores.weight.grad is not None
    return set(scores.weight.grad[:, 0].nonzero()[:, 0].tolist())


def test_scores_are_sums_over_a_word_and_its_neighbours() -> None:
    scores = WordScores(2, SPELLED).eval()
    torch.nn.init.normal_(scores.weight)
    text = [5, 6, 7, 8, 9, 10]
    rows = rows_of(scores, text, 2)
    assert len(rows) == 7  # five words and two pairs
    expected = GAIN * scores.weight[sorted(rows)].sum(0) / 7**0.5
    torch.testing.assert_close(scores(torch.tensor([text]), torch.tensor([6]), None)[0, 2], expected)
    assert rows_of(scores, [*text[:5], 11], 2) == rows
    assert len(rows_of(scores, [4, *text[1:]], 2) & rows) == 6


def test_words_beyond_the_ends_are_padding_whatever_its_contents() -> None:
    scores = WordScores(2, SPELLED).eval()
    torch.nn.init.normal_(scores.weight)
    alone = scores(torch.tensor([[5, 6]]), torch.tensor([2]), None)
    padded = scores(torch.tensor([[5, 6, 99, 98]]), torch.tensor([2]), None)
    torch.testing.assert_close(padded[:, :2], alone)


def affixes(*words: list[int]) -> list[Tensor]:
    width = max(map(len, words))
    return _affixes(torch.tensor([word + [0] * (width - len(word)) for word in words]))


def test_affixes_are_equal_where_words_begin_or_end_equally() -> None:
    keys = affixes([5, 6, 7, 8], [5, 6, 9, 8], [4, 9, 8])
    equal = [(bool(key[0] == key[1]), bool(key[1] == key[2])) for key in keys]
    prefixes, suffixes = equal[::2], equal[1::2]
    assert prefixes == [(True, False), (True, False), (False, False), (False, False)]
    assert suffixes == [(True, True), (False, True), (False, False), (False, False)]


def spelled(*words: str) -> Spelling:
    ids = [LETTERS.encode(word) for word in words]
    width = max(map(len, ids))
    forms = torch.tensor([word + [0] * (width - len(word)) for word in ids])
    return Spelling(forms, torch.arange(len(words))[None])


def shared(*texts: str) -> int:
    """The number of features that the second words of two texts have in common; words have the same ids in both."""
    scores = WordScores(1, SPELLED).eval()
    first, second = (rows_of(scores, [4, 5, 6], 1, spelled(*text.split())) for text in texts)
    return len(first & second)


def test_a_word_is_scored_by_its_spelling_and_that_of_the_nearest() -> None:
    # by ids three words and two pairs; eight affixes and the shape; of three words lower case, short shape, two endings
    features = 5 + 8 + 1 + 3 * 4
    assert shared("ab abc1 a-", "ab abc1 a-") == features
    assert shared("ab abc1 a-", "ab Abc1 a-") == features - 2  # the shape, also the short one
    assert shared("ab abc1 a-", "ab abc2 a-") == features - 8  # suffixes, the longest prefix, the lower case, endings
    assert shared("ab abc1 a-", "ab bc1 a-") == features - 7  # prefixes, the longest suffix, the lower case, the shape
    assert shared("ab abc1 a-", "AB abc1 a-") == features - 1
    assert shared("ab abc1 a-", "cab abc1 a-") == features - 2  # the lower case and one ending


def test_numbers_are_no_words() -> None:
    with pytest.raises(ValueError, match="words are read from text, not from numbers"):
        WordScores(1, SPELLED)(torch.zeros(1, 3, 4), torch.tensor([3]), None)
    with pytest.raises(ValueError, match="neighbours is -1: it must be from 1 to 10, or 0 for none"):
        WordScores(-1, SPELLED)
