"""A linear-chain conditional random field on features of words, by CRFsuite.

Lafferty, McCallum & Pereira, Conditional Random Fields, 2001, https://repository.upenn.edu/cis_papers/159
Okazaki, CRFsuite, 2007, http://www.chokkan.org/software/crfsuite
"""

from __future__ import annotations

from typing import Any

from seqzoo.baselines.contract import Answers, Baseline, Split
from seqzoo.contracts.spec import DataSpec

LONGEST_AFFIX = 4
MANY_TOKENS = 100_000
"""Training tokens above which the averaged perceptron takes the place of the likelihood: it needs fewer passes."""
LIKELIHOOD: dict[str, Any] = {"algorithm": "lbfgs", "c1": 0.1, "c2": 0.1, "max_iterations": 100}
PERCEPTRON: dict[str, Any] = {"algorithm": "ap", "max_iterations": 10}


class FeatureTagger(Baseline):
    """A CRF on each word, its lower case, its first and last 1 to 4 characters, its shape, and its neighbours."""

    kind = "tagging"
    name = "CRF on word features"
    package = "sklearn-crfsuite"
    speed = 3e3

    @classmethod
    def reads(cls, spec: DataSpec) -> bool:
        return super().reads(spec) and spec.inputs is not None

    def fit(self, train: Split, validation: Split) -> None:
        from sklearn_crfsuite import CRF

        many = sum(map(len, train.tokens)) > MANY_TOKENS
        options = PERCEPTRON if many else LIKELIHOOD
        self._crf = CRF(**options).fit(list(map(features, train.tokens)), train.references)
        trained = "an averaged perceptron of 10 passes" if many else "likelihood with c1 = c2 = 0.1"
        self.description = f"affixes up to {LONGEST_AFFIX}, shape, two neighbours; {trained}"

    def answer(self, split: Split) -> Answers:
        return Answers([list(map(str, tags)) for tags in self._crf.predict(list(map(features, split.tokens)))])


def features(words: list[str]) -> list[list[str]]:
    """The names of the features of each word of a row."""
    around = ["<begin>", "<begin>", *words, "<end>", "<end>"]
    rows = []
    for place, word in enumerate(words):
        two_before, before, _, after, two_after = around[place : place + 5]
        lower = word.lower()
        row = ["bias", f"word={word}", f"lower={lower}", f"shape={shape(word)}", f"short={shape(word, True)}"]
        for length in range(1, min(LONGEST_AFFIX, len(word)) + 1):
            row += [f"prefix={lower[:length]}", f"suffix={lower[-length:]}"]
        row += [f"-1={before.lower()}", f"+1={after.lower()}", f"-2={two_before.lower()}", f"+2={two_after.lower()}"]
        row += [f"-1,0={before.lower()} {lower}", f"0,+1={lower} {after.lower()}"]
        row += [f"-1shape={shape(before, True)}", f"+1shape={shape(after, True)}"]
        rows.append(row)
    return rows


def shape(word: str, short: bool = False) -> str:
    """Xx-d for Ab-1: the kinds of the characters; short: of equal kinds in a row, the first one."""
    kinds = ["X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c for c in word]
    if short:
        kinds = [kind for kind, before in zip(kinds, ["", *kinds], strict=False) if kind != before]
    return "".join(kinds)
