from __future__ import annotations

import gzip
import lzma
import zipfile
from pathlib import Path

import pytest

from seqzoo.data.reading import read_conll, read_labelled_lines, read_lines, read_parallel, read_table, read_text
from seqzoo.errors import DataError


def write(path: Path, text: str, encoding: str = "utf-8") -> str:
    path.write_bytes(text.encode(encoding))
    return str(path)


def test_lines_end_at_newlines_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\ufeffone\u0085still one\r\ntwo\u2028still two\n\nfour")
    assert read_lines(path) == ["one\u0085still one", "two\u2028still two", "", "four"]


def test_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"x\ny\n"))
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(b"x\ny\n"))
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.writestr("a.txt", "x\ny\n")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("_about.txt", "about")
        archive.writestr("fra.txt", "x\ny\n")
    for name in ("a.txt.gz", "a.txt.xz", "one.zip", "one.zip::a.txt", "two.zip::fra.txt"):
        assert read_lines(str(tmp_path / name)) == ["x", "y"]
    with pytest.raises(DataError, match=r"two.zip holds several files: name one, as in .*two.zip::fra.txt"):
        read_lines(str(tmp_path / "two.zip"))
    with pytest.raises(DataError, match=r"holds no file 'fr.txt'. Did you mean 'fra.txt'"):
        read_lines(str(tmp_path / "two.zip::fr.txt"))


@pytest.mark.parametrize("name", ["a.gz", "a.xz", "a.zip"])
def test_a_broken_archive(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "not an archive")
    with pytest.raises(DataError, match=f"{name} cannot be read .*is it whole"):
        read_text(path)


def test_another_encoding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "eins\nzwei\nfünf\n", "latin-1")
    with pytest.raises(DataError, match=r"a.txt:3: byte 0xfc at position 11 is not utf-8: set data.encoding .*iconv"):
        read_text(path)
    assert read_lines(path, "latin-1")[2] == "fünf"
    with pytest.raises(DataError, match="There is no encoding 'latin-9x'"):
        read_text(path, "latin-9x")


def test_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.txt is empty"):
        read_text(write(tmp_path / "a.txt", " \n\n"))


def test_tables(tmp_path: Path) -> None:
    tsv = write(tmp_path / "a.tsv", 'label\tid\ttext\n1\t7\the said "no"\n\n0\t8\tfine\u0085then \n')
    rows = read_table(tsv, ["text", "label"])
    assert [row.fields for row in rows] == [['he said "no"', "1"], ["fine\u0085then", "0"]]
    assert [row.where for row in rows] == [f"{tsv}:2", f"{tsv}:4"]
    csv = write(tmp_path / "a.csv", 'label, text\n1,"a, ""b""\nc"\n0, d \n')
    assert [row.fields for row in read_table(csv, ["text", "label"])] == [['a, "b"\nc', "1"], ["d", "0"]]
    bare = write(tmp_path / "b.txt", "a b\t1\nc\t0\n")
    assert [row.fields for row in read_table(bare, [0, 1])] == [["a b", "1"], ["c", "0"]]
    jsonl = write(tmp_path / "a.jsonl", '{"text": "a", "label": 1}\n\n{"label": 0, "text": "b"}\n')
    assert [row.fields for row in read_table(jsonl, ["text", "label"])] == [["a", "1"], ["b", "0"]]
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(b"label,text\n1,a\n"))
    assert read_table(str(packed), ["text"])[0].fields == ["a"]


def test_mistakes_in_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.tsv has no column 'txt'. Did you mean 'text'"):
        read_table(write(tmp_path / "a.tsv", "label\ttext\n1\ta\n"), ["txt"])
    with pytest.raises(DataError, match=r"b.tsv:3: 1 columns where at least 2 are needed"):
        read_table(write(tmp_path / "b.tsv", "label\ttext\n1\ta\n1\n"), ["text", "label"])
    with pytest.raises(DataError, match=r"c.jsonl:2: not JSON"):
        read_table(write(tmp_path / "c.jsonl", '{"text": "a"}\n{"text"\n'), ["text"])
    with pytest.raises(DataError, match=r"d.jsonl:1: no key 'text'. Did you mean 'texts'"):
        read_table(write(tmp_path / "d.jsonl", '{"texts": "a"}\n'), ["text"])
    with pytest.raises(DataError, match=r"e.jsonl:1: found '\[1\]', expected an object"):
        read_table(write(tmp_path / "e.jsonl", "[1]\n"), ["text"])
    with pytest.raises(DataError, match=r"f.csv:2: not CSV"):
        read_table(write(tmp_path / "f.csv", 'text\n"a" b"\n'), ["text"])


def test_labelled_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "1 a good one\n\nDESC:manner How ?\n")
    assert [row.fields for row in read_labelled_lines(path)] == [["1", "a good one"], ["DESC:manner", "How ?"]]
    with pytest.raises(DataError, match=r"b:2: found 'alone', expected a label, a space and a text"):
        read_labelled_lines(write(tmp_path / "b", "1 a\nalone\n"))


CONLLU = """# sent_id = 1
1-2\tdon't\t_\t_
1\tdo\tdo\tAUX
2\tn't\tnot\tPART
2.1\tghost\t_\t_

# sent_id = 2
1\t#\t#\tSYM
"""


def test_conllu_leaves_out_comments_ranges_and_empty_nodes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conllu", CONLLU)
    first, second = read_conll(path, ["form", "upos"])
    assert first.columns == [["do", "n't"], ["AUX", "PART"]]
    assert first.where == f"{path}:3"
    assert second.columns == [["#"], ["SYM"]]
    with pytest.raises(DataError, match=r"has no column 'ups'. Did you mean 'upos'"):
        read_conll(path, ["form", "ups"])


def test_conll_by_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "-DOCSTART- -X- O\n\n# X O\nrun  NN B-x\n \n\nc\u00a0d\tNN\tO")
    sentences = read_conll(path, [0, -1])
    assert [sentence.columns for sentence in sentences] == [[["#", "run"], ["O", "B-x"]], [["c\u00a0d"], ["O"]]]
    with pytest.raises(DataError, match=r"b:2: 1 columns where at least 2 are needed"):
        read_conll(write(tmp_path / "b", "a O\nb\n"), [0, 1])
    with pytest.raises(DataError, match=r"c:1: 2 columns where at least 4 are needed"):
        read_conll(write(tmp_path / "c", "1\tdo\n"), ["form", "upos"])
    with pytest.raises(DataError, match="holds no sentences"):
        read_conll(write(tmp_path / "d", "# only\n"), ["form"])


def test_parallel_files(tmp_path: Path) -> None:
    source, target = write(tmp_path / "a.de", "eins \nzwei\n"), write(tmp_path / "a.en", "one\ntwo")
    assert [row.fields for row in read_parallel(source, target)] == [["eins", "one"], ["zwei", "two"]]
    with pytest.raises(DataError, match=r"a.de has 2 lines, but .*b.en has 1"):
        read_parallel(source, write(tmp_path / "b.en", "one\n"))
