"""Span tags against rows worked out by hand; all schemes against each other."""

from __future__ import annotations

import itertools

import pytest

from seqzoo.contracts.span_notation import SCHEMES, convert, is_broken, scheme_of, spans


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-X I-X O B-Y", [("X", 0, 1), ("Y", 3, 3)]),
        ("B-X B-X", [("X", 0, 0), ("X", 1, 1)]),
        ("I-X I-X O I-Y", [("X", 0, 1), ("Y", 3, 3)]),  # IOB1, or a lost B
        ("B-X I-Y I-Y", [("X", 0, 0), ("Y", 1, 2)]),
        ("B-X I-X E-X S-Y", [("X", 0, 2), ("Y", 3, 3)]),
        ("E-X E-X I-X", [("X", 0, 0), ("X", 1, 1), ("X", 2, 2)]),
        ("S-X I-X E-X", [("X", 0, 0), ("X", 1, 2)]),
        ("B-X M-X E-X", [("X", 0, 2)]),
        ("B-A-B I-A-B I-A", [("A-B", 0, 1), ("A", 2, 2)]),
        ("B M E S", [("", 0, 2), ("", 3, 3)]),  # word segmentation
        ("<unk> B-X NOUN", [("X", 1, 1)]),
        ("", []),
    ],
)
def test_spans_are_those_of_conlleval(tags: str, expected: list) -> None:
    """Also compared once with seqeval 1.2.2 (default mode) on 40,000 random rows of B, I, E, S and O: no difference."""
    assert list(spans(tags.split())) == expected


ROW = {  # two of X that touch, one of Y of three tokens, one of Z behind it
    "iob1": "I-X B-X O I-Y I-Y I-Y I-Z O",
    "bio": "B-X B-X O B-Y I-Y I-Y B-Z O",
    "bioes": "S-X S-X O B-Y I-Y E-Y S-Z O",
    "bmes": "S-X S-X O B-Y M-Y E-Y S-Z O",
    "bilou": "U-X U-X O B-Y I-Y L-Y U-Z O",
}


def test_every_scheme_has_its_row() -> None:
    assert ROW.keys() == SCHEMES.keys()


@pytest.mark.parametrize("scheme", ROW)
def test_a_scheme_is_recognised_and_nothing_in_it_is_broken(scheme: str) -> None:
    row = ROW[scheme].split()
    assert scheme_of([["O"], row]) == scheme
    assert not is_broken(row, scheme)


@pytest.mark.parametrize(("given", "wanted"), list(itertools.product(ROW, ROW)))
def test_every_scheme_becomes_every_other(given: str, wanted: str) -> None:
    assert convert(ROW[given].split(), wanted) == ROW[wanted].split()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["NOUN VERB", "DET NOUN"], None),
        (["O O"], None),
        (["B I X"], None),
        (["B M E S"], "bmes"),
        (["B-NP I-NP O", "B-VP"], "bio"),
        (["I-NP B-NP I-NP O", "I-VP"], "iob1"),
        (["I-NP B-VP"], "bio"),  # B behind another type: bio, of which the first tag is broken
        (["I-NP I-NP"], "iob1"),
        (["B-X", "E-X"], "bioes"),
    ],
)
def test_recognition(rows: list[str], expected: str | None) -> None:
    assert scheme_of([row.split() for row in rows]) == expected


@pytest.mark.parametrize(
    ("scheme", "tags", "repaired"),
    [
        ("bio", "O I-X I-X", "O B-X I-X"),
        ("bio", "B-X I-Y", "B-X B-Y"),
        ("bioes", "B-X O", "S-X O"),
        ("bioes", "B-X I-X", "B-X E-X"),
        ("bioes", "I-X E-X S-X", "B-X E-X S-X"),
        ("bioes", "B-X S-X", "S-X S-X"),
        ("bmes", "M-X E-X", "B-X E-X"),
        ("bilou", "L-X", "U-X"),
        ("iob1", "O B-X", "O I-X"),
    ],
)
def test_a_broken_row_is_found_and_repaired(scheme: str, tags: str, repaired: str) -> None:
    assert is_broken(tags.split(), scheme)
    found = convert(tags.split(), scheme)
    assert found == repaired.split()
    assert not is_broken(found, scheme)
    assert list(spans(found)) == list(spans(tags.split()))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_short_rows(scheme: str) -> None:
    """A row is broken exactly where writing down what conlleval reads in it gives another row."""
    letters = set(SCHEMES[scheme]) | ({"B"} if scheme == "iob1" else set())
    tags = ["O", *(f"{letter}-{kind}" for letter in sorted(letters) for kind in "XY")]
    for row in itertools.product(tags, repeat=3):
        assert is_broken(list(row), scheme) == (convert(list(row), scheme) != list(row)), row
