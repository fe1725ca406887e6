"""Which plain values are of which type."""

from __future__ import annotations

import math
from typing import Literal

import pytest

from seqzoo.contracts.options import fits, parameters

NUMBERS = {
    int: ([0, -3, 2**63 - 1], [2**63, 10**20, 1.0, True, False, "1", None, [1]]),
    float: ([0, 0.5, -1e300], [math.nan, math.inf, -math.inf, True, False, "0.5", None]),
    bool: ([True, False], [0, 1, "true", None]),
    str: (["", "1"], [1, True, None, ["a"]]),
    int | None: ([2, None], [2.5, True, "null"]),
    list[int]: ([[], [1, 2]], [[1, True], [1.5], 1, "12", (1, 2)]),
    dict[str, float]: ([{}, {"a": 1}], [{"a": True}, {1: 1.0}, {"a": math.nan}, [("a", 1)]]),
    Literal[1, "auto"]: ([1, "auto"], [True, 1.0, "1", None]),
}


@pytest.mark.parametrize("hint", NUMBERS, ids=str)
def test_values_of_a_type_and_others(hint: object) -> None:
    right, wrong = NUMBERS[hint]
    assert [value for value in right if not fits(value, hint)] == []
    assert [value for value in wrong if fits(value, hint)] == []


class Parent:
    def __init__(self, size: int, width: int = 4):
        pass


class Child(Parent):
    def __init__(self, size: int = 3, depth: int = 1, **options: int):
        pass


def test_what_a_class_hands_on_has_the_defaults_of_the_class_itself() -> None:
    assert {name: parameter.default for name, parameter in parameters(Child).items()} == {
        "size": 3, "depth": 1, "width": 4,
    }  # fmt: skip
