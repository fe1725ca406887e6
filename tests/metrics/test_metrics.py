"""Metrics against values worked out by hand."""

from __future__ import annotations

import math
import re
import sys

import pytest
import torch

from seqzoo.configuration.overrides import build, examine
from seqzoo.contracts.batch import Loss, Prediction
from seqzoo.contracts.errors import ConfigError, not_installed
from seqzoo.metrics import (
    BinaryConfusion,
    Confusion,
    confusion_of,
    create_metric,
    create_metrics,
    metric_classes,
    signatures,
)  # fmt: skip
from seqzoo.training.evaluation import evaluate

NOTHING = Loss(torch.tensor(0.0), torch.tensor(0))
FROM_PREDICTIONS = sorted(name for name in metric_classes() if create_metric(name).from_predictions)


def score(name: str, answers: list, references: list) -> float:
    metric = create_metric(name)
    metric.update(NOTHING, answers, references)
    return metric.compute()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loss", math.log(8)),
        ("loss_nats", math.log(8)),
        ("frame_nll", math.log(8)),
        ("frame_nll_bound", math.log(8)),
        ("perplexity", 8.0),
        ("bits_per_character", 3.0),
    ],
)
def test_loss_is_divided_by_all_targets(name: str, expected: float) -> None:
    metric = create_metric(name)
    # the mean of the two batches' means would be log(12.7)
    for total, count in [(1 * math.log(32), 1), (2 * math.log(4), 2)]:
        metric.update(Loss(torch.tensor(total, dtype=torch.float64), torch.tensor(count)), [], [])
    assert metric.compute() == pytest.approx(expected, rel=1e-12)
    assert not metric.higher_is_better


def test_perplexity_beyond_floats_is_infinite() -> None:
    metric = create_metric("perplexity")
    metric.update(Loss(torch.tensor(1e6), torch.tensor(1)), [], [])
    assert metric.compute() == math.inf


@pytest.mark.parametrize("name", metric_classes())
def test_a_metric_without_values_is_nan(name: str) -> None:
    metric = create_metric(name)
    assert metric.name == name
    assert math.isnan(metric.compute())


