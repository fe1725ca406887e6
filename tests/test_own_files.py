"""scripts/own_files.py: how public data become a user's own files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from seqzoo.configuration.rules import Rules
from seqzoo.configuration.rules_of_kinds import rules_for


@pytest.fixture
def script(load_script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    script = load_script("own_files")
    monkeypatch.setattr(script, "DATA", tmp_path / "data")
    return script


def rows(path: Path) -> list[str]:
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    assert header == "text\tlabel"
    return lines


def test_folds_are_a_partition(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "data/rt_polarity").mkdir(parents=True)
    for label in ("pos", "neg"):
        lines = "".join(f"{label} film {number}\n" for number in range(30))
        (tmp_path / f"data/rt_polarity/rt-polarity.{label}").write_text(lines, encoding="latin-1")
    tested = []
    for fold in range(10):
        options = script.review_folds(tmp_path, fold)
        assert options[2:] == [f"data.{split}={tmp_path / split}.tsv" for split in ("train", "test")]
        train, test = rows(tmp_path / "train.tsv"), rows(tmp_path / "test.tsv")
        assert (len(train), len(test), set(train) & set(test)) == (54, 6, set())
        tested += test
    assert len(set(tested)) == 60
    assert all(line.split()[0] == line.split("\t")[1] for line in tested)


def test_texts_with_tabs_stay_one_column(script: ModuleType, tmp_path: Path) -> None:
    assert rows(script.table(tmp_path / "a.tsv", [("a\tfine  film", "pos")])) == ["a fine film\tpos"]


def test_a_made_up_series_depends_on_the_seed_alone(script: ModuleType, tmp_path: Path) -> None:
    for name, steps in {"shops": 3_000, "price": 2_000, "passengers": 300, "threshold": 5_000, "energy": 8_760}.items():
        texts = []
        for seed in (0, 0, 1):
            options = script.SETS[f"series_{name}"].options(tmp_path, seed)
            assert options[:2] == ["task=forecasting", "data=forecast_files"]
            texts.append((tmp_path / "series.csv").read_text(encoding="utf-8"))
        assert texts[0] == texts[1] != texts[2]
        header, *lines = texts[0].splitlines()
        assert len(lines) == steps
        assert {line.count(",") for line in lines} == {header.count(",")}


def test_the_page_has_all_rows(load_script: Callable[[str], ModuleType]) -> None:
    script = load_script("own_files")
    rows = script.read_table(script.RESULTS)
    assert script.PAGE.read_text(encoding="utf-8") == script.page(rows), "run python scripts/own_files.py --page"


def test_the_page_compares_runs_without_a_rule(script: ModuleType) -> None:
    row = {
        "set": "trec", "use": "tuning", "seed": "0", "without": "none", "metric": "accuracy", "network": "0.9",
        "baseline": "0.8", "baseline_name": "n-grams", "cpu_seconds": "60", "chosen": "task.ngrams=2",
    }  # fmt: skip
    text = script.page([row, {**row, "seed": "1", "network": "0.8"}, {**row, "without": "head", "network": "0.7"}])
    assert "| trec | tuning | accuracy | **0.85** | 0.8 | n-grams | 60 | 2 |\n" in text
    assert "- trec: `task.ngrams=2`\n" in text
    assert "| trec | head | accuracy | 0.9 | 0.7 |\n" in text
    lower = script.page([{**row, "metric": "nrmse"}])
    assert "| 0.9 | **0.8** |" in lower
    assert "Without a rule" not in lower


def test_every_rule_can_be_left_out_by_its_name() -> None:
    kinds = [rules_for(kind) for kind in ("", "classification", "tagging", "regression", "transduction")]
    assert len({*kinds}) == 5
    for name in Rules.names:
        assert callable(getattr(Rules, name))
    assert all(set(kind.names) <= set(Rules.names) for kind in kinds), "--without takes the names of Rules"
