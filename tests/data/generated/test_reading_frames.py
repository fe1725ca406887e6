"""Reading frames against a regular expression, and tagged by the same code as words are."""

from __future__ import annotations

import re

import pytest

import seqzoo
from seqzoo.data.generated.reading_frames import ReadingFrames, frames

FRAME = re.compile(r"ATG(?:(?!TAA|TAG|TGA)...)*(?:TAA|TAG|TGA)")
SMALL = {"train_size": 300, "validation_size": 20, "test_size": 20}


@pytest.mark.parametrize(
    ("dna", "expected"),
    [
        ("ATGTAA", [(0, 5)]),
        ("CATGCCCTGACC", [(1, 9)]),
        ("ATGATGTAG", [(0, 8)]),  # the inner ATG is read as one of its words
        ("ATGCTAAC", []),  # the stop is out of frame
        ("ATGCATGTAA", [(4, 9)]),  # the first never stops
        ("ATGTAAATGTGA", [(0, 5), (6, 11)]),
    ],
)
def test_frames(dna: str, expected: list[tuple[int, int]]) -> None:
    assert frames(dna) == [("frame", *span) for span in expected]


def test_generated_frames_are_those_of_a_regular_expression() -> None:
    count = 0
    for example in ReadingFrames(**SMALL).read()["train"]:
        expected = ["O"] * 120
        for found in FRAME.finditer("".join(example.source)):
            expected[found.start() : found.end()] = ["B-frame"] + ["I-frame"] * (found.end() - found.start() - 1)
            count += 1
        assert example.target == expected
    assert count > 100


def test_dna_is_tagged_like_words() -> None:
    small = (f"data.{name}={value}" for name, value in SMALL.items())
    model, data = seqzoo.build(
        "task=tagging", "data=reading_frames", "task.decoder=crf", "task.constrained=true", *small
    )
    assert data.spec.targets.to_plain() == {"kind": "labels", "labels": ["O", "B-frame", "I-frame"], "scheme": "bio"}
    batch = next(iter(data.batches("validation")))
    assert {len(prediction.answer) for prediction in model.eval().task.decode(model, batch)} == {120}


def test_a_string_too_short_for_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="length=5 is too small"):
        ReadingFrames(length=5)
