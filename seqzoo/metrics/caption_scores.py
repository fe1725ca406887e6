"""How near a caption comes to those that people wrote: scores of the field, over a whole split at once.

They follow the code of the COCO captions challenge (Chen et al., Microsoft COCO Captions, 2015,
https://arxiv.org/abs/1504.00325), from which METEOR and SPICE are left out, since they need Java.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

Ngrams = Counter[tuple[str, ...]]

_TOKENS = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|(?:(?![\u3400-\u9fff\uf900-\ufaff])[\w'])+")
LONGEST = 4
"""Words of an n-gram."""


def caption_tokens(text: str) -> list[str]:
    """Words in lower case without punctuation, as the challenge counts them; each Chinese character is one."""
    return [token for token in _TOKENS.findall(text.lower()) if token.strip("'_")]


def rouge_l(answer: list[str], references: Sequence[list[str]]) -> float:
    """F of the longest common subsequence, 0 to 1, where recall weighs 1.2 times as much as precision; the best of each
    that any of the references gives.

    Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004, https://aclanthology.org/W04-1013
    """
    if not answer:
        return 0.0
    common = [_longest_common_subsequence(answer, reference) for reference in references]
    precision = max(length / len(answer) for length in common)
    recall = max(length / len(reference) for length, reference in zip(common, references, strict=True))
    if not precision:
        return 0.0
    return (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)


def _longest_common_subsequence(first: list[str], second: list[str]) -> int:
    lengths = [0] * (len(second) + 1)
    for one in first:
        diagonal = 0
        for place, other in enumerate(second, start=1):
            diagonal, lengths[place] = (
                lengths[place],
                diagonal + 1 if one == other else max(lengths[place], lengths[place - 1]),
            )
    return lengths[-1]


def cider_d(answers: Sequence[list[str]], references: Sequence[Sequence[list[str]]]) -> list[float]:
    """The score of each answer, 0 to 10: likeness of its n-grams to those of its references, n = 1..4, where an n-gram
    weighs the less, the more rows have it in their references; an answer that repeats an n-gram, or is of another
    length, scores less.

    Vedantam, Zitnick & Parikh, CIDEr: Consensus-based Image Description Evaluation, 2015 (section 5, CIDEr-D),
    https://arxiv.org/abs/1411.5726
    """
    written = [[_ngrams(reference) for reference in row] for row in references]
    rows_with = Counter(ngram for row in written for ngram in set().union(*row))
    logarithm = math.log(len(answers))
    scores = []
    for answer, row in zip(map(_ngrams, answers), written, strict=True):
        vector = _weighted(answer, rows_with, logarithm)
        likeness = [_likeness(vector, _weighted(reference, rows_with, logarithm)) for reference in row]
        scores.append(10 * sum(likeness) / len(likeness))
    return scores


def _ngrams(tokens: list[str]) -> Ngrams:
    return Counter(
        tuple(tokens[start : start + n]) for n in range(1, LONGEST + 1) for start in range(len(tokens) - n + 1)
    )


_Weighted = tuple[list[dict[tuple[str, ...], float]], list[float], int]


def _weighted(ngrams: Ngrams, rows_with: Counter, logarithm: float) -> _Weighted:
    """For each n, counts times the logarithm of (rows / rows that have the n-gram); the norms of these vectors; and the
    length, which the challenge's code measures in pairs of words.
    """
    vectors: list[dict[tuple[str, ...], float]] = [{} for _ in range(LONGEST)]
    for ngram, count in ngrams.items():
        vectors[len(ngram) - 1][ngram] = count * (logarithm - math.log(max(rows_with[ngram], 1)))
    norms = [math.sqrt(sum(weight * weight for weight in vector.values())) for vector in vectors]
    return vectors, norms, sum(count for ngram, count in ngrams.items() if len(ngram) == 2)


def _likeness(answer: _Weighted, reference: _Weighted) -> float:
    """The mean over n of the cosines, each n-gram's weight clipped to the reference's."""
    total = 0.0
    for n in range(LONGEST):
        clipped = sum(
            min(weight, reference[0][n].get(ngram, 0.0)) * reference[0][n].get(ngram, 0.0)
            for ngram, weight in answer[0][n].items()
        )
        norm = answer[1][n] * reference[1][n]
        total += clipped / norm if norm else 0.0
    difference = answer[2] - reference[2]
    return total / LONGEST * math.exp(-(difference**2) / (2 * 6.0**2))
