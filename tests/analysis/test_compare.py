"""Synthetic runs whose tables are known, and runs that cannot be read."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

from seqzoo.analysis.comparison import compare
from seqzoo.analysis.comparison_tables import as_csv, as_markdown, as_text, cells, header, sentences
from seqzoo.analysis.finished_runs import read_events, read_runs
from seqzoo.analysis.report import as_html, band
from seqzoo.configuration import composing
from seqzoo.contracts.errors import ConfigError, SeqzooError
from seqzoo.training.record.files import CONFIG, CURVES, EVENTS, METRICS
from seqzoo.training.record.tracking import Tracker

BASE = composing.compose("task=tagging")


def write_run(folder: Path, cell: str, seed: int, accuracy: float, **changes) -> Path:
    """A finished run whose validation accuracy rises from half of its final value, every 10 updates and 1 second."""
    folder.mkdir(parents=True)
    config = {**BASE, "seed": seed, "choices": {**BASE["choices"], "cell": cell}, "cell": {"class": cell}}
    config |= {key: {**config[key], **value} if isinstance(value, dict) else value for key, value in changes.items()}
    (folder / CONFIG).write_text(json.dumps(config))  # which is YAML, and faster to write
    scores = {"accuracy": accuracy, "loss_nats": 1 - accuracy}
    metrics = {
        "validation": scores, "test": scores, "higher_is_better": {"accuracy": True}, "parameters": 1000 * len(cell),
        "flops_per_token": 2000 * len(cell), "tokens_per_second": 500.0, "seconds": 3.0, "seed": seed,
        "choices": config["choices"],
    }  # fmt: skip
    (folder / METRICS).write_text(json.dumps(metrics))
    lines = []
    for n, share in enumerate((0.5, 0.8, 1.0), start=1):
        point = {"step": 10 * n, "tokens": 100 * n, "seconds": float(n)}
        lines += [
            {**point, "train/loss": 2.0 / n},
            {**point, "valid/accuracy": share * accuracy, "valid/loss": 1.0 / n},
        ]
    (folder / CURVES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_sweep(folder: Path, scores: dict[str, list[float]]) -> Path:
    for cell, values in scores.items():
        for seed, accuracy in enumerate(values):
            write_run(folder / f"{cell}_{seed}", cell, seed, accuracy)
    return folder


def table_of(*patterns: Path | str, **options):
    [table] = compare(read_runs(map(str, patterns))[0], **options)
    return table


def test_seeds_make_a_row_and_the_best_comes_first(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.7, 0.8, 0.9], "lstm": [0.9, 0.9, 0.96]})
    table = table_of(tmp_path)
    assert [row.label for row in table.rows] == ["lstm", "gru"]
    assert (table.split, table.metric, table.higher_is_better) == ("test", "accuracy", True)
    score = table.rows[1].scores["accuracy"]
    assert (score.mean, score.sd, score.low, score.high) == pytest.approx((0.8, 0.1, 0.7, 0.9))
    assert table.rows[1].costs["parameters"] == 3000
    assert math.isnan(table.rows[1].costs["state_bytes"])


def test_differences_are_of_the_same_seed(tmp_path: Path) -> None:
    for seed, accuracy in ((0, 0.5), (1, 0.6), (2, 0.8)):
        write_run(tmp_path / f"gru_{seed}", "gru", seed, accuracy)
    for seed, accuracy in ((1, 0.7), (2, 0.9), (7, 0.1)):
        write_run(tmp_path / f"lstm_{seed}", "lstm", seed, accuracy)
    table = table_of(tmp_path)
    gru, lstm = table.rows
    assert (gru.label, lstm.label) == ("gru", "lstm")
    for one, other, sign in ((lstm, gru, 1), (gru, lstm, -1)):
        difference = table.difference(one, other)
        assert difference.summary[:2] == (pytest.approx(sign * 0.1), pytest.approx(0.0))
        assert (difference.summary.size, difference.p, difference.always) == (2, 0.5, True)


def test_costs_are_means_over_the_seeds(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.5, 0.5]})
    path = tmp_path / "gru_1" / METRICS
    path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": 5.0}))
    [row] = table_of(tmp_path).rows
    assert row.costs["seconds"] == 4.0


def test_a_lower_loss_is_better(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.2, 0.2], "lstm": [0.4, 0.4]})
    for path in tmp_path.glob(f"*/{METRICS}"):
        metrics = json.loads(path.read_text())
        metrics["test"] = {"perplexity": metrics["test"]["accuracy"]}
        path.write_text(json.dumps(metrics))
    table = table_of(tmp_path)
    assert [row.label for row in table.rows] == ["gru", "lstm"]
    assert table.difference(*table.rows).summary.mean == pytest.approx(0.2)


def test_seconds_to_a_score(tmp_path: Path) -> None:
    """Validation scores are a half, four fifths and all of the final score after 1, 2 and 3 seconds."""
    write_sweep(tmp_path, {"gru": [0.8, 0.9, 1.0], "lstm": [0.5, 0.5, 0.6]})
    table = table_of(tmp_path, score=0.65)
    assert {row.label: row.reached for row in table.rows}["gru"] == [3.0, 2.0, 2.0]
    assert table.rows[0].seconds_to_score == pytest.approx(7 / 3)
    assert all(map(math.isnan, table.rows[1].reached))
    assert cells(table, table.rows[1])[-1] == "- (0 of 3)"
    assert table_of(tmp_path).good_enough == 0.5
    # of an even number of seeds the worse one in the middle, so that half of them have been there
    write_run(tmp_path / "lstm_3", "lstm", 3, 0.9)
    assert table_of(tmp_path).good_enough == 0.5
    write_run(tmp_path / "lstm_4", "lstm", 4, 0.9)
    assert table_of(tmp_path).good_enough == 0.6


def test_no_time_is_reported_for_a_score_of_zero(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.0, 0.0], "lstm": [0.0, 0.5]})
    tables = compare(read_runs([str(tmp_path)])[0])
    for text in (as_text(tables, []), as_markdown(tables), as_html(tables, [])):
        assert "seconds to reach" not in text
        assert "the last column" not in text
    assert {len(cells(tables[0], row)) for row in tables[0].rows} == {len(header(tables[0]))}
    assert header(table_of(tmp_path, score=0.5))[-1] == "seconds to reach 0.5000"


def test_runs_on_other_files_are_reported(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / cell, cell, 0, 0.5) for cell in ("gru", "lstm")]
    for run, digest in zip(runs, "ab", strict=True):
        config = json.loads((run / CONFIG).read_text())
        files = [
            {"name": name, "path": "/x", "fingerprint": value} for name, value in (("train", digest), ("test", "c"))
        ]
        (run / CONFIG).write_text(json.dumps({**config, "data_files": files}))
    told = "The runs did not read the same data: the content of train differs between them."
    assert sentences(table_of(tmp_path))[0] == told
    tables = compare(read_runs([str(tmp_path)])[0])
    assert all(text.count(told) == 1 for text in (as_text(tables, []), as_markdown(tables), as_html(tables, [])))
    (runs[1] / CONFIG).write_text((runs[0] / CONFIG).read_text())
    assert told not in as_text(compare(read_runs([str(tmp_path)])[0]), [])


def test_rows_are_named_by_the_options_that_differ(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "gru", 0, 0.5, training={"learning_rate": 0.1})
    write_run(tmp_path / "b", "gru", 0, 0.6, training={"learning_rate": 0.2})
    write_run(tmp_path / "c", "lstm", 0, 0.7, choices={"backbone": "deep"})
    labels = {row.label for row in table_of(tmp_path).rows}
    assert labels == {"gru unidirectional learning_rate=0.1", "gru unidirectional learning_rate=0.2", "lstm deep"}


def test_values_in_names_are_written_as_on_the_command_line(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "gru", 0, 0.5, training={"steps": None})
    write_run(tmp_path / "b", "gru", 0, 0.6, training={"steps": 10})
    assert {row.label for row in table_of(tmp_path).rows} == {"gru steps=null", "gru steps=10"}


def test_runs_that_start_from_another_run_are_told_apart(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "gru", 0, 0.5)
    write_run(tmp_path / "b", "gru", 0, 0.6, init="tagger")
    assert {row.label for row in table_of(tmp_path).rows} == {"gru", "gru init=tagger"}


def test_classes_of_users_distinguish_runs_of_one_name(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "gru", 0, 0.5)
    write_run(tmp_path / "b", "gru", 0, 0.6, backbone={"class": "mine.Stack"})
    assert {row.label for row in table_of(tmp_path).rows} == {"gru class=Recurrent", "gru class=mine.Stack"}


def test_widths_chosen_by_a_budget_do_not_separate_seeds(tmp_path: Path) -> None:
    for seed in (0, 1):
        own = {"budget": {"parameters": "1M"}, "backbone": {"hidden_size": 50 + seed}}
        write_run(tmp_path / str(seed), "gru", seed, 0.5, **own)
    assert len(table_of(tmp_path).rows) == 1
    write_run(tmp_path / "2", "gru", 2, 0.5, budget={"parameters": "2M"}, backbone={"hidden_size": 50})
    assert len(table_of(tmp_path).rows) == 2


def test_each_data_set_has_its_table(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "gru", 0, 0.5)
    write_run(tmp_path / "b", "gru", 0, 0.5, choices={"data": "wnut17"})
    assert [table.title for table in compare(read_runs([str(tmp_path)])[0])] == [
        "tagging, grammar_tags", "tagging, wnut17",
    ]  # fmt: skip


def folded(folder: Path, cell: str, seed: int, accuracies: list[float], **changes) -> None:
    """A run for each fold, of 100 examples with two classes."""
    for fold, accuracy in enumerate(accuracies):
        data = {"folds": len(accuracies), "fold": fold}
        run = write_run(folder / f"{cell}_{seed}_{fold}", cell, seed, accuracy, data=data, **changes)
        metrics = json.loads((run / METRICS).read_text())
        wrong = round(100 * (1 - accuracy))
        baseline = {"name": "ngrams", "description": "n-grams", "scores": {"test": {"accuracy": 0.6 + fold / 10}}}
        report = {"test": {"classes": ["a", "b"], "confusion": [[50, 0], [wrong, 50 - wrong]]}}
        added = {"report": report, "baseline": {**baseline, "seconds": 1.0}}
        (run / METRICS).write_text(json.dumps({**metrics, **added}))


def test_folds_are_one_row(tmp_path: Path) -> None:
    folded(tmp_path, "gru", 0, [0.7, 0.8, 0.9])
    folded(tmp_path, "gru", 1, [0.7, 0.8, 0.6])
    folded(tmp_path, "lstm", 0, [0.9, 0.95, 0.91])
    table = table_of(tmp_path)
    assert [(row.label, row.seeds, row.folds) for row in table.rows] == [("lstm", 1, "3"), ("gru", 2, "3")]
    assert table.rows[1].scores["accuracy"].mean == pytest.approx(0.75)
    assert [row.errors for row in table.rows] == [(24, 300), (75, 300)]
    assert cells(table, table.rows[0])[:4] == ["lstm", "1", "3", "24 of 300"]
    assert header(table)[:4] == ["architecture", "seeds", "folds", "errors"]
    assert table.difference(*table.rows).summary[0] == pytest.approx((0.2 + 0.15 + 0.01) / 3)
    assert "lstm is ahead of gru at each of 3 folds, too few to rule out chance" in sentences(table)[0]
    [baseline] = table.baselines
    assert (baseline.label, baseline.scores["accuracy"]) == ("baseline: ngrams", pytest.approx(0.7))
    rows = list(csv.DictReader(io.StringIO(as_csv([table]))))
    assert (rows[0]["seeds"], rows[0]["folds"], rows[0]["errors"]) == ("1", "3", "24.0")
    (tmp_path / "lstm_0_1" / METRICS).unlink()
    assert table_of(tmp_path).rows[0].folds == "2 of 3"


def test_folds_whose_recipes_differ_are_one_row(tmp_path: Path) -> None:
    for fold in range(2):
        given = ["task=tagging", "recipe=auto", "data.folds=2", f"data.fold={fold}", "seed=0"]
        run = write_run(
            tmp_path / str(fold), "gru", 0, 0.5, data={"folds": 2, "fold": fold}, training={"warmup_steps": fold}
        )
        config = json.loads((run / CONFIG).read_text())
        (run / CONFIG).write_text(json.dumps({**config, "recipe": "auto", "overrides": given}))
    assert [row.folds for row in table_of(tmp_path).rows] == ["2"]


def test_data_sets_of_one_name_have_tables_of_their_own(tmp_path: Path) -> None:
    for number, (train, digest) in enumerate((("a.csv", "1"), ("a.csv", "2"), ("b.csv", "1"))):
        data = {"train": train, "batch_size": 10 + number}
        run = write_run(tmp_path / str(number), "gru", 0, 0.5, data=data)
        config = json.loads((run / CONFIG).read_text())
        files = [{"name": train, "path": f"/x/{train}", "fingerprint": digest * 64}]
        (run / CONFIG).write_text(json.dumps({**config, "data_files": files}))
    write_run(tmp_path / "3", "lstm", 0, 0.7, data={"train": "a.csv", "split": "random"})
    tables = compare(read_runs([str(tmp_path)])[0])
    assert [(table.title, len(table.rows)) for table in tables] == [
        ("tagging, grammar_tags, train=a.csv", 1),
        ("tagging, grammar_tags, train=a.csv (11111111)", 1),
        ("tagging, grammar_tags, train=a.csv (22222222)", 1),
        ("tagging, grammar_tags, train=b.csv (11111111)", 1),
    ]


@pytest.mark.parametrize(
    ("gru", "lstm", "said"),
    [
        ([0.50, 0.70], [0.60, 0.60], "cannot be told apart at 2 seeds: accuracy "),
        ([0.50], [0.60], "lstm and gru cannot be told apart at 1 seed."),
        (
            [0.50, 0.60, 0.55],
            [0.60, 0.65, 0.70],
            "lstm is ahead of gru at each of 3 seeds, too few to rule out chance: ",
        ),
        ([0.50] * 6, [0.6, 0.7, 0.8, 0.6, 0.7, 0.8], "lstm is better than gru at 6 seeds: accuracy 0.2000 on average "),
    ],
)
def test_a_plain_sentence_for_each_pair(tmp_path: Path, gru: list[float], lstm: list[float], said: str) -> None:
    write_sweep(tmp_path, {"gru": gru, "lstm": lstm})
    [sentence] = sentences(table_of(tmp_path))
    assert said in sentence
    assert ("p = 0.031" in sentence) == (len(gru) == 6)


def test_with_many_rows_the_best_is_compared_with_each_other(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"a": [0.6, 0.6], "b": [0.7, 0.7], "c": [0.9, 0.9], "d": [0.8, 0.95], "e": [0.5]})
    assert sentences(table_of(tmp_path)) == [
        "c cannot be told apart from d, e.",
        "With too few seeds to rule out chance, c is ahead at each of them of b, a.",
    ]
    for seed in range(2, 6):
        for cell, accuracy in zip("abcd", (0.9, 0.7, 0.9, 0.8), strict=True):
            write_run(tmp_path / f"{cell}_{seed}", cell, seed, accuracy)
    assert sentences(table_of(tmp_path)) == ["c cannot be told apart from d, a, e.", "c is better than b."]


def test_tables_as_text_markdown_and_csv(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.7, 0.9], "lstm": [0.6, 0.6]})
    runs, _ = read_runs([str(tmp_path)])
    tables = compare(runs)
    assert "gru               2  0.8000 ± 0.1414 [0.7000, 0.9000]" in as_text(tables, [])
    assert "left out:\n  something" in as_text(tables, ["something"])
    assert "| lstm | 2 | 0.6000 ± 0.0000 [0.6000, 0.6000] |" in as_markdown(tables)
    rows = list(csv.DictReader(io.StringIO(as_csv(tables))))
    assert [(row["architecture"], row["metric"]) for row in rows] == [
        ("gru", "accuracy"), ("gru", "loss_nats"), ("lstm", "accuracy"), ("lstm", "loss_nats"),
    ]  # fmt: skip
    assert float(rows[0]["mean"]) == pytest.approx(0.8)
    assert float(rows[0]["parameters"]) == 3000


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.7, 0.9]})
    unfinished = write_run(tmp_path / "unfinished", "gru", 5, 0.1)
    (unfinished / METRICS).unlink()
    truncated = write_run(tmp_path / "truncated", "gru", 6, 0.1)
    (truncated / METRICS).write_text('{"test": {"acc')
    broken = write_run(tmp_path / "broken", "gru", 7, 0.1)
    (broken / CONFIG).write_bytes(b"\xff\xfe: [")
    other = write_run(tmp_path / "other", "gru", 8, 0.1)
    (other / METRICS).write_text('{"version": 99}')
    listed = write_run(tmp_path / "listed", "gru", 9, 0.1)
    (listed / METRICS).write_text("[]")
    events = tmp_path / "events"
    events.mkdir()
    (events / "events.out.tfevents.1.a").write_bytes(b"no events")
    write_run(tmp_path / "again", "gru", 1, 0.9)
    runs, problems = read_runs([str(tmp_path)])
    assert sorted(run.folder.name for run in runs) == ["again", "gru_0"]
    told = "\n".join(problems)
    for named in (
        "unfinished is not finished (update 30)", "truncated/metrics.json is damaged", "broken/config.yaml cannot be",
        "other/metrics.json has no scores", "listed/metrics.json is damaged", "events has event files",
    ):  # fmt: skip
        assert named in told
    assert f"{tmp_path / 'gru_1'} has the configuration and seed of {tmp_path / 'again'}, which is newer" in told
    assert len(problems) == 7


def test_curves_that_were_cut_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    run = write_run(tmp_path / "gru", "gru", 0, 0.5)
    with (run / CURVES).open("a") as file:
        file.write('{"step": 40, "valid/acc')
    [record], _ = read_runs([str(run)])
    assert max(point["step"] for point in record.curves) == 30


def test_patterns_that_match_nothing(tmp_path: Path) -> None:
    with pytest.raises(SeqzooError, match="there is no folder"):
        read_runs([str(tmp_path / "nowhere*")])
    with pytest.raises(SeqzooError, match="there is no finished run in"):
        read_runs([str(tmp_path)])
    write_sweep(tmp_path, {"gru": [0.5], "lstm": [0.5]})
    assert len(read_runs([str(tmp_path / "gru_*")])[0]) == 1
    for path in tmp_path.glob(f"*/{METRICS}"):
        path.write_text(json.dumps({"validation": {"accuracy": 0.5}}))
    with pytest.raises(ConfigError, match="no run has scores of the test split: compare by --split validation"):
        compare(read_runs([str(tmp_path)])[0], "test")


def test_any_tensorboard_run_can_join(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.7, 0.9]})
    for seed in (0, 1):
        tracker = Tracker(tmp_path / f"mine_seed{seed}", {}, "mine")
        for step in (10, 20):
            tracker.scalar("valid/accuracy", step / 20, step)
        tracker.close()
    table = table_of(tmp_path)
    assert table.split == "validation"
    assert [(row.label, row.scores["accuracy"].mean) for row in table.rows] == [
        ("mine", 1.0), ("gru", pytest.approx(0.8)),
    ]  # fmt: skip
    assert [point["step"] for point in table.rows[0].runs[0].curves] == [10, 20]


@pytest.mark.parametrize(
    ("tag", "metric"),
    [
        ("valid/accuracy", "accuracy"),
        ("val_loss", "loss"),
        ("Accuracy/eval", "accuracy"),
        ("eval/f1_macro", "f1_macro"),
    ],
)
def test_names_of_validation_scalars_of_other_programs(tag: str, metric: str, tmp_path: Path) -> None:
    """Written as TensorFlow does, as a tensor, to a file whose end is cut."""
    tracker = Tracker(tmp_path / "run", {}, "run")
    writer = tracker._writer.file_writer
    for step in (1, 2, 3):
        tensor = TensorProto(dtype=1, float_val=[step / 4])
        writer.add_summary(Summary(value=[Summary.Value(tag=tag, tensor=tensor)]), step)
    tracker.close()
    [path] = (tmp_path / "run").glob("events*")
    path.write_bytes(path.read_bytes()[:-5])
    table = table_of(tmp_path / "run")
    assert (table.metric, table.rows[0].scores[metric].mean) == (metric, 0.5)


def test_points_that_a_continued_run_measures_again_count_once(tmp_path: Path) -> None:
    for number, (purge_step, values) in enumerate(((None, (0.1, 0.2, 0.3)), (2, (0.7,)))):
        tracker = Tracker(tmp_path / "new", {}, "run", purge_step)
        for step, value in enumerate(values, start=purge_step or 1):
            tracker.scalar("valid/accuracy", value, step)
        tracker.close()
        [written] = (tmp_path / "new").glob("events*")
        written.rename(tmp_path / f"events.out.tfevents.{number}")
    points = [(point["step"], point["valid/accuracy"]) for point in read_events(tmp_path)]
    assert points == [(1, pytest.approx(0.1)), (2, pytest.approx(0.7))]


@pytest.mark.parametrize(
    "damage",
    [
        {"cell": None}, {"backbone": "x"}, {"budget": [1]}, {"seed": "x"}, {"choices": {"cell": "gru"}},
        {"choices": {**BASE["choices"], "encoder": [1]}}, {"overrides": 3},
    ],
    ids=lambda damage: next(iter(damage)),
)  # fmt: skip
def test_a_configuration_of_another_kind_is_named(damage: dict, tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.7]})
    run = write_run(tmp_path / "other", "gru", 1, 0.9)
    (run / CONFIG).write_text(json.dumps(json.loads((run / CONFIG).read_text()) | damage))
    runs, [problem] = read_runs([str(tmp_path)])
    assert [found.folder.name for found in runs] == ["gru_0"]
    assert problem.startswith(f"{run / CONFIG} is not a configuration of seqzoo: its {next(iter(damage))}")


def test_a_point_that_is_no_number_is_left_out(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "gru", 0, 0.5)
    (run / CURVES).write_text('{"step": 1, "valid/accuracy": "x", "seconds": null}\n{"step": "x"}\n[]\n')
    [record] = read_runs([str(run)])[0]
    assert record.curves == [{"step": 1}]


def test_runs_without_the_metric_are_named(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.7, 0.9]})
    tracker = Tracker(tmp_path / "another", {}, "another")
    tracker.scalar("valid/error", 0.1, 1)
    tracker.close()
    table = table_of(tmp_path)
    assert ([row.label for row in table.rows], table.unscored) == (["gru"], ["another"])
    assert "Left out because they lack accuracy: another." in as_text([table], [])


def test_many_runs(tmp_path: Path) -> None:
    """Only small files are read: unreadable weights and events do not matter."""
    for number in range(200):
        folder = write_run(tmp_path / f"{number}", f"cell{number % 50}", number // 50, 0.001 * (number % 50))
        (folder / "events.out.tfevents.1.a").mkdir()
        (folder / "checkpoints").write_text("no folder")
    table = table_of(tmp_path)
    assert len(table.rows) == 50
    assert {len(row.runs) for row in table.rows} == {4}
    assert table.rows[0].label == "cell49"


def test_a_band_is_the_mean_and_the_range_where_all_runs_are(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.4, 0.8]})
    runs, _ = read_runs([str(tmp_path)])
    expected = [(10, 0.3, 0.2, 0.4), (20, 0.48, 0.32, 0.64), (30, 0.6, 0.4, 0.8)]
    assert [pytest.approx(point) for point in expected] == band(runs, "valid/accuracy", "step")
    assert band(runs, "valid/other", "step") == []
    # the second seed took ten times as long
    runs[1].curves = [{**point, "seconds": 10 * point["seconds"]} for point in runs[1].curves]
    assert [x for x, *_ in band(runs, "valid/accuracy", "seconds")] == pytest.approx([5.5, 11, 16.5])


def test_the_page_is_sound_and_needs_no_other_file(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.7, 0.9], "lstm": [0.6, 0.7], "<elman>": [0.1, 0.2]})
    page = as_html(compare(read_runs([str(tmp_path)])[0]), ["a <problem>"])
    assert "<elman>" not in page.replace("&lt;elman&gt;", "")
    assert "a &lt;problem&gt;" in page
    for foreign in ("http:", "https:", "src=", "href=", "url("):
        assert foreign not in page
    body = page[page.index("<body>") : page.index("</html>")]
    root = ElementTree.fromstring(body)
    plots = root.findall(".//svg")
    assert len(plots) == 2 + 3 * 3
    dots = plots[0].findall(".//circle")
    assert len(dots) == 3
    assert "Within 5 % of each other: seconds of training." in page
    row = root.findall(".//table")[0].findall(".//tr")[1].findall("td")
    lines = [[part.text for part in cell.findall("span")] for cell in row]
    assert lines[1:3] == [["2"], ["0.8000 ± 0.1414", "[0.7000, 0.9000]"]], "the interval has a line of its own"


def test_costs_a_third_apart_are_not_called_equal(tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.7], "lstm": [0.6]})  # of 3,000 and 4,000 parameters
    page = as_html(compare(read_runs([str(tmp_path)])[0]), [])
    assert "Within 5 % of each other: seconds of training." in page


def test_the_command_writes_what_it_is_asked_for(command: Callable, tmp_path: Path) -> None:
    write_sweep(tmp_path / "runs", {"gru": [0.7, 0.9], "lstm": [0.6, 0.7]})
    done = command("compare", "runs/*", "--csv", "a.csv", "--markdown", "a.md", "--html", "a.html", "--split", "test")
    assert done.status == 0, done.err
    assert "lstm" in done.out
    assert done.out.splitlines()[-3:] == ["wrote a.csv", "wrote a.md", "wrote a.html"]
    for name in ("a.csv", "a.md", "a.html"):
        assert "gru" in (tmp_path / name).read_text()
    assert (
        command("compare", "nowhere").err
        == "seqzoo: there is no folder nowhere: name run directories, or folders that contain run directories\n"
    )


def test_diff_of_two_tasks_has_short_lines(command: Callable, tmp_path: Path) -> None:
    write_run(tmp_path / "a", "gru", 0, 0.5, task={"class": "Transduction", "search": {"words": [], "beam_size": 3}})
    write_run(tmp_path / "b", "gru", 0, 0.5, task={"class": "Tagging"})
    lines = [line.split() for line in command("diff", "a", "b").out.splitlines()]
    assert ["task.search.beam_size", "3", "-"] in lines
    assert ["task.search.words", "[]", "-"] in lines


def test_diff_names_the_options_that_differ(command: Callable, tmp_path: Path) -> None:
    write_run(tmp_path / "a", "gru", 0, 0.5)
    write_run(tmp_path / "b", "gru", 1, 0.5, training={"learning_rate": 0.5})
    done = command("diff", "a", "b")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines == [["a", "b"], ["seed", "0", "1"], ["training.learning_rate", "0.001", "0.5"]]
    assert command("diff", "a", "a").out == "no differences\n"
    assert command("diff", "a", "c").err.startswith("seqzoo: c is not a run directory")


def test_diff_of_a_name_with_a_dot(command: Callable, tmp_path: Path) -> None:
    """As in a damaged run, where the name before the dot is that of a number."""
    write_run(tmp_path / "a", "gru", 1, 0.5, task={"depth": 3})
    write_run(tmp_path / "b", "gru", 1, 0.5, task={"depth": 3, "depth.x": 2})
    done = command("diff", "a", "b")
    assert (done.status, done.out.splitlines()[1].split()) == (0, ["task.depth.x", "-", "2"])


def event_file(path: Path, *values: Summary.Value, step: int = 1) -> None:
    """One event, without checksums, which are not read."""
    content = Event(step=step, wall_time=step, summary=Summary(value=list(values))).SerializeToString()
    path.write_bytes(len(content).to_bytes(8, "little") + bytes(4) + content + bytes(4))


def test_a_tensor_is_as_large_as_what_it_holds(tmp_path: Path) -> None:
    size = TensorShapeProto(dim=[TensorShapeProto.Dim(size=2**40)])
    big = Summary.Value(tag="valid/big", tensor=TensorProto(dtype=1, float_val=[1.0], tensor_shape=size))
    event_file(tmp_path / f"{EVENTS}1.a", big, Summary.Value(tag="valid/a", simple_value=0.5))
    event_file(tmp_path / f"{EVENTS}2.a", Summary.Value(tag="step", simple_value=0.5), step=2)
    assert read_events(tmp_path) == [{"step": 1, "seconds": 0.0, "valid/a": 0.5}]


@pytest.mark.parametrize("damage", ["config", "metrics", "curves", "events", "alias", "keys", "scores"])
def test_a_hostile_run_is_named_beside_the_others(damage: str, tmp_path: Path) -> None:
    write_sweep(tmp_path, {"gru": [0.7, 0.9]})
    bad = write_run(tmp_path / "bad", "gru", 7, 0.1)
    if damage == "alias":
        (bad / CONFIG).write_text("a: &a [x]\nb: [*a, *a]\n")
    elif damage == "keys":
        (bad / CONFIG).write_text("".join(f"k{n}: 1\n" for n in range(70_000)))
    elif damage == "scores":
        metrics = json.loads((bad / METRICS).read_text())
        metrics["test"] |= {f"k{n}": 1.0 for n in range(1000)}
        (bad / METRICS).write_text(json.dumps(metrics))
    elif damage == "events":
        (bad / CURVES).unlink()
        os.mkfifo(bad / f"{EVENTS}1.a")
    else:
        path = bad / {"config": CONFIG, "metrics": METRICS, "curves": CURVES}[damage]
        path.unlink()
        os.mkfifo(path)
    runs, [problem] = read_runs([str(tmp_path)])
    assert [run.folder.name for run in runs] == ["gru_0", "gru_1"]
    assert problem.startswith(str(bad))


NAME = "\x1b]0;title\x07 <img src=x> | `a` [b](c)\n| =1\u202e"


def test_names_from_elsewhere_are_text_alone(tmp_path: Path) -> None:
    for seed, accuracy in enumerate((0.5, 0.7)):
        run = write_run(tmp_path / f"run_{seed}", NAME, seed, accuracy)
        metrics = json.loads((run / METRICS).read_text())
        scores = {**metrics["test"], f"=2+3{NAME}": 0.5}
        (run / METRICS).write_text(json.dumps({**metrics, "test": scores}))
    tables = compare(read_runs([str(tmp_path)])[0])
    text, markdown, table, page = as_text(tables, []), as_markdown(tables), as_csv(tables), as_html(tables, [NAME])
    for written in (text, markdown, table, page):
        assert not {"\x1b", "\x07", "\u202e"} & set(written)
    assert r"\u001b]0;title\u0007 <img src=x> | `a` [b](c)\u000a| =1\u202e" in text
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(lines) == 3
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, "no cell more than there are columns"
    assert "<img" not in markdown
    assert "](c" not in markdown
    assert not re.search(r"(?<!\\)`", markdown)
    rows = list(csv.DictReader(io.StringIO(table)))
    assert rows[2]["metric"].startswith("'=2+3")
    assert "<img" not in page


def test_a_page_that_cannot_be_written_is_a_mistake(command: Callable, tmp_path: Path) -> None:
    write_sweep(tmp_path / "runs", {"gru": [0.7]})
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").write_text("kept")
    (tmp_path / "link").symlink_to("other")
    (tmp_path / "pipe").symlink_to("/dev/full")
    for name, why in (
        ("folder", "a folder, not a file"),
        ("link", "a link"),
        ("pipe", "a link"),
        ("other/x", "Not a d"),
    ):
        done = command("compare", "runs", "--html", name)
        assert (done.status, done.err.count("\n")) == (2, 1), name
        assert why in done.err
    assert (tmp_path / "other").read_text() == "kept"
