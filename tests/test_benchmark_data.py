"""scripts/benchmark_data.py and make_corpus.py: the same text each time, and peers that give as many ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


def test_a_corpus_of_a_size(load_script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    script = load_script("make_corpus")
    for name in ("a", "b"):
        script.write_corpus(tmp_path / name, 10_000, sentences=100)
    text = (tmp_path / "a").read_text()
    assert 10_000 <= len(text) < 10_200
    assert text.endswith(".\n")
    assert text == (tmp_path / "b").read_text()


def test_other_libraries_read_the_same_words(load_script: Callable[[str], ModuleType]) -> None:
    pytest.importorskip("torchtext")
    script = load_script("benchmark_data")
    texts = script.lines(500)
    ours = script.encode("whitespace", texts)
    assert sum(map(len, ours)) >= 500
    for peer in (script.by_tokenizers, script.by_torchtext):
        theirs = peer(texts)
        pairs = {(a, b) for mine, other in zip(ours, theirs, strict=True) for a, b in zip(mine, other, strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
