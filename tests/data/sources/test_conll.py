"""CoNLL in, CoNLL out: only the tags change."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError
from seqzoo.data.files.tagging_files import TaggingFiles
from seqzoo.data.sources.conll import Conll, begin_as_conllu, read_conll

CONLLU = """\
# sent_id = 1
# text = Vámonos al mar!
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\t_\tMood=Imp\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\t_\t_\t5\tcase\t_\t_
4\tel\tel\tDET\t_\t_\t5\tdet\t_\t_
5\tmar\tmar\tNOUN\t_\t_\t1\tobl\t_\tSpaceAfter=No
5.1\tmar\tmar\tNOUN\t_\t_\t_\t_\t1:obl\t_
6\t!\t!\tPUNCT\t_\t_\t1\tpunct\t_\t_

# sent_id = 2
1\tNo house\tno\tX\t_\t_\t0\troot\t_\t_

"""


def tagged(conll: Conll, text: str, tags: list[list[str]]) -> str:
    sentences = conll.read(text.split("\n"))
    given = iter(tags)
    lines = [conll.write(sentence, next(given) if sentence.tokens else []) for sentence in sentences]
    return "\n".join(line for some in lines for line in some)


def test_the_right_tags_give_the_same_file() -> None:
    conll = Conll("form", "upos")
    sentences = [sentence for sentence in conll.read(CONLLU.split("\n")) if sentence.tokens]
    assert [sentence.tokens for sentence in sentences] == [["Vamos", "nos", "a", "el", "mar", "!"], ["No house"]]
    assert tagged(conll, CONLLU, [["VERB", "PRON", "ADP", "DET", "NOUN", "PUNCT"], ["X"]]) == CONLLU


def test_other_tags_change_their_column_alone() -> None:
    found = tagged(Conll("form", "upos"), CONLLU, [["A"] * 6, ["B"]])
    changed = [(a, b) for a, b in zip(CONLLU.split("\n"), found.split("\n"), strict=True) if a != b]
    assert len(changed) == 7
    for before, after in changed:
        old, new = before.split("\t"), after.split("\t")
        assert new[3] in ("A", "B")
        assert old[:3] + old[4:] == new[:3] + new[4:]


@pytest.mark.parametrize(
    ("columns", "line", "expected"),
    [
        ((0, -1), "a\tO", "a\tB-x"),
        ((0, -1), "a O", "a B-x"),
        ((0, -1), "a  NN  O ", "a  NN  B-x "),  # space stays as it was
        ((0, -1), "a", "a\tB-x"),  # no tags yet
        ((0, 1), "a", "a\tB-x"),
        ((0, 2), "a NN", "a NN B-x"),
        ((0, 2), "a\tNN", "a\tNN\tB-x"),
        ((1, 0), "O a", "B-x a"),
        ((-1, 0), "O a", "B-x a"),
        ((0, -1), "-DOCSTART- -X- O O", "-DOCSTART- -X- O O"),
        ((0, -1), "a\t", "a\tB-x"),  # a field between tabs may be empty
        ((0, 2), "a\tNN\t", "a\tNN\tB-x"),
        ((0, 1), "a\t\tO", "a\tB-x\tO"),
        ((0, 1), "a\tO\t", "a\tB-x\t"),
        ((0, 1), "\u3000 O", "\u3000 B-x"),  # a space that is a token
        (("form", "upos"), "1\tgo\tgo\t\tX\t_\t0\troot\t_\t_", "1\tgo\tgo\tB-x\tX\t_\t0\troot\t_\t_"),
    ],
)
def test_columns(columns: tuple[int, int], line: str, expected: str) -> None:
    assert tagged(Conll(*columns), f"{line}\n\n", [["B-x"]]) == f"{expected}\n\n"


@pytest.mark.parametrize("line", ["\u3000 O", "\u3000\tO", " \u3000 \tO"])
def test_a_wide_space_may_be_a_token(line: str) -> None:
    [sentence] = Conll(0, 1).read([line])
    assert sentence.tokens == ["\u3000"]


def test_blank_lines_and_an_end_without_one_are_kept() -> None:
    text = "\n\na O\n\n\n\nb O"
    assert tagged(Conll(0, -1), text, [["O"], ["O"]]) == text


def test_lines_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="line 2: 1 columns, and none for the token"):
        list(Conll(1, 0).read(["O a", "O"]))
    with pytest.raises(DataError, match="line 2: 1 columns, and none for the tag"):
        tagged(Conll(0, 3), "\na", [["O"]])
    with pytest.raises(DataError, match="line 2: 1 columns, and none for the token"):
        list(Conll(1, 0).read(["O\ta", "New York"]))  # among tabs, a space separates nothing
    with pytest.raises(DataError, match=r"CoNLL-U has no column 'upso'. Did you mean 'upos'"):
        Conll("form", "upso")


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode())
    return str(path)


def test_what_conllu_has_besides_words_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conllu", CONLLU.replace("1\tNo house", "1\t#"))
    for columns in ({"tag": "upos"}, {"token": None, "tag": -1}, {}):
        conll, (first, second), _ = read_conll(path, columns)
        assert (conll.token, conll.tag) == (1, 3)
        assert first.tokens == ["Vamos", "nos", "a", "el", "mar", "!"]
        assert first.tags == ["VERB", "PRON", "ADP", "DET", "NOUN", "PUNCT"]
        assert first.where == f"{path}:4"
        assert second.tokens == ["#"]
    with pytest.raises(DataError, match=r"has no column 'ups'. Did you mean 'upos'"):
        read_conll(path, {"token": "form", "tag": "ups"})


@pytest.mark.parametrize(
    ("text", "name", "conllu"),
    [
        (CONLLU, "a.txt", True),
        (f"\n\n{CONLLU}", "", True),
        ("go\tO\n", "a.conllu", True),
        ("go\tO\n", "a.conll", False),
        ("# go\tO\n", "", False),
        ("1\t2\n", "", False),
        ("a" + "\t_" * 9, "", False),
        ("", "", False),
    ],
)
def test_what_conllu_is(text: str, name: str, conllu: bool) -> None:
    lines = text.split("\n")
    found, again = begin_as_conllu(iter(lines), name)
    assert found is conllu
    assert list(again) == lines


def test_what_was_taken_for_a_tag_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.conllu", CONLLU * 10)
    data = TaggingFiles(train=path, validation=path)
    data.load()
    assert data.spec.targets.labels == ["ADP", "DET", "NOUN", "PRON", "PUNCT", "VERB", "X"]
    assert data.remarks[0] == "a.conllu: CoNLL-U; tokens: column form, tags: column upos (data.columns.tag)"
    data = TaggingFiles(train=path, validation=path, columns={"token": None, "tag": "deprel"})
    data.load()
    assert "root" in data.spec.targets.labels
    assert not data.remarks


@pytest.mark.parametrize(
    "text",
    [
        "-DOCSTART- -X- O\n\n# X O\nrun  NN B-x\n \n\nc\u00a0d NN O",
        "-DOCSTART-\tO\n\n#\tX\tO\nrun\tNN\tB-x\n\t\nc\u00a0d\tNN\tO\n",
        "\ufeff# X O \r\nrun NN B-x\r\n\r\nc\u00a0d\tNN\tO\r\n",
    ],
)
def test_conll_by_number(tmp_path: Path, text: str) -> None:
    _, sentences, _ = read_conll(write(tmp_path / "a", text), {"token": 0, "tag": -1})
    assert [sentence[:2] for sentence in sentences] == [(["#", "run"], ["O", "B-x"]), (["c\u00a0d"], ["O"])]


@pytest.mark.parametrize(
    ("text", "columns", "told"),
    [
        ("a O\nb\n", {"tag": 1}, "a:2: too few columns, 1 of at least 2"),
        ("go\n", {}, "a:1: too few columns, 1 of at least 2"),  # the token is no tag
        ("1\tdo\n", {"tag": "upos"}, "a:1: too few columns, 2 of at least 4"),
        ("# only\n", {"tag": "upos"}, "has no sentences"),
        (
            "go\tO\t\n",
            {"tag": -1},
            r"a:1: the tag is empty: the line ends in a tab. Remove it, or set data.columns.tag=1",
        ),
        ("go\tO\nno\t\n", {"tag": -1}, "a:2: the tag is empty"),
        ("go\tNN\t\n", {"tag": 2}, "a:1: the tag is empty: fill it in"),
        ("\tO\n", {}, "a:1: the token is empty"),
        ("New O\nNew York O\n", {"tag": 1}, "a:2: 3 columns, but 2 in the first line of the sentence"),
        ("go\tO\nNew York\n", {"tag": 1}, "a:2: too few columns, 1 of at least 2"),
        (CONLLU, {"tag": "deps"}, r"a has no tags: its column deps is _ everywhere"),
    ],
)
def test_lines_without_a_tag(tmp_path: Path, text: str, columns: dict, told: str) -> None:
    text = text.replace("1:obl", "_")
    with pytest.raises(DataError, match=told):
        read_conll(write(tmp_path / "a", text), columns)
