"""Open reading frames in random DNA."""

from __future__ import annotations

import random
from dataclasses import dataclass

from seqzoo.contracts.span_notation import Span, write
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.examples import Example, TaggingData
from seqzoo.data.generated.generating import distinct_splits
from seqzoo.data.splits import split_sizes

START, STOPS = "ATG", ("TAA", "TAG", "TGA")


@dataclass(eq=False, kw_only=True)
class ReadingFrames(TaggingData):
    """Random DNA, tagged with its open reading frames (B-frame, I-frame, O).

    A frame begins with ATG and ends with the first stop codon in steps of three bases; without a stop codon there is no
    frame, so that the tag of an ATG depends on bases far behind it.

    Args:
        length: number of bases.
    """

    length: int = 120
    train_size: int = 10_000
    validation_size: int = 1_000
    test_size: int = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length < 6:
            raise ValueError(f"length={self.length} is too small: the shortest frame has 6 bases")

    def expected_spec(self) -> DataSpec:
        return DataSpec(self.kind, 6, 3)

    def tokenizer_of_inputs(self) -> str:
        return "characters"

    def read(self) -> dict[str, list[Example]]:
        splits = distinct_splits(self._draw, split_sizes(self))
        return {
            split: [Example(list(dna), write(frames(dna), len(dna), "bio")) for dna in drawn]
            for split, drawn in splits.items()
        }

    def _draw(self, count: int, seed: int) -> list[str]:
        generator = random.Random(seed)
        return ["".join(generator.choices("ACGT", k=self.length)) for _ in range(count)]


def frames(dna: str) -> list[Span]:
    """The first and last base of each frame, from left to right. Frames do not overlap."""
    spans: list[Span] = []
    start = dna.find(START)
    while start >= 0:
        stop = next((i for i in range(start + 3, len(dna) - 2, 3) if dna[i : i + 3] in STOPS), None)
        if stop is not None:
            spans.append(("frame", start, stop + 2))
        start = dna.find(START, start + 1 if stop is None else stop + 3)
    return spans
