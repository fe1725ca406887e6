"""Data sets from files: where they are found, what is held out, what a message says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.examples import Example
from seqzoo.data.files.classification_files import ClassificationFiles
from seqzoo.data.files.held_out import fold_keys, label_of
from seqzoo.data.files.parallel_files import ParallelFiles
from seqzoo.data.files.tagging_files import TaggingFiles
from seqzoo.data.files.text_files import TextFiles
from seqzoo.data.sources.locations import data_root, locate
from seqzoo.data.splits import held_out_keys, parted
from seqzoo.data.text.codec import LabelCodec, spec_from_plain, spec_to_plain

SOURCE = {"name": "toy", "url": "https://example.org/x", "files": {"toy/a.txt": "0" * 64}}


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_folder_of_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEQZOO_DATA", str(tmp_path))
    assert data_root() == tmp_path
    assert data_root("/other") == Path("/other")
    monkeypatch.delenv("SEQZOO_DATA")
    assert data_root() == Path.home() / ".cache" / "seqzoo"


def test_a_path_here_comes_before_the_folder_of_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here, root = tmp_path / "here", tmp_path / "root"
    here.mkdir()
    root.mkdir()
    monkeypatch.chdir(here)
    write(root / "a.txt", "root")
    assert locate("a.txt", str(root)) == str(root / "a.txt")
    write(here / "a.txt", "here")
    assert Path(locate("a.txt", str(root))).read_text() == "here"
    assert locate(str(root / "a.txt")) == str(root / "a.txt")
    assert locate("a.txt::member", str(root)).endswith("a.txt::member")


def test_a_missing_file(tmp_path: Path) -> None:
    root = str(tmp_path)
    with pytest.raises(DataError, match=r"no file toy/b.txt in .* or .*: put it there, or set data.root"):
        locate("toy/b.txt", root, SOURCE)
    with pytest.raises(DataError, match=r"toy/a.txt in .*its sha256 is 0{64}\) with: .*seqzoo data fetch toy"):
        locate("toy/a.txt", root, SOURCE)
    by_hand = {"name": "toy", "files": SOURCE["files"], "about": "Ask the authors."}
    with pytest.raises(DataError, match=r"put it there. Ask the authors"):
        locate("toy/a.txt", root, by_hand)


def test_a_source_is_checked_at_once() -> None:
    with pytest.raises(DataError, match=r"data.source has no key 'urls'. Did you mean 'url'"):
        TextFiles(train="a", source={"name": "x", "files": {}, "urls": "y"})
    with pytest.raises(DataError, match="needs a name and files"):
        TextFiles(train="a", source={"name": "x"})


def test_held_out_sources_lie_on_one_side() -> None:
    examples = [Example(f"text {number % 50}", str(number)) for number in range(200)]
    keys = [(example.source,) for example in examples]
    fractions = {"validation": 0.2, "test": 0.1}
    parts = parted(examples, keys, held_out_keys(keys, fractions), fractions)
    sources = {split: {example.source for example in part} for split, part in parts.items()}
    assert {split: len(part) for split, part in sources.items()} == {"train": 35, "validation": 10, "test": 5}
    assert len(set.union(*sources.values())) == 50
    assert sum(len(part) for part in parts.values()) == 200
    assert parts == parted(examples, keys, held_out_keys(keys, fractions), fractions)


def test_pairs_with_a_text_in_common_lie_on_one_side() -> None:
    """Themselves, or through other pairs: 0-0, 0-1 and 2-1 belong together; a source is no target of the same text."""
    pairs = [(0, 0), (0, 1), (1, 2), (2, 1), (3, 3), (2, 4), (4, 0)]
    examples = [Example(str(source), str(target)) for source, target in pairs]
    keys = ParallelFiles(train_source="a").keys(examples)
    assert keys == [("0",), ("0",), ("1",), ("0",), ("3",), ("0",), ("0",)]


def test_folds_share_out_the_sources_of_each_label() -> None:
    examples = [Example(f"text {number % 90}", "abc"[number % 3] if number % 90 < 60 else "c") for number in range(180)]
    keys = [(str(example.source),) for example in examples]
    folds = [fold_keys(keys, 5, fold, label_of(examples, keys)) for fold in range(5)]
    assert [len(fold) for fold in folds] == [18] * 5
    assert set().union(*folds) == set(keys)
    for fold in folds:
        counts = Counter(example.target for example, key in zip(examples, keys, strict=True) if key in fold)
        assert counts == {"a": 8, "b": 8, "c": 20}
    assert folds[1] == fold_keys(keys, 5, 1, label_of(examples, keys))
    assert folds[1] != fold_keys(keys, 5, 1, None)


def test_a_fold_is_the_test_split(tmp_path: Path) -> None:
    train = write(tmp_path / "a.tsv", "label\ttext\n" + "".join(f"{'xy'[n % 2]}\tt{n}\n" for n in range(50)))
    data = ClassificationFiles(train=train, folds=5, fold=2)
    data.load()
    assert data.splits() == {"train": 36, "validation": 4, "test": 10}
    with pytest.raises(DataError, match=r"data.folds=5 defines a test split, but there already is one"):
        ClassificationFiles(train=train, test=train, folds=5).load()
    for wrong, message in [
        ({"folds": 1}, "folds=1 is too small"),
        ({"folds": 3, "fold": 3}, "fold=3 must be at least 0 and below folds=3"),
        ({"fold": 1}, "fold=1 chooses a fold, but folds is null"),
        ({"folds": 3, "test_fraction": 0.1}, "both define a test split"),
        ({"folds": 3, "order": "date"}, "order=date tests the last examples, folds=3 all"),
    ]:
        with pytest.raises(ValueError, match=message):
            ClassificationFiles(train=train, **wrong)


def test_classification_files(tmp_path: Path) -> None:
    train = write(tmp_path / "train.tsv", "label\ttext\npos\tA good film.\nneg\tA bad film.\n")
    test = write(tmp_path / "test.tsv", "label\ttext\nneg\tA film.\nposs\tbad.\n")
    data = ClassificationFiles(train=train, validation=train, batch_size=1)
    data.load()
    assert data.splits() == {"train": 2, "validation": 2}
    assert data.spec.targets.to_plain() == {"kind": "labels", "labels": ["neg", "pos"]}
    found = {
        data.spec.inputs.decode(batch.inputs[0].tolist()): int(batch.targets[0])  # type: ignore[index]
        for batch in data.batches("train")
    }
    assert found == {"a good film .": 1, "a bad film .": 0}
    data = ClassificationFiles(train=train, validation=train, test=test)
    data.load()
    assert data.remarks[1:] == [f"labels that do not occur in training and cannot be predicted: poss at {test}:3"]


def test_labels_first_and_a_held_out_validation_split(tmp_path: Path) -> None:
    train = write(tmp_path / "train", "".join(f"{'AB'[n % 2]}:x question {n}\n" for n in range(40)))
    data = ClassificationFiles(train=train, format="label_first", label_until=":", validation_fraction=0.25)
    data.load()
    assert data.splits() == {"train": 30, "validation": 10}
    assert data.spec.targets.to_plain()["labels"] == ["A", "B"]
    with pytest.raises(DataError, match="validation split of the data has no examples"):
        ClassificationFiles(train=train, format="label_first", validation_fraction=0).load()
    with pytest.raises(ValueError, match=r"validation_fraction and test_fraction are 1.2 together: they must be below"):
        ClassificationFiles(train="a.tsv", validation_fraction=0.6, test_fraction=0.6)
    with pytest.raises(ValueError, match=r"validation_fraction=1.0 must be at least 0 and below 1"):
        ClassificationFiles(train=train, validation_fraction=1.0)


def test_labels_in_the_names_of_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for label in ("pos", "neg"):
        write(tmp_path / f"rt.{label}.txt", f"a {label} film\n\nanother {label} film\n")
    monkeypatch.chdir(tmp_path.parent)
    data = ClassificationFiles(train="rt.*.txt", format="label_in_name", root=str(tmp_path), validation_fraction=0.25)
    assert sorted(tuple(example[:2]) for example in data.read_split("train") or []) == [
        ("a neg film", "neg"),
        ("a pos film", "pos"),
        ("another neg film", "neg"),
        ("another pos film", "pos"),
    ]
    with pytest.raises(DataError, match=r"there are no files x\*.txt in .*: put it there"):
        ClassificationFiles(train="x*.txt", format="label_in_name").load()
    with pytest.raises(DataError, match=r"has no place for the label: write one \* in its last part"):
        ClassificationFiles(train="rt.pos.txt", format="label_in_name").load()


def test_a_table_as_spreadsheets_write_it(tmp_path: Path) -> None:
    """A byte order mark, \\r\\n, quotes, a line end inside a text, numbers as labels."""
    text = '\ufeffreview,stars\r\n"Good, ""very"" good",5\r\n"First.\r\nSecond.", 1\r\nFine,10\r\n'
    (tmp_path / "a.csv").write_bytes(text.encode())
    table = str(tmp_path / "a.csv")
    data = ClassificationFiles(train=table, validation=table, text_column="review", label_column="stars")
    data.load()
    assert data.spec.targets.labels == ["1", "5", "10"]
    assert [example.source for example in data.read()["train"]] == ['Good, "very" good', "First.\nSecond.", "Fine"]


def test_tagging_files(tmp_path: Path) -> None:
    train = write(tmp_path / "train", "a N\nb V\n\nc N\n")
    test = write(tmp_path / "test", "a N\n\na N\nb ADV\n")
    data = TaggingFiles(train=train, validation=train)
    data.load()
    assert data.remarks == ["train: 2 columns separated by spaces; tokens: the first, tags: the last (data.columns)"]
    (batch,) = data.batches("validation")
    assert batch.targets is not None
    assert batch.targets.tolist() == [[0, 0], [0, 1]]
    assert batch.lengths.tolist() == [1, 2]
    data = TaggingFiles(train=train, validation=train, test=test)
    data.load()
    assert data.spec.targets.to_plain()["labels"] == ["ADV", "N", "V"]
    assert data.remarks[1:] == [f"labels that do not occur in training and cannot be predicted: ADV at {test}:3"]
    with pytest.raises(ValueError, match="tokenizer=bpe splits words, but tags belong to whole words"):
        TaggingFiles(train=train, tokenizer="bpe")
    with pytest.raises(DataError, match=r"there is no tokenizer 'word'. Did you mean 'words'"):
        TaggingFiles(train=train, tokenizer="word")
    for options, asked in (({"scheme": "bioes"}, "data.scheme=bioes"), ({"repair": True}, "data.repair=true")):
        with pytest.raises(DataError, match=f"{asked} is for tags that mark spans"):
            TaggingFiles(train=train, validation=train, **options).load()


SPANS = "a B-x\nb I-x\nc O\nd B-y\n"


def tags(data: TaggingFiles, split: str) -> list[str]:
    assert isinstance(data.spec.targets, LabelCodec)
    rows = [
        row[:n] for batch in data.batches(split) for row, n in zip(batch.targets.tolist(), batch.lengths, strict=True)
    ]
    return [data.spec.targets.decode(row) for row in rows]


def test_span_tags_are_converted(tmp_path: Path) -> None:
    train = write(tmp_path / "train", SPANS)
    other = write(tmp_path / "other", "a B-y\nb I-y\nb I-y\n\nc B-x\n")
    data = TaggingFiles(train=train, validation=other, scheme="bioes")
    data.load()
    assert tags(data, "train") == ["B-x E-x O S-y"]
    assert tags(data, "validation") == ["S-x", "B-y I-y E-y"]  # I-y and S-x are in no training example
    assert data.spec.targets.to_plain()["scheme"] == "bioes"
    assert spec_from_plain(spec_to_plain(data.spec)).targets.to_plain() == data.spec.targets.to_plain()
    assert not data.remarks[1:]


def test_a_type_of_span_that_training_never_saw(tmp_path: Path) -> None:
    train = write(tmp_path / "train", SPANS)
    other = write(tmp_path / "other", "a O\n\nb B-z\n\nb B-z\n")
    data = TaggingFiles(train=train, validation=other, scheme="bioes")
    data.load()
    assert tags(data, "validation") == ["O", "S-z", "S-z"]
    assert data.spec.output_size == 1 + 3 * 4
    assert data.remarks[1:] == [f"labels that do not occur in training and cannot be predicted: S-z at {other}:3"]


def test_broken_span_tags_are_reported_and_repaired(tmp_path: Path) -> None:
    train = write(tmp_path / "train", SPANS)
    other = write(tmp_path / "other", f"a O\nb I-x\n\n{SPANS}\nc I-y\n\nd I-y\n\ne I-y\n")
    data = TaggingFiles(train=train, validation=other)
    data.load()
    places = ", ".join(f"{other}:{line}" for line in (1, 9, 11))
    told = f"4 sentences break the scheme of the tags, bio, at {places}, ...; "
    assert data.remarks[1:] == [f"{told}data.repair=true repairs them"]
    assert "O I-x" in tags(data, "validation")
    for options, repaired in (({"repair": True}, "O B-x"), ({"scheme": "bioes"}, "O S-x")):
        data = TaggingFiles(train=train, validation=other, **options)
        data.load()
        assert data.remarks[1:] == [f"{told}repaired"]
        assert repaired in tags(data, "validation")


def test_columns_of_conllu(tmp_path: Path) -> None:
    rows = ["1\tThe\tthe\tDET", "2\tcats\tcat\tNOUN", "", "1\tRun\trun\tVERB", ""]
    train = write(tmp_path / "a.conllu", "\n".join(rows))
    data = TaggingFiles(train=train, validation=train, columns={"tag": "upos"})
    assert [tuple(example[:2]) for example in data.read()["train"]] == [
        (["The", "cats"], ["DET", "NOUN"]),
        (["Run"], ["VERB"]),
    ]
    data = TaggingFiles(train=train, validation=train, columns={"token": "lemma", "tag": 3})
    assert data.read()["train"][0].source == ["the", "cat"]
    with pytest.raises(ValueError, match="columns has no 'tags': it has token and tag"):
        TaggingFiles(train=train, columns={"tags": "upos"})


def test_parallel_files(tmp_path: Path) -> None:
    source, target = write(tmp_path / "a.de", "Ja!\nNein.\n"), write(tmp_path / "a.en", "Yes!\nNo.\n")
    table = write(tmp_path / "a.tsv", "Yes!\tJa!\nNo.\tNein.\n")
    two = ParallelFiles(train_source=source, train_target=target, validation_source=source, validation_target=target)
    one = ParallelFiles(train_source=table, validation_source=table, source_column=1, target_column=0)
    for data in (two, one):
        data.load()
        (batch,) = data.batches("validation")
        assert batch.targets is not None
        codec = data.spec.targets
        assert sorted(codec.decode(row.tolist()) for row in batch.targets) == ["No.", "Yes!"]
        assert sorted(data.spec.inputs.decode(row.tolist()) for row in batch.inputs) == ["Ja!", "Nein."]


def test_text_files(tmp_path: Path) -> None:
    train = write(tmp_path / "a.txt", "0123456789" * 10)
    data = TextFiles(train=train, batch_size=3, evaluation_batch_size=1, validation_fraction=0.2)
    data.load()
    assert data.splits() == {"train": 79, "validation": 19}
    words = write(tmp_path / "b.txt", "a b c\n" * 9 + "a b c")
    data = TextFiles(train=words, test=words, tokenizer="whitespace", batch_size=2, evaluation_batch_size=1)
    data.load()
    assert data.splits() == {"train": 35, "validation": 3, "test": 39}
