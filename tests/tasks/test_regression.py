"""Numbers as answers, one vector a sequence or one a step; what holds for every task is in tests/contracts."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import pytest
import torch

from seqzoo import compose
from seqzoo.configuration.building import build_model
from seqzoo.configuration.overrides import examine
from seqzoo.contracts.batch import Batch, Features, Loss
from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.raw_inputs import encode_inputs
from seqzoo.data.text.codec import spec_from_plain, spec_to_plain
from seqzoo.metrics import create_metric
from seqzoo.network.model import Model
from seqzoo.tasks.regression import Regression

LENGTHS = torch.tensor([3, 1])


def head(per_step: bool, output_size: int = 1) -> Regression:
    """A head that answers with its only feature and the negative of it."""
    task = Regression(1, DataSpec("regression", 2, output_size, per_step=per_step), ["mse"])
    with torch.no_grad():
        task.head.weight.copy_(torch.tensor([[1.0], [-1.0]])[:output_size])
        task.head.bias.zero_()
    return task


def features(outputs: torch.Tensor) -> Features:
    return Features(outputs, outputs[torch.arange(2), LENGTHS - 1], (), LENGTHS)


OUTPUTS = torch.tensor([[[1.0], [2.0], [4.0]], [[5.0], [0.0], [0.0]]])
INPUTS = torch.tensor([[[0.5, 1], [0.25, 0], [0.125, 1]], [[2, 3], [0, 0], [0, 0]]])


def test_the_loss_is_the_squared_error_of_the_last_answer() -> None:
    batch = Batch(INPUTS, LENGTHS, torch.tensor([[4.5], [3.0]]))
    task = head(per_step=False)
    scores = task(features(OUTPUTS), batch)
    assert scores.tolist() == [[4.0], [5.0]]
    total, count = task.loss(scores, batch)
    assert (total.item(), count.item()) == (0.25 + 4.0, 2)


def test_the_loss_of_steps_counts_each_number_and_no_padding() -> None:
    targets = torch.tensor([[[0.0, 0.0], [2.0, -2.0], [4.0, -1.0]], [[5.0, -4.0], [9.0, 9.0], [7.0, 9.0]]])
    batch = Batch(INPUTS, LENGTHS, targets)
    task = head(per_step=True, output_size=2)
    scores = task(features(OUTPUTS), batch)
    total, count = task.loss(scores, batch)
    assert (total.item(), count.item()) == (2.0 + 0.0 + 9.0 + 1.0, 8)


def test_answers_are_texts_with_all_digits() -> None:
    batch = Batch(INPUTS, LENGTHS, torch.tensor([[1 / 3], [-2.5e-7]]))
    task = head(per_step=False)
    assert task.references(batch) == ["0.3333333", "-2.5e-07"]
    predictions = task.decode(scoring(task), batch, features(OUTPUTS))
    assert [tuple(p) for p in predictions] == [("4", None), ("5", None)]
    assert task.show(batch, predictions) == [
        "0.5 1, 0.25 0, 0.125 1 -> 4   (target: 0.3333)",
        "2 3 -> 5   (target: -2.5e-07)",
    ]
    assert task.show(Batch(INPUTS, LENGTHS), predictions)[1] == "2 3 -> 5"


def test_answers_of_steps_end_with_their_row() -> None:
    task = head(per_step=True, output_size=2)
    predictions = task.decode(scoring(task), Batch(INPUTS, LENGTHS), features(OUTPUTS))
    assert [p.answer for p in predictions] == [["1 -1", "2 -2", "4 -4"], ["5 -5"]]
    assert task.show(Batch(INPUTS, LENGTHS), predictions)[0].endswith("-> 4 -4")


def test_long_inputs_are_shown_by_their_end() -> None:
    inputs, lengths = torch.arange(20.0)[None, :, None], torch.tensor([20])
    task = Regression(1, DataSpec("regression", 1, 1), ["mse"])
    [line] = task.show(
        Batch(inputs, lengths, torch.ones(1, 1)), task.decode(scoring(task), Batch(inputs, lengths), features_of(1.0))
    )
    assert line.startswith("... 12, 13, 14, 15, 16, 17, 18, 19 -> ")


def scoring(task: Regression) -> SimpleNamespace:
    """In place of a model whose features are given."""
    return SimpleNamespace(scores=lambda batch, features: task(features, batch))


def features_of(value: float) -> Features:
    return Features(torch.full((1, 20, 1), value), torch.full((1, 1), value), (), None)


# metrics

NOTHING = Loss(torch.zeros(()), torch.zeros(()))


def test_errors_by_hand() -> None:
    mse, mae, nrmse = (create_metric(name) for name in ("mse", "mae", "nrmse"))
    assert all(math.isnan(metric.compute()) for metric in (mse, mae, nrmse))
    assert not any(metric.higher_is_better for metric in (mse, mae, nrmse))
    mse.update(Loss(torch.tensor(6.0), torch.tensor(4)), [], [])
    assert mse.compute() == 1.5
    for metric in (mae, nrmse):
        metric.update(NOTHING, ["1", "2"], ["1", "4"])
        metric.update(NOTHING, [["3", "5"]], [["4", "3"]])
    assert mae.compute() == (0 + 2 + 1 + 2) / 4
    # squared errors 0, 4, 1, 4; the right numbers 1, 4, 4, 3 vary by 4 + 1 + 1 + 0 about 3
    assert nrmse.compute() == pytest.approx(math.sqrt(9 / 6))


def test_nrmse_normalises_each_component_by_its_variance() -> None:
    nrmse = create_metric("nrmse")
    nrmse.update(NOTHING, ["0 11", "1 10"], ["0 10", "2 10"])
    assert nrmse.compute() == pytest.approx(math.sqrt(2 / 2))


def test_nrmse_of_the_mean_is_one_and_of_a_constant_series_is_nan() -> None:
    nrmse = create_metric("nrmse")
    nrmse.update(NOTHING, ["2", "2", "2"], ["1", "2", "3"])
    assert nrmse.compute() == pytest.approx(1.0)
    constant = create_metric("nrmse")
    constant.update(NOTHING, ["2", "1"], ["1", "1"])
    assert math.isnan(constant.compute())


@pytest.mark.parametrize("name", ["mae", "nrmse"])
def test_what_cannot_be_compared(name: str) -> None:
    for answer, reference in (("1 2", "1"), (["1"], ["1", "2"]), ("a", "1")):
        with pytest.raises(ValueError, match=r"."):
            create_metric(name).update(NOTHING, [answer], [reference])


# as a part of a model


def build(data: str, *overrides: str) -> Model:
    config = compose("task=regression", f"data={data}", "backbone.hidden_size=8", *overrides)
    spec = DataSpec("regression", 2, 1) if data == "adding" else DataSpec("regression", 1, 1, per_step=True)
    return build_model(config, spec)


def test_one_number_for_each_sequence_of_a_padded_batch() -> None:
    """Equal to that of each row alone, in both directions."""
    model = build("adding", "backbone=bidirectional").eval()
    batch = Batch(torch.randn(2, 3, 2), LENGTHS)
    scores, _ = model(batch)
    assert scores.shape == (2, 1)
    alone, _ = model(Batch(batch.inputs[1:, :1], LENGTHS[1:], padded=False))
    torch.testing.assert_close(scores[1:], alone)


def test_the_task_alone_is_an_experiment_that_reads_numbers() -> None:
    config, mistakes = examine("task=regression")
    assert mistakes == []
    assert config.choices["encoder"] == "features"
    assert compose("task=tagging").choices["encoder"] == "tokens"


def test_mistakes_are_sentences() -> None:
    [mistake] = examine("task=regression", "encoder=tokens")[1]
    assert mistake.startswith("no batch goes through encoder=tokens, ")
    assert examine("task=regression", "task.metrics=[msee]")[1] == [
        "there is no metric 'msee'. Did you mean 'mse' or 'rmse' or 'mase'?"
    ]
    assert examine("task=tagging", "task.metrics=[nrmse]")[1] == [
        "task.metrics names nrmse, which cannot score what task=tagging predicts"
    ]


def test_the_sizes_are_saved() -> None:
    spec = DataSpec("regression", 2, 3, per_step=True)
    assert spec_from_plain(spec_to_plain(spec)) == spec
    old = {key: value for key, value in spec_to_plain(spec).items() if key != "per_step"}
    assert spec_from_plain(old) == DataSpec("regression", 2, 3)
    for change, told in (
        ({"input_size": -5}, "the sizes are [-5, 3, 0]"),
        ({"class_counts": "a"}, "class_counts is 'a'"),
    ):
        with pytest.raises(DataError, match=rf"^the saved sizes .* are damaged: {re.escape(told)}$"):
            spec_from_plain({**spec_to_plain(spec), **change})


def test_text_is_read_as_numbers() -> None:
    spec = DataSpec("regression", 2, 1)
    batch = encode_inputs(spec, ["0.5 1, -2e1 0", "3 4"])
    assert batch.inputs.tolist() == [[[0.5, 1.0], [-20.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]]]
    assert batch.lengths.tolist() == [2, 1]
    assert batch.padded


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("1 2, x 3", 'line 5: step 2 is "x 3": write finite numbers'),
        ("1 nan, 2 3", 'line 5: step 1 is "1 nan": write finite numbers'),
        ("1 2, 1e39 3", 'line 5: step 2 is "1e39 3": write finite numbers'),
        ("1 2, 3", "line 5: step 2 has 1 numbers, but the model reads 2 per step"),
        ("", "line 5: step 1 has 0 numbers"),
    ],
)
def test_text_that_is_no_numbers(text: str, mistake: str) -> None:
    with pytest.raises(DataError, match=mistake):
        encode_inputs(DataSpec("regression", 2, 1), [text], lines=[5])
