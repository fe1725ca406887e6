"""Kinds of labels, and weighted and smoothed losses."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqzoo.contracts.batch import Batch, Features
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.text.codec import LabelCodec
from seqzoo.metrics import create_metrics
from seqzoo.tasks.classification import Classification, CumulativeLink, _class_weights

RATINGS = DataSpec("classification", 8, 5, None, LabelCodec("12345"), class_counts=[10, 20, 40, 20, 10])


def head(spec: DataSpec = RATINGS, **options: Any) -> Classification:
    return Classification(4, spec, options.pop("metrics", ["accuracy"]), **options)


def features_and_batch(rows: int = 6) -> tuple[Features, Batch]:
    outputs = torch.randn(rows, 3, 4)
    batch = Batch(torch.zeros(rows, 3, 4), torch.full((rows,), 3), torch.arange(rows) % 5, padded=False)
    return Features(outputs, outputs[:, -1], (), None), batch


def test_cumulative_link_is_the_difference_of_two_sigmoids() -> None:
    link = CumulativeLink(4, 5).double()
    torch.nn.init.normal_(link.gaps)
    x = torch.randn(7, 4, dtype=torch.float64)
    gaps = F.softplus(link.gaps).tolist()
    thresholds = list(itertools.accumulate(gaps, initial=link.lowest.item()))
    score = link.score(x)[:, 0]
    below = [torch.zeros(7)] + [torch.sigmoid(threshold - score) for threshold in thresholds] + [torch.ones(7)]
    expected = torch.stack([high - low for low, high in itertools.pairwise(below)], 1)
    torch.testing.assert_close(link(x).exp().double(), expected.double(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(link(x).exp().sum(1), torch.ones(7))


def test_cumulative_link_stays_finite_far_from_its_thresholds() -> None:
    link = CumulativeLink(1, 5)
    torch.nn.init.constant_(link.score.weight, 1.0)
    x = torch.tensor([[-200.0], [200.0]], requires_grad=True)
    scores = link(x)
    scores.sum().backward()
    assert scores.isfinite().all()
    assert x.grad.isfinite().all()
    assert scores.argmax(1).tolist() == [0, 4]


def test_two_ordinal_classes_are_a_logistic_regression() -> None:
    link = CumulativeLink(4, 2)
    x = torch.randn(5, 4)
    torch.testing.assert_close(link(x)[:, 1].exp(), torch.sigmoid(link.score(x)[:, 0] - link.lowest))


def test_numbers_are_learned_by_their_squared_error_and_answered_by_the_nearest_class() -> None:
    task = head(labels="numbers", metrics=["mae", "accuracy"])
    batch = Batch(torch.zeros(3, 1, 4), torch.ones(3), torch.tensor([0, 2, 4]), padded=False)
    scores = torch.tensor([[1.4], [3.6], [9.0]])
    loss = task.loss(scores, batch)
    assert loss.total.item() == pytest.approx(0.4**2 + 0.6**2 + 4**2)
    assert loss.count == 3
    answers = [RATINGS.targets.decode([i]) for i in task.answer_scores(scores).argmax(1).tolist()]
    assert answers == ["1", "4", "5"]
    metrics = create_metrics(["mae", "accuracy"])
    for metric in metrics:
        metric.update(loss, answers, task.references(batch))
    assert [metric.compute() for metric in metrics] == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize("labels", ["classes", "ordinal", "numbers"])
def test_every_kind_of_label_learns_an_order(labels: str) -> None:
    task = head(labels=labels)
    optimizer = torch.optim.Adam(task.parameters(), lr=0.1)
    targets = torch.arange(100) % 5
    outputs = torch.randn(100, 1, 4)
    outputs[:, 0, 0] = targets - 2.0
    features, batch = Features(outputs, outputs[:, -1], (), None), Batch(outputs, torch.ones(100), targets)
    for _ in range(150):
        optimizer.zero_grad()
        total, count = task.loss(task(features, batch), batch)
        (total / count).backward()
        optimizer.step()
    right = task.answer_scores(task(features, batch)).argmax(1) == targets
    assert right.float().mean() > 0.9


def losses(task: Classification) -> tuple[Tensor, Tensor]:
    features, batch = features_and_batch()
    return task.loss(task(features, batch), batch)


def test_balanced_classes_weigh_by_the_inverse_of_their_counts() -> None:
    task = head(class_weights="balanced")
    torch.testing.assert_close(task.class_weights, torch.tensor([2.0, 1.0, 0.5, 1.0, 2.0]))
    features, batch = features_and_batch()
    scores = task(features, batch)
    each = F.cross_entropy(scores, batch.targets, reduction="none")
    weights = task.class_weights[batch.targets]
    total, count = task.loss(scores, batch)
    torch.testing.assert_close(total, (each * weights).sum())
    assert count == weights.sum()
    total, count = task.eval().loss(scores, batch)  # a held-out loss is in nats
    torch.testing.assert_close(total, each.sum())
    assert count == 6
    spec = DataSpec("classification", 10, 3, targets=LabelCodec("abc"), class_counts=[1, 0, 3])
    torch.testing.assert_close(_class_weights("balanced", spec), torch.tensor([2.0, 0.0, 2 / 3]))


def test_smoothing_spreads_a_share_of_the_probability_in_training() -> None:
    task = head(label_smoothing=0.1)
    features, batch = features_and_batch()
    scores = task(features, batch)
    logs = scores.log_softmax(1)
    right = logs.gather(1, batch.targets[:, None]).sum()
    torch.testing.assert_close(task.loss(scores, batch).total, -(0.9 * right + 0.1 * logs.mean(1).sum()))
    torch.testing.assert_close(task.eval().loss(scores, batch).total, -right)


def test_ngrams_have_a_loss_of_their_own_and_half_of_the_answer() -> None:
    task = head(ngrams=2)
    assert task.ngrams is not None
    features, batch = features_and_batch()
    batch.inputs = torch.arange(18).view(6, 3)
    scores = task(features, batch)
    network = task.head(task.pooling(features))
    torch.testing.assert_close(scores, torch.stack([network, torch.zeros(6, 5)], -1))
    total, count = task.loss(scores, batch)
    torch.testing.assert_close(total / count, (F.cross_entropy(network, batch.targets) + torch.tensor(5.0).log()) / 2)
    torch.nn.init.normal_(task.ngrams.weight)
    task.eval()
    mean = (network.log_softmax(1) + task.ngrams(batch.inputs, batch.lengths).log_softmax(1)) / 2
    torch.testing.assert_close(task(features, batch), mean)
    torch.testing.assert_close(task.loss(mean, batch).total, F.cross_entropy(mean, batch.targets, reduction="sum"))


WORDS = dataclasses.replace(RATINGS, targets=LabelCodec(["bad", "fine", "good", "great", "poor"]))


@pytest.mark.parametrize(
    ("spec", "options", "complaint"),
    [
        (WORDS, {"labels": "ordinal"}, "labels is ordinal: the labels must be numbers"),
        (WORDS, {"metrics": ["accuracy", "mae"]}, "metrics names mae: the labels must be numbers"),
        (RATINGS, {"class_weights": [1.0, 2.0]}, r"class_weights is \[1.0, 2.0\]: .* each of the 5 classes"),
        (dataclasses.replace(RATINGS, class_counts=None), {"class_weights": "balanced"}, "does not count its classes"),
        (RATINGS, {"label_smoothing": 1.0}, "label_smoothing is 1.0"),
        (RATINGS, {"labels": "numbers", "label_smoothing": 0.1}, "labels=numbers has none"),
        (RATINGS, {"labels": "numbers", "ngrams": 2}, "labels=numbers has none"),
    ],
)
def test_options_that_do_not_fit_the_labels_are_refused(
    spec: DataSpec, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        head(spec, **options)


def test_every_option_builds_before_data_is_read() -> None:
    spec = DataSpec("classification", 8, 5)
    for labels in ("ordinal", "numbers"):
        assert math.isfinite(losses(head(spec, labels=labels, class_weights="balanced", metrics=["mae"])).total.item())


def test_calibration_gives_a_classifier_that_knows_nothing_no_share() -> None:
    task = head(ngrams=1)
    assert task.ngrams is not None
    features, batch = features_and_batch()
    batch.inputs = torch.arange(18).view(6, 3)
    task.eval()
    right = F.one_hot(batch.required_targets, 5).float()
    with torch.no_grad():
        for row, ids in enumerate(batch.inputs):
            task.ngrams.weight[task.ngrams._distinct(ids[None], batch.lengths[row : row + 1])] = right[row]
        task.head.weight.zero_()
        task.head.bias.copy_(torch.tensor([9.0, -9.0, 9.0, -9.0, 9.0]))
    before = task.loss(task(features, batch), batch).total
    assert task.calibrate(nn.Identity(), [(batch, features)] * 10)
    of_network, of_ngrams = task.shares.tolist()
    assert of_network < 0.1 < 0.5 < of_ngrams
    assert task.loss(task(features, batch), batch).total < before
    assert not head().calibrate(nn.Identity(), [(batch, features)])
