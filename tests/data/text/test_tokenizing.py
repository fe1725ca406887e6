from __future__ import annotations

import builtins
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seqzoo.contracts.errors import DataError, not_installed
from seqzoo.data.text import tokenizing
from seqzoo.data.text.tokenizing import get_tokenizer


@pytest.mark.parametrize(
    ("name", "text", "tokens"),
    [
        ("whitespace", " a  b\tc ", ["a", "b", "c"]),
        ("lower_case", " A  b\tÇ! ", ["a", "b", "ç!"]),
        ("lines:whitespace", " a b\nc\n", ["a", "b", "<eos>", "c", "<eos>"]),
        ("lines:words", "a,\n\nb", ["a", ",", "<eos>", "<eos>", "b"]),
        ("unbracketed", "( ( [MAX 2 ) 9 ) ]", ["[MAX", "2", "9", "]"]),
        ("characters", "ab c", ["a", "b", " ", "c"]),
        ("reversed:characters", "12+3", ["3", "+", "2", "1"]),
        ("words", "Don't (really) go, 2!", ["Don", "'", "t", "(", "really", ")", "go", ",", "2", "!"]),
        ("basic_english", 'It\'s "so" good: yes.', ["it", "'", "s", "so", "good", "yes", "."]),
    ],
)
def test_split(name: str, text: str, tokens: list[str]) -> None:
    assert get_tokenizer(name).split(text) == tokens


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("characters", "a b\n"),
        ("reversed:characters", "12+3"),
        ("reversed:words", "Go (now), 2!"),
        ("lines:words", "a b.\nc\n"),
        ("words", "Go (now), 2!"),
    ],
)
def test_join_undoes_split(name: str, text: str) -> None:
    tokenizer = get_tokenizer(name)
    assert tokenizer.join(tokenizer.split(text)) == text


def test_basic_english_is_torchtexts() -> None:
    pytest.importorskip("torchtext")
    ours, theirs = get_tokenizer("basic_english"), get_tokenizer("torchtext:basic_english")
    for text in [
        "You can now install TorchText using pip!",
        "a<br />b<br/>c; d: e 'quoted' \"twice\" ''",
        '(x.y.z)? <br" /> <br;/> ,,, ...',
        "it's\u00a0a\u0085b\u2028c \u202f?",
        "",
    ]:
        assert ours.split(text) == theirs.split(text)


def test_other_tokenizers_of_torchtext() -> None:
    pytest.importorskip("torchtext")
    with pytest.raises(DataError, match='torchtext cannot give the tokenizer "nonsense"'):
        get_tokenizer("torchtext:nonsense")
    if importlib.util.find_spec("nltk") is None:
        with pytest.raises(DataError, match=r'"torchtext:toktok" needs one more package: .*nltk'):
            get_tokenizer("torchtext:toktok")
    else:
        assert get_tokenizer("torchtext:toktok").split("Hello, world") == ["Hello", ",", "world"]


def test_without_torchtext_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: object) -> object:
        if name.startswith("torchtext"):
            raise ImportError("no torchtext")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match=r"pip install torchtext==0.6.0"):
        get_tokenizer("torchtext:toktok")
    assert get_tokenizer("basic_english").split("A b.") == ["a", "b", "."]


def test_torchtext_is_imported_only_when_asked_for() -> None:
    code = "import sys, seqzoo.data; sys.exit('torchtext' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_words_of_chinese() -> None:
    tokenizer = get_tokenizer("chinese_words")
    assert tokenizer.split("我来到北京清华大学") == ["我", "来到", "北京", "清华大学"]
    for text in ("他来到了网易杭研大厦。", "用 Python 3.11 写的 程序！", "她说：“好。”"):
        assert tokenizer.join(tokenizer.split(text)) == text


def test_chinese_words_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizing, "_jieba", tokenizing._jieba.__wrapped__)
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(DataError, match=re.escape(not_installed("jieba"))):
        get_tokenizer("chinese_words")


def test_jieba_may_be_imported_where_warnings_are_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its source has ways to write patterns that Python warns of when it compiles it for the first time."""
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    for module in [name for name in sys.modules if name.partition(".")[0] == "jieba"]:
        monkeypatch.delitem(sys.modules, module)
    assert tokenizing._jieba.__wrapped__().lcut("") == []


def test_unknown_name() -> None:
    with pytest.raises(DataError, match="Did you mean 'characters'"):
        get_tokenizer("character")
