"""The study of all cells resumes after an interruption, and its page agrees with its table."""

from __future__ import annotations

import csv
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from seqzoo.analysis import study
from seqzoo.configuration import registry
from seqzoo.contracts.errors import ConfigError

TINY = (
    "debug=tiny", "data.train_size=32", "data.validation_size=8", "data.test_size=8", "training.examples=0",
    "training.steps=2",
)  # fmt: skip


@pytest.fixture
def script(load_script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_script("study")
    monkeypatch.setattr(module, "TABLE", tmp_path / "study.csv")
    monkeypatch.setattr(module, "SEEDS", (0, 1))
    monkeypatch.setattr(module, "TASKS", {"tagging": ("task=tagging",), "other": ("task=no_such_task",)})
    monkeypatch.setattr(module, "COMMON", TINY)
    monkeypatch.setattr(module, "SIZED_TASK", "tagging")
    monkeypatch.setattr(module, "OTHER_SIZES", ())
    monkeypatch.chdir(tmp_path)
    return module


def rows_of(module: ModuleType, size: str = study.SIZE) -> dict[tuple[str, str, str], dict[str, str]]:
    with module.TABLE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["size"] == size]
    return {(row["task"], row["cell"], row["seed"]): row for row in rows}


def test_a_part_is_run_once_and_the_rest_is_shown_as_not_run(script: ModuleType, tmp_path: Path, monkeypatch) -> None:
    part = ["study.py", "--cells", "elman", "--seeds", "0", "--tasks", "tagging", "--runs", "runs"]
    monkeypatch.setattr(sys, "argv", part)
    script.main()
    rows = rows_of(script)
    assert len(rows) == 2 * 2 * len(registry.names("cell"))
    row = rows["tagging", "elman", "0"]
    assert (row["metric"], row["split"], row["better"], row["remark"]) == ("accuracy", "test", "higher", "")
    assert 0 <= float(row["value"]) <= 1
    assert float(row["tokens_per_second"]) > 0
    assert row["command"] == f"seqzoo train cell=elman seed=0 task=tagging budget.parameters=200k {' '.join(TINY)}"
    assert rows["tagging", "elman", "1"]["remark"] == rows["other", "elman", "0"]["remark"] == "not run"
    assert (tmp_path / "runs/tagging/cell=elman,seed=0/metrics.json").exists()

    launched, launch = [], script.launch
    monkeypatch.setattr(script, "launch", lambda flags, overrides: launched.append(overrides[:2]))
    monkeypatch.setattr(sys, "argv", [*part[:-1], "elsewhere"])
    script.main()
    assert launched == [], "without the run, its row is what is done"
    assert rows_of(script) == rows
    monkeypatch.setattr(sys, "argv", ["study.py", "--cells", "elman,gru", "--runs", "runs"])
    script.main()
    assert launched[0] == ["cell=choice(gru)", "seed=choice(0)"]

    monkeypatch.setattr(script, "launch", launch)
    monkeypatch.setattr(script, "OTHER_SIZES", ("20k",))
    monkeypatch.setattr(sys, "argv", part)
    script.main()
    assert int(rows_of(script, "20k")["tagging", "elman", "0"]["parameters"]) == pytest.approx(20_000, rel=0.01)
    assert rows_of(script) == rows
    assert set(rows_of(script, "20k")) == {("tagging", cell, seed) for cell in script.SIZED_CELLS for seed in "01"}

    monkeypatch.setattr(script, "COMMON", (*TINY, "training.learning_rate=0.5"))
    monkeypatch.setattr(sys, "argv", ["study.py", "--record", "--runs", "runs"])
    script.main()
    assert rows_of(script)["tagging", "elman", "0"]["remark"] == "not run", "its settings are others now"


def test_a_task_that_fails_does_not_end_the_others(script: ModuleType, monkeypatch, capsys) -> None:
    def refuse(flags: list[str], overrides: list[str]) -> None:
        raise ConfigError(["there is no such task"])

    monkeypatch.setattr(script, "launch", refuse)
    monkeypatch.setattr(sys, "argv", ["study.py", "--cells", "elman", "--seeds", "0", "--runs", "runs"])
    script.main()
    assert capsys.readouterr().err == "study, tagging: there is no such task\nstudy, other: there is no such task\n"


def test_one_seed_of_all_cells_on_all_tasks_comes_first(load_script: Callable[[str], ModuleType]) -> None:
    script = load_script("study")
    jobs, cells = script.all_jobs(), registry.names("cell")
    sized = [(script.SIZED_TASK, size, cell) for size in script.OTHER_SIZES for cell in script.SIZED_CELLS]
    every = [(task, study.SIZE, cell) for task in script.TASKS for cell in cells] + sized
    assert jobs == [(*job, seed) for seed in (0, 1, 2) for job in every]


def test_the_groups_of_cells_follow_from_the_cells() -> None:
    linear = {name for name in registry.names("cell") if study.is_linear(name)}
    assert linear >= {"min_gru", "min_lstm", "sru", "qrnn", "lru", "hgrn"}
    assert not linear & {"sru_peephole", "tdnn", "lstm"}
    gated = {name for name in registry.names("cell") if study.is_gated(name)}
    assert gated >= {"lstm", "gru", "mgu", "ugrnn"}
    assert not gated & {"elman", "unitary", *linear}
    assert not study.is_linear("removed")
    assert not study.is_gated("removed")


CELLS = ["elman", "gru_d", "lstm", "gru", "sru", "mgu"]
BUDGET = "budget.parameters=200k budget.seconds=90"


