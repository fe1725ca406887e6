"""Scores of captions against values computed by hand, as the COCO evaluation code defines them."""

from __future__ import annotations

import math

import pytest
import torch

from seqzoo.contracts.batch import Loss
from seqzoo.metrics import create_metric
from seqzoo.metrics.caption_scores import caption_tokens, cider_d, rouge_l

ANSWERS = ["a dog runs on the grass", "two men play football", "a a a a"]
REFERENCES = [
    ["a dog is running on the grass .", "A brown dog runs through grass."],
    ["two men playing football", "football players run"],
    ["a boy jumps into a pool", "a boy jumps", "the boy is wet"],
]


def score(name: str, answers: list[str] = ANSWERS, references: list = REFERENCES) -> float:
    metric = create_metric(name)
    for answer, reference in zip(answers, references, strict=True):
        metric.update(Loss(torch.zeros(()), torch.ones(())), [answer], [reference])
    return metric.compute()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A man's dog , running .", ["a", "man's", "dog", "running"]),
        ("一只狗在T恤上。", ["一", "只", "狗", "在", "t", "恤", "上"]),
        (" ' _ ", []),
    ],
)
def test_tokens_of_captions(text: str, tokens: list[str]) -> None:
    assert caption_tokens(text) == tokens


def test_bleu_by_hand() -> None:
    """14 words, 6 + 3 + 2 of which are in a reference, with clipped counts. The references closest in length have 6, 4
    and 4 words.
    """
    assert score("bleu_1") == pytest.approx(100 * 11 / 14)
    # 11 pairs: "a dog", "dog runs", "on the", "the grass"; "two men"
    assert score("bleu_2") == pytest.approx(100 * math.sqrt(11 / 14 * 5 / 11))
    # 8 triples: "on the grass"; 5 of four words: none
    assert score("bleu_3") == pytest.approx(100 * (11 / 14 * 5 / 11 * 1 / 8) ** (1 / 3))
    assert score("bleu_4") == 0
    assert score("bleu_1", ["a dog"], [["a dog runs away"]]) == pytest.approx(100 * math.exp(1 - 4 / 2))


def test_rouge_by_hand() -> None:
    answer = ["a", "dog", "runs", "on", "the", "grass"]
    assert rouge_l(answer, [["a", "dog", "is", "running", "on", "the", "grass"]]) == pytest.approx(
        2.44 * (5 / 6) * (5 / 7) / (5 / 7 + 1.44 * 5 / 6)
    )
    # the best precision of one reference and the best recall of another
    assert rouge_l(["a", "b"], [["a", "b", "c", "d"], ["a"]]) == pytest.approx(1.0)
    assert rouge_l([], [["a"]]) == rouge_l(["x"], [["a"]]) == 0


def test_cider_by_hand() -> None:
    """The rows share no words, so that every n-gram has the weight log 2."""
    same = cider_d([["a", "b", "c", "d"], ["e"]], [[["a", "b", "c", "d"]], [["e", "f"]]])
    # "e" against "e f": cosine 1/sqrt(2) for n = 1, nothing for others; one pair of words too few
    assert same == pytest.approx([10.0, 10 / 4 / math.sqrt(2) * math.exp(-1 / 72)])
    assert score("cider_d", ["a b c d", "e"], [["a b c d"], ["e f"]]) == pytest.approx(100 * sum(same) / 2)
    # the second "a" counts nothing, and the vector is longer for it
    [repeated, _] = cider_d([["a", "a"], ["e"]], [[["a", "b"]], [["e"]]])
    assert repeated == pytest.approx(10 / 4 / (2 * math.sqrt(2)))
    # what occurs in the references of all rows weighs nothing
    assert cider_d([["the"], ["the"]], [[["the"]], [["the"]]]) == [0, 0]


def test_repeated_words_do_not_raise_scores() -> None:
    once, often = (cider_d([answer, ["z"]], [[["a", "b"]], [["y"]]])[0] for answer in (["a"], ["a"] * 5))
    assert often < once
