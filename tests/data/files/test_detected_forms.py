"""The form of a user's file is detected, reported, and refused where it is unclear."""

from __future__ import annotations

import bz2
import gzip
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.files.classification_files import ClassificationFiles
from seqzoo.data.files.parallel_files import ParallelFiles
from seqzoo.data.files.poems import PoemFiles, json_poems
from seqzoo.data.files.tagging_files import TaggingFiles
from seqzoo.data.files.text_files import TextFiles
from seqzoo.data.sources.encodings import find_encoding

TEXTS = ["A good, long film with actors", "bad; so very very bad it hurt", "I did not like it at all", "fine"]
LABELS = ["pos", "neg", "neg", "pos"]
PAIRS = list(zip(TEXTS, LABELS, strict=True))


def write(path: Path, text: str, encoding: str = "utf-8") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return str(path)


def read(train: str, **options: object) -> tuple[list[tuple[str, str]], list[str]]:
    """The texts and labels of a file, and the remarks."""
    data = ClassificationFiles(train=train, validation_fraction=0.0, **options)  # type: ignore[arg-type]
    examples = data.read()["train"]
    return [(str(example.source), str(example.target)) for example in examples], list(data.remarks)


@pytest.mark.parametrize(
    ("name", "content", "remark"),
    [
        (
            "a.csv",
            "review,stars\n" + "".join(f'"{text}",{label}\n' for text, label in PAIRS),
            (
                "table with columns separated by commas, a header; texts: column 'review', labels: column 'stars' "
                "(2 classes: pos, neg)"
            ),
        ),
        (
            "a.txt",
            "".join(f"{label}\t{text}\n" for text, label in PAIRS),
            "table with columns separated by tabs, no header; texts: column 1, labels: column 0 (2 classes: pos, neg)",
        ),
        (
            "a.csv",
            "id;comment;class\n" + "".join(f'{i};"{text}";{label}\n' for i, (text, label) in enumerate(PAIRS)),
            (
                "table with columns separated by semicolons, a header; texts: column 'comment', labels: column 'class' "
                "(2 classes: pos, neg); unused: column 'id' (choose by data.text_column, data.label_column)"
            ),
        ),
        (
            "a.data",
            "".join(f"{label:8s}{text}\n" for text, label in PAIRS),
            (
                "table with columns separated by spaces, no header; texts: column 1, labels: column 0 "
                "(2 classes: pos, neg)"
            ),
        ),
        (
            "a.train",
            "".join(f"{label} {text} indeed\n" for text, label in PAIRS),
            "lines of a label and a text, 2 classes: pos, neg (data.format)",
        ),
        (
            "a.jsonl",
            "".join(json.dumps({"body": text, "y": label, "spans": [1]}) + "\n" for text, label in PAIRS),
            "JSON; texts: column 'body', labels: column 'y' (2 classes: pos, neg)",
        ),
        (
            "a.json",
            json.dumps({"data": [{"sentence": text, "label": label} for text, label in PAIRS]}, indent=1),
            "JSON; texts: column 'sentence', labels: column 'label' (2 classes: pos, neg)",
        ),
        (
            "a.json",
            json.dumps(
                {"meta": {"n": 4}, "response": {"docs": [{"sentence": text, "label": label} for text, label in PAIRS]}}
            ),
            "JSON; texts: column 'sentence', labels: column 'label' (2 classes: pos, neg)",
        ),
        (
            "a.json",
            json.dumps({str(i): {"sentence": PAIRS[i][0], "label": PAIRS[i][1], "t": [{"i": i}]} for i in range(4)}),
            "JSON; texts: column 'sentence', labels: column 'label' (2 classes: pos, neg)",
        ),
        *(
            (
                "a.dat",
                "".join(f"{text}{separator}{label}\n" for text, label in PAIRS),
                (
                    f"table with columns separated by {called}, no header; texts: column 0, labels: column 1 "
                    "(2 classes: pos, neg)"
                ),
            )
            for separator, called in (("::", "double colons"), ("^", "carets"), ("|||", "triple bars"))
        ),
        (
            "a.txt",
            json.dumps([{"sentence": text, "label": label} for text, label in PAIRS]),
            "JSON; texts: column 'sentence', labels: column 'label' (2 classes: pos, neg)",
        ),
    ],
)
def test_forms_of_labelled_texts(tmp_path: Path, name: str, content: str, remark: str) -> None:
    examples, remarks = read(write(tmp_path / name, content))
    assert [(text.removesuffix(" indeed"), label) for text, label in examples] == PAIRS
    assert remarks == [f"{name}: {remark}"]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_marks(tmp_path: Path, end: str, encoding: str) -> None:
    text = (end or "\n").join(f"{label}\t{text} für alle" for text, label in PAIRS) + end
    examples, remarks = read(write(tmp_path / "a.tsv", text, encoding))
    assert examples == [(f"{text} für alle", label) for text, label in PAIRS]
    assert (len(remarks) == 2) == (encoding == "utf-16")
    assert encoding != "utf-16" or remarks[0] == "a.tsv: utf-16 by the byte order mark"


