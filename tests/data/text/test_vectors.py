from __future__ import annotations

import gzip
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch

import seqzoo
from seqzoo.contracts.errors import ConfigError, DataError
from seqzoo.data.files.tagging_files import TaggingFiles
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain
from seqzoo.data.text.vectors import VectorFile
from seqzoo.data.text.vocabulary import SOURCE_SPECIALS, TARGET_SPECIALS, Vocabulary

TEXT = "the 1 2 3\nCat -0.5 0.25 1e-3\ncat 4 5 6\n. . . 7 8 9\n. 7 8 9\nthe 9 9 9\n"


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_only_wanted_rows_are_read_and_the_first_counts(tmp_path: Path) -> None:
    file = VectorFile(write(tmp_path / "v.txt", TEXT), ["The", "Cat", ".", "dog"])
    assert list(file.ids) == ["the", "Cat", "cat", "."]
    torch.testing.assert_close(
        file.values, torch.tensor([[1.0, 2, 3], [-0.5, 0.25, 1e-3], [4, 5, 6], [7, 8, 9]]), rtol=0, atol=0
    )
    assert [file.row(word) for word in ("the", "The", "Cat", "CAT", "dog")] == [0, 0, 1, 2, None]
    assert list(VectorFile(write(tmp_path / "v.txt", TEXT)).ids) == ["the", "Cat", "cat", "."]
    assert VectorFile(write(tmp_path / "v.txt", TEXT), ["dog"]).values.shape == (0, 3)


