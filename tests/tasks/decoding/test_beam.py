from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from seqzoo.contracts.batch import State
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.state import reorder
from seqzoo.tasks.decoding import (
    Constraint,
    Hypothesis,
    Length,
    NoRepeat,
    Places,
    Start,
    Together,
    Unmet,
    Words,
    beam_search,
    ensemble,
    forced_decoding,
    generate,
    sampler,
)
from tests.tasks.decoding.toy import END, LIMIT, Toy, limits

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


def test_penalties_receive_the_state_of_the_last_token() -> None:
    """The penalty counts steps: two for a text of three tokens."""
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


def test_finished_rows_leave_the_batch_and_rows_are_independent() -> None:
    toy = Toy(rows=8)
    together = beam_search(toy.start(), toy.step, limits(8, 12), END, 2, n_best=2)
    steps = toy.steps
    assert steps == sorted(steps, reverse=True)
    assert steps[0] <= 16
    assert steps[-1] < steps[0]
    memory = toy.memory[0]
    for row, expected in enumerate(together):
        toy.memory = (memory[row : row + 1],)
        assert_equal(beam_search(toy.start(), toy.step, limits(1, 12), END, 2, n_best=2)[0], expected)


def search(toy: Toy, *constraints: Constraint, size: int = SPACE, steps: int = LIMIT, **options: Any) -> list:
    rows = limits(len(toy.memory[0]), steps)
    return beam_search(toy.start(), toy.step, rows, END, size, size, constraints=Together(constraints), **options)


def test_a_constrained_beam_finds_the_best_allowed_texts() -> None:
    toy, places = Toy(), [{0: 0}, {0: 1, 1: 2}, {2: 1}]
    found = search(toy, Places(places, limits(), "places"), Length(limits(steps=2)), NoRepeat(1))
    for row, given in enumerate(places):
        expected = [
            text
            for text in toy.every_text(row)
            if all(text.ids[place : place + 1] == [token] for place, token in given.items())
            and 2 <= len(text.ids) == len(set(text.ids))
        ]
        assert_equal(found[row], expected)


def test_a_length_of_each_row() -> None:
    toy, lengths = Toy(), torch.tensor([2, 1, 0])
    exactly = Length(lengths, lengths)
    greedy = generate(toy.start(), toy.step, limits(), END, constraints=exactly)
    found = search(toy, exactly)
    for row, length in enumerate(lengths.tolist()):
        assert_equal(found[row], [text for text in toy.every_text(row) if len(text.ids) == length])
        assert len(greedy[row].ids) == length


WORDS = [[[1]], [[0, 2], [1]], [[2, 2]]]


# they overlap: only together they fit into three tokens
OVERLAPPING = [[[0, 2], [2, 1]], [[2], [0, 2, 0], [0]], [[1, 1], [1, 1, 0], [1]]]


def has_words(ids: list[int], words: list[list[int]]) -> bool:
    return all(any(ids[i : i + len(word)] == word for i in range(len(ids))) for word in words)


@pytest.mark.parametrize("words", [WORDS, OVERLAPPING])
def test_a_beam_finds_the_best_texts_with_required_words(words: list[list[list[int]]]) -> None:
    toy = Toy()
    for row, found in enumerate(search(toy, Words(words, limits(), "words"))):
        assert_equal(found, [text for text in toy.every_text(row) if has_words(text.ids, words[row])])


def test_required_words_go_with_a_length() -> None:
    toy, words, lengths = Toy(vocabulary=5), [[0, 1], [4]], torch.tensor([3, 4, 3])
    both = Together((Length(lengths, lengths), Words([words] * 3, lengths, "words")))
    found = beam_search(toy.start(), toy.step, lengths + 1, END, 5**4, 5**4, constraints=both)
    for row, length in enumerate(lengths.tolist()):
        texts = [text for text in toy.every_text(row, 5) if len(text.ids) == length]
        assert_equal(found[row], [text for text in texts if has_words(text.ids, words)])


@pytest.mark.parametrize("seed", range(2))
def test_a_beam_keeps_hypotheses_with_each_number_of_required_words(seed: int) -> None:
    """Unlikely required words are placed where they cost least, not all at the end."""
    torch.manual_seed(seed)
    toy = Toy(vocabulary=6)
    words = Words([[[4, 5]]] * 3, limits(steps=4), "words")
    for row, found in enumerate(search(toy, words, size=8, steps=4)):
        assert all("45" in "".join(map(str, text.ids)) for text in found)
        best = next(text for text in toy.every_text(row, 4) if "45" in "".join(map(str, text.ids)))
        assert found[0].score > best.score - 1.5


