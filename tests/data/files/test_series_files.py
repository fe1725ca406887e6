"""Labelled series from files: batches, splits, saved scaling, and a run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import seqzoo
from seqzoo.contracts.errors import DataError
from seqzoo.data.files.series_files import SeriesFiles
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain
from tests.conftest import Done

HEADER = "@dimensions 1\n@classLabel true low high\n@data\n"


def write(path: Path, count: int = 20, header: str = HEADER) -> str:
    """Series n has 1 + n % 3 steps of value n, which is high from the middle on."""
    rows = [f"{','.join([str(n)] * (1 + n % 3))}:{'high' if 2 * n >= count else 'low'}" for n in range(count)]
    path.write_text(header + "\n".join(rows) + "\n", encoding="utf-8")
    return str(path)


def loaded(folder: Path, **options: Any) -> SeriesFiles:
    data = SeriesFiles(**{"train": write(folder / "train.ts"), "batch_size": 4, **options})
    data.load()
    return data


def test_batches_are_padded_and_scaled_by_the_training_split(tmp_path: Path) -> None:
    data = loaded(tmp_path, test=write(tmp_path / "test.ts", 6))
    assert data.splits() == {"train": 16, "validation": 4, "test": 6}
    inputs, count = 0.0, 0
    for batch in data.batches("train"):
        real = torch.arange(batch.inputs.shape[1]) < batch.lengths[:, None]
        assert not batch.inputs[~real].any()
        assert (batch.targets == (batch.inputs[:, 0, 0] < 0)).all(), "high, low: in alphabetic order"
        inputs, count = inputs + batch.inputs[real].sum().item(), count + int(batch.lengths.sum())
    assert inputs / count == pytest.approx(0, abs=1e-6)
    [channel] = data.spec.channels.means
    tested = torch.cat([batch.inputs[:, 0, 0] for batch in data.batches("test")])
    assert sorted((tested * data.spec.channels.scales[0] + channel).tolist()) == pytest.approx([*range(6)], abs=1e-5)


def test_held_out_series_have_the_same_share_of_each_class(tmp_path: Path) -> None:
    data = loaded(tmp_path, validation_fraction=0.3, test_fraction=0.2)
    counts = {
        split: torch.cat([batch.targets for batch in data.batches(split)]).bincount().tolist()
        for split in data.splits()
    }
    assert counts == {"train": [5, 5], "validation": [3, 3], "test": [2, 2]}
    assert data.spec.class_counts == [5, 5]


def test_labels_of_steps_are_for_tagging(tmp_path: Path) -> None:
    rows = [f"{n},{t},{t},{'odd' if t % 2 else 'even'}" for n in range(10) for t in range(1, 4)]
    (tmp_path / "a.csv").write_text("case,time,x,label\n" + "\n".join(rows) + "\n")
    data = SeriesFiles(train=str(tmp_path / "a.csv"))
    data.load()
    assert data.spec.kind == "tagging"
    batch = next(data.batches("validation"))
    assert [data.spec.targets.decode([tag]) for tag in batch.targets[0].tolist()] == ["odd", "even", "odd"]


def test_numeric_targets_are_for_regression(tmp_path: Path) -> None:
    header = HEADER.replace("@classLabel true low high", "@targetLabel true")
    path = tmp_path / "numbers.ts"
    path.write_text(header + "".join(f"{n}:{n}.5\n" for n in range(10)))
    data = loaded(tmp_path, train=str(path))
    assert (data.spec.kind, data.spec.output_size, data.spec.per_step) == ("regression", 1, False)
    assert next(data.batches("validation")).targets.shape == (2, 1)


def test_what_is_said_of_the_data(tmp_path: Path) -> None:
    rows = "".join(f"{n % 2}\t7\t7\n" for n in range(20))
    (tmp_path / "train.tsv").write_text(rows)
    (tmp_path / "test.tsv").write_text("5\t7\t7\n")
    data = SeriesFiles(train=str(tmp_path / "train.tsv"), test=str(tmp_path / "test.tsv"))
    data.load()
    assert data.remarks[0].startswith("train.tsv, test.tsv: table with columns separated by tabs, one row per series")
    assert data.remarks[1] == "channels that do not vary in the training split: value"
    assert data.remarks[2].startswith("labels that do not occur in training and cannot be predicted: 5 at ")


def test_wrong_data(tmp_path: Path) -> None:
    wide = tmp_path / "wide.ts"
    wide.write_text("@dimensions 2\n@classLabel true a b\n@data\n1:2:a\n")
    with pytest.raises(
        DataError, match=r"wide.ts has 2 channels, but .*train.ts has 1: give files of the same channels"
    ):
        loaded(tmp_path, test=str(wide))
    with pytest.raises(DataError, match="the validation split of the data has no series"):
        loaded(tmp_path, validation_fraction=0.0)
    same = tmp_path / "same.ts"
    same.write_text(HEADER + "1:low\n" * 10)
    with pytest.raises(DataError, match="every training series has the label 'low'"):
        loaded(tmp_path, train=str(same))
    with pytest.raises(ValueError, match=r"validation_fraction=1.5 must be at least 0 and below 1"):
        SeriesFiles(train="a.ts", validation_fraction=1.5)


def test_saved_scaling(tmp_path: Path) -> None:
    data = loaded(tmp_path)
    plain = json.loads(json.dumps(spec_to_plain(data.spec)))
    spec = spec_from_plain(plain)
    assert spec.channels == data.spec.channels
    data.load(spec)
    for name, value in (
        ("means", [math.inf]),
        ("scales", [0.0]),
        ("scales", [1.0, 1.0]),
        ("masked", True),
        ("names", 3),
    ):
        damaged = {**plain, "channels": {**plain["channels"], name: value}}
        with pytest.raises(DataError, match="damaged"):
            spec_from_plain(damaged)


def test_a_run_scores_and_predicts_new_files(command: Callable[..., Done], tmp_path: Path) -> None:
    write(tmp_path / "train.ts", 40)
    write(tmp_path / "new.ts", 40)
    shown = command(
        "train", "task=classification", "data=series_files", "data.train=train.ts", "backbone.hidden_size=8",
        "training.steps=60", "training.learning_rate=0.05", "training.validate_every=60", "hydra.run.dir=run",
        "ensemble=1", "task.dropout=0", "encoder.dropout=0",
    )  # fmt: skip
    assert shown.status == 0, shown.err
    assert "train.ts: .ts file of 40 series" in shown.out + shown.err
    assert json.loads(command("evaluate", "run", "data.test=new.ts").out)["accuracy"] > 0.9
    assert command("predict", "run", "1, 1", "?, 39").out == "low\nhigh\n"
    (tmp_path / "unlabelled.ts").write_text("@dimensions 1\n@data\n2,2\n38\n")
    assert command("predict", "run", "--series", "unlabelled.ts").out == "low\nhigh\n"
    lines = command("predict", "run", "--series", "unlabelled.ts", "--json").out.splitlines()
    assert json.loads(lines[1])["input"].endswith("unlabelled.ts:4")
    assert "--series needs a file" in command("predict", "run", "--series").err
    assert "1 numbers" not in command("predict", "run", "1 2").out


def test_japanese_vowels(real_data: str) -> None:
    """Sizes as Kudo, Toyama & Shimbo give them: 9 speakers, 12 coefficients, 7 to 29 steps."""
    _, data = seqzoo.build("task=classification", "data=japanese_vowels", f"data.root={real_data}")
    lengths = torch.cat([batch.lengths for split in data.splits() for batch in data.batches(split)])
    assert (lengths.min(), lengths.max()) == (7, 29)
    assert data.spec.targets.labels == list("123456789")
    tests = torch.cat([batch.targets for batch in data.batches("test")]).bincount().tolist()
    assert tests == [31, 35, 88, 44, 29, 24, 40, 50, 29]
