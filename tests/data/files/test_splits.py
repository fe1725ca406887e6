"""Which examples are held out: by class, by group, by time, one at a time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.files.classification_files import ClassificationFiles
from seqzoo.data.splits import held_out_keys, interleaved


def table(path: Path, rows: list[tuple[str, ...]]) -> str:
    names = ("text", "label", "author", "date")[: len(rows[0])]
    path.write_text("".join("\t".join(row) + "\n" for row in [names, *rows]), encoding="utf-8")
    return str(path)


def test_each_split_has_the_same_share_of_each_class(tmp_path: Path) -> None:
    rows = [(f"text {number}", "rare" if number % 10 == 0 else "common") for number in range(400)]
    train = table(tmp_path / "a.tsv", rows)
    splits = ClassificationFiles(train=train, split="stratified", validation_fraction=0.2, test_fraction=0.1).read()
    counts = {split: Counter(example.target for example in examples) for split, examples in splits.items()}
    assert counts == {
        "train": {"common": 252, "rare": 28},
        "validation": {"common": 72, "rare": 8},
        "test": {"common": 36, "rare": 4},
    }
    sources = [str(example.source) for examples in splits.values() for example in examples]
    assert sorted(sources) == sorted(text for text, _ in rows)


def test_a_class_of_one_example_stays_in_training() -> None:
    labels = {number: "single" if number == 17 else "ab"[number % 2] for number in range(100)}
    assert 17 not in held_out_keys(labels, {"validation": 0.2, "test": 0.2}, labels)
    assert [labels[number] for number in interleaved(range(8), labels)] == ["a", "b"] * 4


def test_no_group_is_in_two_splits(tmp_path: Path) -> None:
    rows = [(f"text {number}", "ab"[number % 2], f"author {number % 20}") for number in range(200)]
    train = table(tmp_path / "a.tsv", rows)
    for options in ({"validation_fraction": 0.2, "test_fraction": 0.1}, {"folds": 4, "fold": 1}):
        splits = ClassificationFiles(train=train, groups="author", split="stratified", **options).read()  # type: ignore[arg-type]
        groups = {split: {example.group for example in examples} for split, examples in splits.items()}
        assert sum(map(len, groups.values())) == len(set.union(*groups.values())) == 20
        assert sum(map(len, splits.values())) == 200
    assert {split: len(part) for split, part in groups.items()} == {"train": 13, "validation": 2, "test": 5}


def test_the_latest_examples_are_tested(tmp_path: Path) -> None:
    rows = [
        (f"text {number}", "ab"[number % 2], "x", f"20{10 + number * 7 % 10}-0{1 + number % 9}-03")
        for number in range(100)
    ]
    data = ClassificationFiles(
        train=table(tmp_path / "a.tsv", rows), order="date", validation_fraction=0.1, test_fraction=0.1
    )
    splits = data.read()
    times = {split: sorted(example.time for example in examples) for split, examples in splits.items()}
    assert {split: len(part) for split, part in times.items()} == {"train": 80, "validation": 10, "test": 10}
    assert times["train"][-1] <= times["validation"][0]
    assert times["validation"][-1] <= times["test"][0]
    assert f"test: from {times['test'][0]} by 'date' on" in data.remarks
    assert "order: column 'date'" in data.remarks[0]
    assert "unused: column 'author'" in data.remarks[0]


def test_numbers_are_ordered_by_their_values(tmp_path: Path) -> None:
    rows = [(f"text {number}", "ab"[number % 2], "x", str(number)) for number in range(1, 21)]
    rows += [("text 1", "a", "x", "30")]  # a text is as late as its last example
    data = ClassificationFiles(
        train=table(tmp_path / "a.tsv", rows), order="date", validation_fraction=0, test_fraction=0.1
    )
    assert [example.time for example in data.read()["test"]] == ["1", "20", "30"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ["3/12/2021", "4/12/2021"],
            r"a.tsv:2: '3/12/2021' cannot be put in order \(data.order=date\): write dates as",
        ),
        (["", "2021-01-02"], r"a.tsv:2: '' cannot be put in order"),
        (["7", "2021-01-02"], "has both numbers and dates"),
    ],
)
def test_what_is_no_order(values: list[str], message: str, tmp_path: Path) -> None:
    rows = [(f"text {number}", "ab"[number % 2], "x", values[number % 2]) for number in range(10)]
    train = table(tmp_path / "a.tsv", rows)
    with pytest.raises(DataError, match=message):
        ClassificationFiles(train=train, text_column="text", label_column="label", order="date").read()


def test_groups_that_are_missing(tmp_path: Path) -> None:
    rows = [(f"text {number}", "ab"[number % 2], "x" if number else "") for number in range(10)]
    train = table(tmp_path / "a.tsv", rows)
    with pytest.raises(DataError, match=r"a.tsv:2: the group \(data.groups=author\) is empty"):
        ClassificationFiles(train=train, groups="author").read()
    with pytest.raises(DataError, match=r"has no column 'authors' \(data.groups;.*Did you mean 'author'"):
        ClassificationFiles(train=train, groups="authors").read()


def test_each_text_is_left_out_once(tmp_path: Path) -> None:
    rows = [(f"text {number % 10}", "ab"[number % 2]) for number in range(20)]
    train = table(tmp_path / "a.tsv", rows)
    left_out = []
    for fold in range(10):
        splits = ClassificationFiles(train=train, folds="leave_one_out", fold=fold).read()
        [text] = {str(example.source) for example in splits["test"]}
        left_out.append(text)
    assert sorted(left_out) == [f"text {number}" for number in range(10)]
    with pytest.raises(DataError, match=r"data.fold=10 is out of range: there are 10 folds"):
        ClassificationFiles(train=train, folds="leave_one_out", fold=10).read()
    with pytest.raises(DataError, match=r"data.folds=11 is more than the 10 examples or groups that differ"):
        ClassificationFiles(train=train, folds=11).read()