def test_groups_of_diverse_beam_search_penalise_each_other() -> None:
    """Against a loop over groups and steps, as in the paper."""
    toy = Toy(vocabulary=6)
    for row, found in enumerate(search(toy, size=3, groups=3, diversity=0.9)):
        start = toy.start()
        beams = [([], start.log_probabilities[row], start.state[0][0][row], 0.0) for _ in range(3)]
        ended = []
        for length in range(LIMIT):
            taken: list[int] = []
            for number, beam in enumerate(beams):
                if beam is None:
                    continue
                ids, log_probabilities, hidden, score = beam
                counts = torch.tensor([taken.count(token) for token in range(6)])
                token = int((score + log_probabilities - 0.9 * counts).argmax())
                taken.append(token)
                score += log_probabilities[token].item()
                if token == END or length == LIMIT - 1:
                    ended.append(Hypothesis([*ids, *[token] * (token != END)], score, score))
                    beams[number] = None
                    continue
                hidden = torch.tanh(hidden @ toy.mix + toy.embedding[token] + toy.memory[0][row])
                beams[number] = ([*ids, token], (hidden @ toy.head).log_softmax(-1), hidden, score)
        different = {tuple(one.ids): one for one in ended}
        assert_equal(found, sorted(different.values(), key=lambda one: -one.score))


def test_a_row_stops_when_no_hypothesis_can_rank_higher() -> None:
    """The best text is the same, found in fewer steps."""
    torch.manual_seed(3)
    toy = Toy(rows=8)
    best = [row[0] for row in search(toy, size=40, steps=4)]
    steps, toy.steps = sum(toy.steps), []
    found = beam_search(toy.start(), toy.step, limits(8, 4), END, 40)
    assert_equal([row[0] for row in found], best)
    assert sum(toy.steps) < steps


