"""How an answer is searched, as a group of options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from seqzoo.contracts import State
from seqzoo.decoding.beam import beam_search
from seqzoo.decoding.constraints import UNCONSTRAINED, Constraint
from seqzoo.decoding.generate import generate
from seqzoo.decoding.search import Hypothesis, Start, Step


@dataclass(frozen=True)
class Search:
    """beam_size: hypotheses that are searched side by side; 1 takes the most probable token.

    length_penalty, coverage_penalty: alpha and beta of Wu et al., 2016; see `seqzoo.decoding.beam`.
    max_length: tokens after which an answer stops without an end; min_length: tokens that it has at least.
    same_length: an answer has as many tokens as its source.
    couplet: it also has the punctuation of its source at the same places, and elsewhere no token that stands in it
        twice, or in its source.
    no_repeat: no run of so many tokens twice, 0: it may be.
    prefix: what every answer begins with.
    """

    beam_size: int = 1
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    max_length: int = 100
    min_length: int = 0
    same_length: bool = False
    couplet: bool = False
    no_repeat: int = 0
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise ValueError(f"beam_size is {self.beam_size}: search at least one hypothesis")

    def find(
        self,
        start: Start,
        step: Step,
        limits: Tensor,
        end: int | None,
        n_best: int = 1,
        penalty: Callable[[State, State], Tensor] | None = None,
        constraints: Constraint = UNCONSTRAINED,
    ) -> list[list[Hypothesis]]:
        """The `n_best` hypotheses of each row, best first: by a beam of `beam_size` or, where more are asked for, of as
        many.

        limits, end, penalty, constraints: as of `beam_search`.
        """
        size = max(self.beam_size, n_best)
        if size == 1:
            return [[found] for found in generate(start, step, limits, end, constraints=constraints)]
        return beam_search(start, step, limits, end, size, n_best, self.length_penalty, penalty, constraints)
