"""Formal languages: answers by hand and by other ways to compute them."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable

import numpy
import pytest

from seqzoo.contracts.masking import IGNORED
from seqzoo.data.generated.formal_language import FormalLanguage
from seqzoo.data.generated.language_table import EMPTY, LANGUAGES

SMALL = {"train_size": 400, "validation_size": 50, "test_size": 46}


@pytest.mark.parametrize(
    ("name", "word", "answer"),
    [
        ("even_pairs", "00110", "0"),  # 01 and 10 occur once each
        ("even_pairs", "0011", "1"),
        ("parity_check", "000110", "0"),
        ("parity_check", "1", "1"),
        ("cycle_navigation", "=+=-++", "2"),
        ("cycle_navigation", "+-=--", "3"),
        ("modular_arithmetic", "1+2-4", "4"),
        ("modular_arithmetic", "1+2*3", "2"),
        ("modular_arithmetic", "0*1+4*3-2", "0"),
        ("stack_manipulation", "0 1 1 0 push1 pop pop", "1 1 0 end . . . ."),
        ("stack_manipulation", "1 1 0 pop pop pop pop", "end . . . . . . ."),
        ("reverse_string", "0010", "0100"),
        ("modular_arithmetic_brackets", "-(1-2)*(4-3*(-2))", "0"),
        ("modular_arithmetic_brackets", "((-1)+-2)", "2"),
        ("modular_arithmetic_brackets", "(-3)", "2"),
        ("solve_equation", "(x-3)=1", "4"),
        ("solve_equation", "(2-(-x))=1", "4"),
        ("duplicate_string", "011", "011011"),
        ("missing_duplicate_string", "01100?10", "1"),
        ("missing_duplicate_string", "1011?1-", "0"),
        ("missing_duplicate_string", "?1", "1"),
        ("odds_first", "00110101", "01000111"),
        ("odds_first", "110", "101"),
        ("binary_addition", "001+01101", "0 1 0 1 1 end . . . ."),
        ("binary_addition", "1001+000001", "1 0 0 1 0 1 end . . . . ."),
        ("binary_multiplication", "001*01101", "0 0 0 1 1 0 1 end ."),
        ("binary_multiplication", "1001*000001", "0 0 0 0 0 1 0 0 1 end ."),
        ("compute_sqrt", "100101", "110"),
        ("compute_sqrt", "111", "10"),
        ("bucket_sort", "421302214", "011222344"),
        ("s3", "120 102 120", "120 021 102"),
        ("recall", "k3 v1 k9 v5 k9 k3", ". . . . v5 v1"),
    ],
)
def test_by_hand(name: str, word: str, answer: str) -> None:
    tokens, expected = (text.split() if " " in text else list(text) for text in (word, answer))
    assert LANGUAGES[name].answer(tokens) == ["" if tag == "." else tag for tag in expected]


def permuted(word: list[str]) -> list[str]:
    """Products of permutation matrices."""
    matrices = [numpy.eye(len(element), dtype=int)[[int(image) for image in element]] for element in word]
    products, product = [], numpy.eye(len(word[0]), dtype=int)
    for matrix in matrices:
        product = product @ matrix
        products.append("".join(map(str, product.argmax(1))))
    return products


def walked(word: list[str]) -> list[str]:
    place = 0
    for step in word:
        place = {"+": place + 1, "-": place - 1, "=": place}[step] % 5
    return [str(place)]


def stacked(word: list[str]) -> list[str]:
    text = ""  # the top first
    for token in word:
        text = text[1:] if token == "pop" else token[-1] + text
    return [*text, "end", *[""] * (len(word) - len(text))]


def completed(word: list[str]) -> list[str]:
    text = "".join(word).rstrip("-")
    return [bit for bit in "01" if (whole := text.replace("?", bit))[: len(text) // 2] == whole[len(text) // 2 :]]


def computed(word: list[str]) -> list[str]:
    """With the numbers read by Python."""
    a, operator, b = "".join(word).replace("+", " + ").replace("*", " * ").split()
    result = eval(f"0b{a[::-1]} {operator} 0b{b[::-1]}")
    length = len(word) + (operator == "+")
    return [*bin(result)[:1:-1], "end", *[""] * (length - result.bit_length() - 1)]


def root(word: list[str]) -> list[str]:
    number = int("".join(word), 2)
    best = max(candidate for candidate in range(2 ** (len(word) // 2 + 1)) if candidate**2 <= number)
    return list(bin(best)[2:].zfill((len(word) + 1) // 2))


def answered(word: list[str]) -> list[str]:
    pairs = dict(zip(word[: 2 * len(word) // 3 : 2], word[1 : 2 * len(word) // 3 : 2], strict=True))
    return [""] * (2 * len(pairs)) + [pairs[key] for key in word[2 * len(pairs) :]]


def solved(word: list[str]) -> list[str]:
    left, right = "".join(word).split("=")
    return [x for x in "01234" if eval(left.replace("x", x)) % 5 == int(right)]


OTHERWISE: dict[str, Callable[[list[str]], list[str]]] = {
    "even_pairs": lambda word: [str(sum(a != b for a, b in itertools.pairwise(word)) % 2)],
    "parity_check": lambda word: [str(int("".join(word), 2).bit_count() % 2)],
    "cycle_navigation": walked,
    "modular_arithmetic": lambda word: [str(eval("".join(word)) % 5)],
    "stack_manipulation": stacked,
    "reverse_string": lambda word: [word.pop() for _ in word[:]],
    "modular_arithmetic_brackets": lambda word: [str(eval("".join(word)) % 5)],
    "solve_equation": solved,
    "duplicate_string": lambda word: [word[i % len(word)] for i in range(2 * len(word))],
    "missing_duplicate_string": completed,
    "odds_first": lambda word: [word[i] for i in sorted(range(len(word)), key=lambda i: (i % 2, i))],
    "binary_addition": computed,
    "binary_multiplication": computed,
    "compute_sqrt": root,
    "bucket_sort": lambda word: list(Counter(sorted(word)).elements()),
    "s3": permuted,
    "a5": permuted,
    "s5": permuted,
    "recall": answered,
}


@pytest.mark.parametrize("name", LANGUAGES)
def test_random_words(name: str) -> None:
    """Their lengths, symbols and answers; every symbol and tag occurs, and there is one answer only."""
    language, generator = LANGUAGES[name], random.Random(3)
    symbols, tags = set(), set()
    lengths = [*range(1, 25)] * (20 if len(language.alphabet) < 60 else 100)
    for length in lengths:
        word = language.draw(generator, length)
        if length > 5:
            assert length - (2 if name == "recall" else 1) <= len(word) <= length
        answer = language.answer(word)
        symbols |= set(word)
        tags |= set(answer) - {""}
        assert answer == OTHERWISE[name](word[:])
        inputs, targets = language.example(generator, length)
        assert len(inputs) == len(targets)
        assert language.at_once or inputs[-1] == EMPTY
    assert symbols == set(language.alphabet)
    assert tags == set(language.tags)


def test_groups_are_closed() -> None:
    for name, order in (("s3", 6), ("a5", 60), ("s5", 120)):
        elements = LANGUAGES[name].alphabet
        assert len(set(elements)) == order
        assert {LANGUAGES[name].answer([a, b])[1] for a in elements for b in elements} == set(elements)


@pytest.mark.parametrize("name", ["binary_addition", "a5"])
def test_batches_of_mixed_lengths(name: str) -> None:
    data = FormalLanguage(language=name, longest=8, test_longest=30, batch_size=46, **SMALL)
    data.load()
    language, spec = LANGUAGES[name], data.spec
    assert spec.output_size == data.expected_spec().output_size == len(language.tags)
    assert spec.input_size <= data.expected_spec().input_size
    [batch] = data.batches("test")
    assert batch.padded
    sizes = [9 + i * 22 // 46 for i in range(46)]
    steps = [size if language.at_once else 2 * size + 1 for size in sizes]
    assert batch.lengths.tolist() == sorted(steps)
    for inputs, targets, length in zip(batch.inputs, batch.required_targets, batch.lengths.tolist(), strict=True):
        tokens = spec.input_codec.decode(inputs[:length].tolist()).split()
        word = [token for token in tokens if token != EMPTY]
        asked = targets[:length] != IGNORED
        answer = [tag for tag in language.answer(word) if tag]
        assert [spec.target_codec.decode([i]) for i in targets[:length][asked].tolist()] == answer
        assert not targets[length:].any()
    longest = max(int(part.lengths.max()) for part in data.batches("train"))
    assert longest == (8 if language.at_once else 17)


def test_examples_depend_on_the_split_alone() -> None:
    data, again = (FormalLanguage(language="reverse_string", seed=seed, **SMALL).read() for seed in (0, 1))
    assert data == again
    assert data["train"][:50] != data["validation"]
    counts = Counter(len(example.target) // 2 for example in data["train"])
    assert set(counts) == set(range(1, 41))


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"^language='even_pair' does not exist. Did you mean 'even_pairs'\?$"):
        FormalLanguage(language="even_pair")
    with pytest.raises(ValueError, match="test_longest=40 must be above longest=40"):
        FormalLanguage(test_longest=40)
    with pytest.raises(ValueError, match="test_longest=800 is too large: inputs of recall have at most 768 steps"):
        FormalLanguage(language="recall", test_longest=800)
