"""Numbers and their nouns."""

from __future__ import annotations

import pytest

from seqzoo.contracts.counting import counted


@pytest.mark.parametrize(
    ("number", "noun", "plural", "text"),
    [
        (1, "update", None, "1 update"), (0, "update", None, "0 updates"), (2_000, "update", None, "2,000 updates"),
        (1.0, "second", None, "1 second"), (1.5, "second", None, "1.5 seconds"), (2, "class", "classes", "2 classes"),
    ],
)  # fmt: skip
def test_a_number_with_its_noun(number: float, noun: str, plural: str | None, text: str) -> None:
    assert counted(number, noun, plural) == text