def table(scores: dict[str, dict[str, list[float]]], better: dict[str, str]) -> list[dict[str, str]]:
    """Rows of tasks; the speed of a cell is 1,000 tokens per second for each letter of its name."""
    return [
        dict.fromkeys(study.COLUMNS, "")
        | {
            "task": task, "size": "200k", "cell": cell, "seed": str(seed), "value": str(value), "metric": "points",
            "data": "d", "split": "test", "better": better[task], "tokens_per_second": str(1000 * len(cell)),
            "cpu_seconds": "1800", "device": "a processor", "threads": "1",
            "command": f"seqzoo train cell={cell} seed={seed} task={task} {BUDGET}",
        }
        for task, cells in scores.items() for cell, values in cells.items() for seed, value in enumerate(values)
    ]  # fmt: skip


SCORES = {
    "a": {"elman": [0.5, 0.5], "lstm": [0.8, 0.8], "gru": [0.7, 0.9]},
    "b": {"elman": [3.0, 3.0], "lstm": [2.0, 2.0], "gru": [1.0, 1.0], "sru": [1.5]},
}
REST = dict.fromkeys(study.COLUMNS, "") | {"task": "c", "size": "200k", "cell": "mgu", "seed": "0", "remark": "not run"}


def test_the_page_agrees_with_the_table() -> None:
    rows = [*table(SCORES, {"a": "higher", "b": "lower"}), REST]
    page = study.section(rows, CELLS)
    assert "13 of 14 runs are finished, after 6.5 CPU hours (a processor, threads: 1)" in page
    assert "| gru | 0.8 ± 0.14 | 1 ± 0 | not run | 1.5 | 0.75 |" in page
    assert "| sru | not run | 1.5 | not run |  | 0.75 |" in page
    assert page.startswith("5 of the 6 cells on 3 tasks, ")
    assert "Not trained yet: gru_d, mgu." in page
    assert "- Best mean rank of 3 cells over 2 tasks: " in page
    # the pooled variance of a is 0.02 / 3, of differences of two means of two seeds as much
    assert "A: lstm is best (points 0.8). Differences up to 0.16 may be due to chance: gru may be as good." in page
    assert (
        "B: gru is best (points 1). Differences up to 0 may be due to chance: all other cells differ by more." in page
    )
    assert "Gated cells compared with elman on b (points), best first: better by up to 2: gru, lstm." in page
    assert (
        "(sru), compared with lstm on b (points): the best, sru, is 0.5 better; they train on 0.75 to 0.75 times"
        in page
    )
    assert "with one layer, at 200k parameters and 90 seconds of training, and the same settings" in page
    assert f"    seqzoo train task=b {BUDGET} cell=... seed=..." in page


def test_relative_speed_is_a_geometric_mean_over_tasks() -> None:
    rows = table(SCORES, {"a": "higher", "b": "lower"})
    for row in rows:
        if row["cell"] == "gru":
            row["tokens_per_second"] = {"a": "8000", "b": "2000"}[row["task"]]
    assert study.Study(rows).relative_speed("gru") == pytest.approx(1.0)


def test_differences_within_the_noise_are_marked() -> None:
    # the pooled variance is 0.02 / 4: means of two seeds differ by chance by up to 2 sqrt(0.005)
    scores = {"elman": [0.5, 0.5], "lstm": [0.6, 0.6], "gru": [0.7, 0.9], "sru": [0.65, 0.65]}
    page = study.section(table({"a": scores}, {"a": "higher"}), CELLS)
    assert (
        "Gated cells compared with elman on a (points), best first: better by up to 0.3: gru; may be as good: lstm."
        in page
    )
    assert "the best, sru, is 0.05 better (may be due to chance); they train on" in page
    scores = {"lstm": [0.7, 0.9], "gru": [0.75, 0.75], "mgu": [0.7, 0.7], "sru": [0.2, 0.2]}
    page = study.section(table({"a": scores}, {"a": "higher"}), CELLS)
    assert "Differences up to 0.14 may be due to chance: all other cells except sru may be as good." in page


def test_other_sizes_have_a_table_of_their_own() -> None:
    rows = table(SCORES, {"a": "higher", "b": "lower"})
    small = table({"b": {"gru": [1.25], "mgu": [9.0]}}, {"b": "lower"})
    for row in small:
        row |= {"size": "50k", "tokens_per_second": "6000", "command": row["command"].replace("200k", "50k")}
    page = study.section([*rows, *small], CELLS)
    assert "Best sizes: gru with 200k parameters." in page
    assert "| cell | 50k parameters | 200k parameters |" in page
    assert "| gru | 1.25, 1.00x | 1 ± 0, 0.50x |" in page
    assert page.count("9") == study.section(rows, CELLS).count("9"), (
        "a cell of one size has nothing to be compared with"
    )
    assert study.pictures([*rows, *small]) == study.pictures(rows)


def test_an_empty_table_has_a_page() -> None:
    page = study.section([REST], CELLS)
    assert "0 of 1 runs are finished" in page
    assert study.pictures([REST]) == {}


def test_the_pictures_show_each_run() -> None:
    drawn = study.pictures(table(SCORES, {"a": "higher", "b": "lower"}))
    roots = {name: ElementTree.fromstring(text) for name, text in drawn.items()}
    assert set(roots) == set(study.PICTURES)
    circles = {name: len(root.findall(".//{*}circle")) for name, root in roots.items()}
    assert circles == {"study_scores.svg": 13 + len(study.KEY), "study_speed.svg": 7}
