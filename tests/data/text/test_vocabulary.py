from __future__ import annotations

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.text.vocabulary import SOURCE_SPECIALS, TARGET_SPECIALS, Vocabulary

COUNTS = {"b": 2, "a": 2, "c": 5, "d": 1}


def test_frequent_tokens_come_first_and_ties_are_alphabetical() -> None:
    assert Vocabulary.from_counts(COUNTS).tokens == ["<pad>", "<unk>", "c", "a", "b", "d"]


def test_the_places_of_special_tokens() -> None:
    assert SOURCE_SPECIALS == ("<pad>", "<unk>")
    assert TARGET_SPECIALS == ("<pad>", "<unk>", "<bos>", "<eos>")


def test_size_counts_special_tokens_and_rare_tokens_are_left_out() -> None:
    assert Vocabulary.from_counts(COUNTS, max_size=4).tokens == ["<pad>", "<unk>", "c", "a"]
    assert Vocabulary.from_counts(COUNTS, min_frequency=2).tokens == ["<pad>", "<unk>", "c", "a", "b"]


def test_a_special_token_in_the_text_is_counted_once() -> None:
    assert Vocabulary.from_counts({"<unk>": 9, "a": 1}).tokens == ["<pad>", "<unk>", "a"]


def test_unknown_tokens_get_the_unknown_id() -> None:
    vocabulary = Vocabulary.from_counts(COUNTS)
    assert vocabulary.encode(["a", "x", "c"]) == [3, 1, 2]
    assert vocabulary.decode([3, 1, 2]) == ["a", "<unk>", "c"]
    assert len(vocabulary) == 6
    assert "c" in vocabulary
    assert "x" not in vocabulary


def test_mistakes() -> None:
    with pytest.raises(DataError, match="vocabulary_size=2 is too small for 2 special tokens"):
        Vocabulary.from_counts(COUNTS, max_size=2)
    with pytest.raises(DataError, match="twice"):
        Vocabulary(["<unk>", "a", "a"])
    with pytest.raises(DataError, match="lacks the token '<unk>'"):
        Vocabulary(["a"])


def test_the_order_is_torchtexts() -> None:
    from collections import Counter

    torchtext = pytest.importorskip("torchtext.vocab")
    theirs = torchtext.Vocab(Counter(COUNTS), specials=["<pad>", "<unk>"], min_freq=2)
    assert Vocabulary.from_counts(COUNTS, min_frequency=2).tokens == theirs.itos
