"""Completion of the command line, also by bash itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from seqzoo.commands.completion import SCRIPTS, candidates
from seqzoo.commands.main import COMMANDS
from seqzoo.configuration import registry


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", sorted(COMMANDS)),
        ("co", ["compare", "completion"]),
        ("train cell=layer", ["cell=layer_norm_gru", "cell=layer_norm_lstm"]),
        ("train -m cell=lstm,layer_norm_g", ["cell=lstm,layer_norm_gru"]),
        ("train se", ["seed="]),
        ("train cell=zeros cell", ["cell.", "cell="]),
        ("train backbone=tree backbone.num", ["backbone.num_layers="]),
        ("train cell=lru cell.r_mi", ["cell.r_min="]),
        ("train cell=lstm cell.r_mi", []),
        ("train budget.par", ["budget.parameters="]),
        ("train cell.layer_norm=t", ["cell.layer_norm=true"]),
        ("train cell=gru cell.layer_norm=f", ["cell.layer_norm=false"]),
        ("compare --ht", ["--html"]),
        ("predict --att", ["--attention"]),
        ("list ba", ["backbones"]),
        ("list cells nary", ["nary_tree_lstm"]),
        ("list pretrained add", ["addition_lstm"]),
        ("predict pretrained:add", ["pretrained:addition_lstm"]),
        ("info mg", ["mgu"]),
        ("info mgu m", []),
        ("data fetch trec", ["trec"]),
        ("data fetch class", []),
        ("data fetch moving", ["moving_digits", "moving_digits_classes"]),
        ("data ", ["fetch"]),
        ("completion z", ["zsh"]),
        ("train 'cell=", []),
        ("nothing x", []),
    ],
)
def test_words_are_completed(line: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert candidates(line, COMMANDS) == expected


def test_run_directories_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for run in ("runs/a", "runs/sweep/b"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "config.yaml").touch()
    assert candidates("evaluate r", COMMANDS) == ["runs/a", "runs/sweep/b"]
    assert candidates("predict runs/s", COMMANDS) == ["runs/sweep/b"]
    assert candidates("train resume=runs/s", COMMANDS) == ["resume=runs/sweep/b"]


def test_the_command_prints_candidates(command: Callable) -> None:
    assert command("complete", "info min_").out.split() == ["min_gru", "min_lstm"]
    done = command("completion", "tcsh")
    assert done.status == 2
    assert "invalid choice" in done.err


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["seqzoo", "info", "min_g"], "min_gru"),
        (["seqzoo", "train", "cell", "=", "min_g"], "min_gru"),
        (["seqzoo", "train", "cell", "="], registry.names("cell")[0]),
        (["seqzoo", "train", "cell=lru", "cell.r_mi"], "cell.r_min="),
    ],
)
def test_bash_completes(words: list[str], expected: str, tmp_path: Path) -> None:
    """bash splits words at equality signs, and replaces only the last part."""
    line = " ".join(words).replace(" = ", "=").replace(" =", "=")
    (tmp_path / "seqzoo").write_text(f'#!/bin/sh\nexec {sys.executable} -m seqzoo "$@"\n', encoding="utf-8")
    (tmp_path / "seqzoo").chmod(0o755)
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"""{SCRIPTS["bash"]}
export PATH={tmp_path}:$PATH
COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
_seqzoo; echo "${{COMPREPLY[0]}}" """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
