"""The baseline beside a run: in metrics.json, in the table, in `compare`; fitted once, and never in the run's way."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seqzoo.baselines.ngram_classifier import NgramClassifier
from seqzoo.commands import main as cli
from seqzoo.configuration.building import build_data
from seqzoo.configuration.experiment import Experiment, compose
from seqzoo.runs import beside
from seqzoo.runs.baseline_scores import task_alone

TIMES = {"seconds", "cpu_seconds", "tokens_per_second", "baseline", "command"}


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A set of 120 texts, of which one word tells the class, and a network that does not learn it in two updates."""
    generator = random.Random(0)
    rows = ["text\tlabel"]
    for number in range(120):
        label, other = ("good", "bad")[number % 2], generator.choices(["film", "story", "the", "music", "plot"], k=6)
        rows.append(f"{' '.join([*other, label])} {generator.choice(other)}\t{label}")
    table = tmp_path_factory.mktemp("set") / "table.tsv"
    table.write_text("\n".join(rows) + "\n")
    data = ["task=classification", "data=classification_files", f"data.train={table}", "data.test_fraction=0.3"]
    return [
        *data,
        "backbone.hidden_size=4",
        "training.epochs=null",
        "training.steps=2",
        "training.keep=best",
        "training.threads=1",
        "cell.engine=reference",
        "ensemble=1",
    ]


