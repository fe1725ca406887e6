"""Recipes: what they choose, what they leave alone, and that the same data give the same choice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import seqzoo
from seqzoo.configuration.experiment import Experiment
from seqzoo.configuration.recipe import tailored
from seqzoo.configuration.rules import Choice, Rules
from seqzoo.configuration.rules_of_kinds import rules_for
from seqzoo.contracts.options import value_at
from seqzoo.contracts.survey import Survey, measure_texts
from seqzoo.training.record.files import read_config

SENTENCES = ["the food was good", "the soup was bad", "a fine evening it was", "nothing here is fine"]


def table(path: Path, texts: list[str], labels: tuple[str, ...] = ("a", "b")) -> str:
    rows = [f"{text}\t{labels[number % len(labels)]}" for number, text in enumerate(texts)]
    path.write_text("\n".join(["text\tlabel", *rows]) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    return table(tmp_path / "reviews.tsv", [f"{text} {number}" for number in range(60) for text in SENTENCES])


def chosen(*overrides: str) -> tuple[Experiment, dict[str, Any]]:
    config, choices = tailored(seqzoo.compose(*overrides))
    return config, {path: value for choice in choices for path, value in choice.values.items()}


def classified(train: str, *overrides: str) -> tuple[Experiment, dict[str, Any]]:
    return chosen("task=classification", "data=classification_files", f"data.train={train}", *overrides)


def test_the_configuration_has_what_was_chosen(reviews: str) -> None:
    config, values = classified(reviews)
    plain = config.to_plain()
    assert values["backbone"] == config.choices["backbone"] == "bidirectional"
    assert {path: value_at(plain, path) for path in values if path != "backbone"} == {
        path: value for path, value in values.items() if path != "backbone"
    }
    assert config.recipe == "auto"
    assert config.overrides == seqzoo.compose(*config.overrides).overrides
    assert classified(reviews) == (config, values)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("training.epochs=3", "training.epochs", 3),
        ("backbone=deep", "backbone", "deep"),
        ("task.pooling=last", "task.pooling", "last"),
        ("data.batch_size=7", "data.batch_size", 7),
        ("encoder.dropout=0.0", "encoder.dropout", 0.0),
        ("ensemble=1", "ensemble", 1),
    ],
)
def test_what_is_given_wins(reviews: str, override: str, path: str, value: Any) -> None:
    config, values = classified(reviews, override)
    assert path not in values
    assert value_at(config.to_plain(), f"choices.{path}" if path == "backbone" else path) == value


def test_a_budget_sets_the_width(reviews: str) -> None:
    _, values = classified(reviews, "budget.parameters=50k")
    assert "backbone.hidden_size" not in values
    assert "task.pooling" in values


def test_training_options_of_ones_own_stay(reviews: str) -> None:
    _, values = classified(reviews, "training=regression")
    assert [path for path in values if path.startswith("training.")] == []


def test_an_experiment_brings_its_architecture_and_not_its_schedule(reviews: str) -> None:
    config, values = classified(reviews, "experiment=trec", "data.vectors=null", "encoder.embedding_size=100")
    of_trec = seqzoo.compose("experiment=trec")
    assert config.choices["cell"] == "gru"
    assert config.task["pooling"] == of_trec.task["pooling"] == "max"
    assert config.encoder["dropout"] == of_trec.encoder["dropout"]
    assert {"training.epochs", "training.learning_rate", "data.batch_size"} <= values.keys()
    assert not {"cell", "backbone", "backbone.hidden_size", "task.pooling", "task.dropout"} & values.keys()


def test_published_data_keep_their_settings() -> None:
    for overrides in (("experiment=trec",), ("task=classification", "data=trec"), ("task=tagging",)):
        config, choices = tailored(seqzoo.compose(*overrides))
        assert (choices, config.recipe) == ([], "none")
        assert config.training == seqzoo.compose(*overrides).training


def test_generated_data_have_a_recipe_on_request() -> None:
    _, values = chosen("task=classification", "recipe=auto")
    assert values["backbone"] == "bidirectional"
    assert chosen("task=classification", "recipe=none")[1] == {}


@pytest.mark.parametrize(
    "texts", [["Schmidt", "Smith", "Li", "Petrov"] * 10, ["ACGTACGT", "CCGT"] * 20, ["这家酒店很好", "早餐太差了"] * 20]
)
def test_words_and_unspaced_text_are_read_by_characters(tmp_path: Path, texts: list[str]) -> None:
    config, _ = classified(table(tmp_path / "data.tsv", texts))
    assert config.data["tokenizer"] == "characters"


def test_rare_classes_are_reported(tmp_path: Path) -> None:
    train = table(tmp_path / "data.tsv", SENTENCES * 30, ("a", "a", "a", "a", "b"))
    assert classified(train)[0].task["metrics"] == ("accuracy",)
    train = table(tmp_path / "data.tsv", SENTENCES * 30, ("a", "a", "a", "a", "b", "a", "c"))
    assert classified(train)[0].task["metrics"] == ("accuracy", "macro_f1")


def test_the_error_of_ratings_is_reported(tmp_path: Path) -> None:
    train = table(tmp_path / "data.tsv", SENTENCES * 30, ("1", "2", "3", "4.5"))
    assert classified(train)[0].task["metrics"] == ("accuracy", "mae")
    train = table(tmp_path / "data.tsv", SENTENCES * 30, ("1", "1", "1", "1", "3", "1", "5"))
    assert classified(train)[0].task["metrics"] == ("accuracy", "macro_f1", "mae")
    train = table(tmp_path / "data.tsv", SENTENCES * 30, ("0", "1"))
    assert classified(train)[0].task["metrics"] == ("accuracy",)
    train = table(tmp_path / "data.tsv", SENTENCES * 30, ("0", "1", "2"))
    assert classified(train)[0].task["metrics"] == ("accuracy",)
    train = table(tmp_path / "data.tsv", SENTENCES * 30, ("1", "2", "x"))
    assert classified(train)[0].task["metrics"] == ("accuracy",)


@pytest.mark.parametrize(("target", "metric"), [("das Haus ist alt", "bleu"), ("这家酒店很好", "chrf")])
def test_texts_are_scored_as_they_were_written(tmp_path: Path, target: str, metric: str) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"{text}\t{target}\n" for text in SENTENCES * 10), encoding="utf-8")
    overrides = ("task=transduction", "data=parallel_files", f"data.train_source={pairs}")
    assert chosen(*overrides)[0].task["metrics"] == (metric, "exact_match")
    assert chosen(*overrides, "task.metrics=[perplexity]")[0].task["metrics"] == ("perplexity",)


def test_a_translator_ends_in_ten_minutes_and_writes_few_answers_for_validation(tmp_path: Path) -> None:
    texts = [f"{text} {number}" for number in range(3_000) for text in SENTENCES]
    pairs = table(tmp_path / "pairs.tsv", texts, tuple(f"so {text}" for text in texts))
    overrides = ("task=transduction", "data=parallel_files", f"data.train_source={pairs}")
    config, values = chosen(*overrides)
    assert (config.budget.seconds, values["data.validation_fraction"]) == (600, 0.0833)
    assert chosen(*overrides, "training.epochs=2")[0].budget.seconds is None
    assert chosen(*overrides, "budget.seconds=null")[0].budget.seconds is None
    assert "data.validation_fraction" not in chosen(*overrides, f"data.validation_source={pairs}")[1]


def test_spans_are_tagged_by_a_field_and_scored_as_spans(tmp_path: Path) -> None:
    path = tmp_path / "train.conll"
    path.write_text("\n\n".join(["Ann\tB-PER\nSmith\tI-PER\nsleeps\tO", "He\tO\nis\tO\nhere\tO"] * 20) + "\n")
    config, _ = chosen("task=tagging", "data=tagging_files", f"data.train={path}")
    assert (config.task["decoder"], config.task["metrics"]) == ("crf", ("span_f1", "accuracy"))
    assert config.task["fit_outside_penalty"]
    assert config.choices["encoder"] == "words_and_characters"
    assert config.data["characters"] == 20


def test_a_run_shows_and_stores_what_was_chosen(reviews: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = seqzoo.train(
        "task=classification", "data=classification_files", f"data.train={reviews}", "training.steps=2", "ensemble=1",
        "training.epochs=1", "baseline=false",
    )  # fmt: skip
    log = (run.folder / "train.log").read_text(encoding="utf-8")
    assert "recipe  backbone=bidirectional: the whole input is known before the answer" in log
    config = read_config(run.folder)
    assert (config["recipe"], config["choices"]["backbone"]) == ("auto", "bidirectional")
    assert config["training"]["warmup_steps"] == 0


def test_a_choice_is_written_as_overrides() -> None:
    choice = Choice({"task.pooling": ["mean", "max"], "training.steps": None}, "why")
    assert str(choice) == "task.pooling=[mean,max] training.steps=null: why"


def test_few_validation_examples_choose_no_weights(reviews: str, tmp_path: Path) -> None:
    config, values = classified(reviews)
    assert (config.training.keep, config.training.patience) == ("last", None)
    config, values = classified(reviews, "training.patience=2")
    assert (config.training.keep, config.training.patience) == ("best", 2)
    many = table(tmp_path / "many.tsv", [f"{text} {number}" for number in range(300) for text in SENTENCES])
    config, values = classified(many, "task.ngrams=0")
    assert (config.training.keep, values["training.patience"]) == ("best", 8)


def test_the_last_weights_are_kept_beside_ngrams(tmp_path: Path) -> None:
    many = table(tmp_path / "many.tsv", [f"{text} {number}" for number in range(300) for text in SENTENCES])
    config, _ = classified(many)
    assert (config.training.keep, config.training.patience) == ("last", None)


def test_windows_of_one_length_are_read_from_their_middle(tmp_path: Path) -> None:
    config, _ = classified(table(tmp_path / "windows.tsv", ["ACGTA", "CCGTT", "GATTC"] * 20))
    assert config.task["pooling"] == "middle"
    config, _ = classified(table(tmp_path / "strings.tsv", ["ACGTA", "CCGT", "GATTC"] * 20))
    assert config.task["pooling"] == ("mean", "max")


def test_the_schedule_depends_on_the_number_of_examples(tmp_path: Path) -> None:
    schedules = []
    for number in (100, 1_000):
        texts = [f"{text} {index}" for index in range(number // 4) for text in SENTENCES]
        config, _ = classified(table(tmp_path / "data.tsv", texts))
        schedules.append((config.data["batch_size"], config.training.epochs, config.ensemble))
    assert schedules == [(8, 15, 3), (16, 15, 3)]


def test_words_are_read_less_often_than_their_letters(tmp_path: Path) -> None:
    names = table(tmp_path / "names.tsv", [f"name{number}" for number in range(2_100)])
    sentences = table(tmp_path / "sentences.tsv", [f"they are {number}" for number in range(2_100)])
    hanzi = "".join(chr(0x4E00 + index) for index in range(600))
    chinese = table(tmp_path / "chinese.tsv", [hanzi[number % 590 :][:3] for number in range(2_100)])
    epochs = [classified(path)[0].training.epochs for path in (names, sentences, chinese)]
    assert epochs == [30, 15, 15]


def test_phrases_are_scored_beside_the_network(reviews: str, tmp_path: Path) -> None:
    assert classified(reviews)[0].task["ngrams"] == 2
    assert classified(table(tmp_path / "names.tsv", ["Schmidt", "Li", "Petrov"] * 20))[0].task["ngrams"] == 4
    assert classified(table(tmp_path / "windows.tsv", ["ACGTA", "CCGTT", "GATTC"] * 20))[0].task["ngrams"] == 0


@pytest.mark.parametrize(("different", "cutoffs"), [(4_000, None), (6_000, (1_500, 5_000))])
def test_language_models_of_many_words_have_an_adaptive_softmax(
    tmp_path: Path, different: int, cutoffs: tuple[int, ...] | None
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(f"word{number} and\n" for number in range(different)), encoding="utf-8")
    overrides = ("task=language_modeling", "data=text_files", f"data.train={text}", "data.tokenizer=whitespace")
    config, _ = chosen(*overrides)
    assert (config.task["tied_embeddings"], config.task["softmax_cutoffs"]) == (True, cutoffs)
    assert config.training.epochs == 20
    assert config.task["ngrams"] == 5
    assert chosen(*overrides, "data.tokenizer=characters")[0].task["ngrams"] == 9


def test_characters_are_learned_fast_and_large_texts_of_them_without_dropout(tmp_path: Path) -> None:
    text, settings = tmp_path / "text.txt", []
    for lines, tokenizer in ((1_000, "characters"), (60_000, "characters"), (60_000, "whitespace")):
        text.write_text("the dog is\n" * lines, encoding="utf-8")
        config, _ = chosen(
            "task=language_modeling", "data=text_files", f"data.train={text}", f"data.tokenizer={tokenizer}"
        )
        dropouts = config.encoder["dropout"], config.task["dropout"]
        width = config.backbone["hidden_size"]
        settings.append((width, config.training.learning_rate, *dropouts, config.training.epochs))
    assert settings == [(128, 0.005, 0.1, 0.1, 20), (256, 0.005, 0.0, 0.0, 4), (192, 0.003, 0.1, 0.3, 8)]


def test_music_is_regularised_and_seen_as_often_as_it_needs(tmp_path: Path) -> None:
    pieces = [[[60 + (number + step) % 12] for step in range(40)] for number in range(80)]
    (tmp_path / "a.json").write_text(json.dumps(pieces))
    music = ("task=polyphony", "data=music_files", f"data.train={tmp_path}/a.json")
    config, values = chosen(*music)
    assert config.choices["backbone"] == "unidirectional"
    assert config.task["head"] == "independent"
    assert {path: values[path] for path in ("encoder.dropout", "task.dropout", "data.batch_size")} == {
        "encoder.dropout": 0.1, "task.dropout": 0.4, "data.batch_size": 1,
    }  # fmt: skip
    assert values["training.epochs"] == 40
    assert values["training.patience"] == 8
    assert values["training.learning_rate"] == 0.005
    _, values = chosen(*music, "data.window=2", "task.dropout=0.0")
    assert "task.dropout" not in values
    assert values["training.epochs"] == 6_000 // (72 * 39 // 2)
    assert not chosen("task=polyphony", "data=jsb_chorales")[1]


def test_small_sets_of_tags_are_read_more_often_and_words_by_their_letters(tmp_path: Path) -> None:
    path, settings = tmp_path / "train.conll", []
    for word, sentences in (("好", 3_000), ("好的", 3_000), ("words", 24_000)):
        path.write_text(f"{word}\tA\n{word}\tB\n\n" * sentences, encoding="utf-8")
        config, _ = chosen("task=tagging", "data=tagging_files", f"data.train={path}", "data.validation_fraction=0.01")
        settings.append((config.training.epochs, config.choices["encoder"]))
    assert settings == [(30, "tokens"), (30, "words_and_characters"), (14, "words_and_characters")]


def test_a_new_kind_of_data_is_one_class_and_an_unknown_one_has_the_general_rules() -> None:
    class StoryRules(Rules):
        kind = "stories"
        most_epochs = ((float("inf"), 7),)

    texts = measure_texts(SENTENCES)
    plain = {"data": {"tokenizer": "whitespace"}, "training": {"steps": None}}
    values = {}
    for kind in ("stories", "unheard_of"):
        rules = rules_for(kind)(Survey(kind, 4, 0, texts), plain, lambda path: False)
        values[kind] = {path: value for choice in rules.choices() for path, value in choice.values.items()}
    assert rules_for("stories") is StoryRules
    assert values["unheard_of"]["backbone"] == "bidirectional"
    assert values["unheard_of"]["training.epochs"] == 40
    differing = {path for path, value in values["stories"].items() if value != values["unheard_of"][path]}
    assert values["stories"]["training.epochs"] == 7
    assert differing == {"training.epochs", "training.warmup_steps", "training.validate_every"}


def test_a_series_whose_level_wanders_is_relative(tmp_path: Path) -> None:
    def choices_for(values: list[float], *overrides: str) -> dict[str, Any]:
        (tmp_path / "series.csv").write_text("x\n" + "".join(f"{value}\n" for value in values))
        train = f"data.train={tmp_path / 'series.csv'}"
        return chosen("task=forecasting", "data=forecast_files", train, "data.window=20", *overrides)[1]

    grows, swings = [float(step) for step in range(200)], [float(step % 10) for step in range(200)]
    assert choices_for(grows)["data.relative"] is True
    assert "data.relative" not in choices_for(swings)
    assert choices_for(swings)["task.linear_window"] == 20
    assert choices_for(swings)["training.keep"] == "last", "the network's share is fitted after the training"