@pytest.mark.parametrize(
    ("name", "answers", "references", "expected"),
    [
        ("accuracy", ["pos", "neg", "pos", "néuträl"], ["pos", "pos", "pos", "néuträl"], 0.75),
        ("accuracy", [["N", "V", "N"], ["N"]], [["N", "N", "N"], ["V"]], 0.5),  # a share of steps, not of rows
        ("accuracy", [["名", "动"]], [["名", "名"]], 0.5),
        ("accuracy", [[]], [[]], math.nan),
        ("accuracy", [["N", "V", "N"], [""]], [["N", "", "V"], [""]], 0.5),  # steps without a tag do not count
        ("row_accuracy", [["N", "V", "N", "V"], ["N"], [""]], [["N", "N", "", "N"], ["N"], [""]], (1 / 3 + 1) / 2),
        # right: C4, then G4; wrong: E4, then C5; missing: G3 and B3
        ("frame_accuracy", [["C4+E4", "rest"], ["G4+C5"]], [["C4+G3", "B3"], ["G4"]], 2 / 6),
        ("frame_accuracy", [["Db4", "rest"]], [["C#4", "rest"]], 1.0),
        ("frame_accuracy", [["rest"]], [["rest"]], math.nan),
        ("exact_match", ["abc", "abd", ""], ["abc", "abc", ""], 2 / 3),
        ("exact_match", [["N", "V"], ["N", "N"]], [["N", "V"], ["N", "V"]], 0.5),
        # a: 2 of 2 answered, 3 real, F1 0.8; b: 1 of 2, 1 real, F1 2/3; c: never real, F1 0.
        ("macro_f1", ["a", "a", "b", "b", "c"], ["a", "a", "a", "b", "b"], (2 * 2 / 5 + 2 * 1 / 4 + 0) / 3),
        ("span_f1", [["B-PER", "I-PER", "O"]], [["B-PER", "I-PER", "O"]], 1.0),
        ("span_f1", [["O", "O", "O"]], [["B-PER", "I-PER", "O"]], 0.0),
        ("span_f1", [["O", "O"]], [["O", "O"]], 0.0),  # no entity anywhere
        ("span_f1", [["O", "B-LOC"]], [["O", "O"]], 0.0),  # no entity in the references
        ("span_f1", [["B-PER", "O", "O"]], [["B-PER", "I-PER", "O"]], 0.0),  # another boundary
        ("span_f1", [["B-LOC", "I-LOC"]], [["B-PER", "I-PER"]], 0.0),  # another type
        # Answered 2 and 1, real 1 and 1, found 1 and 0: F1 = 2 * 1 / (3 + 2).
        ("span_f1", [["B-PER", "O", "B-LOC"], ["B-LOC"]], [["B-PER", "O", "O"], ["B-PER"]], 0.4),
        ("span_f1", [["B-NAME", "M-NAME", "E-NAME", "S-LOC"]], [["B-NAME", "M-NAME", "E-NAME", "O"]], 2 / 3),
        ("bleu", ["the cat sat on the mat ."], ["the cat sat on the mat ."], 100.0),
        ("bleu", ["completely different words here"], ["the cat sat on the mat"], 0.0),
        # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples are right; the length is the same.
        ("bleu", ["the cat sat on a mat"], ["the cat sat on the mat"], 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25),
        # 3 of 5 words, 1 of 4 pairs; no triple and no quadruple, which count as 1/2 of 3 and 1/4 of 2
        ("bleu", ["a b c d e"], ["a b x d f"], 100 * (3 / 5 * 1 / 4 * 1 / 6 * 1 / 8) ** 0.25),
        ("bleu", ["a b c"], ["a b c"], 0.0),  # too short to have a quadruple
        (
            "bleu",
            ["a b c d", "e f g h"],
            [["a b c d"], ["a x x x", "e f g h"]],
            100.0,
        ),  # a row may have more references
        ("right_length", ["云 ， 山", "风"], ["雨，<unk>", "松 竹"], 0.5),
        ("repeats", ["云 ， 山 ， 月", "风 ， 风", "1+1"], ["", "", ""], 2 / 3),
        ("repeats", ["aaaa", "abc"], ["", ""], 0.5),  # an answer counts once, however often it repeats
        ("mae", ["1 2", "0 0"], ["2 4", "0 1"], 4 / 4),
        ("mae", [["1", "2", "3"], ["5"]], [["1", "2", "6"], ["6"]], 4 / 4),
        ("mae", [["1 (0 1 2)"]], [["3"]], 2.0),
        ("crps", [["1 2"]], [["3 2"]], (2 + 0) / 2),  # without quantiles, the absolute error
        # at the levels 1/4, 2/4, 3/4 of 0, 1, 2; the second number is below its only quantile
        ("crps", [["1 (0 1 2)"]], [["3"]], 2 * (0.25 * 3 + 0.5 * 2 + 0.75 * 1) / 3),
        ("crps", [["1 (1) 5 (5)"]], [["1 4"]], (0 + 1) / 2),
        ("bleu_zh", ["我喜欢读书"], ["我喜欢读书"], 100.0),
        ("chrf", ["Straße nach Süden"], ["Straße nach Süden"], 100.0),
        ("chrf", ["xyz"], ["abc"], 0.0),
        ("chrf", ["a"], ["ab"], 100 * 5 * 1 * 0.5 / (4 * 1 + 0.5)),  # precision 1, recall 1/2, recall weighs double
    ],
)
def test_values(name: str, answers: list, references: list, expected: float) -> None:
    assert score(name, answers, references) == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", FROM_PREDICTIONS)
