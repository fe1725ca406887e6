from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqzoo.contracts.batch import BLANK, UNKNOWN
from seqzoo.data.files.cloze_files import ClozeFiles
from seqzoo.data.generated.grammar import GrammarCloze


def test_a_share_of_the_training_tokens_is_blank_and_every_token_is_a_target() -> None:
    data = GrammarCloze(train_size=2_000, validation_size=20, test_size=20, blanks=0.3, batch_size=100)
    data.load()
    batches = list(data.batches("train", epoch=1))
    blank, count = 0, 0
    for batch in batches:
        real = torch.arange(batch.inputs.shape[1]) < batch.lengths[:, None]
        hidden = batch.inputs == BLANK
        blank, count = blank + int(hidden.sum()), count + int(batch.lengths.sum())
        assert not (hidden & ~real).any()
        assert torch.equal(batch.inputs[~hidden], batch.targets[~hidden])
        assert (batch.targets[real] > BLANK).all()
    assert blank / count == pytest.approx(0.3, abs=0.02)
    again = list(data.batches("train", epoch=1, start=3))
    assert all(torch.equal(one.inputs, two.inputs) for one, two in zip(batches[3:], again, strict=True))
    other = next(iter(data.batches("train", epoch=2)))
    assert other.inputs.shape != batches[0].inputs.shape or not torch.equal(other.inputs, batches[0].inputs)
    assert all(torch.equal(batch.inputs, batch.targets) for batch in data.batches("validation"))


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("a.txt", "The cat sat.\n\nA dog ran.\n", {}),
        ("a.csv", 'label,review\n1,"The cat sat."\n0,A dog ran.\n', {"text_column": "review"}),
        ("a.tsv", "1\tThe cat sat.\n0\tA dog ran.\n", {"text_column": 1}),
    ],
)
def test_any_corpus(name: str, content: str, options: dict, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    path = str(tmp_path / name)
    data = ClozeFiles(train=path, validation=path, **options)
    data.load()
    [batch] = data.batches("validation")
    texts = {data.spec.targets.decode(row[:n]) for row, n in zip(batch.targets.tolist(), batch.lengths, strict=True)}
    assert texts == {"the cat sat .", "a dog ran ."}
    assert data.spec.inputs.encode("the ___ .")[1] == BLANK


def test_characters_have_a_blank_of_one_character(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc\ncab\n")
    data = ClozeFiles(train=str(tmp_path / "a.txt"), validation=str(tmp_path / "a.txt"), tokenizer="characters")
    data.load()
    assert data.spec.inputs.encode("a_b")[1] == BLANK


def test_words_with_vectors_are_read_and_those_of_training_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("the cat sat\n")
    (tmp_path / "b.txt").write_text("the dog sat\n")
    (tmp_path / "vectors.txt").write_text("dog 1 2\nthe 3 4\n")
    names = {split: str(tmp_path / f"{name}.txt") for split, name in (("train", "a"), ("validation", "b"))}
    data = ClozeFiles(**names, vectors=str(tmp_path / "vectors.txt"))
    data.load()
    assert (data.spec.input_size, data.spec.output_size) == (7, 6)
    [batch] = data.batches("validation")
    assert data.spec.inputs.decode(batch.inputs[0].tolist()) == "the dog sat"
    assert data.spec.targets.decode(batch.targets[0].tolist()) == "the <unk> sat"


def test_blanks_of_the_text_itself_are_never_a_target(tmp_path: Path) -> None:
    """What they stand for is not known."""
    (tmp_path / "train.txt").write_text("the ___ sat\na dog ___\n" * 4)
    data = ClozeFiles(train=str(tmp_path / "train.txt"), validation=str(tmp_path / "train.txt"), tokenizer="whitespace")
    data.load()
    for split in ("train", "validation"):
        for batch in data.batches(split):
            assert not (batch.targets == BLANK).any()
            if split == "validation":
                assert torch.equal(batch.targets == UNKNOWN, batch.inputs == BLANK)


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="blanks=1 must be"):
        GrammarCloze(blanks=1)
    with pytest.raises(ValueError, match="tokenizer=bpe splits the blank ___"):
        ClozeFiles(train="a", tokenizer="bpe")
