"""Commands in messages can be pasted, wherever seqzoo was started from."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path

import pytest

from seqzoo.commands.predict import _write
from seqzoo.errors import not_installed, printable, printable_lines, program


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bin of a virtual environment in the current folder, with seqzoo and Python in it, and nothing on the PATH."""
    scripts = tmp_path / "my project" / ".venv" / "bin"
    scripts.mkdir(parents=True)
    for name in ("seqzoo", "python"):
        _script(scripts / name)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(scripts))
    monkeypatch.setattr(sys, "executable", str(scripts / "python"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path / "my project")
    return scripts


def _script(path: Path) -> None:
    path.touch()
    path.chmod(0o755)


def test_a_program_on_the_path_has_its_name(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(environment))
    assert program("seqzoo") == "seqzoo"
    assert program("tensorboard") == "python -m tensorboard.main"
    assert not_installed("optuna") == "optuna, which is not installed: python -m pip install optuna"


def test_without_activation_the_script_is_called_by_its_path(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert program("seqzoo") == ".venv/bin/seqzoo"
    assert program("tensorboard") == ".venv/bin/python -m tensorboard.main"
    monkeypatch.chdir(environment)
    assert program("seqzoo") == f"'{environment / 'seqzoo'}'", "the name alone would be looked for on the PATH"


def test_a_program_of_another_environment_is_not_meant(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("seqzoo", "pip", "python"):
        _script(other / name)
    monkeypatch.setenv("PATH", os.pathsep.join([str(other), str(environment)]))
    assert program("seqzoo") == ".venv/bin/seqzoo"
    assert program("pip") == ".venv/bin/python -m pip"


def test_a_link_on_the_path_to_the_script_has_its_name(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pipx makes them."""
    links = tmp_path / "links"
    links.mkdir()
    (links / "seqzoo").symlink_to(environment / "seqzoo")
    monkeypatch.setenv("PATH", str(links))
    assert program("seqzoo") == "seqzoo"


def test_what_would_act_on_a_terminal_is_written_as_an_escape() -> None:
    hostile = "a\x1b[2J\x9b31m\u202e\tb\nc"
    assert printable(hostile) == r"a\u001b[2J\u009b31m\u202e\u0009b\u000ac"
    assert printable_lines(hostile) == r"a\u001b[2J\u009b31m\u202e\u0009b" + "\nc"
    line = json.dumps({"prediction": hostile}, ensure_ascii=False)
    assert json.loads(printable(line)) == {"prediction": hostile}


@pytest.mark.parametrize(("terminal", "shown"), [(True, r"\u001b[2Jdog"), (False, "\x1b[2Jdog")])
def test_predictions_are_as_they_are_but_for_a_terminal(
    terminal: bool, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    _write("\x1b[2Jdog")
    assert capsys.readouterr().out == f"{shown}\n"
