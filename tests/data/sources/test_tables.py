"""Tables: what their fields are, and what is not taken for a field."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.sources.tables import read_table


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


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
    with pytest.raises(DataError, match=r"b.tsv:3: the row has 1 field, the header has 2 \(label, text\)"):
        read_table(write(tmp_path / "b.tsv", "label\ttext\n1\ta\n1\n"), ["text", "label"])
    with pytest.raises(DataError, match=r"c.jsonl:2: not JSON"):
        read_table(write(tmp_path / "c.jsonl", '{"text": "a"}\n{"text"\n'), ["text"])
    with pytest.raises(DataError, match=r"d.jsonl:1: column 0 is a number, but JSON has names: give one of texts"):
        read_table(write(tmp_path / "d.jsonl", '{"texts": "a"}\n'), [0])
    with pytest.raises(DataError, match=r"d.jsonl:1: no key 'text'. Did you mean 'texts'"):
        read_table(write(tmp_path / "d.jsonl", '{"texts": "a"}\n'), ["text"])
    with pytest.raises(DataError, match=r"e.jsonl:1: found '\[1\]', expected an object"):
        read_table(write(tmp_path / "e.jsonl", "[1]\n"), ["text"])
    with pytest.raises(DataError, match=r"f.csv:2: not CSV"):
        read_table(write(tmp_path / "f.csv", 'text\n"a" b"\n'), ["text"])


@pytest.mark.parametrize("member", ["", "::a.csv"])
def test_the_name_within_an_archive_says_what_it_is(tmp_path: Path, member: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", 'text,label\n"one, two",pos\n')
    assert read_table(f"{tmp_path / 'a.zip'}{member}", ["text", "label"])[0].fields == ["one, two", "pos"]


@pytest.mark.parametrize(
    ("name", "text", "columns", "told"),
    [
        (
            "a.csv",
            "text,label\nfine,pos\nthe film is bad, really 7,neg\n",
            ["text", "label"],
            r"a.csv:3: the row has 3 fields, the header has 2 \(text, label\). Quote the text if it contains commas",
        ),
        ("a.csv", 'text,label\n"two\nlines",pos,\n', ["text"], r"a.csv:2: the row has 3 fields, the header has 2"),
        ("a.csv", "id,text,label\n1,fine\n", ["text"], r"a.csv:2: the row has 2 fields, the header has 3"),
        ("a.csv", "fine,pos\nbad, really,neg\n", [0, 1], r"a.csv:2: the row has 3 fields, the first row has 2"),
        ("a.tsv", "text\tlabel\nfine\tday\tpos\n", ["text"], r"a.tsv:2: the row has 3 .* Remove the tabs inside"),
        (
            "a.tsv",
            'text\tlabel\n"two\nlines"\tpos\n',
            ["text"],
            r"a.tsv:2: .* Quotes have no meaning here",
        ),
        ("a.csv", "a film,pos\n", ["text"], r"There are: a film, pos. Without a header, columns are given by zero"),
        ("a.csv", "text;label\na;pos\n", ["text"], r"Does its suffix tell the wrong separator"),
        ("a.csv", "text,text,label\na,b,pos\n", ["text"], r"has 2 columns 'text': rename them"),
        ("a.csv", "a,pos\n", [0, 2], r"has no column 2: its rows have 2 fields, counted from 0"),
    ],
)
def test_rows_that_are_not_like_the_others(
    tmp_path: Path, name: str, text: str, columns: list[str | int], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        read_table(write(tmp_path / name, text), columns)


def test_quotes_of_a_tab_separated_file_are_characters(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"Fine," he said\tpos\n"all of it"\tpos\n')
    assert [row.fields[0] for row in read_table(path, ["text"])] == ['"Fine," he said', '"all of it"']


def test_a_row_of_several_lines_is_named_by_its_first(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"a\nb",pos\n\nc,neg\n')
    assert [row.where for row in read_table(path, ["text"])] == [f"{path}:2", f"{path}:5"]


def test_a_document_longer_than_the_limit_of_the_csv_module(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"text,label\n{'a ' * 100_000},pos\n")
    assert len(read_table(path, ["text"])[0].fields[0]) == 199_999


def test_numbers_and_booleans_of_json_are_as_json_writes_them(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": 2012, "label": true}\n{"text": " a ", "label": -0.5}\n')
    assert [row.fields for row in read_table(path, ["text", "label"])] == [["2012", "true"], ["a", "-0.5"]]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("null", "'label' is null: remove the row, or fill it in"),
        ("[1]", "'label' is a list, expected a text, a number, true or false"),
        ("{}", "'label' is an object, expected"),
        ("NaN", "'label' is nan, which is not a finite number"),
        ("1e999", "'label' is inf, which is not a finite number"),
        ('"\\ud800"', r"\\ud800 is half of a character"),
    ],
)
def test_values_of_json_that_are_no_field(tmp_path: Path, value: str, told: str) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"label": 1}}\n{{"label": {value}}}\n')
    with pytest.raises(DataError, match=f"a.jsonl:2: {told}"):
        read_table(path, ["label"])


def test_lists_are_lines_where_they_may_be(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"lines": ["one", "two"]}\n')
    assert read_table(path, ["lines"], lists=True)[0].fields == ["one\ntwo"]
    path = write(tmp_path / "b.jsonl", '{"lines": ["one", null]}\n')
    with pytest.raises(DataError, match=r"b.jsonl:1: 'lines' is null"):
        read_table(path, ["lines"], lists=True)
