"""Kneser-Ney n-grams: counts by hand, probabilities that sum to one, and texts as the network reads them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy
import pytest
import torch

from seqzoo.baselines.fitting import fit_baselines
from seqzoo.baselines.kneser_ney import ClozeNgrams, KneserNey, NgramModel, sequences
from seqzoo.contracts.batch import Batch
from seqzoo.runs.baseline_scores import configured_baselines

SIZE = 5


def test_bigrams_by_hand() -> None:
    """0 1 0 1 0 2: after 0 comes 1 twice and 2 once; each of 0, 1 and 2 has one different token before it."""
    model = NgramModel([numpy.array([0, 1, 0, 1, 0, 2])], 2, 4)
    unigram = 0.5 / 3 + 3 * 0.5 / 3 / 4
    left = 2 * 0.5 / 3
    expected = [left * unigram, 1.5 / 3 + left * unigram, 0.5 / 3 + left * unigram, left * 3 * 0.5 / 3 / 4]
    found = [model.probabilities([numpy.array([0, token])], 2)[0] for token in range(4)]
    assert found == pytest.approx(expected)
    assert sum(expected) == pytest.approx(1)
    # nothing followed 2, so that the unigrams decide
    assert model.probabilities([numpy.array([2, 1])], 2) == pytest.approx([unigram])


@pytest.mark.parametrize("length", [2, 3, 4])
def test_probabilities_sum_to_one(length: int) -> None:
    generator = numpy.random.default_rng(0)
    texts = [generator.choice(SIZE - 1, size=200, p=[0.6, 0.2, 0.15, 0.05]) for _ in range(3)]
    model = NgramModel(texts, 4, SIZE)
    for context in ([0], [0, 1], [3, 3, 3], [2, 0, 1, 0], [4, 4, 0]):
        found = [model.probabilities([numpy.array([*context, token])], length)[-1] for token in range(SIZE)]
        assert sum(found) == pytest.approx(1)
        assert min(found) > 0


def test_discounts_of_modified_kneser_ney() -> None:
    """The three discounts of a bigram are those of Chen & Goodman, from the numbers of n-grams by count."""
    pairs = [(1, 1)] * 1 + [(1, 2)] * 1 + [(1, 3)] * 2 + [(2, 1)] * 3 + [(2, 2)] * 4 + [(2, 3)] * 1
    model = NgramModel([numpy.array(pair) for pair in pairs], 2, 4)
    share = 3 / (3 + 2 * 1)
    one, two, more = 1 - 2 * share * 1 / 3, 2 - 3 * share * 1 / 1, 3 - 4 * share * 1 / 1
    assert two > 0.1
    left = (2 * one + two) / 4
    # 1, 2 and 3 follow two tokens each: six different bigrams, and too few kinds of counts for discounts
    unigram = (2 - 0.5) / 6 + 3 * 0.5 / 6 / 4
    found = model.probabilities([numpy.array([1, 1]), numpy.array([1, 3])], 2)
    assert found == pytest.approx([(1 - one) / 4 + left * unigram, (2 - two) / 4 + left * unigram])
    left = (one + 2 * more) / 8
    assert model.probabilities([numpy.array([2, 2])], 2) == pytest.approx([(4 - more) / 8 + left * unigram])


def test_texts_end_where_rows_do_not_continue() -> None:
    first = Batch(torch.tensor([[1, 2], [5, 6]]), torch.tensor([2, 2]), torch.tensor([[2, 3], [6, 7]]))
    # the second row goes on, a new text begins, and the first row goes on
    second = Batch(
        torch.tensor([[7, 8], [4, 0], [3, 9]]), torch.tensor([2, 1, 2]), torch.tensor([[8, 1], [2, 0], [9, 4]])
    )
    second.continues = torch.tensor([1, -1, 0])
    found = [text.tolist() for text in sequences([first, second])]
    assert found == [[1, 2, 3, 9, 4], [5, 6, 7, 8, 1], [4, 2]]
    assert len(sequences([first, second], stateful=False)) == 5


def test_a_text_is_scored_in_the_unit_of_the_task(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("abracadabra " * 40)
    (tmp_path / "held_out.txt").write_text("abracadabra abracadabra\n")
    paths = [f"data.train={tmp_path}/train.txt", f"data.validation={tmp_path}/held_out.txt"]
    found = configured_baselines("task=language_modeling", "data=text_files", *paths, "data.evaluation_batch_size=2")
    [scores] = fit_baselines(found.data, found.task, [KneserNey])
    values = scores.scores["validation"]
    assert values["perplexity"] == pytest.approx(math.exp(values["loss_nats"]))
    assert values["loss_nats"] < 1, "a text that repeats itself; the line end is unknown"


def test_a_cloze_text_has_a_probability(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("the cat sleeps\nthe dog sleeps\n" * 10)
    splits = ("train", "validation")
    found = configured_baselines("task=cloze", "data=cloze_files", *[f"data.{s}={tmp_path}/train.txt" for s in splits])
    [scores] = fit_baselines(found.data, found.task, [ClozeNgrams])
    assert set(scores.scores["validation"]) == {"perplexity", "loss_nats"}
    # half a bit of three words: cat or dog
    assert scores.scores["validation"]["loss_nats"] < math.log(2)
