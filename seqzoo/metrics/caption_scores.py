"""ROUGE-L and CIDEr-D of captions.

Both follow the evaluation code of the COCO captions challenge (Chen et al., Microsoft COCO Captions, 2015,
https://arxiv.org/abs/1504.00325). Its METEOR and SPICE are left out, since they need Java.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

Ngrams = Counter[tuple[str, ...]]

_TOKENS = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|(?:(?![\u3400-\u9fff\uf900-\ufaff])[\w'])+")
LONGEST = 4
"""The largest n of the n-grams that are counted."""


def caption_tokens(text: str) -> list[str]:
    """Lower-case words without punctuation, as the challenge counts them; each Chinese character is a word."""
    return [token for token in _TOKENS.findall(text.lower()) if token.strip("'_")]


def rouge_l(answer: list[str], references: Sequence[list[str]]) -> float:
    """F-measure of the longest common subsequence, with beta = 1.2.

    Precision and recall are each the best over the references.

    Args:
        answer: the tokens of the predicted caption.
        references: the tokens of each reference caption.

    Returns:
        A score from 0 to 1.

    Source: Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004, https://aclanthology.org/W04-1013
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
    for token in first:
        diagonal = 0
        for i, other in enumerate(second, start=1):
            diagonal, lengths[i] = lengths[i], diagonal + 1 if token == other else max(lengths[i], lengths[i - 1])
    return lengths[-1]


def cider_d(answers: Sequence[list[str]], references: Sequence[Sequence[list[str]]]) -> list[float]:
    """CIDEr-D of each answer: the cosine similarity of TF-IDF weighted n-grams, n = 1..4, averaged over the references.

    Repeated n-grams are clipped, and a difference in length is penalised by a Gaussian.

    Args:
        answers: the tokens of each predicted caption.
        references: for each answer, the tokens of its reference captions; the document frequencies are those of
            all of them.

    Returns:
        For each answer a score from 0 to 10.

    Source: Vedantam, Zitnick & Parikh, CIDEr: Consensus-based Image Description Evaluation, 2015 (section 5),
    https://arxiv.org/abs/1411.5726
    """
    reference_ngrams = [[_ngrams(reference) for reference in row] for row in references]
    document_frequency = Counter(ngram for row in reference_ngrams for ngram in set().union(*row))
    log_documents = math.log(len(answers))
    scores = []
    for answer, row in zip(map(_ngrams, answers), reference_ngrams, strict=True):
        vector = _tf_idf(answer, document_frequency, log_documents)
        similarities = [_similarity(vector, _tf_idf(ngrams, document_frequency, log_documents)) for ngrams in row]
        scores.append(10 * sum(similarities) / len(similarities))
    return scores


def _ngrams(tokens: list[str]) -> Ngrams:
    return Counter(
        tuple(tokens[start : start + n]) for n in range(1, LONGEST + 1) for start in range(len(tokens) - n + 1)
    )


class _TfIdf(NamedTuple):
    """For each n the weights of the n-grams and the norm of this vector; length: the number of bigrams, by which the
    challenge's code measures it.
    """

    vectors: list[dict[tuple[str, ...], float]]
    norms: list[float]
    length: int


def _tf_idf(ngrams: Ngrams, document_frequency: Counter, log_documents: float) -> _TfIdf:
    vectors: list[dict[tuple[str, ...], float]] = [{} for _ in range(LONGEST)]
    for ngram, count in ngrams.items():
        vectors[len(ngram) - 1][ngram] = count * (log_documents - math.log(max(document_frequency[ngram], 1)))
    norms = [math.sqrt(sum(weight * weight for weight in vector.values())) for vector in vectors]
    return _TfIdf(vectors, norms, sum(count for ngram, count in ngrams.items() if len(ngram) == 2))


def _similarity(answer: _TfIdf, reference: _TfIdf) -> float:
    """The mean over n of the cosines, each n-gram's weight clipped to the reference's."""
    total = 0.0
    for n in range(LONGEST):
        weights = reference.vectors[n]
        clipped = sum(
            min(weight, weights.get(ngram, 0.0)) * weights.get(ngram, 0.0)
            for ngram, weight in answer.vectors[n].items()
        )
        norm = answer.norms[n] * reference.norms[n]
        total += clipped / norm if norm else 0.0
    difference = answer.length - reference.length
    return total / LONGEST * math.exp(-(difference**2) / (2 * 6.0**2))
