from __future__ import annotations

import pytest

from seqzoo.contracts.verse_notation import RHYMES, Form, lines_of, poem, rhymes_of

LINES = ["床前明月光", "疑是地上霜", "舉頭望明月", "低頭思故鄉"]


def test_a_poem_and_its_lines() -> None:
    text = poem(LINES)
    assert text == "5x4床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。"
    assert lines_of(text.removeprefix("5x4")) == LINES
    assert lines_of(str(["床前明月光，疑是地上霜。", "舉頭望明月，低頭思故鄉。"])) == LINES


def test_the_last_line_is_closed_whatever_its_number() -> None:
    assert [Form(5, 3).mark(line) for line in range(3)] == ["，", "。", "。"]
    assert [Form(5, 1).mark(0)] == ["。"]


@pytest.mark.parametrize(
    ("together", "apart"),
    [
        ("光霜鄉", "流"),
        ("流樓州", "光"),
        ("知時詩", "衣"),
        ("東風燈", "人"),
        ("月雪", "書"),
        ("居魚衣", "知"),
        ("家花斜", "多"),
    ],
)
def test_rhymes(together: str, apart: str) -> None:
    common = set.intersection(*map(rhymes_of, together))
    assert len(common) == 1
    assert not common & rhymes_of(apart)


def test_a_character_rhymes_by_any_of_its_readings() -> None:
    assert {RHYMES[number][0] for number in rhymes_of("行")} == {"ang", "eng"}  # háng and xíng
    assert {RHYMES[number][0] for number in rhymes_of("還")} == {"ai", "an"}  # hái and huán


def test_what_is_no_character_of_verse_rhymes_with_nothing() -> None:
    assert rhymes_of("，") == rhymes_of("x") == set()