def test_fields_padded_with_spaces_and_tabs(tmp_path: Path) -> None:
    """As in the UCI repository."""
    sequence = "actg" * 14
    rows = [
        f"{'+-'[i % 2]},S{i},\t\t{'ga'[i % 2]}{i:b}{sequence}".replace("1", "t").replace("0", "c") for i in range(40)
    ]
    examples, remarks = read(write(tmp_path / "promoters.data", "\n".join(rows)))
    assert len(examples) == 40
    assert set("".join(text for text, _ in examples)) == set("acgt")
    assert {label for _, label in examples} == {"+", "-"}
    assert "separated by commas, no header; texts: column 2, labels: column 0" in remarks[0]


def test_quotes_commas_and_line_ends_within_fields(tmp_path: Path) -> None:
    text = 'label,text\nx,"one, two\nthree ""four"""\ny,"five\n\nsix, seven"\nx,eight\n'
    examples, _ = read(write(tmp_path / "a.csv", text))
    assert examples == [('one, two\nthree "four"', "x"), ("five\n\nsix, seven", "y"), ("eight", "x")]


def test_a_first_row_that_only_looks_like_a_header(tmp_path: Path) -> None:
    rows = "text,1\n" + "".join(f"number {i} is a fine example,{i % 2}\n" for i in range(12))
    examples, remarks = read(write(tmp_path / "a.csv", rows))
    assert examples[0] == ("text", "1")
    assert "no header" in remarks[0]
    examples, _ = read(write(tmp_path / "b.csv", f"what,how\n{rows}"))
    assert len(examples) == 13
    assert examples[0] == ("text", "1")


def test_what_is_given_wins(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", "text,label,other\n" + "".join(f"t {i},{i % 2},{i % 3}\n" for i in range(12)))
    examples, _ = read(table)
    assert examples[:2] == [("t 0", "0"), ("t 1", "1")]
    examples, remarks = read(table, label_column="other")
    assert examples[2] == ("t 2", "2")
    assert "labels: column 'other' (3 classes" in remarks[0]
    assert read(table, label_column=2)[0][2] == ("t 2", "2")
    assert read(table, text_column="label", label_column="other")[0][2] == ("0", "2")
    with pytest.raises(DataError, match=r"has no column 'texts' .*Did you mean 'text'"):
        read(table, text_column="texts")
    lines = write(tmp_path / "a.txt", "1 a film\n0 another film\n" * 5)
    assert read(lines, format="label_first")[1] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "".join(f"first text number {i},second text number {i},third text number {i},{i % 2}\n" for i in range(9)),
            r"several columns that may be the texts, column 0, column 1, column 2: choose by data.text_column",
        ),
        (
            "".join(f"some text number {i},{'ab'[i % 2]},{'cde'[i % 3]}\n" for i in range(20)),
            r"several columns that may be the labels, column 1, column 2: choose by data.label_column",
        ),
        (
            "".join(f"some text number {i},{i}\n" for i in range(20)),
            "no column with few different values.*label_column",
        ),
        (
            "".join(f"word{i} and some more\n" * (1 + i % 2) for i in range(40)),
            "neither a table nor lines of LABEL text",
        ),
        ("only one line of text", "neither a table nor lines of LABEL text"),
        ("(1 (0 a) (1 b))\n(0 (0 a) (1 b))\n", "has bracketed trees"),
        ("a $T$ c\nb\n1\n", r"has a target in each text \(\$T\$\): set data.marked=true"),
    ],
)
def test_what_is_unclear_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "a.txt", content))