def test_half_batches_add_up_to_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["B-X I-X O O O", "B-X O O", "O B-Y I-Y", "O O S-X"]
    references = ["B-X I-X O O O", "B-X I-X O", "O B-Y O", "O O O"]
    if name in ("accuracy", "row_accuracy", "macro_f1", "span_f1"):
        answers, references = ([row.split() for row in rows] for rows in (answers, references))
    if name in ("mae", "nrmse", "rmse", "mase", "smape", "crps"):
        answers, references = ["1", "2", "0.5", "-3"], ["1.5", "2", "1", "-2"]
    if name == "nrmse84":
        answers, references = ([[str(i)] * 84 for i in row] for row in ((1, 2, 0, -3), (1.5, 2, 1, -2)))
    if name == "frame_accuracy":
        answers, references = [["C4+E4", "rest"], ["C4"], ["G4"]], [["C4", "B3"], ["C4"], ["rest"]]
    if name == "repeats":
        answers = ["abc", "a, b, a", "c, d, e", "cd"]
    if name == "mase":
        monkeypatch.setattr(metric_classes()["mase"], "changes", [2.0])
    halves = create_metric(name)
    halves.update(NOTHING, answers[:1], references[:1])
    halves.update(NOTHING, answers[1:], references[1:])
    whole = score(name, answers, references)
    assert halves.compute() == whole
    percent = name.startswith(("bleu", "chrf", "rouge", "smape"))
    assert 0 < whole < (1000 if name == "cider_d" else 100 if percent else 1)
    errors = ("mae", "nrmse", "nrmse84", "rmse", "mase", "smape", "crps", "cer", "wer", "repeats")
    assert halves.higher_is_better == (name not in errors)


@pytest.mark.parametrize("name", ["accuracy", "row_accuracy", "macro_f1"])
@pytest.mark.parametrize("answer", [["N"], ["N", "V", "N"], "NV"])
def test_labels_that_do_not_align_are_refused(name: str, answer: str | list[str]) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        score(name, [answer], [["N", "V"]])


def test_bleu_counts_case() -> None:
    right = "The dog sits on a mat in the sun ."
    assert score("bleu", [right], [right]) == pytest.approx(100)
    assert score("bleu", [right.lower()], [right]) < 95
    assert score("bleu", [right.upper()], [right]) < 5


def test_a_corpus_score_has_a_signature() -> None:
    metric = create_metric("bleu_zh")
    metric.update(NOTHING, ["我读书"], ["我看书"])
    metric.compute()
    assert "tok:zh" in metric.signature
    assert signatures(create_metrics(["exact_match", "bleu_zh"])) == {"bleu_zh": metric.signature}


@pytest.mark.parametrize(
    ("name", "near"), [("acuracy", "'accuracy'"), ("blue", "'bleu'"), ("?", "There are: accuracy, ")]
)
def test_an_unknown_name_is_answered_with_the_closest(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match="there is no metric") as error:
        create_metric(name)
    assert near in str(error.value)
    with pytest.raises(ConfigError, match="metric meteor is not available, since it needs Java: choose cider_d"):
        create_metric("meteor")


@pytest.mark.parametrize(
    ("overrides", "name", "of_training"),
    [
        (["task=regression", "data=adding"], "loss", "loss"),
        (["task=classification"], "loss_nats", "loss_nats"),
        (["task=classification", "task.label_smoothing=0.1"], "loss_nats", "loss"),
        (["task=classification", "task.class_weights=balanced"], "loss_nats", "loss"),
        (["task=classification", "task.labels=numbers", "data=recall"], "loss", "loss"),
        (["task=language_modeling"], "loss_nats", "loss_nats"),
        (["task=language_modeling", "task.activation_regularization=2"], "loss_nats", "loss"),
        (["task=transduction", "task.coverage_loss=1", "task.decoder.attention=general"], "loss_nats", "loss"),
        (["task=transduction", "task.self_critical.metric=chrf"], "loss_nats", "loss"),
        (["task=tagging", "task.decoder=crf"], "loss_nats", "loss_nats"),
    ],
)
def test_only_a_likelihood_is_measured_in_nats(overrides: list[str], name: str, of_training: str) -> None:
    model, data = build(
        *overrides, "debug=tiny", "data.train_size=16", "data.validation_size=8", "data.test_size=8",
        "cell.engine=reference",
    )  # fmt: skip
    scores = evaluate(model, data, "validation", torch.device("cpu"))
    assert {"loss", "loss_nats"} & scores.keys() == {name}
    assert model.task.training_loss_name == of_training