def test_a_row_continues_while_the_length_penalty_could_still_help() -> None:
    """After one token, the unfinished text has a lower score than the finished one, but ranks higher at its limit of
    nine tokens.
    """

    def step(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        return torch.tensor([[1.0, 0.0]]).log().expand(len(token), -1), ()

    start = Start(torch.tensor([[0.3, 0.7]]).log(), ())
    [[best]] = beam_search(start, step, limits(1, 9), 1, 2, length_penalty=3.0)
    assert best.ids == [0] * 9
    assert best.rank == pytest.approx(math.log(0.3) / (14 / 6) ** 3)
    [[best]] = beam_search(start, step, limits(1, 2), 1, 2, length_penalty=3.0)
    assert best.ids == []  # here the limit excuses too little


def numbers_gone(after: int) -> tuple[Toy, Any]:
    """A decoder whose scores for the last row are NaN from this step on."""
    toy = Toy()

    def step(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        log_probabilities, state = toy.step(token, state, memory)
        return log_probabilities.masked_fill(state[1][:, None] >= after, float("nan")), state

    return toy, step


@pytest.mark.parametrize(
    "constraint", [Together(), Length(limits(steps=9)), Words([[[1, 0]]] * 3, limits(steps=9), "w")]
)
def test_nan_scores_are_an_error(constraint: Constraint) -> None:
    toy, step = numbers_gone(2)
    searches: list[Callable[[], Any]] = [
        lambda: beam_search(toy.start(), step, limits(steps=9), None, 3, constraints=constraint),
        lambda: beam_search(toy.start(), step, limits(steps=9), None, 4, groups=2, constraints=constraint),
        lambda: generate(toy.start(), step, limits(steps=9), None, constraints=constraint),
        lambda: generate(toy.start(), step, limits(steps=9), None, sampler(top_k=2), constraint),
        lambda: forced_decoding(toy.start(), step, torch.zeros(3, 9, dtype=torch.long), limits(steps=9)),
    ]
    for search_once in searches:
        with pytest.raises(DataError, match="scores are not numbers"):
            search_once()


@pytest.mark.parametrize("seed", range(40))
def test_random_constraints_are_satisfied_or_reported(seed: int) -> None:
    """Each answer satisfies the constraints, or an error says that none can."""
    draw = random.Random(seed)
    toy, steps, rows = Toy(rows=2, vocabulary=draw.randint(3, 6)), draw.randint(1, 8), 2
    end = draw.choice([END - 1, None])
    others = [token for token in range(toy.head.shape[1]) if token != end]
    shortest = draw.randint(0, steps) if end is not None else 0
    repeat = draw.choice([0, 0, 1, 2])
    places = [{place: draw.choice(others) for place in range(steps) if draw.random() < 0.2} for _ in range(rows)]
    words = [
        [[draw.choice(others) for _ in range(draw.randint(1, 2))] for _ in range(draw.randint(0, 2))]
        for _ in range(rows)
    ]
    try:
        parts = [Length(limits(rows, shortest)), Places(places, limits(rows, steps), "places")]
        parts += [NoRepeat(repeat)] * bool(repeat) + [Words(words, limits(rows, steps), "words")] * (seed % 2)
        together, size = Together(tuple(parts)), draw.choice([2, 4, 8])
        size = max(size, 2 * (together.amount + 1))
        searches = [
            beam_search(toy.start(), toy.step, limits(rows, steps), end, size, 2, 0.5, constraints=together),
            beam_search(toy.start(), toy.step, limits(rows, steps), end, size, 2, constraints=together, groups=2),
        ]
        if not together.amount:
            drawn = generate(toy.start(), toy.step, limits(rows, steps), end, sampler(), together)
            searches.append([[answer] for answer in drawn])
    except Unmet:
        return
    for answers in searches:
        for row, found in enumerate(answers):
            assert found
            for ids, score, _ in found:
                runs = [tuple(ids[i : i + repeat]) for i in range(len(ids) - repeat + 1)] if repeat else []
                assert shortest <= len(ids) <= steps
                assert all(ids[place : place + 1] == [token] for place, token in places[row].items())
                assert len(set(runs)) == len(runs)
                assert not seed % 2 or has_words(ids, words[row])
                ended = ids if len(ids) == steps or end is None else [*ids, end]
                first, state, memory = toy.start()
                start = Start(first[[row]], reorder(state, torch.tensor([row])), reorder(memory, torch.tensor([row])))
                forced = forced_decoding(start, toy.step, torch.tensor([ended]), torch.tensor([len(ended)]))
                assert score == pytest.approx(forced.sum().item())


@pytest.mark.parametrize("size", [1, 3])
def test_an_ensemble_of_a_model_with_itself_is_the_model(size: int) -> None:
    toy = Toy()
    start, step = ensemble([toy.start()] * 3, [toy.step] * 3)
    both = [beam_search(*one, limits(steps=7), END, size, size) for one in ((start, step), (toy.start(), toy.step))]
    for found, expected in zip(*both, strict=True):
        assert_equal(found, expected)


def test_a_finished_text_does_not_displace_a_likelier_one() -> None:
    """At each step the end is the second most probable token; the best text has three tokens before the end."""

    def step(token: Tensor, state: State, memory: State) -> tuple[Tensor, State]:
        after = torch.where(state[0] < 3, 0, 1)
        return torch.tensor([[0.9, 0.05, 0.0, 0.05], [0.0, 0.05, 0.0, 0.95]]).log()[after], (state[0] + 1,)

    start = Start(torch.tensor([[0.9, 0.05, 0.0, 0.05]]).log(), (torch.zeros(1),))
    [[best]] = beam_search(start, step, limits(1, 9), END, 2)
    assert best.ids == [0, 0, 0, 0]


def test_an_ensemble_averages_probabilities() -> None:
    toys = [Toy(), Toy()]
    start, step = ensemble([toy.start() for toy in toys], [toy.step for toy in toys])
    torch.testing.assert_close(
        start.log_probabilities.exp(), sum(toy.start().log_probabilities.exp() for toy in toys) / 2
    )
    for row, found in enumerate(beam_search(start, step, limits(), END, SPACE, SPACE)):
        assert len({tuple(text.ids) for text in found}) == 1 + 3 + 9 + 27
        targets = torch.tensor([[*text.ids, END, 0, 0, 0][:LIMIT] for text in found])
        lengths = torch.tensor([min(len(text.ids) + 1, LIMIT) for text in found])
        rows = torch.full((len(found),), row)
        both = []
        for toy in toys:
            (first, state, memory) = toy.start()
            every = Start(first[rows], reorder(state, rows), reorder(memory, rows))
            logs, own = [every.log_probabilities], every.state
            for u in range(1, LIMIT):
                after, own = toy.step(targets[:, u - 1], own, every.memory)
                logs.append(after)
            both.append(torch.stack(logs, 1).exp())
        mean = (sum(both) / 2).log().gather(2, targets[..., None])[..., 0]
        expected = mean.masked_fill(torch.arange(LIMIT) >= lengths[:, None], 0.0).sum(1)
        assert [text.score for text in found] == pytest.approx(expected.tolist())


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        # 3 tokens besides the end, none twice, are no 5
        ([Length(limits(steps=5)), NoRepeat(1)],
         "Row 1: no text satisfies search.min_length=5 and search.no_repeat=1: loosen it"),
        ([NoRepeat(1), Places([{}, {0: 1, 1: 1}, {}], limits(), "places")],
         "Row 2: no text satisfies search.no_repeat=1 and places: loosen it"),
        ([NoRepeat(2), Places([{}, {}, {0: 99}], limits(), "places")], "Row 3: no text satisfies places: loosen it"),
    ],
)  # fmt: skip
def test_an_unsatisfiable_constraint_is_named(constraints: list[Constraint], message: str) -> None:
    with pytest.raises(DataError, match=message):
        search(Toy(), *constraints, size=2, steps=9)


def test_more_required_words_than_tokens_are_refused() -> None:
    with pytest.raises(DataError, match="Row 2: words needs 4 tokens, but an answer has at most 3: ask for less"):
        Words([[[1]], [[1, 2], [0, 1], [0, 0]]], limits(2), "words")
    with pytest.raises(DataError, match="Row 1: places needs 8 tokens, but an answer has at most 3"):
        Places([{7: 1}], limits(1), "places")
