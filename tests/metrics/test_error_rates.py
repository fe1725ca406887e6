"""Word and character error rates, against jiwer."""

from __future__ import annotations

import math
import random

import jiwer
import pytest
import torch

from seqzoo.contracts.batch import Loss
from seqzoo.metrics import create_metric
from seqzoo.metrics.error_rates import edit_distance

LOSS = Loss(torch.zeros(()), torch.ones(()))


@pytest.mark.parametrize(
    ("a", "b", "expected"), [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2)]
)
def test_edit_distance(a: str, b: str, expected: int) -> None:
    assert edit_distance(a, b) == edit_distance(b, a) == expected


@pytest.mark.parametrize(("name", "oracle"), [("wer", jiwer.wer), ("cer", jiwer.cer)])
def test_rates_are_those_of_jiwer(name: str, oracle: object) -> None:
    generator = random.Random(0)
    words = ["one", "two", "three", "four", "five"]
    rows = [[" ".join(generator.choices(words, k=generator.randint(1, 6))) for _ in range(2)] for _ in range(40)]
    answers, references = [row[0] for row in rows], [row[1] for row in rows]
    metric = create_metric(name)
    assert math.isnan(metric.compute())
    metric.update(LOSS, answers[:7], references[:7])
    metric.update(LOSS, answers[7:], [[reference] for reference in references[7:]])
    assert metric.compute() == pytest.approx(oracle(references, answers))
    assert not metric.higher_is_better


def test_of_several_references_the_nearest_counts() -> None:
    metric = create_metric("cer")
    metric.update(LOSS, ["abcd"], [["xyz", "abce"]])
    assert metric.compute() == 0.25
    metric.update(LOSS, ["a"], [""])  # an insertion into an empty text
    assert metric.compute() == 0.5
