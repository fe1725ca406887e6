from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seqzoo.contracts.errors import DataError, PartError
from seqzoo.tasks.decoding import (
    Checked,
    Constraint,
    Length,
    NoRepeat,
    Places,
    Start,
    Together,
    forced_decoding,
    generate,
    in_pieces,
    sampler,
)
from tests.tasks.decoding.toy import END, Toy, limits


def test_greedy_takes_the_most_probable_token_until_the_end() -> None:
    toy = Toy(rows=8)
    for row, found in enumerate(generate(toy.start(), toy.step, limits(8, 6), END)):
        hidden, memory = toy.memory[0][row], toy.memory[0][row]
        log_probabilities, ids, score = (hidden @ toy.head).log_softmax(-1), [], 0.0
        while len(ids) < 6:
            token = int(log_probabilities.argmax())
            score += log_probabilities[token].item()
            if token == END:
                break
            ids.append(token)
            hidden = torch.tanh(hidden @ toy.mix + toy.embedding[token] + memory)
            log_probabilities = (hidden @ toy.head).log_softmax(-1)
        assert (found.ids, found.score) == (ids, pytest.approx(score))


def test_each_row_has_its_own_limit_and_without_an_end_all_reach_it() -> None:
    toy = Toy()
    own = torch.tensor([4, 1, 2])
    assert [len(found.ids) for found in generate(toy.start(), toy.step, own)] == [4, 1, 2]
    assert toy.steps == [2, 1, 1]  # nothing is computed for those that have left


def test_forced_decoding_of_what_was_written_is_its_score() -> None:
    toy = Toy()
    found = generate(toy.start(), toy.step, torch.tensor([4, 1, 2]), choose=sampler())
    targets = torch.tensor([hypothesis.ids + [0] * (4 - len(hypothesis.ids)) for hypothesis in found])
    scores = forced_decoding(toy.start(), toy.step, targets, torch.tensor([4, 1, 2]))
    assert (scores[1, 1:] == 0).all()
    assert scores.sum(1).tolist() == pytest.approx([hypothesis.score for hypothesis in found])


def test_the_stream_receives_every_token_of_every_row() -> None:
    toy, seen = Toy(rows=4), [[] for _ in range(4)]

    def stream(rows: list[int], tokens: list[int]) -> None:
        for row, token in zip(rows, tokens, strict=True):
            seen[row].append(token)

    found = generate(toy.start(), toy.step, limits(4, 8), END, stream=stream)
    assert [[token for token in tokens if token != END] for tokens in seen] == [hypothesis.ids for hypothesis in found]


def test_streamed_pieces_add_up_to_the_text() -> None:
    pieces: list[str] = []
    add = in_pieces(lambda ids: "".join("abc."[i] for i in ids), pieces.append, END)
    for tokens in ([0, 1], [2], [END]):
        add([0] * len(tokens), tokens)
    assert pieces == ["ab", "c", ""]


def test_constraints() -> None:
    toy = Toy()
    found = generate(
        toy.start(),
        toy.step,
        limits(steps=9),
        END,
        constraints=Together(
            (
                Places([{0: 2, 1: 2}, {}, {0: 1, 4: 2}], limits(steps=9), "places"),
                Length(limits(steps=4)),
                NoRepeat(3),
            )
        ),
    )
    assert found[0].ids[:2] == [2, 2]
    assert (found[2].ids[0], found[2].ids[4]) == (1, 2)
    for hypothesis in found:
        runs = [tuple(hypothesis.ids[i : i + 3]) for i in range(len(hypothesis.ids) - 2)]
        assert len(hypothesis.ids) >= 4
        assert len(set(runs)) == len(runs)


def test_an_unsatisfiable_constraint_is_named() -> None:
    toy = Toy()
    with pytest.raises(DataError, match=r"Row 1: no text satisfies search.no_repeat=1: loosen it"):
        generate(toy.start(), toy.step, limits(steps=9), constraints=Together((NoRepeat(1),)))


