"""Sentences for a user: short, and harmless on a terminal."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import seqzoo
from seqzoo.contracts.errors import LONGEST_SENTENCE, ConfigError, DataError, SeqzooError, closest, shortened


def test_a_long_quote_is_cut_in_the_middle() -> None:
    told = str(DataError(f"there is no file {'a' * 100_000}/end.txt in /data: give another name"))
    assert told == f"there is no file {'a' * 28}...{'a' * 20}/end.txt in /data: give another name"


@pytest.mark.parametrize("value", ["x" * 100_000, "x y " * 25_000, "'" * 100_000, "\x1b" * 100_000, "诗" * 100_000])
def test_no_sentence_is_too_long(value: str) -> None:
    for told in (
        str(DataError(f"{value!r} is wrong")),
        *ConfigError([f"{value} is wrong", f"{value!r} {value}"]).mistakes,
    ):
        assert len(told) <= LONGEST_SENTENCE
        assert "\x1b" not in told


def test_a_short_sentence_and_a_report_stay_as_they_are() -> None:
    assert shortened("cell.zoneout is 2") == "cell.zoneout is 2"
    report = "2 jobs failed:\n" + "seqzoo train " + "cell=lstm " * 100
    assert str(SeqzooError(report)) == report


def test_each_line_of_a_mistake_is_a_mistake() -> None:
    assert ConfigError(["a\nb", "c"]).mistakes == ["a", "b", "c"]


def test_of_many_names_the_first_are_listed() -> None:
    told = closest("zzz", [f"name_{number:02}" for number in range(50)])
    assert told.startswith(". There are: name_00, name_01, ")
    assert told.endswith(", ... (50 in all)")
    assert len(told) < 200
    assert closest("zzz", []) == ""


PROPER_NAMES = ("Chinese", "CoNLL-U", "RNN", "Triton")


def _ends(message: ast.expr) -> tuple[str, str]:
    """The first and the last literal of an expression, each empty where a value stands in its place."""
    match message:
        case ast.Constant(str(text)):
            return text, text
        case ast.JoinedStr(parts) | ast.List(parts) if parts:
            return _ends(parts[0])[0], _ends(parts[-1])[1]
        case ast.BinOp(left, ast.Add(), right):
            return _ends(left)[0], _ends(right)[1]
    return "", ""


def test_a_message_begins_in_lower_case_and_has_no_full_stop_at_its_end() -> None:
    package, others = Path(seqzoo.__file__).parent, []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and node.args and ast.unparse(node.func).endswith("Error")):
                continue
            beginning, end = _ends(node.args[0])
            capital = beginning[:1].isupper() and not beginning.startswith(PROPER_NAMES)
            if capital or (end.endswith(".") and not end.endswith("...")):
                others.append(f"{path.relative_to(package)}:{node.lineno}")
    assert others == []
