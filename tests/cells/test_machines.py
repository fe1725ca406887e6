"""Machines simulated exactly by networks whose weights are set by hand, on inputs far longer than any training."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

import seqzoo
from seqzoo.cells.cell import Cell

FAR = 2.0**20
"""Larger than any count; a unit that must be silent is moved down by it."""


def one_hot(text: str, alphabet: str) -> Tensor:
    return torch.eye(len(alphabet))[[alphabet.index(letter) for letter in text]][None]


def wire(weight: Tensor, units: list[str], inputs: list[str], rows: Mapping[str, Mapping[str, float]]) -> None:
    """Set the weights of units, of which the given inputs are named; others are 0."""
    with torch.no_grad():
        for unit, terms in rows.items():
            for name, value in terms.items():
                weight[units.index(unit), inputs.index(name)] = value


def blank(name: str, input_size: int, hidden_size: int, **options: int) -> Cell:
    cell = seqzoo.create_cell(name, input_size, hidden_size, activation="relu", **options)
    for weight in cell.parameters():
        torch.nn.init.zeros_(weight)
    return cell


def counter_machine() -> tuple[Cell, list[int]]:
    """a^n b^n c^n by two counters, flags and latched errors; the text ends with "." and is accepted if the units of the
    result are 0 there.
    """
    units = ["a_left", "b_left", "seen_b", "seen_c", "late_a", "late_b", "early_b", "early_c", "error"]
    cell = blank("elman", 4, len(units))
    errors = ["late_a", "late_b", "early_b", "early_c"]
    wire(cell.weight_ih, units, list("abc."), {
        "a_left": {"a": 1, "b": -1}, "b_left": {"b": 1, "c": -1}, "seen_b": {"b": 1}, "seen_c": {"c": 1},
        # an a after a b, a b after a c: the flag is silent unless the letter is there
        "late_a": {"a": FAR}, "late_b": {"b": FAR},
        # a b without an a that is left, a c without a b that is left
        "early_b": {"b": 1}, "early_c": {"c": 1},
    })  # fmt: skip
    wire(cell.weight_hh, units, units, {
        "a_left": {"a_left": 1}, "b_left": {"b_left": 1}, "seen_b": {"seen_b": 1}, "seen_c": {"seen_c": 1},
        "late_a": {"seen_b": 1}, "late_b": {"seen_c": 1}, "early_b": {"a_left": -1}, "early_c": {"b_left": -1},
        "error": dict.fromkeys([*errors, "error"], 1),
    })  # fmt: skip
    with torch.no_grad():
        cell.bias_hh[[units.index("late_a"), units.index("late_b")]] = -FAR
    cell.engine = "torch"
    return cell, [units.index(unit) for unit in ("a_left", "b_left", "error")]


def is_abc(text: str) -> bool:
    third = len(text) // 3
    return text == "a" * third + "b" * third + "c" * third


def test_an_elman_network_counts() -> None:
    cell, checked = counter_machine()
    generator = random.Random(1)
    texts = ["", "abc", "aabbcc", "ab", "ba", "abcc", "aabbc", "abcabc", "cba", "acb", "aabcbc", "bc", "c", "abb"]
    for n in (50, 4_000):
        text = "a" * n + "b" * n + "c" * n
        place = generator.randrange(len(text))
        texts += [text, text[:place] + text[place + 1 :], text + "c", "a" + text, text[::-1]]
    for text in texts:
        outputs, _ = cell.scan(one_hot(text + ".", "abc."))
        accepted = bool((outputs[0, -1, checked] == 0).all())
        assert accepted == is_abc(text), text[:50]


def stack_machine(depth: int) -> Cell:
    """Brackets of two kinds: opening ones are pushed, closing ones pop and are compared with what is popped."""
    units = ["(", "[", "not_round", "not_square", "error", "left"]
    cell = blank("stack_rnn", 5, len(units), memory_size=depth, memory_width=2)
    tokens, top = ["(", ")", "[", "]", "."], ["round", "square"]
    wire(cell.weight_ih, units, tokens, {
        "(": {"(": 1}, "[": {"[": 1}, "not_round": {")": 1}, "not_square": {"]": 1}, "left": {".": FAR},
    })  # fmt: skip
    wire(cell.weight_memory, units, top, {
        "not_round": {"round": -1}, "not_square": {"square": -1}, "left": {"round": 1, "square": 1},
    })  # fmt: skip
    wire(cell.weight_hh, units, units, {"error": dict.fromkeys(["not_round", "not_square", "error"], 1)})
    wire(cell.weight_value, top, units, {"round": {"(": 1}, "square": {"[": 1}})
    with torch.no_grad():
        cell.bias_hh[units.index("left")] = -FAR
    # a score of 1,000 more leaves the softmax no other action; popping is what remains if nothing is pushed
    wire(cell.weight_actions, ["push", "pop", "keep"], units, {"push": {"(": 2_000, "[": 2_000}})
    with torch.no_grad():
        cell.bias_actions[1] = 1_000
    return cell


def is_nested(text: str) -> bool:
    stack: list[str] = []
    for letter in text:
        if letter in "([":
            stack.append(")" if letter == "(" else "]")
        elif not stack or stack.pop() != letter:
            return False
    return not stack


def nested(generator: random.Random, pairs: int, deep: float) -> str:
    """A random word; deep: probability of opening a bracket where both are possible."""
    text, stack = [], list[str]()
    while pairs or stack:
        if pairs and (not stack or generator.random() < deep):
            pairs -= 1
            opening, closing = generator.choice(["()", "[]"])
            text.append(opening)
            stack.append(closing)
        else:
            text.append(stack.pop())
    return "".join(text)


@pytest.mark.parametrize(("pairs", "deep"), [(3, 0.5), (20, 0.5), (20, 0.9), (400, 0.5), (400, 0.95)])
def test_a_stack_rnn_simulates_a_stack_machine(pairs: int, deep: float) -> None:
    cell, generator = stack_machine(pairs + 1), random.Random(pairs)
    texts = [nested(generator, pairs, deep) for _ in range(6)]
    for text in texts[:]:
        place = generator.randrange(len(text))
        texts.append(text[:place] + generator.choice("()[]") + text[place + 1 :])
    texts += ["()", "([)]", "[", "]", ")(", "(]"]
    lengths = torch.tensor([len(text) + 1 for text in texts])
    x = torch.cat([one_hot(text.ljust(int(lengths.max()), "."), "()[].") for text in texts])
    outputs, _ = cell.scan(x, None, lengths)
    for row, text in enumerate(texts):
        error, left = outputs[row, len(text), 4:].tolist()
        assert (error + left == 0) == is_nested(text), text[:50]