def test_headers_and_packed_files_are_read(tmp_path: Path) -> None:
    expected = VectorFile(write(tmp_path / "v.txt", TEXT)).values
    (tmp_path / "v.vec.gz").write_bytes(gzip.compress(f"6 3\n{TEXT}".encode()))
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.writestr("a.txt", "")
        archive.writestr("v.3d.txt", TEXT.replace("\n", " \n"))
    for name in ("v.vec.gz", "v.zip::v.3d.txt"):
        assert torch.equal(VectorFile(str(tmp_path / name)).values, expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "v.txt:1: expected a word and its vector"),
        ("the\n", "v.txt:1: expected a word and its vector"),
        ("2 3\nthe 1 2 3\ncat 1 2\n", "v.txt:3: 2 numbers, not 3: is it a complete text file"),
        ("the 1 2 3\ncat 1 two 3\n", "v.txt:2: 'two' is not a finite number"),
        ("2 3\nthe 1 2 3\ncat 1 2 nan\n", "v.txt:3: 'nan' is not a finite number"),
        ("the 1 2 -inf\n", "v.txt:1: '-inf' is not a finite number"),
        ("the 1 2 1e39\n", "v.txt:1: '1e39' is not a finite number"),
        ("the 1\u00a02 3\n", "not every vector has 2 numbers"),
        ("2 0\nthe\ncat\n", "v.txt:1: vectors of 0 numbers"),
        (f"2 {'9' * 5000}\nthe 1\n", "v.txt:1: vectors of 9{40} numbers"),
    ],
)
def test_a_damaged_file_is_told(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        VectorFile(write(tmp_path / "v.txt", text))


def test_vectors_are_those_of_torchtext(real_data: str, tmp_path: Path) -> None:
    vocab = pytest.importorskip("torchtext.vocab")
    with gzip.open(f"{real_data}/glove/glove.6B.100d.20k.txt.gz", "rt", encoding="utf-8") as file:
        write(tmp_path / "glove.txt", "".join(line for line, _ in zip(file, range(3000), strict=False)))
    theirs = vocab.Vectors("glove.txt", cache=str(tmp_path))
    ours = VectorFile(str(tmp_path / "glove.txt"), theirs.itos)
    assert ours.ids == theirs.stoi
    assert torch.equal(ours.values, theirs.vectors)


def test_vectors_of_a_vocabulary_and_their_coverage(tmp_path: Path) -> None:
    vocabulary = Vocabulary([*SOURCE_SPECIALS, "dog", "The", "cat"])
    file = VectorFile(write(tmp_path / "v.txt", TEXT), vocabulary.tokens)
    vectors = file.of(vocabulary, Counter({"The": 5, "cat": 2, "dog": 2, "rare": 1}))
    assert (vectors.words, vectors.known, vectors.share) == (4, 2, 0.7)
    assert vectors.ids is not None
    assert vectors.values is not None
    assert vectors.ids.tolist() == [3, 4]
    assert vectors.values.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_of_special_tokens_only_the_unknown_one_has_a_vector(tmp_path: Path) -> None:
    path = write(tmp_path / "v.txt", "<pad> 1 1\n<unk> 2 2\n<bos> 3 3\n<eos> 4 4\na 5 5\n")
    targets = Vocabulary([*TARGET_SPECIALS, "a"])
    assert VectorFile(path).of(targets, Counter()).ids.tolist() == [1, 4]
    # in a source they are words
    sources = Vocabulary([*SOURCE_SPECIALS, "<bos>", "<eos>", "a"], len(SOURCE_SPECIALS))
    assert VectorFile(path).of(sources, Counter()).ids.tolist() == [1, 2, 3, 4]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Training words: the (3 times), dog (2), house (1); then cat in validation, and mouse in no split."""
    write(tmp_path / "train.conll", "the D\ndog N\n\nThe D\ndog N\n\nthe D\nhouse N\n\nthe D\n")
    write(tmp_path / "dev.conll", "the D\ncat N\n\nthe D\nzebra N\n")
    write(tmp_path / "v.txt", "the 1 2 3\ndog 4 5 6\ncat 7 8 9\nmouse 0 0 1\nhouse 1 1 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tagging(**options: object) -> TaggingFiles:
    data = TaggingFiles(train="train.conll", validation="dev.conll", vectors="v.txt", **options)  # type: ignore[arg-type]
    data.load()
    return data


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "the dog The house cat"),
        ({"min_frequency": 2}, "the dog The cat house"),  # rare, but known from elsewhere
        ({"vectors_words": "all"}, "the dog The house cat mouse"),
        ({"vocabulary_size": 4}, "the dog"),
    ],
)
def test_words_with_a_vector_join_the_vocabulary(options: dict, words: str, files: Path) -> None:
    spec = tagging(**options).spec
    assert spec.inputs.decode(list(range(2, spec.input_size))) == words
    assert spec.vectors is not None
    assert (spec.vectors.words, spec.vectors.known, spec.vectors.share) == (4, 4, 1.0)


OVERRIDES = (
    "task=tagging", "data=tagging_files", "data.train=train.conll", "data.validation=dev.conll", "data.vectors=v.txt",
)  # fmt: skip


def test_the_encoder_starts_from_them(files: Path) -> None:
    model, data = seqzoo.build(*OVERRIDES, "encoder.embedding_size=3")
    weight, ids = model.encoder.embedding.weight, data.spec.inputs.vocabulary.ids
    assert weight[ids["cat"]].tolist() == [7, 8, 9]
    assert weight[ids["The"]].tolist() == [1, 2, 3]
    assert weight[ids["<unk>"]].abs().max() > 0
    assert weight.requires_grad
    model, _ = seqzoo.build(*OVERRIDES, "encoder.embedding_size=3", "encoder.freeze=true")
    assert not model.encoder.embedding.weight.requires_grad
    with pytest.raises(ConfigError, match=r"encoder.embedding_size is 64: .* 3 wide; give encoder.embedding_size=3"):
        seqzoo.build(*OVERRIDES)


def test_a_saved_spec_keeps_the_coverage_alone(files: Path) -> None:
    saved = spec_from_plain(spec_to_plain(tagging().spec))
    assert saved.vectors is not None
    assert (saved.vectors.words, saved.vectors.known, saved.vectors.share) == (4, 4, 1.0)
    assert saved.vectors.values is None
    (files / "v.txt").unlink()
    data = TaggingFiles(train="train.conll", validation="dev.conll", vectors="v.txt")
    data.load(saved)
    assert data.spec is saved


def test_a_finished_run_needs_no_file(files: Path, command) -> None:
    done = command(
        "train", *OVERRIDES, "encoder.embedding_size=3", "encoder.freeze=true", "debug=tiny", "hydra.run.dir=run",
        f"data.root={files}",
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "vectors   4 of 4 words, 100.0% of the training tokens" in done.out + done.err
    (files / "v.txt").unlink()
    weight = seqzoo.load("run").model.encoder.embedding.weight
    assert [7.0, 8.0, 9.0] in weight.tolist()
    assert command("evaluate", "run", "split=validation").status == 0


def test_a_rare_training_word_is_unknown_now_and_then(files: Path) -> None:
    data = tagging(word_dropout=1.0, batch_size=4)
    ids = data.spec.inputs.vocabulary.ids
    seen: Counter[int] = Counter()
    for epoch in range(400):
        for batch in data.batches("train", epoch):
            seen.update(batch.inputs[torch.arange(batch.inputs.shape[1]) < batch.lengths[:, None]].tolist())
    for word, count in {"the": 3, "dog": 2, "house": 1, "The": 1}.items():  # kept with probability n / (n + 1)
        assert seen[ids[word]] / 400 / count == pytest.approx(count / (count + 1), abs=0.06)
    assert seen[0] == 0
    first, again = ([batch.inputs.tolist() for batch in data.batches("train", 3)] for _ in range(2))
    assert first == again
    assert [batch.inputs.tolist() for batch in data.batches("train", 3, start=0)] == first
    (validation,) = data.batches("validation")
    assert sorted(validation.inputs[:, 1].tolist()) == sorted([ids["cat"], 1])
