"""Losses of classes: values and gradients by hand, names, and what does not go together."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import seqzoo
from seqzoo.contracts.batch import Batch
from seqzoo.contracts.masking import IGNORED
from seqzoo.network.heads import Softmax, softmax
from seqzoo.network.heads.class_loss import OUTPUTS, ClassLoss
from seqzoo.training.evaluation import evaluate
from tests.conftest import Done

PAIRS = [(name, outputs) for name, choices in OUTPUTS.items() for outputs in choices]
SCORES = torch.tensor([[1.0, -0.5, 2.0]])
RIGHT = 0


def by_hand(name: str, outputs: str, z: list[float], right: int) -> float:
    """The formulas of the docstring, with plain numbers."""
    exponentials = [math.exp(value) for value in z]
    y = {
        "softmax": [value / sum(exponentials) for value in exponentials],
        "sigmoid": [1 / (1 + math.exp(-value)) for value in z],
        "linear": z,
    }[outputs]
    t = [float(k == right) for k in range(len(z))]
    each = [value if k == right else 1 - value for k, value in enumerate(y)]
    if name == "quadratic":
        return sum((a - b) ** 2 for a, b in zip(y, t, strict=True)) / 2
    if name == "ordinal":
        return sum((sum(y[: k + 1]) - sum(t[: k + 1])) ** 2 for k in range(len(z)))
    if name == "hinge":
        return max(0.0, 1 + max(value for k, value in enumerate(z) if k != right) - z[right])
    gamma = 2.0 if name == "focal" else 0.0
    counted = each if outputs == "sigmoid" else [y[right]]
    return -sum((1 - p) ** gamma * math.log(p) for p in counted)


@pytest.mark.parametrize(("name", "outputs"), PAIRS)
def test_losses_are_their_formulas(name: str, outputs: str) -> None:
    loss = ClassLoss(name, outputs)
    rows = torch.tensor([[1.0, -0.5, 2.0], [0.3, 0.2, -1.0], [9.0, 9.0, 9.0]])
    expected = by_hand(name, outputs, rows[0].tolist(), 0) + by_hand(name, outputs, rows[1].tolist(), 2)
    assert loss(rows, torch.tensor([0, 2, IGNORED])).item() == pytest.approx(expected, rel=1e-5)
    assert loss.own(rows, torch.tensor([0, 2, IGNORED])).item() == pytest.approx(expected, rel=1e-5)
    weights = torch.tensor([3.0, 1.0, 0.5])
    weighted = 3 * by_hand(name, outputs, rows[0].tolist(), 0) + 0.5 * by_hand(name, outputs, rows[1].tolist(), 2)
    assert loss(rows, torch.tensor([0, 2, IGNORED]), weights).item() == pytest.approx(weighted, rel=1e-5)


@pytest.mark.parametrize(("name", "outputs"), PAIRS)
def test_gradients_are_differences(name: str, outputs: str) -> None:
    z = SCORES.clone().requires_grad_()
    ClassLoss(name, outputs)(z, torch.tensor([RIGHT])).backward()
    for k in range(3):
        ends = [by_hand(name, outputs, (SCORES[0] + sign * 1e-4 * F.one_hot(torch.tensor(k), 3)).tolist(), RIGHT)
                for sign in (1, -1)]  # fmt: skip
        assert z.grad[0, k].item() == pytest.approx((ends[0] - ends[1]) / 2e-4, abs=2e-3)


def test_the_derivative_of_the_sigmoid_drops_out_of_the_cross_entropy() -> None:
    z, target = SCORES.clone().requires_grad_(), torch.tensor([[1.0, 0.0, 0.0]])
    y = z.detach().sigmoid()
    ClassLoss("cross_entropy", "sigmoid")(z, torch.tensor([RIGHT])).backward()
    torch.testing.assert_close(z.grad, y - target)
    z.grad = None
    ClassLoss("quadratic", "sigmoid")(z, torch.tensor([RIGHT])).backward()
    torch.testing.assert_close(z.grad, (y - target) * y * (1 - y))


@pytest.mark.parametrize("name", ["focal", "quadratic", "ordinal", "hinge"])
def test_gradients_stay_finite_at_extreme_scores(name: str) -> None:
    z = torch.tensor([[200.0, -200.0, 0.0], [-200.0, 200.0, 0.0]], requires_grad=True)
    ClassLoss(name, focusing=0.5)(z, torch.tensor([0, 0])).backward()
    assert z.grad.isfinite().all()


def test_a_smoothed_target_is_spread_over_all_classes_in_training() -> None:
    spread = torch.tensor([[0.8, 0.1, 0.1]])
    right = torch.tensor([RIGHT])
    for outputs in OUTPUTS["quadratic"]:
        loss = ClassLoss("quadratic", outputs, label_smoothing=0.3)
        y = {"softmax": SCORES.softmax(1), "sigmoid": SCORES.sigmoid(), "linear": SCORES}[outputs]
        torch.testing.assert_close(loss(SCORES, right), (y - spread).square().sum() / 2)
        torch.testing.assert_close(loss.eval().own(SCORES, right), ClassLoss("quadratic", outputs)(SCORES, right))
    binary = ClassLoss("cross_entropy", "sigmoid", label_smoothing=0.3)(SCORES, right)
    torch.testing.assert_close(binary, F.binary_cross_entropy_with_logits(SCORES, spread, reduction="sum"))


def test_the_classes_of_an_ordinal_loss_are_in_a_given_order() -> None:
    loss = ClassLoss("ordinal", order=[2, 0, 1])
    expected = by_hand("ordinal", "softmax", [2.0, 1.0, -0.5], 1)
    assert loss(SCORES, torch.tensor([0])).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "outputs"), [pair for pair in PAIRS if pair[1] != "linear"])
def test_outside_training_the_loss_is_a_likelihood(name: str, outputs: str) -> None:
    loss = ClassLoss(name, outputs).eval()
    logs = loss.log_probabilities(SCORES)
    assert logs.exp().sum().item() == pytest.approx(1)
    if outputs == "sigmoid":
        torch.testing.assert_close(logs.exp(), SCORES.sigmoid() / SCORES.sigmoid().sum())
    assert loss(SCORES, torch.tensor([RIGHT])).item() == pytest.approx(-logs[0, RIGHT].item())
    assert loss.loss_name == "loss_nats"
    two = torch.stack([SCORES, -SCORES])
    mean = loss.log_probabilities(loss.average(two)).exp()
    if outputs == "softmax":
        torch.testing.assert_close(mean, two.softmax(-1).mean(0))
    else:
        torch.testing.assert_close(mean, two.sigmoid().mean(0) / two.sigmoid().mean(0).sum())


@pytest.mark.parametrize("outputs", ["softmax", "sigmoid"])
@pytest.mark.parametrize("name", ["cross_entropy", "quadratic", "focal"])
def test_a_large_vocabulary_is_scored_in_chunks(name: str, outputs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head = Softmax(4, 7, None, ClassLoss(name, outputs))
    features, targets = torch.randn(9, 4, requires_grad=True), torch.tensor([0, 1, 2, 3, 4, 5, 6, IGNORED, 0])
    whole = head.loss(features, targets)
    (expected,) = torch.autograd.grad(whole, features)
    monkeypatch.setitem(softmax.SCORES_AT_ONCE, "cpu", 14)
    chunked = head.loss(features, targets)
    torch.testing.assert_close(chunked, whole)
    torch.testing.assert_close(torch.autograd.grad(chunked, features)[0], expected)


SMALL = ("debug=tiny", "data.train_size=16", "data.validation_size=8", "data.test_size=8", "cell.engine=reference")


@pytest.mark.parametrize(("options", "names", "of_training"), [
    (["task=classification", "task.loss=quadratic"], {"loss_nats", "quadratic_loss"}, "quadratic_loss"),
    (["task=classification", "task.loss=hinge"], {"hinge_loss"}, "hinge_loss"),
    (["task=classification", "task.loss=focal", "task.class_weights=balanced"], {"loss_nats", "focal_loss"}, "loss"),
    (["task=classification", "task.loss=ordinal", "data=recall"], {"loss_nats", "ordinal_loss"}, "ordinal_loss"),
    (["task=classification", "task.loss=quadratic", "task.ngrams=2"], {"loss_nats", "quadratic_loss"},
     "quadratic_loss"),
    (["task=tagging", "task.loss=quadratic", "task.outputs=linear"], {"quadratic_loss"}, "quadratic_loss"),
    (["task=tagging", "task.outputs=sigmoid"], {"loss_nats", "cross_entropy_loss"}, "cross_entropy_loss"),
    (["task=tagging", "task.label_smoothing=0.1"], {"loss_nats"}, "loss"),
    (["task=language_modeling", "task.loss=quadratic"], {"loss_nats", "quadratic_loss"}, "quadratic_loss"),
    (["task=language_modeling", "task.outputs=sigmoid", "task.ngrams=2"], {"loss_nats", "cross_entropy_loss"},
     "cross_entropy_loss"),
])  # fmt: skip
def test_each_loss_is_reported_under_its_own_name(options: list[str], names: set[str], of_training: str) -> None:
    model, data = seqzoo.build(*options, *SMALL)
    scores = evaluate(model, data, "validation", torch.device("cpu"))
    assert {name for name in scores if "loss" in name} == names
    assert all(math.isfinite(value) for value in scores.values())
    assert model.task.training_loss_name == of_training
    batch: Batch = next(iter(data.batches("train")))
    model.train()
    loss, _ = model.loss(batch)
    loss.total.backward()
    assert all(weight.grad.isfinite().all() for weight in model.task.parameters() if weight.grad is not None)


def test_linear_outputs_have_no_log_probability() -> None:
    for task in ("classification", "tagging"):
        model, data = seqzoo.build(f"task={task}", "task.loss=hinge", *SMALL)
        batch = next(iter(data.batches("validation")))
        assert {prediction.score for prediction in model.eval().task.decode(model, batch)} == {None}
        assert evaluate(model, data, "validation", torch.device("cpu"), confusion=model.task.report())


REFUSED: list[tuple[list[str], str]] = [
    (["task=classification", "task.loss=hinge", "task.outputs=softmax"], "loss=hinge is defined for linear"),
    (["task=classification", "task.loss=focal", "task.label_smoothing=0.1"], "label_smoothing is for"),
    (["task=classification", "task.loss=hinge", "task.metrics=[loss_nats]"], "is computed from a likelihood"),
    (["task=classification", "task.labels=numbers", "task.loss=quadratic", "data=recall"], "labels=numbers is trained"),
    (["task=classification", "task.ngrams=2", "task.loss=hinge"], "ngrams add probabilities"),
    (["task=tagging", "task.decoder=crf", "task.loss=quadratic"], "decoder=crf is trained by the likelihood"),
    (["task=language_modeling", "task.loss=quadratic", "task.softmax_cutoffs=[20]"], "softmax_cutoffs computes"),
    (["task=language_modeling", "task.loss=quadratic", "task.softmax_mixtures=2"], "softmax_mixtures computes"),
    (["task=language_modeling", "task.loss=hinge"], "loss"),
    (["task=classification", "task.focusing=1"], "task.focusing=1 has no effect with task.loss=cross_entropy"),
]


@pytest.mark.parametrize(("options", "reason"), REFUSED, ids=[" ".join(options) for options, _ in REFUSED])
def test_what_does_not_go_together_is_refused(command: Callable[..., Done], options: list[str], reason: str) -> None:
    done = command("check", *options, "debug=tiny")
    assert done.status == 2
    assert reason in done.err


def test_a_sweep_over_losses_ends_in_one_table(command: Callable[..., Done], tmp_path: Path) -> None:
    options: tuple[Any, ...] = ("task=language_modeling", "task.outputs=sigmoid", *SMALL, "training.steps=2")
    done = command("train", "-m", *options, "baseline=false", "task.loss=quadratic,cross_entropy")
    assert done.status == 0, done.err
    table = done.out[done.out.rindex("perplexity") :]
    assert "quadratic" in table
    assert "cross_entropy" in table
