from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqzoo.contracts.errors import DataError
from seqzoo.tasks.decoding import Template, beam_search, generate, sampler
from tests.tasks.decoding.toy import Toy

TOKENS = 4


@st.composite
def problems(draw: st.DrawFn) -> dict:
    """A row of up to three positions over four tokens and two endings."""
    length = draw(st.integers(1, 3))
    places = draw(st.lists(st.none() | st.integers(0, TOKENS - 1), min_size=length, max_size=length))
    rhyming = sorted(draw(st.sets(st.integers(0, length - 1))))
    return {
        "places": [places],
        "free": torch.tensor([draw(st.lists(st.booleans(), min_size=TOKENS, max_size=TOKENS))]),
        "once": draw(st.booleans()),
        "rhyming": [rhyming if len(rhyming) > 1 else []],
        "endings": torch.tensor(
            draw(st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=TOKENS, max_size=TOKENS))
        ),
        "names": ["it"],
        "show": str,
    }


def right_texts(problem: dict) -> set[tuple[int, ...]]:
    """All texts of the form, by enumeration."""
    [places], [rhyming] = problem["places"], problem["rhyming"]
    chosen = [place for place, token in enumerate(places) if token is None]

    def is_right(text: tuple[int, ...]) -> bool:
        elsewhere = [text[:place] + text[place + 1 :] for place in range(len(text))]
        return (
            all(token in (None, own) for token, own in zip(places, text, strict=True))
            and all(problem["free"][0][text[place]] for place in chosen)
            and not (problem["once"] and any(text[place] in elsewhere[place] for place in chosen))
            and (not rhyming or bool(problem["endings"][[text[place] for place in rhyming]].all(0).any()))
        )

    return set(filter(is_right, itertools.product(range(TOKENS), repeat=len(places))))


def reachable(template: Template, written: tuple[int, ...] = ()) -> set[tuple[int, ...]]:
    """All texts that a search can generate; no prefix is a dead end."""
    if len(written) == len(template.places[0]):
        return {written}
    follow = template.may_follow(0, list(written)).nonzero()[:, 0].tolist()
    assert follow
    return set().union(*(reachable(template, (*written, token)) for token in follow))


@given(problems())
@settings(max_examples=150, deadline=None)
def test_a_template_allows_exactly_the_texts_of_its_form(problem: dict) -> None:
    right = right_texts(problem)
    if right:
        assert reachable(Template(**problem)) == right
    else:
        with pytest.raises(DataError, match="it: "):
            Template(**problem)


ANY = {
    "free": torch.ones(2, 4, dtype=torch.bool),
    "once": True,
    "endings": torch.tensor([[1, 0], [1, 0], [1, 1], [0, 1]], dtype=torch.bool),
    "show": lambda ids: "abcd"[ids[0]] if ids else "",
}


def test_rows_of_different_forms_are_searched_together() -> None:
    toy = Toy(rows=2)
    places = [[None, 3, None], [0, None]]
    template = Template(places=places, rhyming=[[0, 2], []], names=["one", "two"], **ANY)
    limits = torch.tensor([3, 2])
    for _ in range(20):
        first, second = generate(toy.start(), toy.step, limits, choose=sampler(), constraints=template)
        assert first.ids[1] == 3
        assert {first.ids[0], first.ids[2]} < {0, 1, 2}
        assert second.ids[0] == 0
        assert second.ids[1] != 0
    best = beam_search(toy.start(), toy.step, limits, None, 100, 100, constraints=template)
    assert [len(row) for row in best] == [6, 3]
    assert all(row == sorted(row, key=lambda found: -found.score) for row in best)


@pytest.mark.parametrize(
    ("places", "rhyming", "message"),
    [
        ([None] * 5, [], "it: 5 tokens are to be chosen, but only 4 may be"),
        ([0, 3], [0, 1], "it: a and d do not rhyme: change them, or which lines rhyme"),
        ([3, None, None], [0, 1, 2], "it: 2 tokens are to rhyme with d, but only 1 can be chosen"),
        ([None, None, None, None], [0, 1, 2, 3], "it: 4 tokens are to rhyme, but only 3 can be chosen"),
    ],
)
def test_an_unsatisfiable_template_is_named(places: list[int | None], rhyming: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Template(places=[places], rhyming=[rhyming], names=["it"], **ANY)


def test_a_model_without_probability_for_any_text_is_reported() -> None:
    template = Template(places=[[None]], rhyming=[[]], names=["it"], **ANY)
    toy = Toy(rows=1)
    toy.head = toy.head * float("nan")
    start = toy.start()._replace(log_probabilities=torch.full((1, 4), float("-inf")).double())
    with pytest.raises(DataError, match="it: the model gives no probability to any text of this form"):
        generate(start, toy.step, torch.tensor([1]), constraints=template)