@pytest.fixture(scope="module")
def runs(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run with a baseline and one without; the second one is of another seed."""
    folder = tmp_path_factory.mktemp("runs")
    for name, chosen in {"with": ["baseline=true"], "without": ["baseline=false"], "second": ["seed=1"]}.items():
        with contextlib.redirect_stdout(io.StringIO()):
            cli.main(["train", *options, *chosen, f"hydra.run.dir={folder / name}"])
    return {path.name: path for path in folder.iterdir()}


def metrics_of(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text())


def test_a_run_is_bit_for_bit_the_same_with_a_baseline(runs: dict[str, Path]) -> None:
    found, plain = metrics_of(runs["with"]), metrics_of(runs["without"])
    assert {name: found[name] for name in found if name not in TIMES} == {
        name: plain[name] for name in plain if name not in TIMES
    }
    weights, others = (load_file(runs[name] / "checkpoints/best.safetensors") for name in ("with", "without"))
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert "baseline" not in plain


def test_the_baseline_is_in_the_metrics_and_in_the_log(runs: dict[str, Path]) -> None:
    best = metrics_of(runs["with"])["baseline"]
    assert best["name"] == NgramClassifier.name
    assert set(best) == {"name", "description", "seconds", "scores"}
    assert best["scores"]["test"]["accuracy"] == 1.0
    assert set(best["scores"]) == {"validation", "test"}
    log = (runs["with"] / "train.log").read_text()
    assert f"baseline    {best['name']} (words, n = 1, 2, " in log
    assert "the network does not beat the baseline (accuracy on test 0." in log
    assert "train for longer, for example training.steps=4" in log
    assert metrics_of(runs["second"])["baseline"] == best, "small sets have one by default, and seeds share it"


def test_compare_has_a_row_for_the_baseline(runs: dict[str, Path], command: Callable) -> None:
    done = command("compare", *runs.values(), "--html", "page.html")
    [row] = [line for line in done.out.splitlines() if line.startswith("  baseline: ")]
    assert row.split("  ")[1] == f"baseline: {NgramClassifier.name}"
    assert "1.0000" in row
    assert f"No configuration is better than the baseline: {NgramClassifier.name}: accuracy 1.0000." in done.out
    assert f"<td>baseline: {NgramClassifier.name}</td>" in Path("page.html").read_text()


def test_a_damaged_baseline_is_left_out(runs: dict[str, Path], command: Callable) -> None:
    path = runs["second"] / "metrics.json"
    text = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(text), "baseline": {"name": "x", "seconds": 1, "scores": [1]}}))
        done = command("compare", runs["second"])
    finally:
        path.write_text(text)
    assert done.status == 0
    assert "baseline:" not in done.out


def test_a_resumed_run_may_leave_it_out(runs: dict[str, Path], command: Callable) -> None:
    done = command("train", f"resume={runs['second']}", "training.steps=3", "baseline=false")
    assert (done.status, done.err) == (0, "")
    assert "baseline" not in metrics_of(runs["second"])


def loaded(options: list[str]) -> tuple[Experiment, object, object]:
    experiment = compose(*options)
    data = build_data(experiment)
    data.load()
    return experiment, data, task_alone(experiment, data)


def test_it_is_fitted_once(options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "user_cache", lambda kind: tmp_path)
    fitted = []
    monkeypatch.setattr(
        beside, "fit_baselines", lambda *found, fit=beside.fit_baselines: fitted.append(1) or fit(*found)
    )
    parts = loaded(options)
    first = beside.beside(*parts, seconds=1.0)
    assert beside.beside(*loaded([*options, "seed=3", "task.pooling=max"]), seconds=1.0) == first
    assert len(fitted) == 1
    assert beside.beside(*loaded([*options, "data.test_fraction=0.2"]), seconds=1.0) != first
    assert len(fitted) == 2
    [*_, stored] = sorted(tmp_path.glob("*.json"))
    stored.write_text("damaged")
    beside.beside(*parts, seconds=1.0)
    beside.beside(*loaded([*options, "data.test_fraction=0.2"]), seconds=1.0)
    assert len(fitted) == 3


def test_nothing_that_goes_wrong_ends_a_run(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no classes")

    monkeypatch.setattr(NgramClassifier, "fit", broken)
    monkeypatch.setattr(beside, "_shared", lambda experiment, found: beside._fitted(found))
    state = torch.random.get_rng_state()
    best, remark = beside.beside(*loaded(options), seconds=1.0)
    assert best is None
    assert remark == "the baseline could not be fitted (ZeroDivisionError: no classes)"
    assert torch.equal(torch.random.get_rng_state(), state)


def test_auto_is_for_files_and_for_what_is_quick(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    generated = loaded(["task=classification", "data.train_size=20", "data.validation_size=8", "data.test_size=8"])
    assert beside.beside(*generated, seconds=1e6) == (None, "")
    experiment, data, _ = loaded(options)
    monkeypatch.setattr(NgramClassifier, "speed", 8.0)
    expected = beside.expected_seconds(data, [NgramClassifier])
    assert expected == pytest.approx(data.splits()["train"])  # of 8 tokens each
    assert not beside._wanted(experiment, data, [NgramClassifier], 4.9 * expected)
    assert beside._wanted(experiment, data, [NgramClassifier], 5.1 * expected)
    assert beside._wanted(replace(experiment, baseline=True), data, [NgramClassifier], 0.0)
    assert not beside._wanted(replace(experiment, baseline=False), data, [NgramClassifier], 1e9)


def test_what_to_try_next(options: list[str]) -> None:
    experiment, data, task = loaded(options)
    without = replace(experiment, recipe="none")
    assert beside.next_step(without, data, 100, 100, "training.epochs=4").endswith("by recipe=auto")
    longer = beside.next_step(experiment, data, 100, 100, "training.epochs=4")
    assert "train for longer, for example training.epochs=4" in longer
    assert "data.vectors=FILE" in beside.next_step(experiment, data, 100, 60, "")
    experiment = experiment.with_values({"data.vectors": "some.txt"})
    assert "training examples are few" in beside.next_step(experiment, data, 100, 60, "")
    best = {"name": "b", "description": "", "seconds": 1.0, "scores": {"test": {"accuracy": 0.75}}}
    metrics = {"test": {"accuracy": 0.75, "loss_nats": 0.5}, "baseline": best}
    told = "the network does not beat the baseline (accuracy on test 0.7500, the baseline's 0.7500)"
    better = {**metrics, "test": {"accuracy": 0.76}}
    assert [beside.verdict(metrics, task), beside.verdict(better, task)] == [told, ""]
    surer = {**metrics, "baseline": {**best, "scores": {"test": {"accuracy": 0.75, "loss_nats": 0.6}}}}
    assert beside.verdict(surer, task) == ""
    assert beside.about_baseline(metrics, "", task, lambda: "")[1:] == [("remark", told)]
    assert beside.about_baseline(metrics, "", task, lambda: "do this")[1:] == [("remark", f"{told}: do this")]
    assert beside.about_baseline(better, "", task, lambda: "do this")[1:] == []


def test_ngrams_are_suggested_for_text(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("the cat sleeps\n" * 100)
    text = ["task=language_modeling", "data=text_files", f"data.train={tmp_path}/book.txt"]
    suggestions = [beside.next_step(*loaded([*text, f"task.ngrams={n}"])[:2], 100, 60, "") for n in (0, 2)]
    assert ["task.ngrams=5" in suggestion for suggestion in suggestions] == [True, False]


def test_a_recipe_is_suggested_only_where_it_chooses(tmp_path: Path) -> None:
    poems = tmp_path / "poems.txt"
    poems.write_text(
        "\n".join(f"{a}{b}日山，{b}{a}水云。" for a, b in itertools.permutations("春夏秋冬风花雪月", 2)), "utf-8"
    )
    verse = loaded(["task=verse", "data=poem_files", f"data.train={poems}", "data.forms=[4]"])
    assert "recipe=auto" not in beside.next_step(replace(verse[0], recipe="none"), verse[1], 100, 100, "")


def test_a_wrong_value_is_a_mistake(command: Callable) -> None:
    refused = command("train", "baseline=often")
    assert (refused.status, refused.err) == (2, "seqzoo: baseline is 'often': it must be auto, true or false\n")
