"""Pictures from idx files as sequences: values of tiny files that the test writes, and what is wrong with others."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import seqzoo
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.files.idx_images import IdxImages, read_idx, sequences
from seqzoo.data.text.codec import LabelCodec, spec_from_plain, spec_to_plain
from tests.conftest import Done

HEIGHT, WIDTH = 2, 3
PERMUTATION = [5, 1, 4, 3, 2, 0]
"""Of six pixels. Saved runs mean it: it must never be another."""


def write(path: Path, sizes: tuple[int, ...], values: list[int], magic: bytes | None = None) -> str:
    """An idx file, packed where the name says so."""
    magic = bytes([0, 0, 8, len(sizes)]) if magic is None else magic
    data = magic + struct.pack(f">{len(sizes)}I", *sizes) + bytes(values)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def pixels_of(number: int) -> list[int]:
    return [10 * number + place for place in range(HEIGHT * WIDTH)]


def files(folder: Path, train: int = 12, test: int = 4) -> dict[str, str]:
    """Picture n has the pixels 10 n, 10 n + 1, ...; its label is n modulo 3."""
    named = {}
    for split, size in (("train", train), ("test", test)):
        pixels = [pixel for number in range(size) for pixel in pixels_of(number)]
        named[f"{split}_images"] = write(folder / f"{split}-images.gz", (size, HEIGHT, WIDTH), pixels)
        named[f"{split}_labels"] = write(folder / f"{split}-labels", (size,), [number % 3 for number in range(size)])
    return named


def loaded(folder: Path, **options: Any) -> IdxImages:
    data = IdxImages(**{**files(folder), "validation_size": 2, "batch_size": 4, **options})
    data.load()
    return data


def numbers_of(data: IdxImages, split: str, epoch: int = 0) -> list[int]:
    """Which pictures of the file, in their order: from the first pixel of each."""
    return [round(row[0, 0].item() * 25.5) for batch in data.batches(split, epoch) for row in batch.inputs]


def test_rows_are_steps_and_white_is_one(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    batch = next(data.batches("test"))
    expected = torch.tensor([[[0, 1, 2], [3, 4, 5]], [[10, 11, 12], [13, 14, 15]]]) / 255
    torch.testing.assert_close(batch.inputs[:2], expected)
    assert batch.inputs.dtype == torch.float32
    assert batch.lengths.tolist() == [HEIGHT] * 4
    assert not batch.padded
    write(tmp_path / "white", (1, 1, 1), [255])
    assert read_idx(str(tmp_path / "white"), 3).item() == 255


def test_a_pixel_a_step_row_after_row(tmp_path: Path) -> None:
    batch = next(loaded(tmp_path, order="pixels").batches("test"))
    assert batch.inputs.shape == (4, HEIGHT * WIDTH, 1)
    torch.testing.assert_close(batch.inputs[1, :, 0], torch.tensor(pixels_of(1)) / 255)
    assert batch.lengths.tolist() == [HEIGHT * WIDTH] * 4


def test_one_permutation_for_all_pictures_and_runs(tmp_path: Path) -> None:
    images = torch.arange(HEIGHT * WIDTH).view(1, HEIGHT, WIDTH)
    assert sequences(images, "permuted").flatten().tolist() == PERMUTATION
    for seed in (0, 7):
        batch = next(loaded(tmp_path, order="permuted", seed=seed).batches("test"))
        for number, row in enumerate(batch.inputs):
            expected = torch.tensor([pixels_of(number)[place] for place in PERMUTATION]) / 255
            torch.testing.assert_close(row[:, 0], expected)


def test_labels_are_text_and_follow_their_pictures(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    assert (data.spec.kind, data.spec.input_size, data.spec.output_size) == ("classification", WIDTH, 3)
    for split in ("train", "validation", "test"):
        targets = [target for batch in data.batches(split) for target in batch.targets.tolist()]
        assert [data.spec.targets.decode([target]) for target in targets] == [
            str(number % 3) for number in numbers_of(data, split)
        ]


def test_classes_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    named = files(tmp_path)
    write(tmp_path / "train-labels", (12,), [11, 2, 30] * 4)
    data = IdxImages(train_images=named["train_images"], train_labels=named["train_labels"], validation_size=2)
    data.load()
    assert data.spec.targets.labels == ["2", "11", "30"]
    assert data.splits() == {"train": 10, "validation": 2}


def test_what_is_held_out_is_the_same_for_every_seed(tmp_path: Path) -> None:
    one, other = loaded(tmp_path), loaded(tmp_path, seed=7)
    assert one.splits() == {"train": 10, "validation": 2, "test": 4}
    assert numbers_of(one, "validation") == numbers_of(other, "validation")
    assert sorted(numbers_of(one, "train") + numbers_of(one, "validation")) == list(range(12))
    assert numbers_of(one, "train") != numbers_of(other, "train")
    assert numbers_of(one, "test") == [0, 1, 2, 3]


def test_batches(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    assert [data.num_batches(split) for split in data.splits()] == [3, 1, 1]
    batches = list(data.batches("train", epoch=2))
    assert [batch.size for batch in batches] == [4, 4, 2]
    [last] = data.batches("train", epoch=2, start=2)
    assert torch.equal(last.inputs, batches[2].inputs)
    assert torch.equal(last.targets, batches[2].targets)
    assert numbers_of(data, "train", 2) != numbers_of(data, "train", 3)
    with pytest.raises(DataError, match='no split "dev": it has train, validation, test'):
        data.num_batches("dev")


def test_a_limit_keeps_all_classes_of_the_file(tmp_path: Path) -> None:
    data = loaded(tmp_path, limit=1)
    assert data.splits() == {"train": 1, "validation": 1, "test": 1}
    assert data.spec.output_size == 3


def test_a_saved_run_keeps_its_classes(tmp_path: Path) -> None:
    spec = spec_from_plain(spec_to_plain(loaded(tmp_path).spec))
    data = IdxImages(**files(tmp_path), validation_size=2)
    data.load(spec)
    assert data.spec is spec
    for other in (
        DataSpec("regression", WIDTH, 3),
        DataSpec("classification", 28, 3, None, LabelCodec("012")),
        DataSpec("classification", WIDTH, 3, LabelCodec("ab"), LabelCodec("012")),
    ):
        with pytest.raises(DataError, match="another kind or size"):
            data.load(other)


# mistakes


def swapped(named: dict[str, str], folder: Path) -> None:
    named["train_images"], named["train_labels"] = named["train_labels"], named["train_images"]


def of_numbers(named: dict[str, str], folder: Path) -> None:
    write(folder / "train-images.gz", (1, 1, 1), [0], magic=bytes([0, 0, 13, 3]))


def cut(named: dict[str, str], folder: Path) -> None:
    path = folder / "train-labels"
    path.write_bytes(path.read_bytes()[:-1])


def longer(named: dict[str, str], folder: Path) -> None:
    path = folder / "train-labels"
    path.write_bytes(path.read_bytes() + b"\0")


def cut_in_its_header(named: dict[str, str], folder: Path) -> None:
    (folder / "train-labels").write_bytes(bytes([0, 0, 8, 1, 0, 0]))


def cut_when_packed(named: dict[str, str], folder: Path) -> None:
    path = folder / "train-images.gz"
    path.write_bytes(path.read_bytes()[:-20])


def not_packed(named: dict[str, str], folder: Path) -> None:
    (folder / "train-images.gz").write_bytes(bytes([0, 0, 8, 3]))


def empty(named: dict[str, str], folder: Path) -> None:
    write(folder / "train-labels", (0,), [])


def of_other_pictures(named: dict[str, str], folder: Path) -> None:
    named["train_labels"] = named["test_labels"]


def of_another_size(named: dict[str, str], folder: Path) -> None:
    write(folder / "test-images.gz", (4, 3, 2), list(range(24)))


def of_another_class(named: dict[str, str], folder: Path) -> None:
    write(folder / "test-labels", (4,), [0, 1, 2, 9])


def missing(named: dict[str, str], folder: Path) -> None:
    (folder / "test-images.gz").unlink()


MISTAKES: list[tuple[Callable[[dict[str, str], Path], None], str]] = [
    (swapped, "train-labels begins with 00 00 08 01, but an idx file of pictures begins with 00 00 08 03: check"),
    (of_numbers, "train-images.gz begins with 00 00 0d 03, but an idx file of pictures begins with 00 00 08 03"),
    (cut, "train-labels has 19 bytes where its header promises 20: fetch it again"),
    (longer, "train-labels has 21 bytes where its header promises 20: fetch it again"),
    (cut_in_its_header, "train-labels ends within its header: fetch it again"),
    (cut_when_packed, r"train-images.gz cannot be read \(.*\): is it complete"),
    (not_packed, r"train-images.gz cannot be read \(.*\): is it complete"),
    (empty, "train-labels is empty: give another file"),
    (of_other_pictures, "train-images.gz has 12 pictures, but .*test-labels has 4 labels: give two files that belong"),
    (of_another_size, "test-images.gz are 3 x 2, those of .*train-images.gz 2 x 3: give files of one size"),
    (of_another_class, "test-labels: the label '9' does not occur in training"),
    (missing, "there is no file .*test-images.gz"),
]


@pytest.mark.parametrize(("spoil", "sentence"), MISTAKES, ids=[spoil.__name__ for spoil, _ in MISTAKES])
def test_a_malformed_file_is_told(spoil: Callable[[dict[str, str], Path], None], sentence: str, tmp_path: Path) -> None:
    named = files(tmp_path)
    spoil(named, tmp_path)
    with pytest.raises(DataError, match=sentence):
        IdxImages(**named, validation_size=2).load()


def test_wrong_options(tmp_path: Path) -> None:
    named = files(tmp_path)
    with pytest.raises(ValueError, match="batch_size=0 is too small"):
        IdxImages(**named, batch_size=0)
    with pytest.raises(ValueError, match="test_images and test_labels belong together"):
        IdxImages(**{**named, "test_labels": None})
    with pytest.raises(DataError, match=r"validation_size=12 leaves none of the 12 pictures of .*train-images.gz"):
        IdxImages(**named, validation_size=12).load()


# a run


def test_a_run_reads_pictures_and_predicts_digits(command: Callable[..., Done], tmp_path: Path) -> None:
    """Pictures that are black but for one column: which one is the class."""
    count = 90
    pixels = [200 * (column == number % 3) for number in range(count) for _ in range(HEIGHT) for column in range(WIDTH)]
    write(tmp_path / "images", (count, HEIGHT, WIDTH), pixels)
    write(tmp_path / "labels", (count,), [7 + number % 3 for number in range(count)])
    shown = command(
        "train", "task=classification", "data=idx_images", "encoder=features", "data.train_images=images",
        "data.train_labels=labels", "data.validation_size=10", "data.batch_size=10", "backbone.hidden_size=8",
        "training.steps=40", "training.learning_rate=0.05", "training.validate_every=40", "hydra.run.dir=run",
    )  # fmt: skip
    assert shown.status == 0, shown.err
    assert "2 steps -> " in shown.out + shown.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["validation"]["accuracy"] == 1.0
    assert json.loads(command("evaluate", "run", "split=validation").out)["accuracy"] == 1.0
    found = command("predict", "run", "0.78 0 0, 0.78 0 0", "0 0 0.78, 0 0 0.78")
    assert found.out == "7\n9\n"
    wrong = command("predict", "run", "a text")
    assert (wrong.status, wrong.out) == (2, "\n")  # the line of the input stays empty
    assert 'line 1: step 1 is "a text": write finite numbers' in wrong.err
    assert "Traceback" not in wrong.err


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 3)])
def test_pictures_are_read_in_two_dimensions(
    height: int, width: int, command: Callable[..., Done], tmp_path: Path
) -> None:
    """Pictures of one grey, of one pixel or of incomplete blocks: how bright they are is the class."""
    count = 60
    write(
        tmp_path / "images",
        (count, height, width),
        [100 * (n % 3) for n in range(count) for _ in range(height * width)],
    )
    write(tmp_path / "labels", (count,), [number % 3 for number in range(count)])
    shown = command(
        "train", "experiment=mnist_pictures", "data.train_images=images", "data.train_labels=labels",
        "data.test_images=null", "data.test_labels=null", "data.validation_size=10", "data.batch_size=10",
        "backbone.hidden_size=8", "training.epochs=null", "training.steps=60", "training.learning_rate=0.05",
        "training.warmup_steps=0", "training.validate_every=60", "hydra.run.dir=run",
    )  # fmt: skip
    assert shown.status == 0, shown.err
    assert f"{height} x {width} pixels -> " in shown.out + shown.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["validation"]["accuracy"] == 1.0
    assert "the model reads pictures or clips of idx files" in command("predict", "run", "x.png").err


# MNIST


def test_mnist(real_data: str) -> None:
    """Sizes, and how often each digit occurs, as LeCun, Cortes & Burges count them."""
    _, data = seqzoo.build("experiment=mnist_rows", f"data.root={real_data}")
    assert data.splits() == {"train": 55_000, "validation": 5_000, "test": 10_000}
    assert (data.spec.input_size, data.spec.targets.labels) == (28, list("0123456789"))
    batches = list(data.batches("test"))
    counts = torch.cat([batch.targets for batch in batches]).bincount().tolist()
    assert counts == [980, 1_135, 1_032, 1_010, 982, 892, 958, 1_028, 974, 1_009]
    first = batches[0]
    assert first.inputs.shape == (data.batch_size, 28, 28)
    assert data.spec.targets.decode(first.targets[:5].tolist()) == "7 2 1 0 4"
    # the bar of the first picture, a seven
    assert first.inputs[0, 7, 6:10].mul(255).round().tolist() == [84.0, 185.0, 159.0, 151.0]