def test_one_class(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "".join(f"text number {i},pos\n" for i in range(20)))
    with pytest.raises(DataError, match="every training example has the label 'pos'"):
        ClassificationFiles(train=path).load()


def test_splits_are_read_like_the_training_split(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", "label,text\n" + "".join(f"{i % 2},text number {i}\n" for i in range(20)))
    data = ClassificationFiles(train=train, test=write(tmp_path / "test.csv", "text,label\nnumber one,1\n"))
    assert data.read()["test"][0][:2] == ("number one", "1")
    data = ClassificationFiles(train=train, test=write(tmp_path / "test.jsonl", '{"text": "number one", "label": 1}\n'))
    assert data.read()["test"][0][:2] == ("number one", "1")
    assert len(data.remarks) == 2
    assert data.read()["test"][0][:2] == ("number one", "1")
    assert len(data.remarks) == 2  # reading again does not repeat them


def test_a_folder_or_a_file_per_class(tmp_path: Path) -> None:
    for label, text in zip(LABELS, TEXTS, strict=True):
        write(tmp_path / "reviews" / label / f"{text[:3]}.txt", f"{text}\nThe end.\n")
        write(tmp_path / "names" / f"{label}.txt", f"{text}\nThe end.\n")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (tmp_path / "names").iterdir():
            archive.write(path, f"names/{path.name}")
        archive.writestr("about.txt", "about")
    documents, remarks = read(str(tmp_path / "reviews"))
    assert sorted(documents) == sorted((f"{text}\nThe end.", label) for text, label in PAIRS)
    assert remarks == ["reviews: one text per file, labels are names of folders: neg, pos (2 classes)"]
    assert read(str(tmp_path / "reviews/*/*.txt"))[0] == documents
    lines, _ = read(str(tmp_path / "names"))
    assert lines == [("I did not like it at all", "neg"), ("The end.", "neg"), ("fine", "pos"), ("The end.", "pos")]
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "names", "names")
    assert read(str(tmp_path / "a.tar.gz::names/*.txt"))[0] == lines
    packed, remarks = read(str(tmp_path / "a.zip::names/*.txt"))
    assert packed == lines
    assert remarks == ["*.txt: one text per line, labels are names of files: neg, pos (2 classes)"]
    with pytest.raises(DataError, match=r"no files .*a.zip::name/\*.txt. .*names/neg.txt"):
        read(str(tmp_path / "a.zip::name/*.txt"))
    with pytest.raises(DataError, match="folders in its folders: give the folder of one split"):
        read(str(tmp_path))
    write(tmp_path / "names" / "README.md", "about")
    with pytest.raises(DataError, match=r"names has files of several kinds: give a pattern .*\*.txt"):
        read(str(tmp_path / "names"))


def test_encodings(tmp_path: Path) -> None:
    latin = write(tmp_path / "a.tsv", "".join(f"{i % 2}\tfünf Stück Nr. {i}\n" for i in range(20)), "latin-1")
    examples, remarks = read(latin)
    assert examples[3] == ("fünf Stück Nr. 3", "1")
    assert remarks[0] == (
        "a.tsv: read as latin-1, since not UTF-8; if letters are wrong, set data.encoding, perhaps to gb18030 or cp1250"
    )
    assert find_encoding(write(tmp_path / "b", "a “quoted” text", "cp1252")) == "cp1252"
    assert find_encoding(write(tmp_path / "c", "ein Wort ü")) == "utf-8"
    (tmp_path / "d").write_bytes("ein langes Wort ü".encode()[:-1])
    assert find_encoding(str(tmp_path / "d")) == "latin-1"
    chinese = write(tmp_path / "e.tsv", "1\t这个酒店很好\n0\t不好\n1\t很好\n", "gb18030")
    with pytest.raises(DataError, match=r"e.tsv is not UTF-8: set data.encoding .* perhaps gb18030"):
        read(chinese)
    assert read(chinese, encoding="gb18030", label_column=0)[0][1] == ("不好", "0")


