"""Lines of digits: values of pictures that are made of small files, and a model that reads lines of any width."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from seqzoo.contracts.errors import DataError
from seqzoo.data.generated.digit_lines import DIGIT, HEIGHT, DigitLines
from tests.conftest import Done
from tests.data.files.test_idx_images import write

TRAIN, TEST = 12, 6


def files(folder: Path, size: int = DIGIT) -> dict[str, str]:
    """Every pixel of picture n of the training file is n + 1, and of the test file n + 101; labels are n modulo 10."""
    named = {}
    for split, number, first in (("train", TRAIN, 1), ("test", TEST, 101)):
        pixels = [first + picture for picture in range(number) for _ in range(size * size)]
        named[f"{split}_images"] = write(folder / f"{split}-images.gz", (number, size, size), pixels)
        named[f"{split}_labels"] = write(folder / f"{split}-labels", (number,), [n % 10 for n in range(number)])
    return named


def loaded(folder: Path, **options: Any) -> DigitLines:
    sizes = {"held_out": 2, "train_size": 8, "validation_size": 4, "test_size": 4, "spacing": [1, 3]}
    data = DigitLines(**{**files(folder), **sizes, **options})
    data.load()
    return data


def test_a_line_shows_the_digits_of_its_text(tmp_path: Path) -> None:
    data = loaded(tmp_path, slant=0.0, noise=0.0, spacing=[2, 2], shortest=1, longest=3)
    seen: dict[str, set[int]] = {}
    for split, first in (("train", 1), ("validation", 1), ("test", 101)):
        seen[split] = set()
        for batch in data.batches(split):
            assert isinstance(batch.grid, torch.Tensor)
            for picture, (rows, columns), [text] in zip(
                batch.inputs, batch.grid.tolist(), batch.references or [], strict=True
            ):
                assert rows == HEIGHT
                assert columns == len(text) * (DIGIT + 2) - 2
                assert (picture[..., columns:] == 0).all()
                for place, digit in enumerate(text):
                    left = place * (DIGIT + 2)
                    [value] = {round(255 * float(v)) for v in picture[0, 5:27, left : left + DIGIT].unique()}
                    assert (value - first) % 10 == int(digit)
                    seen[split].add(value)
    assert not seen["train"] & seen["validation"]
    assert len(seen["train"] | seen["validation"]) <= TRAIN


def test_batches_have_the_sizes_of_their_lines(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    [batch] = data.batches("validation")
    assert isinstance(batch.grid, torch.Tensor)
    assert batch.inputs.shape == (4, 1, HEIGHT, batch.grid[:, 1].max())
    assert torch.equal(batch.lengths, batch.grid.prod(1))
    assert batch.padded
    rows = data.rows("validation")
    assert sorted(row.grid for row in rows) == sorted(map(tuple, batch.grid.tolist()))
    again = loaded(tmp_path)
    for first, second in zip(data.batches("train"), again.batches("train"), strict=True):
        assert torch.equal(first.inputs, second.inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shortest": 8}, "shortest is 8 and longest 7"),
        ({"spacing": [-30, 0]}, r"spacing is \[-30, 0\]"),
        ({"slant": 9.0}, "slant is 9.0"),
        ({"held_out": 12}, "held_out=12 leaves none of the 12 digits"),
    ],
)
def test_impossible_lines_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, DataError), match=message):
        loaded(tmp_path, **options)


def test_digits_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="have 5 x 5 pixels, and lines are made of digits of 28 x 28"):
        DigitLines(**{**files(tmp_path, 5), "spacing": [0, 0], "held_out": 2}).load()


def test_lines_are_trained_and_read_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Done]
) -> None:
    monkeypatch.chdir(tmp_path)
    digits = [f"data.{name}={path}" for name, path in files(tmp_path).items()]
    small = ["data.held_out=2", "data.train_size=8", "data.validation_size=4", "data.test_size=4", "training.steps=2"]
    options = ["experiment=digit_lines", *digits, *small, "backbone.hidden_size=4", "data.shortest=1"]
    refused = command("check", "task=transcription", "data=digit_lines", "encoder=blocks", *digits)
    assert refused.err.startswith("seqzoo: backbone=bidirectional does not support `grid` (the shape of a grid)")
    short = command("train", *options, "encoder.block=[4,40]", "hydra.run.dir=short")
    assert "tokens needs" in short.err, short.err
    done = command("train", *options, "hydra.run.dir=run")
    assert done.status == 0, done.err
    Image.fromarray(numpy.full((1, 1), 255, dtype=numpy.uint8)).save("pixel.png")
    Image.fromarray(numpy.full((40, 400), 255, dtype=numpy.uint8)).save("white.png")
    Image.fromarray(numpy.zeros((1, 30_000), dtype=numpy.uint8)).save("long.png")
    predicted = command("predict", "run", "pixel.png", "white.png")
    assert predicted.status == 0, predicted.err
    assert len(predicted.out.splitlines()) == 2
    wide = command("predict", "run", "long.png")
    assert "long.png has 960,000 columns at a height of 32" in wide.err
