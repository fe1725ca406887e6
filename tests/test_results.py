"""docs/RESULTS.md and the figures of docs/DISTRIBUTED.md agree with results/*.csv."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from seqzoo.analysis.result_tables import add_measurements, read_table


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("record_results")


def test_the_page_is_up_to_date(script: ModuleType) -> None:
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run python scripts/record_results.py"


def test_the_figures_of_several_processes_are_up_to_date(load_script: Callable[[str], ModuleType]) -> None:
    script = load_script("benchmark_processes")
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run python scripts/benchmark_processes.py --page"


def test_a_measurement_replaces_the_one_before(tmp_path: Path) -> None:
    table = tmp_path / "beyond.csv"
    row = {"part": "processes", "metric": "speed", "value": "1", "command": "x", "hardware": "a processor"}
    add_measurements(table, [row, {**row, "metric": "bytes"}])
    add_measurements(table, [{**row, "value": "2"}, {**row, "part": "export"}])
    rows = [(row["part"], row["metric"], row["value"], row["remark"]) for row in read_table(table)]
    assert rows == [("export", "speed", "1", ""), ("processes", "bytes", "1", ""), ("processes", "speed", "2", "")]


def test_a_run_becomes_rows_and_replaces_its_older_ones(script: ModuleType, tmp_path: Path) -> None:
    metrics = {
        "train": {"loss_nats": 1.0}, "validation": {"accuracy": 0.5}, "test": {"accuracy": 0.25, "loss_nats": 2.0},
        "parameters": 10, "seconds": 3.5, "seed": 1, "device": "a processor", "threads": 1,
        "command": "seqzoo train x=1", "commit": "abc", "date": "2026-01-01",
        "choices": {"data": "d", "cell": "c", "backbone": "b", "task": "t"},
    }  # fmt: skip
    table = tmp_path / "table.csv"
    for accuracy in (0.25, 0.75):
        metrics["test"]["accuracy"] = accuracy
        (tmp_path / "metrics.json").write_text(json.dumps(metrics))
        script.record(script.rows_of(tmp_path), table)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["split"], row["metric"], row["value"]) for row in rows] == [
        ("test", "accuracy", "0.75"),
        ("test", "loss_nats", "2"),
        ("validation", "accuracy", "0.5"),
    ]
    assert rows[0]["command"] == "seqzoo train x=1"
    assert rows[0]["cpu_seconds"] == "", "the run is from before they were measured"
    (tmp_path / "metrics.json").write_text(json.dumps({**metrics, "cpu_seconds": 3.25}))
    script.record(script.rows_of(tmp_path), table)
    assert {row["cpu_seconds"] for row in script.read_table(table)} == {"3.25"}


def test_repetitions_are_averaged(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    common = {"data": "d", "split": "test", "metric": "accuracy", "cell": "c", "parameters": "1000", "seconds": "10"}
    rows = [
        {**common, "value": "0.5", "command": "seqzoo train x=1", "seconds": "10"},
        {**common, "value": "0.7", "command": "seqzoo train x=1 seed=1", "seconds": "20"},
        {**common, "value": "0.1", "command": "seqzoo train x=2 data.fold=1", "seconds": "10"},
        {**common, "value": "0.3", "command": "seqzoo train x=2 data.fold=0 seed=1", "seconds": "10"},
        {**common, "value": "0.9", "command": "seqzoo train x=2", "seconds": "10"},
    ]
    with (tmp_path / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, script.COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    lines = [line for line in script.page().splitlines() if line.startswith("| d ")]
    assert lines == [
        "| d | accuracy **0.6** ± 0.14 |  | 2 | c | 1,000 | 15 |  | `seqzoo train x=1` |",
        "| d | accuracy **0.9** |  | 1 | c | 1,000 | 10 |  | `seqzoo train x=2` |",
        "| d | accuracy **0.2** ± 0.14 |  | 2 | c | 1,000 | 10 |  | `seqzoo train x=2 data.fold=...` |",
    ]


def test_models_are_compared_with_the_best_baseline(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    common = {"data": "d", "split": "test", "parameters": "0", "backbone": "none"}
    rows = [
        {**common, "metric": "bleu_1", "value": "50", "command": "one"},
        {**common, "metric": "bleu_1", "value": "40", "command": "near"},
        {**common, "metric": "cider_d", "value": "9", "command": "near"},
        {**common, "metric": "bleu_1", "value": "49", "command": "net", "backbone": "b"},
        {**common, "metric": "bleu_1", "value": "48", "command": "net seed=1", "backbone": "b"},
        {**common, "metric": "cider_d", "value": "12.5", "command": "net", "backbone": "b"},
        {**common, "metric": "loss_nats", "value": "2", "command": "net", "backbone": "b"},
        {**common, "metric": "bleu_1", "value": "1", "command": "other", "data": "e", "backbone": "b"},
    ]
    script.write_table(tmp_path / "table.csv", script.COLUMNS, rows)
    lines = [line for line in script.page().splitlines() if line.startswith("- ")]
    assert lines == ["- d, `net`: bleu_1 -1.50, cider_d +3.50"]


def test_baselines_become_rows_of_the_metric_that_selects_them(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    table, options = tmp_path / "table.csv", ["task=transduction", "data=reverse", "data.limit=100"]
    for metric in ("exact_match", "cer"):
        script.record(script.rows_of_baselines([*options, f"task.metrics=[{metric}]"]), table)
    rows = script.read_table(table)
    [scores] = script.seqzoo.baseline(*options, "task.metrics=[exact_match]")
    assert {row["cell"] for row in rows} == {scores.name}
    values = {row["split"]: float(row["value"]) for row in rows if row["metric"] == "exact_match"}
    assert values == pytest.approx({split: named["exact_match"] for split, named in scores.scores.items()}, rel=1e-5)
    [line] = [line for line in script.page().splitlines() if line.startswith("| reverse ")]
    assert line.endswith(" `seqzoo baseline task=transduction data=reverse data.limit=100 'task.metrics=[...]'` |")