def test_compressed_json_is_running_text(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"id": i, "text": f"document {i}\nends"}) + "\n" for i in range(30))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "b.txt.bz2").write_bytes(bz2.compress(b"plain text\n" * 30))
    data = TextFiles(train=str(tmp_path / "a.jsonl.gz"), test=str(tmp_path / "b.txt.bz2"))
    texts = {split: "".join(pieces) for split, pieces in data.read().items()}
    assert texts["train"].startswith("document 0\nends\ndocument 1\nends\n")
    assert texts["test"] == "plain text\n" * 30
    assert data.remarks == ["a.jsonl.gz: JSON; texts: key 'text' (data.text_column)"]
    poems = write(tmp_path / "c.json", json.dumps([{"title": "t", "paragraphs": ["春。", "夏。"]}] * 9))
    data = TextFiles(train=poems, validation_fraction=0.2)
    assert "".join(data.read()["train"]).startswith("春。\n夏。\n春。")
    unclear = write(tmp_path / "d.jsonl", '{"left": "one text", "right": "another"}\n')
    with pytest.raises(DataError, match=r"JSON whose texts may be left or right: set data.text_column"):
        TextFiles(train=unclear).read()
    assert "".join(TextFiles(train=unclear, text_column="right", test=unclear).read()["test"]) == "another\n"
    brackets = write(tmp_path / "e.txt", "[music] la la\n{x}\n" * 9)
    assert "".join(TextFiles(train=brackets, test=brackets).read()["test"]).startswith("[music] la")


def test_a_library_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(DataError, match=r"a.txt.zst needs zstandard, which is not installed"):
        read(write(tmp_path / "a.txt.zst", "text"))


LINES = ["青山入白雲，春草過寒江。", "流水隨明月，孤村映夕陽。"]


@pytest.mark.parametrize(
    "content",
    [
        [{"paragraphs": LINES}, {"title": "t", "paragraphs": [LINES[0]]}],
        [LINES, LINES[:1]],
        ["".join(LINES), LINES[0]],
        {"tang": [{"author": "a", "content": "\n".join(LINES)}, {"lines": LINES[:1]}]},
        {"one": {"text": LINES}, "two": {"text": LINES[0]}},
    ],
)
def test_poems_in_json(content: object) -> None:
    for text in (json.dumps(content), json.dumps(content, indent=1, ensure_ascii=False)):
        assert [poem.replace("\n", "") for poem in json_poems(text) or []] == ["".join(LINES), LINES[0]]
    assert json_poems("青山入白雲") is None


def test_poems_that_are_left_out_are_counted(tmp_path: Path) -> None:
    poems = [[f"{chr(0x5000 + i)}山入白雲，春草過寒江。", LINES[1]] for i in range(8)]
    path = write(tmp_path / "a.json", json.dumps([*poems, poems[0], ["短。", "長長。"], ["三字經。"]]))
    data = PoemFiles(train=path, validation_fraction=0.25, test_fraction=0.25)
    assert sum(map(len, data.poems().values())) == 8
    assert data.remarks[0] == "a.json: JSON, 11 poems"
    assert data.remarks[1].startswith("a.json: 8 of 11 poems are kept: 2 do not have an even number of lines")
    assert "1 are duplicates" in data.remarks[1]


def test_tables_of_pairs(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", 'en;de\n"Yes; it is";Ja\nNo;Nein\n')
    data = ParallelFiles(train_source=table, validation_fraction=0.0)
    assert [example[:2] for example in data.read()["train"]] == [("Yes; it is", "Ja"), ("No", "Nein")]
    assert "semicolons, a header; sources: column 'en', targets: column 'de'" in data.remarks[0]
    objects = write(tmp_path / "a.jsonl", '{"en": "Yes", "de": "Ja"}\n{"en": "No", "de": "Nein"}\n')
    data = ParallelFiles(train_source=objects, source_column=1, target_column="en", validation_fraction=0.0)
    assert [example[:2] for example in data.read()["train"]] == [("Ja", "Yes"), ("Nein", "No")]
    with pytest.raises(DataError, match=r"not a table of pairs: .*data.train_target"):
        ParallelFiles(train_source=write(tmp_path / "a.en", "Yes\nNo\n")).read()


def test_tags_after_commas(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "Ada,NNP,B-PER\nlives,VBZ,O\n\nYes,UH,O\n")
    data = TaggingFiles(train=path, validation=path)
    assert data.read()["train"][0][:2] == (["Ada", "lives"], ["B-PER", "O"])
    assert data.remarks == ["a.csv: 3 columns separated by commas; tokens: the first, tags: the last (data.columns)"]
