"""Outputs of all steps become one vector. Poolings of whole sequences are in contracts/test_tasks.py."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
import torch

from seqzoo.contracts.batch import Batch, Features
from seqzoo.network.heads.pooling import Pooling, PoolingName
from tests.contracts.test_tasks import build, some_batch

SPANS = torch.tensor([[1, 3], [0, 4], [2, 3], [0, 1]])


@pytest.mark.parametrize("backbone", ["bidirectional", "deep_bidirectional"])
def test_a_target_is_read_forward_to_its_last_step_and_backward_to_its_first(backbone: str) -> None:
    model = build("classification", "gru", backbone, pooling="target").eval()
    features = model.encode(dataclasses.replace(some_batch("classification"), spans=SPANS))
    found, half = model.task.pooling(features), features.outputs.shape[2] // 2
    for row, (first, end) in enumerate(SPANS.tolist()):
        torch.testing.assert_close(found[row, :half], features.outputs[row, end - 1, :half])
        torch.testing.assert_close(found[row, half:], features.outputs[row, first, half:])


def test_without_spans_the_target_is_the_whole_sequence() -> None:
    features = build("classification", "gru", "bidirectional").eval().encode(some_batch("classification"))
    torch.testing.assert_close(features.target, features.last)


def test_a_backbone_that_leaves_out_steps_finds_the_target_in_those_that_stay() -> None:
    model = build("classification", "gru", "pyramidal", pooling="target").eval()
    batch = Batch(torch.randint(2, 8, (1, 12)), torch.tensor([12]), padded=False, spans=torch.tensor([[5, 6]]))
    features = model.encode(batch)  # 12 steps become 3 of 4 each
    torch.testing.assert_close(features.target, features.outputs[:, 1])


def test_target_attention_answers_the_target() -> None:
    outputs, lengths, target = torch.randn(2, 4, 6), torch.tensor([4, 2]), torch.randn(2, 6)
    pooling = Pooling(6, "target_attention")
    features = Features(outputs, outputs[:, -1], (), lengths, target)
    found, weights = pooling(features), pooling.weights(features)
    attention = pooling.target_attention
    for row, length in enumerate(lengths.tolist()):
        real = outputs[row, :length]
        expected = attention.energy(torch.tanh(attention.query(target[row]) + attention.key(real)))[:, 0].softmax(0)
        torch.testing.assert_close(weights[row, :length], expected)
        torch.testing.assert_close(found[row], expected @ real)
    assert (weights[1, 2:] == 0).all()


@pytest.mark.parametrize("lengths", [None, torch.tensor([4, 2])])
def test_attention_is_a_mean_of_the_real_steps_by_their_scores(lengths: torch.Tensor | None) -> None:
    """Yang et al. 2016, equations 5 to 7, of each row alone."""
    outputs = torch.randn(2, 4, 6)
    pooling = Pooling(6, "attention")
    features = Features(outputs, outputs[:, -1], (), lengths)
    found, weights = pooling(features), pooling.weights(features)
    layer, _, context = pooling.attention
    for row, length in enumerate([4, 4] if lengths is None else lengths.tolist()):
        real = outputs[row, :length]
        hidden = torch.tanh(real @ layer.weight.T + layer.bias)
        expected = (hidden @ context.weight[0]).softmax(0)
        torch.testing.assert_close(weights[row, :length], expected)
        assert (weights[row, length:] == 0).all()
        torch.testing.assert_close(found[row], expected @ real)


@pytest.mark.parametrize("way", ["mean", "max"])
def test_means_and_maxima_are_of_the_real_steps(way: str) -> None:
    """All values are below 0, so that a padded step, which is zero, would be the largest."""
    outputs, lengths = -1 - torch.rand(3, 4, 6), torch.tensor([4, 2, 1])
    outputs = outputs.masked_fill(torch.arange(4)[:, None] >= lengths[:, None, None], 0.0)
    found = Pooling(6, way)(Features(outputs, outputs[:, -1], (), lengths))
    for row, length in enumerate(lengths.tolist()):
        real = outputs[row, :length]
        torch.testing.assert_close(found[row], real.mean(0) if way == "mean" else real.max(0).values)


@pytest.mark.parametrize("way", get_args(PoolingName))
@pytest.mark.parametrize("padding", [0.0, float("nan")])
def test_a_row_without_steps_is_pooled_to_zeros(way: str, padding: float) -> None:
    outputs, lengths = torch.randn(2, 3, 4), torch.tensor([2, 0])
    outputs = outputs.masked_fill(torch.arange(3)[:, None] >= lengths[:, None, None], padding).requires_grad_()
    pooling = Pooling(4, way)
    features = Features(outputs, outputs[:, 0] + 1, (), lengths, torch.randn(2, 4, requires_grad=True))
    found = pooling(features)
    assert found[1].tolist() == [0.0] * 4
    assert found[0].isfinite().all()
    assert (found[0] != 0).any()
    found.sum().backward()
    if way != "target":
        assert outputs.grad is not None
        assert outputs.grad[0].isfinite().all()
        assert outputs.grad[1].tolist() == [[0.0] * 4] * 3
    assert all(p.grad is None or p.grad.isfinite().all() for p in pooling.parameters())


def test_the_middle_is_that_of_the_real_steps() -> None:
    outputs = torch.randn(2, 4, 3)
    found = Pooling(3, "middle")(Features(outputs, outputs[:, -1], (), torch.tensor([4, 3])))
    torch.testing.assert_close(found, torch.stack([outputs[0, 2], outputs[1, 1]]))
    found = Pooling(3, "middle")(Features(outputs, outputs[:, -1], (), None))
    torch.testing.assert_close(found, outputs[:, 2])


def test_several_poolings_are_concatenated() -> None:
    outputs = torch.randn(2, 4, 3)
    pooling = Pooling(3, ["mean", "max"])
    found = pooling(Features(outputs, outputs[:, -1], (), None))
    assert pooling.output_size == 6
    assert pooling.weights(Features(outputs, outputs[:, -1], (), None)) is None
    torch.testing.assert_close(found, torch.cat([outputs.mean(1), outputs.amax(1)], 1))


@pytest.mark.parametrize("ways", [[], ["max", "max"]])
def test_an_empty_list_of_poolings_and_duplicates_are_refused(ways: list) -> None:
    with pytest.raises(ValueError, match="pooling is"):
        Pooling(3, ways)
