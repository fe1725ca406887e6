from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.verse_notation import lines_of, rhymes_of
from seqzoo.data.files.poems import GeneratedPoems, PoemFiles

OPTIONS = {"validation_fraction": 0.25, "test_fraction": 0.25, "batch_size": 1, "evaluation_batch_size": 1}


def written(folder: Path, poems: list[list[str]]) -> str:
    path = folder / "poems.jsonl"
    path.write_text("".join(json.dumps({"paragraphs": lines}) + "\n" for lines in poems), encoding="utf-8")
    return str(path)


def regular(number: int) -> list[str]:
    first = chr(0x5000 + number)
    return [f"{first}山入白雲，春草過寒江。", "流水隨明月，孤村映夕陽。"]


def test_irregular_and_repeated_poems_are_left_out(tmp_path: Path) -> None:
    others = [
        ["青山入白雲，春草過江。"],
        ["青山入白雲，春草過寒江。流水隨明月。"],
        ["青山入白雲，春□過寒江。"],
        ["山白雲，過寒江。"],
        ["青山入白雲，春草過寒江。"] * 3,
        regular(1),
    ]
    data = PoemFiles(
        train=written(tmp_path, [*map(regular, range(8)), *others]), text_column="paragraphs", max_lines=4, **OPTIONS
    )
    poems = data.poems()
    assert {split: len(found) for split, found in poems.items()} == {"train": 4, "validation": 2, "test": 2}
    found = sorted(lines for some in poems.values() for lines in some)
    assert found == sorted(tuple(lines_of("".join(regular(number)))) for number in range(8))
    assert data.poems() == poems
    data.load()
    for split, [text] in data.read().items():
        rows = [row for batch in data.batches(split) for row in zip(batch.inputs.tolist(), batch.lengths, strict=True)]
        decoded = "".join(data.spec.inputs.decode(row[:length]) for row, length in rows)
        assert len(decoded.replace("<unk>", "倀")) == len(text) - 1
        assert split != "train" or decoded == text[:-1]
        assert all(part.startswith("5x4") and part.endswith("。") for part in text.split("\n")[1:])


def test_a_poem_a_line_and_seven_characters(tmp_path: Path) -> None:
    path = tmp_path / "poems.txt"
    path.write_text("".join(f"{chr(0x5000 + i)}年青山入白雲，處處春草過寒江。\n" for i in range(4)), encoding="utf-8")
    found = PoemFiles(train=str(path), forms=[7], **OPTIONS).poems()
    assert sum(map(len, found.values())) == 4
    with pytest.raises(DataError, match=r"has 0 regular poems of data.forms=\[5\]: too few to split"):
        PoemFiles(train=str(path), forms=[5], **OPTIONS).poems()


def test_shares_that_leave_nothing() -> None:
    with pytest.raises(ValueError, match="together: they must be below 1"):
        PoemFiles(train="poems.txt", validation_fraction=0.5, test_fraction=0.5)


def test_generated_poems_are_regular_and_rhyme() -> None:
    splits = GeneratedPoems(train_size=50, validation_size=10, test_size=10).poems()
    poems = [lines for found in splits.values() for lines in found]
    assert len(set(poems)) == 70
    for lines in poems:
        assert {len(line) for line in lines} in ({5}, {7})
        assert len(lines) == 4
        assert rhymes_of(lines[1][-1]) & rhymes_of(lines[3][-1])


def test_tang_poems(real_data: str) -> None:
    data = PoemFiles(train="chinese_poetry/tang.jsonl.gz", text_column="paragraphs", root=real_data)
    poems = data.poems()
    assert {split: len(found) for split, found in poems.items()} == {
        "train": 39_167,
        "validation": 2_176,
        "test": 2_176,
    }
    assert not set(poems["train"]) & {*poems["validation"], *poems["test"]}
