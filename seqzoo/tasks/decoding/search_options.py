"""The options of decoding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from seqzoo.tasks.decoding.beam import beam_search
from seqzoo.tasks.decoding.constraints import UNCONSTRAINED, Constraint
from seqzoo.tasks.decoding.generate import generate
from seqzoo.tasks.decoding.hypothesis import Hypothesis, Penalty, Start, Step
from seqzoo.tasks.decoding.sampling import sampler
from seqzoo.tasks.decoding.streaming import Stream

LEAVE_OUT = (
    "leave out search.words, search.places, search.prefix, search.no_repeat, search.min_length and search.constraints"
)


@dataclass(frozen=True)
class Search:
    """The options of decoding.

    Args:
        beam_size: size of the beam; 1: greedy decoding.
        groups, diversity: of diverse beam search, see `seqzoo.tasks.decoding.beam`.
        length_penalty, coverage_penalty: alpha and beta of Wu et al., 2016, see `seqzoo.tasks.decoding.beam`.
        temperature, top_k, top_p: of sampling, with a temperature above 0, see `seqzoo.tasks.decoding.sampling`.
        max_length: maximum number of tokens of an answer.
        min_length: minimum number of tokens of an answer.
        same_length: an answer has as many tokens as its source.
        couplet: in addition, it has the punctuation of its source at the same positions, and no other token occurs
            twice in it or in its source.
        no_repeat: n; no n-gram occurs twice. 0: no constraint.
        prefix: the beginning of every answer.
        words: words that every answer contains; the beam is widened so that it holds hypotheses with any number of
            them.
        places: the tokens at some positions of every answer, from 1.
        constraints: classes of constraints, which are constructed with each Batch to be answered and the DataSpec.

    Raises:
        ValueError: an option is out of its range, or two do not go together.
    """

    acts_with: ClassVar[dict[str, str]] = {
        "top_k": "temperature>0",
        "top_p": "temperature>0",
        "diversity": "groups>1",
        "length_penalty": "beam_size>1 or words!=[]",
        "coverage_penalty": "beam_size>1 or words!=[]",
    }

    beam_size: int = 1
    groups: int = 1
    diversity: float = 0.5
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    max_length: int = 100
    min_length: int = 0
    same_length: bool = False
    couplet: bool = False
    no_repeat: int = 0
    prefix: str = ""
    words: list[str] = field(default_factory=list)
    places: dict[int, str] | None = None
    constraints: list[type[Constraint]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise ValueError(f"beam_size is {self.beam_size}: search at least one hypothesis")
        for name, most in (("beam_size", 10_000), ("max_length", 1_000_000)):
            if getattr(self, name) > most:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at most {most:,}")
        for name in ("no_repeat", "min_length"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it is 0 or more")
        if self.groups < 1 or self.beam_size % self.groups:
            raise ValueError(f"groups is {self.groups}: it must divide beam_size={self.beam_size}")
        for name in ("diversity", "length_penalty", "coverage_penalty"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it is 0 or more")
        if self.max_length < 1:
            raise ValueError(f"max_length is {self.max_length}: write at least one token")
        if self.min_length > self.max_length:
            raise ValueError(f"min_length is {self.min_length}: it is at most max_length={self.max_length}")
        if self.couplet and self.asks_for_a_form:
            raise ValueError(f"couplet is a form of its own: {LEAVE_OUT}")
        for place in self.places or {}:
            if place < 1:
                raise ValueError(f"places names token {place}: the first one is 1")
        sampler(self.temperature, self.top_k, self.top_p)  # says what is wrong with them
        if self.temperature and (self.beam_size > 1 or self.words):
            raise ValueError(
                "temperature is above 0, so tokens are drawn, which neither a beam nor required words allow: set "
                "temperature=0, or beam_size=1 and words=[]"
            )

    @property
    def asks_for_a_form(self) -> bool:
        """Whether an answer has to keep to something that LEAVE_OUT names."""
        return bool(self.words or self.places or self.prefix or self.no_repeat or self.min_length or self.constraints)

    def find(
        self,
        start: Start,
        step: Step,
        limits: Tensor,
        end: int | None,
        n_best: int = 1,
        penalty: Penalty | None = None,
        constraints: Constraint = UNCONSTRAINED,
        stream: Stream | None = None,
    ) -> list[list[Hypothesis]]:
        """Decode with these options.

        Args:
            start, step, limits, end, penalty, constraints: as of `beam_search`.
            n_best: number of hypotheses per row; the beam has at least this size.
            stream: called with the tokens of the best hypothesis of each row.

        Returns:
            The `n_best` hypotheses of each row, best first; with a temperature, that many samples.
        """
        size = max(self.beam_size, n_best)
        if constraints.amount:
            size = max(size, constraints.amount + 1)
        if size == 1 or self.temperature:
            choose = sampler(self.temperature, self.top_k, self.top_p)
            drawn = [generate(start, step, limits, end, choose, constraints, stream) for _ in range(n_best)]
            return [sorted(row, key=lambda hypothesis: -hypothesis.rank) for row in zip(*drawn, strict=True)]
        size = -(-size // self.groups) * self.groups
        rows = beam_search(
            start, step, limits, end, size, n_best, self.length_penalty, penalty, constraints, self.groups,
            self.diversity,
        )  # fmt: skip
        if stream is not None:
            for row, (best, *_) in enumerate(rows):
                stream([row] * len(best.ids), best.ids)
        return rows
