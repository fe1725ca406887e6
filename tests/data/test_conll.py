"""CoNLL in, CoNLL out: only the tags change."""

from __future__ import annotations

import pytest

from seqzoo.data.conll import Conll
from seqzoo.errors import DataError

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
    ],
)
def test_columns(columns: tuple[int, int], line: str, expected: str) -> None:
    assert tagged(Conll(*columns), f"{line}\n\n", [["B-x"]]) == f"{expected}\n\n"


def test_blank_lines_and_an_end_without_one_are_kept() -> None:
    text = "\n\na O\n\n\n\nb O"
    assert tagged(Conll(0, -1), text, [["O"], ["O"]]) == text


def test_lines_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="Line 2: 1 columns, and none for the token"):
        list(Conll(1, 0).read(["O a", "O"]))
    with pytest.raises(DataError, match="'a' has 1 columns, and none for the tag"):
        tagged(Conll(0, 3), "a", [["O"]])
    with pytest.raises(DataError, match=r"CoNLL-U has no column 'upso'. Did you mean 'upos'"):
        Conll("form", "upso")