@pytest.mark.parametrize(
    ("tokens", "size", "expected"),
    [([1, 2, 3, 1, 2], 3, [3]), ([1, 2, 1, 3, 1], 2, [2, 3]), ([4, 5], 1, [4, 5]), ([4], 2, []), ([], 1, [])],
)
def test_repeats(tokens: list[int], size: int, expected: list[int]) -> None:
    written = torch.tensor([tokens], dtype=torch.long)
    found = NoRepeat(size)(torch.zeros(1, 6), written, torch.tensor([0]), None)
    assert found[0].isneginf().nonzero()[:, 0].tolist() == expected


PROBABILITIES = torch.tensor([0.05, 0.4, 0.25, 0.3])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.05, 0.4, 0.25, 0.3]),
        ({"temperature": 0.5}, [0.05**2, 0.4**2, 0.25**2, 0.3**2]),
        ({"top_k": 2}, [0, 0.4, 0, 0.3]),
        ({"top_p": 0.6}, [0, 0.4, 0, 0.3]),
        ({"top_p": 0.75}, [0, 0.4, 0.25, 0.3]),
        ({"top_p": 0.1}, [0, 1, 0, 0]),
        ({"top_k": 3, "top_p": 0.7}, [0, 0.4, 0, 0.3]),
        ({"temperature": 0}, [0, 1, 0, 0]),
        ({"temperature": 1e-45}, [0, 1, 0, 0]),
        ({"temperature": 1e-300, "top_p": 0.5}, [0, 1, 0, 0]),
    ],
)
def test_tokens_are_drawn_from_the_distribution(options: dict[str, float], expected: list[float]) -> None:
    count = 40_000
    drawn = sampler(**options)(PROBABILITIES.log().expand(count, -1))
    shares = torch.bincount(drawn, minlength=4) / count
    right = torch.tensor(expected) / sum(expected)
    assert (shares[right == 0] == 0).all()
    # five standard deviations
    assert ((shares - right).abs() <= 5 * (right * (1 - right) / count).sqrt()).all()


def test_scores_of_samples_do_not_depend_on_the_temperature() -> None:
    start = Start(PROBABILITIES.log().expand(1, -1), ())
    found = generate(start, lambda token, state, memory: (start[0], ()), limits(1, 1), choose=sampler(0.2, top_k=1))
    assert found[0] == ([1], pytest.approx(PROBABILITIES[1].log().item()), found[0].score)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1.0: it is 0"),
        ({"temperature": float("nan")}, "temperature is nan: it is 0"),
        ({"top_k": 0}, "top_k is 0: draw from at least one token"),
        ({"top_p": 0.0}, "top_p is 0.0: it is a probability above 0"),
    ],
)
def test_bad_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sampler(**options)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (
            lambda scores: scores * float("nan"),
            r"Returns.__call__ \(test_generate.py, line \d+\) returned NaN: a constraint sets what it forbids to",
        ),
        (lambda scores: None, r"Returns.__call__ .* returned None: it must return log-probabilities, Tensor \(3, 4\)"),
        (
            lambda scores: scores[:, :1],
            r"Returns.__call__ .* returned Tensor \(3, 1\): it must return log-probabilities, Tensor \(3, 4\)",
        ),
    ],
    ids=["nan", "nothing", "another shape"],
)
def test_what_a_user_defined_constraint_returns_is_checked(result: Any, message: str) -> None:
    class Returns(Constraint):
        def __call__(self, log_probabilities: Tensor, written: Tensor, rows: Tensor, end: int | None) -> Tensor:
            return result(log_probabilities)

        def wanted(self, row: int) -> str:
            return "anything"

    toy = Toy()
    with pytest.raises(PartError, match=message):
        generate(toy.start(), toy.step, limits(steps=9), constraints=Together((Checked(Returns()),)))
