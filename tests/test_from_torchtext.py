"""docs/FROM_TORCHTEXT.md: every block runs as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "FROM_TORCHTEXT.md"
BLOCKS = re.findall(r"^```(python|console)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
COMMANDS = [line for language, block in BLOCKS if language == "console" for line in block.splitlines()]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reviews = ["A good film.", "A bad film.", "Good acting, good plot.", "Bad acting and a bad plot."]
    rows = [f'"{review} Number {n}",{5 - 4 * (k % 2)}' for n in range(10) for k, review in enumerate(reviews)]
    sentence = "1\tCats\tcat\tNOUN\n2\trun{}\trun\tVERB\n\n"
    files = {
        "reviews.csv": "\n".join(["review,stars", *rows]),
        "book.txt": "".join(f"line {n} of a book that has few lines\n" for n in range(60)),
        "a.conllu": "".join(map(sentence.format, range(20))),
        "a.de": "".join(f"ein Haus {n}\n" for n in range(20)),
        "a.en": "".join(f"a house {n}\n" for n in range(20)),
        "vectors.txt": "good 1 0 0 0\nbad -1 0 0 0\nfilm 0 1 0 0\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)


def test_the_page_names_every_idea() -> None:
    ideas = "Field LabelField BucketIterator BPTTIterator Vocab Vectors get_tokenizer TabularDataset ngrams_iterator"
    text = PAGE.read_text(encoding="utf-8")
    assert [idea for idea in ideas.split() if idea not in text] == []
    assert len(BLOCKS) >= 7


@pytest.mark.usefixtures("data")
def test_python_blocks_run_one_after_the_other() -> None:
    program = "\n".join(block for language, block in BLOCKS if language == "python")
    exec(compile(program, str(PAGE), "exec"), {})


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: re.search(r"data=\w+|data.vectors", line)[0])
def test_commands_run(line: str, command: Callable) -> None:
    program, *arguments = shlex.split(line)
    assert program == "seqzoo"
    done = command(*arguments, "debug=tiny", "recipe=none", "hydra.run.dir=run")
    assert done.status == 0, done.err