@pytest.mark.parametrize(("overrides", "metric", "told"), [
    (["task=regression", "data=adding"], "perplexity", "computed from a likelihood, and the loss of task=regression"),
    (["task=classification", "task.labels=numbers"], "loss_nats", "a likelihood, and the loss of task=classification"),
    (["task=classification"], "mse", "a squared error, and the loss of task=classification is a likelihood"),
    (["task=tagging"], "mse", "a squared error, and the loss of task=tagging is a likelihood"),
])  # fmt: skip
def test_a_metric_of_another_loss_is_refused(overrides: list[str], metric: str, told: str) -> None:
    _, mistakes = examine(*overrides, f"task.metrics=[{metric}]")
    assert [told in mistake for mistake in mistakes if metric in mistake] == [True]
    assert not [mistake for mistake in examine(*overrides, "task.metrics=[loss]")[1] if "metrics" in mistake]


def test_metrics_keep_the_order_of_their_names() -> None:
    assert [metric.name for metric in create_metrics(["perplexity", "accuracy"])] == ["perplexity", "accuracy"]


def test_a_missing_library_is_reported_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(ConfigError, match=re.escape(not_installed("sacrebleu"))):
        create_metric("chrf")


def certain(*answers: str | list[str]) -> list[Prediction]:
    return [Prediction(answer, 0.0) for answer in answers]


def test_with_two_classes_the_probability_of_the_second_is_recorded() -> None:
    confusion = BinaryConfusion(["no", "yes"])
    confusion.update([Prediction("no", math.log(0.75)), Prediction("yes", math.log(0.6))], ["yes", "yes"])
    assert confusion.probabilities == pytest.approx([0.25, 0.6])
    assert confusion.right == [True, True]
    assert confusion.counts == [[0, 0], [1, 1]]


def test_a_confusion_matrix_counts_answers_by_their_right_class() -> None:
    confusion = Confusion(["a", "b", "c"])
    confusion.update(certain("a", "b", "b", "a"), ["a", "b", "a", "b"])
    confusion.update(certain(["b", "b"]), [["b", "a"]])  # a class a step
    assert confusion.counts == [[1, 2, 0], [1, 2, 0], [0, 0, 0]]
    assert confusion.by_class()["a"] == {"precision": 1 / 2, "recall": 1 / 3, "f1": 2 / 5, "support": 3}
    assert confusion.by_class()["c"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    macro = create_metric("macro_f1")
    macro.update(NOTHING, ["a", "b", "b", "a", "b", "b"], ["a", "b", "a", "b", "b", "a"])
    assert sum(found["f1"] for found in confusion.by_class().values()) / 2 == pytest.approx(macro.compute())


def test_a_report_of_span_tags_is_by_the_type_of_the_spans() -> None:
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    confusion = confusion_of(tags)
    answers = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "I-LOC", "O"]]
    references = [["B-PER", "I-PER", "O", "O"], ["B-LOC", "O", "B-PER"]]
    confusion.update(certain(*answers), references)
    per, loc = (
        {"precision": 1.0, "recall": 1 / 2, "f1": 2 / 3, "support": 2},
        dict.fromkeys(("precision", "recall", "f1"), 0),
    )
    assert confusion.by_class() == {"LOC": {**loc, "support": 1}, "PER": per}
    assert confusion.to_plain()["classes"] == tags
    assert confusion.counts == [[1, 0, 0, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0] * 5]
    assert score("span_f1", answers, references) == pytest.approx(2 * 1 / (3 + 3))
    assert confusion_of(["NOUN", "VERB"]).by_class().keys() == {"NOUN", "VERB"}


def test_errors_of_forecasts_by_hand() -> None:
    answers, references = [["1 10", "3 10"], ["0 0"]], [["2 10", "1 30"], ["0 nan"]]
    found = {}
    for name in ("rmse", "smape", "mae", "mase"):
        metric = create_metric(name)
        if name == "mase":
            metric.changes = [2.0, 5.0]
        metric.update(NOTHING, answers, references)
        found[name] = metric.compute()
    # the errors are 1, 0, 2, 20; the vector with a missing number counts for nothing
    assert found["mae"] == pytest.approx(23 / 4)
    assert found["rmse"] == pytest.approx(math.sqrt((1 + 0 + 4 + 400) / 4))
    assert found["smape"] == pytest.approx(200 * (1 / 3 + 0 + 2 / 4 + 20 / 40) / 4)
    assert found["mase"] == pytest.approx((1 / 2 + 0 + 2 / 2 + 20 / 5) / 4)
    unscaled = create_metric("mase")
    unscaled.update(NOTHING, answers, references)
    assert math.isnan(unscaled.compute())
