from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqzoo.contracts import State
from seqzoo.decoding import Constraints, Hypothesis, beam_search, forced_decoding, generate
from seqzoo.errors import DataError
from tests.decoding.toy import END, LIMIT, Toy, limits

SPACE = 100  # more hypotheses than there are texts


def assert_equal(found: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [hypothesis.ids for hypothesis in found] == [hypothesis.ids for hypothesis in expected]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([hypothesis.score for hypothesis in expected])
    assert [hypothesis.rank for hypothesis in found] == pytest.approx([hypothesis.rank for hypothesis in expected])


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_is_greedy(seed: int) -> None:
    torch.manual_seed(seed)
    toy = Toy(rows=8)
    found = beam_search(toy.start(), toy.step, limits(8, 6), END, 1)
    assert_equal([row[0] for row in found], generate(toy.start(), toy.step, limits(8, 6), END))


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_as_wide_as_the_space_finds_every_text_in_order(seed: int) -> None:
    torch.manual_seed(seed)
    toy = Toy()
    for row, found in enumerate(beam_search(toy.start(), toy.step, limits(), END, SPACE, n_best=SPACE)):
        assert_equal(found, toy.every_text(row))


def test_the_length_penalty_ranks_by_score_over_length() -> None:
    toy = Toy()
    for row, found in enumerate(beam_search(toy.start(), toy.step, limits(), END, SPACE, SPACE, length_penalty=0.7)):
        expected = []
        for ids, score, _ in toy.every_text(row):
            length = min(len(ids) + 1, LIMIT)  # without an end at the limit
            expected.append(Hypothesis(ids, score, score / ((5 + length) / 6) ** 0.7))
        assert_equal(found, sorted(expected, key=lambda hypothesis: -hypothesis.rank))


def test_a_penalty_reads_the_state_that_chose_the_last_token() -> None:
    """Here it counts the steps: two for a text that three tokens were written of."""
    toy = Toy()

    def penalty(state: State, memory: State) -> Tensor:
        return -10.0 * state[1]

    for row, found in enumerate(beam_search(toy.start(), toy.step, limits(), END, SPACE, SPACE, penalty=penalty)):
        expected = [
            Hypothesis(ids, score, score - 10 * min(len(ids), LIMIT - 1)) for ids, score, _ in toy.every_text(row)
        ]
        assert_equal(found, sorted(expected, key=lambda hypothesis: -hypothesis.rank))


def test_scores_are_those_of_forced_decoding() -> None:
    toy = Toy()
    best = [row[0] for row in beam_search(toy.start(), toy.step, limits(steps=7), END, 2)]
    texts = [[*hypothesis.ids, END][:7] for hypothesis in best]
    lengths = torch.tensor([len(text) for text in texts])
    targets = torch.tensor([text + [0] * (7 - len(text)) for text in texts])
    forced = forced_decoding(toy.start(), toy.step, targets, lengths).sum(1)
    assert [hypothesis.score for hypothesis in best] == pytest.approx(forced.tolist())


def test_rows_are_searched_as_if_alone_and_leave_when_they_have_ended() -> None:
    toy = Toy(rows=8)
    together = beam_search(toy.start(), toy.step, limits(8, 12), END, 2, n_best=2)
    steps = toy.steps
    assert steps == sorted(steps, reverse=True)
    assert steps[0] == 16
    assert steps[-1] < 16
    memory = toy.memory[0]
    for row, expected in enumerate(together):
        toy.memory = (memory[row : row + 1],)
        assert_equal(beam_search(toy.start(), toy.step, limits(1, 12), END, 2, n_best=2)[0], expected)


def test_constraints_leave_the_best_texts_that_keep_to_them() -> None:
    toy = Toy()
    constraints = Constraints(prefixes=[[0], [1, 2], []], min_length=2, no_repeat=1)
    for row, found in enumerate(
        beam_search(toy.start(), toy.step, limits(), END, SPACE, SPACE, constraints=constraints)
    ):
        prefix = constraints.prefixes[row]
        expected = [
            text
            for text in toy.every_text(row)
            if text.ids[: len(prefix)] == prefix and len(text.ids) >= 2 and len(set(text.ids)) == len(text.ids)
        ]
        assert_equal(found, expected)


def test_a_length_of_each_row() -> None:
    toy, lengths = Toy(), [2, 1, 0]
    constraints = Constraints(lengths=lengths)
    greedy = generate(toy.start(), toy.step, limits(), END, constraints=constraints)
    found = beam_search(toy.start(), toy.step, limits(), END, SPACE, SPACE, constraints=constraints)
    for row, length in enumerate(lengths):
        expected = [text for text in toy.every_text(row) if len(text.ids) == length]
        assert_equal(found[row], expected)
        assert len(greedy[row].ids) == length
    with pytest.raises(DataError, match="Row 3: no text keeps to a length of 1 and its required beginning: loosen it"):
        beam_search(
            toy.start(), toy.step, limits(), END, 2, constraints=Constraints([[], [0], [0, 1]], lengths=[1, 1, 1])
        )


def test_a_constraint_that_cannot_be_met_is_told() -> None:
    toy = Toy()
    constraints = Constraints(min_length=5, no_repeat=1)
    with pytest.raises(DataError, match="Row 1: no text keeps to min_length=5 and no_repeat=1: loosen it"):
        beam_search(toy.start(), toy.step, limits(steps=9), END, 2, constraints=constraints)
