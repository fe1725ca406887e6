"""Formal languages: random inputs, and functions that compute their answers.

Deletang et al., Neural Networks and the Chomsky Hierarchy, 2023, https://arxiv.org/abs/2207.02098 (15 tasks, in the
form of the authors' code); Merrill, Petty & Sabharwal, The Illusion of State in State-Space Models, 2024,
https://arxiv.org/abs/2404.08819 (words over groups); Arora et al., Zoology: Measuring and Improving Recall in Efficient
Language Models, 2024, https://arxiv.org/abs/2312.04927 (recall)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

EMPTY = "_"
"""The input at a step at which a token of the answer is read."""
END = "end"
"""The tag after an answer whose length depends on more than that of the input."""
NONE = ""
"""The tag of a step that is not answered."""
MODULUS = 5
KEYS, VALUES = 256, 16

Tokens = list[str]


@dataclass(frozen=True)
class Language:
    """A task over strings.

    Args:
        level: the level of the Chomsky hierarchy that is necessary to solve it, or "group" or "recall", which are not
            part of the comparison by Deletang et al.
        alphabet: the tokens of inputs, without EMPTY.
        tags: the tokens of answers.
        draw: (random, length) -> an input; of the nearest length that the language has, at most one shorter, or that of
            its shortest word.
        answer: input -> the tokens to be read at EMPTY steps after the input; NONE where nothing is asked.
        at_once: the answer is read while the input is, at each of its steps, instead of after it.
        longest: maximum length of inputs.
    """

    level: str
    alphabet: Sequence[str]
    tags: Sequence[str]
    draw: Callable[[Random, int], Tokens]
    answer: Callable[[Tokens], Tokens]
    at_once: bool = False
    longest: int | None = None

    def example(self, random: Random, length: int) -> tuple[Tokens, Tokens]:
        """An input with its EMPTY steps, and a tag for each step."""
        word = self.draw(random, length)
        answer = self.answer(word)
        if self.at_once:
            return word, answer
        return word + [EMPTY] * len(answer), [NONE] * len(word) + answer


def string(alphabet: Sequence[str], random: Random, length: int) -> Tokens:
    """A random string."""
    return random.choices(alphabet, k=length)


def even_pairs(word: Tokens) -> Tokens:
    """ "1" if the pairs 01 and 10 are together odd in number: the first and the last bit differ."""
    return ["1" if word[0] != word[-1] else "0"]


def parity_check(word: Tokens) -> Tokens:
    return [str(word.count("1") % 2)]


def cycle_navigation(word: Tokens) -> Tokens:
    """The position on a circle of 5 places after steps +, - and = (stay)."""
    return [str((word.count("+") - word.count("-")) % 5)]


def sum_of_products(random: Random, length: int) -> Tokens:
    """Digits and operators in turn; an even length becomes one less."""
    word = string("01234", random, length)
    return [random.choice("+-*") if i % 2 else digit for i, digit in enumerate(word[: length - 1 + length % 2])]


def value(expression: Sequence[str]) -> int:
    """The value of an expression modulo 5, in one pass with a stack."""
    sums, products, before = [0], [1], "("
    for token in expression:
        if token == "(":
            sums.append(0)
            products.append(1)
        elif token == ")":
            inner = sums.pop() + products.pop()
            products[-1] = products[-1] * inner % MODULUS
        elif token in "+-":
            if before == ")" or before.isdigit():  # otherwise it is a sign
                sums[-1] += products[-1]
                products[-1] = 1
            products[-1] *= -1 if token == "-" else 1
        elif token != "*":
            products[-1] = products[-1] * int(token) % MODULUS
        before = token
    return (sums[0] + products[0]) % MODULUS


def brackets(operators: str, random: Random, length: int) -> Tokens:
    """An expression in which each operator of two numbers has its own brackets."""
    if length < 5:
        digit = random.choice("01234")
        return list({1: f"{digit}", 2: f"-{digit}", 3: f"({digit})", 4: f"(-{digit})"}[max(length, 1)])
    left = random.randint(1, length - 4)
    first, second = (brackets(operators, random, part) for part in (left, length - left - 3))
    return ["(", *first, random.choice(operators), *second, ")"]


def equation(random: Random, length: int) -> Tokens:
    """A sum in brackets, with one digit replaced by x, and its value: "(x-3)=1"."""
    left = brackets("+-", random, max(length - 2, 1))
    right = value(left)
    left[random.choice([i for i, token in enumerate(left) if token.isdigit()])] = "x"
    return [*left, "=", str(right)]


def solve_equation(word: Tokens) -> Tokens:
    *left, _, right = word
    x = left.index("x")
    return [digit for digit in "01234" if value([*left[:x], digit, *left[x + 1 :]]) == int(right)]


def stack_and_actions(random: Random, length: int) -> Tokens:
    """A stack, its top last, and what is done to it."""
    height = random.randint(1, max(length - 1, 1))
    return [*string("01", random, height), *string(ACTIONS, random, length - height)]


def stack_manipulation(word: Tokens) -> Tokens:
    """The stack in the end, its top first; an empty stack stays empty when popped."""
    stack: Tokens = []
    for token in word:
        if token != "pop":
            stack.append(token[-1])
        elif stack:
            stack.pop()
    return ended(stack[::-1], len(word) + 1)


ACTIONS = ("pop", "push0", "push1")


def ended(answer: Tokens, length: int) -> Tokens:
    """The answer, its end, and nothing asked at the rest of `length` steps."""
    return [*answer, END, *[NONE] * (length - len(answer) - 1)]


def with_hole(random: Random, length: int) -> Tokens:
    """A string twice, with one bit replaced by "?", and "-" at the end if the length is odd."""
    half = string("01", random, max(length // 2, 1))
    word = [*half, *half]
    word[random.randrange(len(word))] = "?"
    return word + ["-"] * (length % 2 if length > 1 else 0)


def missing_duplicate_string(word: Tokens) -> Tokens:
    half = len(word) // 2
    hole = word.index("?")
    return [word[hole + half if hole < half else hole - half]]


def two_numbers(operator: str, random: Random, length: int) -> Tokens:
    """Two positive binary numbers, the lowest bit first, with zeros at their ends."""
    length = max(length, 3)
    first = random.randint(1, length - 2)
    numbers = (random.randint(1, 2**size - 1) for size in (first, length - 1 - first))
    left, right = (bits(number, size) for number, size in zip(numbers, (first, length - 1 - first), strict=True))
    return [*left, operator, *right]


def bits(number: int, length: int = 1) -> Tokens:
    """A number in binary, the lowest bit first, with zeros up to this length."""
    return list(f"{number:0{length}b}"[::-1])


def parsed(word: Tokens, operator: str) -> Iterator[int]:
    """The two numbers of `two_numbers`."""
    return (int(part[::-1], 2) for part in "".join(word).split(operator))


def binary_addition(word: Tokens) -> Tokens:
    return ended(bits(sum(parsed(word, "+"))), len(word) + 1)


def binary_multiplication(word: Tokens) -> Tokens:
    return ended(bits(math.prod(parsed(word, "*"))), len(word))


def positive_number(random: Random, length: int) -> Tokens:
    """A positive binary number, the highest bit first, with zeros before it."""
    return bits(random.randint(1, 2**length - 1), length)[::-1]


def compute_sqrt(word: Tokens) -> Tokens:
    """The root rounded down, in half as many bits, the highest first."""
    return bits(math.isqrt(int("".join(word), 2)), -(-len(word) // 2))[::-1]


def permutations(degree: int, even: bool = False) -> tuple[str, ...]:
    """All, or the even, permutations of the digits below `degree`: "120" maps 0 to 1, 1 to 2 and 2 to 0."""
    words = ("".join(letters) for letters in itertools.permutations("01234"[:degree]))
    return tuple(word for word in words if not even or not sum(a > b for a, b in itertools.combinations(word, 2)) % 2)


def products(word: Tokens) -> Tokens:
    """The permutation that results from all permutations so far, the first of them applied first."""
    return list(itertools.accumulate(word, lambda so_far, then: "".join(then[int(image)] for image in so_far)))


def pairs_and_queries(random: Random, length: int) -> Tokens:
    """Keys, each followed by its value, then each key once more, in another order."""
    keys = random.sample([f"k{i}" for i in range(KEYS)], max(length // 3, 1))
    pairs = [token for key in keys for token in (key, f"v{random.randrange(VALUES)}")]
    return [*pairs, *random.sample(keys, len(keys))]


def recall(word: Tokens) -> Tokens:
    """The value of each key at its second occurrence."""
    values: dict[str, str] = {}
    answer = []
    for i, token in enumerate(word):
        answer.append(values.get(token, NONE))
        if token.startswith("k") and token not in values:
            values[token] = word[i + 1]
    return answer


def _word_problem(elements: tuple[str, ...]) -> Language:
    return Language("group", elements, elements, partial(string, elements), products, at_once=True)


DIGITS = "01234"
_bits = partial(string, "01")

LANGUAGES = {
    "even_pairs": Language("regular", "01", "01", _bits, even_pairs),
    "parity_check": Language("regular", "01", "01", _bits, parity_check),
    "cycle_navigation": Language("regular", "+-=", DIGITS, partial(string, "+-="), cycle_navigation),
    "modular_arithmetic": Language("regular", DIGITS + "+-*", DIGITS, sum_of_products, lambda word: [str(value(word))]),
    "stack_manipulation": Language(
        "context-free", ["0", "1", *ACTIONS], ["0", "1", END], stack_and_actions, stack_manipulation
    ),
    "reverse_string": Language("context-free", "01", "01", _bits, lambda word: word[::-1]),
    "modular_arithmetic_brackets": Language(
        "context-free", DIGITS + "+-*()", DIGITS, partial(brackets, "+-*"), lambda word: [str(value(word))]
    ),
    "solve_equation": Language("context-free", DIGITS + "+-()x=", DIGITS, equation, solve_equation),
    "duplicate_string": Language("context-sensitive", "01", "01", _bits, lambda word: word * 2),
    "missing_duplicate_string": Language("context-sensitive", "01?-", "01", with_hole, missing_duplicate_string),
    "odds_first": Language("context-sensitive", "01", "01", _bits, lambda word: word[::2] + word[1::2]),
    "binary_addition": Language(
        "context-sensitive", "01+", ["0", "1", END], partial(two_numbers, "+"), binary_addition
    ),
    "binary_multiplication": Language(
        "context-sensitive", "01*", ["0", "1", END], partial(two_numbers, "*"), binary_multiplication
    ),
    "compute_sqrt": Language("context-sensitive", "01", "01", positive_number, compute_sqrt),
    "bucket_sort": Language("context-sensitive", DIGITS, DIGITS, partial(string, DIGITS), sorted),
    "s3": _word_problem(permutations(3)),
    "a5": _word_problem(permutations(5, even=True)),
    "s5": _word_problem(permutations(5)),
    "recall": Language(
        "recall",
        [*(f"k{i}" for i in range(KEYS)), *(f"v{i}" for i in range(VALUES))],
        [f"v{i}" for i in range(VALUES)],
        pairs_and_queries,
        recall,
        at_once=True,
        longest=3 * KEYS,
    ),
}
