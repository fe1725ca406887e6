"""Which languages a cell solves: the command, what it resumes, and its report."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from seqzoo.analysis.language_levels import Attempt, attempts, chosen_languages, highest_level, report
from seqzoo.contracts.errors import ConfigError
from seqzoo.data.generated.language_table import LANGUAGES
from seqzoo.training.record.files import METRICS, read_config

TINY = (
    "cell=elman", "backbone.hidden_size=4", "training.steps=2", "data.train_size=80", "data.validation_size=8",
    "data.test_size=8", "data.longest=5", "data.test_longest=9", "cell.engine=reference",
)  # fmt: skip


def attempt(language: str, seed: int, accuracy: float) -> Attempt:
    return Attempt("gru", language, seed, accuracy, 10, 2.0, "seqzoo train")


def test_languages_are_chosen_by_name_and_level() -> None:
    assert chosen_languages([]) == [*LANGUAGES]
    assert chosen_languages(["group", "parity_check"]) == ["parity_check", "s3", "a5", "s5"]
    assert [sum(language.level == level for language in LANGUAGES.values()) for level in (
        "regular", "context-free", "context-sensitive",
    )] == [4, 4, 7]  # fmt: skip
    with pytest.raises(ConfigError, match=r"there is no language or level .regulars.\. Did you mean .regular.\?"):
        chosen_languages(["regulars"])


def test_the_report_by_hand() -> None:
    done = [
        attempt("even_pairs", 0, 1.0), attempt("parity_check", 0, 0.5), attempt("s3", 0, float("nan")),
        attempt("even_pairs", 1, 0.8), attempt("parity_check", 1, 0.95), attempt("s3", 1, 0.2),
    ]  # fmt: skip
    assert report(done).splitlines() == [
        "language      level    accuracy   mean",
        "even_pairs    regular     1.000  0.900  solved",
        "parity_check  regular     0.950  0.725  solved",
        "s3            group       0.200    nan",
        "",
        "6 trainings, 12 s",
        "gru solves: regular 2 of 2, group 0 of 1",
    ]


def test_a_level_is_solved_with_all_below_it() -> None:
    solved = dict.fromkeys(LANGUAGES, True)
    assert highest_level(solved) == "context-sensitive"
    assert highest_level(solved | {"bucket_sort": False}) == "context-free"
    assert highest_level(solved | {"solve_equation": False}) == "regular"
    assert highest_level(solved | {"even_pairs": False}) == "below regular"
    assert highest_level(dict.fromkeys(chosen_languages(["regular"]), True)) == "regular"
    assert highest_level({"even_pairs": True}) == ""


def test_the_command_continues(command: Callable, tmp_path: Path) -> None:
    options = ("languages", *TINY, "--only", "even_pairs", "s3", "--seeds", "2", "--to", "kept")
    done = command(*options)
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert [line.split()[:3] for line in lines[:4]] == [
        [name, "seed", seed] for seed in "01" for name in ("even_pairs", "s3")
    ]
    assert lines[-1] == "wrote kept/languages.csv; the runs are in the same folder"
    with (tmp_path / "kept" / "languages.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["cell"], row["language"], row["seed"], row["updates"]) for row in rows] == [
        ("elman", "even_pairs", "0", "2"), ("elman", "s3", "0", "2"),
        ("elman", "even_pairs", "1", "2"), ("elman", "s3", "1", "2"),
    ]  # fmt: skip
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").glob(f"*/{METRICS}")}
    assert len(finished) == 4
    interrupted = tmp_path / "kept" / "s3_1" / METRICS
    content = interrupted.read_text()
    interrupted.unlink()
    again = command(*options)
    assert again.out.splitlines()[:3] == lines[:3]
    assert interrupted.read_text().partition('"test"')[0] == content.partition('"test"')[0]
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items() if path != interrupted)
    refused = command(*options, "training.steps=3")
    assert refused.err == (
        "seqzoo: kept/even_pairs_0 is a run with other options: choose another folder, or delete this one\n"
    )


def test_a_memory_is_as_large_as_the_longest_input_needs(tmp_path: Path) -> None:
    options = [*TINY[1:], "cell=stack_rnn", "cell.memory_width=2"]
    [done] = attempts(options, ["reverse_string"], [0], tmp_path)
    assert done.command.count("cell.memory_size=10") == 1
    assert read_config(tmp_path / "reverse_string_0")["cell"]["memory_size"] == 10


def test_what_languages_set_themselves_is_refused(command: Callable) -> None:
    assert command("languages", "cell=lstm", "seed=3").err == (
        "seqzoo: seed=3 does not go with languages, which sets task, data, experiment, data.language, seed: "
        "leave it out\n"
    )
